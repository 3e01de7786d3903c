"""Tasks that take longer than is allowed: failed by clocks that can be trusted only, batch by batch."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from durable import Home, run, shorten_waits, speech
from sqlalchemy import func, insert, select, update

from dashscribe import files
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.steps import expire
from dashscribe.tasks import ANSWERS_MS, Status, Task
from sizes import size

A = "http://x/a"
LIMIT_S = 600.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {A: speech(2)}, task_timeout_s=LIMIT_S)


class Clocks:
    """The clocks of one machine, and the rounds that go by them."""

    def __init__(self, home: Home, monkeypatch: pytest.MonkeyPatch, off_s: float = 0.0) -> None:
        self.off_s, self.passed_s, begun_s = off_s, 0.0, time.time()
        monkeypatch.setattr(expire, "now_ms", lambda: now_ms() + round(1000 * self.off_s))
        self.rounds = expire.Rounds(home.bench, lambda: begun_s + self.off_s + self.passed_s, lambda: self.passed_s)

    def sweep(self, after_s: float = 1.0) -> None:
        self.passed_s += after_s
        self.rounds.tidy()


def submitted(home: Home, ago_s: float) -> Task:
    """A task that was submitted so long ago, as the clock of its server had it."""
    task = home.submit(A)
    row = update(tables.tasks).where(tables.tasks.c.id == task.id)
    with writing(home.engine) as connection:
        connection.execute(row.values(submitted_ms=now_ms() - round(ago_s * 1000)))
    return task


def status(home: Home, task: Task) -> Status:
    found = home.book.get(task.owner, task.id)
    assert found is not None
    return found.status


def test_task_that_is_late_is_failed_by_the_next_sweep(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    late, other = submitted(home, LIMIT_S + 10), submitted(home, LIMIT_S - 60)
    Clocks(home, monkeypatch).sweep()
    assert (status(home, late), status(home, other)) == (Status.FAILED, Status.PENDING)


@pytest.mark.parametrize("jump_s", [4 * 3600.0, 56 * 365 * 24 * 3600.0])
def test_clock_that_jumps_fails_no_task_before_the_whole_time_has_passed_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """As where a machine boots in 1970: what was submitted then looks late from the moment on that its clock is set."""
    task = submitted(home, jump_s + 1)
    clocks = Clocks(home, monkeypatch, off_s=-jump_s)
    monkeypatch.setattr(expire, "clock_ms", lambda connection: now_ms() + round(1000 * clocks.off_s))  # as on SQLite
    clocks.sweep()
    clocks.off_s = 0.0
    for after_s in (1.0, 1.0, 60.0, LIMIT_S - 65.0):
        clocks.sweep(after_s)
        assert status(home, task) is Status.PENDING
    clocks.sweep(10.0)
    assert status(home, task) is Status.FAILED


def test_worker_whose_clock_is_ahead_fails_no_task(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    task = submitted(home, 60)
    clocks = Clocks(home, monkeypatch, off_s=4 * 3600.0)
    for after_s in (1.0, 60.0, LIMIT_S, 60.0):
        clocks.sweep(after_s)
        assert status(home, task) is Status.PENDING


def test_database_whose_clock_is_set_right_fails_no_task_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside it a server with the same clock, whose tasks are as far off."""
    task = submitted(home, 4 * 3600.0)
    clocks = Clocks(home, monkeypatch)
    with monkeypatch.context() as wrong:
        wrong.setattr(expire, "clock_ms", lambda connection: now_ms() - 4 * 3600 * 1000)
        clocks.sweep()
    for after_s in (1.0, 60.0):
        clocks.sweep(after_s)
        assert status(home, task) is Status.PENDING
    clocks.sweep(LIMIT_S)
    assert status(home, task) is Status.FAILED


# --- batches ----------------------------------------------------------------------------------------------------------


