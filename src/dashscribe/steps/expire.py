"""Removes what is deleted or past its time: tasks with their blobs, sources and transcripts, uploads, events, keys.

Rows go first, by compare-and-set, then blobs, then the last trace of the row, so that a crash in between is made up for
by the next round. A round is skipped when the clocks disagree: a clock that jumps must not delete anything. Of many
workers one goes round at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, or_, select, update

from dashscribe import files, library, recordings, redos, search
from dashscribe.db import clock_ms, elected, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors.sources import TaskTimeoutError
from dashscribe.notify import deliveries
from dashscribe.peaks import peaks_key
from dashscribe.queue.slots import PutBack
from dashscribe.sounds import copy_key
from dashscribe.steps.bench import Bench
from dashscribe.steps.heard import every_first_key, redo_keys, redo_prefix
from dashscribe.tasks import KEY_LIVES_MS

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two rounds, and by how much the clocks may differ over one.
EVERY_S, SLACK_S = 60.0, 30.0
#: Tasks per transaction.
BATCH = 100
#: For how long after its end a task stays that was deleted while it was worked on, in milliseconds.
LINGER_MS = 3600 * 1000

#: What a file has no more once its retention is over.
_FORGOTTEN = ("source_key", "transcript_key", "heard_key", "edits_key")

_task, _file, _redo = tables.tasks, tables.files, tables.redos


class Rounds:
    """Decides when a round is due; ``wall`` and ``monotonic`` are clocks in seconds."""

    def __init__(
        self, bench: Bench, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bench = bench
        self._wall, self._monotonic = wall, monotonic
        self._last = wall(), monotonic()
        self._doubted_s = float("-inf")  # when a clock was last seen to be wrong

    def tidy(self) -> None:
        """Called every second or so.

        Late tasks are failed and what was deleted is erased at once, a round of expiry comes once a minute.
        """
        erase(self._bench)
        limit_s = self._bench.settings.task_timeout_s
        now = self._wall(), self._monotonic()
        is_round = now[1] - self._last[1] >= EVERY_S
        if not (is_round or limit_s):
            return
        if not self._is_right(now, is_round=is_round):
            self._doubted_s = now[1]
            return
        # What was submitted by a clock that was wrong looks late once it is right, and gets the whole time again.
        if limit_s and now[1] - self._doubted_s >= limit_s:
            self._time_out(round(now[0] * 1000), limit_s)
        if is_round:
            with elected(self._bench.engine, "expire") as is_mine:
                if is_mine:
                    expire(self._bench, round(now[0] * 1000))

    def _is_right(self, now: tuple[float, float], *, is_round: bool) -> bool:
        """Whether the clock goes on as it should and agrees with the database's."""
        jump_s = now[0] - self._last[0] - (now[1] - self._last[1])
        if is_round or abs(jump_s) > SLACK_S:
            self._last = now
        if abs(jump_s) > SLACK_S:
            logger.warning("the clock jumped by %.0f s: nothing expires in this round", jump_s)
            return False
        with reading(self._bench.engine) as connection:
            apart_s = (now_ms() - clock_ms(connection)) / 1000
        if abs(apart_s) <= SLACK_S:
            return True
        if is_round:
            logger.warning("this clock and the database's are %.0f s apart: nothing is removed by this worker", apart_s)
        return False

    def _time_out(self, now: int, limit_s: float) -> None:
        """Fail the tasks that are late at this instant, in epoch milliseconds; where that fails, expiry goes on."""
        late, bench = TaskTimeoutError(f"The limit is {limit_s:g} s (DASHSCRIBE_TASK_TIMEOUT_S)."), self._bench
        before_ms = now - round(limit_s * 1000)
        try:
            while ended := files.time_out(bench.engine, before_ms, late.code, late.message, BATCH):
                bench.telemetry.file_ended("failed", late.code, files=len(ended))
                for prefix in ended:
                    bench.store.delete_prefix(prefix)
                    bench.pause()
        except PutBack:
            raise
        except Exception:
            logger.warning("late tasks were not all failed, trying again soon", exc_info=True)


