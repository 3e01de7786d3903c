"""Recordings: the files of tasks as their owners look after them: listed, searched, named, kept, deleted.

Owns what of an owner's files is seen here, and for how long; how a file is worked on is ``files``. Deleting is a row
first, by compare-and-set, then blobs: nobody sees a recording any more that is being deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    case,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    update,
)

from dashscribe import order, search
from dashscribe.config import Settings
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, Status, status_of
from dashscribe.errors import ConflictError
from dashscribe.files import ENDED, end_task
from dashscribe.notify import deliveries
from dashscribe.recordings import Place, awaited, not_found, split_id, title_of
from dashscribe.search import Found, Term
from dashscribe.seen_task import Subtask, Task, task_of
from dashscribe.tasks import ANSWERS_MS, ahead_of, with_redos

#: Of how many recordings that the index does not know yet the titles are compared in a search.
MAX_COMING = 5000
#: What ``indexed`` says of a deleted recording once its blobs are gone.
ERASED = "erased"

_file, _task, _redo, _window = tables.files, tables.tasks, tables.redos, tables.windows
#: What is forgotten of a recording at once when it is deleted. Its URL stays: the task still tells what it was for.
_KEYS = ("source_key", "result_key", "transcript_key", "heard_key", "edits_key")
_FORGOTTEN = ("title", "media", "notes", "failed_stages", "ledger", *_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A file of a task. ``task`` holds this file only.

    ``languages`` are those of its sentences, or what was given as hints where they tell none. ``found`` is what a
    search found in it.
    """

    row_id: int
    task: Task
    title: str
    kept: bool
    revision: int
    edited_ms: int | None
    languages: tuple[str, ...]
    found: Found | None = None

    @property
    def file(self) -> Subtask:
        """The file itself."""
        return self.task.subtasks[0]

    @property
    def id(self) -> str:
        """What it is called by: its task and its place in that."""
        return f"{self.task.id}.{self.file.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which recordings to list; ``since_ms`` and ``until_ms`` bound the time of submission, both included."""

    terms: tuple[Term, ...] = ()
    statuses: frozenset[Status] = frozenset()
    model: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    page_no: int = 1
    page_size: int = 20


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a call to delete: by id, those that are gone now and those that were not there.

    ``stopped`` is how many of the former were still waiting or being worked on. Those that are ``awaited`` stay: each
    with the id of a recording that has yet to fetch its sound.
    """

    ids: tuple[str, ...]
    missing: tuple[str, ...]
    stopped: int
    awaited: Mapping[str, str]


class Library:
    """The recordings of one installation."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._lives_ms = lives_ms(settings)

    def list(self, owner: str, wanted: Wanted, most_hits: int = 3) -> tuple[int, Sequence[Recording]]:
        """How many recordings match, and one page of them, the newest first; hits only where there are terms."""
        begin = (wanted.page_no - 1) * wanted.page_size
        with reading(self._engine) as connection:
            matching = [*self._visible(owner), *_filters(wanted)]
            if wanted.terms:
                matching.append(self._holding(connection, owner, wanted.terms))
            query = _ids(*matching).order_by(_task.c.submitted_ms.desc(), _task.c.id, _file.c.number)
            if wanted.terms:  # which one has to look at all of, however few are shown
                found = connection.execute(query).scalars().all()
                total, ids = len(found), found[begin : begin + wanted.page_size]
            else:
                total = connection.execute(select(func.count()).select_from(_ids(*matching).subquery())).scalar_one()
                ids = connection.execute(query.limit(wanted.page_size).offset(begin)).scalars().all()
            return total, list(_recordings(connection, ids, wanted.terms, most_hits))

    def get(self, owner: str, recording_id: str, terms: Sequence[Term] = (), most_hits: int = 1000) -> Recording:
        """A recording, with how others were told of its task's end. Raises NotFoundError."""
        with reading(self._engine) as connection:
            file_id = connection.execute(self._one(owner, recording_id)).scalar_one_or_none()
            found = list(_recordings(connection, [file_id] if file_id is not None else [], terms, most_hits, told=True))
        if not found:
            raise not_found(recording_id)
        return found[0]

    def change(self, owner: str, recording_id: str, title: str | None = None, kept: bool | None = None) -> None:
        """Name a recording, or keep it, or not any more; None leaves things as they are.

        An empty title is that of the URL again. Raises NotFoundError, and ConflictError where there is nothing to keep.
        """
        with writing(self._engine, urgent=True) as connection:
            # The file first, and its task by a statement of its own: expiry decides while it holds the file's row.
            connection.execute(self._one(owner, recording_id).with_for_update(of=_file))
            mine = self._one(owner, recording_id).add_columns(_file.c.state, _file.c.transcript_key, _file.c.task_id)
            row = connection.execute(mine).one_or_none()
            if row is None:
                raise not_found(recording_id)
            values: dict[str, Any] = {}
            if title is not None:
                values |= {"title": title, "indexed": ""}
            if kept is not None:
                values["kept"] = kept
                if kept and row.state == FileState.SUCCEEDED and not row.transcript_key:
                    raise ConflictError("Its sound and its transcript were removed already: transcribe it again.")
            if values:
                connection.execute(update(_file).where(_file.c.id == row.id).values(values))
            if kept is False:  # what is past its time by now is looked at again
                connection.execute(update(_task).where(_task.c.id == row.task_id).values(stripped=False))

    def delete(self, owner: str, recording_ids: Sequence[str]) -> Deleted:
        """Delete recordings: nobody sees them once this returns. What waits or is worked on is called off first.

        Their blobs go soon after (``hidden``); a task all of whose recordings are gone is gone itself. What others have
        yet to fetch stays, unless those are deleted with it.
        """
        wanted = {split: recording_id for recording_id in recording_ids if (split := split_id(recording_id))}
        named = or_(false(), *((_file.c.task_id == task) & (_file.c.number == number) for task, number in wanted))
        with writing(self._engine, urgent=True) as connection:
            columns = (_file.c.id, _file.c.task_id, _file.c.number, _file.c.state)
            query = _ids(*self._visible(owner), named).with_only_columns(*columns).order_by(_file.c.id)
            found: Sequence[Any] = connection.execute(query.with_for_update(of=_file)).all()
            held = _held(connection, owner, {(row.task_id, row.number) for row in found})
            rows = [row for row in found if (row.task_id, row.number) not in held]
            stopped = [row.id for row in rows if row.state not in ENDED]
            if rows:
                _hide(connection, [row.id for row in rows], stopped)
                for task_id in sorted({row.task_id for row in rows}):
                    _end(connection, task_id, sum(row.id in stopped for row in rows if row.task_id == task_id))
                order.give_back(connection, [(owner, row.state) for row in rows])
        gone = {wanted[row.task_id, row.number] for row in rows}
        stay = {wanted[place]: f"{waiting[0]}.{waiting[1]}" for place, waiting in held.items()}
        ids = tuple(dict.fromkeys(recording_ids))
        missing = tuple(recording_id for recording_id in ids if recording_id not in gone | stay.keys())
        return Deleted(tuple(one for one in ids if one in gone), missing, len(stopped), stay)

    def _visible(self, owner: str) -> tuple[ColumnElement[bool], ...]:
        """What an owner sees here: what is kept, and what is younger than the rest is kept anyway."""
        recent = _task.c.ended_ms.is_(None) | (_task.c.ended_ms > now_ms() - self._lives_ms)
        return (
            _task.c.owner == owner,
            _task.c.removed.is_(False),
            _file.c.hidden.is_(False),
            or_(_file.c.kept, recent),
        )

    def _one(self, owner: str, recording_id: str) -> Select[Any]:
        """The id of one recording's row. Raises NotFoundError for what is no id of any."""
        split = split_id(recording_id)
        if split is None:
            raise not_found(recording_id)
        return _ids(*self._visible(owner), _file.c.task_id == split[0], _file.c.number == split[1])

    def _holding(self, connection: Connection, owner: str, terms: Sequence[Term]) -> ColumnElement[bool]:
        """What holds for recordings with all terms: by the index, or by their titles while they are not in it."""
        coming = or_(_file.c.state.not_in(ENDED), _file.c.indexed == "")
        query = _ids(*self._visible(owner), coming).add_columns(_file.c.title, _file.c.url).limit(MAX_COMING)
        rows = connection.execute(query.order_by(_file.c.id.desc())).all()
        ids = [row.id for row in rows if search.matches(title_of(row.title, row.url), terms)]
        held = search.holds(connection, owner, terms)
        return or_(_file.c.id.in_(ids), held) if ids else held


