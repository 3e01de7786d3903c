"""The files of a task on their way: claimed, fetched, cut, finished; the last one to end ends the task.

Every transition is a compare-and-set on the state and the claim that the writer holds, in one transaction with all that
follows from it. A writer whose claim has passed on changes nothing, so that every step may run twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, Select, Subquery, and_, delete, func, not_, or_, select, update

from dashscribe import fleet, order, usage
from dashscribe.db import DatabaseClock, database_now, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, Status, WindowState
from dashscribe.fleet import ANYONE, Member
from dashscribe.hosts.protocol import CutEnd
from dashscribe.notify import events
from dashscribe.store import Stored
from dashscribe.tasks import as_json, end_of_task
from dashscribe.types import FailedStage, Media, Options, Shape

#: What a slot may claim, and what the file is while the slot works on it.
CLAIMED = {
    FileState.WAITING: FileState.FETCHING,
    FileState.FETCHED: FileState.CUTTING,
    FileState.JOINING: FileState.FINISHING,
}
_READY = {claimed: ready for ready, claimed in CLAIMED.items()}
ENDED = (FileState.SUCCEEDED, FileState.FAILED, FileState.CANCELED)
#: How many files a claim looks at for one of an owner who holds few slots: tags bring every owner's work to the front.
_FRONT = 64
#: How many at most it looks at for one whose engine has not got enough already.
_NEAR = 2000

_file, _task, _window = tables.files, tables.tasks, tables.windows


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedFile:
    """A file as a slot claimed it, with what its task says of it. ``claim`` entitles the slot to write."""

    id: int
    task_id: str
    number: int
    owner: str
    key_id: str
    request_id: str
    traceparent: str
    no_oss: bool
    submitted_ms: int
    model: str
    shape: Shape
    options: Options
    task_notes: tuple[str, ...]
    file_count: int
    url: str
    state: FileState
    tag_ms: int
    express: bool
    claim: int
    failures: int
    interrupted: int
    engine: str
    engine_version: str
    queue: str
    notes: tuple[str, ...] = ()
    source_key: str
    source_bytes: int
    generation: int
    media: Media | None
    cut: CutEnd | None

    @property
    def prefix(self) -> str:
        """What the keys of all its blobs begin with."""
        return prefix_of(self.task_id, self.number)

    @property
    def windows_prefix(self) -> str:
        """What the keys of its windows' blobs begin with."""
        return windows_prefix_of(self.task_id, self.number)


def prefix_of(task_id: str, number: int) -> str:
    """What the keys of all blobs of a file begin with."""
    return f"tasks/{task_id}/{number}"


def windows_prefix_of(task_id: str, number: int) -> str:
    """What the keys of the blobs of a file's windows begin with."""
    return f"{prefix_of(task_id, number)}/windows"


def claim(
    engine: Engine,
    ready: FileState,
    by: Member = ANYONE,
    *,
    express_only: bool = False,
    busy_owners: Collection[str] = (),
    before_tag_ms: int | None = None,
    brims: Mapping[str, int] | None = None,
) -> ClaimedFile | None:
    """Take the first file in the one order that is ready, due and of a queue of ``by``; its task is RUNNING then.

    ``busy_owners`` get nothing more. Of FETCHED files, which are to be cut, those wait whose owner's next window would
    be tagged ``before_tag_ms`` or later; of WAITING ones those that are tagged so where ``brims`` has their model.
    """
    front = _front(ready, by, before_tag_ms, brims or {}, express_only=express_only)
    first = _first(front.limit(_FRONT).subquery(), ready, busy_owners).scalar_subquery()
    values: dict[str, object] = {"state": CLAIMED[ready], "claim": _file.c.claim + 1, "worker": by.id}
    if ready is FileState.FETCHED:
        values |= {"generation": _file.c.generation + 1, "open": 0, "speech_ms": 0, "recognized_ms": 0}
    with writing(engine) as connection:
        file_id = connection.execute(
            update(_file).where(_file.c.id == first, _file.c.state == ready).values(values).returning(_file.c.id)
        ).scalar()
        if file_id is None:
            return None
        row = connection.execute(with_task(file_id)).mappings().one()
        if ready is FileState.WAITING:
            waiting = (_task.c.id == row["task_id"], _task.c.status == Status.PENDING)
            connection.execute(update(_task).where(*waiting).values(status=Status.RUNNING, started_ms=now_ms()))
        if ready is FileState.FETCHED and row["generation"] > 1:
            # What an earlier cut left unfinished waits until this cut finds it again; whoever works on it is too late.
            unfinished = _window.c.state.in_((WindowState.READY, WindowState.CLAIMED))
            stale = update(_window).where(_window.c.file_id == file_id, unfinished)
            connection.execute(stale.values(state=WindowState.STALE))
    return claimed_file(row)


