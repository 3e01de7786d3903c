"""The time: this machine's, and the database's, which all machines that share it agree on."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, ScalarSelect, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def now_ms() -> int:
    """The wall clock of this machine in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def as_datetime(epoch_ms: int) -> datetime:
    """An instant as aware UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def as_ms(instant: datetime) -> int:
    """An aware datetime in epoch milliseconds."""
    return round(instant.timestamp() * 1000)


class DatabaseClock(FunctionElement[int]):
    """The time in epoch milliseconds, as the database has it when a statement runs."""

    type = BigInteger()
    inherit_cache = True


@compiles(DatabaseClock, "sqlite")
def _in_sqlite(element: DatabaseClock, compiler: Any, **options: Any) -> str:
    del element, compiler, options
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(DatabaseClock, "postgresql")
def _in_postgresql(element: DatabaseClock, compiler: Any, **options: Any) -> str:
    del element, compiler, options
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


def database_now() -> ScalarSelect[int]:
    """The same to compare rows with: asked for once per statement, so that an index over instants can be used."""
    return select(DatabaseClock()).scalar_subquery()


def clock_ms(connection: Connection) -> int:
    """The database's time in epoch milliseconds."""
    return connection.execute(select(DatabaseClock())).scalar_one()
