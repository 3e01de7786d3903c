"""Windows of several callers in one call of a child: faster together, and nobody pays for another's window."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fault_engines
import numpy as np
import pytest

from dashscribe.config import Settings
from dashscribe.decode import encode_flac
from dashscribe.engines import ENGINES
from dashscribe.errors import HostDiedError, HostError
from dashscribe.hosts import Hosts
from dashscribe.hosts.gather import MOST_WINDOWS
from dashscribe.types import Options, Outcome, Span, Window

SPANS = 3
POISON = 77


@pytest.fixture(autouse=True)
def batching(monkeypatch: pytest.MonkeyPatch) -> None:
    info = fault_engines.engine_infos()["fault"]
    monkeypatch.setitem(ENGINES, "fault", replace(info, batch=8))


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts(Settings(), slots=1, express_slots=1) as hosts:
        yield hosts


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as threads:
        yield threads


def window(first_sample: int) -> Window:
    """Three spans; the first samples of the spans count up from a number that tells whose window it is."""
    spans = tuple(Span(at * 1000, at * 1000 + 500) for at in range(SPANS))
    samples = np.repeat(np.arange(first_sample, first_sample + SPANS, dtype=np.int16), 8_000)
    return Window(0, first_sample, spans, encode_flac(samples))


def said(outcomes: list[Outcome]) -> list[int]:
    """The first samples that the engine saw, span by span."""
    return [int(outcome.sentences[0].text.split()[2]) for outcome in outcomes]


class Desk:
    """One slot that is held by a first window while others wait for it."""

    def __init__(self, hosts: Hosts, callers: ThreadPoolExecutor, folder: Path) -> None:
        self.hosts, self.callers, self.folder = hosts, callers, folder
        self.options = Options(context=f"tally {folder} {POISON}")
        self.hold = folder / "hold"
        self.hold.touch()
        self.first = self.call(10)
        while not (folder / "calls").exists():
            time.sleep(0.02)

    def call(self, first_sample: int, **how: object) -> Future[list[Outcome]]:
        asked = {"options": self.options} | how
        return self.callers.submit(lambda: list(self.hosts.recognize("fault", window(first_sample), **asked)))  # type: ignore[arg-type]

    def waiting(self, count: int) -> None:
        """Until so many windows wait for the slot."""
        waiting = self.hosts._gatherer._waiting
        while sum(map(len, waiting.values())) < count:
            time.sleep(0.02)

    def calls(self) -> list[int]:
        """How many pieces each call of the engine had."""
        return [int(line) for line in (self.folder / "calls").read_text().split()]


@pytest.fixture
def desk(hosts: Hosts, callers: ThreadPoolExecutor, tmp_path: Path) -> Desk:
    return Desk(hosts, callers, tmp_path)


def test_windows_that_wait_go_together_and_everybody_gets_his_own(desk: Desk) -> None:
    others = [desk.call(100 * number) for number in range(1, MOST_WINDOWS + 1)]
    desk.waiting(len(others))
    desk.hold.unlink()
    assert said(desk.first.result(120)) == [10, 11, 12]
    for number, other in enumerate(others, start=1):
        assert said(other.result(120)) == [100 * number, 100 * number + 1, 100 * number + 2]
    assert desk.calls() == [SPANS, 8, SPANS * MOST_WINDOWS - 8]


def test_no_call_takes_more_than_its_share(desk: Desk) -> None:
    others = [desk.call(100 * number) for number in range(1, MOST_WINDOWS + 3)]
    desk.waiting(len(others))
    desk.hold.unlink()
    assert sorted(said(other.result(120))[0] for other in others) == [100 * n for n in range(1, MOST_WINDOWS + 3)]
    assert desk.calls() == [SPANS, 8, SPANS * MOST_WINDOWS - 8, 2 * SPANS]


def test_requests_that_differ_are_not_mixed(desk: Desk) -> None:
    english = desk.call(100, options=replace(desk.options, languages=("en",)))
    chinese = desk.call(200, options=replace(desk.options, languages=("zh",)))
    desk.waiting(2)
    desk.hold.unlink()
    assert said(english.result(120)) == [100, 101, 102]
    assert said(chinese.result(120)) == [200, 201, 202]
    assert desk.calls() == [SPANS, SPANS, SPANS]


def test_a_window_that_kills_the_child_takes_nobody_along(desk: Desk) -> None:
    good, poisoned, other = desk.call(100), desk.call(POISON), desk.call(200)
    desk.waiting(3)
    desk.hold.unlink()
    assert said(good.result(120)) == [100, 101, 102]
    assert said(other.result(120)) == [200, 201, 202]
    with pytest.raises(HostDiedError, match="SIGKILL"):
        poisoned.result(120)
    assert said(desk.call(300).result(120)) == [300, 301, 302]


def test_who_leaves_ends_nobody_elses_work(desk: Desk) -> None:
    stop = threading.Event()
    leaving, staying = desk.call(100, stop=stop), desk.call(200)
    desk.waiting(2)
    stop.set()
    with pytest.raises(HostError, match="nobody waits"):
        leaving.result(120)
    desk.hold.unlink()
    assert said(staying.result(120)) == [200, 201, 202]


def test_express_calls_neither_wait_for_company_nor_get_any(desk: Desk) -> None:
    others = [desk.call(100), desk.call(200)]
    desk.waiting(2)
    desk.hold.unlink()  # one file for both children
    assert said(desk.call(300, express=True).result(120)) == [300, 301, 302]
    assert [said(other.result(120))[0] for other in others] == [100, 200]
    assert desk.calls().count(1) == SPANS


def test_who_looks_again_before_it_begins_goes_alone_and_may_leave_it(desk: Desk) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(len(desk.calls()))

    def leave() -> None:
        raise LookupError("somebody has done it")

    looking, leaving, other = desk.call(100, on_ready=look), desk.call(200, on_ready=leave), desk.call(300)
    desk.waiting(1)
    assert seen == []  # not before there is a slot
    desk.hold.unlink()
    assert said(looking.result(120)) == [100, 101, 102]
    assert said(other.result(120)) == [300, 301, 302]
    with pytest.raises(LookupError, match="somebody"):
        leaving.result(120)
    assert len(seen) == 1
    assert desk.calls() == [SPANS, SPANS, SPANS]
    assert [state for *_, state in desk.hosts.activity().children.elements()] == ["idle"]  # one child did it all


def test_closing_wakes_up_those_who_wait(desk: Desk) -> None:
    other = desk.call(100)
    desk.waiting(1)
    desk.hosts.close()
    with pytest.raises(HostError):
        other.result(120)
    desk.hold.unlink()
