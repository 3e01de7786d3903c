import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from durable import Home, cut_by_hand, only, patient_stop, result_of, run, shorten_waits, source, speech, stored
from sqlalchemy import select, update

from dashscribe import files, windows
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.steps import expire
from dashscribe.store import Stored
from dashscribe.tasks import ANSWERS_MS, Status

A, B, C = "http://x/a", "http://x/b", "http://x/c"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: speech(4), B: speech(1, 5000), C: source([(0, 4000), (5000, 9000)], channels=2)})
    yield opened
    opened.worker.stop()


def test_expired_task_leaves_nothing(home: Home, tmp_path: Path) -> None:
    task = run(home, A, key="k")
    home.worker.stop()
    expire.expire(home.bench, now_ms() + ANSWERS_MS - 60_000)
    assert home.book.get("default", task.id) is not None
    expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    assert home.book.get("default", task.id) is None
    assert stored(home, tmp_path) == []
    with reading(home.engine) as connection:
        for table in (tables.tasks, tables.files, tables.windows, tables.idempotency):
            assert connection.execute(select(table)).all() == []


def test_expiry_that_was_interrupted_is_made_up_for(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = run(home, A)
    home.worker.stop()

    def crash(prefix: str) -> None:
        raise SystemError("crash")

    with monkeypatch.context() as patched, pytest.raises(SystemError, match="crash"):
        patched.setattr(home.store, "delete_prefix", crash)
        expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    assert home.book.get("default", task.id) is None  # hidden, though its blobs are there still
    assert stored(home, tmp_path)
    expire.expire(home.bench, now_ms())
    assert stored(home, tmp_path) == []


def test_what_cannot_be_removed_is_kept_in_mind_and_holds_up_nothing_else(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = home.submit(A)
    other = run(home, B)
    home.wait(stuck)
    home.worker.stop()
    remove = home.store.delete_prefix

    def fail(prefix: str) -> None:
        if stuck.id in prefix:
            raise OSError(5, "Input/output error")
        remove(prefix)

    with monkeypatch.context() as patched:
        patched.setattr(home.store, "delete_prefix", fail)
        expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    assert home.book.get("default", stuck.id) is home.book.get("default", other.id) is None
    assert stored(home, tmp_path)
    with reading(home.engine) as connection:  # it is not forgotten
        assert connection.execute(select(tables.tasks.c.id)).scalars().all() == [stuck.id]
    expire.expire(home.bench, now_ms())
    assert stored(home, tmp_path) == []


def test_task_that_has_not_ended_never_expires(home: Home) -> None:
    task = home.submit(A)
    expire.expire(home.bench, now_ms() + 1000 * ANSWERS_MS)
    assert home.book.get("default", task.id) is not None


def test_source_goes_after_the_retention_and_the_result_stays_for_a_day(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(2)}, retention=1.0)
    task = run(home, A)
    home.worker.stop()
    expire.expire(home.bench, now_ms() + 3600 * 1000 - 60_000)
    assert len(stored(home, tmp_path)) == 5
    expire.expire(home.bench, now_ms() + 3600 * 1000 + 1)
    assert stored(home, tmp_path) == ["result-c3.json"]
    assert result_of(home, only(home.wait(task)))


def test_everything_stays_for_a_retention_of_more_than_a_day(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(2)}, retention=48.0)
    run(home, A)
    home.worker.stop()
    expire.expire(home.bench, now_ms() + 47 * 3600 * 1000)
    assert len(stored(home, tmp_path)) == 5
    expire.expire(home.bench, now_ms() + 49 * 3600 * 1000)
    assert stored(home, tmp_path) == []


@pytest.mark.parametrize("jump_s", [48 * 3600.0, -7200.0])
def test_nothing_expires_in_the_round_in_which_the_clock_jumps(home: Home, jump_s: float) -> None:
    task = run(home, A)
    home.worker.stop()
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(ended_ms=now_ms() - ANSWERS_MS // 2))
    wall, monotonic = [time.time()], [1000.0]
    rounds = expire.Rounds(home.bench, lambda: wall[0], lambda: monotonic[0])
    wall[0] += 61 + jump_s
    monotonic[0] += 61
    rounds.tidy()
    assert home.book.get("default", task.id) is not None
    wall[0] += 61 + (0 if jump_s > 0 else -jump_s + ANSWERS_MS / 1000)
    monotonic[0] += 61
    rounds.tidy()
    if jump_s > 0:  # the clock stays where it jumped to: the next round believes it
        assert home.book.get("default", task.id) is None
    else:  # it jumped back, again
        assert home.book.get("default", task.id) is not None


def test_late_task_is_failed_by_the_sweep(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(2)}, task_timeout_s=1.0)
    blocked = threading.Event()
    home.hosts.on_recognize = lambda sound: blocked.wait(20)
    task = run(home, A)
    blocked.set()
    home.worker.stop()
    assert (task.status, task.code) == (Status.FAILED, "InternalError.Timeout")
    assert "DASHSCRIBE_TASK_TIMEOUT_S" in task.message


@pytest.mark.parametrize("keep", [True, False])
def test_windows_of_a_late_task_go_with_its_end(tmp_path: Path, keep: bool) -> None:
    home = Home(tmp_path, {A: speech(4)}, task_timeout_s=1.0)
    task = cut_by_hand(home, A, keep=keep)
    window = windows.claim(home.engine)
    assert window is not None
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(submitted_ms=now_ms() - 2000))
    expire.Rounds(home.bench).tidy()
    assert home.wait(task).status is Status.FAILED
    assert stored(home, tmp_path) == ["peaks.msgpack", "source-1"]


def test_what_a_late_task_still_puts_there_goes_too(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(4)}, task_timeout_s=0.2)
    is_late = threading.Event()
    home.hosts.on_recognize = lambda sound: is_late.wait(20) and None
    task = run(home, A)
    assert task.status is Status.FAILED
    is_late.set()
    home.worker.stop()
    assert not [name for name in stored(home, tmp_path) if "-" in name and not name.startswith("source-")]


def test_result_of_a_task_that_ran_out_of_time_while_it_was_stored_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, {A: speech(2)})
    put = home.store.put

    def late(key: str, data: object) -> Stored:
        if "/transcript-" in key:
            assert files.time_out(home.engine, now_ms() + 1, "InternalError.Timeout", "for this test")
        return put(key, data)

    monkeypatch.setattr(home.store, "put", late)
    assert run(home, A).status is Status.FAILED
    home.worker.stop()
    assert stored(home, tmp_path) == ["peaks.msgpack", "source-1"]


@pytest.mark.parametrize("keep", [True, False])
def test_windows_that_a_kill_has_left_go_with_the_retention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    home = Home(tmp_path, {A: speech(2)}, retention=0.25)

    def crash(prefix: str) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(home.store, "delete_prefix", crash)
        run(home, A, keep=keep)
        home.worker.stop()
    assert "0-0.flac" in stored(home, tmp_path)
    expire.expire(home.bench, now_ms() + 3600 * 1000)
    kept = ["heard-c3.json", "peaks.msgpack", "result-c3.json", "source-1", "transcript-c3.json"]
    assert stored(home, tmp_path) == (kept if keep else ["result-c3.json"])
