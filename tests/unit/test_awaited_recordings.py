"""Recordings that accepted tasks have yet to fetch: they stay, and go once they are fetched; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from durable import Home, only, run, speech, stored, take
from sqlalchemy import select, update

from dashscribe import library as library_module
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors.sources import RecordingGoneError
from dashscribe.library import Library
from dashscribe.recordings import awaited, kept_source, recording_url
from dashscribe.steps import expire, prepare
from dashscribe.tasks import Status, Task

A, B = "http://x/a.wav", "http://x/b.wav"
DAY_MS, HOUR_MS = 24 * 3600 * 1000, 3600 * 1000


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Home:
    return Home(tmp_path, {A: speech(1), B: speech(1)})


@pytest.fixture
def library(home: Home) -> Library:
    return Library(home.engine, home.settings)


def ran(home: Home, *urls: str, **members: Any) -> Task:
    """A task that has ended; the worker does nothing more."""
    task = run(home, *urls, **members)
    home.worker.stop()
    return task


def again(home: Home, task: Task, number: int = 0, **members: Any) -> Task:
    """A task that is to transcribe a recording again, and waits."""
    return home.submit(recording_url(task.id, number, "a.wav"), keep=True, **members)


def finish(home: Home, task: Task) -> Task:
    """Let another worker do all that waits."""
    home.worker = home.new_worker()
    home.worker.start()
    home.worker.wake()
    done = home.wait(task)
    home.worker.stop()
    return done


def has_sound(home: Home, task: Task, number: int = 0) -> bool:
    """Whether the stored source of a recording is there."""
    of_task = (tables.files.c.task_id == task.id, tables.files.c.number == number)
    with reading(home.engine) as connection:
        key = connection.execute(select(tables.files.c.source_key).where(*of_task)).scalar_one_or_none()
    return bool(key) and home.store.exists(key)


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_what_a_task_has_yet_to_fetch_is_not_deleted_and_the_others_are(
    home: Home, library: Library, tmp_path: Path
) -> None:
    first = ran(home, A, B, keep=True)
    waiting = again(home, first)
    ids = [f"{first.id}.0", f"{first.id}.1", "nothing"]
    done = library.delete("default", ids)
    assert (done.ids, done.missing, done.stopped) == ((ids[1],), ("nothing",), 0)
    assert done.awaited == {ids[0]: f"{waiting.id}.0"}
    expire.erase(home.bench)
    assert (has_sound(home, first), has_sound(home, first, 1)) == (True, False)
    ended = finish(home, waiting)
    assert ended.status is Status.SUCCEEDED, only(ended).message
    assert library.delete("default", ids[:1]).ids == (ids[0],)
    expire.erase(home.bench)
    assert home.book.get("default", first.id) is None
    assert [name for name in stored(home, tmp_path) if name.startswith("source")] == ["source-1"]


def test_it_stays_until_the_copy_is_there(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = ran(home, A)
    again(home, first)
    one, told = f"{first.id}.0", list[tuple[str, ...]]()
    put, probe = home.store.put, home.hosts.on_probe

    def put_while_deleted(key: str, data: Any) -> Any:
        told.append(tuple(library.delete("default", [one]).awaited))
        return put(key, data)

    def deleted(url: str) -> None:
        told.append(library.delete("default", [one]).ids)
        home.hosts.on_probe = probe

    home.hosts.on_probe = deleted
    monkeypatch.setattr(home.store, "put", put_while_deleted)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    assert told == [(one,), (one,)]
    assert take(home, FileState.FETCHED).source_bytes > 0


def test_only_exactly_what_its_owner_s_waiting_files_name_stays(home: Home, library: Library) -> None:
    first = ran(home, *[A] * 12, keep=True)
    url = recording_url(first.id, 1, "a.wav")
    home.submit(url, url.removesuffix("/a.wav"))
    home.submit(recording_url(first.id, 2, "a"), owner="mallory")
    home.submit(
        f"http://x/{recording_url(first.id, 3, 'a')}",
        f"recording://{first.id}.4?a",
        f"recording://{first.id}.05/a",
        f"RECORDING://{first.id}.6/a",
        f"recording://{first.id}",
        "recording://",
    )
    called_off, failed = again(home, first, 7), again(home, first, 8)
    assert home.book.cancel("default", called_off.id) == 1
    with writing(home.engine) as connection:
        of_task = update(tables.files).where(tables.files.c.task_id == failed.id)
        connection.execute(of_task.values(state=FileState.FAILED))
    done = library.delete("default", [f"{first.id}.{number}" for number in range(12)])
    assert list(done.awaited) == [f"{first.id}.1"]
    assert len(done.ids) == 11
    with reading(home.engine) as connection:
        assert set(awaited(connection)) == {("default", first.id, 1), ("mallory", first.id, 2)}
        assert set(awaited(connection, "mallory")) == {("mallory", first.id, 2)}
        assert awaited(connection, "nobody") == {}


def test_what_waits_can_be_deleted_with_what_it_waits_for(home: Home, library: Library) -> None:
    first = ran(home, A)
    second = again(home, first)
    third = again(home, second)  # it would fetch what the second one fetches first
    ids = [f"{task.id}.0" for task in (first, second, third)]
    done = library.delete("default", ids[:2])
    assert (done.ids, done.awaited) == ((), {ids[0]: ids[1], ids[1]: ids[2]})
    done = library.delete("default", ids)
    assert (done.ids, done.awaited, done.stopped) == (tuple(ids), {}, 2)
    assert home.book.open_files() == 0


# --- expiry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept_beside", [False, True])
@pytest.mark.parametrize("batch", [1, 100])
def test_what_a_task_has_yet_to_fetch_expires_once_it_has(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch, kept_beside: bool, batch: int
) -> None:
    """A recording goes by itself if one beside it is kept, else with its task; either way it waits, and no other."""
    monkeypatch.setattr(expire, "BATCH", batch)
    first, other = run(home, A, B), home.submit(A, B)
    home.worker.wake()
    home.wait(other)
    home.worker.stop()
    if kept_beside:
        for task in (first, other):
            library.change("default", f"{task.id}.1", kept=True)
    waiting = again(home, first)
    for days in (2, 3):
        expire.expire(home.bench, now_ms() + days * DAY_MS)
    assert [has_sound(home, task) for task in (first, other)] == [True, False]
    ended = finish(home, waiting)
    assert ended.status is Status.SUCCEEDED, only(ended).message
    expire.expire(home.bench, now_ms() + 4 * DAY_MS)
    assert [has_sound(home, task) for task in (first, other)] == [False, False]
    assert [has_sound(home, task, 1) for task in (first, other)] == [kept_beside, kept_beside]
    with reading(home.engine) as connection:
        left = set(connection.execute(select(tables.tasks.c.id)).scalars())
    assert left == ({waiting.id, first.id, other.id} if kept_beside else {waiting.id})


def test_a_short_retention_waits_too(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(1), B: speech(1)}, retention=1.0)
    first = ran(home, A)
    other = finish(home, home.submit(B))
    waiting = again(home, first)
    home.submit(recording_url(other.id, 0, "b"), owner="mallory")
    expire.expire(home.bench, now_ms() + 2 * HOUR_MS)
    assert (has_sound(home, first), has_sound(home, other)) == (True, False)
    ended = finish(home, waiting)
    assert ended.status is Status.SUCCEEDED, only(ended).message
    expire.expire(home.bench, now_ms() + 2 * HOUR_MS)
    assert not has_sound(home, first)


def test_what_was_removed_already_waits_for_nobody(home: Home, library: Library) -> None:
    first = ran(home, A)
    library.delete("default", [f"{first.id}.0"])
    again(home, first)
    expire.expire(home.bench, now_ms() + 2 * DAY_MS)
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.tasks.c.id).where(tables.tasks.c.id == first.id)).first() is None


# --- two at once ------------------------------------------------------------------------------------------------------


def accepted_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, accept: Callable[[], object]) -> None:
    """Have a task accepted right after this function has found something for the first time."""
    find = getattr(module, name)

    def find_and_accept(*args: Any) -> Any:
        found = find(*args)
        if found:
            monkeypatch.setattr(module, name, find)
            accept()
        return found

    monkeypatch.setattr(module, name, find_and_accept)


@pytest.mark.parametrize("days", [0.5, 2])
def test_accepted_while_expiry_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    home = Home(tmp_path, {A: speech(1)}, retention=1.0)
    first = ran(home, A)
    tasks: list[Task] = []
    accepted_after(monkeypatch, expire, "_some_ids", lambda: tasks.append(again(home, first)))
    expire.expire(home.bench, now_ms() + round(days * DAY_MS))
    assert kept_source(home.engine, "default", recording_url(first.id, 0, "a"))
    ended = finish(home, tasks[0])
    assert ended.status is Status.SUCCEEDED, only(ended).message


def test_accepted_while_what_is_not_kept_is_hidden(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = ran(home, A, B), home.submit(A)
    library.change("default", f"{first.id}.1", kept=True)
    again(home, other)  # so that there is something to look for
    tasks: list[Task] = []
    accepted_after(monkeypatch, library_module, "awaited", lambda: tasks.append(again(home, first)))
    assert library_module.hide_old(home.engine, now_ms() + 2 * DAY_MS, 100) == 0
    assert (len(tasks), has_sound(home, first)) == (1, True)


def test_whoever_deletes_is_waited_for(home: Home, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ran(home, A)
    inside, go_on = threading.Event(), threading.Event()
    hide = library_module._hide

    def hide_slowly(*args: Any) -> None:
        inside.set()
        assert go_on.wait(60)
        hide(*args)

    monkeypatch.setattr(library_module, "_hide", hide_slowly)

    with ThreadPoolExecutor(2) as threads:
        deleting = threads.submit(library.delete, "default", [f"{first.id}.0"])
        assert inside.wait(60)
        accepting = threads.submit(again, home, first, kept_only=True)
        with pytest.raises(TimeoutError):
            accepting.result(0.5)
        go_on.set()
        assert deleting.result(60).ids == (f"{first.id}.0",)
        with pytest.raises(RecordingGoneError):
            accepting.result(60)
    assert home.book.open_files() == 0  # it was never accepted


def test_of_a_deletion_and_a_task_at_the_same_moment_one_wins(home: Home, library: Library) -> None:
    first = ran(home, *[A] * 40, keep=True)
    begin = threading.Barrier(2)

    def delete(number: int) -> bool:
        begin.wait(60)
        return not library.delete("default", [f"{first.id}.{number}"]).awaited

    def accept(number: int) -> bool:
        begin.wait(60)
        try:
            again(home, first, number, kept_only=True)
        except RecordingGoneError:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        for number in range(40):
            deleted, accepted = threads.submit(delete, number), threads.submit(accept, number)
            assert deleted.result(60) is not accepted.result(60), number
