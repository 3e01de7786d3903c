import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from durable import (
    Home,
    cut_by_hand,
    only,
    patient_stop,
    result_of,
    run,
    shorten_waits,
    source,
    speech,
    stored,
    take,
    to_joining,
)
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from dashscribe import engines, files, windows
from dashscribe.db import reading, tables, writing
from dashscribe.db.tables import FileState, WindowState
from dashscribe.errors import HostDiedError, HostTimeoutError, InvariantError, ModelNotFoundError
from dashscribe.errors.sources import DecodeError, NoSpeechError, SourceNotFoundError
from dashscribe.queue.slots import PutBack
from dashscribe.steps import finish, open_worker, prepare, recognize
from dashscribe.store import Store
from dashscribe.tasks import Status
from dashscribe.types import Options, Transcript
from sizes import size

A, B, C = "http://x/a", "http://x/b", "http://x/c"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: speech(4), B: speech(1, 5000), C: source([(0, 4000), (5000, 9000)], channels=2)})
    yield opened
    opened.worker.stop()


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_task_is_transcribed(home: Home) -> None:
    task = run(home, A, C, options=Options(channels=(0, 1)), notes=("a note",))
    assert task.status is Status.SUCCEEDED
    first, second = task.subtasks
    result = msgspec.json.decode(result_of(home, first))
    assert result["file_url"] == A
    assert len(result["transcripts"][0]["text"].split(" ")) == 4
    assert [track["channel_id"] for track in msgspec.json.decode(result_of(home, second))["transcripts"]] == [0, 1]
    assert (first.duration_ms, second.duration_ms) == (120_000, 18_000)
    assert first.engine == "standin"
    assert "a note" in first.notes
    assert first.media is not None
    assert first.media.duration_ms == 120_000
    assert task.progress.done_ms == task.progress.total_ms == 120_000 + 2 * 8000


def test_transcript_is_kept_beside_the_result(home: Home) -> None:
    task = run(home, A)
    with reading(home.engine) as connection:
        key = connection.execute(select(tables.files.c.transcript_key)).scalar_one()
    transcript = msgspec.json.decode(home.store.read(key), type=Transcript)
    assert transcript.media == only(task).media
    assert transcript.text


@pytest.mark.one_machine
def test_blobs_of_windows_are_gone_at_the_end_and_the_source_is_kept(home: Home, tmp_path: Path) -> None:
    run(home, A)
    home.worker.stop()
    names = sorted(path.name for path in (tmp_path / "store" / "tasks").rglob("*") if path.is_file())
    assert names == ["heard-c3.json", "peaks.msgpack", "result-c3.json", "source-1", "transcript-c3.json"]
    assert not any(path.is_file() and path.suffix != ".lock" for path in (tmp_path / "store" / ".drafts").rglob("*"))
    assert list((tmp_path / "scratch").iterdir()) == []
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.windows)).all() == []


def test_one_bad_file_leaves_the_others_alone(home: Home) -> None:
    home.origin.sources |= {"http://x/gone": SourceNotFoundError("x answered 404")}
    task = run(home, "http://x/gone", A)
    assert task.status is Status.SUCCEEDED
    gone, good = task.subtasks
    assert (gone.status, gone.code) == (Status.FAILED, "InvalidFile.DownloadFailed")
    assert gone.message.startswith("The audio file cannot be downloaded.")
    assert "404" in gone.message
    assert good.status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("shape", "code"),
    [("file_urls", "InvalidFile.DownloadFailed"), ("file_url", "FILE_404_NOT_FOUND")],
)
def test_error_of_a_file_is_told_in_the_words_of_the_shape(home: Home, shape: str, code: str) -> None:
    home.origin.sources[A] = SourceNotFoundError("x answered 404")
    task = run(home, A, shape=shape)
    assert (task.status, task.code, only(task).code) == (Status.FAILED, code, code)
    assert home.origin.fetched[A] == 1


def test_error_that_is_no_text_ends_its_file_and_keeps_no_slot(home: Home) -> None:
    """JSON of others may hold halves of characters, which no database takes: it was booked again and again."""
    home.origin.sources[B] = SourceNotFoundError("it said \ud83d and \ud83d\ude00")
    task = run(home, B, notes=("halves \udc00",))
    assert task.status is Status.FAILED
    assert "it said \ufffd and 😀" in only(task).message
    assert "halves \ufffd" in task.notes


