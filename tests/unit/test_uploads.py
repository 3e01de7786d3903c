"""The book of uploads: what is kept, for whom, for how long, and what a crash leaves."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from durable import Home, only, result_of, run, shorten_waits, speech, take
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from dashscribe import uploads
from dashscribe.cli.compose import compose
from dashscribe.config import Settings
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors import ConflictError, NoRoomError, UploadBusyError
from dashscribe.errors.sources import UploadGoneError
from dashscribe.steps import expire, prepare
from dashscribe.store import Drafts
from dashscribe.tasks import Status
from dashscribe.uploads import LIFETIME_MS, PATIENCE_MS, PIN_MS, Receipt, Upload, UploadBook
from object_store import ObjectStore

URL = "http://x/a"
HOUR_MS = 3600 * 1000


@pytest.fixture(params=["folder", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with each kind of store."""
    shorten_waits(monkeypatch)
    url = request.getfixturevalue("bucket") if request.param == "s3" else ""
    return Home(tmp_path, {URL: speech(2)}, store_url=url)


def again(home: Home) -> Home:
    """The same as after a restart, or as another process has it."""
    return Home(home.settings.home, store_url=home.settings.store_url)


def kept(home: Home, content: bytes = b"sound", name: str = "a.wav", owner: str = "default") -> Upload:
    file = home.settings.home / "given"
    file.write_bytes(content)
    upload = home.uploads.keep(owner, name, file)
    file.unlink()  # what was taken over is another name of the same bytes
    return upload


def source_of(home: Home, url: str) -> bytes:
    """What a fetch brings for a made-up source, to be handed in as an upload."""
    folder = home.settings.home / "fetched"
    folder.mkdir()
    return home.origin(url, folder, settings=home.settings).path.read_bytes()


def blobs(home: Home) -> list[str]:
    """What lies in the store or the home of uploads, whole or not."""
    if home.store.is_remote:
        keys = ObjectStore(os.environ["AWS_ENDPOINT_URL"]).keys(home.settings.store_url)
        return [key for key in keys if key.startswith(("uploads/", "arriving/"))]
    folders = [home.settings.home / name for name in ("store/uploads", "uploads")]
    return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


def set_uploads(home: Home, **values: object) -> None:
    with writing(home.engine) as connection:
        connection.execute(update(tables.uploads).values(**values))


def expire_at(home: Home, at_ms: int) -> None:
    home.uploads.expire(at_ms, lambda: None)


# --- keeping and finding ----------------------------------------------------------------------------------------------


def test_kept_file_is_found_with_its_bytes_after_a_restart(home: Home) -> None:
    upload = kept(home, b"sound", "会议.wav")
    restarted = again(home)
    assert restarted.uploads.find("default", upload.url) == upload
    assert (upload.name, upload.size_bytes) == ("会议.wav", 5)
    with restarted.uploads.path(upload) as path:
        assert path.read_bytes() == b"sound"
        assert "会议" not in str(path)


def test_two_books_share_one_home(home: Home) -> None:
    upload = kept(home)
    other = UploadBook(home.engine, home.store, home.settings)
    assert other.find("default", upload.url) == upload


def test_two_files_of_one_name_are_two_uploads(home: Home) -> None:
    first, second = kept(home, b"1"), kept(home, b"2")
    assert first.url != second.url
    with home.uploads.path(first) as path:
        assert path.read_bytes() == b"1"


def test_key_is_given_once(home: Home) -> None:
    upload = kept(home)
    file = home.settings.home / "another"
    file.write_bytes(b"other")
    with pytest.raises(ConflictError, match="exists already"):
        home.uploads.keep_as(upload.key, "default", file)
    assert home.uploads.find("default", upload.url) == upload


@pytest.mark.parametrize("change", [str.upper, lambda url: url + "x", lambda url: url[:-1], lambda _: "oss://"])
def test_unknown_url_is_gone(home: Home, change) -> None:
    upload = kept(home)
    with pytest.raises(UploadGoneError) as caught:
        home.uploads.find("default", change(upload.url))
    assert caught.value.code_for("file_urls") == "InvalidFile.DownloadFailed"
    assert caught.value.code_for("file_url") == "FILE_DOWNLOAD_FAILED"


