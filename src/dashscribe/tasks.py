"""The task book: what was asked for and what has become of it, as callers see it.

Owns submitting, querying and canceling; how a file goes on is in ``files``. A submission is one transaction: the caller
gets a task id only once everything that the work needs is on disk.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from dashscribe import order, recordings, uploads
from dashscribe.db import as_datetime, as_ms, now_ms, reading, serialize, storable, tables, writing
from dashscribe.db.tables import FileState, Status
from dashscribe.errors import ConflictError
from dashscribe.notify import deliveries, events
from dashscribe.seen_task import Progress as Progress
from dashscribe.seen_task import Redo as Redo
from dashscribe.seen_task import Subtask as Subtask
from dashscribe.seen_task import Task as Task
from dashscribe.seen_task import task_of
from dashscribe.submissions import Submission as Submission
from dashscribe.submissions import is_of_body

#: How long a task answers after its end, and an ``Idempotency-Key`` after its use, in milliseconds.
ANSWERS_MS = 24 * 3600 * 1000
KEY_LIVES_MS = 24 * 3600 * 1000

#: How far tasks ahead are counted, so that a query costs the same however many wait.
MOST_AHEAD = 10_000


class TaskBook:
    """The tasks of one installation."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def submit(self, submission: Submission) -> Task:
        """Accept a task: on disk when this returns. A repeated ``idempotency_key`` gives the task that it made.

        Raises ConflictError when the key was used for something else, RecordingGoneError where ``kept_only`` says so.
        """
        now = now_ms()
        with writing(self._engine, urgent=True) as connection:
            earlier = _earlier(connection, submission, now)
            if earlier is None:
                return _insert(connection, submission, now)
        return self._made(submission.owner, submission.idempotency_key, earlier)

    def repeated(self, owner: str, idempotency_key: str, body_digest: str) -> Task | None:
        """The task that this key has made of this body; None for a new key, or one of before bodies had digests.

        Raises ConflictError as ``submit`` does.
        """
        table = tables.idempotency
        query = select(table.c.digest, table.c.task_id).where(
            table.c.owner == owner, table.c.key == idempotency_key, table.c.created_ms > now_ms() - KEY_LIVES_MS
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None or not is_of_body(row.digest):
            return None
        if row.digest != body_digest:
            raise _other_body(idempotency_key, row.task_id)
        return self._made(owner, idempotency_key, row.task_id)

    def _made(self, owner: str, idempotency_key: str, task_id: str) -> Task:
        task = self.get(owner, task_id)
        if task is None:
            raise ConflictError(f"Idempotency-Key {idempotency_key!r}: its task {task_id} is gone")
        return task

    def open_files(self, owner: str = "") -> int:
        """Files that have not ended, of one owner or of all."""
        task = tables.tasks
        query = select(func.sum(task.c.open_files)).where(task.c.ended_ms.is_(None))
        with reading(self._engine) as connection:
            return int(connection.execute(query.where(task.c.owner == owner) if owner else query).scalar() or 0)

    def get(self, owner: str, task_id: str, *, kept: bool = False) -> Task | None:
        """A task with its files; None when the owner has none of this id, or none any more. ``kept``: ``answering``."""
        since_ms = now_ms() - ANSWERS_MS
        with reading(self._engine) as connection:
            given = {"task_id": task_id, "owner": owner, "since_ms": since_ms}
            row = connection.execute(_mine(kept=kept), given).mappings().one_or_none()
            if row is None:
                return None
            rows = connection.execute(_files_of_task(), {"task_id": task_id}).mappings().all()
            ahead, told = None, ()
            if row["ended_ms"] is not None:
                told = deliveries.of_task(connection, owner, task_id)
            if row["status"] == Status.PENDING:
                ahead = ahead_of(connection, row["tag_ms"])
        return task_of(row, rows, ahead, told)

    def result_key(self, task_id: str, index: int) -> str | None:
        """Where the result of one file lies, whoever the owner is: for URLs whose signature is the permission."""
        task, file = tables.tasks, tables.files
        query = (
            select(file.c.result_key)
            .join(task, task.c.id == file.c.task_id)
            .where(task.c.id == task_id, file.c.number == index, *answering())
        )
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none() or None

    def list(
        self,
        owner: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        task_id: str = "",
        model: str = "",
        status: Status | None = None,
        key_id: str = "",
        page_no: int = 1,
        page_size: int = 10,
    ) -> tuple[int, Sequence[Task]]:
        """How many tasks match, and one page of them, the newest first, without their files.

        ``start`` and ``end`` bound the time of submission, both included.
        """
        table = tables.tasks
        matching = [table.c.owner == owner, *answering()]
        if start is not None:
            matching.append(table.c.submitted_ms >= as_ms(start))
        if end is not None:
            matching.append(table.c.submitted_ms <= as_ms(end))
        for column, value in (("id", task_id), ("model", model), ("status", status), ("key_id", key_id)):
            if value:
                matching.append(table.c[column] == value)
        page = (
            select(table)
            .where(*matching)
            .order_by(table.c.submitted_ms.desc(), table.c.id)
            .limit(page_size)
            .offset((page_no - 1) * page_size)
        )
        with reading(self._engine) as connection:
            total = connection.execute(select(func.count()).select_from(table).where(*matching)).scalar_one()
            rows = connection.execute(page).mappings().all()
        return total, [task_of(row, (), None) for row in rows]

    def cancel(self, owner: str, task_id: str) -> int:
        """Call off a task that is still PENDING: how many files; 0 for any other, and for one that does not exist."""
        task, file = tables.tasks, tables.files
        with writing(self._engine, urgent=True) as connection:
            # Files first: whoever claims one holds its row while it makes the task RUNNING.
            rows = select(file.c.owner, file.c.state).where(file.c.task_id == task_id).order_by(file.c.id)
            before = connection.execute(rows.with_for_update()).all()
            canceled = connection.execute(
                update(task)
                .where(task.c.id == task_id, task.c.owner == owner, task.c.status == Status.PENDING)
                .values(status=Status.CANCELED, ended_ms=end_of_task(), open_files=0)
            )
            if not canceled.rowcount:
                return 0
            files = update(file).where(file.c.task_id == task_id).values(state=FileState.CANCELED)
            count = connection.execute(files).rowcount
            events.store(connection, [task_id])
            order.give_back(connection, [(row.owner, row.state) for row in before])
        return count


def with_redos() -> Select[Any]:
    """Files in the order of their task, with what was done again."""
    file, redo = tables.files, tables.redos
    again = (redo.c.stage.label("redo_stage"), redo.c.state.label("redo_state"))
    again += (redo.c.done_ms.label("redo_done_ms"), redo.c.message.label("redo_message"))
    joined = file.outerjoin(redo, redo.c.file_id == file.c.id)
    return select(file, *again).select_from(joined).order_by(file.c.number)


# What every query runs is built once: that takes longer than the database does.
@cache
def _mine(*, kept: bool) -> Select[Any]:
    task = tables.tasks
    since_ms = bindparam("since_ms", type_=BigInteger)
    mine = (task.c.id == bindparam("task_id"), task.c.owner == bindparam("owner"))
    return select(task).where(*mine, *answering(since_ms, kept=kept))


@cache
def _files_of_task() -> Select[Any]:
    return with_redos().where(tables.files.c.task_id == bindparam("task_id"))


def ahead_of(connection: Connection, tag_ms: int) -> int:
    """How many tasks that wait are before one with this tag, no further than ``MOST_AHEAD``."""
    return connection.execute(_ahead(), {"tag_ms": tag_ms, "most": MOST_AHEAD}).scalar_one()


@cache
def _ahead() -> Select[Any]:
    task = tables.tasks
    waiting = (task.c.status == Status.PENDING, task.c.tag_ms < bindparam("tag_ms", type_=BigInteger))
    # What the index holds, so that no row is read.
    counted = select(task.c.tag_ms).where(*waiting).limit(bindparam("most")).subquery()
    return select(func.count()).select_from(counted)


def end_of_task() -> ColumnElement[int]:
    """Now, as the end of a task; a clock that was set back for a while must not let it be forgotten at once."""
    submitted_ms, now = tables.tasks.c.submitted_ms, now_ms()
    return case((submitted_ms > now, submitted_ms), else_=now)


def answering(
    since_ms: int | BindParameter[int] | None = None, *, kept: bool = False
) -> tuple[ColumnElement[bool], ...]:
    """What holds for tasks that queries still answer for: open ones, and those ended after ``since_ms``.

    By default that is ``ANSWERS_MS`` ago. With ``kept``, also for those of which something is kept.
    """
    since_ms = now_ms() - ANSWERS_MS if since_ms is None else since_ms
    table, file = tables.tasks, tables.files.alias()  # another one than that of the query it becomes a part of
    recent = table.c.ended_ms.is_(None) | (table.c.ended_ms > since_ms)
    if kept:
        recent |= exists().where(file.c.task_id == table.c.id, file.c.kept)
    return (table.c.removed.is_(False), recent)


def _earlier(connection: Connection, submission: Submission, now: int) -> str | None:
    """The id of the task that this submission's key has already made; a new key is taken note of with the task."""
    if not submission.idempotency_key:
        return None
    table = tables.idempotency
    mine = (table.c.owner == submission.owner, table.c.key == submission.idempotency_key)
    serialize(connection, "idempotency", submission.owner, submission.idempotency_key)
    row = connection.execute(select(table).where(*mine)).mappings().one_or_none()
    if row is None:
        return None
    if row["created_ms"] <= now - KEY_LIVES_MS:
        connection.execute(delete(table).where(*mine))
        return None
    if not submission.repeats(row["digest"]):
        raise _other_body(submission.idempotency_key, row["task_id"])
    return row["task_id"]


def _other_body(idempotency_key: str, task_id: str) -> ConflictError:
    return ConflictError(
        f"Idempotency-Key {idempotency_key!r} made task {task_id} from another body within 24 h: repeat that body, or "
        "use another key"
    )


def _insert(connection: Connection, submission: Submission, now: int) -> Task:
    task_id = str(uuid.uuid4())
    uploads.pin(connection, submission.owner, submission.file_urls, now)
    recordings.pin(connection, submission.owner, submission.file_urls, must_be_kept=submission.kept_only)
    tags = order.reserve(connection, submission.owner, len(submission.file_urls), now)
    # Values apart from the statement, which is built and compiled once: with a column each it would be built anew.
    connection.execute(insert(tables.tasks), _row_of(submission, task_id, tags, now))
    same = {"task_id": task_id, "owner": submission.owner, "state": FileState.WAITING, "kept": submission.keep}
    connection.execute(
        insert(tables.files),
        [
            {**same, "number": number, "url": url, "tag_ms": tag}
            for number, (url, tag) in enumerate(zip(submission.file_urls, tags, strict=True))
        ],
    )
    if submission.idempotency_key:
        connection.execute(
            insert(tables.idempotency).values(
                owner=submission.owner,
                key=submission.idempotency_key,
                digest=submission.digest,
                task_id=task_id,
                created_ms=now,
            )
        )
    return Task(
        id=task_id,
        owner=submission.owner,
        key_id=submission.key_id,
        request_id=submission.request_id,
        model=submission.model,
        shape=submission.shape,
        options=submission.options,
        notes=submission.notes,
        status=Status.PENDING,
        submitted_at=as_datetime(now),
        no_oss=submission.no_oss,
        retry_of=submission.retry_of,
        subtasks=tuple(
            Subtask(index=number, file_url=url, status=Status.PENDING)
            for number, url in enumerate(submission.file_urls)
        ),
    )


def _row_of(submission: Submission, task_id: str, tags: Sequence[int], now: int) -> dict[str, Any]:
    same = ("owner", "key_id", "request_id", "model", "shape", "no_oss", "retry_of", "base_url", "time_zone")
    same += ("traceparent",)
    return {name: getattr(submission, name) for name in same} | {
        "id": task_id,
        "options": as_json(submission.options),
        "notes": as_json(submission.notes),
        "status": Status.PENDING,
        "tag_ms": tags[0],
        "file_count": len(tags),
        "open_files": len(tags),
        "submitted_ms": now,
    }


def as_json(value: object) -> str:
    """A value as it is kept in a column."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # notes may quote what is no text
        return storable(json.dumps(msgspec.to_builtins(value), ensure_ascii=False))
