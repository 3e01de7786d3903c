import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from durable import Home, close_homes, speech
from sqlalchemy import Engine, create_engine, insert, select, text
from sqlalchemy.exc import DBAPIError
from tenacity import stop_after_attempt, stop_after_delay

from dashscribe.db import (
    clock_ms,
    connecting,
    elected,
    now_ms,
    open_database,
    reading,
    secret,
    serialize,
    tables,
    writing,
)
from dashscribe.errors import ConfigError
from dashscribe.tasks import Status
from postgres import Cluster

OLD_KEY = "INSERT INTO keys (owner, name, digest, hint, created_ms) VALUES ('default', 'laptop', 'd', 'hint', 1)"
OLD_TASK = (
    "INSERT INTO tasks (id, owner, key_id, request_id, model, shape, options, notes, status, tag_ms, file_count, "
    "open_files, submitted_ms, code, message, stripped, removed) "
    "VALUES ('t1', 'default', '1', 'r', 'fun-asr', 'file_urls', '{}', '[]', 'PENDING', 1, 1, 1, 1, '', '', 0, 0)"
)
OLD_FILE = (
    "INSERT INTO files (task_id, number, owner, url, state, tag_ms, due_ms, express, claim, failures, interrupted, "
    "engine, engine_version, source_key, source_bytes, source_sha256, media, generation, open, speech_ms, "
    "recognized_ms, cut, result_key, result_bytes, transcript_key, duration_ms, ledger, notes, code, message) "
    "VALUES ('t1', 0, 'default', 'http://x/a', 'succeeded', 1, 0, 0, 1, 0, 0, 'e', '1', 's', 1, '', '', 1, 0, 0, 0, "
    "'', 'r', 1, 't', 1, '', '', '', '')"
)
OLD_USAGE = (
    "INSERT INTO usage (day, owner, model, files, duration_ms) VALUES ('2026-11-01', 'default', 'fun-asr', 3, 9000)"
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/a.db")


def is_of_the_metadata(name: str | None, kind: str, parents: object) -> bool:
    """All but what each product has in its own form: the search index, on SQLite a virtual table with its own below."""
    return not (kind == "table" and str(name).startswith(("search_grams", "search_words")))


def test_migrations_make_exactly_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": is_of_the_metadata}
        )
        assert compare_metadata(context, tables.metadata) == []


def test_newest_migration_is_the_one_that_the_tables_name() -> None:
    config = Config()
    config.set_main_option("script_location", "dashscribe.db:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == tables.REVISION


def test_database_of_the_first_schema_is_brought_along_with_its_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    config = Config()
    config.set_main_option("script_location", "dashscribe.db:migrations")
    old = create_engine(url)
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for row in (OLD_KEY, OLD_TASK, OLD_FILE, OLD_USAGE):
            connection.execute(text(row))
    old.dispose()
    engine = open_database(url)
    test_migrations_make_exactly_the_tables(engine)
    with reading(engine) as connection:
        assert connection.execute(select(tables.keys.c.name, tables.keys.c.quota_ms)).one() == ("laptop", None)
        assert connection.execute(select(tables.tasks.c.id, tables.tasks.c.no_oss)).one() == ("t1", False)
        assert connection.execute(select(tables.tasks.c.retry_of)).scalar_one() == ""
        assert connection.execute(select(tables.files.c.heard_key)).scalar_one() == ""
        new = (tables.files.c.title, tables.files.c.kept, tables.files.c.revision, tables.files.c.indexed)
        assert connection.execute(select(*new)).one() == ("", False, 0, "")
        used = connection.execute(select(tables.usage)).mappings().one()
    assert (used["day"], used["key_id"], used["files"], used["duration_ms"]) == ("2026-11-01", "", 3, 9000)
    with writing(engine) as connection:  # as a program of the first schema does it that is still running
        connection.execute(text(OLD_TASK.replace("t1", "t2")))
        connection.execute(text(OLD_FILE.replace("t1", "t2")))
        connection.execute(text(OLD_USAGE.replace("2026-11-01", "2026-11-02")))


def test_migrations_are_not_imported_for_a_database_that_is_up_to_date(engine: Engine) -> None:
    program = f"import sys, dashscribe.db as d; d.open_database({str(engine.url)!r}); print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_several_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    program = f"import dashscribe.db as d; print(d.secret(d.open_database('sqlite:///{tmp_path}/new.db'), 's'))"
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ends = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ends
    assert len({stdout for stdout, _ in ends}) == 1


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nothing at all"])
def test_database_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///PATH"):
        open_database(url)


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/a.db")


def test_commit_is_on_disk(engine: Engine) -> None:
    with reading(engine) as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]  # 2: FULL, an fsync with every commit
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_writers_wait_for_each_other(engine: Engine) -> None:
    def add(number: int) -> None:
        with writing(engine) as connection:
            count = len(connection.execute(select(tables.secrets)).all())
            connection.execute(insert(tables.secrets).values(name=str(number), value=str(count)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(100)))
    with reading(engine) as connection:
        counts = connection.execute(select(tables.secrets.c.value)).scalars().all()
    assert sorted(map(int, counts)) == list(range(100))


