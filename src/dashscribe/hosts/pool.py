"""Which children there are: started when needed, reused, replaced when worn out, ended when idle.

Owns all children of one ``Hosts``; how many may work at once is decided there. A child is held by one caller at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from dashscribe.errors import HostDiedError, HostError, HostTimeoutError
from dashscribe.hosts.observing import EndReason, Observer, Unobserved
from dashscribe.hosts.parent import Host, Kind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Resting:
    """An idle child and since when, on the monotonic clock."""

    host: Host
    since_s: float


class Pool:
    """The children of this process, idle and busy. Thread-safe.

    ``prepare`` is called with every new child before its first use. A child larger than ``memory_bytes`` or older than
    ``age_s`` is ended when its caller gives it back, one that rests for ``idle_s`` by a thread that sleeps until then.
    """

    def __init__(
        self,
        prepare: Callable[[Host, threading.Event | None], None],
        *,
        idle_s: float,
        age_s: float,
        memory_bytes: int,
        observer: Observer | None = None,
    ) -> None:
        self._prepare = prepare
        self._observer = observer or Unobserved()
        self._idle_s, self._age_s, self._memory_bytes = idle_s, age_s, memory_bytes
        self._changed = threading.Condition()
        self._resting: list[_Resting] = []  # longest first
        self._busy: set[Host] = set()
        self._reaper: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def borrowed(self, kind: Kind, stop: threading.Event | None = None) -> Generator[Host]:
        """A child of that kind, idle or new, for this caller alone; ``stop`` is passed on to ``prepare``."""
        host, reason = self._take(kind, stop), None
        try:
            yield host
        except (HostDiedError, HostTimeoutError) as error:
            reason = _reason(error)
            raise
        finally:
            self._give_back(host, reason)

    def count(self) -> Counter[tuple[str, str, str]]:
        """The children by role, engine and state: busy or idle."""
        with self._changed:
            states = [(host.kind, "busy") for host in self._busy] + [(r.host.kind, "idle") for r in self._resting]
        return Counter((kind.role, kind.engine, state) for kind, state in states)

    def close(self) -> None:
        """End all children, also those that are working: their callers get a HostError."""
        with self._changed:
            self._closed = True
            resting, self._resting = self._resting, []
            busy = list(self._busy)
            self._changed.notify_all()
        for host in busy:
            host.interrupt()
        for rest in resting:
            self._end(rest.host, "stopped")

    def _take(self, kind: Kind, stop: threading.Event | None) -> Host:
        host = self._resting_of(kind)
        while host is not None and not host.alive:
            with self._changed:
                self._busy.discard(host)
            self._end(host, "died")
            host = self._resting_of(kind)
        if host is not None:
            return host
        host = Host(kind)
        with self._changed:
            self._busy.add(host)
        try:
            self._refuse_when_closed()
            self._prepare(host, stop)
        except BaseException as error:
            with self._changed:
                self._busy.discard(host)
            self._end(host, _reason(error))
            raise
        self._observer.child_started(kind.role, kind.engine, time.monotonic() - host.started_s)
        logger.debug("started %s, pid %d", kind, host.pid)
        return host

    def _resting_of(self, kind: Kind) -> Host | None:
        """The child of that kind that rested shortest, so that surplus ones become idle for good."""
        with self._changed:
            self._refuse_when_closed()
            for at in reversed(range(len(self._resting))):
                if self._resting[at].host.kind == kind:
                    host = self._resting.pop(at).host
                    self._busy.add(host)
                    return host
        return None

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise HostError("the child processes are ended because the program is closing")

    def _end(self, host: Host, reason: EndReason) -> None:
        host.end()
        self._observer.child_ended(host.kind.role, host.kind.engine, reason)

    def _give_back(self, host: Host, reason: EndReason | None) -> None:
        alive = host.alive
        keep = alive and not self._is_worn_out(host)
        with self._changed:
            self._busy.discard(host)
            keep = keep and not self._closed
            if keep:
                self._resting.append(_Resting(host, time.monotonic()))
                self._start_reaper()
                self._changed.notify_all()
        if not keep:
            self._end(host, reason or ("worn_out" if alive and not self._closed else "stopped"))

    def _is_worn_out(self, host: Host) -> bool:
        memory_bytes = host.memory_bytes
        if memory_bytes > self._memory_bytes:
            logger.warning(
                "the %s (pid %d) is replaced: it holds %d MiB, the ceiling is %d MiB",
                host.kind,
                host.pid,
                memory_bytes // 1024**2,
                self._memory_bytes // 1024**2,
            )
            return True
        return time.monotonic() - host.started_s > self._age_s

    def _start_reaper(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, name="dashscribe-reaper", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        """End children that rested long enough; sleeps until the next one is due."""
        while True:
            with self._changed:
                if self._closed:
                    return
                due_s = self._resting[0].since_s + self._idle_s if self._resting else None
                rest_s = None if due_s is None else due_s - time.monotonic()
                if rest_s is None or rest_s > 0:
                    self._changed.wait(rest_s)
                    continue
                host = self._resting.pop(0).host
            self._end(host, "idle")
            logger.debug("ended idle %s, pid %d", host.kind, host.pid)


def _reason(error: BaseException) -> EndReason:
    """Why the child is gone with which that came up."""
    match error:
        case HostTimeoutError():
            return "timed_out"
        case HostDiedError():
            return "died"
        case HostError() | GeneratorExit():
            return "stopped"
        case _:
            return "failed"
