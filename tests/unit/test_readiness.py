"""Readiness does a little of each kind of work and names what fails."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dashscribe import readiness
from dashscribe.config import Settings, load
from dashscribe.db import open_database
from dashscribe.errors import HostDiedError
from dashscribe.hosts.protocol import CutEnd
from dashscribe.readiness import Readiness
from dashscribe.store import open_store
from dashscribe.types import Media


class FakeHosts:
    """Stands in for child processes: decodes as much as it is told, or dies."""

    def __init__(self) -> None:
        self.decoded_ms = readiness.SOUND_MS
        self.error: Exception | None = None
        self.calls = 0

    def cut(self, path: Path, *, url: str, options: object, limits: object) -> Iterator[Any]:
        self.calls += 1
        assert path.read_bytes().startswith(b"RIFF")
        if self.error:
            raise self.error
        media = Media(url=url, container="wav", codec="pcm_s16le", rate_hz=16000, channel_count=1, duration_ms=200)
        yield media
        yield CutEnd(media, (0,), 0, self.decoded_ms, (), ())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(home=tmp_path / "home")


@pytest.fixture
def hosts() -> FakeHosts:
    return FakeHosts()


@pytest.fixture
def ready(settings: Settings, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    monkeypatch.setattr(readiness, "FRESH_S", -1.0)
    engine = open_database(settings.resolved_database_url)
    return Readiness(engine, open_store(settings), hosts, settings)  # type: ignore[arg-type]


def test_server_that_can_work_gives_no_reason_and_leaves_nothing_behind(
    ready: Callable[[], Any], settings: Settings
) -> None:
    assert ready() == {}
    assert not list(settings.home.glob("*.wav"))
    assert not list((settings.home / "store").rglob("ready/*"))


def test_dead_media_host_is_named(ready: Callable[[], Any], hosts: FakeHosts, settings: Settings) -> None:
    hosts.error = HostDiedError("killed by signal 11")
    assert ready() == {"media": "HostDiedError: killed by signal 11"}
    assert not list(settings.home.glob("*.wav"))


def test_decoder_that_loses_sound_is_named(ready: Callable[[], Any], hosts: FakeHosts) -> None:
    hosts.decoded_ms = 0
    assert "500 ms of silence" in ready()["media"]


def test_store_that_cannot_be_written_is_named(ready: Callable[[], Any], settings: Settings) -> None:
    ready()
    blobs = settings.home / "store" / "ready"
    if blobs.is_dir():
        blobs.rmdir()
    blobs.write_text("a file where a folder is wanted")
    assert "store" in ready()


def test_database_that_lost_its_tables_is_named(ready: Callable[[], Any], settings: Settings) -> None:
    with closing(sqlite3.connect(settings.home / "dashscribe.db")) as connection:
        connection.executescript("DROP TABLE tasks")
    assert "database" in ready()


def test_fresh_answer_is_repeated_without_work(
    ready: Callable[[], Any], hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "FRESH_S", 60.0)
    assert ready() == ready() == {}
    assert hosts.calls == 1
