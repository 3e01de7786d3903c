"""Who works on a database that many share, what each can run, and whose rows go back.

A worker says that it lives by the database's clock, so that machines need not agree on the time. Rows name who holds
them; those of a worker that has not been seen for its lease are freed by any other one. What a worker can go on with
is said by ``queue``: the engine with its version, and whatever else of what is installed changes a result.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, delete, func, select, update

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.db import DatabaseClock, clock_ms, database_now, inserting, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.engines import EngineInfo, engines, find_engine, is_installed

_workers, _file = tables.workers, tables.files

#: How many signs of life fall into one lease: five may be lost.
BEATS = 6
#: For how long after the last sign of a worker its engines still count, in milliseconds: it may only be restarting.
ABSENT_MS = 600_000
#: How long a row of a worker that is gone is kept for people to look at.
FORGET_MS = 24 * 3600 * 1000
#: How long what was read of the others is believed, in seconds.
FRESH_S = 5.0

#: States in which a file waits for, or is with, workers of its queue.
_BOUND = (FileState.FETCHED, FileState.CUTTING, FileState.RECOGNIZING, FileState.JOINING, FileState.FINISHING)


@dataclass(frozen=True, slots=True)
class Member:
    """One who claims rows: by which name, and of which queues; None where there is nobody else, as on SQLite."""

    id: str = ""
    queues: tuple[str, ...] | None = None

    def may_take(self, queue: ColumnElement[str]) -> ColumnElement[bool] | None:
        """What holds for rows that this one can go on with; None for any."""
        return None if self.queues is None else queue.in_(("", *self.queues))


#: One who takes whatever there is.
ANYONE = Member()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A worker as the others see it; ``engines`` are names. ``silent_ms`` is how long ago it was last seen."""

    id: str
    host: str
    version: str
    slots: int
    engines: tuple[str, ...]
    silent_ms: int
    lease_ms: int

    @property
    def is_alive(self) -> bool:
        """Whether its rows are still its own."""
        return self.silent_ms < self.lease_ms


def offered(settings: Settings) -> dict[str, EngineInfo]:
    """The engines that are installed here, by queue.

    Models of the other stages (voice activity, marks, speakers …) are part of a queue's name: a file whose windows
    were cut and recognized with some must not be finished with others.
    """
    models = weights.installed(settings.resolved_models_dir).values()
    beside = sorted(f"{model.name} {model.digest}" for model in models if model.layout.family.task != "speech")
    kit = hashlib.sha256("\n".join(beside).encode()).hexdigest()[:12] if beside else "bare"
    infos = dict(engines(settings))
    if settings.engine:
        infos[settings.engine] = find_engine(settings.engine, settings)
    return {f"{info.name}@{info.version}+{kit}": info for info in infos.values() if is_installed(info)}


# --- saying that one lives ------------------------------------------------------------------------------------------


def beat(engine: Engine, member: Member, engines: Mapping[str, EngineInfo], settings: Settings) -> None:
    """Say that a worker lives and what it runs, by queue."""
    here = {"host": socket.gethostname(), "pid": os.getpid(), "version": version("dashscribe")}
    here |= {"slots": settings.workers, "lease_ms": round(settings.lease_s * 1000)}
    here["engines"] = msgspec.json.encode(dict(engines)).decode()
    here["queues"] = msgspec.json.encode(sorted(engines)).decode()
    with writing(engine) as connection:
        now = DatabaseClock()
        new = inserting(connection, _workers).values(id=member.id, **here, started_ms=now, seen_ms=now)
        connection.execute(new.on_conflict_do_update(index_elements=["id"], set_={**here, "seen_ms": now}))


def leave(engine: Engine, member: Member) -> None:
    """Say that a worker has ended; what it still held is free for others from now on."""
    with writing(engine) as connection:
        gone = update(_workers).where(_workers.c.id == member.id)
        connection.execute(gone.values(seen_ms=DatabaseClock() - _workers.c.lease_ms))


