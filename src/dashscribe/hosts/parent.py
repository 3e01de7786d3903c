"""The parent's end of one child process: starting it, one call at a time, noticing its death or silence.

Owns a child's life; which child does what is in ``pool``. Children are exec'ed, never forked, all of them by one thread
that lives as long as this process, because the kernel's parent-death signal follows the thread that started a child.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Pipe, wait
from multiprocessing.reduction import send_handle
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import msgspec

from dashscribe.errors import HostDiedError, HostError, HostTimeoutError
from dashscribe.hosts.protocol import (
    MAX_MESSAGE_BYTES,
    End,
    Failure,
    Reply,
    Request,
    decode_reply,
    encode,
    error_from,
)

#: How much of a child's stderr is kept, in bytes, and how much of it a message quotes, in characters.
TAIL_BYTES = 4096
QUOTE_CHARS = 400
#: How long a child may take to end by itself once its pipe is closed, and any child once it is killed, in seconds.
REAP_S = 5.0
#: How long an abandoned call may take to send its End before the child is killed, in seconds.
ABANDON_S = 0.1
#: How often a call that can be stopped looks whether it was, in seconds.
STOP_S = 0.1
#: What a media child, which reads hostile files, gets of our environment: how to find and speak, nothing about us.
HARMLESS = re.compile(r"PATH|HOME|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|PYTHON.*|VIRTUAL_ENV|(OMP|OPENBLAS|MKL)_.*")
#: What the other children do not get: whatever looks like a secret. Engines from elsewhere may have variables of their
#: own, and what ours need to know of the settings reaches them in a message.
SECRET = re.compile(
    r"(AWS|AZURE|GOOGLE|PG).*|.*(KEY|SECRET|TOKEN|PASSW|CREDENTIAL|DATABASE|STORE_URL|MIRROR|_DSN|_URI|HEADERS).*",
    re.IGNORECASE,
)
#: Signals that a terminal or a service manager sends to the whole group; children die with their parent instead.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a child is for; children of one kind stand in for each other.

    ``engine`` and ``target`` are for the role ``asr``; ``weights``, ``annotator`` and ``tagger`` name models, see
    ``protocol.Load``. ``version`` keeps children apart that were started before and after the weights changed.
    ``models`` is the folder that the role ``media`` may read, empty for none.
    """

    role: Literal["media", "asr", "text", "speaker"]
    engine: str = ""
    version: str = ""
    target: str = ""
    weights: str = ""
    annotator: str = ""
    tagger: str = ""
    secret: str = ""
    models: str = ""
    nice: int = 0

    def __str__(self) -> str:
        return f"{self.engine} engine process" if self.engine else f"{self.role} process"