def test_upload_is_its_owners_alone(home: Home) -> None:
    upload = kept(home, owner="alice")
    with pytest.raises(UploadGoneError):
        home.uploads.find("bob", upload.url)
    with pytest.raises(UploadGoneError), home.uploads.resume("bob", upload.key):
        pass
    assert home.uploads.receipt("bob", upload.key) is None
    assert not home.uploads.remove("bob", upload.key)
    assert home.uploads.find("alice", upload.url) == upload


def test_upload_is_good_for_48_hours(home: Home) -> None:
    upload = kept(home)
    set_uploads(home, created_ms=now_ms() - LIFETIME_MS + 60_000)
    assert home.uploads.find("default", upload.url).key == upload.key
    now = now_ms()
    set_uploads(home, created_ms=now - LIFETIME_MS)
    with pytest.raises(UploadGoneError, match="48 hours"):
        home.uploads.find("default", upload.url)
    assert home.uploads.find("default", upload.url, at_ms=now - 1000)  # as a task submitted then may use it
    assert home.uploads.receipts("default", limit=10) == (0, [])


def test_file_that_cannot_be_stored_leaves_no_upload(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(key: str, data: Path) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(home.store, "put", full)
        kept(home)
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.uploads)).all() == []


@pytest.mark.parametrize("ended_by", [SystemExit(), OperationalError("", {}, Exception("away"))])
@pytest.mark.parametrize("stored", [True, False])
def test_file_whose_upload_broke_off_is_handed_in_again_under_its_key(
    home: Home, monkeypatch: pytest.MonkeyPatch, stored: bool, ended_by: BaseException
) -> None:
    key = home.uploads.new_folder("default") + "/a.wav"
    file = home.settings.home / "given"
    file.write_bytes(b"sound")
    put = home.store.put

    def break_off(blob: str, data: Path) -> None:
        if stored:
            put(blob, data)
        raise ended_by

    with monkeypatch.context() as patched, pytest.raises(type(ended_by)):
        patched.setattr(home.store, "put", break_off)
        home.uploads.keep_as(key, "default", file)
    assert home.uploads.receipts("default", limit=10) == (0, [])
    if not isinstance(ended_by, SystemExit):  # which ends it as a kill does: nothing is made up for
        assert blobs(home) == []
    again(home).uploads.keep_as(key, "default", file)
    upload = home.uploads.find("default", f"oss://{key}")
    with home.uploads.path(upload) as path:
        assert path.read_bytes() == b"sound"
    assert len(blobs(home)) == 1
    with pytest.raises(ConflictError, match="exists already"):
        home.uploads.keep_as(key, "default", file)


def test_key_is_not_taken_from_whoever_puts_a_file_under_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    key = home.uploads.new_folder("default") + "/a.wav"
    file = home.settings.home / "given"
    file.write_bytes(b"sound")
    put, other = home.store.put, again(home)

    def be_slow(blob: str, data: Path) -> object:
        with pytest.raises(UploadBusyError):
            other.uploads.keep_as(key, "default", file)
        return put(blob, data)

    monkeypatch.setattr(home.store, "put", be_slow)
    assert home.uploads.keep_as(key, "default", file) == home.uploads.find("default", f"oss://{key}")


def test_file_is_not_put_under_the_key_of_one_that_comes_in_pieces(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 3)
    add(home, receipt, b"a")
    file = home.settings.home / "given"
    file.write_bytes(b"sound")
    with pytest.raises(ConflictError, match="exists already"):
        home.uploads.keep_as(receipt.key, "default", file)
    assert add(home, receipt, b"bc").complete


def test_full_disk_takes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, disk_reserve_bytes=10**18)
    with pytest.raises(NoRoomError, match="DASHSCRIBE_DISK_RESERVE_BYTES"):
        kept(home)
    with pytest.raises(NoRoomError):
        home.uploads.begin("default", "a", 1)


def test_folder_of_a_request_goes_with_it(home: Home) -> None:
    with pytest.raises(ValueError, match="broken"), home.uploads.folder() as folder:
        (folder / "file").write_bytes(b"x")
        raise ValueError("broken")
    assert not folder.exists()


@pytest.mark.one_machine
@pytest.mark.parametrize("with_worker", [True, False])
def test_what_a_kill_has_left_half_received_goes_with_the_next_start(tmp_path: Path, with_worker: bool) -> None:
    left = [tmp_path / "receiving" / "killed" / "part-1", tmp_path / "store" / ".drafts" / "killed" / "draft"]
    for file in left:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"half of a recording")
        file.parent.with_suffix(".lock").touch()
    with Drafts(tmp_path / "receiving").draft() as living, ExitStack() as stack:
        living.write_bytes(b"of another process")
        compose(Settings(home=tmp_path, engine="standin"), stack, with_worker=with_worker)
        assert [file.parent.exists() for file in left] == [False, False]
        assert living.exists()