def expire(bench: Bench, now: int) -> None:
    """Remove what is past its time at this instant, in epoch milliseconds; recordings that are kept never are."""
    kept_ms, lives_ms = round(bench.settings.retention * 3600 * 1000), library.lives_ms(bench.settings)
    while library.hide_old(bench.engine, now - lives_ms, BATCH):
        bench.pause()
    erase(bench)
    _drop_hidden(bench, now - lives_ms)
    while ids := _mark_removed(bench, now - lives_ms, now - LINGER_MS):
        gone = _without(bench.store.delete_prefix, {task_id: f"tasks/{task_id}" for task_id in ids})
        with writing(bench.engine) as connection:
            connection.execute(delete(_task).where(_task.c.id.in_(gone), _task.c.removed))
        if len(gone) < len(ids):
            break  # the next round tries again
        bench.pause()
    while (left := _strip(bench, now - kept_ms)) is not None:
        _without(bench.store.delete, {key: key for key in left.keys})
        _without(bench.store.delete_prefix, {prefix: prefix for prefix in left.prefixes})
        bench.pause()
    bench.uploads.expire(now, bench.pause)
    while deliveries.expire(bench.engine, now, lives_ms):
        bench.pause()
    with writing(bench.engine) as connection:
        table = tables.idempotency
        connection.execute(delete(table).where(table.c.created_ms <= now - KEY_LIVES_MS))


def erase(bench: Bench) -> None:
    """Remove what lies in the store of recordings that were deleted."""
    while hidden := library.hidden(bench.engine, BATCH):
        gone = _without(bench.store.delete_prefix, {one: files.prefix_of(one.task_id, one.number) for one in hidden})
        library.erased(bench.engine, gone)
        if len(gone) < len(hidden):
            break  # the next round tries again
        bench.pause()


def _without(remove: Callable[[str], None], names: Mapping[T, str]) -> list[T]:
    """Those of which nothing is left in the store: one that cannot be removed does not hold up the others."""
    gone: list[T] = []
    reason = ""
    for one, name in names.items():
        try:
            remove(name)
        except OSError as error:
            reason = f"{name}: {error}"
        else:
            gone.append(one)
    if reason:
        logger.warning("%d of %d cannot be removed, the last one %s", len(names) - len(gone), len(names), reason)
    return gone


def _drop_hidden(bench: Bench, ended_by_ms: int) -> None:
    """Remove the rows of recordings that were deleted, once their task answers no more but is kept for others."""
    over = (_task.c.ended_ms <= ended_by_ms, _task.c.removed.is_(False))
    erased = (_file.c.hidden, _file.c.indexed == library.ERASED)
    query = select(_file.c.id, _file.c.task_id, _file.c.number).join(_task, _task.c.id == _file.c.task_id)
    while True:
        with reading(bench.engine) as connection:
            rows = connection.execute(query.where(*over, *erased).limit(BATCH)).all()
        if not rows:
            return
        # Once more: a step that died before it noticed may have put something there.
        gone = _without(bench.store.delete_prefix, {row.id: files.prefix_of(row.task_id, row.number) for row in rows})
        with writing(bench.engine) as connection:
            connection.execute(delete(_file).where(_file.c.id.in_(gone)))
        if len(gone) < len(rows):
            return
        bench.pause()


def _mark_removed(bench: Bench, ended_by_ms: int, stopped_by_ms: int) -> Sequence[str]:
    """Hide some tasks that ended before then and of which nothing is kept, and find those that are hidden already.

    A task waits while a file has yet to fetch the source of one of its recordings. Of what was deleted while it was
    worked on, only what was before ``stopped_by_ms``: blobs may come late.
    """
    of_task = _file.c.task_id == _task.c.id
    over = (_task.c.ended_ms <= ended_by_ms) & ~exists().where(of_task, _file.c.kept)
    stopped = exists().where(of_task, _file.c.hidden, _file.c.state == FileState.CANCELED)
    gone = _task.c.removed & ((_task.c.ended_ms <= stopped_by_ms) | ~stopped)
    ids = _some_ids(bench, or_(over, gone))
    if not ids:
        return ids
    with writing(bench.engine) as connection:
        # Who wants to keep one of them waits, or is seen: by a statement of its own, after the one that waited.
        files_of = select(_file.c.id).where(_file.c.task_id.in_(ids)).order_by(_file.c.id)
        connection.execute(files_of.with_for_update())
        free = set(ids) - _still_awaited(connection, ids)
        connection.execute(update(_task).where(_task.c.id.in_(free), over).values(removed=True))
        removed = select(_task.c.id).where(_task.c.id.in_(ids), _task.c.removed)
        return connection.execute(removed).scalars().all()


@dataclass(frozen=True, slots=True)
class _Left:
    """What is to be deleted of some tasks: blobs, and all whose keys begin so."""

    keys: list[str]
    prefixes: list[str]