class Presence:
    """Whether a worker may judge who is gone; instants are of a monotonic clock, in seconds.

    One that could not say for a whole lease that it lives knows that others could not, either: the database was away,
    or the network. Until they have had a lease's time to say so again, their silence means nothing.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._seen_s = self._back_s = float("-inf")

    def seen(self, at_s: float) -> None:
        """The database was told that this worker lives."""
        if self._lease_s < at_s - self._seen_s < float("inf"):
            self._back_s = at_s
        self._seen_s = at_s

    def may_judge(self, at_s: float) -> bool:
        """Whether the silence of others means that they are gone."""
        return at_s - self._seen_s <= self._lease_s <= at_s - self._back_s


# --- what others left behind ----------------------------------------------------------------------------------------


def held(table: Table, worker: str | None, but_for: Collection[int] = ()) -> ColumnElement[bool]:
    """What holds for claimed rows of a table that are that worker's, or, for None, of any that is not there any more.

    Rows ``but_for`` are not meant. On SQLite nobody says that he lives: there every claim is of somebody who is gone
    when the next worker begins.
    """
    if worker is not None:
        (key,) = table.primary_key.columns
        return and_(table.c.worker == worker, key.not_in(but_for))
    living = select(_workers.c.id).where(_is_alive())
    return table.c.worker.not_in(living)


def _is_alive() -> ColumnElement[bool]:
    return _workers.c.seen_ms + _workers.c.lease_ms > DatabaseClock()


def release_unserved(engine: Engine) -> int:
    """Let any worker take the files whose queue nobody serves any more, to be cut anew; how many there were."""
    with reading(engine) as connection:
        in_use = set(connection.execute(select(_file.c.queue).where(_file.c.state.in_(_BOUND)).distinct()).scalars())
        unserved = in_use - {""} - served(connection)
    if not unserved:
        return 0
    waiting = (FileState.FETCHED, FileState.RECOGNIZING, FileState.JOINING)
    with writing(engine) as connection:
        free = update(_file).where(_file.c.state.in_(waiting), _file.c.queue.in_(unserved))
        return connection.execute(free.values(state=FileState.FETCHED, queue="")).rowcount


def served(connection: Connection) -> set[str]:
    """The queues of all workers that there are, or were a moment ago."""
    recent = _workers.c.seen_ms > DatabaseClock() - ABSENT_MS
    lists = connection.execute(select(_workers.c.queues).where(recent).distinct()).scalars()
    return {queue for text in lists for queue in msgspec.json.decode(text, type=list[str])}


def forget(engine: Engine) -> None:
    """Remove the rows of workers that ended long ago."""
    with writing(engine) as connection:
        connection.execute(delete(_workers).where(_workers.c.seen_ms < DatabaseClock() - FORGET_MS))


# --- seeing the others ----------------------------------------------------------------------------------------------


def workers(engine: Engine) -> list[Peer]:
    """All workers that are remembered, the oldest first."""
    with reading(engine) as connection:
        now = clock_ms(connection)
        rows = connection.execute(select(_workers).order_by(_workers.c.started_ms, _workers.c.id)).mappings().all()
    same = ("id", "host", "version", "slots", "lease_ms")
    return [
        Peer(
            **{name: row[name] for name in same},
            engines=tuple(sorted({info.name for info in _decode(row["engines"]).values()})),
            silent_ms=now - row["seen_ms"],
        )
        for row in rows
    ]


_decode = msgspec.json.Decoder(dict[str, EngineInfo]).decode


class Offers:
    """What the workers of a shared database can run, by queue, read again every ``FRESH_S``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._engines: dict[str, EngineInfo] = {}
        self._alive = 1
        self._at_s = float("-inf")

    def engines(self) -> Mapping[str, EngineInfo]:
        """The engines that work can be given to, those of workers that may only be restarting among them.

        While no worker is there at all, those of the last ones.
        """
        self._refresh()
        return self._engines

    def alive(self) -> int:
        """How many workers are at work, at least 1."""
        self._refresh()
        return self._alive

    def seen(self) -> str:
        """How many workers there are, for people."""
        with reading(self._engine) as connection:
            alive = select(func.count()).select_from(_workers).where(_is_alive())
            count = connection.execute(alive).scalar_one()
        return "none is there yet" if not count else f"{count} {'is' if count == 1 else 'are'} there now"

    def queue_of(self, info: EngineInfo, own: Collection[str]) -> str:
        """A queue that goes to this engine in this version: one's own if possible, empty where nobody serves one."""
        fitting = [q for q, found in self.engines().items() if (found.name, found.version) == (info.name, info.version)]
        return next((queue for queue in fitting if queue in own), next(iter(fitting), ""))

    def _refresh(self) -> None:
        with self._guard:
            if time.monotonic() - self._at_s < FRESH_S:
                return
            with reading(self._engine) as connection:
                # Counted from whoever was seen last: while nobody is there at all, what those had who went last is
                # still accepted, and waits for them. They are forgotten after a day.
                newest_ms = select(func.max(_workers.c.seen_ms)).scalar_subquery()
                recent = and_(
                    _workers.c.seen_ms > newest_ms - ABSENT_MS, _workers.c.seen_ms > database_now() - FORGET_MS
                )
                texts = connection.execute(select(_workers.c.engines).where(recent).distinct())
                self._engines = {queue: info for (text,) in texts for queue, info in _decode(text).items()}
                alive = select(func.count()).select_from(_workers).where(_is_alive())
                self._alive = max(1, connection.execute(alive).scalar_one())
            self._at_s = time.monotonic()
