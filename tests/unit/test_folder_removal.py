"""What cannot be removed from a folder is not taken for removed, by whoever asked for it."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from durable import Home, patient_stop, run, shorten_waits, speech, stored
from sqlalchemy import select

from dashscribe import library
from dashscribe.config import Settings
from dashscribe.db import now_ms, reading, tables
from dashscribe.library import Library
from dashscribe.steps import expire
from dashscribe.store import folder as folder_module
from dashscribe.store import open_store
from dashscribe.store.folder import Folder
from dashscribe.tasks import ANSWERS_MS, Task

A = "http://x/a"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    store = Folder((tmp_path / "a store").as_uri())
    for key in ("tasks/1/a", "tasks/1/b/c", "tasks/1/b/d/e", "tasks/2/a"):
        store.put(key, b"x")
    return store


def files(store: Folder) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.glob("tasks/**/*") if path.is_file())


@pytest.mark.one_machine
@pytest.mark.parametrize("act", ["scandir", "unlink", "rmdir"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES])
def test_what_cannot_be_removed_is_an_error(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, act: str, number: int
) -> None:
    def fail(*arguments: Any, **named: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, act, fail)
        with pytest.raises(OSError) as caught:
            folder.delete_prefix("tasks/1")
        assert caught.value.errno == number
    folder.delete_prefix("tasks/1")
    assert files(folder) == ["tasks/2/a"]


@pytest.mark.one_machine
def test_disk_that_has_become_read_only_is_an_error(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        store = Folder((disk / "store").as_uri())
        store.put("tasks/1/a", b"x")
        del store  # its lock is open for writing
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        store = Folder((disk / "store").as_uri())
        for remove, key in ((store.delete_prefix, "tasks/1"), (store.delete, "tasks/1/a")):
            with pytest.raises(OSError, match="Read-only") as caught:
                remove(key)
            assert caught.value.errno == errno.EROFS
        assert store.read("tasks/1/a") == b"x"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.one_machine
def test_what_others_remove_meanwhile_is_no_error(tmp_path: Path) -> None:
    store = Folder((tmp_path / "store").as_uri())
    for number in range(300):
        store.put(f"tasks/1/{number % 7}/{number}", b"x")
    at_once = threading.Barrier(4)
    errors: list[Exception] = []

    def remove() -> None:
        at_once.wait()
        try:
            store.delete_prefix("tasks/1")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=remove) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not (store.root / "tasks" / "1").exists()


def putting_before_rmdir(folder: Folder, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let a blob be put just before the folder that it is in is removed, so often."""
    real, left = os.rmdir, times

    def rmdir(path: Any, **named: Any) -> None:
        nonlocal left
        if left and Path(path).name == "1":
            left -= 1
            folder.put("tasks/1/late", b"x")
        real(path, **named)

    monkeypatch.setattr(os, "rmdir", rmdir)
    monkeypatch.setattr(folder_module, "REMOVAL_PAUSE_S", 0.0)


@pytest.mark.one_machine
def test_blob_that_is_put_meanwhile_goes_too(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    putting_before_rmdir(folder, monkeypatch, 3)
    folder.delete_prefix("tasks/1")
    assert files(folder) == ["tasks/2/a"]


@pytest.mark.one_machine
def test_blobs_that_are_put_again_and_again_are_an_error(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    putting_before_rmdir(folder, monkeypatch, 10_000)
    with pytest.raises(OSError) as caught:
        folder.delete_prefix("tasks/1")
    assert caught.value.errno == errno.ENOTEMPTY


@pytest.mark.one_machine
def test_what_nfs_keeps_of_an_open_file_is_no_blob(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.unlink

    def unlink(path: Any, **named: Any) -> None:
        if Path(path).name.startswith(".nfs"):
            return  # as the kernel gives it another such name
        Path(path).with_name(".nfs01").hardlink_to(path)
        real(path, **named)

    monkeypatch.setattr(os, "unlink", unlink)
    monkeypatch.setattr(folder_module, "REMOVAL_PAUSE_S", 0.0)
    folder.delete_prefix("tasks/1/b/d")
    assert not folder.exists("tasks/1/b/d/e")
    assert folder.exists("tasks/1/b/c")


@pytest.mark.one_machine
def test_prefix_that_is_a_blob_begins_no_key(folder: Folder) -> None:
    folder.delete_prefix("tasks/1/a")
    folder.delete_prefix("tasks/1/a/below")
    assert len(files(folder)) == 4


# --- erasing and expiring -------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)
    opened = Home(tmp_path, {A: speech(2)})
    yield opened
    opened.worker.stop()


def done(home: Home) -> Task:
    task = run(home, A)
    home.worker.stop()
    return task


@contextmanager
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block nothing can be removed."""

    def fail(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", fail)
        yield


def test_recording_that_cannot_be_erased_is_erased_later(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = done(home)
    Library(home.engine, home.settings).delete("default", [f"{task.id}.0"])
    with read_only(monkeypatch):
        expire.erase(home.bench)
    assert stored(home, tmp_path) != []
    assert len(library.hidden(home.engine, 10)) == 1
    expire.erase(home.bench)
    assert stored(home, tmp_path) == []
    assert library.hidden(home.engine, 10) == []


def test_task_that_cannot_expire_expires_later(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(home)
    with read_only(monkeypatch):
        expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    assert stored(home, tmp_path) != []
    with reading(home.engine) as connection:
        assert len(connection.execute(select(tables.tasks.c.id)).all()) == 1
    expire.expire(home.bench, now_ms())
    assert stored(home, tmp_path) == []
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.tasks.c.id)).all() == []


@pytest.mark.one_machine
def test_delete_tells_what_it_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(Settings(home=tmp_path))
    store.put("a", b"x")
    with read_only(monkeypatch), pytest.raises(OSError, match="Read-only"):
        store.delete("a")
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")