def _strip(bench: Bench, ended_by_ms: int) -> _Left | None:
    """Forget source and transcript of some tasks that ended before then, but for recordings that are kept.

    None where there is no such task. Windows go with the end of their file, and what a stage that was done again needed
    with the end of the stage; what a kill has left of either goes now, also of recordings that are kept. A task waits
    while a stage of such a recording is done again, and while a file has yet to fetch the source of one.
    """
    redone = _redo.c.state.in_(redos.ACTIVE)
    busy = exists().where(_file.c.task_id == _task.c.id, _file.c.kept, _redo.c.file_id == _file.c.id, redone)
    ids = _some_ids(bench, (_task.c.ended_ms <= ended_by_ms) & _task.c.stripped.is_(False) & ~busy)
    if not ids:
        return None
    names = ("id", "task_id", "number", "generation", "claim", "kept", "result_key", *_FORGOTTEN)
    of_redo = (_redo.c.claim.label("redo_claim"), redone.label("redone"))
    query = select(*(_file.c[name] for name in names), *of_redo).outerjoin(_redo, _redo.c.file_id == _file.c.id)
    of_tasks = _file.c.task_id.in_(ids)
    with writing(bench.engine) as connection:
        connection.execute(select(_file.c.id).where(of_tasks).order_by(_file.c.id).with_for_update())
        every = connection.execute(query.where(of_tasks)).all()
        later = {row.task_id for row in every if row.kept and row.redone}  # asked for a moment ago
        later |= _still_awaited(connection, ids)
        every = [row for row in every if row.task_id not in later]
        mine = [row.id for row in every if not row.kept]
        connection.execute(update(_file).where(_file.c.id.in_(mine)).values(dict.fromkeys(_FORGOTTEN, "")))
        search.remove(connection, mine)
        stripped = [one for one in ids if one not in later]
        connection.execute(update(_task).where(_task.c.id.in_(stripped)).values(stripped=True))
    places = [(row.task_id, row.number) for row in every]
    windows = [files.windows_prefix_of(*place) for place in places]
    redo_folders = [redo_prefix(files.prefix_of(*place)) for place in places]
    return _Left([key for row in every for key in _forgotten_keys(row)], [*windows, *redo_folders])


def _forgotten_keys(row: Row[Any]) -> Iterator[str]:
    """The blobs of a file that go with the retention: all but its result, or of one that is kept, older results."""
    prefix = files.prefix_of(row.task_id, row.number)
    if not row.kept:
        yield from filter(None, (getattr(row, name) for name in _FORGOTTEN))
        yield from (peaks_key(prefix), copy_key(prefix))
    # Results of those who were killed before a row said so, or before they could clear up. Where there is one, the
    # file's last claim has made it; that is old, too, once a stage was done again.
    answering = (row.result_key, row.transcript_key, row.heard_key)
    claim = row.claim if row.redo_claim or not row.result_key else row.claim - 1
    yield from (key for key in every_first_key(prefix, row.generation, claim) if key not in answering)
    for version in range(1, (row.redo_claim or 0) + 1):
        yield from (key for key in redo_keys(prefix, row.generation, version).all if key not in answering)


def _some_ids(bench: Bench, condition: ColumnElement[bool]) -> Sequence[str]:
    """Some tasks of which this holds, but for those with a recording that a file has yet to fetch.

    Of those that are removed already nothing can be fetched.
    """
    query = select(_task.c.id, _task.c.owner, _task.c.removed).where(condition)
    with reading(bench.engine) as connection:
        rows: Sequence[Any] = connection.execute(query.limit(BATCH)).all()
        if rows and (awaited := _awaited(connection)):
            rows = connection.execute(query.limit(BATCH + len(awaited))).all()
            rows = [row for row in rows if row.removed or (row.owner, row.id) not in awaited]
    return [row.id for row in rows[:BATCH]]


def _still_awaited(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of these tasks that ``_some_ids`` would leave out by now; the rows of their files are locked."""
    awaited = _awaited(connection)
    query = select(_task.c.id, _task.c.owner).where(_task.c.id.in_(ids), _task.c.removed.is_(False))
    return {row.id for row in connection.execute(query) if (row.owner, row.id) in awaited} if awaited else set()


def _awaited(connection: Connection) -> set[tuple[str, str]]:
    """Owner and task of each recording that a file has yet to fetch."""
    return {(owner, task_id) for owner, task_id, _ in recordings.awaited(connection)}
