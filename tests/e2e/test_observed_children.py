"""Do real child processes tell how they began, worked and ended, and how things stand now?"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fault_engines
import numpy as np
import pytest
from cli_inputs import speechlike

from dashscribe.config import Settings
from dashscribe.engines import ENGINES
from dashscribe.errors import DashscribeError, HostDiedError, HostTimeoutError
from dashscribe.hosts import Bounds, Hosts
from dashscribe.types import Limits, Options, Span, Window

PATIENCE_S = 30.0


class Book:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.started: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.work: list[tuple[str, str, int]] = []

    def child_started(self, role: str, engine: str, seconds: float) -> None:
        assert seconds >= 0
        self.started[role, engine] += 1

    def child_ended(self, role: str, engine: str, reason: str) -> None:
        self.ended[engine or role, reason] += 1

    def worked(self, stage: str, engine: str, audio_ms: int, seconds: float) -> None:
        assert seconds > 0
        self.work.append((stage, engine, audio_ms))


@pytest.fixture(autouse=True)
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, info in fault_engines.engine_infos().items():
        monkeypatch.setitem(ENGINES, name, info)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def hosts(book: Book) -> Iterator[Hosts]:
    with Hosts(Settings(), slots=1, express_slots=1, observer=book) as hosts:
        yield hosts


def ask(hosts: Hosts, command: str = "") -> int:
    """The process that answered; the window holds two spans of half a second."""
    spans = (Span(0, 500), Span(900, 1400))
    window = Window(0, 0, spans, np.ones(16_000, np.int16).tobytes(), packed=False)
    outcomes = list(hosts.recognize("fault", window, Options(context=command)))
    return int(outcomes[0].sentences[0].text.split()[0])


def test_work_is_told_with_its_sound(hosts: Hosts, book: Book, tmp_path: Path) -> None:
    path = speechlike(tmp_path / "two.wav", 3, channels=2)
    list(hosts.cut(path, url="two.wav", options=Options(channels=(0, 1)), limits=Limits()))
    ask(hosts)
    hosts.voices(Window(0, 0, (Span(0, 1000),), np.ones(16_000, np.int16).tobytes(), packed=False))
    assert book.work == [("cut", "", 6000), ("recognize", "fault", 1000), ("listen", "", 1000)]
    assert book.started == {("media", ""): 1, ("asr", "fault"): 1, ("speaker", ""): 1}
    assert hosts.activity().children == {
        ("media", "", "idle"): 1,
        ("asr", "fault", "idle"): 1,
        ("speaker", "", "idle"): 1,
    }


def test_work_that_is_not_finished_is_not_told(hosts: Hosts, book: Book, tmp_path: Path) -> None:
    cut = hosts.cut(speechlike(tmp_path / "a.wav", 120), url="a.wav", options=Options(), limits=Limits())
    next(cut)
    cut.close()
    assert book.work == []
    assert book.ended == {("media", "stopped"): 1}


def test_deaths_are_told_apart_from_silence(book: Book) -> None:
    with Hosts(Settings(), slots=1, observer=book) as hosts:
        with pytest.raises(HostDiedError):
            ask(hosts, "die SIGSEGV")
        hosts._bounds = Bounds(speech_s=1.0, per_speech_s=0.0)
        with pytest.raises(HostTimeoutError):
            ask(hosts, "hang")
        hosts._bounds = Bounds()
        assert book.work == []
        ask(hosts)
    assert book.ended == {("fault", "died"): 1, ("fault", "timed_out"): 1, ("fault", "stopped"): 1}
    assert book.started["asr", "fault"] == 3


def test_a_child_that_dies_while_it_rests_is_counted_and_not_kept(hosts: Hosts, book: Book) -> None:
    pid = ask(hosts)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    ask(hosts)
    assert book.ended == {("fault", "died"): 1}
    assert hosts.activity().children == {("asr", "fault", "idle"): 1}


def test_an_engine_that_does_not_load_is_a_failed_start(hosts: Hosts, book: Book) -> None:
    window = Window(0, 0, (Span(0, 500),), np.ones(8000, np.int16).tobytes(), packed=False)
    with pytest.raises(DashscribeError):
        list(hosts.recognize("fail", window, Options()))
    assert book.ended == {("fail", "failed"): 1}
    assert book.started == {}


def test_idle_and_worn_out_children_are_told_apart(book: Book) -> None:
    with Hosts(Settings(host_idle_s=0.05), slots=1, observer=book) as hosts:
        ask(hosts)
        until = time.monotonic() + PATIENCE_S
        while not book.ended:
            assert time.monotonic() < until
            time.sleep(0.02)
    with Hosts(Settings(), slots=1, bounds=Bounds(age_s=0.0), observer=book) as hosts:
        ask(hosts)
    assert book.ended == {("fault", "idle"): 1, ("fault", "worn_out"): 1}


def test_slots_show_who_works_and_who_waits(hosts: Hosts) -> None:
    free = hosts.activity().places
    assert {kind: (p.busy, p.free, p.waiting) for kind, p in free.items()} == {
        "batch": (0, 1, 0),
        "express": (0, 1, 0),
        "remote": (0, Settings().openai_concurrency - 1, 0),
    }
    window = Window(0, 0, (Span(0, 500), Span(900, 1400)), np.ones(16_000, np.int16).tobytes(), packed=False)
    work = hosts.recognize("fault", window, Options())
    next(work)
    busy = hosts.activity()
    assert (busy.places["batch"].busy, busy.places["batch"].free) == (1, 0)
    assert busy.children == {("asr", "fault", "busy"): 1}
    list(work)
    assert hosts.activity().places == free


def test_codecs_are_those_of_the_recordings_that_are_taken(hosts: Hosts) -> None:
    assert {"aac", "amrnb", "flac", "mp3", "opus", "vorbis", "wmav2"} <= hosts.codecs()
    assert "h264" not in hosts.codecs()