def _front(
    ready: FileState, by: Member, before_tag_ms: int | None, brims: Mapping[str, int], *, express_only: bool
) -> Select[Any, Any, Any]:
    """What may be claimed, in the one order."""
    due = (_file.c.state == ready, _file.c.due_ms <= database_now())
    front = select(_file.c.id, _file.c.owner, _file.c.tag_ms).where(*due)
    if express_only:
        front = front.where(_file.c.express)
    mine = by.may_take(_file.c.queue)
    if mine is not None:
        front = front.where(mine)
    if before_tag_ms is not None:
        # Windows have an order of their own: what counts is where those of this owner would come.
        ahead = tables.owners.c.window_tag_ms
        front = front.where(_file.c.owner.in_(select(tables.owners.c.name).where(ahead < before_tag_ms)))
    front = front.order_by(_file.c.tag_ms, _file.c.id)
    return _below(front, brims) if brims else front


def _below(front: Select[Any, Any, Any], brims: Mapping[str, int]) -> Select[Any, Any, Any]:
    """Those of them that are not above the brim of their model; so many are looked at, and no more."""
    near = front.add_columns(_file.c.task_id).limit(_NEAR).subquery()
    above = or_(*(and_(_task.c.model == model, near.c.tag_ms >= tag_ms) for model, tag_ms in brims.items()))
    below = select(near.c.id, near.c.owner, near.c.tag_ms).join(_task, _task.c.id == near.c.task_id).where(not_(above))
    return below.order_by(near.c.tag_ms, near.c.id)


def _first(front: Subquery, ready: FileState, busy_owners: Collection[str]) -> Select[tuple[int]]:
    """The first of these whose owner is not among the busy ones and that nobody else is taking."""
    return (
        select(_file.c.id)
        .join(front, front.c.id == _file.c.id)
        .where(front.c.owner.not_in(busy_owners), _file.c.state == ready)
        .order_by(front.c.tag_ms, front.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=_file)
    )


def brims(engine: Engine, limit: int) -> dict[str, int]:
    """By model: the tag from which on its files wait to be fetched, because so many lie fetched before them.

    They are counted engine by engine: what waits for a slow one keeps no other one idle. Which engine a file is for is
    known once it is fetched; before, it is taken to be one that files of its model are for.
    """
    fetched = _file.c.state == FileState.FETCHED
    full = select(_file.c.engine).where(fetched).group_by(_file.c.engine).having(func.count() >= limit)
    found: dict[str, int] = {}
    with reading(engine) as connection:
        for name in connection.execute(full).scalars().all():
            of_engine = (fetched, _file.c.engine == name)
            tags = select(_file.c.tag_ms).where(*of_engine).order_by(_file.c.tag_ms)
            models = select(_task.c.model).join(_file, _file.c.task_id == _task.c.id).where(*of_engine).distinct()
            tag_ms = connection.execute(tags.offset(limit - 1).limit(1)).scalar()
            if tag_ms is not None:  # some may have been taken since
                for model in connection.execute(models).scalars():
                    found[model] = min(tag_ms, found.get(model, tag_ms))
    return found


def due(engine: Engine) -> set[FileState]:
    """The states in which some file is ready to be claimed."""
    with reading(engine) as connection:
        return {
            ready
            for ready in CLAIMED
            if connection.execute(
                select(_file.c.id).where(_file.c.state == ready, _file.c.due_ms <= database_now()).limit(1)
            ).first()
        }


def with_task(file_id: int) -> Select[Any]:
    """A file's row with what ``claimed_file`` needs to know of its task."""
    names = ("model", "shape", "options", "file_count", "key_id", "request_id", "traceparent", "no_oss", "submitted_ms")
    of_task = [_task.c[name] for name in names]
    return (
        select(_file, *of_task, _task.c.notes.label("task_notes"))
        .join(_task, _task.c.id == _file.c.task_id)
        .where(_file.c.id == file_id)
    )


def claimed_file(row: RowMapping) -> ClaimedFile:
    """A row of ``with_task`` as a slot gets it."""
    same = ("id", "state", "task_id", "number", "owner", "key_id", "request_id", "traceparent", "no_oss")
    same += ("submitted_ms", "model", "shape", "file_count", "url", "tag_ms", "express")
    same += ("claim", "failures", "interrupted", "engine", "engine_version", "queue")
    same += ("source_key", "source_bytes", "generation")
    return ClaimedFile(
        **{name: row[name] for name in same},
        options=msgspec.json.decode(row["options"], type=Options),
        task_notes=msgspec.json.decode(row["task_notes"], type=tuple[str, ...]),
        notes=msgspec.json.decode(row["notes"], type=tuple[str, ...]) if row["notes"] else (),
        media=msgspec.json.decode(row["media"], type=Media) if row["media"] else None,
        cut=msgspec.json.decode(row["cut"], type=CutEnd) if row["cut"] else None,
    )


