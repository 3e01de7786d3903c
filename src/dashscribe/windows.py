"""The windows of a file on their way: cut, claimed, done; the last one to close makes the file ready to be joined.

A window is counted in its file's ``open`` from the transaction that adds it to the one that closes it, so that exactly
one of them sees the count reach 0. Keys carry the generation of the cut; a window that a later cut finds again, sound
for sound, keeps its row, its blobs and its result.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    delete,
    insert,
    literal,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from dashscribe import fleet, order
from dashscribe.db import DatabaseClock, database_now, reading, tables, writing
from dashscribe.db.tables import FileState, WindowState
from dashscribe.files import ClaimedFile, join_if_complete
from dashscribe.fleet import ANYONE, Member
from dashscribe.store import Stored
from dashscribe.tasks import as_json
from dashscribe.types import Options, Span, Window

#: How many waiting windows are counted at most before others have to wait: several for each of thousands of slots.
COUNTED = 12_000
#: Windows of half a minute in two hours, and some: how many are looked at together.
_PAGE = 300

_window, _file, _task = tables.windows, tables.files, tables.tasks


class Effect(Enum):
    """What a writer's transition did: nothing because it came too late, its own change, or the last one of its file."""

    NONE = 0
    CHANGED = 1
    LAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedWindow:
    """A window as a slot claimed it, with what its file says of it. ``claim`` entitles the slot to write."""

    id: int
    file_id: int
    file_number: int
    task_id: str
    owner: str
    request_id: str
    traceparent: str
    channel: int
    number: int
    generation: int
    claim: int
    failures: int
    interrupted: int
    express: bool
    spans: tuple[Span, ...]
    speech_ms: int
    audio_key: str
    audio_bytes: int
    engine: str
    engine_version: str
    options: Options

    def window(self, audio: bytes) -> Window:
        """The window with its sound."""
        return Window(self.channel, self.number, self.spans, audio)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWindow:
    """A window that needs no more work: with a result, or given up for ``reason``."""

    id: int
    channel: int
    number: int
    spans: tuple[Span, ...]
    speech_ms: int
    audio_key: str
    result_key: str
    result_bytes: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CutWindow:
    """A window that an earlier cut of the file has left."""

    id: int
    tag_ms: int
    spans: tuple[Span, ...]
    audio_key: str
    audio_bytes: int
    audio_sha256: str


def audio_key(file: ClaimedFile, window: Window) -> str:
    """Where the sound of a window lies that this cut made."""
    return f"{file.windows_prefix}/{file.generation}/{window.channel}-{window.index}.flac"


def result_key(audio_key: str, engine_name: str, engine_version: str) -> str:
    """Where the outcomes lie that an engine has for a sound: found again by whoever comes to recognize it."""
    engine = re.sub(r"[^A-Za-z0-9._-]", "_", f"{engine_name}-{engine_version}")
    return f"{audio_key.removesuffix('.flac')}.{engine}.json"


def voices_key(audio_key: str, version: str) -> str:
    """Where it lies who was heard in a sound, by what of that version tells voices apart."""
    return f"{audio_key.removesuffix('.flac')}.voices-{version}.json"


# --- cutting --------------------------------------------------------------------------------------------------------


def left_over(engine: Engine, file: ClaimedFile) -> dict[tuple[int, int], CutWindow]:
    """What earlier cuts of the file have left, by channel and number."""
    query = select(_window).where(_window.c.file_id == file.id)
    with reading(engine) as connection:
        rows = connection.execute(query).mappings().all()
    names = ("id", "tag_ms", "audio_key", "audio_bytes", "audio_sha256")
    return {
        (row["channel"], row["number"]): CutWindow(**{name: row[name] for name in names}, spans=_spans(row))
        for row in rows
    }


