"""A home with a database and a store, and stand-ins for all that is slow: fetching, decoding, engines.

A made-up source is a list of spans per window; its "sound" is a text that names the window, so that results can be told
apart without decoding anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from dashscribe import files, windows
from dashscribe.choice import choose_engine
from dashscribe.config import Settings
from dashscribe.db import is_shared, open_database, reading
from dashscribe.db.tables import FileState
from dashscribe.fetch import Fetched
from dashscribe.hosts.protocol import CutEnd, Position
from dashscribe.notify import deliveries
from dashscribe.queue import worker
from dashscribe.queue.worker import Worker
from dashscribe.steps import booking, open_worker, prepare, recognize
from dashscribe.steps.bench import Bench, Fetch
from dashscribe.store import open_store
from dashscribe.tasks import Status, Submission, Subtask, Task, TaskBook
from dashscribe.telemetry import Telemetry
from dashscribe.types import Fate, Limits, Media, Options, Outcome, Sentence, Span, Utterance, Voices, Window, Word
from dashscribe.uploads import UploadBook
from laid_database import lay
from object_store import ObjectStore


def source(*windows: list[tuple[int, int]], channels: int = 1, duration_ms: int | None = None) -> dict:
    """A made-up source: the spans of its windows, the same in every channel."""
    ends = [end for spans in windows for _, end in spans]
    return {"windows": windows, "channels": channels, "duration_ms": duration_ms or max(ends, default=1000)}


def speech(windows: int, length_ms: int = 30_000) -> dict:
    """A made-up source of so many windows with one span each."""
    return source(*([(at * length_ms, (at + 1) * length_ms)] for at in range(windows)))


class FakeOrigin:
    """Answers fetches from a dictionary; anything that is no source is raised."""

    def __init__(self, sources: dict[str, dict | Exception]) -> None:
        self.sources = sources
        self.fetched: Counter[str] = Counter()

    def __call__(self, url: str, directory: Path, *, settings: Settings, on_bytes=None) -> Fetched:
        self.fetched[url] += 1
        found = self.sources[url]
        if isinstance(found, Exception):
            raise found
        data = json.dumps(found).encode()
        path = directory / "source"
        path.write_bytes(data)
        if on_bytes:
            on_bytes(len(data), len(data))
        digest = hashlib.sha256(data).hexdigest()
        return Fetched(path=path, size_bytes=len(data), sha256=digest, status=200, final_url=url, content_type="")


class FakeHosts:
    """Cuts and recognizes made-up sources; the hooks may raise or wait."""

    slots = 2

    def __init__(self) -> None:
        self.recognized: Counter[str] = Counter()
        self.express: set[str] = set()
        self.engines: dict[str, str] = {}  # which one was asked for a sound last
        self.is_down: dict[str, str] = {}
        self.on_probe: Callable[[str], None] = lambda url: None
        self.on_cut: Callable[[str, int], None] = lambda url, count: None
        self.on_recognize: Callable[[str], None] = lambda sound: None
        self.listened: Counter[str] = Counter()
        self.version = "ears-1"  # of what tells voices apart
        self.on_listen: Callable[[str], None] = lambda sound: None

    def probe(self, path: Path, url: str) -> Media:
        self.on_probe(url)
        return self._media(path, url)

    def down(self) -> dict[str, str]:
        return dict(self.is_down)

    def punctuator(self) -> None:
        """No punctuation model is installed."""

    def normalizer(self) -> None:
        """Numbers stay as they were said."""

    def cut(
        self,
        path: Path,
        *,
        url: str,
        options: Options,
        limits: Limits,
        express: bool = True,
        on_peaks: Callable[[int, bytes], None] | None = None,
    ) -> Iterator[Media | Position | Window | CutEnd]:
        made_up = json.loads(path.read_bytes())
        media = self._media(path, url)
        yield media
        for number, spans in enumerate(made_up["windows"]):
            for channel in range(made_up["channels"]):
                self.on_cut(url, number)
                yield Window(
                    channel, number, tuple(Span(*span) for span in spans), f"{url} {channel}-{number}".encode()
                )
        for channel in range(made_up["channels"]) if on_peaks else ():
            on_peaks(channel, bytes([channel + 1]) * (media.duration_ms // 50))
        yield CutEnd(media, tuple(range(made_up["channels"])), 0, media.duration_ms, (), ())

    def recognize(
        self,
        engine: str,
        window: Window,
        options: Options,
        *,
        express: bool,
        first: int,
        stop: object,
        on_ready: Callable[[], None] | None,
    ) -> Iterator[Outcome]:
        assert first == 0 and stop is None, "a durable step recognizes whole windows"
        sound = window.audio.decode()
        self.engines[sound] = engine
        self.on_recognize(sound)
        if on_ready:
            on_ready()
        self.recognized[sound] += 1
        if express:
            self.express.add(sound)
        for span in window.spans:
            word = Word(span.begin_ms, span.end_ms, hashlib.sha256(f"{sound} {span}".encode()).hexdigest()[:8])
            sentence = Sentence(begin_ms=span.begin_ms, end_ms=span.end_ms, text=word.text, words=(word,))
            yield Outcome(span, Fate.TRANSCRIBED, (sentence,))

    def voices_version(self) -> str:
        return self.version

    def voices(self, window: Window, *, express: bool, segmented: bool, stop: object) -> Voices:
        """Two speakers in turns, from one span to the next."""
        sound = window.audio.decode()
        self.listened[sound] += 1
        self.on_listen(sound)
        prints = np.eye(2, dtype=np.float32)
        who = [Utterance(s.begin_ms, s.end_ms, prints[s.begin_ms // 1000 % 2].tobytes()) for s in window.spans]
        return Voices(tuple(who), measured=True)

    def close(self) -> None:
        pass

    @staticmethod
    def _media(path: Path, url: str) -> Media:
        made_up = json.loads(path.read_bytes())
        return Media(
            url=url,
            container="made-up",
            codec="none",
            rate_hz=16_000,
            channel_count=made_up["channels"],
            duration_ms=made_up["duration_ms"],
        )


_opened: list[Home] = []


def close_homes() -> None:
    """End what a test has left running: the next one has another database."""
    while _opened:
        home = _opened.pop()
        home.worker.stop()
        home.engine.dispose()


class Home:
    """One installation in a folder, with a worker that a test may start."""

    def __init__(self, folder: Path, sources: dict[str, dict | Exception] | None = None, **settings: object) -> None:
        usual = {"engine": "standin", "workers": 2, "disk_reserve_bytes": 0}
        self.settings = Settings(home=folder, **{**usual, **settings})
        self.engine = open_database(lay(self.settings.resolved_database_url))
        self.store = open_store(self.settings)
        self.book = TaskBook(self.engine)
        self.uploads = UploadBook(self.engine, self.store, self.settings)
        self.hosts = FakeHosts()
        self.telemetry = Telemetry()
        self.origin = FakeOrigin(sources or {})
        self.worker = self.new_worker()
        _opened.append(self)

    def new_worker(self) -> Worker:
        """A worker as after a restart."""
        return self.open_worker(self.origin)

    def open_worker(self, fetch: Fetch) -> Worker:
        """A worker that fetches in this way."""
        return open_worker(self.engine, self.store, self.hosts, self.settings, fetch=fetch, telemetry=self.telemetry)

    @property
    def bench(self) -> Bench:
        """What steps work with that a test calls by itself; its worker does nothing."""
        worker = self.new_worker()
        worker.scratch.mkdir(parents=True, exist_ok=True)
        return Bench(
            engine=self.engine,
            store=self.store,
            uploads=self.uploads,
            hosts=self.hosts,
            settings=self.settings,
            worker=worker,
            fetch=self.origin,
            choose_engine=choose_engine,
            telemetry=self.telemetry,
        )

    def submit(self, *urls: str, owner: str = "default", key: str = "", **members: object) -> Task:
        """Submit these sources."""
        submission = {"model": "fun-asr", "shape": "file_urls", "options": Options(), "key_id": "0", **members}
        return self.book.submit(
            Submission(owner=owner, request_id="r", file_urls=urls, idempotency_key=key, **submission)
        )

    def wait(self, task: Task, seconds: float = 120.0) -> Task:
        """The task once it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now = self.book.get(task.owner, task.id)
            assert now is not None
            if now.status not in (Status.PENDING, Status.RUNNING):
                return now
            time.sleep(0.01)
        raise AssertionError(f"task {task.id} has not ended within {seconds} s: {now}")


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for seconds that a test would only sit out."""
    monkeypatch.setattr(worker, "SWEEP_S", 0.05)
    monkeypatch.setattr(worker, "SHARED_SWEEP_S", 0.05)
    monkeypatch.setattr(booking, "RETRY_MS", 10)
    monkeypatch.setattr(booking, "TROUBLE_MS", 20)
    monkeypatch.setattr(prepare, "LOOK_S", 0.05)
    monkeypatch.setattr(deliveries, "BACKOFF_S", (0.01, 0.03))
    monkeypatch.setattr(deliveries, "DECAY_S", 0.001)


def patient_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop wait for steps that clear up behind a task that has ended: the store is looked at next."""
    monkeypatch.setattr(worker, "GRACE_S", 60.0)


