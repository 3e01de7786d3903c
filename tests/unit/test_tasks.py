import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from durable import Home, speech
from sqlalchemy import event, func, insert, select, update

from dashscribe import files
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors import ConflictError
from dashscribe.tasks import ANSWERS_MS, Status, Task
from dashscribe.types import Censor, Hotword, Options, Span

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {f"http://x/{name}": speech(2) for name in "abc"})


def set_task(home: Home, task: Task, **values: object) -> None:
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).where(tables.tasks.c.id == task.id).values(**values))


def test_submitted_task_is_there_with_all_that_was_asked_for(home: Home) -> None:
    options = Options(
        model="fun-asr",
        languages=("zh", "en"),
        channels=(0, 1),
        stretch=Span(1000, 5000),
        censor=Censor(masked=("a",)),
        hotwords=(Hotword("海拉尔", 5),),
        speaker_count=3,
    )
    task = home.submit("http://x/a", "oss://b/ä ö", options=options, notes=("x had no effect",), key_id="7")
    found = home.book.get("default", task.id)
    assert found is not None
    assert (found.options, found.notes, found.key_id, found.status) == (options, task.notes, "7", Status.PENDING)
    assert [(s.index, s.file_url, s.status) for s in found.subtasks] == [
        (0, "http://x/a", Status.PENDING),
        (1, "oss://b/ä ö", Status.PENDING),
    ]
    assert found.submitted_at == task.submitted_at
    assert found.submitted_at.tzinfo is UTC
    assert (found.started_at, found.ended_at) == (None, None)


def test_task_is_committed_when_submit_returns(home: Home) -> None:
    task = home.submit("http://x/a")
    another_process = Home(home.settings.home)
    assert another_process.book.get("default", task.id) is not None


def test_submit_that_fails_leaves_nothing(home: Home) -> None:
    def refuse(connection: object) -> None:
        raise OSError("disk full")

    event.listen(home.engine, "commit", refuse)
    with pytest.raises(OSError, match="disk full"):
        home.submit("http://x/a")
    event.remove(home.engine, "commit", refuse)
    assert home.book.list("default") == (0, [])


def test_submit_of_a_hundred_files_takes_few_statements(home: Home) -> None:
    statements: list[str] = []
    event.listen(home.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: statements.append(statement))
    home.submit(*[f"http://x/{number}" for number in range(100)])
    assert len(statements) <= 6


def test_task_of_another_owner_does_not_exist(home: Home) -> None:
    task = home.submit("http://x/a", owner="alice")
    assert home.book.get("bob", task.id) is None
    assert not home.book.cancel("bob", task.id)
    assert home.book.list("bob") == (0, [])
    assert home.book.get("alice", "no such id") is None


# --- Idempotency-Key --------------------------------------------------------------------------------------------------


def test_repeated_key_with_the_same_body_gives_the_same_task(home: Home) -> None:
    first = home.submit("http://x/a", key="k")
    assert home.submit("http://x/a", key="k").id == first.id
    assert home.submit("http://x/a", key="other").id != first.id
    assert home.submit("http://x/a").id != first.id
    assert home.book.list("default")[0] == 3


@pytest.mark.parametrize("change", [{"model": "paraformer-v2"}, {"options": Options(itn=True)}])
def test_repeated_key_with_another_body_conflicts(home: Home, change: dict) -> None:
    home.submit("http://x/a", key="k")
    with pytest.raises(ConflictError, match="'k'"):
        home.submit("http://x/a", key="k", **change)
    with pytest.raises(ConflictError):
        home.submit("http://x/b", key="k")
    assert home.book.list("default")[0] == 1


def test_key_belongs_to_its_owner(home: Home) -> None:
    assert home.submit("http://x/a", key="k", owner="alice").id != home.submit("http://x/a", key="k", owner="bob").id


def test_key_is_forgotten_after_a_day(home: Home) -> None:
    first = home.submit("http://x/a", key="k")
    with writing(home.engine) as connection:
        connection.execute(update(tables.idempotency).values(created_ms=now_ms() - DAY_MS))
    second = home.submit("http://x/b", key="k")
    assert second.id != first.id
    assert home.submit("http://x/b", key="k").id == second.id


def test_key_sent_many_times_at_once_makes_one_task(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: home.submit("http://x/a", key="k").id, range(40)))
    assert len(ids) == 1
    assert home.book.list("default")[0] == 1


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_waiting_task_ends_it(home: Home) -> None:
    task = home.submit("http://x/a", "http://x/b")
    assert home.book.cancel("default", task.id)
    found = home.book.get("default", task.id)
    assert found is not None
    assert found.status is Status.CANCELED
    assert {subtask.status for subtask in found.subtasks} == {Status.CANCELED}
    assert found.ended_at is not None
    assert files.claim(home.engine, FileState.WAITING) is None
    assert not home.book.cancel("default", task.id)