# --- in pieces --------------------------------------------------------------------------------------------------------


def add(home: Home, receipt: Receipt, *pieces: bytes) -> Receipt:
    with home.uploads.resume("default", receipt.key) as arrival:
        for piece in pieces:
            arrival.write(piece, may_save=True)
        arrival.save()
        arrival.settle()
    found = home.uploads.receipt("default", receipt.key)
    assert found is not None
    return found


def test_pieces_make_an_upload(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 6, model="fun-asr")
    assert (receipt.received, receipt.length, receipt.complete) == (0, 6, False)
    receipt = add(home, receipt, b"so", b"u")
    assert (receipt.received, receipt.complete) == (3, False)
    with pytest.raises(UploadGoneError):
        home.uploads.find("default", receipt.url)
    receipt = add(home, receipt, b"nds")
    assert receipt.complete
    upload = home.uploads.find("default", receipt.url)
    assert upload.model == "fun-asr"
    with home.uploads.path(upload) as path:
        assert path.read_bytes() == b"sounds"


def test_what_was_not_saved_never_came(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 6)
    add(home, receipt, b"so")
    with home.uploads.resume("default", receipt.key) as arrival:
        arrival.write(b"XX", may_save=False)
    receipt = add(home, receipt, b"unds")
    with home.uploads.path(home.uploads.find("default", receipt.url)) as path:
        assert path.read_bytes() == b"sounds"


def test_upload_that_was_all_here_before_a_crash_is_completed_by_the_next_look(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 3)
    with home.uploads.resume("default", receipt.key) as arrival:
        arrival.write(b"abc", may_save=False)
        arrival.save()  # and the server dies before it can settle
    restarted = again(home)
    found = restarted.uploads.receipt("default", receipt.key)
    assert found is not None
    assert found.complete
    assert restarted.uploads.find("default", receipt.url).size_bytes == 3


def test_one_at_a_time_adds_to_an_upload(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 3)
    with home.uploads.resume("default", receipt.key) as arrival:
        arrival.write(b"a", may_save=False)
        other = again(home)
        with pytest.raises(UploadBusyError), other.uploads.resume("default", receipt.key):
            pass
        arrival.save()
    assert add(home, receipt, b"bc").complete


def test_upload_whose_bytes_are_lost_says_so(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 3)
    add(home, receipt, b"a")
    shutil.rmtree(home.settings.home / "uploads", ignore_errors=True)
    home.store.delete_prefix("arriving")
    with pytest.raises(UploadGoneError, match="lost"):
        add(home, receipt, b"bc")


def test_upload_removed_while_it_comes_in_stays_removed(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 3)
    with pytest.raises(UploadGoneError, match="removed"), home.uploads.resume("default", receipt.key) as arrival:
        assert home.uploads.remove("default", receipt.key)
        arrival.write(b"abc", may_save=False)
        arrival.save()
    assert blobs(home) == []


# --- the end ----------------------------------------------------------------------------------------------------------


def test_expired_upload_leaves_nothing(home: Home) -> None:
    upload = kept(home)
    expire_at(home, now_ms() + LIFETIME_MS - 60_000)
    assert home.uploads.find("default", upload.url)
    expire_at(home, now_ms() + LIFETIME_MS + 1)
    assert blobs(home) == []
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.uploads)).all() == []


def test_round_of_expiry_takes_uploads_along(home: Home) -> None:
    kept(home)
    expire.expire(home.bench, now_ms() + LIFETIME_MS + 1)
    assert blobs(home) == []


