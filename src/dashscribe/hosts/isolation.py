"""What a child process gives up before it touches anything hostile: network, memory, files, outliving its parent.

Linux by way of libc through ctypes, best effort: what the system refuses is reported, not enforced, and ``doctor``
shows it. Each function returns a sentence for that report. What of the file system stays visible is ``landlock``'s
matter, which system calls are refused ``syscalls``'.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import site
import struct
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dashscribe.hosts import landlock, syscalls

# <linux/prctl.h> and <linux/sched.h>; Python has names for the latter from 3.12 on only.
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

#: Address space of a media child, at most and at least. Decoding needs half a GiB; a file that claims absurd dimensions
#: needs any amount.
MOST_MEDIA_MEMORY_BYTES, LEAST_MEDIA_MEMORY_BYTES = 4 * 1024**3, 1024**3
#: A media child has its pipes, one source and what the interpreter opens for an import.
MEDIA_OPEN_FILES = 64
#: Processor time of a media child for a request in which nothing gets done, in seconds; ``grant_time`` adds to it.
MEDIA_CPU_S = 120
#: What libraries read of the system while they are loaded and used, besides their own files.
SYSTEM_FILES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system/cpu",
)


def leave_network() -> str:
    """Move this thread into an empty network namespace; call this before any other thread exists.

    Root may do so directly. Others first become root of a user namespace of their own, where the system permits it.
    """
    if sys.platform != "linux":
        return f"shared: {sys.platform} has no network namespaces"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        return "none"
    return f"shared: {os.strerror(ctypes.get_errno())}"


def die_with(parent_pid: int) -> str:
    """Have the kernel kill this process when the thread that started it ends; exit now if that has happened already.

    Entering a user namespace clears the setting, so ``leave_network`` comes first.
    """
    if sys.platform != "linux":
        return "by the closed pipe only"
    libc = ctypes.CDLL(None, use_errno=True)
    refused = libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0
    if os.getppid() != parent_pid:
        os._exit(1)
    return f"by the closed pipe only: {os.strerror(ctypes.get_errno())}" if refused else "by SIGKILL"


def gain_nothing() -> str:
    """Programs started from here on gain no privileges, set-user-ID or not."""
    if sys.platform != "linux":
        return f"possible: {sys.platform} cannot forbid it"
    libc = ctypes.CDLL(None, use_errno=True)
    refused = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
    return f"possible: {os.strerror(ctypes.get_errno())}" if refused else "none"


def drop_capabilities() -> str:
    """Give up what sets root apart, such as raising limits again; others have none of it."""
    if sys.platform != "linux":
        return f"kept: {sys.platform} has none to drop"
    libc = ctypes.CDLL(None, use_errno=True)
    # struct __user_cap_header_struct (version 3, this process), two struct __user_cap_data_struct
    if libc.capset(struct.pack("=Ii", 0x2008_0522, 0), bytes(24)) == 0:
        return "none"
    reason = os.strerror(ctypes.get_errno())
    with suppress(OSError, ValueError, IndexError):  # who has none may be forbidden to drop them
        status = Path("/proc/self/status").read_text(encoding="ascii")
        if int(status.partition("CapPrm:")[2].split()[0], 16) == 0:
            return "none"
    return f"kept: {reason}"


def limit(what: int, most: int) -> str:
    """Lower one of the ``resource.RLIMIT_*`` limits for good; a lower one that is already in force stays."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(what, (most, most))
    except (OSError, ValueError) as error:
        return f"unlimited: {error}"
    return str(most)


def media_memory_bytes(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """How much address space a media child gets: no more than half of what its container or service may use in all.

    What goes beyond that limit, the kernel ends, in Kubernetes with all else that is in it. ``groups`` is where control
    groups are mounted, ``own`` says which one this process is in; see cgroups(7), of both versions.
    """
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text(encoding="ascii").splitlines()
    version_2 = [groups / line[4:] / "memory.max" for line in lines if line.startswith("0::/")]
    limits = [MOST_MEDIA_MEMORY_BYTES]
    for file in (groups / "memory.max", *version_2, groups / "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(file.read_text(encoding="ascii")) // 2)
    return max(min(limits), LEAST_MEDIA_MEMORY_BYTES)


def grant_time(seconds: float) -> None:
    """Let this process use so much more processor time from now on; the kernel ends it with SIGXCPU behind that.

    The system counts in whole seconds. Where a lower limit is in force, that one stays.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    most, hard = int(used.ru_utime + used.ru_stime + seconds) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def program_files() -> Iterator[Path]:
    """Where this program's code lies: Python, the packages, and what was imported from elsewhere."""
    yield from map(Path, SYSTEM_FILES)
    yield Path(sys.base_prefix, "lib")  # Python's own libraries, where it did not come with the system
    yield from (Path(path) for name, path in sysconfig.get_paths().items() if name.endswith("lib"))
    with suppress(AttributeError):  # some environments leave these out
        yield from map(Path, (*site.getsitepackages(), site.getusersitepackages()))
    for name, module in list(sys.modules.items()):
        # Folders of packages that are installed for editing; a lone module brings itself along, not its folder.
        if "." not in name and (file := getattr(module, "__file__", None)):
            yield Path(file).parent if Path(file).name.startswith("__init__.") else Path(file)


def model_files(folder: Path) -> Iterator[Path]:
    """The folder of models and, as its owner may keep models elsewhere, where its links lead."""
    yield folder
    with suppress(OSError):
        for entry in folder.iterdir():
            inside = list(entry.iterdir()) if entry.is_dir() else []
            yield from (path.resolve() for path in (entry, *inside) if path.is_symlink())


def limit_media(models_dir: Path | None) -> dict[str, str]:
    """The limits of a process that decodes hostile files.

    Call this after the imports, which may write bytecode, and before any other thread exists. ``models_dir`` stays
    readable, None if there is none.
    """
    measures = {
        "memory_bytes": limit(resource.RLIMIT_AS, media_memory_bytes()),
        "written_bytes": limit(resource.RLIMIT_FSIZE, 0),
        "open_files": limit(resource.RLIMIT_NOFILE, MEDIA_OPEN_FILES),
        "capabilities": drop_capabilities(),
        "new_privileges": gain_nothing(),
    }
    models = model_files(models_dir) if models_dir else ()
    measures["readable_files"] = landlock.read_only([*program_files(), *models])
    measures["system_calls"] = syscalls.refuse_system_calls()
    return measures