def test_file_without_speech_fails_with_a_ledger(home: Home) -> None:
    home.origin.sources[A] = source(duration_ms=7000)
    task = run(home, A)
    assert (only(task).status, only(task).code) == (Status.FAILED, "SUCCESS_WITH_NO_VALID_FRAGMENT")
    assert only(task).ledger == {"non_speech": 7000}


def test_model_without_an_engine_fails_before_anything_is_fetched(home: Home, tmp_path: Path) -> None:
    def refuse(*arguments: object) -> None:
        raise ModelNotFoundError("nothing installed")

    home.worker = open_worker(
        home.engine, home.store, home.hosts, home.settings, fetch=home.origin, choose_engine=refuse
    )
    task = run(home, A)
    assert task.code == "ModelNotFound"
    assert home.origin.fetched[A] == 0


def test_many_files_are_transcribed(home: Home) -> None:
    count = size(30, 100)
    urls = [f"http://x/{number}" for number in range(count)]
    home.origin.sources |= {url: speech(1, 1000 + number) for number, url in enumerate(urls)}
    task = run(home, *urls)
    assert {subtask.status for subtask in task.subtasks} == {Status.SUCCEEDED}
    assert [subtask.file_url for subtask in task.subtasks] == urls
    assert [subtask.duration_ms for subtask in task.subtasks] == [1000 + number for number in range(count)]
    assert set(home.origin.fetched.values()) == {1}


# --- twice ------------------------------------------------------------------------------------------------------------


def test_every_step_may_run_twice_and_changes_nothing_the_second_time(home: Home) -> None:
    def rows() -> list:
        with reading(home.engine) as connection:
            return [
                [tuple(row) for row in connection.execute(select(table))]
                for table in (tables.tasks, tables.files, tables.windows, tables.usage, tables.owners)
            ]

    home.submit(C)
    file = take(home, FileState.WAITING)
    prepare.fetch(home.bench, file)
    before = rows()
    with pytest.raises(PutBack):
        prepare.fetch(home.bench, file)
    assert rows() == before
    file = take(home, FileState.FETCHED)
    prepare.cut(home.bench, file)
    before = rows()
    with pytest.raises(PutBack):
        prepare.cut(home.bench, file)
    assert rows() == before
    claimed = [windows.claim(home.engine), windows.claim(home.engine)]
    for window in claimed:
        recognize.recognize(home.bench, window)
    before = rows()
    for window in claimed:
        recognize.recognize(home.bench, window)
    assert rows() == before
    assert set(home.hosts.recognized.values()) == {1}
    file = take(home, FileState.JOINING)
    finish.finish(home.bench, file)
    before = rows()
    finish.finish(home.bench, file)
    assert rows() == before


@pytest.mark.parametrize("heard", [True, False])
def test_finish_whose_claim_has_passed_on_leaves_the_windows_to_whoever_has_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    task, claimed = to_joining(home, A)
    late = take(home, FileState.JOINING)
    files.recover(home.engine)  # as after a stop, or the end of a lease
    taken = take(home, FileState.JOINING)
    before = stored(home, tmp_path)
    with monkeypatch.context() as patched:
        if not heard:
            patched.setattr(finish.pipeline, "refuse_empty", refuse)
        finish.finish(home.bench, late)
    assert set(before) <= set(stored(home, tmp_path))
    finish.finish(home.bench, taken)
    now = home.book.get("default", task.id)
    assert now is not None
    assert now.status is Status.SUCCEEDED
    assert sum(home.hosts.recognized.values()) == len(claimed)
    assert stored(home, tmp_path) == [
        "heard-c4.json",
        "peaks.msgpack",
        "result-c4.json",
        "source-1",
        "transcript-c4.json",
    ]


def refuse(transcript: Transcript) -> None:
    raise NoSpeechError("nothing was said")


def test_source_is_fetched_once_though_looking_at_it_fails(home: Home) -> None:
    tries: list[str] = []

    def die_twice(url: str) -> None:
        tries.append(url)
        if len(tries) < 3:
            raise HostDiedError("killed")

    home.hosts.on_probe = die_twice
    assert run(home, A).status is Status.SUCCEEDED
    assert home.origin.fetched[A] == 1
    assert len(tries) == 3