def _set(connection: Connection, file: ClaimedFile, values: Mapping[str, object]) -> bool:
    """Change the row if it is still this claim's."""
    mine = (_file.c.id == file.id, _file.c.state == file.state, _file.c.claim == file.claim)
    return connection.execute(update(_file).where(*mine).values(dict(values))).rowcount == 1


# --- fetching and cutting -------------------------------------------------------------------------------------------


def spooled(engine: Engine, file: ClaimedFile, key: str, stored: Stored) -> bool:
    """The source lies in the store; from now on that copy is the source."""
    values = {"source_key": key, "source_bytes": stored.size_bytes, "source_sha256": stored.sha256}
    with writing(engine) as connection:
        return _set(connection, file, values)


def fetched(
    engine: Engine,
    file: ClaimedFile,
    media: Media,
    engine_name: str,
    engine_version: str,
    notes: tuple[str, ...] = (),
    *,
    queue: str = "",
) -> bool:
    """The source is known: it may be cut. Its length and engine are settled; ``notes`` tell what is odd about those."""
    sound_ms = order.sound_of(media, file.options)
    express = order.is_express(sound_ms, file.file_count)
    values: dict[str, object] = {"state": FileState.FETCHED, "media": as_json(media), "express": express}
    values |= {"engine": engine_name, "engine_version": engine_version, "failures": 0, "interrupted": 0}
    values["queue"] = queue
    values["notes"] = as_json(notes)
    with writing(engine) as connection:
        if express:
            values["tag_ms"] = order.files_now(connection)
        changed = _set(connection, file, values)
        if changed and media.duration_ms > 0:
            order.correct(connection, file.owner, sound_ms)
    return changed


def pin_engine(
    engine: Engine,
    file: ClaimedFile,
    engine_name: str,
    engine_version: str,
    notes: tuple[str, ...] = (),
    *,
    queue: str = "",
) -> bool:
    """The engine, or its version, is another than when the file was fetched: what the old one heard does not count.

    ``notes`` are what the result will say of that.
    """
    values = {"engine": engine_name, "engine_version": engine_version, "notes": as_json(notes), "queue": queue}
    with writing(engine) as connection:
        return _set(connection, file, values)


def cut_ended(engine: Engine, file: ClaimedFile, cut: CutEnd) -> bool:
    """All windows are handed out; when they are done already, the file is ready to be joined."""
    values: dict[str, object] = {"state": FileState.RECOGNIZING, "failures": 0, "interrupted": 0}
    values |= {"cut": as_json(cut), "media": as_json(cut.media)}
    with writing(engine) as connection:
        if not _set(connection, file, values):
            return False
        if file.generation > 1:
            gone = (_window.c.file_id == file.id, _window.c.generation != file.generation)
            connection.execute(delete(_window).where(*gone))
        join_if_complete(connection, file.id)
    return True


def join_if_complete(connection: Connection, file_id: int) -> bool:
    """Make the file ready to be joined if all its windows are cut, as RECOGNIZING says, and none of them is open."""
    complete = (_file.c.state == FileState.RECOGNIZING, _file.c.open == 0)
    joined = update(_file).where(_file.c.id == file_id, *complete).values(state=FileState.JOINING)
    return connection.execute(joined).rowcount == 1


# --- the end of a file and of its task ------------------------------------------------------------------------------


def succeeded(
    engine: Engine,
    file: ClaimedFile,
    *,
    result_key: str,
    result: Stored,
    transcript_key: str,
    heard_key: str,
    duration_ms: int,
    notes: tuple[str, ...],
    failed_stages: tuple[FailedStage, ...] = (),
) -> bool:
    """The file has a result; under ``heard_key`` lies what any stage can be done again from."""
    values = {"result_key": result_key, "result_bytes": result.size_bytes, "transcript_key": transcript_key}
    values |= {"heard_key": heard_key, "duration_ms": duration_ms, "notes": as_json(notes)}
    values["failed_stages"] = as_json(failed_stages) if failed_stages else ""
    with writing(engine) as connection:
        if not _end(connection, file, {**values, "state": FileState.SUCCEEDED}):
            return False
        usage.book(connection, owner=file.owner, key_id=file.key_id, model=file.model, duration_ms=duration_ms)
    return True


def failed(
    engine: Engine,
    file: ClaimedFile,
    code: str,
    message: str,
    *,
    notes: tuple[str, ...] = (),
    ledger: Mapping[str, int] | None = None,
) -> bool:
    """The file has no result and never will; the other files of its task go on."""
    values: dict[str, object] = {"state": FileState.FAILED, "code": code, "message": message}
    values |= {"notes": as_json(notes), "ledger": as_json(ledger) if ledger else ""}
    with writing(engine) as connection:
        return _end(connection, file, values)


