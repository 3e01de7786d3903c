"""Where faults happen: one server, or several processes on one PostgreSQL; work for them, and the verdict."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from calm import Calm
from kill_harness import FINAL, Heard, Plan, Server, Site, Sources
from object_store import ObjectStore
from postgres import Cluster
from repetitions import Repetitions

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "gettysburg.flac"
PROGRAM = (str(Path(__file__).with_name("faulty_process.py")),)
#: How everybody deals with the server of the sources.
ORIGIN = {"DASHSCRIBE_FETCH_TIMEOUT_S": "120", "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1,10.231.0.0/16"}
#: The same where sources hang.
IMPATIENT = {"DASHSCRIBE_FETCH_TIMEOUT_S": "8"}
EMBEDDED, SHARED = "SQLite, one process", "PostgreSQL, servers and workers"
BUCKET = "the same with S3"


@dataclass
class Verdict:
    """What came of one kind of fault on one back end; the last four must be 0."""

    case: str
    backend: str
    faults: int = 0
    tasks: int = 0
    files: int = 0
    pieces: int = 0
    lost: int = 0
    different: int = 0
    repeated: int = 0
    unexplained: int = 0
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, different, recognized again although complete, or failed without a reason."""
        return not (self.lost or self.different or self.repeated or self.unexplained)