def test_result_that_lies_in_the_store_is_adopted(home: Home) -> None:
    task, _ = to_joining(home, A)
    with writing(home.engine) as connection:  # as after a crash between the blob and the row
        connection.execute(update(tables.windows).values(state=WindowState.READY, result_key="", result_bytes=0))
        connection.execute(update(tables.files).values(state=FileState.RECOGNIZING, open=4, recognized_ms=0))
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert set(home.hosts.recognized.values()) == {1}


def test_result_that_comes_while_the_sound_is_read_is_adopted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in trouble: whoever had the window before gets its result in at last, while the next one waits."""
    task = cut_by_hand(home, A)
    row = windows.claim(home.engine)
    assert row is not None
    recognize.recognize(home.bench, row)
    key = windows.result_key(row.audio_key, "standin", "1")
    late = home.store.read(key)
    home.store.delete(key)
    with writing(home.engine) as connection:
        again = update(tables.windows).where(tables.windows.c.id == row.id).values(state=WindowState.READY)
        connection.execute(again.values(result_key="", result_bytes=0))
        connection.execute(update(tables.files).values(open=4, recognized_ms=0))
    read = type(home.store).read

    def slow(store: Store, wanted: str) -> bytes:
        data = read(store, wanted)
        if wanted == row.audio_key:
            store.put(key, late)
        return data

    monkeypatch.setattr(type(home.store), "read", slow)
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert set(home.hosts.recognized.values()) == {1}


def test_result_that_comes_while_the_child_starts_is_adopted(home: Home) -> None:
    """A process is killed with its result on the way to the store; whoever takes over has looked, and needs a child."""
    task = cut_by_hand(home, A)
    row = windows.claim(home.engine)
    assert row is not None
    recognize.recognize(home.bench, row)
    key, sound = windows.result_key(row.audio_key, "standin", "1"), home.store.read(row.audio_key).decode()
    late = home.store.read(key)
    home.store.delete(key)
    with writing(home.engine) as connection:
        again = update(tables.windows).where(tables.windows.c.id == row.id).values(state=WindowState.READY)
        connection.execute(again.values(result_key="", result_bytes=0))
        connection.execute(update(tables.files).values(open=4, recognized_ms=0))
    asked: list[str] = []

    def start(wanted: str) -> None:
        asked.append(wanted)
        if wanted == sound:
            home.store.put(key, late)

    home.hosts.on_recognize = start
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert sound in asked
    assert set(home.hosts.recognized.values()) == {1}


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b"[{", b'[{"span":{"begin_ms":0,"end_ms":1},"fate":"non_speech"}]', b"\xff"]
)
def test_result_that_is_not_whole_is_not_adopted(home: Home, damage: bytes) -> None:
    task = cut_by_hand(home, A)
    row = windows.claim(home.engine)
    assert row is not None
    assert windows.release(home.engine, row)
    home.store.put(windows.result_key(row.audio_key, "standin", "1"), damage)
    home.worker.start()
    result = msgspec.json.decode(result_of(home, only(home.wait(task))))
    assert len(result["transcripts"][0]["text"].split(" ")) == 4
    assert sorted(home.hosts.recognized.values()) == [1, 1, 1, 1]


def test_interrupted_cut_begins_anew_and_recognizes_nothing_twice(home: Home) -> None:
    def break_off(url: str, number: int) -> None:
        if number == 3:
            raise PutBack

    home.hosts.on_cut = break_off
    task = home.submit(A)
    file = take(home, FileState.WAITING)
    prepare.fetch(home.bench, file)
    file = take(home, FileState.FETCHED)
    with pytest.raises(PutBack):
        prepare.cut(home.bench, file)
    for _ in range(2):
        row = windows.claim(home.engine)
        assert row is not None
        recognize.recognize(home.bench, row)
    held = windows.claim(home.engine)
    assert held is not None
    home.hosts.on_cut = lambda url, number: None
    home.settings = home.settings.model_copy(update={"workers": 1})  # of two, one may begin what the other is at
    home.worker = home.new_worker()
    home.worker.start()  # which frees what nobody works on
    assert home.wait(task).status is Status.SUCCEEDED
    assert set(home.hosts.recognized.values()) == {1}
    assert len(home.hosts.recognized) == 4


# --- loss and damage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["missing", "short", "no JSON"])
def test_window_whose_result_is_damaged_is_recognized_again(home: Home, damage: str) -> None:
    task, claimed = to_joining(home, A)
    key = windows.result_key(claimed[1].audio_key, "standin", "1")
    data = home.store.read(key)
    if damage == "missing":
        home.store.delete(key)
    else:
        home.store.put(key, data[:-10] if damage == "short" else b"x" * len(data))
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert sorted(home.hosts.recognized.values()) == [1, 1, 1, 2]


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_window_whose_sound_is_damaged_is_cut_again(home: Home, damage: str) -> None:
    task = cut_by_hand(home, A)
    first = windows.claim(home.engine)
    assert first is not None
    recognize.recognize(home.bench, first)
    second = windows.claim(home.engine)
    assert second is not None
    home.store.delete(second.audio_key)
    if damage == "short":
        home.store.put(second.audio_key, b"s")
    home.settings = home.settings.model_copy(update={"workers": 1})  # of two, one may begin what the other is at
    home.worker = home.new_worker()
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert sorted(home.hosts.recognized.values()) == [1, 1, 1, 1]


@pytest.mark.parametrize("stage", [FileState.WAITING, FileState.FETCHED])
def test_source_whose_copy_is_lost_fails(home: Home, stage: FileState) -> None:
    task = home.submit(A)
    file = take(home, FileState.WAITING)
    prepare.fetch(home.bench, file)
    with writing(home.engine) as connection:
        key = connection.execute(select(tables.files.c.source_key)).scalar_one()
        connection.execute(update(tables.files).values(state=stage))
    home.store.delete(key)
    home.worker.start()
    ended = home.wait(task)
    assert ended.code == "InternalError.Algo"
    assert "submit again" in ended.message
    assert home.origin.fetched[A] == 1


def test_file_is_cut_anew_when_its_engine_has_another_version(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    task = cut_by_hand(home, A)
    row = windows.claim(home.engine)
    assert row is not None
    recognize.recognize(home.bench, row)
    monkeypatch.setitem(engines.ENGINES, "standin", replace(engines.ENGINES["standin"], version="2"))
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert sorted(home.hosts.recognized.values()) == [1, 1, 1, 2]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [HostDiedError("boom"), HostTimeoutError("boom"), InvariantError("boom"), KeyError("boom")]
)
def test_window_that_fails_three_times_is_booked_as_failed_and_the_file_goes_on(home: Home, error: Exception) -> None:
    tries: list[str] = []

    def fail(sound: str) -> None:
        if sound.endswith("0-2"):
            tries.append(sound)
            raise error

    home.hosts.on_recognize = fail
    task = run(home, A)
    assert task.status is Status.SUCCEEDED
    assert len(tries) == 3
    result = msgspec.json.decode(result_of(home, only(task)))
    assert "boom" in msgspec.json.encode(result["dashscribe"]).decode()
    assert len(result["transcripts"][0]["text"].split(" ")) == 3


def test_window_that_fails_twice_is_transcribed(home: Home) -> None:
    left = [HostDiedError("boom"), HostDiedError("boom")]

    def fail(sound: str) -> None:
        if sound.endswith("0-2") and left:
            raise left.pop()

    home.hosts.on_recognize = fail
    task = run(home, A)
    assert len(msgspec.json.decode(result_of(home, only(task)))["transcripts"][0]["text"].split(" ")) == 4


def test_file_fails_when_all_its_windows_do(home: Home) -> None:
    def fail(sound: str) -> None:
        raise HostDiedError("boom")

    home.hosts.on_recognize = fail
    task = run(home, B)
    assert only(task).code == "InternalError.Algo"
    assert only(task).ledger == {"failed": 5000}
    assert "boom" in only(task).message


def test_file_that_kills_its_decoder_three_times_fails(home: Home) -> None:
    tries: list[int] = []

    def fail(url: str, number: int) -> None:
        if url == A and number == 2:
            tries.append(number)
            raise HostDiedError("killed by SIGSEGV")

    home.hosts.on_cut = fail
    task = run(home, A, B)
    assert task.status is Status.SUCCEEDED
    bad, good = task.subtasks
    assert (bad.code, good.status) == ("InternalError.Algo", Status.SUCCEEDED)
    assert "SIGSEGV" in bad.message
    assert len(tries) == 3


def test_file_that_cannot_be_decoded_fails_at_once(home: Home) -> None:
    tries: list[int] = []

    def fail(url: str, number: int) -> None:
        tries.append(number)
        raise DecodeError("no audio in there")

    home.hosts.on_cut = fail
    assert only(run(home, A)).code == "DECODE_ERROR"
    assert len(tries) == 1


def set_interrupted(home: Home, count: int, number: int) -> None:
    with writing(home.engine) as connection:
        row = update(tables.windows).where(tables.windows.c.number == number)
        connection.execute(row.values(interrupted=count))


def test_window_that_was_interrupted_three_times_runs_alone(home: Home) -> None:
    home.origin.sources[A] = speech(30)
    running: set[str] = set()
    together: dict[str, int] = {}
    guard, both = threading.Lock(), threading.Event()

    def watch(sound: str) -> None:
        with guard:
            running.add(sound)
            for one in running:
                together[one] = max(together.get(one, 0), len(running))
            if len(running) == 2:
                both.set()
        both.wait(20)  # the first two wait for each other, the others for nobody
        time.sleep(0.02)
        with guard:
            running.discard(sound)

    home.hosts.on_recognize = watch
    task = cut_by_hand(home, A)
    for number in (5, 6, 20):
        set_interrupted(home, 3, number)
    home.worker.start()
    assert home.wait(task).status is Status.SUCCEEDED
    assert [together[f"{A} 0-{number}"] for number in (5, 6, 20)] == [1, 1, 1]
    assert max(together.values()) == 2
    assert set(home.hosts.recognized.values()) == {1}


def test_window_that_waits_to_run_alone_is_nobodys(home: Home) -> None:
    """A process that ends while others are still at work takes no try from one that had not begun."""
    home.origin.sources[A] = speech(30)
    others, windows = threading.Event(), tables.windows
    cut_by_hand(home, A)
    set_interrupted(home, 3, 1)
    home.hosts.on_recognize = lambda sound: None if sound == f"{A} 0-1" else others.wait(120)
    home.worker.start()
    waiting = select(windows.c.number).where(windows.c.claim > 0, windows.c.state == WindowState.READY)
    until = time.monotonic() + 60
    found: list[int] = []
    while not found and time.monotonic() < until:
        with reading(home.engine) as connection:
            found = list(connection.execute(waiting).scalars())
        time.sleep(0.01)
    others.set()
    assert found == [1]


def test_window_that_was_interrupted_twenty_times_is_given_up(home: Home) -> None:
    task = cut_by_hand(home, A)
    set_interrupted(home, 20, 1)
    home.worker.start()
    ended = home.wait(task)
    assert ended.status is Status.SUCCEEDED
    assert f"{A} 0-1" not in home.hosts.recognized
    assert b"20 times" in result_of(home, only(ended))


def test_file_that_was_interrupted_twenty_times_fails(home: Home) -> None:
    task = home.submit(A)
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(interrupted=20))
    home.worker.start()
    assert "20 times" in home.wait(task).message
    assert home.origin.fetched[A] == 0


def test_trouble_with_the_disk_costs_no_try(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    put, tries = home.store.put, []

    def full(key: str, data: bytes | Path) -> object:
        if key.endswith(".flac") and len(tries) < 8:
            tries.append(key)
            raise OSError(28, "No space left on device")
        return put(key, data)

    monkeypatch.setattr(home.store, "put", full)
    assert run(home, A).status is Status.SUCCEEDED
    assert len(tries) == 8


def test_trouble_with_the_database_is_waited_out(home: Home, tmp_path: Path) -> None:
    """Rows cannot be written for a while, in the middle of the work: no slot dies, nothing is lost."""
    home.origin.sources[A] = speech(12)
    broken = threading.Event()

    def refuse(connection: object) -> None:
        if broken.is_set():
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(home.engine, "commit", refuse)
    home.hosts.on_recognize = lambda sound: time.sleep(0.05)
    home.worker.start()
    task = home.submit(A, B, C)
    home.worker.wake()
    time.sleep(0.3)
    broken.set()
    time.sleep(1.0)
    broken.clear()
    assert home.wait(task).status is Status.SUCCEEDED
