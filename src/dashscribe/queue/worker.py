"""The worker of one process: the lock of the home, the slots, and a sweep that forgets nothing.

The tables are the only job list. A ring is a mere wake-up: what it misses (another process's submission, a row whose
time has come) the sweep finds within a second, or within five where many sweep. With SQLite there is one worker per
home, and what an earlier one had claimed is free when the next one begins. With PostgreSQL there are any number: each
says every few seconds that it lives, and frees what those held that have not said so for long.
"""

from __future__ import annotations

import logging
import random
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dashscribe import files, fleet, redos, windows
from dashscribe.config import Settings
from dashscribe.db import apart, is_shared
from dashscribe.db.tables import FileState
from dashscribe.files import ClaimedFile
from dashscribe.fleet import ANYONE, Member, Offers, Presence
from dashscribe.hosts.gather import MOST_WINDOWS
from dashscribe.notify import deliveries
from dashscribe.notify.deliveries import ClaimedDelivery
from dashscribe.queue.lock import HomeLock
from dashscribe.queue.pressure import Pressure
from dashscribe.queue.slots import Crew, Job, PutBack, Stage, Turnstile
from dashscribe.queue.wakeups import Wakeups
from dashscribe.redos import ClaimedRedo
from dashscribe.store import Store
from dashscribe.windows import ClaimedWindow

logger = logging.getLogger(__name__)

#: Downloads at once: they wait for networks. Cuts at once: each keeps a decoder busy that outruns many recognizers.
FETCH_SLOTS, CUT_SLOTS = 8, 3
#: Stages done again at once: listening to a long recording is no reason for another owner's short one to wait.
REDO_SLOTS = 2
SWEEP_S, SHARED_SWEEP_S = 1.0, 5.0
#: How often a worker of a shared database looks whether it holds rows that it knows nothing of, in seconds; soon after
#: a claim that failed anyway. A server that stalls may commit long after its client has given up.
LOST_S = 300.0
#: How many of a shared database's workers look in one sweep for what others left behind, on average.
LOOKERS = 4
#: How long a stop waits for work to end before it is handed back, in seconds.
GRACE_S = 3.0

