"""How much there is to do, for people: an owner's own part and everybody's sums, who works, and on which engines."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from sqlalchemy import BigInteger, Connection, Engine, cast, func, select

from dashscribe import fleet
from dashscribe.config import Settings
from dashscribe.db import is_shared, now_ms, reading, tables
from dashscribe.db.tables import FileState, Status, WindowState
from dashscribe.files import CLAIMED, ENDED

_file, _task, _window, _redo = tables.files, tables.tasks, tables.windows, tables.redos
_OPEN = [state for state in FileState if state not in ENDED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Files that wait for work to begin and that are worked on, and their speech that is cut but not recognized.

    ``oldest_wait_ms`` is the age of the oldest task that has not begun, None where there is none.
    """

    waiting: int
    running: int
    speech_ms_waiting: int
    oldest_wait_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoad:
    """A worker that is there; ``busy`` is how many pieces of work it holds. ``seen_ms`` is when it last said so."""

    id: str
    host: str
    version: str
    slots: int
    engines: tuple[str, ...]
    busy: int
    seen_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Windows of about 30 s that wait for an engine, and that it is recognizing."""

    engine: str
    waiting: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything, at about one instant."""

    own: Load
    everybody: Load
    workers: list[WorkerLoad] = field(default_factory=list[WorkerLoad])
    engines: list[EngineLoad] = field(default_factory=list[EngineLoad])


def overview(engine: Engine, settings: Settings, owner: str) -> Overview:
    """What there is to do, an owner's own part of it, and who does it."""
    with reading(engine) as connection:
        own, everybody = _load(connection, owner), _load(connection)
        held, by_engine = _held(connection), list(_engines(connection))
    return Overview(own=own, everybody=everybody, workers=list(_workers(engine, settings, held)), engines=by_engine)


def _load(connection: Connection, owner: str = "") -> Load:
    files = select(_file.c.state, func.count()).where(_file.c.state.in_(_OPEN)).group_by(_file.c.state)
    left = cast(func.coalesce(func.sum(_file.c.speech_ms - _file.c.recognized_ms), 0), BigInteger)
    speech = select(left).where(_file.c.state.in_((FileState.CUTTING, FileState.RECOGNIZING)))
    oldest = select(func.min(_task.c.submitted_ms)).where(_task.c.status == Status.PENDING)
    if owner:
        files, speech = files.where(_file.c.owner == owner), speech.where(_file.c.owner == owner)
        oldest = oldest.where(_task.c.owner == owner)
    counts = {state: count for state, count in connection.execute(files)}
    since_ms = connection.execute(oldest).scalar()
    return Load(
        waiting=counts.pop(FileState.WAITING, 0),
        running=sum(counts.values()),
        speech_ms_waiting=connection.execute(speech).scalar_one(),
        oldest_wait_ms=None if since_ms is None else max(0, now_ms() - since_ms),
    )


def _held(connection: Connection) -> Counter[str]:
    """How many rows each worker holds; on SQLite the only one has no name."""
    held = Counter[str]()
    claimed = (
        (_file, _file.c.state.in_(CLAIMED.values())),
        (_window, _window.c.state == WindowState.CLAIMED),
        (_redo, _redo.c.state == Status.RUNNING),
    )
    for table, is_held in claimed:
        query = select(table.c.worker, func.count()).where(is_held).group_by(table.c.worker)
        held.update({worker: count for worker, count in connection.execute(query)})
    return held


def _engines(connection: Connection) -> Iterator[EngineLoad]:
    """Windows by the engine of their file."""
    open_states = (WindowState.READY, WindowState.CLAIMED)
    query = (
        select(_file.c.engine, _window.c.state, func.count())
        .join(_file, _file.c.id == _window.c.file_id)
        .where(_window.c.state.in_(open_states))
        .group_by(_file.c.engine, _window.c.state)
    )
    counts = {(name, state): count for name, state, count in connection.execute(query)}
    for name in sorted({name for name, _ in counts}):
        yield EngineLoad(name, *(counts.get((name, state), 0) for state in open_states))


def _workers(engine: Engine, settings: Settings, held: Counter[str]) -> Iterator[WorkerLoad]:
    """Who is at work: those that say so, or on SQLite the one of this home."""
    if not is_shared(engine):
        engines = tuple(sorted({info.name for info in fleet.offered(settings).values()}))
        yield WorkerLoad(
            id="local",
            host=socket.gethostname(),
            version=version("dashscribe"),
            slots=settings.workers,
            engines=engines,
            busy=held.total(),
        )
        return
    now = now_ms()
    for peer in fleet.workers(engine):
        if peer.is_alive:
            same = {name: getattr(peer, name) for name in ("id", "host", "version", "slots", "engines")}
            yield WorkerLoad(**same, busy=held[peer.id], seen_ms=now - peer.silent_ms)