def test_abandoned_upload_expires_a_day_after_its_last_byte(home: Home) -> None:
    receipt = home.uploads.begin("default", "a.wav", 3)
    set_uploads(home, created_ms=now_ms() - 40 * HOUR_MS, used_ms=now_ms() - PATIENCE_MS // 2)
    add(home, receipt, b"a")
    expire_at(home, now_ms() + PATIENCE_MS - 60_000)
    assert home.uploads.receipt("default", receipt.key)
    expire_at(home, now_ms() + PATIENCE_MS + 1)
    assert home.uploads.receipt("default", receipt.key) is None
    assert blobs(home) == []


def test_expiry_that_was_interrupted_is_made_up_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = kept(home)

    def crash(key: str) -> None:
        raise OSError("crash")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="crash"):
        patched.setattr(home.store, "delete", crash)
        expire_at(home, now_ms() + LIFETIME_MS + 1)
    with pytest.raises(UploadGoneError):
        home.uploads.find("default", upload.url)
    expire_at(home, now_ms())
    assert blobs(home) == []


def test_many_uploads_expire_in_one_round(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BATCH", 5)
    for number in range(13):
        home.uploads.begin("default", f"{number}.wav", 1)
    expire_at(home, now_ms() + PATIENCE_MS + 1)
    assert home.uploads.receipts("default", limit=10) == (0, [])


# --- what tasks name --------------------------------------------------------------------------------------------------


def test_task_reads_the_upload(home: Home) -> None:
    upload = kept(home, source_of(home, URL))
    home.origin.fetched.clear()
    task = run(home, upload.url)
    home.worker.stop()
    assert (task.status, only(task).file_url) == (Status.SUCCEEDED, upload.url)
    assert result_of(home, only(task))
    assert not home.origin.fetched
    if not home.store.is_remote:
        with home.uploads.path(upload) as path:
            assert path.stat().st_nlink == 2  # the task's copy of the source is another name of it


def test_upload_about_to_expire_is_kept_for_a_queued_task(home: Home) -> None:
    """Named a minute before its end, read three hours after it, though expiry ran in between."""
    upload = kept(home, source_of(home, URL))
    set_uploads(home, created_ms=now_ms() - LIFETIME_MS + 60_000)
    task = home.submit(upload.url)
    late = 3 * HOUR_MS
    with writing(home.engine) as connection:  # three hours pass
        connection.execute(update(tables.uploads).values(created_ms=tables.uploads.c.created_ms - late))
        connection.execute(update(tables.uploads).values(used_ms=tables.uploads.c.used_ms - late))
        connection.execute(update(tables.tasks).values(submitted_ms=tables.tasks.c.submitted_ms - late))
    expire_at(home, now_ms())
    home.worker.start()
    home.worker.wake()
    assert home.wait(task).status is Status.SUCCEEDED
    home.worker.stop()
    expire_at(home, now_ms())
    assert blobs(home) == []


def test_submit_keeps_expiry_away_for_an_hour(home: Home) -> None:
    upload = kept(home)
    set_uploads(home, created_ms=now_ms() - LIFETIME_MS + 1000, used_ms=0)
    task = home.submit(upload.url.replace("a.wav", "a%2Ewav"))
    home.book.cancel("default", task.id)
    expire_at(home, now_ms() + PIN_MS - 60_000)
    assert blobs(home)
    expire_at(home, now_ms() + PIN_MS + 60_000)
    assert blobs(home) == []


def test_upload_of_another_owner_fails_the_task(home: Home) -> None:
    upload = kept(home, source_of(home, URL), owner="alice")
    task = run(home, upload.url, owner="bob")
    home.worker.stop()
    assert only(task).code == "InvalidFile.DownloadFailed"
    assert "no upload" in only(task).message


def test_task_that_may_not_use_uploads_fails_before_it_looks(home: Home) -> None:
    upload = kept(home, source_of(home, URL))
    task = run(home, upload.url, no_oss=True, shape="file_url")
    home.worker.stop()
    assert task.code == "FILE_DOWNLOAD_FAILED"
    assert "DASHSCRIBE_STRICT_OSS" in task.message


def test_upload_whose_blob_is_lost_fails_the_task_at_once(home: Home) -> None:
    upload = kept(home, source_of(home, URL))
    home.store.delete_prefix("uploads")
    task = run(home, upload.url)
    home.worker.stop()
    assert "missing from the store" in only(task).message


def test_upload_larger_than_the_present_limit_fails(tmp_path: Path) -> None:
    large = kept(Home(tmp_path), b"x" * 2000)
    home = Home(tmp_path, max_file_bytes=1000)
    home.submit(large.url)
    file = take(home, FileState.WAITING)
    with pytest.raises(Exception, match="the limit is 1000 bytes") as caught:
        prepare.fetch(home.bench, file)
    assert caught.type.__name__ == "FileTooLargeError"