def add(
    engine: Engine,
    file: ClaimedFile,
    window: Window,
    key: str,
    audio: Stored,
    tag_ms: int,
    express: bool,
    queues: Sequence[str] | None = None,
) -> bool:
    """Hand out a window whose sound lies in the store, in place of one that an earlier cut put there.

    ``queues`` are as for ``order.charge``.
    """
    place = {"file_id": file.id, "channel": window.channel, "number": window.index}
    values = {"generation": file.generation, "state": WindowState.READY, "tag_ms": tag_ms, "express": express}
    values |= {"spans": as_json(window.spans), "speech_ms": window.speech_ms}
    values |= {"queue": file.queue, "audio_key": key, "audio_bytes": audio.size_bytes, "audio_sha256": audio.sha256}
    with writing(engine) as connection:
        if not _count_in(connection, file, window.speech_ms, closed=False):
            return False
        if file.generation > 1:
            connection.execute(delete(_window).where(*(_window.c[name] == value for name, value in place.items())))
        order.charge(connection, file.owner, window.speech_ms, queues)
        connection.execute(insert(_window).values(**place, **values))
    return True


def keep(engine: Engine, file: ClaimedFile, window: Window, row: CutWindow, tag_ms: int, express: bool) -> bool:
    """Hand out a window that an earlier cut made just so; if it is closed, it stays closed."""
    wanted = result_key(row.audio_key, file.engine, file.engine_version)
    left = select(_window.c.state, _window.c.result_key).where(_window.c.id == row.id)
    values: dict[str, object] = {"generation": file.generation, "tag_ms": tag_ms, "express": express}
    values["queue"] = file.queue
    with writing(engine) as connection:
        state, key = connection.execute(left).one()
        closed = state == WindowState.GIVEN_UP or (state == WindowState.DONE and key == wanted)
        if not _count_in(connection, file, window.speech_ms, closed=closed):
            return False
        if not closed:
            values |= {"state": WindowState.READY, "due_ms": 0, "result_key": "", "result_bytes": 0}
        connection.execute(update(_window).where(_window.c.id == row.id).values(values))
    return True


def _count_in(connection: Connection, file: ClaimedFile, speech_ms: int, *, closed: bool) -> bool:
    """Count a window in its file if the cut is still this claim's."""
    mine = (_file.c.id == file.id, _file.c.state == FileState.CUTTING, _file.c.claim == file.claim)
    values = {"speech_ms": _file.c.speech_ms + speech_ms}
    if closed:
        values["recognized_ms"] = _file.c.recognized_ms + speech_ms
    else:
        values["open"] = _file.c.open + 1
    return connection.execute(update(_file).where(*mine).values(values)).rowcount == 1


def brim(engine: Engine, limit_ms: int, by: Member = ANYONE) -> int | None:
    """The tag from which on new windows have to wait, because this much speech is waiting before them; None for none.

    Counted along the one order, so that one owner's long file never holds up what is due before it, and no further than
    up to there, nor than ``COUNTED`` windows, however many wait. Only queues of ``by`` count: what waits for other
    engines is no reason for these to have nothing to do.
    """
    waiting = select(_window.c.tag_ms, _window.c.id, _window.c.speech_ms).where(_window.c.state == WindowState.READY)
    mine = by.may_take(_window.c.queue)
    if mine is not None:
        waiting = waiting.where(mine)
    waiting = waiting.order_by(_window.c.tag_ms, _window.c.id).limit(_PAGE)
    ahead_ms, count, page = 0, 0, waiting
    with reading(engine) as connection:
        while rows := connection.execute(page).all():
            for row in rows:
                ahead_ms, count = ahead_ms + row.speech_ms, count + 1
                if ahead_ms > limit_ms or count == COUNTED:
                    return row.tag_ms
            page = waiting.where(tuple_(_window.c.tag_ms, _window.c.id) > (rows[-1].tag_ms, rows[-1].id))
    return None


# --- recognizing ----------------------------------------------------------------------------------------------------


