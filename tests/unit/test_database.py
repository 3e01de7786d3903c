import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from durable import Home, speech
from sqlalchemy import Engine, create_engine, event, insert, select, text
from sqlalchemy.dialects import postgresql

from dashscribe import redos
from dashscribe.db import open_database, reading, secret, tables, writing
from dashscribe.enrich import StageName
from dashscribe.errors import ConfigError
from dashscribe.notify import deliveries
from dashscribe.notify.targets import Target, TargetBook
from dashscribe.tasks import Status

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


def test_migrations_make_exactly_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
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
    ends = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ends
    assert len({stdout for stdout, _ in ends}) == 1


def test_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer version"):
        open_database(str(engine.url))


@pytest.mark.parametrize("url", ["postgresql://localhost/x", "sqlite://", "sqlite:///:memory:", "mysql://x/y"])
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


def test_every_statement_of_a_whole_task_can_be_said_to_postgresql(tmp_path: Path) -> None:
    home = Home(tmp_path, {"http://x/a": speech(3), "http://x/b": speech(1)}, task_timeout_s=3600)
    TargetBook(home.engine).add(Target(owner="default", url="http://127.0.0.1:9/"))
    said: list[object] = []
    event.listen(home.engine, "before_execute", lambda connection, clause, *rest: said.append(clause))
    home.worker.start()
    try:
        task = home.submit("http://x/a", "http://x/b", key="k")
        home.worker.wake()
        assert home.wait(task).status is Status.SUCCEEDED
        home.book.list("default")
        redos.ask(home.engine, "default", task.id, StageName.MARKS)
        home.worker.wake()
        until = time.monotonic() + 20
        while any(s.redo is None or s.redo.state is not Status.SUCCEEDED for s in home.wait(task).subtasks):
            assert time.monotonic() < until
            time.sleep(0.01)
        while not deliveries.listed(home.engine, "default", operates=True, task_id=task.id)[0].attempts:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        home.worker.stop()
    deliveries.expire(home.engine, 2**50, 1)
    assert len(said) > 20
    for clause in said:
        clause.compile(dialect=postgresql.dialect())  # type: ignore[attr-defined]
