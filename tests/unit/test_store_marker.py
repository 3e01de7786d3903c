"""A folder that is not mounted is told from a store that has lost its blobs: work waits for it, and nothing is lost."""

import importlib.util
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from durable import (
    Home,
    cut_by_hand,
    only,
    patient_stop,
    result_of,
    run,
    shorten_waits,
    speech,
    take,
    to_joining,
    within,
)
from sqlalchemy import delete, select

from dashscribe import library
from dashscribe.cli import checkup
from dashscribe.cli.findings import Finding, Patient
from dashscribe.config import Settings
from dashscribe.db import now_ms, open_database, reading, remembered, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.library import Library
from dashscribe.readiness import Readiness
from dashscribe.steps import expire, prepare
from dashscribe.store import Store, StoreError, open_store
from dashscribe.store.folder import Folder
from dashscribe.store.marker import NAME
from dashscribe.store.memory import DatabaseMemory
from dashscribe.tasks import ANSWERS_MS, Status, Task

A, B = "http://x/a", "http://x/b"
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home whose store is elsewhere."""
    opened = Home(tmp_path / "home", {A: speech(3), B: speech(2)}, store_url=(tmp_path / "disk" / "store").as_uri())
    restart(opened)
    yield opened
    opened.worker.stop()


def restart(home: Home, **settings: object) -> None:
    """As ``compose`` puts a process together."""
    home.worker.stop()
    home.settings = home.settings.model_copy(update=settings)
    home.store = started(home)
    home.worker = home.new_worker()


def started(home: Home) -> Store:
    """The store as a process opens it that starts."""
    store = open_store(home.settings, DatabaseMemory(home.engine))
    try:
        store.check_known()
    except StoreError:
        assert isinstance(store, Folder)
    return store


def root(home: Home) -> Path:
    assert isinstance(home.store, Folder)
    return home.store.root


@pytest.fixture
def disk(tmp_path: Path) -> "Disk":
    return Disk(tmp_path / "disk" / "store")


class Disk:
    """What a folder holds, which comes and goes as a mount does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._aside = folder, folder.with_name("not mounted")

    def unmount(self) -> None:
        self.folder.rename(self._aside)
        self.folder.mkdir()

    def mount(self) -> None:
        hidden = self.folder.with_name("hidden")
        self.folder.rename(hidden)
        self._aside.rename(self.folder)
        assert not [path for path in hidden.rglob("*") if path.is_file()], "it was put where a mount hides it"
        hidden.rmdir()


# --- work waits -----------------------------------------------------------------------------------------------------


def fetched(home: Home) -> Task:
    task = home.submit(A)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    return task


def cut(home: Home) -> Task:
    return cut_by_hand(home, A)


def joining(home: Home) -> Task:
    return to_joining(home, A)[0]


@pytest.mark.parametrize("prepared", [fetched, cut, joining])
def test_work_waits_for_a_store_that_is_mounted_after_the_start(
    home: Home, disk: Disk, caplog: pytest.LogCaptureFixture, prepared: Callable[[Home], Task]
) -> None:
    task = prepared(home)
    recognized = home.hosts.recognized.copy()
    disk.unmount()
    restart(home)
    home.worker.start()
    late = home.submit(B)  # which has nothing in the store yet
    home.worker.wake()
    within(60, lambda: caplog.text.count("waits for the machine: StoreError") >= 5)
    assert "is not the store that this database knows" in caplog.text
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.files.c.code).where(tables.files.c.code != "")).all() == []
        for table in (tables.files, tables.windows):
            assert not any(connection.execute(select(table.c.failures, table.c.interrupted)).scalars())
    disk.mount()
    assert [home.wait(one).status for one in (task, late)] == [Status.SUCCEEDED] * 2
    assert result_of(home, only(home.wait(task)))
    if prepared is joining:
        assert {sound: home.hosts.recognized[sound] for sound in recognized} == recognized