def claim(engine: Engine, by: Member = ANYONE, *, express_only: bool = False) -> ClaimedWindow | None:
    """Take the first window in the one order that is ready, due and of a queue of ``by``."""
    ready = [_window.c.state == WindowState.READY, _window.c.due_ms <= database_now()]
    if express_only:
        ready.append(_window.c.express)
    of_task = (_task.c.options, _task.c.request_id, _task.c.traceparent)
    of_file = (
        _file.c.number.label("file_number"),
        _file.c.task_id,
        _file.c.owner,
        _file.c.engine,
        _file.c.engine_version,
    )
    with writing(engine) as connection:
        window_id = next(
            (
                found
                for queue in _queues(connection, ready, by)
                if (found := connection.execute(_taking([*ready, *queue], by)).scalar()) is not None
            ),
            None,
        )
        if window_id is None:
            return None
        query = (
            select(_window, *of_file, *of_task)
            .join(_file, _file.c.id == _window.c.file_id)
            .join(_task, _task.c.id == _file.c.task_id)
            .where(_window.c.id == window_id)
        )
        row = connection.execute(query).mappings().one()
    return _claimed(row)


def _queues(connection: Connection, ready: list[ColumnElement[bool]], by: Member) -> list[list[ColumnElement[bool]]]:
    """What holds for each of the queues in which a window waits, the most urgent first.

    Each is looked at by itself: with an index over queue and tag that costs the same however many windows wait in
    queues of others.
    """
    if by.queues is None:
        return [[]]
    fronts = [
        select(literal(queue).label("queue"), _window.c.tag_ms)
        .where(*ready, _window.c.queue == queue)
        .order_by(_window.c.tag_ms)
        .limit(1)
        .subquery()
        for queue in ("", *by.queues)
    ]
    found = union_all(*(select(front) for front in fronts)).subquery()
    rows = connection.execute(select(found.c.queue).order_by(found.c.tag_ms)).scalars()
    return [[_window.c.queue == queue] for queue in rows]


def _taking(conditions: list[ColumnElement[bool]], by: Member) -> ReturningUpdate[tuple[int]]:
    """Take the first window that meets these and that nobody else is taking."""
    first = select(_window.c.id).where(*conditions).order_by(_window.c.tag_ms, _window.c.id).limit(1)
    free = first.with_for_update(skip_locked=True).scalar_subquery()
    return (
        update(_window)
        .where(_window.c.id == free, _window.c.state == WindowState.READY)
        .values(state=WindowState.CLAIMED, claim=_window.c.claim + 1, worker=by.id)
        .returning(_window.c.id)
    )


def _claimed(row: RowMapping) -> ClaimedWindow:
    same = ("id", "file_id", "task_id", "owner", "channel", "number", "generation", "claim", "failures", "interrupted")
    same += (
        "file_number",
        "request_id",
        "traceparent",
        "express",
        "speech_ms",
        "audio_key",
        "audio_bytes",
        "engine",
        "engine_version",
    )
    options = msgspec.json.decode(row["options"], type=Options)
    return ClaimedWindow(**{name: row[name] for name in same}, spans=_spans(row), options=options)


def due(engine: Engine) -> bool:
    """Whether some window is ready to be claimed."""
    ready = (_window.c.state == WindowState.READY, _window.c.due_ms <= database_now())
    query = select(_window.c.id).where(*ready).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).first() is not None


def done(engine: Engine, window: ClaimedWindow, key: str, size_bytes: int) -> Effect:
    """The outcomes of the window lie in the store."""
    return _close(engine, window, {"state": WindowState.DONE, "result_key": key, "result_bytes": size_bytes})


def give_up(engine: Engine, window: ClaimedWindow, reason: str) -> Effect:
    """The window is not tried again: its spans are booked as failed, and the file goes on."""
    return _close(engine, window, {"state": WindowState.GIVEN_UP, "reason": reason})


