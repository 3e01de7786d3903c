"""Kept recordings as sources of new tasks: of their owner only, as long as they are kept; on both back ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from durable import Home, only, run, speech
from sqlalchemy import update

from dashscribe.db import tables, writing
from dashscribe.edits import EditBook
from dashscribe.recordings import recording_url
from dashscribe.tasks import Status, Task

URL = "https://a.example/a.wav"


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Home:
    return Home(tmp_path, {URL: speech(3)})


def more(home: Home, url: str, owner: str = "default") -> Task:
    """Submit to the worker that runs already and wait for the end."""
    task = home.submit(url, owner=owner)
    home.worker.wake()
    return home.wait(task)


def texts(home: Home, task: Task) -> list[str]:
    version = EditBook(home.engine, home.store).read(task.owner, task.id, 0)
    return [placed.sentence.text for placed in version.edits.tracks[0].sentences]


def test_the_kept_source_is_transcribed_again_without_its_url(home: Home) -> None:
    first = run(home, URL)
    del home.origin.sources[URL]
    again = more(home, recording_url(first.id, 0, "会议 1/2?.wav"))
    assert again.status is Status.SUCCEEDED, only(again).message
    assert home.origin.fetched[URL] == 1
    assert len(texts(home, again)) == len(texts(home, first)) == 3
    # The first one may go: the second has a source of its own.
    home.store.delete_prefix(f"tasks/{first.id}/0")
    third = more(home, recording_url(again.id, 0, "a.wav"))
    assert third.status is Status.SUCCEEDED, only(third).message


def test_a_recording_of_another_owner_is_like_one_that_never_was(home: Home) -> None:
    first = run(home, URL)
    told = []
    for url in (
        recording_url(first.id, 0, "a.wav"),
        recording_url("nobody", 0, "a.wav"),
        "recording://x",
        "recording://",
    ):
        failed = more(home, url, owner="mallory")
        assert only(failed).code == "InvalidFile.DownloadFailed"
        told.append(only(failed).message.replace(first.id, "ID").replace("nobody", "ID"))
    assert told[0] == told[1]


@pytest.mark.parametrize("change", [{"hidden": True}, {"source_key": ""}, {"source_key": "tasks/gone/0/source-1"}])
def test_what_is_not_kept_any_more_says_so(home: Home, change: dict[str, object]) -> None:
    first = run(home, URL)
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(change))
    failed = more(home, recording_url(first.id, 0, "a.wav"))
    assert only(failed).status is Status.FAILED
    assert "kept" in only(failed).message or "missing from the store" in only(failed).message


def test_a_source_that_is_too_large_by_now_is_refused(home: Home, tmp_path: Path) -> None:
    first = run(home, URL)
    home.worker.stop()
    small = Home(tmp_path, max_file_bytes=10)
    failed = run(small, recording_url(first.id, 0, "a.wav"))
    assert only(failed).code == "FILE_TOO_LARGE"
