"""A short clip keeps its latency, owners share, and preparing does not run away from recognition."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from durable import Home, shorten_waits, source, speech, stored, take, within

from dashscribe import files, order
from dashscribe.config import Settings
from dashscribe.db.tables import FileState
from dashscribe.fetch import OnBytes
from dashscribe.queue import pressure
from dashscribe.queue.slots import PutBack
from dashscribe.steps import prepare
from dashscribe.tasks import Status
from dashscribe.types import Media

A, B, C = "http://x/a", "http://x/b", "http://x/c"
LONG = Media(url=A, container="wav", codec="pcm", rate_hz=16_000, channel_count=1, duration_ms=90_000)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: speech(4), B: speech(1, 5000), C: source([(0, 4000), (5000, 9000)], channels=2)})
    yield opened
    opened.worker.stop()


def test_short_clip_takes_the_express_slot_while_a_long_file_runs(home: Home) -> None:
    home.origin.sources[A] = speech(40)
    blocked = threading.Event()
    home.hosts.on_recognize = lambda sound: blocked.wait(180) if sound.startswith(A) else None
    home.worker.start()
    long = home.submit(A)
    home.worker.wake()
    time.sleep(0.3)
    short = home.submit(B)
    home.worker.wake()
    assert home.wait(short, 60).status is Status.SUCCEEDED
    assert home.hosts.express == {f"{B} 0-0"}
    assert home.book.get("default", long.id).status is Status.RUNNING  # type: ignore[union-attr]
    blocked.set()
    assert home.wait(long).status is Status.SUCCEEDED


@pytest.mark.one_machine
def test_preparing_pauses_while_enough_sound_waits_but_not_for_others(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(100), B: speech(1, 5000), C: speech(3)}, waiting_audio_s=120)
    blocked = threading.Event()
    cut: list[tuple[str, int]] = []
    home.hosts.on_cut = lambda url, number: cut.append((url, number))
    home.hosts.on_recognize = lambda sound: blocked.wait(180) if sound.startswith(A) else None
    home.worker.start()
    try:
        long = home.submit(A, owner="alice")
        home.worker.wake()
        within(60, lambda: len(cut) >= 8)  # 120 s in windows of 30 s, the one beyond, one in the hand, two in the slots
        time.sleep(0.3)
        assert len(cut) == 8
        others = [home.submit(C, owner="bob"), home.submit(B, owner="alice")]
        home.worker.wake()
        assert home.wait(others[1], 60).status is Status.SUCCEEDED  # a short clip, in the express slot
        within(60, lambda: (C, 0) in cut)  # bob's file is not held up by what waits behind it
        blocked.set()
        assert home.wait(others[0]).status is Status.SUCCEEDED
        assert home.wait(long).status is Status.SUCCEEDED
    finally:
        blocked.set()
        home.worker.stop()


def test_preparing_waits_for_space_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, {A: speech(2)}, disk_reserve_bytes=1000)
    free = [999]
    monkeypatch.setattr(home.store, "free_bytes", lambda: free[0])
    home.worker.start()
    try:
        task = home.submit(A)
        home.worker.wake()
        time.sleep(0.5)
        assert home.book.get("default", task.id).status is Status.PENDING  # type: ignore[union-attr]
        free[0] = 10**9
        assert home.wait(task).status is Status.SUCCEEDED
    finally:
        home.worker.stop()


def test_download_is_called_off_when_the_disk_becomes_full_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, {A: speech(2)}, disk_reserve_bytes=1000)
    free = [10_000]
    monkeypatch.setattr(home.store, "free_bytes", lambda: free[0])
    home.submit(A)
    file = take(home, FileState.WAITING)

    def big(url: str, directory: Path, *, settings: Settings, on_bytes: OnBytes) -> None:
        on_bytes(0, 9500)
        pytest.fail("goes on though no room is left for the rest")

    with pytest.raises(PutBack) as called_off:
        prepare.fetch(replace(home.bench, fetch=big), file)
    assert called_off.value.after_ms > 0
    assert list((tmp_path / "scratch").iterdir()) == []


def test_only_so_many_files_are_fetched_ahead(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "FETCHED_AHEAD", 5)
    monkeypatch.setattr(pressure, "COUNT_S", 0.0)  # where many workers may count, they do so now and then only
    urls = [f"http://x/{number}" for number in range(40)]
    home.origin.sources |= {url: speech(4) for url in urls}
    blocked = threading.Event()
    home.hosts.on_cut = lambda url, number: blocked.wait(180)
    home.worker.start()
    many = home.submit(*urls, owner="alice")
    home.worker.wake()
    within(60, lambda: sum(home.origin.fetched.values()) > 5)
    time.sleep(0.5)
    fetched = sum(home.origin.fetched.values())
    assert 5 < fetched <= 5 + 2 + 7  # those ahead, those in two cut slots, one too many for each of alice's downloads
    home.submit(A, owner="bob")
    home.worker.wake()
    within(60, lambda: home.origin.fetched[A] == 1)  # bob's file is before most of them
    blocked.set()
    assert home.wait(many).status is Status.SUCCEEDED


def test_files_for_a_slow_engine_leave_room_for_those_of_another(home: Home) -> None:
    home.submit(A, B, C, model="fun-asr")
    for _ in range(2):
        file = take(home, FileState.WAITING)
        assert files.fetched(home.engine, file, LONG, "slow", "1")
    home.submit(C, model="paraformer-v2")
    assert files.brims(home.engine, 3) == {}
    brims = files.brims(home.engine, 2)
    assert list(brims) == ["fun-asr"]
    found = files.claim(home.engine, FileState.WAITING, brims=brims)
    assert found is not None
    assert found.model == "paraformer-v2"  # though the third file of the other model is before it
    assert files.claim(home.engine, FileState.WAITING, brims=brims) is None
    assert take(home, FileState.WAITING).model == "fun-asr"


def test_express_claim_below_a_brim_looks_at_express_files_only(home: Home) -> None:
    home.submit(B)
    assert files.fetched(home.engine, take(home, FileState.WAITING), replace(LONG, duration_ms=6000), "e", "1")
    home.submit(A, model="paraformer-v2")  # as long as it waits nobody knows its length
    brims = {"fun-asr": 0}
    assert files.claim(home.engine, FileState.WAITING, express_only=True, brims=brims) is None
    assert files.claim(home.engine, FileState.WAITING, brims=brims) is not None


def test_copies_that_no_row_knows_of_are_removed(home: Home, tmp_path: Path) -> None:
    home.submit(A)
    first = take(home, FileState.WAITING)
    home.store.put(f"{first.prefix}/source-1", b"put, but the server died before it could say so")
    files.release(home.engine, first)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    assert stored(home, tmp_path) == ["source-2"]


def test_owners_share_the_slots(tmp_path: Path) -> None:
    urls = [f"http://x/{number}" for number in range(60)]
    home = Home(tmp_path, {url: speech(4) for url in urls}, workers=1)
    served, is_cut = list[str](), threading.Event()

    def on_recognize(sound: str) -> None:
        if len(served) == 4:
            assert is_cut.wait(60)
        served.append(sound)

    home.hosts.on_recognize = on_recognize
    home.hosts.on_cut = lambda url, number: is_cut.set() if (url, number) == (urls[59], 3) else None
    home.worker.start()
    try:
        home.submit(*urls[:59], owner="alice")
        home.worker.wake()
        time.sleep(0.3)
        one = home.wait(home.submit(urls[59], owner="bob"))
        assert one.status is Status.SUCCEEDED
        his = [sound.startswith(f"{urls[59]} ") for sound in list(served)]
        last = max(at for at, is_his in enumerate(his) if is_his)
        assert sum(not is_his for is_his in his[:last]) < 30 * 4
    finally:
        home.worker.stop()


@pytest.mark.parametrize("weights", [(1, 3), (1, 1)])
def test_recognized_seconds_follow_the_weights_whatever_the_files_are(tmp_path: Path, weights: tuple[int, int]) -> None:
    many, few = [f"http://x/{number}" for number in range(40)], ["http://x/long"]
    home = Home(tmp_path, {url: speech(1, 60_000) for url in many} | {few[0]: speech(40, 20_000)}, workers=1)
    served = list[str]()
    for name, weight in zip(("alice", "bob"), weights, strict=True):
        order.set_weight(home.engine, name, weight)
    together = threading.Event()
    cut = list[str]()
    home.hosts.on_cut = lambda url, number: cut.append(url)
    home.hosts.on_recognize = lambda sound: (together.wait(120), served.append(sound))
    home.worker.start()
    try:
        tasks = [home.submit(*many, owner="alice"), home.submit(*few, owner="bob")]
        home.worker.wake()
        within(180, lambda: len(cut) == 80)  # all windows of both wait
        together.set()
        for task in tasks:
            assert home.wait(task, 300).status is Status.SUCCEEDED
    finally:
        together.set()
        home.worker.stop()
    ends = [max(at for at, sound in enumerate(served) if ("long" in sound) is bobs) for bobs in (False, True)]
    both = served[: min(ends)]
    alice_s, bob_s = 60 * sum("long" not in sound for sound in both), 20 * sum("long" in sound for sound in both)
    # Slots that took something before both had windows, and one window of each, are the bound.
    assert abs(alice_s / weights[0] - bob_s / weights[1]) <= 60 * 4, (alice_s, bob_s)