def _close(engine: Engine, window: ClaimedWindow, values: Mapping[str, object]) -> Effect:
    with writing(engine) as connection:
        # The file first: whoever cuts it anew holds its row while the windows become stale.
        connection.execute(select(_file.c.id).where(_file.c.id == window.file_id).with_for_update())
        if not _set(connection, window, values):
            return Effect.NONE
        connection.execute(
            update(_file)
            .where(_file.c.id == window.file_id)
            .values(open=_file.c.open - 1, recognized_ms=_file.c.recognized_ms + window.speech_ms)
        )
        last = join_if_complete(connection, window.file_id)
    return Effect.LAST if last else Effect.CHANGED


def _set(connection: Connection, window: ClaimedWindow, values: Mapping[str, object]) -> bool:
    """Change the row if it is still this claim's, which it no longer is once the file is being cut anew."""
    mine = (_window.c.id == window.id, _window.c.state == WindowState.CLAIMED, _window.c.claim == window.claim)
    return connection.execute(update(_window).where(*mine).values(dict(values))).rowcount == 1


def release(engine: Engine, window: ClaimedWindow, after_ms: int = 0, *, failed_once: bool = False) -> bool:
    """Give the window back, to be claimed again in ``after_ms`` at the earliest."""
    due_ms = DatabaseClock() + after_ms if after_ms else 0  # not now: the clock may be set back
    values: dict[str, object] = {"state": WindowState.READY, "due_ms": due_ms}
    if failed_once:
        values["failures"] = _window.c.failures + 1
    with writing(engine) as connection:
        return _set(connection, window, values)


def recut(engine: Engine, window: ClaimedWindow) -> bool:
    """The window cannot be recognized as it is, for its sound or its engine has changed: have the file cut anew."""
    again = (_file.c.id == window.file_id, _file.c.generation == window.generation)
    with writing(engine) as connection:
        cut = update(_file).where(*again, _file.c.state == FileState.RECOGNIZING)
        return connection.execute(cut.values(state=FileState.FETCHED)).rowcount == 1


def recover(engine: Engine, worker: str | None = None, but_for: Collection[int] = ()) -> int:
    """Free the claims of that worker, or of all that are gone, as ``files.recover`` does."""
    with writing(engine) as connection:
        return connection.execute(
            update(_window)
            .where(_window.c.state == WindowState.CLAIMED, fleet.held(_window, worker, but_for))
            .values(state=WindowState.READY, due_ms=0, interrupted=_window.c.interrupted + 1)
        ).rowcount


# --- joining --------------------------------------------------------------------------------------------------------


def of_file(engine: Engine, file: ClaimedFile) -> list[ClosedWindow]:
    """All windows of a file that is to be joined, channel by channel, in order of time."""
    query = (
        select(_window)
        .where(_window.c.file_id == file.id, _window.c.generation == file.generation)
        .order_by(_window.c.channel, _window.c.number)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).mappings().all()
    names = ("id", "channel", "number", "speech_ms", "audio_key", "result_key", "result_bytes", "reason")
    return [ClosedWindow(**{name: row[name] for name in names}, spans=_spans(row)) for row in rows]


def reopen(engine: Engine, file: ClaimedFile, lost: Sequence[ClosedWindow]) -> bool:
    """Have windows recognized again whose results are missing or damaged; the file waits for them."""
    mine = (_file.c.id == file.id, _file.c.state == file.state, _file.c.claim == file.claim)
    lost_ms = sum(window.speech_ms for window in lost)
    waiting = {"state": FileState.RECOGNIZING, "open": _file.c.open + len(lost)}
    again = {"state": WindowState.READY, "due_ms": 0, "result_key": "", "result_bytes": 0}
    with writing(engine) as connection:
        values = {**waiting, "recognized_ms": _file.c.recognized_ms - lost_ms}
        if not connection.execute(update(_file).where(*mine).values(values)).rowcount:
            return False
        connection.execute(update(_window).where(_window.c.id.in_([window.id for window in lost])).values(again))
    return True


def _spans(row: RowMapping) -> tuple[Span, ...]:
    return msgspec.json.decode(row["spans"], type=tuple[Span, ...])
