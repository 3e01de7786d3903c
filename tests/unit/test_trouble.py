"""Whose fault an error of a database is, as real databases tell it."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.pool import QueuePool

from dashscribe.db import is_trouble, open_database, said, writing
from postgres import Cluster


def refused(engine, *statements: str, pause_s: float = 0.0) -> Exception:
    """What the last of these statements ends with."""
    *before, last = statements
    with pytest.raises(DBAPIError) as caught, writing(engine) as connection:
        for statement in before:
            connection.execute(text(statement))
        time.sleep(pause_s)
        connection.execute(text(last))
    return caught.value


# --- SQLite -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pragma", "words"), [("max_page_count = 1", "full"), ("query_only = ON", "readonly")], ids=["full", "read only"]
)
def test_sqlite_that_cannot_write_is_trouble(tmp_path: Path, pragma: str, words: str) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    error = refused(engine, f"PRAGMA {pragma}", f"INSERT INTO secrets VALUES ('x', '{'y' * 100_000}')")
    assert words in str(error)
    assert is_trouble(error)


def test_sqlite_that_somebody_else_has_locked_is_trouble(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    error = refused(engine, "SELECT 1")
    assert "database is locked" in str(error)
    assert is_trouble(error)
    other.close()


def test_what_sqlite_says_of_a_statement_is_no_trouble(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a.db")
    error = refused(engine, "INSERT INTO secrets VALUES ('x', NULL)")
    assert isinstance(error, IntegrityError)
    assert not is_trouble(error)
    assert said(error) == "NOT NULL constraint failed: secrets.value"


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

_END = "SELECT pg_terminate_backend(pg_backend_pid())"
_SORT = "SELECT count(*) FROM (SELECT number FROM generate_series(1, 1000000) number ORDER BY -number OFFSET 1) sorted"


@pytest.mark.parametrize(
    ("statements", "pause_s"),
    [
        ((_END,), 0.0),
        (("SET LOCAL transaction_read_only = on", "DELETE FROM secrets"), 0.0),
        (("SET LOCAL statement_timeout = 10", "SELECT pg_sleep(5)"), 0.0),
        (("SET LOCAL idle_in_transaction_session_timeout = 10", "SELECT 1"), 0.5),
        (
            ("SET LOCAL temp_file_limit = 0", _SORT),
            0.0,
        ),
    ],
    ids=["ended", "takes no writes", "took too long", "silent", "no room"],
)
def test_postgresql_that_cannot_do_it_now_is_trouble(
    cluster: Cluster, statements: tuple[str, ...], pause_s: float
) -> None:
    assert is_trouble(refused(open_database(cluster.new_database()), *statements, pause_s=pause_s))


def test_postgresql_that_is_away_is_trouble(tmp_path: Path) -> None:
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/x")
    with pytest.raises(OperationalError) as caught:
        engine.connect()
    assert is_trouble(caught.value)


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("SELECT CAST(2147483648 AS integer)", DataError, "integer out of range"),
        ("INSERT INTO secrets VALUES ('x', NULL)", IntegrityError, "null value in column"),
        ("SELECT * FROM nothing", ProgrammingError, 'relation "nothing" does not exist'),
    ],
)
def test_what_postgresql_says_of_a_statement_is_no_trouble(
    cluster: Cluster, statement: str, kind: type[DBAPIError], words: str
) -> None:
    error = refused(open_database(cluster.new_database()), statement)
    assert isinstance(error, kind)
    assert not is_trouble(error)
    assert words in said(error)
    assert statement not in said(error)
    assert "\n" not in said(error)


def test_transaction_that_goes_on_after_an_error_is_no_trouble(cluster: Cluster) -> None:
    def go_on(connection: Connection) -> None:
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1/0"))
        connection.execute(text("SELECT 1"))

    engine = open_database(cluster.new_database())
    with pytest.raises(DBAPIError) as caught, writing(engine) as connection:
        go_on(connection)
    assert isinstance(caught.value.orig, psycopg.errors.InFailedSqlTransaction)
    assert not is_trouble(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        psycopg.errors.DiskFull,
        psycopg.errors.OutOfMemory,
        psycopg.errors.TooManyConnections,
        psycopg.errors.CrashShutdown,
        psycopg.errors.CannotConnectNow,
        psycopg.errors.IoError,
        psycopg.errors.SerializationFailure,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.LockNotAvailable,
    ],
)
def test_what_a_test_cannot_bring_about_is_of_the_class_that_is_trouble(kind: type[psycopg.Error]) -> None:
    error = DBAPIError.instance("SELECT 1", {}, kind("it is so"), psycopg.Error, dialect=_postgresql())
    assert isinstance(error, OperationalError)
    assert is_trouble(error)


def _postgresql():
    return create_engine("postgresql+psycopg://nobody@127.0.0.1:1/x").dialect


# --- both -------------------------------------------------------------------------------------------------------------


def test_no_connection_in_time_is_trouble(tmp_path: Path) -> None:
    pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    engine = create_engine(f"sqlite:///{tmp_path}/a.db", **pool)
    with engine.connect(), pytest.raises(NoConnectionError) as caught:
        engine.connect()
    assert is_trouble(caught.value)


@pytest.mark.parametrize(
    "make", [lambda: InvalidRequestError("ours"), lambda: OverflowError("Python int too large"), lambda: KeyError("x")]
)
def test_mistakes_of_ours_are_no_trouble(make: Callable[[], Exception]) -> None:
    assert not is_trouble(make())
    assert said(make()) == str(make())