class Arena:
    """One back end with its processes, and the tasks that were given to it."""

    def __init__(
        self,
        folder: Path,
        backend: str,
        sources: Sources,
        seed: int,
        database_url: str = "",
        bucket: ObjectStore | None = None,
        *,
        calm: Calm,
        **settings: str,
    ) -> None:
        self.folder, self.backend, self.sources, self._calm = folder, backend, sources, calm
        self.random = random.Random(seed)
        self.plan = Plan(sources, self.random)
        self.ids: dict[str, str] = {}
        self.verdict = Verdict("", backend)
        settings = {"DASHSCRIBE_STANDIN_DELAY_MS": "20", **ORIGIN, **settings}
        if backend == EMBEDDED:
            server = Server(folder / "home", program=PROGRAM, settings=settings)
            self.fronts = self.hands = [server]
        else:
            site = Site(folder, database_url, servers=2, workers=2, program=PROGRAM, bucket=bucket, **settings)
            self.fronts, self.hands = site.servers, site.workers
        self._repetitions = Repetitions(self.fronts[0], sources)

    @property
    def processes(self) -> list[Server]:
        """All of them."""
        return list(dict.fromkeys((*self.fronts, *self.hands)))

    @contextmanager
    def open(self) -> Iterator[Arena]:
        """All processes up; whatever runs at the end is killed."""
        began = time.monotonic()
        try:
            for process in self.processes:
                process.start()
            for process in self.processes:
                process.wait_ready()
            yield self
        finally:
            for process in self.processes:
                if process.is_up:
                    process.kill()
            self.verdict.seconds = time.monotonic() - began

    def revive(self, **faults: str) -> None:
        """Start what is down; ``faults`` are variables that the started ones get."""
        for process in self.processes:
            if not process.is_up:
                restart(process, **faults)

    # --- work ---

    def submit(self, count: int, seconds: tuple[float, float], **what: Any) -> str:
        """Draw a task and submit it, to whichever server answers, until it is accepted."""
        key = self.plan.draw(count, seconds, **what)
        self.insist(key)
        return key

    def insist(self, key: str, seconds: float = 240.0) -> None:
        """Submit a task under its key until a server has accepted it."""
        until = time.monotonic() + seconds
        while key not in self.ids:
            for front in self.fronts:
                with suppress(httpx.TransportError, AssertionError):
                    self.ids[key] = front.submit(self.plan.tasks[key], key)
                    return
            self.revive()
            assert time.monotonic() < until, f"no server takes a task: {self.fronts[0].last_words()}"
            time.sleep(0.05)

    def progress(self, seconds: float = 10.0) -> None:
        """Wait until one more window is complete; not for long, as all may be done.

        A piece that was heard is not enough: the others of its window may be cut off again and again.
        """
        seen, until = len(self._completed()), time.monotonic() + seconds
        while len(self._completed()) == seen and time.monotonic() < until:
            time.sleep(0.1)

    def note(self) -> None:
        """Look what is complete; whatever of it is begun from now on counts as repeated."""
        self._repetitions.note(self._urls())

    def _completed(self) -> Mapping[Heard, frozenset[Heard]]:
        return self.fronts[0].complete(self.sources, self._urls())

    def _urls(self) -> dict[tuple[str, int], str]:
        return {
            (task_id, number): url
            for key, task_id in self.ids.items()
            for number, url in enumerate(self.plan.tasks[key])
        }

    # --- the verdict ---

    def judge(self, seconds: float = 240.0) -> Verdict:
        """Let everything end and compare it with what an undisturbed server makes of the same files."""
        self.revive()
        verdict = self.verdict
        results = self._results(seconds)
        self.note()
        for process in self.processes:
            process.kill()
        expected = self._calm.outcomes(self.plan)
        verdict.tasks, verdict.files = len(self.plan.tasks), sum(map(len, self.plan.tasks.values()))
        verdict.pieces = len(self.fronts[0].heard())
        verdict.repeated = len(self._repetitions.found)
        for heard in self._repetitions.found:
            verdict.remarks.append(f"{self.sources.url_of(heard)}: recognized again from {heard[1]} to {heard[2]} ms")
        for key, urls in self.plan.tasks.items():
            if key not in results:
                verdict.lost += 1
                continue
            for url, got, want in zip(urls, results[key], expected[key], strict=True):
                if isinstance(got, tuple) and not all(got):
                    verdict.unexplained += 1
                if got != want and not (isinstance(got, tuple) and isinstance(want, tuple) and got[0] == want[0]):
                    verdict.different += 1
                    verdict.remarks.append(f"{url}: {str(got)[:200]} instead of {str(want)[:200]}")
        return verdict

    def _results(self, seconds: float) -> dict[str, list[Any]]:
        until = time.monotonic() + seconds
        results: dict[str, list[Any]] = {}
        for key, task_id in self.ids.items():
            while key not in results and time.monotonic() < until:
                with suppress(httpx.HTTPError):
                    answer = self.fronts[0].query(task_id)
                    if answer["output"]["task_status"] == "UNKNOWN":
                        self.verdict.remarks.append(f"forgotten: {key}")
                        break
                    if answer["output"]["task_status"] in FINAL:
                        results[key] = self.fronts[0].outcomes(answer)
                        break
                time.sleep(0.1)
        return results


def restart(process: Server, **faults: str) -> None:
    """Start a process; it has these faults and no others."""
    plain = {name: value for name, value in process.settings.items() if name != "FAULT_KILL"}
    process.settings = {**plain, **faults}
    process.start()


@dataclass
class Run:
    """What the cases share: where they may write, the seed, how many kills, the servers."""

    folder: Path
    seed: int
    kills: int
    calm: Calm
    cluster: Cluster | None
    store: ObjectStore | None = None

    @contextmanager
    def arena(self, case: str, backend: str, **settings: str) -> Iterator[Arena]:
        """A fresh arena for a case."""
        name = f"{case}-{backend}".replace(" ", "-").replace(",", "").replace("/", "-")
        folder = self.folder / name
        url = self.cluster.new_database() if backend != EMBEDDED and self.cluster else ""
        bucket = self.store if backend == BUCKET else None
        seed = random.Random(f"{self.seed} {case} {backend}").randrange(10**9)
        with Sources(SAMPLE).open() as sources:
            arena = Arena(folder, backend, sources, seed, url, bucket, calm=self.calm, **settings)
            arena.verdict.case = case
            with arena.open():
                yield arena