def _end(connection: Connection, file: ClaimedFile, values: Mapping[str, object]) -> bool:
    if not _set(connection, file, values):
        return False
    connection.execute(delete(_window).where(_window.c.file_id == file.id))
    fewer = update(_task).where(_task.c.id == file.task_id).values(open_files=_task.c.open_files - 1)
    if connection.execute(fewer.returning(_task.c.open_files)).scalar_one() == 0:
        end_task(connection, file.task_id)
    order.give_back(connection, [(file.owner, file.state)])
    return True


def end_task(connection: Connection, task_id: str) -> None:
    """End a task whose files have all ended: it succeeds if one of them did, else it fails for the first that failed.

    Without any of those it was called off, file by file.
    """
    of_task = _file.c.task_id == task_id
    good = connection.execute(select(_file.c.id).where(of_task, _file.c.state == FileState.SUCCEEDED).limit(1)).first()
    values: dict[str, object] = {"status": Status.SUCCEEDED}
    if good is None:
        failed_ones = select(_file.c.code, _file.c.message).where(of_task, _file.c.state == FileState.FAILED)
        first = connection.execute(failed_ones.order_by(_file.c.number).limit(1)).one_or_none()
        values = {"status": Status.CANCELED}
        if first is not None:
            values = {"status": Status.FAILED, "code": first.code, "message": first.message}
    open_still = (_task.c.id == task_id, _task.c.status.in_((Status.PENDING, Status.RUNNING)))
    ended = connection.execute(update(_task).where(*open_still).values(**values, ended_ms=end_of_task()))
    if ended.rowcount:
        events.store(connection, [task_id])


def time_out(engine: Engine, submitted_before_ms: int, code: str, message: str, most: int = 100) -> list[str]:
    """Fail tasks that were submitted before this instant and have not ended; files that have keep their results.

    At most so many tasks at once. Of each file that this ends: what the keys of its windows' blobs begin with.
    """
    is_open = _task.c.status.in_((Status.PENDING, Status.RUNNING))
    late = select(_task.c.id).where(is_open, _task.c.submitted_ms < submitted_before_ms).limit(most)
    failure = {"code": code, "message": message}
    with reading(engine) as connection:
        if connection.execute(late).first() is None:
            return []
    with writing(engine) as connection:
        ids = connection.execute(late).scalars().all()
        # In order, as all who want several files.
        columns = (_file.c.id, _file.c.task_id, _file.c.number, _file.c.owner, _file.c.state)
        open_files = select(*columns).where(_file.c.task_id.in_(ids), _file.c.state.not_in(ENDED))
        rows = connection.execute(open_files.order_by(_file.c.id).with_for_update()).all()
        files = [row.id for row in rows]
        connection.execute(update(_file).where(_file.c.id.in_(files)).values(state=FileState.FAILED, **failure))
        connection.execute(delete(_window).where(_window.c.file_id.in_(files)))
        values = {"status": Status.FAILED, "ended_ms": end_of_task(), "open_files": 0, **failure}
        failed_ones = update(_task).where(_task.c.id.in_(ids), is_open).values(**values).returning(_task.c.id)
        timed_out = connection.execute(failed_ones).scalars().all()
        events.store(connection, timed_out)
        order.give_back(connection, [(row.owner, row.state) for row in rows])
    return [windows_prefix_of(row.task_id, row.number) for row in rows]


# --- giving a claim back --------------------------------------------------------------------------------------------


def release(engine: Engine, file: ClaimedFile, after_ms: int = 0, *, failed_once: bool = False) -> bool:
    """Give the file back as it was claimed, to be claimed again in ``after_ms`` at the earliest."""
    due_ms = DatabaseClock() + after_ms if after_ms else 0  # not now: the clock may be set back
    values: dict[str, object] = {"state": _READY[file.state], "due_ms": due_ms}
    if failed_once:
        values["failures"] = _file.c.failures + 1
    with writing(engine) as connection:
        return _set(connection, file, values)


def recover(engine: Engine, worker: str | None = None, but_for: Collection[int] = ()) -> int:
    """Free the claims of that worker, or of all that are gone, counting the interruption; how many there were.

    ``but_for`` are ids of rows that the worker knows of, and keeps.

    On SQLite for the holder of the worker lock only: there is no other way to know that nobody works on them.
    """
    with writing(engine) as connection:
        held = fleet.held(_file, worker, but_for)
        return sum(
            connection.execute(
                update(_file)
                .where(_file.c.state == claimed, held)
                .values(state=ready, due_ms=0, interrupted=_file.c.interrupted + 1)
            ).rowcount
            for claimed, ready in _READY.items()
        )