def within(seconds: float, is_so: Callable[[], bool]) -> None:
    """Wait until something is so, or fail."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"not so after {seconds:g} s"
        time.sleep(0.01)


def run(home: Home, *urls: str, **members: object) -> Task:
    """Submit to a worker and wait for the end."""
    home.worker.start()
    task = home.submit(*urls, **members)
    home.worker.wake()
    return home.wait(task)


def only(task: Task) -> Subtask:
    (subtask,) = task.subtasks
    return subtask


def result_of(home: Home, subtask: Subtask) -> bytes:
    assert subtask.result_key is not None, subtask
    return home.store.read(subtask.result_key)


def take(home: Home, ready: FileState) -> files.ClaimedFile:
    file = files.claim(home.engine, ready)
    assert file is not None
    return file


def cut_by_hand(home: Home, url: str, **members: object) -> Task:
    """A task whose file is cut, without a worker."""
    task = home.submit(url, **members)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    prepare.cut(home.bench, take(home, FileState.FETCHED))
    return task


def to_joining(home: Home, url: str) -> tuple[Task, list[windows.ClaimedWindow]]:
    """A file whose windows are all recognized, step by step, without a worker."""
    task = cut_by_hand(home, url)
    claimed: list[windows.ClaimedWindow] = []
    while row := windows.claim(home.engine):
        recognize.recognize(home.bench, row)
        claimed.append(row)
    return task, claimed


def indexed_words(engine: Engine) -> list[str]:
    """All that recordings can be looked up by."""
    with reading(engine) as connection:
        if is_shared(engine):
            return list(connection.execute(text("SELECT unnest(grams) FROM search_grams")).scalars())
        connection.execute(text("CREATE VIRTUAL TABLE temp.words USING fts5vocab('main', 'search_words', 'row')"))
        words = list(connection.execute(text("SELECT term FROM temp.words")).scalars())
        connection.execute(text("DROP TABLE temp.words"))
        return words


def stored(home: Home, tmp_path: Path) -> list[str]:
    """The names of all blobs of tasks."""
    if home.settings.store_url.startswith("s3://"):
        keys = ObjectStore(os.environ["AWS_ENDPOINT_URL"]).keys(home.settings.store_url)
        return sorted(key.rpartition("/")[2] for key in keys if key.startswith("tasks/"))
    return sorted(path.name for path in (tmp_path / "store" / "tasks").rglob("*") if path.is_file())