def test_disk_that_is_taken_away_and_comes_back_is_used_again_without_a_restart(home: Home, disk: Disk) -> None:
    home.store.put("a", b"x")
    disk.unmount()
    acts: list[Callable[[], object]] = [
        lambda: home.store.put("b", b"y"),
        lambda: home.store.put("b", iter([b"y"])),
        lambda: home.store.put("b", root(home).parent / "home"),
        lambda: home.store.read("a"),
        lambda: list(home.store.chunks("a")),
        lambda: home.store.path("a").__enter__(),
        lambda: home.store.size("a"),
        lambda: home.store.exists("a"),
        lambda: home.store.delete("a"),
        lambda: home.store.delete_prefix("a"),
        home.store.check_known,
    ]
    (root(home).parent / "home").write_bytes(b"y")
    for act in acts:
        with pytest.raises(StoreError, match=r"there is no \+store-id in it: is it mounted"):
            act()
    disk.mount()
    assert home.store.read("a") == b"x"
    home.store.put("b", b"y")
    shutil.rmtree(root(home) / ".drafts")  # by a process that found no lock on it, as with some network disks
    with pytest.raises(FileNotFoundError):
        home.store.put("b", b"z")
    home.store.put("b", b"z")
    assert home.store.read("b") == b"z"


def test_disk_that_comes_between_two_looks_has_the_blob(
    home: Home, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.store.put("a", b"x")
    home.store.put("b/c", b"x")
    for look, seen in (
        (lambda: home.store.size("a"), 1),
        (lambda: home.store.read("a"), b"x"),
        (lambda: home.store.delete("a"), None),
        (lambda: home.store.delete_prefix("b"), None),
    ):
        disk.unmount()
        assert isinstance(home.store, Folder)
        real = home.store.check_known

        def check(real: Callable[[], None] = real) -> None:
            monkeypatch.setattr(home.store, "check_known", real)
            disk.mount()
            real()

        monkeypatch.setattr(home.store, "check_known", check)
        assert look() == seen
    assert not home.store.exists("a")
    assert not home.store.exists("b/c")


def test_nothing_counts_as_removed_from_a_store_that_is_away(home: Home, disk: Disk) -> None:
    first, second = run(home, A), home.wait(home.submit(B))
    home.worker.stop()
    Library(home.engine, home.settings).delete("default", [f"{first.id}.0"])
    disk.unmount()
    expire.erase(home.bench)
    expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    disk.mount()
    assert len(library.hidden(home.engine, 10)) == 1
    expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    assert not [path for path in (root(home) / "tasks").rglob("*") if path.is_file()]
    assert home.book.get("default", second.id) is None


def test_blob_that_is_lost_indeed_is_lost(home: Home) -> None:
    task = fetched(home)
    for blob in (root(home) / "tasks").rglob("source-*"):
        blob.unlink()
    restart(home)
    home.worker.start()
    assert "missing or damaged" in only(home.wait(task)).message


# --- which store is the one -----------------------------------------------------------------------------------------


def forget(home: Home) -> None:
    """As an installation was before there were markers."""
    (root(home) / NAME).unlink()
    with writing(home.engine) as connection:
        connection.execute(delete(tables.secrets).where(tables.secrets.c.name == "store"))


def test_first_start_marks_the_store(home: Home) -> None:
    assert (root(home) / NAME).read_text().strip() == remembered(home.engine, "store")


def test_store_of_an_older_version_is_marked_at_the_start(home: Home) -> None:
    run(home, A)
    forget(home)
    restart(home)
    assert (root(home) / NAME).read_text().strip() == remembered(home.engine, "store")


def test_store_of_an_older_version_that_is_not_mounted_is_not_marked(home: Home, disk: Disk) -> None:
    task = run(home, A)
    forget(home)
    disk.unmount()
    restart(home)
    with pytest.raises(StoreError, match="holds none of the files that this database names: is it mounted"):
        home.store.read("tasks/x")
    with pytest.raises(StoreError):
        home.store.put("tasks/x", b"x")
    assert remembered(home.engine, "store") is None
    disk.mount()
    assert result_of(home, only(task))
    home.store.put("tasks/x", b"x")
    assert (root(home) / NAME).read_text().strip() == remembered(home.engine, "store")


def test_new_database_takes_the_store_that_there_is(home: Home) -> None:
    known = remembered(home.engine, "store")
    with writing(home.engine) as connection:
        connection.execute(delete(tables.secrets))
    restart(home)
    assert remembered(home.engine, "store") == known


def test_store_that_was_moved_is_the_same_store(home: Home, tmp_path: Path) -> None:
    task = run(home, A)
    home.worker.stop()
    moved = tmp_path / "a larger disk"
    moved.mkdir()
    subprocess.run(f"cp -r '{root(home)}'/* '{moved}'", shell=True, check=True)  # without what begins with a dot
    shutil.rmtree(root(home))
    restart(home, store_url=moved.as_uri())
    assert result_of(home, only(task))
    home.store.check_known()


def test_another_store_is_refused(home: Home, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    other = Settings(home=tmp_path, store_url=(tmp_path / "other").as_uri())
    open_store(other, DatabaseMemory(database)).check_known()
    database.dispose()
    restart(home, store_url=other.store_url)
    with pytest.raises(StoreError, match=r"the file \+store-id there names another one"):
        home.store.put("a", b"x")


@pytest.mark.parametrize("is_known", [True, False])
def test_store_whose_files_are_lost_goes_on_as_the_message_says(home: Home, disk: Disk, is_known: bool) -> None:
    run(home, A)
    if not is_known:
        forget(home)
    disk.unmount()
    restart(home)
    with pytest.raises(StoreError) as caught:
        home.store.check_known()
    _, command, _ = str(caught.value).split("`")
    subprocess.run(command, shell=True, check=True)
    home.store.check_known()  # no restart is needed
    assert home.store.size("tasks/x") is None
    task = run(home, B)
    assert task.status is Status.SUCCEEDED
    restart(home)
    assert result_of(home, only(task))


def test_marker_that_says_nothing_is_told(home: Home) -> None:
    (root(home) / NAME).write_bytes(b"")
    with pytest.raises(StoreError, match="is it mounted"):
        home.store.check_known()
    forget(home)
    (root(home) / NAME).touch()
    with pytest.raises(StoreError, match="is empty: remove it"):
        started(home).check_known()


@pytest.mark.one_machine
def test_store_without_links_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    open_store(Settings(home=tmp_path), DatabaseMemory(database)).check_known()
    assert (tmp_path / "store" / NAME).read_text().strip() == remembered(database, "store")
    database.dispose()


@pytest.mark.one_machine
def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    database, errors = f"sqlite:///{tmp_path / 'a.db'}", list[Exception]()
    open_database(database).dispose()
    at_once = threading.Barrier(8)

    def start() -> None:
        engine = open_database(database)
        store = open_store(Settings(home=tmp_path), DatabaseMemory(engine))
        at_once.wait()
        try:
            store.check_known()
            store.put("a", b"x")
            store.size("b")
            assert (tmp_path / "store" / NAME).read_text().strip() == remembered(engine, "store")
        except Exception as error:
            errors.append(error)
        engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.one_machine
def test_backup_is_the_same_store_when_it_is_restored(home: Home, tmp_path: Path) -> None:
    task = run(home, A)
    home.worker.stop()
    spec = importlib.util.spec_from_file_location("deploy_backup", CHECKOUT / "deploy" / "backup.py")
    assert spec and spec.loader
    backup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backup)
    copy = tmp_path / "disk" / "copy"
    assert backup.main([str(home.settings.home), str(copy), "--store", str(root(home))]) == 0
    restored = copy.rename(tmp_path / "restored")
    database = open_database(f"sqlite:///{restored / 'dashscribe.db'}")
    store = open_store(Settings(home=restored), DatabaseMemory(database))
    store.check_known()
    key = only(task).result_key
    assert key and store.read(key) == home.store.read(key)
    database.dispose()


# --- who is told ----------------------------------------------------------------------------------------------------


def doctor(home: Home) -> Finding:
    patient = Patient(settings=home.settings, hosts=cast("Any", None), host="127.0.0.1", port=0)
    return next(iter(checkup.CHECKS["store"](patient)))


def test_doctor_and_readiness_tell_that_it_is_not_mounted(
    home: Home, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscribe.readiness.FRESH_S", -1.0)
    ready = Readiness(home.engine, home.store, cast("Any", home.hosts), home.settings)
    assert doctor(home).status == "ok"
    assert "store" not in ready()
    disk.unmount()
    found = doctor(home)
    assert found.status == "fail"
    assert "is not the store that this database knows, as there is no +store-id in it" in found.detail
    assert found.remedy.startswith("is it mounted")
    assert "is not the store that this database knows" in ready()["store"]
    assert not list(root(home).iterdir())  # both have looked only
    disk.mount()
    assert (doctor(home).status, "store" in ready()) == ("ok", False)
