import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from durable import Home, patient_stop, run, shorten_waits, speech
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dashscribe import files, windows
from dashscribe.db import reading, tables
from dashscribe.db.tables import FileState, WindowState
from dashscribe.errors import ConfigError
from dashscribe.queue.lock import HomeLock
from dashscribe.queue.slots import Bell, Crew, Job, Stage, Turnstile
from dashscribe.queue.worker import GRACE_S
from dashscribe.tasks import Status

A = "http://x/a"


@dataclass(frozen=True)
class Row:
    """What a slot needs to know of a claim."""

    id: int
    owner: str = "a"
    interrupted: int = 0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: speech(4)})
    yield opened
    opened.worker.stop()


# --- the lock ---------------------------------------------------------------------------------------------------------


@pytest.mark.one_machine
def test_second_worker_of_a_home_is_refused_and_told_who_is_there(home: Home) -> None:
    home.worker.start()
    with pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        home.new_worker().start()


def test_worker_in_another_process_is_refused(home: Home) -> None:
    home.worker.start()
    program = (
        "import sys; from pathlib import Path; from dashscribe.queue.lock import HomeLock\n"
        f"HomeLock(Path({str(home.settings.home)!r})).take()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"process {os.getpid()}" in done.stderr
    assert "--no-worker" in done.stderr


def test_lock_of_a_worker_that_was_killed_is_free(tmp_path: Path) -> None:
    program = (
        "import os; from pathlib import Path; from dashscribe.queue.lock import HomeLock\n"
        f"HomeLock(Path({str(tmp_path)!r})).take(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    lock = HomeLock(tmp_path)
    lock.take()
    assert (tmp_path / "worker.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_worker_that_stopped_leaves_the_home_to_the_next(home: Home) -> None:
    home.worker.start()
    home.worker.stop()
    home.worker = home.new_worker()
    home.worker.start()
    assert home.wait(home.submit(A)).status is Status.SUCCEEDED


@pytest.mark.one_machine
def test_refused_worker_frees_no_claims(home: Home) -> None:
    blocked = threading.Event()
    home.hosts.on_recognize = lambda sound: blocked.wait(20)
    home.worker.start()
    task = home.submit(A)
    home.worker.wake()
    time.sleep(0.5)
    with pytest.raises(ConfigError):
        home.new_worker().start()
    blocked.set()
    home.wait(task)
    assert set(home.hosts.recognized.values()) == {1}


# --- starting and stopping --------------------------------------------------------------------------------------------


def test_task_that_another_process_submitted_is_found_without_a_wake_up(home: Home) -> None:
    home.worker.start()
    time.sleep(0.2)
    assert home.wait(Home(home.settings.home).submit(A)).status is Status.SUCCEEDED


def test_work_is_found_while_what_expired_is_still_being_removed(home: Home) -> None:
    """A store may take minutes to delete thousands of tasks."""
    removing, hold = threading.Event(), threading.Event()

    def tidy() -> None:
        removing.set()
        hold.wait(60)

    home.worker._tidy = tidy
    home.worker.start()
    try:
        assert removing.wait(20)
        assert home.wait(home.submit(A)).status is Status.SUCCEEDED
    finally:
        hold.set()


@pytest.mark.bucket
@pytest.mark.one_machine
def test_leftovers_of_a_killed_worker_are_cleared_away(home: Home, tmp_path: Path) -> None:
    (tmp_path / "scratch" / "tmp123").mkdir(parents=True)
    (tmp_path / "scratch" / "tmp123" / "source").write_bytes(b"half a download")
    home.worker.start()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_stop_hands_back_what_does_not_end_and_counts_no_interruption(home: Home) -> None:
    never, held = threading.Event(), threading.Semaphore(0)
    home.hosts.on_recognize = lambda sound: (held.release(), never.wait(120))
    home.worker.start()
    task = home.submit(A)
    home.worker.wake()
    for _ in range(2):  # both slots
        assert held.acquire(timeout=60)
    began = time.monotonic()
    home.worker.stop()
    assert time.monotonic() - began < 2 * GRACE_S + 30
    with reading(home.engine) as connection:
        rows = connection.execute(select(tables.windows.c.state, tables.windows.c.interrupted)).all()
    assert {tuple(row) for row in rows} == {(WindowState.READY, 0)}
    home.hosts.on_recognize = lambda sound: None
    home.worker = home.new_worker()
    home.worker.start()
    never.set()  # the old slots go on now, too late
    assert home.wait(task).status is Status.SUCCEEDED


def test_stop_does_not_ask_a_database_that_is_away_once_for_every_row() -> None:
    both_hold, stopping, asked = threading.Barrier(3), threading.Event(), []

    def work(row: Row) -> None:
        both_hold.wait(20)
        stopping.wait(20)

    def release(row: Row, after_ms: int = 0) -> None:
        asked.append(row.id)
        raise OperationalError("UPDATE", {}, ConnectionRefusedError("it is away"))

    rows = iter((Row(1), Row(2)))
    job = Job(
        stage=Stage.CUT, claim=lambda busy: next(rows, None), work=work, book=lambda row, error: None, release=release
    )
    crew = Crew(job, 2, stopping)
    crew.start()
    both_hold.wait(20)
    assert not crew.hand_back()
    assert len(asked) == 1
    stopping.set()
    crew.bell.break_off()


def test_stop_of_an_idle_worker_is_quick(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    patient_stop(monkeypatch)
    home.worker.start()
    began = time.monotonic()
    home.worker.stop()
    assert time.monotonic() - began < 30, "it does not sit out its grace"


@pytest.mark.bucket
def test_stop_in_the_middle_of_a_download_and_of_a_cut_hands_them_back(home: Home) -> None:
    home.origin.sources |= {"http://x/long": speech(4)}
    fetch = home.origin.__call__
    downloading, cutting = threading.Event(), threading.Event()

    def slow_fetch(url: str, directory: Path, *, settings: object, on_bytes) -> object:
        while url == "http://x/long":
            downloading.set()
            time.sleep(0.05)
            on_bytes(1, None)
        return fetch(url, directory, settings=settings, on_bytes=on_bytes)

    worker = home.open_worker(slow_fetch)
    home.hosts.on_cut = lambda url, number: (cutting.set(), worker.stopping.wait(60))
    worker.start()
    home.submit("http://x/long", A)
    worker.wake()
    assert downloading.wait(60)
    assert cutting.wait(60)
    worker.stop()
    with reading(home.engine) as connection:
        rows = connection.execute(select(tables.files.c.state, tables.files.c.interrupted, tables.files.c.failures))
        assert {tuple(row) for row in rows} == {(FileState.WAITING, 0, 0), (FileState.FETCHED, 0, 0)}


@pytest.mark.one_machine
def test_interruption_is_counted_for_what_was_claimed_when_the_worker_died(home: Home) -> None:
    home.submit(A)
    assert files.claim(home.engine, FileState.WAITING) is not None  # and nobody works on it
    home.hosts.on_probe = lambda url: time.sleep(30)
    home.worker.start()
    time.sleep(0.5)
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.files.c.interrupted)).scalar_one() == 1


def test_idle_worker_uses_next_to_no_processor_time(home: Home) -> None:
    home.worker.start()
    home.wait(home.submit(A))
    time.sleep(0.5)
    used: list[float] = []
    while len(used) < 5 and min(used, default=1.0) >= 0.2:  # the process has other things to do, now and then
        began = time.process_time()
        time.sleep(2.0)
        used.append(time.process_time() - began)
    assert min(used) < 0.2


def test_slots_never_hold_one_file_twice(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        home.submit(*[f"http://x/{number}" for number in range(40)])
        rows = list(pool.map(lambda _: files.claim(home.engine, FileState.WAITING), range(50)))
    assert sorted(row.number for row in rows if row) == list(range(40))


def test_owner_with_enough_slots_gets_no_more(home: Home) -> None:
    home.submit(*[A] * 3, owner="alice")
    bobs = home.submit(A, owner="bob")
    claimed = files.claim(home.engine, FileState.WAITING, busy_owners=["alice"])
    assert claimed is not None
    assert claimed.task_id == bobs.id
    assert files.claim(home.engine, FileState.WAITING, busy_owners=["alice", "bob"]) is None


@pytest.mark.one_machine
def test_claims_do_not_search_long_queues(home: Home) -> None:
    """A claim looks up an index: with 10,000 files waiting it takes no longer than with ten."""
    for _ in range(100):
        home.submit(*[A] * 100)
    with reading(home.engine) as connection:
        query = "SELECT id FROM files WHERE state = 'waiting' AND due_ms <= 1 ORDER BY tag_ms, id LIMIT 1"
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    assert "USING INDEX ix_files_queue" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
    began = time.monotonic()
    for _ in range(20):
        assert files.claim(home.engine, FileState.WAITING) is not None
        assert windows.claim(home.engine) is None
    assert time.monotonic() - began < 20.0


# --- bells and turnstiles ---------------------------------------------------------------------------------------------


def test_ring_that_nobody_heard_is_kept() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    bell.wait()  # returns at once
    woken = threading.Event()
    sleeper = threading.Thread(target=lambda: (bell.wait(), woken.set()), daemon=True)
    sleeper.start()
    assert not woken.wait(0.1)
    bell.ring()
    assert woken.wait(60)


def test_broken_bell_lets_nobody_sleep() -> None:
    bell = Bell()
    sleepers = [threading.Thread(target=bell.wait, daemon=True) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    bell.break_off()
    for sleeper in sleepers:
        sleeper.join(60)
        assert not sleeper.is_alive()
    bell.wait()
    bell.wait()


def test_who_has_to_be_alone_leaves_and_comes_back_until_it_is() -> None:
    turnstile, guard = Turnstile(), threading.Lock()
    inside: set[int] = set()
    crowded: list[set[int]] = []
    refused = threading.Event()

    def pass_through(number: int) -> None:
        while True:
            with turnstile.shared():
                if number % 5:
                    with guard:
                        inside.add(number)
                    time.sleep(0.002)
                    with guard:
                        inside.discard(number)
                    return
                if turnstile.alone():
                    time.sleep(0.005)
                    crowded.append(set(inside))
                    return
                refused.set()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(pass_through, range(100)))
    assert refused.is_set()
    assert len(crowded) == 20
    assert not any(crowded)


def test_one_by_one_ends_where_nobody_who_has_to_be_alone_comes() -> None:
    turnstile, both = Turnstile(), threading.Barrier(2)
    with turnstile.shared(), ThreadPoolExecutor(1) as pool:

        def ask() -> bool:
            with turnstile.shared():
                return turnstile.alone()

        assert not pool.submit(ask).result()  # and does not come back: another worker has its row
    with turnstile.shared():
        pass

    def together() -> None:
        with turnstile.shared():
            both.wait(30)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(together), pool.submit(together)]:
            done.result()


@pytest.mark.parametrize("room", [files, windows], ids=["files", "windows"])
def test_claim_that_was_committed_without_word_of_it_is_not_lost(
    home: Home, room: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks between the commit and its confirmation: the row is this worker's, who does not know it."""
    shorten_waits(monkeypatch)
    claim, broken = room.claim, threading.Event()

    def claim_and_break(*args: object, **named: object) -> object:
        row = claim(*args, **named)
        if row is not None and not broken.is_set():
            broken.set()
            raise OperationalError("COMMIT", {}, ConnectionResetError("the connection was cut"))
        return row

    monkeypatch.setattr(room, "claim", claim_and_break)
    assert run(home, "http://x/a").status is Status.SUCCEEDED
    assert broken.is_set()
