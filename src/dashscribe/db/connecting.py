"""How connections to each kind of database are made and set up."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from dashscribe.errors import ConfigError

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import Buffer
    from psycopg.types.string import StrDumper

FORMS = "give sqlite:///PATH with the path of a file, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
#: How long a SQLite writer waits for one in another process, in milliseconds.
BUSY_MS = 15_000
#: PostgreSQL: how long to wait for a connection, for a lock, for a peer that does not answer, in milliseconds. What is
#: beyond them is an error, after which a step is tried again and a client is told to come back.
CONNECT_MS, LOCK_MS, SILENT_MS = 10_000, 15_000, 20_000
#: After how much silence within a transaction PostgreSQL ends its session, in milliseconds. Ours are silent a moment:
#: a process that is held for longer (a paused machine) must not keep its rows from those who take its work over.
STOPPED_MS = 20_000
#: For how long a PostgreSQL that does not take connections is asked again, in seconds: a restart takes a few.
AWAY_S = 15.0
#: How a PostgreSQL or a PgBouncer that is up refuses us, and what helps. Before a session there is no code to go by,
#: only the text, in the language of the server: in others than these it is asked again as one that is not up.
_REFUSALS = (
    (
        r'(database|数据库) ".*" (does not exist|不存在)|no such database',
        "make that database (`createdb NAME`), or correct its name in DASHSCRIBE_DATABASE_URL",
    ),
    (
        r'password authentication failed|no password supplied|SASL authentication failed|用户 ".*" Password 认证失败',
        "correct user and password in DASHSCRIBE_DATABASE_URL",
    ),
    (
        r'(role|角色) ?".*" (does not exist|不存在|is not permitted to log in)|no such user|不允许角色".*" 进行登录',
        "make that user (`createuser --pwprompt NAME`), or correct its name in DASHSCRIBE_DATABASE_URL",
    ),
    (
        r"pg_hba\.conf",
        "let this machine in by a line in the server's pg_hba.conf, or append ?sslmode=require to the URL",
    ),
    (r"permission denied for database|数据库.*权限不够", "grant this user CONNECT on the database"),
    (
        r"does not support SSL|certificate verify failed",
        "correct sslmode or sslrootcert in DASHSCRIBE_DATABASE_URL",
    ),
)


def parsed(url: str) -> URL:
    """A database URL in any usual writing. Raises ConfigError, which does not repeat what might be a password."""
    try:
        where = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError as error:
        raise ConfigError(f"database_url: {FORMS}") from error
    if where.get_backend_name() == "sqlite" and where.database:
        # Versions of SQLAlchemy differ in whether they read %3F in a path as the character that it stands for.
        where = where.set(database=unquote(url.partition(":///")[2].partition("?")[0]))
    return where


def patiently(engine: Engine) -> Connection:
    """A connection, for which a PostgreSQL that is restarting is waited for; raises OperationalError after that.

    One that answers and refuses is not: the next answer would be the same. Nothing has been said to the database
    before, so that waiting does nothing twice.
    """
    if engine.dialect.name == "sqlite":
        return engine.connect()
    return retrying(engine.connect)


def remedy_for(error: BaseException) -> str:
    """What helps where a PostgreSQL answered and refused; empty for any other error, as while none is up."""
    reason = str(getattr(error, "orig", None) or error)
    return next((remedy for text, remedy in _REFUSALS if re.search(text, reason)), "")


def _is_away(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and not remedy_for(error)


retrying = Retrying(
    retry=retry_if_exception(_is_away),
    stop=stop_after_delay(AWAY_S),
    wait=wait_exponential(multiplier=0.1, max=1.0),
    reraise=True,
)


def connect(where: URL, connections: int) -> Engine:
    """An engine for this database; raises ConfigError for one of another kind or without its driver."""
    match where.get_backend_name():
        case "sqlite" if where.database not in (None, "", ":memory:"):
            return _sqlite(where)
        case "postgresql":
            return _postgresql(where, connections)
        case _:
            raise ConfigError(f"database_url={where.render_as_string()!r}: {FORMS}")


def _sqlite(where: URL) -> Engine:
    Path(str(where.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(where.set(drivername="sqlite+pysqlite"), pool_size=16, max_overflow=-1, hide_parameters=True)
    event.listen(engine, "connect", _tune)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "do_execute", _execute)
    event.listen(engine, "do_executemany", _execute_many)
    return engine


def _tune(connection: sqlite3.Connection, record: object) -> None:
    """Set up a new SQLite connection."""
    del record
    connection.isolation_level = None  # the driver must not begin transactions by itself; _begin does
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def storable(text: str) -> str:
    """A text as databases take it: halves of characters, which JSON of others may hold, become U+FFFD.

    Where both halves are there, they become the character.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _execute(cursor: sqlite3.Cursor, statement: str, parameters: Sequence[Any], context: object) -> bool:
    """Run a statement, with storable texts if it fails without: no other try would mend that."""
    del context
    try:
        cursor.execute(statement, parameters)
    except UnicodeEncodeError:
        cursor.execute(statement, _all_storable(parameters))
    return True  # it is done


def _execute_many(cursor: sqlite3.Cursor, statement: str, rows: Sequence[Sequence[Any]], context: object) -> bool:
    del context
    # Beforehand: one that fails in the middle has written what comes before.
    cursor.executemany(statement, [_all_storable(row) for row in rows])
    return True


def _all_storable(parameters: Sequence[Any]) -> Sequence[Any]:
    return tuple(storable(p) if isinstance(p, str) and not p.isascii() else p for p in parameters)


def _postgresql(where: URL, connections: int) -> Engine:
    if find_spec("psycopg") is None:
        raise ConfigError("database_url: PostgreSQL needs a driver: pip install 'dashscribe[postgres]'")
    engine = create_engine(
        where.set(drivername="postgresql+psycopg"),
        pool_size=min(5, connections),
        max_overflow=connections - min(5, connections),
        pool_timeout=30,
        hide_parameters=True,  # they may be secrets, and errors are logged
        pool_pre_ping=True,  # a server that was restarted costs nobody an error
        connect_args={
            "connect_timeout": CONNECT_MS // 1000,
            "tcp_user_timeout": SILENT_MS,
            "keepalives_idle": SILENT_MS // 1000,
            "application_name": "dashscribe",
        },
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: psycopg.Connection, record: object) -> None:
    """Set up a new PostgreSQL session; not with its first message, of which PgBouncer takes no such settings."""
    del record
    session = {"lock_timeout": LOCK_MS, "idle_in_transaction_session_timeout": STOPPED_MS, "timezone": "'UTC'"}
    for name, value in session.items():
        connection.execute(f"SET {name} = {value}".encode())
    connection.commit()
    connection.adapters.register_dumper(str, _text_dumper())


@cache
def _text_dumper() -> type[StrDumper]:
    """How texts are sent: PostgreSQL knows none with NUL, which clients, and errors of hostile sources, may hold.

    It becomes U+FFFD, rather than an error that no other try would mend; so do halves of characters.
    """
    from psycopg.types.string import StrDumper

    class Dumper(StrDumper):
        def dump(self, obj: str) -> Buffer | None:
            text = obj.replace("\0", "\ufffd")
            try:
                return super().dump(text)
            except UnicodeEncodeError:
                return super().dump(storable(text))

    return Dumper