def test_cancel_running_task_is_refused(home: Home) -> None:
    task = home.submit("http://x/a", "http://x/b")
    assert files.claim(home.engine, FileState.WAITING) is not None
    found = home.book.get("default", task.id)
    assert found is not None
    assert found.status is Status.RUNNING
    assert found.started_at is not None
    assert [subtask.status for subtask in found.subtasks] == [Status.RUNNING, Status.PENDING]
    assert not home.book.cancel("default", task.id)
    assert home.book.get("default", task.id) == replace(found)


def test_cancel_and_claim_never_both_win(home: Home) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(50):
            task = home.submit("http://x/a")
            canceled = pool.submit(home.book.cancel, "default", task.id)
            claimed = pool.submit(files.claim, home.engine, FileState.WAITING)
            assert canceled.result() != (claimed.result() is not None)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_list_shows_the_newest_first_page_by_page(home: Home) -> None:
    tasks = [home.submit("http://x/a") for _ in range(5)]
    now = now_ms()
    for age, task in enumerate(tasks):
        set_task(home, task, submitted_ms=now - age * 1000)
    total, page = home.book.list("default", page_no=1, page_size=2)
    assert (total, [task.id for task in page]) == (5, [tasks[0].id, tasks[1].id])
    total, page = home.book.list("default", page_no=3, page_size=2)
    assert (total, [task.id for task in page]) == (5, [tasks[4].id])
    assert home.book.list("default", page_no=4, page_size=2) == (5, [])


def test_list_filters(home: Home) -> None:
    one = home.submit("http://x/a", model="paraformer-v2", key_id="1")
    two = home.submit("http://x/a", key_id="2")
    home.book.cancel("default", two.id)

    def ids(**filters: object) -> list[str]:
        total, page = home.book.list("default", **filters)
        assert total == len(page)
        return [task.id for task in page]

    assert ids(model="paraformer-v2") == [one.id]
    assert ids(status=Status.CANCELED) == [two.id]
    assert ids(key_id="1") == [one.id]
    assert ids(task_id=two.id) == [two.id]
    assert ids(task_id="none") == []
    assert ids(model="paraformer-v2", status=Status.CANCELED) == []
    now = datetime.now(UTC)
    assert ids(start=now + timedelta(minutes=1)) == []
    assert ids(end=now - timedelta(minutes=1)) == []
    assert set(ids(start=one.submitted_at, end=two.submitted_at)) == {one.id, two.id}


def test_list_and_get_stay_quick_with_ten_thousand_tasks(home: Home) -> None:
    task = home.submit("http://x/a")
    with writing(home.engine) as connection:
        row = dict(connection.execute(select(tables.tasks)).mappings().one())
        many = [{**row, "id": f"{n}", "submitted_ms": row["submitted_ms"] - n} for n in range(10_000)]
        connection.execute(insert(tables.tasks), many)
    began = time.monotonic()
    for page_no in (1, 500):
        total, page = home.book.list("default", page_no=page_no, page_size=20)
        assert (total, len(page)) == (10_001, 20)
    for _ in range(10):
        home.book.get("default", task.id)
    home.submit("http://x/a")
    assert time.monotonic() - began < 20  # some 0.05 s on an idle core; a scan per task would take minutes


# --- what becomes of a task -------------------------------------------------------------------------------------------


def test_queue_position_counts_the_tasks_ahead(home: Home) -> None:
    tasks = [home.submit("http://x/a") for _ in range(3)]
    positions = [home.book.get("default", task.id).queue_position for task in tasks]  # type: ignore[union-attr]
    assert positions == [0, 1, 2]
    home.book.cancel("default", tasks[0].id)
    assert home.book.get("default", tasks[2].id).queue_position == 1  # type: ignore[union-attr]
    assert home.book.get("default", tasks[0].id).queue_position is None  # type: ignore[union-attr]


