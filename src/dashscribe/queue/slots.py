"""Slots: threads that claim work of one kind, do it, and sleep on a bell while there is none.

What the work is and what an error means for it is handed in. A slot outlives every error: trouble with the database is
logged and waited out, and the claim that was held is given back as soon as that can be written.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from dashscribe.errors.sources import RecognitionError

logger = logging.getLogger(__name__)

#: Pauses after trouble with the database or the store, in seconds: the first, and the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
#: Work that was interrupted this often runs alone, so that it takes no other work down with it, or is given up.
ALONE_FROM, GIVE_UP_AT = 3, 20


class Stage(StrEnum):
    """The kinds of work, in the order in which a file goes through them.

    ``REDO`` is for files that have a result, ``DELIVER`` for tasks that have ended.
    """

    FETCH = "fetch"
    CUT = "cut"
    RECOGNIZE = "recognize"
    FINISH = "finish"
    REDO = "redo"
    DELIVER = "deliver"


class PutBack(Exception):  # noqa: N818 (no failure: the work is to be done later)
    """Raised by a step that cannot go on now: give the claim back, to be claimed again in ``after_ms``."""

    def __init__(self, after_ms: int = 0) -> None:
        super().__init__(after_ms)
        self.after_ms = after_ms


class Claim(Protocol):
    """What a slot needs to know of the row that it claimed."""

    @property
    def id(self) -> int:
        """Its number, for the log."""
        ...

    @property
    def owner(self) -> str:
        """Whose work it is."""
        ...

    @property
    def interrupted(self) -> int:
        """How many workers ended while they held it."""
        ...


C = TypeVar("C", bound=Claim)
C_contra = TypeVar("C_contra", contravariant=True)
T = TypeVar("T")


class Bell:
    """Wakes one sleeper per ring; a ring that nobody hears is kept for the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung = self._broken = False

    def ring(self) -> None:
        """Wake one sleeper."""
        with self._changed:
            self._rung = True
            self._changed.notify()

    def wait(self) -> None:
        """Sleep until it rings."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung or self._broken)
            self._rung = False

    def break_off(self) -> None:
        """Wake everybody, and let nobody sleep again."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()


class Turnstile:
    """Lets any number through at a time, or one that has to be alone: at once, or when the others have left."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        #: Whether nobody enters while there is somebody inside, and whether who is inside now came in like that.
        self._one_by_one = self._alone = False

    @contextmanager
    def shared(self) -> Generator[None]:
        """Be inside with others; waits while somebody is alone, or is to be."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._one_by_one and self._inside))
            self._alone = self._one_by_one
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if self._alone:
                    self._one_by_one = self._alone = False
                self._changed.notify_all()

    def alone(self) -> bool:
        """For one who is inside: be alone until it leaves, if it is the only one.

        Otherwise nobody enters any more before all have left, so that who comes in next is alone. Who leaves to be
        that one holds nothing meanwhile: whatever ends the process then was not its doing.
        """
        with self._changed:
            self._one_by_one = True
            self._alone = self._inside == 1
            return self._alone


class Release(Protocol[C_contra]):
    """Gives a claim back, to be claimed again in ``after_ms`` at the earliest."""

    def __call__(self, row: C_contra, /, after_ms: int = 0) -> object:
        """Changes nothing when the claim has passed on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[C]):
    """One kind of work. ``claim`` is told which owners hold enough slots; ``book`` decides what an error means.

    Jobs with one ``turnstile`` between them let work that was interrupted often run alone among them.
    """

    stage: Stage
    claim: Callable[[Collection[str]], C | None]
    work: Callable[[C], None]
    book: Callable[[C, Exception], object]
    release: Release[C]
    turnstile: Turnstile | None = None


class Crew(Generic[C]):
    """The slots of one kind of work, ``size`` threads."""

    def __init__(self, job: Job[C], size: int, stopping: threading.Event) -> None:
        self.job = job
        self.bell = Bell()
        self._size = size
        self._stopping = stopping
        self._held: dict[int, C] = {}
        #: Whether a claim failed in such a way that the database may have made it nevertheless.
        self.may_hold_more = False
        self._guard = threading.Lock()
        names = [f"dashscribe-{job.stage}-{number}" for number in range(size)]
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def join_until(self, end_s: float) -> None:
        """Wait for the slots to end, at most until this instant of the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))

    @contextmanager
    def paused(self) -> Generator[list[int]]:
        """Nothing is claimed meanwhile: the ids of all rows that the slots know of."""
        with self._guard:
            yield [row.id for row in self._held.values()]

    def hand_back(self) -> bool:
        """Give back what slots still hold: whatever they write from now on comes too late.

        False where the database is away, for which a stop does not wait once for every row.
        """
        with self._guard:
            held = list(self._held.values())
        for row in held:
            try:
                self.job.release(row)
            except SQLAlchemyError as error:
                logger.warning(
                    "%s: claims were not handed back, the next start will free them: %s", self.job.stage, error
                )
                return False
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self.job.turnstile.shared() if self.job.turnstile else nullcontext():
                found = self._work_once()
            if not found:
                self.bell.wait()

    def _work_once(self) -> bool:
        row = self._patiently(self._claim)
        if row is None:
            return False
        self.bell.ring()  # there may be more
        try:
            self._work(row)
        except Exception as error:  # one of the two doors where every error ends
            self._book(row, error)
        finally:
            with self._guard:
                del self._held[threading.get_ident()]
        return True

    def _claim(self) -> C | None:
        """Claim a row for this thread. One slot at a time, so that all know who holds what."""
        with self._guard:
            counts = Counter(row.owner for row in self._held.values())
            # An owner who holds all slots but one gets no more: the last one is for somebody else.
            busy_owners = [owner for owner, count in counts.items() if 0 < self._size - 1 <= count]
            try:
                row = self.job.claim(busy_owners)
            except BaseException:
                self.may_hold_more = True  # the connection may have broken while the commit was on its way
                raise
            if row is not None:
                self._held[threading.get_ident()] = row
            return row

    def _work(self, row: C) -> None:
        if row.interrupted >= GIVE_UP_AT:
            raise RecognitionError(f"The server ended {row.interrupted} times while it worked on this.")
        if self.job.turnstile and row.interrupted >= ALONE_FROM and not self.job.turnstile.alone():
            raise PutBack
        self.job.work(row)

    def _book(self, row: C, error: Exception) -> None:
        if isinstance(error, PutBack):
            after_ms = error.after_ms
            self._patiently(lambda: self.job.release(row, after_ms))
        else:
            self._patiently(lambda: self.job.book(row, error))

    def _patiently(self, act: Callable[[], T]) -> T | None:
        """Do something with the database, again and again while there is trouble with it; None when stopped."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return act()
            except Exception:  # the other door: a slot must outlive whatever the database or a row does to it
                logger.warning("%s: trouble with the database, trying again", self.job.stage, exc_info=True)
            if self._stopping.wait(pause_s):
                return None
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