class Host:
    """One child process. All methods but ``interrupt`` belong to the one thread that holds it at the time."""

    def __init__(self, kind: Kind) -> None:
        """Start the child; it answers its first call when it is up."""
        self.kind = kind
        self.started_s = time.monotonic()
        self._expired = self._interrupted = False
        self._tail = b""
        # Open files travel over a socket only.
        requests, self._requests = Pipe(duplex=kind.role == "media")
        self._replies, replies = Pipe(duplex=False)
        life, self._life = Pipe(duplex=False)
        self._stderr, stderr = Pipe(duplex=False)
        self._watched = [self._replies, self._stderr]
        fds = {"requests": requests.fileno(), "replies": replies.fileno(), "life": life.fileno()}
        try:
            self._process = _spawner.run(lambda: _start(kind, fds, stderr.fileno()))
        finally:
            for pipe in (requests, replies, life, stderr):
                pipe.close()

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process.poll() is None

    @property
    def memory_bytes(self) -> int:
        """The child's resident memory; 0 where there is no /proc to tell."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except OSError:
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def call(
        self, request: Request, limit_s: float, stop: threading.Event | None = None, *, file: int | None = None
    ) -> Generator[Reply]:
        """Send a request and yield its replies up to the End, which is swallowed.

        ``file`` is a descriptor that a media child gets along with a request that is about it; the caller closes it.
        ``limit_s`` is the longest silence before the first reply and between any two; time that the caller spends is
        not counted. Raises the child's own error for a Failure, after which the child goes on; HostDiedError or
        HostTimeoutError, after which it is gone. Closing the iterator early kills the child; so does another thread
        that sets ``stop``, to a HostError here.
        """
        orderly = False
        try:
            with self._patience(limit_s):
                self._requests.send_bytes(encode(request))
                if file is not None:
                    send_handle(self._requests, file, self.pid)
            while not isinstance(reply := self._receive(limit_s, stop), End):
                if isinstance(reply, Failure):
                    orderly = True
                    raise error_from(reply)
                yield reply
            orderly = True
        except GeneratorExit:
            orderly = self._about_to_end()
            raise
        finally:
            if not orderly:
                self.end()

    def interrupt(self) -> None:
        """Kill the child from another thread; the one that is in a call gets a HostError."""
        self._interrupted = True
        self._process.kill()

    def end(self) -> None:
        """Kill the child and free what belongs to it; it holds nothing worth a farewell. May be called again."""
        self._process.kill()
        self._reap()
        for pipe in (self._requests, self._replies, self._life, self._stderr):
            pipe.close()

    def _receive(self, limit_s: float, stop: threading.Event | None = None) -> Reply:
        with self._patience(limit_s):
            while True:
                check_stop(stop)
                ready = wait(self._watched, None if stop is None else STOP_S)
                if self._stderr in ready:
                    self._listen()
                if self._replies in ready:
                    return decode_reply(self._replies.recv_bytes(MAX_MESSAGE_BYTES))

    @contextmanager
    def _patience(self, limit_s: float) -> Generator[None]:
        """Kill the child if the block takes longer, which ends every wait in it; translate what the child did wrong.

        A timer instead of time-outs also covers a request that is not taken and a message that stops halfway.
        """
        # Whoever gets it decides: the block has ended, or the child is killed. A child that was killed in the instant
        # in which it answered would be taken for a good one by the next call.
        decision = threading.Lock()
        timer = threading.Timer(limit_s, self._expire, (decision,))
        timer.daemon = True
        timer.start()
        try:
            yield
            if not decision.acquire(blocking=False):
                raise self._last_words(limit_s)
        except (EOFError, OSError, msgspec.DecodeError) as error:
            # The connection closes itself when a message announces more than the limit.
            if isinstance(error, msgspec.DecodeError) or self._replies.closed:
                raise HostError(f"the {self.kind} sent a message that cannot be read: {error}") from error
            raise self._last_words(limit_s) from error
        finally:
            decision.acquire(blocking=False)
            timer.cancel()

    def _expire(self, decision: threading.Lock) -> None:
        if decision.acquire(blocking=False):
            self._expired = True
            self._process.kill()

    def _about_to_end(self) -> bool:
        """Whether all replies were taken and only the End is left, so that the child can be used again."""
        try:
            return self._replies.poll(ABANDON_S) and isinstance(self._receive(ABANDON_S), End)
        except HostError:
            return False

    def _listen(self) -> None:
        """Keep the end of what the child wrote to its stderr."""
        data = os.read(self._stderr.fileno(), 65_536)
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        if not data:
            self._watched = [self._replies]

    def _reap(self) -> int | None:
        """Wait for the child to end; its exit status, negative for a signal, None if it will not end."""
        try:
            return self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            return None

    def _last_words(self, limit_s: float) -> HostError:
        """Why the child's pipe broke, as an error with the end of its stderr."""
        status = self._reap()
        if status is None:
            self._process.kill()
        while len(self._watched) == 2 and wait([self._stderr], 0):
            self._listen()
        lines = self._tail.decode("utf-8", "replace").split("\n")
        quote = " | ".join(line.strip() for line in lines if line.strip())[-QUOTE_CHARS:]
        said = f"; its last words: {quote}" if quote else ""
        if self._interrupted:
            return HostError(f"the {self.kind} was ended while it was working, because the program is closing")
        if self._expired:
            return HostTimeoutError(f"the {self.kind} gave no sign for {limit_s:g} s and was ended{said}")
        return HostDiedError(f"the {self.kind} {_fate(status)}{said}")


def check_stop(stop: threading.Event | None) -> None:
    """Raise HostError once ``stop`` is set."""
    if stop is not None and stop.is_set():
        raise HostError("the work was stopped because nobody waits for it any more")


class _Spawner:
    """The thread that starts every child. It must not end before the process does: its children would be killed."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._jobs = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Run ``job`` in the lasting thread and wait for its result."""
        future: Future[subprocess.Popen[bytes]] = Future()
        with self._lock:
            # Not alive also means: this process was forked from the one that had the thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="dashscribe-spawner", daemon=True)
                self._thread.start()
        self._jobs.put((job, future))
        return future.result()

    def _work(self) -> None:
        # Children inherit the mask, from their first instruction on; setting it in the child would leave a gap.
        signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except OSError as error:
                future.set_exception(HostError(f"no process can be started: {error}"))


_spawner = _Spawner()


def _start(kind: Kind, fds: dict[str, int], stderr: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "dashscribe.hosts.child", "--role", kind.role, "--nice", str(kind.nice)]
    command += ["--parent", str(os.getpid()), *(f"--{name}={fd}" for name, fd in fds.items())]
    if kind.engine:
        command += ["--engine", kind.engine, "--engine-target", kind.target]
    if kind.models:
        command += ["--models", kind.models]
    return subprocess.Popen(  # noqa: S603 (our own module, no shell)
        command,
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
        pass_fds=list(fds.values()),
        env=_environment(kind),
    )


def _environment(kind: Kind) -> dict[str, str]:
    """What the role may know of ours, imports included; one thread per library, as slots are many."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if kind.role == "media":
        ours = {name: value for name, value in os.environ.items() if HARMLESS.fullmatch(name)}
    else:
        ours = {name: value for name, value in os.environ.items() if not SECRET.fullmatch(name)}
    return {**threads, **ours, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def _fate(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "closed its pipe but did not end"
    if status >= 0:
        return f"exited with status {status} while it was working"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}{' (out of memory?)' if status == -signal.SIGKILL else ''}"
