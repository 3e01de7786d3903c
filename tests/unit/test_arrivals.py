"""Uploads that come in pieces into a store that several machines share: who may add, and what a dead writer leaves."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from durable import Home
from sqlalchemy import Connection, Engine, select

from dashscribe import arrivals, db, uploads
from dashscribe.db import now_ms, reading, tables
from dashscribe.errors import UploadBusyError
from dashscribe.errors.sources import UploadGoneError
from dashscribe.store import CHUNK_BYTES, Stored
from dashscribe.uploads import PATIENCE_MS, Arrival, Receipt
from object_store import ObjectStore

CONTENT = random.Random(5).randbytes(3000)


@pytest.fixture
def home(bucket: str, tmp_path: Path) -> Home:
    return Home(tmp_path, store_url=bucket)


def elsewhere(home: Home, folder: Path) -> Home:
    """Another machine: a home of its own, the same database and store."""
    return Home(folder, store_url=home.settings.store_url, database_url=home.settings.resolved_database_url)


def pieces(home: Home) -> list[str]:
    keys = ObjectStore(os.environ["AWS_ENDPOINT_URL"]).keys(home.settings.store_url)
    return [key for key in keys if key.startswith("arriving/")]


def add(home: Home, key: str, data: bytes) -> None:
    with home.uploads.resume("default", key) as arrival:
        arrival.write(data, may_save=False)
        arrival.save()
        arrival.settle()


def receipt_of(home: Home, key: str) -> Receipt:
    found = home.uploads.receipt("default", key)
    assert found is not None
    return found


def content_of(home: Home, key: str) -> bytes:
    upload = home.uploads.find("default", f"oss://{key}")
    with home.uploads.path(upload) as path:
        content = path.read_bytes()
    assert upload.sha256 == hashlib.sha256(content).hexdigest()
    return content


def lease(home: Home) -> int:
    with reading(home.engine) as connection:
        return connection.execute(select(tables.uploads.c.locked_until_ms)).scalar_one()


def test_machines_take_turns_with_one_upload(home: Home, tmp_path: Path) -> None:
    other = elsewhere(home, tmp_path / "other")
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    for number, begin in enumerate(range(0, len(CONTENT), 1000)):
        add((home, other)[number % 2], key, CONTENT[begin : begin + 1000])
        assert receipt_of(home, key).received == begin + 1000
        assert len(pieces(home)) == (number + 1 if number < 2 else 0)  # joined with the last one, and removed
    assert content_of(other, key) == content_of(home, key) == CONTENT


def test_long_piece_is_saved_in_parts_on_its_way(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals._PieceInbox, "save_bytes", 700)
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    with home.uploads.resume("default", key) as arrival:
        for begin in range(0, len(CONTENT), 100):
            arrival.write(CONTENT[begin : begin + 100], may_save=True)
        assert len(pieces(home)) == 4
        arrival.save()
        arrival.settle()
    assert content_of(home, key) == CONTENT


def test_pieces_are_put_in_one_request_each_and_never_read_whole_where_they_are_large(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, taken = home.store.put, list[tuple[int, bool]]()

    def look(key: str, data: bytes | Path | Iterable[bytes]) -> Stored:
        stored = put(key, data)
        if key.startswith("arriving/"):
            taken.append((stored.size_bytes, isinstance(data, bytes)))
        return stored

    monkeypatch.setattr(home.store, "put", look)
    content = CONTENT * 4000  # 12 MB
    for may_save in (True, False):  # the latter is how one with a checksum comes
        key = home.uploads.begin("default", "a.wav", len(content)).key
        with home.uploads.resume("default", key) as arrival:
            for begin in range(0, len(content), 256 * 1024):
                arrival.write(content[begin : begin + 256 * 1024], may_save=may_save)
            arrival.save()
            arrival.settle()
        assert content_of(home, key) == content
    *small, (size_bytes, is_whole) = taken
    assert len(small) == 3
    assert all(whole and size <= CHUNK_BYTES for size, whole in small)
    assert (size_bytes, is_whole) == (len(content), False)


def test_machine_that_is_stopped_for_too_long_loses_the_upload_and_harms_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "LEASE_MS", 100)
    monkeypatch.setattr(arrivals, "RENEW_MS", 10_000_000)  # as if it did not run at all
    other = elsewhere(home, tmp_path / "other")
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    with pytest.raises(UploadBusyError, match="taken"), home.uploads.resume("default", key) as stopped:
        stopped.write(b"x" * 1000, may_save=False)
        wait_for_lease(home)
        add(other, key, CONTENT[:1000])
        stopped.save()
    assert receipt_of(home, key).received == 1000
    assert len(pieces(home)) == 1
    add(other, key, CONTENT[1000:])
    assert content_of(home, key) == CONTENT


def wait_for_lease(home: Home) -> None:
    """Until the lease on the one upload has run out, by the database's clock."""
    until = time.monotonic() + 60
    held = select(tables.uploads.c.key).where(arrivals.is_held())
    while time.monotonic() < until:
        with reading(home.engine) as connection:
            if connection.execute(held).first() is None:
                return
        time.sleep(0.02)
    raise AssertionError("the lease does not end")


