"""A media child that was taken over: what it cannot do then, tried by hostile code inside a real one.

A library that the child loads is replaced by one of ours, which runs what a test tells it to when the first frame of
sound arrives, that is with all limits in force. Each deed is done without limits, too, so that no test passes for
another reason than the limit.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dashscribe.config import Settings
from dashscribe.errors import HostDiedError, HostError, HostTimeoutError
from dashscribe.errors.sources import DecodeError
from dashscribe.hosts import Bounds, Hosts, isolation
from dashscribe.hosts.parent import Kind
from dashscribe.hosts.plausible import Plausible
from dashscribe.hosts.protocol import Cut, Encode, PeaksReply
from dashscribe.types import Limits, Options, Span, Window
from media_files import tone_bursts, write_wav

ROGUE = """
from pathlib import Path
CODE = Path(__file__).with_name("deed.py.txt").read_text()

class Vad:
    def __init__(self, mode): pass

    def is_speech(self, frame, rate):
        scope = {}
        exec(CODE, scope)
        raise RuntimeError(f"<<{scope.get('told', 'done')}>>")
"""

Deed = Callable[..., str]


@pytest.fixture
def rogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deed:
    """Has a media child run code in the middle of its work; what ``told`` is then, or how the child ended."""
    folder = tmp_path / "rogue"
    folder.mkdir()
    (folder / "webrtcvad.py").write_text(ROGUE)
    (folder / "deed.py.txt").touch()
    monkeypatch.syspath_prepend(folder)
    source = write_wav(tmp_path / "sound.wav", tone_bursts(16_000))

    def run(code: str, **bounds: float) -> str:
        (folder / "deed.py.txt").write_text(code)
        with Hosts(Settings(), slots=1, bounds=Bounds(**bounds)) as hosts, pytest.raises((HostError, DecodeError)) as e:
            list(hosts.cut(source, url="a", options=Options(), limits=Limits()))
        if isinstance(e.value, HostDiedError | HostTimeoutError | DecodeError):
            raise e.value
        told = re.search(r"<<(.*)>>", e.value.detail, re.DOTALL)
        return told[1] if told else e.value.detail

    return run


def unconfined(code: str) -> str:
    """What the code tells where nothing is limited."""
    script = f"{code}\nprint(globals().get('told', 'done'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or done.stderr.strip()[-300:]


EACH = """
outcomes = {{}}
for name, code in {deeds!r}.items():
    try:
        exec(code, {{}})
        outcomes[name] = "done"
    except Exception as error:
        outcomes[name] = type(error).__name__
