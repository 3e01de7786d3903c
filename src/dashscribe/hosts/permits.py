"""Who may work now: the slots of this process, for batch and for express work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from dashscribe.errors import HostError
from dashscribe.hosts.observing import Places
from dashscribe.hosts.parent import STOP_S, check_stop

#: Niceness of children: the server runs at 0, so that it answers while every core recognizes. Linux gives one at 5
#: nine times the time of one at 15; of one at 10 three times, which three of those on two cores halve again.
BATCH_NICE = 15
EXPRESS_NICE = 5


class Permits:
    """The free slots, by the niceness of the children that work in them. Thread-safe.

    Who came first is served first, among express calls and among the others: the first window of a source is heard
    before its second.
    """

    def __init__(self, batch: int, express: int) -> None:
        self._free = {BATCH_NICE: batch, EXPRESS_NICE: express}
        self._all = dict(self._free)
        self._waiting: dict[bool, deque[object]] = {False: deque(), True: deque()}  # by whether they are express
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def held(
        self, *, express: bool, stop: threading.Event | None, unless: threading.Event | None = None
    ) -> Generator[int]:
        """Wait for a slot and hold it; yields its niceness. Express calls take an express slot if one is free.

        Once ``unless`` is set no slot is needed any more, and none is held; ``wake`` makes that seen at once.
        """
        with self._changed:
            nice = self._take(express, stop, unless)
        try:
            yield BATCH_NICE if nice is None else nice
        finally:
            if nice is not None:
                with self._changed:
                    self._free[nice] += 1
                    self._changed.notify_all()

    def wake(self) -> None:
        """Have all who wait look whether they still have to."""
        with self._changed:
            self._changed.notify_all()

    def _take(self, express: bool, stop: threading.Event | None, unless: threading.Event | None) -> int | None:
        wanted = (EXPRESS_NICE, BATCH_NICE) if express else (BATCH_NICE,)
        ticket, waiting = object(), self._waiting[express]
        waiting.append(ticket)
        try:
            while True:
                check_stop(stop)
                if unless is not None and unless.is_set():
                    return None
                if self._closed:
                    raise HostError("no slot is given any more because the program is closing")
                free = [nice for nice in wanted if self._free[nice]]
                if free and waiting[0] is ticket:
                    self._free[free[0]] -= 1
                    return free[0]
                self._changed.wait(None if stop is None else STOP_S)
        finally:
            waiting.remove(ticket)
            self._changed.notify_all()  # the next in the row may find another free slot

    def places(self) -> tuple[Places, Places]:
        """The slots for batch and those for express work now."""
        with self._changed:
            busy = {nice: self._all[nice] - free for nice, free in self._free.items()}
            return (
                Places(busy[BATCH_NICE], self._free[BATCH_NICE], len(self._waiting[False])),
                Places(busy[EXPRESS_NICE], self._free[EXPRESS_NICE], len(self._waiting[True])),
            )

    def close(self) -> None:
        """Wake up all who wait, to an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