def test_writer_in_another_process_is_waited_for(engine: Engine) -> None:
    program = (
        "import sys, time, dashscribe.db as d\n"
        f"with d.writing(d.open_database({str(engine.url)!r})):\n"
        "    print('in', flush=True); time.sleep(0.7)"
    )
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "in\n"
    with writing(engine) as connection:
        connection.execute(insert(tables.secrets).values(name="a", value="b"))
    assert other.wait(20) == 0


def test_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with writing(engine) as connection:
            connection.execute(insert(tables.secrets).values(name="a", value="b"))
            inside.set()
            go_on.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    assert inside.wait(20)
    with reading(engine) as connection:
        assert connection.execute(select(tables.secrets)).all() == []
    go_on.set()
    writer.join()


def test_transaction_that_raises_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(RuntimeError), writing(engine) as connection:
        connection.execute(insert(tables.secrets).values(name="a", value="b"))
        raise RuntimeError
    with reading(engine) as connection:
        assert connection.execute(select(tables.secrets)).all() == []


def test_secret_is_made_once_and_differs_by_name(engine: Engine) -> None:
    first = secret(engine, "urls")
    assert len(first) >= 40
    assert secret(engine, "urls") == first
    assert secret(engine, "other") != first


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(cluster: Cluster) -> Iterator[Engine]:
    engine = open_database(cluster.new_database())
    yield engine
    engine.dispose()


def test_migrations_make_exactly_the_tables_on_postgresql(shared: Engine) -> None:
    test_migrations_make_exactly_the_tables(shared)


def test_several_processes_may_open_a_new_database_on_postgresql_at_once(cluster: Cluster) -> None:
    cluster.execute("CREATE DATABASE brand_new")
    program = f"import dashscribe.db as d; print(d.secret(d.open_database({cluster.url('brand_new')!r}), 's'))"
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ends = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ends
    assert len({stdout for stdout, _ in ends}) == 1


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_form_of_a_url_of_postgresql_is_taken(cluster: Cluster, scheme: str) -> None:
    open_database(cluster.new_database().replace("postgresql", scheme)).dispose()


def test_password_of_a_database_that_does_not_answer_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting.retrying, "stop", stop_after_delay(0.3))
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        open_database("postgresql://me:hush@127.0.0.1:1/x")
    assert "hush" not in str(caught.value)


@pytest.fixture
def locked(cluster: Cluster) -> str:
    """The URL of a database whose user has the password ``right``."""
    rules = cluster.folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    if not cluster.execute("SELECT 1 FROM pg_roles WHERE rolname = 'locked'"):
        cluster.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
    cluster.execute("SELECT pg_reload_conf()")
    return cluster.new_database().replace("test@", "locked:right@")