import json
told = json.dumps(outcomes)
"""


def outcomes(run: Callable[[str], str], deeds: dict[str, str]) -> dict[str, str]:
    """What became of each deed, by name: done, or the class of the error; one process does them all."""
    return json.loads(run(EACH.format(deeds=deeds)))


@cache
def measures_here() -> dict[str, str]:
    with Hosts(Settings(), slots=1) as hosts:
        return hosts.isolation()


def only_on_linux(measure: str, good: str) -> None:
    measures = measures_here()
    if measures[measure] != good:
        pytest.skip(f"this system cannot: {measure} {measures[measure]}")


# --- files ----------------------------------------------------------------------------------------------------------

READING = {
    "a file of the system": "open('/etc/passwd').read()",
    "a file of the server": "open({secret!r}).read()",
    "a folder": "import os; os.listdir({folder!r})",
    "the root": "import os; os.listdir('/')",
    "the environment of the server": "open('/proc/{parent}/environ').read()",
    "the memory of the server": "open('/proc/{parent}/mem', 'rb')",
    "open files of the server": "import os; os.listdir('/proc/{parent}/fd')",
}


def test_it_reads_no_file_but_its_source(rogue: Deed, tmp_path: Path) -> None:
    only_on_linux("readable_files", "its source and its program")
    (tmp_path / "secret.txt").write_text("the key")
    names = {"secret": str(tmp_path / "secret.txt"), "folder": str(tmp_path), "parent": os.getpid()}
    deeds = {name: code.format(**names) for name, code in READING.items()}
    assert outcomes(unconfined, deeds) == dict.fromkeys(deeds, "done")
    assert outcomes(rogue, deeds) == dict.fromkeys(deeds, "PermissionError")


WRITING = {
    "create": "open({folder!r} + '/new', 'w')",
    "append": "open({secret!r}, 'a')",
    "empty": "import os; os.truncate({secret!r}, 0)",
    "remove": "import os; os.unlink({secret!r})",
    "rename": "import os; os.rename({secret!r}, {folder!r} + '/other')",
    "link": "import os; os.link({secret!r}, {folder!r} + '/other')",
    "symlink": "import os; os.symlink('/etc/passwd', {folder!r} + '/other')",
    "permit": "import os; os.chmod({secret!r}, 0o777)",
    "give away": "import os; os.chown({secret!r}, os.getuid(), os.getgid())",
    "touch": "import os; os.utime({secret!r})",
    "folder": "import os; os.mkdir({folder!r} + '/other')",
    "pipe": "import os; os.mkfifo({folder!r} + '/other')",
}


def test_it_changes_nothing_on_disk(rogue: Deed, tmp_path: Path) -> None:
    only_on_linux("system_calls", "filtered")
    deeds: dict[str, str] = {}
    for name, code in WRITING.items():
        room = tmp_path / "rooms" / name
        room.mkdir(parents=True)
        (room / "secret.txt").write_text("the key")
        deeds[name] = code.format(secret=str(room / "secret.txt"), folder=str(room))
    assert outcomes(rogue, deeds) == dict.fromkeys(deeds, "PermissionError")
    for name in deeds:
        room = tmp_path / "rooms" / name
        assert [(entry.name, entry.read_text()) for entry in room.iterdir()] == [("secret.txt", "the key")]
    assert outcomes(unconfined, deeds) == dict.fromkeys(deeds, "done")


# --- network, other processes, the kernel ---------------------------------------------------------------------------

REACHING = {
    "tcp": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX).connect({unix!r})",
    "abstract socket": "import socket; socket.socket(socket.AF_UNIX).connect('\\0dashscribe-{parent}')",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "pair": "import socket; socket.socketpair()",
    "fork": "import os; pid = os.fork(); pid or os._exit(0)",
    "another program": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "spawn": "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {{}}), 0)",
    "signal to the server": "import os; os.kill({parent}, 0)",
    "signal to itself": "import os; os.kill(os.getpid(), 0)",
    "signal by a pipe": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, {parent})",
    "another signal": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETSIG, 9)",
    "slow the server down": "import os; os.setpriority(0, {parent}, os.getpriority(0, {parent}))",
}


def test_it_reaches_nobody_and_starts_nothing(rogue: Deed, tmp_path: Path) -> None:
    only_on_linux("system_calls", "filtered")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        abstract.bind(f"\0dashscribe-{os.getpid()}")
        abstract.listen()
        names = {"port": server.getsockname()[1], "unix": str(tmp_path / "s"), "parent": os.getpid()}
        deeds = {name: code.format(**names) for name, code in REACHING.items()}
        assert outcomes(unconfined, deeds) == dict.fromkeys(deeds, "done")
        assert outcomes(rogue, deeds) == dict.fromkeys(deeds, "PermissionError")
    assert rogue("import os; os.execv('/bin/true', ['true'])").startswith("PermissionError")


CORNERS = [
    "ptrace(16, {parent}, 0, 0)",
    "unshare(0x10000000)",
    "mount(b'none', b'/mnt', b'tmpfs', 0, 0)",
    "chroot(b'/')",
    "setuid(0)",
    "personality(0x0040000)",
    "prctl(1, 0, 0, 0, 0)",  # to outlive the parent
    "syscall(425, 8, b' ' * 120)",  # io_uring
    "shmget(0, 4096, 0o1600)",
    "fcntl(0, 15, 0)",  # F_SETOWN_EX
    "ioctl(0, 0x8901, 0)",  # FIOSETOWN
]
CALLS = """
import ctypes
libc, told = ctypes.CDLL(None, use_errno=True), {{}}
for call in {calls!r}:
    told[call] = (eval("libc." + call), ctypes.get_errno())