def test_tasks_ahead_are_counted_so_far_only(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.tasks.MOST_AHEAD", 2)
    tasks = [home.submit("http://x/a") for _ in range(5)]
    assert [home.book.get("default", task.id).queue_position for task in tasks] == [0, 1, 2, 2, 2]  # type: ignore[union-attr]


def end_files(home: Home, *codes: str) -> None:
    for code in codes:
        file = files.claim(home.engine, FileState.WAITING)
        assert file is not None
        if code:
            files.failed(home.engine, file, code, f"{code}: a reason")
        else:
            files.succeeded(
                home.engine,
                file,
                result_key="r",
                result=home.store.put("r", b"{}"),
                transcript_key="t",
                heard_key="h",
                duration_ms=2500,
                notes=(),
            )


def test_one_file_that_succeeds_makes_the_task_succeed(home: Home) -> None:
    task = home.submit("http://x/a", "http://x/b", "http://x/c")
    end_files(home, "DECODE_ERROR", "", "NO_VALID_AUDIO_ERROR")
    found = home.wait(task)
    assert (found.status, found.code) == (Status.SUCCEEDED, "")
    assert [s.status for s in found.subtasks] == [Status.FAILED, Status.SUCCEEDED, Status.FAILED]
    assert [(s.code, s.result_key, s.duration_ms) for s in found.subtasks] == [
        ("DECODE_ERROR", None, 0),
        ("", "r", 2500),
        ("NO_VALID_AUDIO_ERROR", None, 0),
    ]
    assert found.ended_at is not None


def test_task_fails_for_the_reason_of_its_first_file(home: Home) -> None:
    task = home.submit("http://x/a", "http://x/b")
    end_files(home, "DECODE_ERROR", "FILE_TOO_LARGE")
    found = home.wait(task)
    assert (found.status, found.code, found.message) == (Status.FAILED, "DECODE_ERROR", "DECODE_ERROR: a reason")


def test_files_that_end_at_once_end_the_task_once(home: Home) -> None:
    """The last two files end in the same moment, 100 times: the task ends each time, and counts every file."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(100):
            task = home.submit("http://x/a", "http://x/b")
            claimed = [files.claim(home.engine, FileState.WAITING) for _ in range(2)]
            assert all(pool.map(lambda file: files.failed(home.engine, file, "X", "x"), claimed))  # type: ignore[arg-type]
            found = home.book.get("default", task.id)
            assert found is not None
            assert found.status is Status.FAILED
    with reading(home.engine) as connection:
        assert connection.execute(select(func.sum(tables.tasks.c.open_files))).scalar() == 0


def test_final_state_never_changes(home: Home) -> None:
    task = home.submit("http://x/a")
    file = files.claim(home.engine, FileState.WAITING)
    assert file is not None
    assert files.failed(home.engine, file, "X", "x")
    ended = home.wait(task)
    assert not files.failed(home.engine, file, "Y", "y")
    assert not files.release(home.engine, file)
    assert not home.book.cancel("default", task.id)
    assert len(files.time_out(home.engine, now_ms() + 1, "InternalError.Timeout", "late")) == 0
    assert home.book.get("default", task.id) == ended


def test_late_task_fails_and_keeps_the_results_it_has(home: Home) -> None:
    task = home.submit("http://x/a", "http://x/b", "http://x/c")
    other = home.submit("http://x/a")
    end_files(home, "")
    late = files.claim(home.engine, FileState.WAITING)
    assert late is not None
    set_task(home, task, submitted_ms=now_ms() - 10_000)
    assert len(files.time_out(home.engine, now_ms() - 5000, "InternalError.Timeout", "too late")) == 2
    found = home.wait(task)
    assert (found.status, found.code) == (Status.FAILED, "InternalError.Timeout")
    assert [s.status for s in found.subtasks] == [Status.SUCCEEDED, Status.FAILED, Status.FAILED]
    assert not files.failed(home.engine, late, "X", "x")
    assert home.book.get("default", other.id).status is Status.PENDING  # type: ignore[union-attr]


def test_task_answers_for_a_day_after_its_end(home: Home) -> None:
    task = home.submit("http://x/a")
    home.book.cancel("default", task.id)
    set_task(home, task, ended_ms=now_ms() - ANSWERS_MS + 60_000, submitted_ms=now_ms() - 3 * ANSWERS_MS)
    assert home.book.get("default", task.id) is not None
    set_task(home, task, ended_ms=now_ms() - ANSWERS_MS)
    assert home.book.get("default", task.id) is None
    assert home.book.list("default") == (0, [])


def test_usage_outlives_the_task(home: Home) -> None:
    home.submit("http://x/a", "http://x/b", "http://x/c")
    end_files(home, "", "DECODE_ERROR", "")
    with writing(home.engine) as connection:
        connection.execute(tables.tasks.delete())
    with reading(home.engine) as connection:
        row = connection.execute(select(tables.usage)).mappings().one()
        assert connection.execute(select(tables.files)).all() == []
    assert row == {
        "day": datetime.now(UTC).date().isoformat(),
        "owner": "default",
        "key_id": "0",
        "model": "fun-asr",
        "files": 2,
        "duration_ms": 5000,
    }