#: Where the rows of each kind of work lie.
_ROOMS = {
    Stage.FETCH: files,
    Stage.CUT: files,
    Stage.RECOGNIZE: windows,
    Stage.FINISH: files,
    Stage.REDO: redos,
    Stage.DELIVER: deliveries,
}
_STAGE = {FileState.WAITING: Stage.FETCH, FileState.FETCHED: Stage.CUT, FileState.JOINING: Stage.FINISH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the slots do. ``book_*`` decide what an error means for a row.

    ``tidy`` and ``index`` are called as often as the sweep, each in a thread of its own.
    """

    fetch: Callable[[ClaimedFile], None]
    cut: Callable[[ClaimedFile], None]
    recognize: Callable[[ClaimedWindow], None]
    finish: Callable[[ClaimedFile], None]
    redo: Callable[[ClaimedRedo], None]
    deliver: Callable[[ClaimedDelivery], None]
    book_file: Callable[[ClaimedFile, Exception], object]
    book_window: Callable[[ClaimedWindow, Exception], object]
    book_redo: Callable[[ClaimedRedo, Exception], object]
    book_delivery: Callable[[ClaimedDelivery, Exception], object]
    tidy: Callable[[], None]
    index: Callable[[], None]


class Worker:
    """Does the work of one home, from ``start`` to ``stop``."""

    def __init__(self, engine: Engine, store: Store, settings: Settings) -> None:
        self.is_shared = is_shared(engine)
        self.offers = Offers(engine) if self.is_shared else None
        self.pressure = Pressure(engine, store, settings, self.offers)
        self.stopping = threading.Event()
        self.scratch = settings.home / "scratch"
        self.member = ANYONE
        self._engine = engine
        self._settings = settings
        # Windows that wait for a slot of an engine that decodes many pieces at once go along with the one that gets it.
        self._offered = fleet.offered(settings)
        batches = any(info.batch > 1 for info in self._offered.values())
        self._slots = settings.workers * (MOST_WINDOWS if batches else 1)
        self._lock = HomeLock(settings.home, several=self.is_shared)
        self._wakeups: Wakeups | None = None
        # A beat that waited for a connection behind all other work would come when this worker is taken for dead.
        self._heart = apart(engine) if self.is_shared else engine
        self._beating = threading.Thread(target=self._beat, name="dashscribe-beat", daemon=True)
        self._is_over = threading.Event()
        self._freed_s = time.monotonic()
        self._presence = Presence(settings.lease_s)
        self._crews: list[Crew[ClaimedFile] | Crew[ClaimedWindow] | Crew[ClaimedRedo] | Crew[ClaimedDelivery]] = []
        self._tidy: Callable[[], None] = lambda: None
        self._index: Callable[[], None] = lambda: None
        self._sweepers = [
            threading.Thread(target=self._again_and_again, args=(sweep,), name=f"dashscribe-{name}", daemon=True)
            for name, sweep in (
                ("sweep", self._sweep),
                ("tidy", lambda: self._tidy()),
                ("index", lambda: self._index()),
            )
        ]

    def staff(self, steps: Steps) -> None:
        """Say what the slots do."""
        self._tidy, self._index = steps.tidy, steps.index
        engine, turnstile = self._engine, Turnstile()

        def file_crew(
            stage: Stage,
            size: int,
            work: Callable[[ClaimedFile], None],
            claim: Callable[[Collection[str]], ClaimedFile | None],
        ) -> Crew[ClaimedFile]:
            release = partial(files.release, engine)
            job = Job(stage=stage, claim=claim, work=work, book=steps.book_file, release=release)
            return Crew(job, size, self.stopping)

        def window_crew(size: int, *, express_only: bool) -> Crew[ClaimedWindow]:
            job = Job(
                stage=Stage.RECOGNIZE,
                claim=lambda busy_owners: windows.claim(engine, self.member, express_only=express_only),
                work=steps.recognize,
                book=steps.book_window,
                release=partial(windows.release, engine),
                turnstile=turnstile,
            )
            return Crew(job, size, self.stopping)

        self._crews = [
            file_crew(Stage.FETCH, FETCH_SLOTS, steps.fetch, self._claim_fetch),
            file_crew(Stage.CUT, CUT_SLOTS, steps.cut, self._claim_cut),
            file_crew(Stage.CUT, 1, steps.cut, self._claim_express_cut),
            window_crew(self._slots, express_only=False),
            window_crew(1, express_only=True),
            file_crew(Stage.FINISH, 1, steps.finish, self._claim_finish),
            file_crew(Stage.FINISH, 1, steps.finish, self._claim_express_finish),
            self._redo_crew(steps),
            self._deliver_crew(steps),
        ]

    def _redo_crew(self, steps: Steps) -> Crew[ClaimedRedo]:
        job = Job(
            stage=Stage.REDO,
            claim=lambda busy_owners: redos.claim(self._engine, busy_owners, self.member),
            work=steps.redo,
            book=steps.book_redo,
            release=partial(redos.release, self._engine),
        )
        return Crew(job, REDO_SLOTS, self.stopping)

    def _deliver_crew(self, steps: Steps) -> Crew[ClaimedDelivery]:
        job = Job(
            stage=Stage.DELIVER,
            claim=lambda busy: deliveries.claim(self._engine, busy, self.member),
            work=steps.deliver,
            book=steps.book_delivery,
            release=partial(deliveries.release, self._engine),
        )
        return Crew(job, deliveries.SLOTS, self.stopping)

    def start(self) -> None:
        """Take the lock, free what a worker that is gone had claimed, and begin; ConfigError if another one works."""
        self._lock.take()
        if self.is_shared:
            self.scratch /= str(self._lock.number)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self._recover(self._lock.name if self.is_shared else None)
        if self.is_shared:
            self._look_for_models()
            self._show()
            self._wakeups = Wakeups(self._engine, self.member.id, self._hear)
            self._wakeups.start()
            self._beating.start()
        for crew in self._crews:
            crew.start()
        for sweeper in self._sweepers:
            sweeper.start()

    def _recover(self, worker: str | None) -> None:
        """Free what a worker held that is gone; None for whichever."""
        freed = sum(room.recover(self._engine, worker) for room in (files, windows, redos, deliveries))
        if freed:
            logger.info("going on with %d pieces of work that a worker left", freed)

    def _free_lost(self) -> None:
        """Free what is claimed for this worker without a slot that knows of it.

        That is what remains where the connection breaks between a claim's commit and the word of it. The worker lives,
        so that nobody else would ever free it.
        """
        with ExitStack() as stack:
            known: dict[Any, list[int]] = defaultdict(list)
            for crew in self._crews:
                known[_ROOMS[crew.job.stage]] += stack.enter_context(crew.paused())
            if freed := sum(room.recover(self._engine, self.member.id, ids) for room, ids in known.items()):
                logger.warning("%d pieces of work were claimed without word of it, and are free again", freed)
            for crew in self._crews:
                crew.may_hold_more = False
        self._freed_s = time.monotonic()

    def _is_time_for_lost(self) -> bool:
        return self.is_shared and time.monotonic() - self._freed_s > LOST_S

    def _show(self) -> None:
        """Say that this worker lives and what it can run."""
        at_s = time.monotonic()
        fleet.beat(self._heart, self.member, self._offered, self._settings)
        self._presence.seen(at_s)

    def _look_for_models(self) -> None:
        """See what can be run here, which changes as models come and go."""
        self._offered = fleet.offered(self._settings)
        self.member = Member(self._lock.name, tuple(sorted(self._offered)))

    def _beat(self) -> None:
        while not self._is_over.wait(self._settings.lease_s / fleet.BEATS):
            try:
                self._look_for_models()
            except Exception as error:  # a folder that is away for a moment is no reason to lose all that is held
                logger.warning("it cannot be told which models are installed: %s", error)
            try:
                self._show()
            except Exception as error:  # nothing may end the beat; what is missed for long is free for others
                logger.warning("the database was not told that this worker lives: %s", error)

    def stop(self) -> None:
        """End within a few seconds: what does not end by itself is handed back, uncounted, for the next start."""
        self.stopping.set()
        if self._sweepers[0].ident is None:
            return  # it never began
        for crew in self._crews:
            crew.bell.break_off()
        until_s = time.monotonic() + GRACE_S
        for crew in self._crews:
            crew.join_until(until_s)
        is_there = all(crew.hand_back() for crew in self._crews)
        for sweeper in self._sweepers:
            sweeper.join(GRACE_S)
        if self.is_shared:
            self._depart(is_there=is_there)
        self._lock.release()

    def _depart(self, *, is_there: bool) -> None:
        """Tell the others, if the database is there, that this worker has ended, and that there is work to take."""
        self._is_over.set()
        self._beating.join(GRACE_S)
        try:
            if is_there:
                fleet.leave(self._heart, self.member)
        except SQLAlchemyError as error:
            logger.warning("the database was not told that this worker has ended: %s", error)
        self._heart.dispose()
        if self._wakeups:
            for stage in Stage:
                self._wakeups.ring(stage)
            self._wakeups.stop()

    def wake(self) -> None:
        """There is a new task, a stage of an old one to be done again, or an event to be delivered."""
        self.ring(Stage.FETCH)
        self.ring(Stage.REDO)
        self.ring(Stage.DELIVER)

    def ring(self, stage: Stage) -> None:
        """There is work of this kind."""
        self._ring(stage)
        if self._wakeups:
            self._wakeups.ring(stage)

    def _hear(self, word: str) -> None:
        """Another process says that there is work; a newer program may know of kinds that this one does not."""
        if word in set(Stage):
            self._ring(Stage(word))

    def _ring(self, stage: Stage) -> None:
        for crew in self._crews:
            if crew.job.stage is stage:
                crew.bell.ring()

    def _claim_fetch(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        if self.pressure.is_disk_low():
            return None
        brims = self.pressure.fetch_brims()
        return files.claim(self._engine, FileState.WAITING, self.member, busy_owners=busy_owners, brims=brims)

    def _claim_cut(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        if self.pressure.is_disk_low():
            return None
        brim = self.pressure.cut_brim(self.member)
        return files.claim(self._engine, FileState.FETCHED, self.member, busy_owners=busy_owners, before_tag_ms=brim)

    def _claim_express_cut(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        if self.pressure.is_disk_low():
            return None
        return files.claim(self._engine, FileState.FETCHED, self.member, busy_owners=busy_owners, express_only=True)

    def _claim_finish(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        return files.claim(self._engine, FileState.JOINING, self.member, busy_owners=busy_owners)

    def _claim_express_finish(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        return files.claim(self._engine, FileState.JOINING, self.member, busy_owners=busy_owners, express_only=True)

    def _again_and_again(self, sweep: Callable[[], None]) -> None:
        while not self.stopping.wait(SHARED_SWEEP_S if self.is_shared else SWEEP_S):
            try:
                sweep()
            except PutBack:
                continue  # it was told to stop
            except Exception:  # nothing may end the sweep
                logger.warning("trouble with the database, sweeping again soon", exc_info=True)

    def _sweep(self) -> None:
        """Ring for what nobody has rung for. Tidying up is not for this thread: a bucket may take minutes for it."""
        if any(crew.may_hold_more for crew in self._crews) or self._is_time_for_lost():
            self._free_lost()
        if self.offers and random.random() * self.offers.alive() < LOOKERS:  # noqa: S311 (spreads the load)
            self._look_after_others()
        for state in files.due(self._engine):
            self._ring(_STAGE[state])
        if windows.due(self._engine):
            self._ring(Stage.RECOGNIZE)
        if redos.is_due(self._engine):
            self._ring(Stage.REDO)
        if deliveries.is_due(self._engine):
            self._ring(Stage.DELIVER)

    def _look_after_others(self) -> None:
        if not self._presence.may_judge(time.monotonic()):
            return
        self._recover(None)
        orphans = fleet.release_unserved(self._engine)
        if orphans:
            logger.warning("%d files go to other workers: nobody runs the engine any more that they were for", orphans)
        fleet.forget(self._engine)