"""


def test_odder_corners_of_the_kernel_are_closed(rogue: Deed) -> None:
    only_on_linux("system_calls", "filtered")
    calls = [call.format(parent=os.getpid()) for call in CORNERS]
    assert rogue(CALLS.format(calls=calls)) == str(dict.fromkeys(calls, (-1, errno.EPERM)))


def test_calls_that_a_filter_cannot_judge_or_does_not_know_do_not_exist(rogue: Deed) -> None:
    only_on_linux("system_calls", "filtered")
    calls = [f"syscall({number}, 0, 0, 0, 0, 0)" for number in (435, 437, 451, 470, 1000, 2**30 + 41)]
    assert rogue(CALLS.format(calls=calls)) == str(dict.fromkeys(calls, (-1, errno.ENOSYS)))


def test_it_cannot_raise_its_limits_again(rogue: Deed) -> None:
    raising = "import resource as r; r.setrlimit(r.RLIMIT_{}, (r.RLIM_INFINITY, r.RLIM_INFINITY))"
    deeds = {name: raising.format(name) for name in ("AS", "FSIZE", "NOFILE", "CORE")}
    assert outcomes(rogue, deeds) == dict.fromkeys(deeds, "ValueError")


def test_it_knows_nothing_of_our_secrets(rogue: Deed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DASHSCRIBE_API_KEY",
        "DASHSCRIBE_DATABASE_URL",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "ANYTHING",
    ):
        monkeypatch.setenv(name, "hidden-4711")
    told = rogue(
        "import os; line, block = (open(f'/proc/self/{n}').read() for n in ('cmdline', 'environ'))\n"
        "told = ['dashscribe.hosts.child' in line, 'PATH' in os.environ, 'hidden' in line + block + str(os.environ)]"
    )
    assert told == "[True, True, False]"


def test_it_holds_its_pipes_and_its_source_and_no_other_open_file(rogue: Deed) -> None:
    told = rogue(
        "import os; names = map('/proc/self/fd/{}'.format, os.listdir('/proc/self/fd'))\n"
        "fds = [os.readlink(n) for n in names if os.path.lexists(n)]\n"
        "told = sorted(f for f in fds if not f.startswith(('pipe:', '/dev/null')))"
    )
    assert re.fullmatch(r"\['/[^']*/sound\.wav', 'socket:\[\d+\]'\]", told), told


def test_the_filter_holds_where_namespaces_are_refused() -> None:
    only_on_linux("system_calls", "filtered")
    script = (
        "from dashscribe.hosts import isolation\n"
        "measures = isolation.limit_media(None)\n"  # no namespace was entered before
        "assert measures['system_calls'] == 'filtered', measures\n"
        "import socket\n"
        "try: socket.socket()\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "refused\n", done.stderr


# --- memory, time, words --------------------------------------------------------------------------------------------


def test_memory_is_bounded(rogue: Deed) -> None:
    with pytest.raises(DecodeError, match="more than 4096 MiB of memory"):
        rogue("x = bytearray(6 << 30)")


def test_open_files_are_bounded(rogue: Deed) -> None:
    assert rogue("import os\nwhile True: os.dup(0)").startswith("OSError: [Errno 24]")


def test_silence_is_bounded(rogue: Deed) -> None:
    with pytest.raises(HostTimeoutError, match="no sign for 1 s"):
        rogue("import time; time.sleep(60)", media_s=1.0)


def test_abort_of_a_library_costs_one_child(rogue: Deed) -> None:
    with pytest.raises(HostDiedError, match="SIGABRT"):
        rogue("import os; os.abort()")


def test_processor_time_is_bounded(rogue: Deed) -> None:
    told = rogue("import resource, time; told = resource.getrlimit(resource.RLIMIT_CPU)[0] - time.process_time()")
    assert 0 < float(told) <= isolation.MEDIA_CPU_S + 1
    script = "from dashscribe.hosts.isolation import grant_time\ngrant_time(0.1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", script], timeout=60)
    assert done.returncode == -signal.SIGXCPU


def cut(max_duration_ms: int = 60_000, **options: object) -> Plausible:
    return Plausible(Cut(b"", "", Options(**options), Limits(), max_duration_ms, ""))  # type: ignore[arg-type]


MEDIA = Kind(role="media")


@pytest.mark.parametrize(
    "windows",
    [
        [Window(0, 0, (), b"")],
        [Window(1, 0, (Span(0, 10),), b"")],  # a channel that nobody asked for
        [Window(-1, 0, (Span(0, 10),), b"")],
        [Window(0, 0, (Span(-5, 10),), b"")],
        [Window(0, 0, (Span(10, 10),), b"")],
        [Window(0, 0, (Span(10, 5),), b"")],
        [Window(0, 0, (Span(0, 10), Span(5, 15)), b"")],
        [Window(0, 0, (Span(0, 10),), b""), Window(0, 1, (Span(0, 10),), b"")],  # the same again, and again
        [Window(0, 0, (Span(0, 10**9),), b"")],
        [Window(0, 0, (Span(0, 10),), bytes(100_000))],
    ],
)
def test_windows_that_cannot_be_are_refused(windows: list[Window]) -> None:
    judge = cut()
    for window in windows[:-1]:
        judge.check(window, MEDIA)
    with pytest.raises(HostError, match="cannot be"):
        judge.check(windows[-1], MEDIA)


@pytest.mark.parametrize("reply", [PeaksReply(1, b""), PeaksReply(-1, b""), PeaksReply(0, bytes(61 * 20 + 1))])
def test_peaks_that_cannot_be_are_refused(reply: PeaksReply) -> None:
    cut().check_peaks(PeaksReply(0, bytes(61 * 20)), MEDIA)
    with pytest.raises(HostError, match="cannot be"):
        cut().check_peaks(reply, MEDIA)


def test_encoded_sound_without_end_is_refused() -> None:
    judge = Plausible(Encode(b"", "", 60_000, ""))
    judge.check_encoded(bytes(60 * 12_000), MEDIA)  # two channels at 48 kbit/s
    with pytest.raises(HostError, match="cannot be"):
        for _ in range(3):
            judge.check_encoded(bytes(60 * 12_000), MEDIA)


def test_a_cut_that_never_ends_is_ended_whatever_signs_it_gives() -> None:
    cut(60_000).check_time(179.0, 120.0, MEDIA)
    with pytest.raises(HostTimeoutError, match="more than 180 s"):
        cut(60_000).check_time(181.0, 120.0, MEDIA)
    cut(60_000, channels=(0, 1)).check_time(181.0, 120.0, MEDIA)
