"""Removes what is deleted or past its time: tasks with their blobs, sources and transcripts, uploads, events, keys.

Rows go first, by compare-and-set, then blobs, then the last trace of the row, so that a crash in between is made up for
by the next round. A round is skipped when the clocks disagree: a clock that jumps must not delete anything. Of many
workers one goes round at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, or_, select, update

from dashscribe import files, library, redos, search
from dashscribe.db import clock_ms, elected, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors.sources import TaskTimeoutError
from dashscribe.notify import deliveries
from dashscribe.peaks import peaks_key
from dashscribe.sounds import copy_key
from dashscribe.steps.bench import Bench
from dashscribe.steps.heard import Keys, redo_prefix
from dashscribe.tasks import KEY_LIVES_MS

logger = logging.getLogger(__name__)

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

    def tidy(self) -> None:
        """Called every second or so.

        Late tasks are failed and what was deleted is erased at once, a round of expiry comes once a minute.
        """
        erase(self._bench)
        limit_s = self._bench.settings.task_timeout_s
        if limit_s:
            late = TaskTimeoutError(f"The limit is {limit_s:g} s (DASHSCRIBE_TASK_TIMEOUT_S).")
            submitted_ms = now_ms() - round(limit_s * 1000)
            if ended := files.time_out(self._bench.engine, submitted_ms, late.code, late.message):
                self._bench.telemetry.file_ended("failed", late.code, files=len(ended))
                for prefix in ended:
                    self._bench.store.delete_prefix(prefix)
        now = self._wall(), self._monotonic()
        passed_s = now[1] - self._last[1]
        if passed_s < EVERY_S:
            return
        jump_s = now[0] - self._last[0] - passed_s
        self._last = now
        if abs(jump_s) > SLACK_S:
            logger.warning("the clock jumped by %.0f s: nothing expires in this round", jump_s)
            return
        with reading(self._bench.engine) as connection:
            apart_s = (now_ms() - clock_ms(connection)) / 1000
        if abs(apart_s) > SLACK_S:
            logger.warning("this clock and the database's are %.0f s apart: nothing is removed by this worker", apart_s)
            return
        with elected(self._bench.engine, "expire") as is_mine:
            if is_mine:
                expire(self._bench, round(now[0] * 1000))


def expire(bench: Bench, now: int) -> None:
    """Remove what is past its time at this instant, in epoch milliseconds; recordings that are kept never are."""
    kept_ms, lives_ms = round(bench.settings.retention * 3600 * 1000), library.lives_ms(bench.settings)
    while library.hide_old(bench.engine, now - lives_ms, BATCH):
        bench.pause()
    erase(bench)
    _drop_hidden(bench, now - lives_ms)
    while ids := _mark_removed(bench, now - lives_ms, now - LINGER_MS):
        for task_id in ids:
            bench.store.delete_prefix(f"tasks/{task_id}")
        with writing(bench.engine) as connection:
            connection.execute(delete(_task).where(_task.c.id.in_(ids), _task.c.removed))
        bench.pause()
    while (left := _strip(bench, now - kept_ms)) is not None:
        for key in left.keys:
            bench.store.delete(key)
        for prefix in left.prefixes:
            bench.store.delete_prefix(prefix)
        bench.pause()
    bench.uploads.expire(now, bench.pause)
    while deliveries.expire(bench.engine, now, lives_ms):
        bench.pause()
    with writing(bench.engine) as connection:
        table = tables.idempotency
        connection.execute(delete(table).where(table.c.created_ms <= now - KEY_LIVES_MS))


def erase(bench: Bench) -> None:
    """Remove what lies in the store of recordings that were deleted."""
    while gone := library.hidden(bench.engine, BATCH):
        for one in gone:
            bench.store.delete_prefix(files.prefix_of(one.task_id, one.number))
        library.erased(bench.engine, gone)
        bench.pause()


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
        for row in rows:  # once more: a step that died before it noticed may have put something there
            bench.store.delete_prefix(files.prefix_of(row.task_id, row.number))
        with writing(bench.engine) as connection:
            connection.execute(delete(_file).where(_file.c.id.in_([row.id for row in rows])))
        bench.pause()


def _mark_removed(bench: Bench, ended_by_ms: int, stopped_by_ms: int) -> Sequence[str]:
    """Hide some tasks that ended before then and of which nothing is kept, and find those that are hidden already.

    Of what was deleted while it was worked on, only what was before ``stopped_by_ms``: blobs may come late.
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
        connection.execute(update(_task).where(_task.c.id.in_(ids), over).values(removed=True))
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
    while a stage of such a recording is done again.
    """
    redone = _redo.c.state.in_(redos.ACTIVE)
    busy = exists().where(_file.c.task_id == _task.c.id, _file.c.kept, _redo.c.file_id == _file.c.id, redone)
    ids = _some_ids(bench, (_task.c.ended_ms <= ended_by_ms) & _task.c.stripped.is_(False) & ~busy)
    if not ids:
        return None
    names = [_file.c[name] for name in ("id", "task_id", "number", "generation", "kept", "result_key", *_FORGOTTEN)]
    query = select(*names, _redo.c.claim, redone.label("redone")).outerjoin(_redo, _redo.c.file_id == _file.c.id)
    of_tasks = _file.c.task_id.in_(ids)
    with writing(bench.engine) as connection:
        connection.execute(select(_file.c.id).where(of_tasks).order_by(_file.c.id).with_for_update())
        every = connection.execute(query.where(of_tasks)).all()
        later = {row.task_id for row in every if row.kept and row.redone}  # asked for a moment ago
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
    answering = (row.result_key, row.transcript_key, row.heard_key)
    # What a stage that was done again left of earlier versions, if it was interrupted before it could clear up.
    for version in range(row.claim + 1) if row.claim else ():
        yield from (key for key in Keys(prefix, row.generation, version).all if key not in answering)


def _some_ids(bench: Bench, condition: ColumnElement[bool]) -> Sequence[str]:
    with reading(bench.engine) as connection:
        return connection.execute(select(_task.c.id).where(condition).limit(BATCH)).scalars().all()