@pytest.mark.parametrize(
    ("told", "instead", "remedy"),
    [("right", "wrong", "password"), ("locked:right", "nobody", "createuser"), ("/t", "/missing_t", "createdb")],
)
def test_database_that_refuses_is_told_with_the_remedy_and_not_asked_again(
    locked: str, told: str, instead: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(connecting.retrying, "sleep", pauses.append)
    monkeypatch.setattr(connecting.retrying, "stop", stop_after_attempt(2))
    with pytest.raises(ConfigError, match=remedy) as caught:
        open_database(locked.replace(told, instead))
    assert pauses == []
    assert "right" not in str(caught.value) and "wrong" not in str(caught.value)


def test_database_that_has_no_room_for_another_session_is_asked_again(
    locked: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.execute("ALTER ROLE locked CONNECTION LIMIT 0")

    def make_room(seconds: float) -> None:
        cluster.execute("ALTER ROLE locked CONNECTION LIMIT -1")

    monkeypatch.setattr(connecting.retrying, "sleep", make_room)
    engine = connecting.connect(connecting.parsed(locked), 1)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_one_of_many_is_elected_until_it_ends(shared: Engine) -> None:
    with elected(shared, "expire") as first, elected(shared, "expire") as second, elected(shared, "other") as third:
        assert (first, second, third) == (True, False, True)
    with elected(shared, "expire") as again:
        assert again


def test_serialized_transactions_come_one_after_the_other(shared: Engine) -> None:
    def add(number: int) -> None:
        with writing(shared) as connection:
            serialize(connection, "count")
            count = len(connection.execute(select(tables.secrets)).all())
            connection.execute(insert(tables.secrets).values(name=str(number), value=str(count)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    with reading(shared) as connection:
        counts = connection.execute(select(tables.secrets.c.value)).scalars().all()
    assert sorted(map(int, counts)) == list(range(40))


def test_rows_that_a_paused_process_holds_are_free_after_a_while(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.new_database()
    paused, other = open_database(url), open_database(url)
    rename = text("UPDATE owners SET weight = weight + 1")
    with writing(other) as connection:
        connection.execute(insert(tables.owners).values(name="a", tag_ms=0))
    paused.dispose()  # its next connection is the one that may not be silent for long
    monkeypatch.setattr(connecting, "STOPPED_MS", 2000)
    with pytest.raises(DBAPIError), writing(paused) as connection:
        connection.execute(rename)
        with writing(other) as second:  # waits for the row, less than LOCK_MS, after which it would be an error
            second.execute(rename)
    with reading(other) as connection:
        assert connection.execute(select(tables.owners.c.weight)).scalar_one() == 2
    paused.dispose()
    other.dispose()


def test_connections_that_were_cut_cost_nobody_an_error(cluster: Cluster, shared: Engine) -> None:
    with reading(shared) as connection:
        connection.execute(select(tables.tasks.c.id)).all()
    cluster.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dashscribe' "
        f"AND datname = '{shared.url.database}'"
    )
    with writing(shared) as connection:
        connection.execute(insert(tables.secrets).values(name="a", value="b"))
    assert secret(shared, "a") == "b"


def test_restart_of_the_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting.retrying, "stop", stop_after_delay(120))  # a machine may be slow to start it
    cluster = Cluster()
    try:
        engine = open_database(cluster.new_database())
        cluster.stop()
        restart = threading.Timer(1.0, cluster.start)
        restart.start()
        with writing(engine) as connection:
            connection.execute(insert(tables.secrets).values(name="a", value="b"))
        assert secret(engine, "a") == "b"
        restart.join()
        engine.dispose()
    finally:
        cluster.remove()


def test_clock_is_the_database_own(shared: Engine) -> None:
    with reading(shared) as connection:
        assert abs(clock_ms(connection) - now_ms()) < 5000


# --- an older program on a newer schema -------------------------------------------------------------------------------

#: What a later migration may do to tables that this version writes: add columns with defaults, tables and indices.
LATER = (
    "ALTER TABLE tasks ADD COLUMN later TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE files ADD COLUMN later_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE windows ADD COLUMN later TEXT",
    "ALTER TABLE workers ADD COLUMN later TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE later (id TEXT PRIMARY KEY)",
    "CREATE INDEX ix_later ON windows (later, tag_ms)",
    "UPDATE alembic_version SET version_num = '9999'",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_program_works_on_the_schema_of_a_later_one(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    if kind == "postgresql":
        url = request.getfixturevalue("cluster").new_database()
    engine = open_database(url)
    with writing(engine) as connection:
        for statement in LATER:
            connection.execute(text(statement))
    engine.dispose()
    monkeypatch.setenv("DASHSCRIBE_DATABASE_URL", url)
    home = Home(tmp_path, {"http://x/a": speech(3), "http://x/b": speech(1)})
    home.worker.start()
    task = home.submit("http://x/a", "http://x/b", key="k")
    home.worker.wake()
    assert home.wait(task).status is Status.SUCCEEDED
    with reading(home.engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    close_homes()
