"""Opens the database at the newest schema and hands out transactions; the one place with SQL for one product only.

SQLite for one machine: a commit is on disk when it returns, writers begin as writers (BEGIN IMMEDIATE), so none fails
half-way for a lock, and queue up inside the process, because SQLite's own waiting polls with growing sleeps. PostgreSQL
for many: writers run side by side under READ COMMITTED and lock what they decide on, in one order: files, windows,
tasks, owners, usage.
"""

from __future__ import annotations

import hashlib
import secrets as random
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, IntegrityError

from dashscribe.db import connecting, tables
from dashscribe.db.clock import DatabaseClock as DatabaseClock
from dashscribe.db.clock import as_datetime as as_datetime
from dashscribe.db.clock import as_ms as as_ms
from dashscribe.db.clock import clock_ms as clock_ms
from dashscribe.db.clock import database_now as database_now
from dashscribe.db.clock import now_ms as now_ms
from dashscribe.db.connecting import storable as storable
from dashscribe.db.trouble import is_trouble as is_trouble
from dashscribe.db.trouble import said as said
from dashscribe.errors import ConfigError

#: What PostgreSQL's advisory locks of this program begin with, so that they never meet another program's.
_LOCKS = "dashscribe"
#: Held by the one writer of this process on SQLite; all but urgent ones come to it one at a time.
_writer, _queue = threading.Lock(), threading.Lock()


def open_database(url: str, connections: int = 20) -> Engine:
    """Connect and bring the schema to this version; raises ConfigError for a database that cannot be used.

    ``connections`` bounds how many this process opens to PostgreSQL.
    """
    where = connecting.parsed(url)
    shown = where.render_as_string(hide_password=True)
    try:
        engine = connecting.connect(where, connections)
        _migrate(engine, shown)
    except (OSError, DatabaseError) as error:
        reason = str(error.orig if isinstance(error, DatabaseError) else error).strip()
        remedy = connecting.remedy_for(error)
        raise ConfigError(
            f"database_url={shown!r} cannot be opened: {reason}" + (f"; {remedy}" if remedy else "")
        ) from error
    return engine


def apart(engine: Engine) -> Engine:
    """The same database over one connection of its own, which no other work can keep busy."""
    return connecting.connect(engine.url, 1)


def is_shared(engine: Engine) -> bool:
    """Whether workers of other machines may use this database, too."""
    return engine.dialect.name == "postgresql"


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """A transaction that waits for nobody; on SQLite it sees one state of the database, elsewhere each query does."""
    with connecting.patiently(engine) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *, urgent: bool = False) -> Generator[Connection]:
    """A transaction that may write; on disk when the block has ended, undone when it raises. Does not nest.

    ``urgent`` for one that a caller waits for: of all others on SQLite at most one goes before it.
    """
    writer = engine.execution_options(writes=True)
    with _turn(engine, urgent), connecting.patiently(writer) as connection, connection.begin():
        yield connection


@contextmanager
def _turn(engine: Engine, urgent: bool) -> Generator[None]:
    if is_shared(engine):
        yield
        return
    waiting: AbstractContextManager[Any] = nullcontext() if urgent else _queue
    with waiting, _writer:
        yield


def serialize(connection: Connection, *names: str) -> None:
    """Until the transaction ends, nobody else gets past this with these names; on SQLite writers are alone anyway."""
    if is_shared(connection.engine):
        connection.execute(select(func.pg_advisory_xact_lock(_lock_number(*names))))


@contextmanager
def elected(engine: Engine, role: str) -> Generator[bool]:
    """Whether this is the only process that is inside with that role; given up with the connection at the latest."""
    if not is_shared(engine):
        yield True
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        number = _lock_number("role", role)
        granted = bool(connection.execute(select(func.pg_try_advisory_lock(number))).scalar())
        try:
            yield granted
        finally:
            if granted:
                connection.execute(select(func.pg_advisory_unlock(number)))


def _lock_number(*names: str) -> int:
    digest = hashlib.blake2b("\0".join((_LOCKS, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can be told what to do where the row is there already."""
    return inserting_on(connection.dialect.name, table)


def inserting_on(product: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The same for statements that are built once per product, by the name of its dialect."""
    return (postgresql if product == "postgresql" else sqlite).insert(table)


def _migrate(engine: Engine, shown: str) -> None:
    with reading(engine) as connection:
        stored = revision_of(connection)
    # A newer schema will do: migrations only add, so that servers can be replaced one after the other.
    if stored >= tables.REVISION:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "dashscribe.db:migrations")
    with writing(engine) as connection:
        if is_shared(engine):  # whoever starts beside the one that migrates waits for as long as that takes
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            serialize(connection, "migration")
            connection.execute(text(f"SET LOCAL lock_timeout = {connecting.LOCK_MS}"))
        if revision_of(connection) >= tables.REVISION:
            return  # somebody else was faster
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revision_of(connection: Connection) -> str:
    """The migration that the database is at; empty for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def secret(engine: Engine, name: str) -> str:
    """A random secret of this installation, made the first time it is asked for."""
    return remembered(engine, name) or remember(engine, name, random.token_urlsafe(32))


def remembered(engine: Engine, name: str) -> str | None:
    """What is kept for good under this name; None for nothing."""
    with reading(engine) as connection:
        return connection.execute(select(tables.secrets.c.value).where(tables.secrets.c.name == name)).scalar()


def remember(engine: Engine, name: str, value: str) -> str:
    """Keep a value for good, unless there is one of this name: the one that is kept."""
    with suppress(IntegrityError), writing(engine) as connection:  # another process may be first
        connection.execute(insert(tables.secrets).values(name=name, value=value))
    with reading(engine) as connection:
        return connection.execute(select(tables.secrets.c.value).where(tables.secrets.c.name == name)).scalar_one()