def lives_ms(settings: Settings) -> int:
    """How long a recording that nobody keeps is seen here after the end of its task, in milliseconds."""
    return max(round(settings.retention * 3600 * 1000), ANSWERS_MS)


def _ids(*matching: ColumnElement[bool]) -> Select[Any]:
    """The rows of files that match, beside those of their tasks."""
    return select(_file.c.id).join(_task, _task.c.id == _file.c.task_id).where(*matching)


def _filters(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """What a list is narrowed by, but for what is searched for."""
    if wanted.statuses:
        yield _file.c.state.in_([state for state in FileState if status_of(state) in wanted.statuses])
    if wanted.model:
        yield _task.c.model == wanted.model
    if wanted.since_ms is not None:
        yield _task.c.submitted_ms >= wanted.since_ms
    if wanted.until_ms is not None:
        yield _task.c.submitted_ms <= wanted.until_ms


def _recordings(
    connection: Connection, ids: Sequence[int], terms: Sequence[Term], most_hits: int, *, told: bool = False
) -> Iterator[Recording]:
    """These files as recordings, in this order; with ``told``, how others were told of their tasks' ends.

    Those that have gone since their ids were read are left out.
    """
    there = with_redos().where(_file.c.id.in_(ids), _file.c.hidden.is_(False))
    files = {row["id"]: row for row in connection.execute(there).mappings()}
    named = {row["task_id"] for row in files.values()}
    tasks = {row["id"]: row for row in connection.execute(select(_task).where(_task.c.id.in_(named))).mappings()}
    waiting = {row["tag_ms"] for row in tasks.values() if row["status"] == Status.PENDING}
    ahead = {tag_ms: ahead_of(connection, tag_ms) for tag_ms in waiting}
    spoken = search.languages(connection, ids)
    kept = search.kept(connection, ids if terms else ())
    for file_id in ids:
        row = files.get(file_id)
        of_task = tasks.get(row["task_id"]) if row else None
        if row is None or of_task is None:
            continue
        events = deliveries.of_task(connection, of_task["owner"], of_task["id"]) if told else ()
        task = task_of(
            of_task, [row], ahead.get(of_task["tag_ms"]) if of_task["status"] == Status.PENDING else None, events
        )
        title = title_of(row["title"], row["url"])
        yield Recording(
            row_id=file_id,
            task=task,
            title=title,
            kept=row["kept"],
            revision=row["revision"],
            edited_ms=row["edited_ms"],
            languages=tuple(spoken.get(file_id, ())) or task.options.languages,
            found=search.find(kept.get(file_id), title, terms, most_hits) if terms else None,
        )


# --- deleting ---------------------------------------------------------------------------------------------------------


def _held(connection: Connection, owner: str, places: Collection[Place]) -> dict[Place, Place]:
    """Which of these, that are to be deleted together, others have yet to fetch, each with one of those."""
    waiting = awaited(connection, owner) if places else {}
    held: dict[Place, Place] = {}
    while True:  # what stays may itself have something yet to fetch
        more = {
            place: by
            for place in places
            for by in waiting.get((owner, *place), ())
            if place not in held and (by not in places or by in held)
        }
        if not more:
            return held
        held |= more


def _hide(connection: Connection, ids: Collection[int], open_ids: Collection[int]) -> None:
    """Nobody sees these files from now on; whoever works on one of them is too late. Their rows are locked."""
    state = case((_file.c.id.in_(open_ids), FileState.CANCELED.value), else_=_file.c.state)
    gone: dict[str, Any] = {"hidden": True, "kept": False, "indexed": "", **dict.fromkeys(_FORGOTTEN, "")}
    if open_ids:
        gone["state"] = state
    connection.execute(update(_file).where(_file.c.id.in_(ids)).values(gone))
    search.remove(connection, ids)
    connection.execute(delete(_redo).where(_redo.c.file_id.in_(ids), _redo.c.state == Status.PENDING))
    connection.execute(delete(_window).where(_window.c.file_id.in_(open_ids)))


def _end(connection: Connection, task_id: str, stopped: int) -> None:
    """What the loss of recordings means for their task: its end, perhaps, and that it is gone if none are left."""
    if stopped:
        fewer = update(_task).where(_task.c.id == task_id).values(open_files=_task.c.open_files - stopped)
        if connection.execute(fewer.returning(_task.c.open_files)).scalar_one() == 0:
            end_task(connection, task_id)
    left = exists().where(_file.c.task_id == task_id, _file.c.hidden.is_(False))
    connection.execute(update(_task).where(_task.c.id == task_id, ~left).values(removed=True))


def hide_old(engine: Engine, ended_by_ms: int, limit: int) -> int:
    """Delete, as ``Library.delete`` does, some recordings that nobody kept of tasks that others are kept of; how many.

    Tasks without any that is kept are expiry's as a whole. What others have yet to fetch stays until they have.
    """
    other = _file.alias()
    kept = exists().where(other.c.task_id == _task.c.id, other.c.kept)
    over = (_task.c.ended_ms <= ended_by_ms, _task.c.removed.is_(False), _file.c.hidden.is_(False), ~_file.c.kept, kept)
    query = _ids(*over).add_columns(_file.c.owner, _file.c.task_id, _file.c.number)
    with reading(engine) as connection:
        old: Sequence[Any] = connection.execute(query.limit(limit)).all()
        if old and (held := awaited(connection)):
            old = connection.execute(query.limit(limit + len(held))).all()
            old = [row for row in old if (row.owner, row.task_id, row.number) not in held][:limit]
    ids = [row.id for row in old]
    if not ids:
        return 0
    with writing(engine) as connection:
        connection.execute(select(_file.c.id).where(_file.c.id.in_(ids)).order_by(_file.c.id).with_for_update())
        held = awaited(connection)  # once more, for what was accepted meanwhile
        old = connection.execute(query.where(_file.c.id.in_(ids))).all()
        rows = [row for row in old if (row.owner, row.task_id, row.number) not in held]
        _hide(connection, [row.id for row in rows], ())
        for task_id in {row.task_id for row in rows}:
            _end(connection, task_id, 0)
    return len(rows)


@dataclass(frozen=True, slots=True)
class Hidden:
    """A deleted recording of which something may still lie in the store."""

    id: int
    task_id: str
    number: int


def hidden(engine: Engine, limit: int) -> list[Hidden]:
    """Some that were deleted and whose blobs have not been."""
    query = select(_file.c.id, _file.c.task_id, _file.c.number).where(_file.c.hidden, _file.c.indexed != ERASED)
    with reading(engine) as connection:
        return [Hidden(*row) for row in connection.execute(query.limit(limit))]


def erased(engine: Engine, gone: Collection[Hidden]) -> None:
    """The blobs of these are gone."""
    with writing(engine) as connection:
        ids = [one.id for one in gone]
        connection.execute(update(_file).where(_file.c.id.in_(ids), _file.c.hidden).values(indexed=ERASED))
