"""The worker inside one process: the lock of the home, the slots, and a sweep that forgets nothing.

The tables are the only job list. A ring is a mere wake-up: what it misses (another process's submission, a row whose
time has come) the sweep finds within a second. One worker per home; other processes open the database as they like.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from dashscribe import files, redos, windows
from dashscribe.config import Settings
from dashscribe.db.tables import FileState
from dashscribe.engines import engines
from dashscribe.errors import ConfigError
from dashscribe.files import ClaimedFile
from dashscribe.hosts.gather import MOST_WINDOWS
from dashscribe.queue.pressure import Pressure
from dashscribe.queue.slots import Crew, Job, Stage, Turnstile
from dashscribe.redos import ClaimedRedo
from dashscribe.store import Store
from dashscribe.windows import ClaimedWindow

logger = logging.getLogger(__name__)

#: Downloads at once: they wait for networks. Cuts at once: each keeps a decoder busy that outruns many recognizers.
FETCH_SLOTS, CUT_SLOTS = 8, 3
#: Stages done again at once: listening to a long recording is no reason for another owner's short one to wait.
REDO_SLOTS = 2
SWEEP_S = 1.0
#: How long a stop waits for work to end before it is handed back, in seconds.
GRACE_S = 3.0

_STAGE = {FileState.WAITING: Stage.FETCH, FileState.FETCHED: Stage.CUT, FileState.JOINING: Stage.FINISH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the slots do. ``book_*`` decide what an error means for a row; ``tidy`` is called with every sweep."""

    fetch: Callable[[ClaimedFile], None]
    cut: Callable[[ClaimedFile], None]
    recognize: Callable[[ClaimedWindow], None]
    finish: Callable[[ClaimedFile], None]
    redo: Callable[[ClaimedRedo], None]
    book_file: Callable[[ClaimedFile, Exception], object]
    book_window: Callable[[ClaimedWindow, Exception], object]
    book_redo: Callable[[ClaimedRedo, Exception], object]
    tidy: Callable[[], None]


class Worker:
    """Does the work of one home, from ``start`` to ``stop``."""

    def __init__(self, engine: Engine, store: Store, settings: Settings) -> None:
        self.pressure = Pressure(engine, store, settings)
        self.stopping = threading.Event()
        self.scratch = settings.home / "scratch"
        self._engine = engine
        self._store = store
        # Windows that wait for a slot of an engine that decodes many pieces at once go along with the one that gets it.
        batches = any(info.batch > 1 for info in engines(settings).values())
        self._slots = settings.workers * (MOST_WINDOWS if batches else 1)
        self._lock = HomeLock(settings.home)
        self._crews: list[Crew[ClaimedFile] | Crew[ClaimedWindow] | Crew[ClaimedRedo]] = []
        self._tidy: Callable[[], None] = lambda: None
        self._sweeper = threading.Thread(target=self._sweep, name="dashscribe-sweep", daemon=True)

    def staff(self, steps: Steps) -> None:
        """Say what the slots do."""
        self._tidy = steps.tidy
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
                claim=lambda busy_owners: windows.claim(engine, express_only=express_only),
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
        ]

    def _redo_crew(self, steps: Steps) -> Crew[ClaimedRedo]:
        job = Job(
            stage=Stage.REDO,
            claim=partial(redos.claim, self._engine),
            work=steps.redo,
            book=steps.book_redo,
            release=partial(redos.release, self._engine),
        )
        return Crew(job, REDO_SLOTS, self.stopping)

    def start(self) -> None:
        """Take the lock, free what a worker that is gone had claimed, and begin; ConfigError if another one works."""
        self._lock.take()
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self._store.clean()
        freed = files.recover(self._engine) + windows.recover(self._engine) + redos.recover(self._engine)
        if freed:
            logger.info("going on with %d pieces of work that a worker left", freed)
        for crew in self._crews:
            crew.start()
        self._sweeper.start()

    def stop(self) -> None:
        """End within a few seconds: what does not end by itself is handed back, uncounted, for the next start."""
        self.stopping.set()
        if self._sweeper.ident is None:
            return  # it never began
        for crew in self._crews:
            crew.bell.break_off()
        until_s = time.monotonic() + GRACE_S
        for crew in self._crews:
            crew.join_until(until_s)
        for crew in self._crews:
            crew.hand_back()
        self._sweeper.join(GRACE_S)
        self._lock.release()

    def wake(self) -> None:
        """There is a new task, or a stage of an old one is to be done again."""
        self.ring(Stage.FETCH)
        self.ring(Stage.REDO)

    def ring(self, stage: Stage) -> None:
        """There is work of this kind."""
        for crew in self._crews:
            if crew.job.stage is stage:
                crew.bell.ring()

    def _claim_fetch(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        if self.pressure.is_disk_low():
            return None
        brim = self.pressure.fetch_brim()
        return files.claim(self._engine, FileState.WAITING, busy_owners=busy_owners, before_tag_ms=brim)

    def _claim_cut(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        if self.pressure.is_disk_low():
            return None
        brim = self.pressure.cut_brim()
        return files.claim(self._engine, FileState.FETCHED, busy_owners=busy_owners, before_tag_ms=brim)

    def _claim_express_cut(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        if self.pressure.is_disk_low():
            return None
        return files.claim(self._engine, FileState.FETCHED, busy_owners=busy_owners, express_only=True)

    def _claim_finish(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        return files.claim(self._engine, FileState.JOINING, busy_owners=busy_owners)

    def _claim_express_finish(self, busy_owners: Collection[str]) -> ClaimedFile | None:
        return files.claim(self._engine, FileState.JOINING, busy_owners=busy_owners, express_only=True)

    def _sweep(self) -> None:
        while not self.stopping.wait(SWEEP_S):
            try:
                for state in files.due(self._engine):
                    self.ring(_STAGE[state])
                if windows.due(self._engine):
                    self.ring(Stage.RECOGNIZE)
                if redos.is_due(self._engine):
                    self.ring(Stage.REDO)
                self._tidy()
            except Exception:  # nothing may end the sweep
                logger.warning("trouble with the database, sweeping again in a second", exc_info=True)


class HomeLock:
    """The worker role of one home, held by one process at a time and given up with its end, however it ends."""

    def __init__(self, home: Path) -> None:
        self._path = home / "worker.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the role. Raises ConfigError naming the process that has it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"home={str(self._path.parent)!r} cannot be written: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise ConfigError(
                f"home={str(self._path.parent)!r} has a worker already, process {holder or 'unknown'}: stop it, start "
                "this server with --no-worker, or give it another home"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the role up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