def test_late_tasks_are_failed_batch_by_batch(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire, "BATCH", 2)
    batches: list[int] = []
    time_out = files.time_out

    def watched(*arguments: object) -> list[str]:
        ended = time_out(*arguments)  # type: ignore[arg-type]
        batches.append(len(ended))
        return ended

    monkeypatch.setattr(files, "time_out", watched)
    tasks = [submitted(home, LIMIT_S + 10) for _ in range(5)]
    Clocks(home, monkeypatch).sweep()
    assert [status(home, task) for task in tasks] == [Status.FAILED] * 5
    assert batches == [2, 2, 1, 0]


@pytest.mark.slow
def test_so_many_are_late_that_no_database_takes_them_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL: 35,792 unfetched files are more sound than fits, 65,536 are more parameters."""
    count = size(660, 1000)
    monkeypatch.setattr(home.store, "delete_prefix", lambda prefix: None)  # there is nothing, which takes its time
    home.submit(*[A] * 100, owner="bob")
    home.submit(*[A] * 100, owner="ann")
    with writing(home.engine) as connection:
        late, rows = tables.tasks.c.id.startswith("late-"), tables.files
        task = dict(connection.execute(select(tables.tasks).where(tables.tasks.c.owner == "ann")).mappings().one())
        submitted_ms = task["submitted_ms"] - round(LIMIT_S * 1000) - 10_000
        copies = [{**task, "id": f"late-{number}", "submitted_ms": submitted_ms} for number in range(count)]
        connection.execute(insert(tables.tasks), copies)
        same = [column for column in rows.c if column.name not in ("id", "task_id")]
        every = select(tables.tasks.c.id, *same).join_from(tables.tasks, rows, rows.c.task_id == task["id"]).where(late)
        connection.execute(insert(rows).from_select(["task_id", *(column.name for column in same)], every))
        ann = update(tables.owners).where(tables.owners.c.name == "ann")
        connection.execute(ann.values(tag_ms=tables.owners.c.tag_ms + count * 100 * 60_000))
    Clocks(home, monkeypatch).sweep()
    states = select(tables.files.c.owner, tables.files.c.state, func.count()).group_by(
        tables.files.c.owner, tables.files.c.state
    )
    apart = select(func.max(tables.owners.c.tag_ms) - func.min(tables.owners.c.tag_ms))
    with reading(home.engine) as connection:
        found = {(owner, state): files for owner, state, files in connection.execute(states)}
        tag_ms = connection.execute(apart).scalar()
    assert found == {
        ("ann", FileState.FAILED): count * 100,
        ("ann", FileState.WAITING): 100,
        ("bob", FileState.WAITING): 100,
    }
    assert tag_ms is not None
    assert tag_ms <= 200 * 60_000  # none of them counts


def fail(*arguments: object) -> list[str]:
    raise ArithmeticError("integer out of range")


@pytest.mark.parametrize("what", ["rows", "blobs"])
def test_time_out_that_fails_keeps_nothing_from_expiring(
    home: Home, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    shorten_waits(monkeypatch)
    old = run(home, A)
    home.worker.stop()
    late = submitted(home, LIMIT_S + 10)
    with writing(home.engine) as connection:
        ended = update(tables.tasks).where(tables.tasks.c.id == old.id)
        connection.execute(ended.values(ended_ms=now_ms() - ANSWERS_MS - 60_000))
    clocks = Clocks(home, monkeypatch)
    with monkeypatch.context() as broken:
        delete_prefix: Callable[[str], None] = home.store.delete_prefix
        if what == "rows":
            broken.setattr(files, "time_out", fail)
        else:
            broken.setattr(
                home.store, "delete_prefix", lambda prefix: (fail if late.id in prefix else delete_prefix)(prefix)
            )
        clocks.sweep(61.0)
    with reading(home.engine) as connection:
        rows = connection.execute(select(tables.tasks.c.id, tables.tasks.c.status)).all()
    assert [row.id for row in rows] == [late.id]
    clocks.sweep()
    assert status(home, late) is Status.FAILED
