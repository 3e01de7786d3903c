"""Opens the database at the newest schema and hands out transactions; the one place with SQL for one product only.

A commit is on disk when it returns. Writers begin as writers (BEGIN IMMEDIATE), so none fails half-way for a lock, and
queue up inside the process, because SQLite's own waiting polls with growing sleeps.
"""

from __future__ import annotations

import secrets as random
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, make_url, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError

from dashscribe.db import tables
from dashscribe.errors import ConfigError

#: How long a writer waits for one in another process, in milliseconds.
BUSY_MS = 15_000

#: Held by the one writer of this process; all but urgent ones come to it one at a time.
_writer, _queue = threading.Lock(), threading.Lock()


def open_database(url: str) -> Engine:
    """Connect and bring the schema to this version; raises ConfigError for a database that cannot be used."""
    where = make_url(url)
    if where.get_backend_name() != "sqlite" or where.database in (None, "", ":memory:"):
        raise ConfigError(f"database_url={url!r}: give sqlite:///PATH with the path of a file")
    try:
        Path(str(where.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(where.set(drivername="sqlite+pysqlite"), pool_size=16, max_overflow=-1)
        event.listen(engine, "connect", _tune)
        event.listen(engine, "begin", _begin)
        _migrate(engine, url)
    except (OSError, DatabaseError) as error:
        reason = error.orig if isinstance(error, DatabaseError) else error
        raise ConfigError(f"database_url={url!r} cannot be opened: {reason}") from error
    return engine


def _tune(connection: sqlite3.Connection, record: object) -> None:
    """Set up a new SQLite connection."""
    del record
    connection.isolation_level = None  # the driver must not begin transactions by itself; _begin does
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """A transaction that sees one state of the database and waits for nobody."""
    with engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *, urgent: bool = False) -> Generator[Connection]:
    """A transaction that may write; on disk when the block has ended, undone when it raises. Does not nest.

    ``urgent`` for one that a caller waits for: of all others at most one goes before it.
    """
    with nullcontext() if urgent else _queue, _writer, engine.execution_options(writes=True).begin() as connection:
        yield connection


def _migrate(engine: Engine, url: str) -> None:
    with reading(engine) as connection:
        stored = _revision(connection)
    if stored == tables.REVISION:
        return
    if stored > tables.REVISION:
        raise ConfigError(
            f"database_url={url!r} was written by a newer version (schema {stored}, this version knows "
            f"{tables.REVISION}): update dashscribe, or use another database"
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "dashscribe.db:migrations")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str:
    """The migration that the database is at; empty for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def secret(engine: Engine, name: str) -> str:
    """A random secret of this installation, made the first time it is asked for."""
    query = select(tables.secrets.c.value).where(tables.secrets.c.name == name)
    with reading(engine) as connection:
        value = connection.execute(query).scalar()
    if value is not None:
        return value
    with suppress(IntegrityError), writing(engine) as connection:  # another process may be first
        connection.execute(insert(tables.secrets).values(name=name, value=random.token_urlsafe(32)))
    with reading(engine) as connection:
        return connection.execute(query).scalar_one()


def now_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def as_datetime(epoch_ms: int) -> datetime:
    """An instant as aware UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def as_ms(instant: datetime) -> int:
    """An aware datetime in epoch milliseconds."""
    return round(instant.timestamp() * 1000)
