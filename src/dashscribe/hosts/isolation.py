"""What a child process gives up before it touches anything hostile: network, memory, files, outliving its parent.

Linux by way of libc through ctypes, best effort: what the system refuses is reported, not enforced, and ``doctor``
shows it. Each function returns a sentence for that report.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

# <linux/prctl.h> and <linux/sched.h>; Python has names for the latter from 3.12 on only.
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

#: Address space of a media child. Decoding needs a tenth of it; a file that claims absurd dimensions needs more.
MEDIA_MEMORY_BYTES = 4 * 1024**3
#: A media child has its pipes, one source and what the interpreter opens for an import.
MEDIA_OPEN_FILES = 64


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


def limit(what: int, most: int) -> str:
    """Lower one of the ``resource.RLIMIT_*`` limits for good; a lower one that is already in force stays."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(what, (most, most))
    except (OSError, ValueError) as error:
        return f"unlimited: {error}"
    return str(most)


def limit_media() -> dict[str, str]:
    """The limits of a process that decodes hostile files; call this after the imports, which may write bytecode."""
    return {
        "memory_bytes": limit(resource.RLIMIT_AS, MEDIA_MEMORY_BYTES),
        "written_bytes": limit(resource.RLIMIT_FSIZE, 0),
        "open_files": limit(resource.RLIMIT_NOFILE, MEDIA_OPEN_FILES),
        "new_privileges": gain_nothing(),
    }
