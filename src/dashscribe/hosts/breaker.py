"""Whether an engine that asks somebody else is worth a call: what one call finds out, the next ones need not.

State of this process alone. An engine that was found down is left alone for a while, longer each time; then one call
tries it, and those that come meanwhile wait for what it finds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from dashscribe.errors import EngineDownError
from dashscribe.hosts.parent import STOP_S, check_stop

logger = logging.getLogger(__name__)

#: How many times as long as the first pause the longest one is.
LONGEST = 20


class Breaker:
    """What is known of one engine. Thread-safe. ``pause_s`` is how long it is left alone at first."""

    def __init__(self, name: str, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._first_s, self._clock = name, pause_s, clock
        self._changed = threading.Condition()
        self._reason = ""  # why it is down; empty while it is not
        self._pause_s = self._until_s = 0.0
        self._trying = False

    @property
    def reason(self) -> str:
        """Why new work should go elsewhere; empty if the engine is up, or due for a trial that nobody has begun."""
        with self._changed:
            return self._reason if self._trying or self._is_left_alone() else ""

    def check(self, stop: threading.Event | None = None) -> None:
        """Wait while it is being tried. Raises EngineDownError while it is left alone, HostError on ``stop``."""
        with self._changed:
            self._check(stop)

    @contextmanager
    def asking(self, stop: threading.Event | None = None) -> Generator[Callable[[], None]]:
        """Ask inside the block, and call what it yields with every answer; an EngineDownError that leaves it counts.

        Raises what ``check`` does before anything is asked.
        """
        with self._changed:
            self._check(stop)
            trial = self._trying = bool(self._reason)
        try:
            yield self._close if trial else _nothing
        except EngineDownError as error:
            self._open(str(error), trial=trial)
            raise
        finally:
            if trial:
                self._end_trial()

    def _is_left_alone(self) -> bool:
        return bool(self._reason) and self._clock() < self._until_s

    def _check(self, stop: threading.Event | None) -> None:
        while self._trying:
            check_stop(stop)
            self._changed.wait(None if stop is None else STOP_S)
        if self._is_left_alone():
            raise EngineDownError(self._reason)

    def _open(self, reason: str, *, trial: bool) -> None:
        with self._changed:
            if self._reason and not trial:
                return  # it was asked before that was known
            self._pause_s = min(2 * self._pause_s, LONGEST * self._first_s) if self._reason else self._first_s
            self._reason, self._until_s = reason, self._clock() + self._pause_s
            pause_s = self._pause_s
        logger.warning("the engine %s is left alone for %g s: %s", self._name, pause_s, reason)

    def _close(self) -> None:
        with self._changed:
            was_down, self._reason = bool(self._reason), ""
        if was_down:
            self._end_trial()
            logger.info("the engine %s answers again", self._name)

    def _end_trial(self) -> None:
        with self._changed:
            self._trying = False
            self._changed.notify_all()


def _nothing() -> None:
    """An answer of an engine that is known to be up."""
