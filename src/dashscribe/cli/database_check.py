"""What ``dashscribe doctor`` finds out about the database, without changing it and without a server in the way."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from dashscribe import fleet
from dashscribe.cli.findings import ASK_S, Finding, Patient
from dashscribe.config import Settings
from dashscribe.db import clock_ms, connecting, now_ms, reading, revision_of, tables
from dashscribe.errors import ConfigError, DashscribeError
from dashscribe.store.memory import NAME as STORE_NAME

#: Databases up to this size are looked through for damage; a larger one would take seconds.
LOOKED_THROUGH_BYTES = 100 * 1024**2
#: How far this machine's clock and the database's may be apart, in seconds.
CLOCKS_APART_S = 5.0


def database(patient: Patient) -> Iterator[Finding]:
    """Whether it can be used, what its schema is, and, where it is shared, who works on it."""
    url = patient.settings.resolved_database_url
    path = _sqlite_file(url)
    if path is None:
        yield from _shared_database(patient.settings)
        return
    if not path.exists():
        yield Finding("database", "ok", f"{path} does not exist yet, the first `dashscribe serve` makes it")
        return
    restore = "restore it from a backup, or move it away to begin with an empty one"
    try:
        with closing(_open(path)) as connection:
            small = path.stat().st_size <= LOOKED_THROUGH_BYTES
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if small else "ok"
            has_revision = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_revision else None
    except sqlite3.Error as error:
        yield Finding("database", "fail", f"{path}: {error}", restore)
        return
    revision = row[0] if row else ""
    if found != "ok":
        yield Finding("database", "fail", f"{path} is damaged: {found}", restore)
    elif not revision:
        yield Finding("database", "fail", f"{path} is no database of dashscribe", "set DASHSCRIBE_DATABASE_URL")
    else:
        yield _schema(str(path), revision)


def _schema(where: str, revision: str) -> Finding:
    """What to think of the schema of a database."""
    if revision > tables.REVISION:
        remedy = "it works, as schemas only grow; update dashscribe here, too"
        return Finding("database", "warn", f"{where}: schema {revision} is newer than {tables.REVISION}", remedy)
    if revision < tables.REVISION:
        remedy = "the next `dashscribe serve` migrates it; make a copy before"
        return Finding("database", "warn", f"{where}: schema {revision} is older than {tables.REVISION}", remedy)
    return Finding("database", "ok", f"{where}, schema {revision}")


def _shared_database(settings: Settings) -> Iterator[Finding]:
    """PostgreSQL: whether it answers, its schema, how far its clock and ours are apart, who works on it."""
    shown = connecting.parsed(settings.resolved_database_url).render_as_string(hide_password=True)
    try:
        with _connected(settings) as engine:
            with reading(engine) as connection:
                revision = revision_of(connection)
                apart_s = abs(now_ms() - clock_ms(connection)) / 1000
            # An older schema may not know of workers yet.
            peers = fleet.workers(engine) if revision >= tables.REVISION else []
    except (SQLAlchemyError, DashscribeError) as error:
        reason = getattr(error, "orig", None) or error
        remedy = connecting.remedy_for(error) or "is the server up, do host and port hold?"
        yield Finding("database", "fail", f"{shown}: {str(reason).strip()}", remedy)
        return
    if not revision:
        yield Finding("database", "ok", f"{shown} is empty, the first `dashscribe serve` makes the tables")
    else:
        yield _schema(shown, revision)
        yield _workers(peers)
    if apart_s > CLOCKS_APART_S:
        remedy = "set both clocks by NTP: until then nothing expires here, and retries come late or early"
        yield Finding("clock", "warn", f"this machine's and the database's are {apart_s:.0f} s apart", remedy)


def _workers(peers: list[fleet.Peer]) -> Finding:
    """Who is at work, by host and version, and with what."""
    alive = [peer for peer in peers if peer.is_alive]
    gone = f", {len(peers) - len(alive)} ended within a day" if len(alive) < len(peers) else ""
    if not alive:
        return Finding("workers", "warn", f"none is at work{gone}", "start `dashscribe worker`: until then tasks wait")
    slots = Counter[str]()
    for peer in alive:
        slots[f"{peer.host} ({peer.version})"] += peer.slots
    where = ", ".join(f"{place} with {count} slots" for place, count in sorted(slots.items()))
    return Finding("workers", "ok", f"{len(alive)} at work{gone}: {where}")


@contextmanager
def _connected(settings: Settings) -> Generator[Engine]:
    engine = connecting.connect(connecting.parsed(settings.resolved_database_url), settings.database_connections)
    try:
        yield engine
    finally:
        engine.dispose()


def _sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for any other one."""
    try:
        parts = connecting.parsed(url)
    except ConfigError:
        return None
    return Path(parts.database) if parts.get_backend_name() == "sqlite" and parts.database else None


def _open(path: Path) -> sqlite3.Connection:
    """Open a database to read. Beside one that nobody uses, SQLite would leave files unless it takes it for immutable.

    With a journal beside it, somebody uses it, or was killed: the journal is part of it then.
    """
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True, timeout=ASK_S)


def number(patient: Patient, query: str) -> int | None:
    """The one number that a query gives; None where there is no usable database, which is told elsewhere."""
    return _value(patient, query)


def store_id(patient: Patient) -> str | None:
    """The id of the store that the database knows; None while it knows none, or where there is no usable database."""
    return _value(patient, f"SELECT max(value) FROM secrets WHERE name = '{STORE_NAME}'")  # noqa: S608


def _value(patient: Patient, query: str) -> Any:
    if "database" in patient.failed:
        return None  # it was asked, and waited for, once
    path = _sqlite_file(patient.settings.resolved_database_url)
    try:
        if path is None:
            with _connected(patient.settings) as engine, reading(engine) as connection:
                return connection.execute(text(query)).scalar()
        if not path.exists():
            return None
        with closing(_open(path)) as connection:
            return connection.execute(query).fetchone()[0]
    except (sqlite3.Error, SQLAlchemyError, DashscribeError):
        return None