def test_upload_that_is_worked_on_stays_ones_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "RENEW_MS", 20)
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    with home.uploads.resume("default", key):
        first, until = lease(home), time.monotonic() + 60
        while lease(home) == first:
            assert time.monotonic() < until, "the lease is not renewed"
            time.sleep(0.02)
        with pytest.raises(UploadBusyError), home.uploads.resume("default", key):
            pass
    assert lease(home) == 0
    add(home, key, CONTENT)
    assert content_of(home, key) == CONTENT


def test_lease_that_was_given_back_is_not_renewed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a round either that had begun before."""
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    has_begun, may_go_on, has_ended = (threading.Event() for _ in range(3))

    @contextmanager
    def writing(engine: Engine, *, urgent: bool = False) -> Iterator[Connection]:
        is_renewal = threading.current_thread().name == "dashscribe-leases"
        if is_renewal:
            has_begun.set()
            assert may_go_on.wait(60)
        with db.writing(engine, urgent=urgent) as connection:
            yield connection
        if is_renewal:
            has_ended.set()

    monkeypatch.setattr(arrivals, "RENEW_MS", 20)
    monkeypatch.setattr(arrivals, "writing", writing)
    with home.uploads.resume("default", key):
        assert has_begun.wait(60)
    may_go_on.set()
    assert has_ended.wait(60)
    assert lease(home) == 0


def test_lease_goes_by_the_databases_clock(home: Home) -> None:
    with reading(home.engine) as connection:
        there = connection.execute(select(arrivals.DatabaseClock())).scalar_one()
    assert abs(there - now_ms()) < 60_000  # this one happens to be ours


@pytest.mark.parametrize("moment", ["before the blob", "after the blob", "after the row", "before it is whole"])
def test_writer_that_is_killed_loses_what_was_not_saved_and_nothing_else(
    home: Home, tmp_path: Path, moment: str
) -> None:
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    program = Path(__file__).with_name("killed_writer.py")
    arguments = [str(tmp_path / "other"), home.settings.resolved_database_url, home.settings.store_url, key, moment]
    env = os.environ | {"PYTHONPATH": str(program.parents[1])}  # it uses the suite's own modules
    done = subprocess.run(
        [sys.executable, str(program), *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    wait_for_lease(home)
    at = receipt_of(home, key).received
    assert at == {"before the blob": 1000, "after the blob": 1000, "after the row": 2000}.get(moment, 3000)
    if at < len(CONTENT):
        add(home, key, CONTENT[at:])
    assert content_of(home, key) == CONTENT
    assert pieces(home) == []


def test_removed_upload_leaves_no_piece_even_of_one_who_adds_to_it(home: Home) -> None:
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    add(home, key, CONTENT[:1000])
    with pytest.raises(UploadGoneError, match="removed"), home.uploads.resume("default", key) as arrival:
        arrival.write(CONTENT[1000:2000], may_save=False)
        arrival.save()
        assert home.uploads.remove("default", key)
        arrival.write(CONTENT[2000:], may_save=False)
        arrival.save()
    assert pieces(home) == []
    assert home.uploads.receipts("default", limit=1) == (0, [])
    home.uploads.expire(now_ms(), lambda: None)
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.uploads)).all() == []
        assert connection.execute(select(tables.upload_pieces)).all() == []


def test_abandoned_pieces_expire(home: Home) -> None:
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    add(home, key, CONTENT[:1000])
    home.store.put(f"{pieces(home)[0].rpartition('/')[0]}/1000-1", b"of a writer who died before it could say so")
    home.uploads.expire(now_ms() + PATIENCE_MS + 1, lambda: None)
    assert pieces(home) == []
    assert home.uploads.receipt("default", key) is None


def test_two_who_complete_an_upload_at_once_make_one(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's lease ends while it joins the pieces; what the second one made stays."""
    monkeypatch.setattr(arrivals, "LEASE_MS", 100)
    monkeypatch.setattr(arrivals, "RENEW_MS", 10_000_000)
    other = elsewhere(home, tmp_path / "other")
    key = home.uploads.begin("default", "a.wav", len(CONTENT)).key
    add(home, key, CONTENT[:2000])
    settle = Arrival.settle
    late: list[None] = []

    def slowly(arrival: Arrival) -> None:
        if not late:
            late.append(None)
            wait_for_lease(home)
            assert receipt_of(other, key).complete
        settle(arrival)

    monkeypatch.setattr(uploads.Arrival, "settle", slowly)
    with home.uploads.resume("default", key) as arrival:
        arrival.write(CONTENT[2000:], may_save=False)
        arrival.save()
        arrival.settle()
    assert late
    assert content_of(home, key) == CONTENT
