"""Stages that are done again for files that have a result: asked for, claimed, done; one at a time for each file.

The file and its task stay as they ended, and the old result answers until the new one takes its place, in one
transaction and only if nobody else has touched it. A row stays after its end, so that callers see how it went.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, Select, Subquery, exists, insert, select, update

from dashscribe import fleet
from dashscribe.db import DatabaseClock, database_now, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, Status
from dashscribe.enrich import StageName
from dashscribe.errors import InvalidParameterError, NotFoundError, NotRetriedError
from dashscribe.files import ClaimedFile, claimed_file, with_task
from dashscribe.fleet import ANYONE, Member
from dashscribe.store import Stored
from dashscribe.tasks import answering, as_json
from dashscribe.types import FailedStage

_redo, _file, _task = tables.redos, tables.files, tables.tasks
#: While a stage waits, or is done again.
ACTIVE = (Status.PENDING, Status.RUNNING)
#: How many waiting ones a claim looks at for one of an owner who holds no slot, so that looking costs the same however
#: many one owner asked for. Behind so many of a busy owner, others wait until some of those are done.
_FRONT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRedo:
    """A stage of a file as a slot claimed it; ``id`` is the file's, ``claim`` entitles the slot to write.

    ``speaker_count`` is the one that was given with the request. The keys are those of the result in place.
    """

    id: int
    owner: str
    stage: StageName
    speaker_count: int | None
    claim: int
    failures: int
    interrupted: int
    file: ClaimedFile
    result_key: str
    transcript_key: str
    heard_key: str


def ask(
    engine: Engine,
    owner: str,
    task_id: str,
    stage: StageName,
    *,
    number: int | None = None,
    speaker_count: int | None = None,
) -> tuple[int, ...]:
    """Have a stage done again for one file of a task, or for all that have a result: their numbers.

    The same again joins what is under way. Raises NotFoundError where the owner has no such task, InvalidParameterError
    for a number that it does not have, and NotRetriedError where there is no result, what was heard is not kept any
    more, or another request is under way; then nothing is queued.
    """
    query = (
        select(_file.c.id, _file.c.number, _file.c.state, _file.c.heard_key, _file.c.code, _redo.c.stage)
        .add_columns(_redo.c.speaker_count, _redo.c.state.label("redo_state"))
        .join(_task, _task.c.id == _file.c.task_id)
        .outerjoin(_redo, _redo.c.file_id == _file.c.id)
        .where(_task.c.id == task_id, _task.c.owner == owner, *answering(kept=True), _file.c.hidden.is_(False))
        .order_by(_file.c.number)
    )
    files = select(_file.c.id).where(_file.c.task_id == task_id).order_by(_file.c.id).with_for_update()
    now = now_ms()
    with writing(engine, urgent=True) as connection:
        # By a statement of their own: one that waits for a lock sees the other tables as they were before.
        connection.execute(files)
        rows = connection.execute(query).mappings().all()
        if not rows:
            raise NotFoundError(f"There is no task {task_id}, any more or of this key.")
        chosen = _chosen(rows, number)
        for row in chosen:
            _check(row, stage, speaker_count)
            if row["redo_state"] not in ACTIVE:
                _queue(connection, row, owner, stage, speaker_count, now)
        # What the end of the stage may leave is looked for once more.
        connection.execute(update(_task).where(_task.c.id == task_id, _task.c.stripped).values(stripped=False))
    return tuple(row["number"] for row in chosen)


def _chosen(rows: Collection[RowMapping], number: int | None) -> list[RowMapping]:
    """The file of that number, or all that have a result."""
    if number is None:
        good = [row for row in rows if row["state"] == FileState.SUCCEEDED]
        if not good:
            raise NotRetriedError("None of its files has a result; without a stage, files that failed are done anew.")
        return good
    found = [row for row in rows if row["number"] == number]
    if not found:
        raise InvalidParameterError(f"file was {number}; the task has files 0 to {len(rows) - 1}.", "file")
    return found


def _check(row: RowMapping, stage: StageName, speaker_count: int | None) -> None:
    what = f"File {row['number']}"
    if row["state"] == FileState.FAILED:
        raise NotRetriedError(f"{what} failed ({row['code']}): retry it without a stage, as a new task.")
    if row["state"] == FileState.CANCELED:
        raise NotRetriedError(f"{what} was canceled: retry without a stage, with all files, does it anew.")
    if row["state"] != FileState.SUCCEEDED:
        raise NotRetriedError(f"{what} has no result yet: wait for the end of its task.")
    if not row["heard_key"]:
        raise NotRetriedError(
            f"{what}: what was heard is not kept any more, or never was. It is for DASHSCRIBE_RETENTION hours; retry "
            "without a stage, with all files, recognizes it anew."
        )
    if row["redo_state"] in ACTIVE and (row["stage"], row["speaker_count"]) != (stage, speaker_count):
        raise NotRetriedError(f"{what}: {row['stage']} is being done again, one stage at a time: ask once it is done.")


def _queue(
    connection: Connection, row: RowMapping, owner: str, stage: StageName, speaker_count: int | None, now: int
) -> None:
    values: dict[str, object] = {"stage": stage, "speaker_count": speaker_count, "state": Status.PENDING}
    values |= {"asked_ms": now, "due_ms": 0, "failures": 0, "interrupted": 0, "done_ms": 0, "message": ""}
    if row["redo_state"] is None:
        connection.execute(insert(_redo).values(file_id=row["id"], owner=owner, **values))
    else:
        connection.execute(update(_redo).where(_redo.c.file_id == row["id"]).values(values))


def claim(engine: Engine, busy_owners: Collection[str] = (), by: Member = ANYONE) -> ClaimedRedo | None:
    """Take what was asked for first and is due; ``busy_owners`` get nothing more.

    A file goes to those who have the models that it was done with, or their successors: one without a model for marks
    would take the marks away. Where there are none of those any more, to anybody.
    """
    order = (_redo.c.asked_ms, _redo.c.file_id)
    front = select(_redo.c.file_id, _redo.c.owner).where(
        _redo.c.state == Status.PENDING, _redo.c.due_ms <= database_now()
    )
    with writing(engine) as connection:
        if by.queues is not None:
            others = fleet.served(connection) - set(by.queues)
            front = front.join(_file, _file.c.id == _redo.c.file_id).where(_file.c.queue.not_in(others))
        first = _first(front.order_by(*order).limit(_FRONT).subquery(), busy_owners).scalar_subquery()
        mine = (_redo.c.file_id == first, _redo.c.state == Status.PENDING)
        claimed = update(_redo).where(*mine).values(state=Status.RUNNING, claim=_redo.c.claim + 1, done_ms=0)
        row = connection.execute(claimed.values(worker=by.id).returning(_redo)).mappings().one_or_none()
        if row is None:
            return None
        file = connection.execute(with_task(row["file_id"])).mappings().one()
    same = ("owner", "speaker_count", "claim", "failures", "interrupted")
    return ClaimedRedo(
        id=row["file_id"],
        stage=StageName(row["stage"]),
        file=claimed_file(file),
        **{name: row[name] for name in same},
        **{name: file[name] for name in ("result_key", "transcript_key", "heard_key")},
    )


def _first(front: Subquery, busy_owners: Collection[str]) -> Select[tuple[int]]:
    """The first of these whose owner is not among the busy ones and that nobody else is taking."""
    return (
        select(_redo.c.file_id)
        .join(front, front.c.file_id == _redo.c.file_id)
        .where(front.c.owner.not_in(busy_owners), _redo.c.state == Status.PENDING)
        .order_by(_redo.c.asked_ms, _redo.c.file_id)
        .limit(1)
        .with_for_update(skip_locked=True, of=_redo)
    )


def is_due(engine: Engine) -> bool:
    """Whether some stage is ready to be claimed."""
    query = select(_redo.c.file_id).where(_redo.c.state == Status.PENDING, _redo.c.due_ms <= database_now()).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).first() is not None


def moved(engine: Engine, redo: ClaimedRedo, done_ms: int) -> bool:
    """So much of the sound has been listened to again."""
    with writing(engine) as connection:
        return _set(connection, redo, {"done_ms": done_ms})


def done(
    engine: Engine,
    redo: ClaimedRedo,
    *,
    result_key: str,
    result: Stored,
    transcript_key: str,
    heard_key: str,
    notes: tuple[str, ...],
    failed_stages: tuple[FailedStage, ...] = (),
) -> bool:
    """Put the new result in the place of the one that it was made from; False if that has gone meanwhile."""
    values: dict[str, object] = {"result_key": result_key, "result_bytes": result.size_bytes}
    values["transcript_key"] = transcript_key
    # Ids of sentences are those of a transcript: who edits the old one has to look at this one first.
    values |= {"heard_key": heard_key, "notes": as_json(notes), "revision": _file.c.revision + 1}
    values["failed_stages"] = as_json(failed_stages) if failed_stages else ""
    same = (_file.c.id == redo.id, _file.c.state == FileState.SUCCEEDED, _file.c.heard_key == redo.heard_key)
    mine = exists().where(_redo.c.file_id == redo.id, _redo.c.state == Status.RUNNING, _redo.c.claim == redo.claim)
    with writing(engine) as connection:
        connection.execute(select(_file.c.id).where(_file.c.id == redo.id).with_for_update())
        connection.execute(select(_redo.c.file_id).where(_redo.c.file_id == redo.id).with_for_update())
        if not connection.execute(update(_file).where(*same, mine).values(values)).rowcount:
            return False
        return _set(connection, redo, {"state": Status.SUCCEEDED})


def failed(engine: Engine, redo: ClaimedRedo, message: str) -> bool:
    """The stage cannot be done again; the result stays as it is."""
    with writing(engine) as connection:
        return _set(connection, redo, {"state": Status.FAILED, "message": message})


def release(engine: Engine, redo: ClaimedRedo, after_ms: int = 0, *, failed_once: bool = False) -> bool:
    """Give it back, to be claimed again in ``after_ms`` at the earliest."""
    values: dict[str, object] = {"state": Status.PENDING, "due_ms": DatabaseClock() + after_ms if after_ms else 0}
    if failed_once:
        values["failures"] = _redo.c.failures + 1
    with writing(engine) as connection:
        return _set(connection, redo, values)


def recover(engine: Engine, worker: str | None = None, but_for: Collection[int] = ()) -> int:
    """Free the claims of that worker, or of all that are gone, as ``files.recover`` does; how many there were."""
    with writing(engine) as connection:
        left = update(_redo).where(_redo.c.state == Status.RUNNING, fleet.held(_redo, worker, but_for))
        freed = left.values(state=Status.PENDING, due_ms=0, interrupted=_redo.c.interrupted + 1)
        return connection.execute(freed).rowcount


def _set(connection: Connection, redo: ClaimedRedo, values: Mapping[str, object]) -> bool:
    """Change the row if it is still this claim's."""
    mine = (_redo.c.file_id == redo.id, _redo.c.state == Status.RUNNING, _redo.c.claim == redo.claim)
    return connection.execute(update(_redo).where(*mine).values(dict(values))).rowcount == 1
