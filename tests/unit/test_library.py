"""Recordings as their owners look after them: listed, named, kept, deleted, found; on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from durable import Home, indexed_words, only, patient_stop, run, shorten_waits, speech, stored, take
from sqlalchemy import delete, select, text, update

from dashscribe import library as library_module
from dashscribe import redos, search
from dashscribe.db import is_shared, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, Status
from dashscribe.edits import EditBook, Replacement, Said
from dashscribe.enrich import StageName
from dashscribe.errors import ConflictError, NotFoundError
from dashscribe.library import Library, Wanted
from dashscribe.notify.targets import Target, TargetBook
from dashscribe.recordings import title_of
from dashscribe.search import terms_of
from dashscribe.steps import expire, index, prepare
from dashscribe.tasks import ANSWERS_MS
from dashscribe.types import Transcript

A, B, C = "http://x/a%20b.wav", "http://x/b", "http://x/c"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: speech(2), B: speech(1), C: speech(1)})
    yield opened
    opened.worker.stop()


@pytest.fixture
def library(home: Home) -> Library:
    return Library(home.engine, home.settings)


def listed(library: Library, owner: str = "default", **wanted: object) -> list[str]:
    return [one.id for one in library.list(owner, Wanted(**wanted))[1]]


def searched(library: Library, query: str) -> list[str]:
    return listed(library, terms=terms_of(query))


def said(home: Home, task) -> str:
    """The first word that was heard in a task."""
    key = row_of(home, task)["transcript_key"]
    return msgspec.json.decode(home.store.read(key), type=Transcript).tracks[0].sentences[0].words[0].text


def row_of(home: Home, task, number: int = 0):
    of_task = (tables.files.c.task_id == task.id, tables.files.c.number == number)
    with reading(home.engine) as connection:
        return connection.execute(select(tables.files).where(*of_task)).mappings().one_or_none()


# --- listing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://a.example/x/%E4%BE%8B%E4%BC%9A.m4a?Signature=abc", "例会.m4a"),
        ("oss://dashscope-instant/0a/2026-06-01/3d/What? Why #1.wav", "What? Why #1.wav"),
        ("https://a.example/", "a.example"),
        ("https://[half", "https://[half"),
        ("nothing at all", "nothing at all"),
        ("http://x/a%0A%20b", "a b"),
    ],
)
def test_title_is_what_the_url_calls_the_file(url: str, title: str) -> None:
    assert title_of("", url) == title
    assert title_of("Mine", url) == "Mine"


def test_recordings_are_listed_newest_first_by_what_is_asked_for(home: Home, library: Library) -> None:
    first = run(home, A, B)
    home.worker.stop()
    second = home.submit(C, model="paraformer-v2")
    assert listed(library) == [f"{second.id}.0", f"{first.id}.0", f"{first.id}.1"]
    assert listed(library, statuses=frozenset({Status.PENDING})) == [f"{second.id}.0"]
    assert listed(library, statuses=frozenset({Status.SUCCEEDED, Status.RUNNING})) == [f"{first.id}.0", f"{first.id}.1"]
    assert listed(library, model="paraformer-v2") == [f"{second.id}.0"]
    assert listed(library, since_ms=round(second.submitted_at.timestamp() * 1000)) == [f"{second.id}.0"]
    assert listed(library, page_no=2, page_size=2) == [f"{first.id}.1"]
    assert listed(library, "mallory") == []
    (waiting, done, _) = library.list("default", Wanted())[1]
    assert (done.title, done.file.status, done.file.media.duration_ms) == ("a b.wav", Status.SUCCEEDED, 60_000)
    assert (waiting.task.queue_position, waiting.file.status) == (0, Status.PENDING)


def test_what_nobody_keeps_is_seen_for_a_day(home: Home, library: Library) -> None:
    task = run(home, A, B)
    library.change("default", f"{task.id}.1", kept=True)
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(ended_ms=now_ms() - ANSWERS_MS - 1000))
    assert listed(library) == [f"{task.id}.1"]
    with pytest.raises(NotFoundError):
        library.get("default", f"{task.id}.0")
    assert home.book.get("default", task.id) is None, "the service's routes answer for a day"


def test_a_recording_that_expires_while_it_is_listed_is_left_out(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = home.submit(A), home.submit(B)
    with_redos = library_module.with_redos

    def gone_first():
        with writing(home.engine) as connection:
            connection.execute(delete(tables.tasks).where(tables.tasks.c.id == first.id))
        return with_redos()

    monkeypatch.setattr(library_module, "with_redos", gone_first)
    found = library.list("default", Wanted())[1]
    seen_as_one = [] if is_shared(home.engine) else [first.id]  # SQLite shows one state to all of a list
    assert sorted(one.task.id for one in found) == sorted([*seen_as_one, second.id])


# --- the index --------------------------------------------------------------------------------------------------------


def test_a_recording_is_found_soon_after_its_end(home: Home, library: Library) -> None:
    task = run(home, A)
    until = time.monotonic() + 20
    while not searched(library, said(home, task)):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert searched(library, f'"a b" {said(home, task)}') == [f"{task.id}.0"]


def test_what_waits_is_found_by_its_title(home: Home, library: Library) -> None:
    task = home.submit(A)
    assert searched(library, "a b") == [f"{task.id}.0"]
    assert searched(library, "c") == []
    with writing(home.engine) as connection:  # and what has ended, until the sweep comes to it
        connection.execute(update(tables.files).values(state=FileState.SUCCEEDED))
    assert searched(library, "a b") == [f"{task.id}.0"]


def test_index_follows_titles_edits_and_stages_done_again(home: Home, library: Library) -> None:
    task = run(home, A)
    home.worker.stop()
    bench = home.bench
    word = said(home, task)
    index.Indexing(bench).sweep()
    before = row_of(home, task)
    assert before["indexed"] == f"{before['transcript_key']}#0"
    library.change("default", f"{task.id}.0", title="Kestrel")
    index.Indexing(bench).sweep()
    assert searched(library, "kestrel") == searched(library, word) == [f"{task.id}.0"]
    assert searched(library, "wav") == []
    # an edit is another blob and another revision
    edits = {
        "tracks": [
            {"channel": 0, "sentences": [{"id": "0", "sentence": {"begin_ms": 5, "end_ms": 9, "text": "改过的话"}}]}
        ]
    }
    home.store.put("edits", msgspec.json.encode(edits))
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(edits_key="edits", revision=1))
    index.Indexing(bench).sweep()
    assert (searched(library, "改过"), searched(library, word)) == ([f"{task.id}.0"], [])
    with writing(home.engine) as connection:  # as a program without edits replaces a result
        connection.execute(update(tables.files).values(edits_key="", transcript_key="gone"))
    index.Indexing(bench).sweep()
    assert (searched(library, "改过"), searched(library, "kestrel")) == ([], [f"{task.id}.0"])
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.files.c.id).where(tables.BEHIND)).all() == []


def test_hits_stand_where_the_edited_sentence_does(home: Home, library: Library) -> None:
    home.origin.sources[A] = speech(3)
    task = run(home, A)
    home.worker.stop()
    index.Indexing(home.bench).sweep()
    edits = EditBook(home.engine, home.store)
    old = edits.read("default", task.id, 0).edits.tracks[0].sentences[1]
    said = (Said("这是前一半，预算很紧。"), Said("后一半是 Kestrel Bridge。"))
    edits.edit("default", task.id, 0, revision=0, replacements=[Replacement((old.id,), said)], names={})
    index.Indexing(home.bench).sweep()
    now = edits.read("default", task.id, 0).edits.tracks[0].sentences
    for query, place in (("预算很紧", now[1]), ("kestrel bridge", now[2])):
        (found,) = library.list("default", Wanted(terms=terms_of(query)))[1]
        assert found.found is not None
        (hit,) = found.found.hits
        assert (hit.line.begin_ms, hit.line.end_ms) == (place.sentence.begin_ms, place.sentence.end_ms)
        assert old.sentence.begin_ms <= hit.line.begin_ms < hit.line.end_ms <= old.sentence.end_ms
        assert hit.line.text == place.sentence.text
    assert now[1].sentence.end_ms <= now[2].sentence.begin_ms
    assert searched(library, old.sentence.text) == []
    edits.discard("default", task.id, 0)
    index.Indexing(home.bench).sweep()
    (found,) = library.list("default", Wanted(terms=terms_of(old.sentence.text)))[1]
    assert found.found is not None
    assert found.found.hits[0].line.begin_ms == old.sentence.begin_ms
    assert searched(library, "预算很紧") == []


def test_index_step_that_was_overtaken_writes_nothing(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = run(home, A)
    home.worker.stop()
    home_bench = home.bench
    read = home.store.chunks

    def slow(key: str) -> Iterator[bytes]:
        monkeypatch.setattr(home.store, "chunks", read)
        library.delete("default", [f"{task.id}.0"])
        return read(key)

    word = said(home, task)
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(indexed=""))
    monkeypatch.setattr(home.store, "chunks", slow)
    index.Indexing(home_bench).sweep()
    assert searched(library, word) == []
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.search_texts)).all() == []


def test_many_are_indexed_in_one_sweep_and_languages_are_told(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BATCH", 2)
    monkeypatch.setattr(index, "WRITTEN_CHARS", 3)
    said = [
        {"begin_ms": at, "end_ms": at + 1, "text": "语句", "language": language}
        for at, language in enumerate(["en", "zh", "zh", ""])
    ]
    transcript = {"tracks": [{"channel": channel, "sentences": said[channel::2]} for channel in (0, 1)]}
    home.store.put("t", msgspec.json.encode(transcript))
    task = home.submit(*[f"http://x/{n}" for n in range(5)])
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(state=FileState.SUCCEEDED, transcript_key="t"))
    index.Indexing(home.bench).sweep()
    assert len(searched(library, "语句")) == 5
    found = library.get("default", f"{task.id}.3", terms_of("语句"))
    assert found.languages == ("zh", "en")
    assert [(hit.line.begin_ms, hit.line.channel) for hit in found.found.hits] == [(0, 0), (1, 1), (2, 0), (3, 1)]


@pytest.mark.parametrize(
    "broken",
    [None, b"", b"[]", b'{"tracks": [{"channel": 0, "sentences": [{"text": "\xff"}]}]}', b'{"x": ' + b"[" * 100_000],
    ids=["missing", "empty", "other", "no UTF-8", "deep"],
)
def test_broken_transcript_keeps_no_other_one_out_of_the_index(
    home: Home, library: Library, caplog: pytest.LogCaptureFixture, broken: bytes | None
) -> None:
    said = {"tracks": [{"channel": 0, "sentences": [{"begin_ms": 0, "end_ms": 1, "text": "语句"}]}]}
    home.store.put("good", msgspec.json.encode(said))
    if broken is not None:
        home.store.put("bad", broken)
    task = home.submit(*[f"http://x/{n}" for n in range(3)])
    with writing(home.engine) as connection:
        files = tables.files
        connection.execute(update(files).values(state=FileState.SUCCEEDED, transcript_key="good"))
        connection.execute(update(files).where(files.c.number == 1).values(transcript_key="bad", title="Kestrel"))
    index.Indexing(home.bench).sweep()
    assert searched(library, "语句") == [f"{task.id}.0", f"{task.id}.2"]
    assert searched(library, "kestrel") == [f"{task.id}.1"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"file {row_of(home, task, 1)['id']} is found by its title only"
    ]
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.files.c.id).where(tables.BEHIND)).all() == [], "it is not tried again"


def test_what_cannot_be_read_now_is_read_later_and_others_first(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"tracks": [{"channel": 0, "sentences": [{"begin_ms": 0, "end_ms": 1, "text": "语句"}]}]}
    for key in ("good", "bad"):
        home.store.put(key, msgspec.json.encode(said))
    task = home.submit(*[f"http://x/{n}" for n in range(12)])
    bad = [number for number in range(12) if number % 6 != 0]  # ten, and more in a row than are an accident
    with writing(home.engine) as connection:
        files = tables.files
        connection.execute(update(files).values(state=FileState.SUCCEEDED, transcript_key="good"))
        connection.execute(update(files).where(files.c.number.in_(bad)).values(transcript_key="bad"))
    reads: list[str] = []
    read = home.store.chunks

    def fail(key: str) -> Iterator[bytes]:
        reads.append(key)
        if key == "bad":
            raise OSError("the disk says no")
        return read(key)

    monkeypatch.setattr(home.store, "chunks", fail)
    now_s = 0.0
    indexing = index.Indexing(home.bench, lambda: now_s)
    for _ in range(2):
        with pytest.raises(OSError, match="the disk says no"):
            indexing.sweep()
    indexing.sweep()
    assert searched(library, "语句") == [f"{task.id}.0", f"{task.id}.6"]
    assert reads.count("bad") == len(bad), "none was tried twice"
    monkeypatch.setattr(home.store, "chunks", read)
    indexing.sweep()
    assert len(searched(library, "语句")) == 2
    library.change("default", f"{task.id}.1", title="named meanwhile")
    indexing.sweep()
    assert searched(library, "语句 meanwhile") == [f"{task.id}.1"], "what has changed does not wait"
    now_s = index.LATER_S
    indexing.sweep()
    assert len(searched(library, "语句")) == 12


def test_what_the_database_does_not_take_keeps_no_other_one_out(
    home: Home, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [home.submit(url) for url in (A, B, C)]
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(state=FileState.SUCCEEDED))
    refused = row_of(home, tasks[1])["id"]
    write = search.write

    def fail(connection, entry) -> None:
        if entry.file_id == refused:
            connection.execute(text("SELECT no_such_function()"))
        write(connection, entry)

    monkeypatch.setattr(search, "write", fail)
    index.Indexing(home.bench).sweep()
    indexed = [row_of(home, task)["indexed"] for task in tasks]
    assert indexed == ["#0", "", "#0"]
    assert set(searched(library, "b")) == {f"{task.id}.0" for task in tasks[:2]}, "by its title until then"


# --- naming and keeping -----------------------------------------------------------------------------------------------


def test_kept_recordings_outlive_everything_until_they_are_not_kept(
    home: Home, library: Library, tmp_path: Path
) -> None:
    task = run(home, A, B, keep=True)
    home.worker.stop()
    index.Indexing(home.bench).sweep()
    library.change("default", f"{task.id}.1", kept=False)
    word, before = said(home, task), len(stored(home, tmp_path))
    for days in (2, 400):
        expire.expire(home.bench, now_ms() + days * DAY_MS)
    left = row_of(home, task)
    assert all(home.store.exists(left[f"{what}_key"]) for what in ("source", "transcript", "heard", "result"))
    assert row_of(home, task, 1) is None
    assert len(stored(home, tmp_path)) == before // 2
    assert searched(library, word) == [f"{task.id}.0"]
    library.change("default", f"{task.id}.0", kept=False)
    expire.expire(home.bench, now_ms() + 2 * DAY_MS)
    assert_nothing_is_left(home, tmp_path)


def test_kept_beside_a_short_retention_and_stripped_once_it_is_not(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: speech(2)}, retention=1.0)
    library = Library(home.engine, home.settings)
    task = run(home, A)
    home.worker.stop()
    index.Indexing(home.bench).sweep()
    word = said(home, task)
    library.change("default", f"{task.id}.0", kept=True)
    expire.expire(home.bench, now_ms() + 2 * 3600 * 1000)
    assert row_of(home, task)["transcript_key"]
    library.change("default", f"{task.id}.0", kept=False)
    expire.expire(home.bench, now_ms() + 2 * 3600 * 1000)
    assert stored(home, tmp_path) == ["result-c3.json"]
    assert searched(library, word) == []
    index.Indexing(home.bench).sweep()
    assert searched(library, "wav") == [f"{task.id}.0"], "its title is there still"
    with pytest.raises(ConflictError, match="removed already"):
        library.change("default", f"{task.id}.0", kept=True)


def test_keeping_meets_expiry_in_one_order(home: Home, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was told that a recording is kept has it, however near its end was."""
    task = run(home, A)
    home.worker.stop()
    find = expire._some_ids

    def keep_first(bench, condition):
        ids = find(bench, condition)
        if ids:
            monkeypatch.setattr(expire, "_some_ids", find)
            library.change("default", f"{task.id}.0", kept=True)
        return ids

    monkeypatch.setattr(expire, "_some_ids", keep_first)
    expire.expire(home.bench, now_ms() + 2 * DAY_MS)
    assert row_of(home, task)["transcript_key"]
    assert listed(library) == [f"{task.id}.0"]


def test_stages_of_what_is_kept_can_be_done_again_however_old_it_is(home: Home, library: Library) -> None:
    kept, old = run(home, A, keep=True), home.submit(B)
    home.worker.wake()
    home.wait(old)
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(ended_ms=now_ms() - 30 * DAY_MS))
    with pytest.raises(NotFoundError):
        redos.ask(home.engine, "default", old.id, StageName.MARKS)
    assert redos.ask(home.engine, "default", kept.id, StageName.MARKS) == (0,)
    home.worker.wake()
    until = time.monotonic() + 20
    while (again := library.get("default", f"{kept.id}.0").file.redo) is None or again.state is not Status.SUCCEEDED:
        assert time.monotonic() < until, again
        time.sleep(0.02)
    assert home.book.get("default", kept.id) is None
    assert home.book.get("default", kept.id, kept=True) is not None


@pytest.mark.parametrize("recording_id", ["nothing", "t.0", "t.-1", "t.00", ".0", "x" * 100 + ".0", "t.1.0"])
def test_what_is_not_there_is_not_found(library: Library, recording_id: str) -> None:
    with pytest.raises(NotFoundError):
        library.get("default", recording_id)
    with pytest.raises(NotFoundError):
        library.change("default", recording_id, kept=True)
    assert library.delete("default", [recording_id]).missing == (recording_id,)


# --- deleting ---------------------------------------------------------------------------------------------------------


def assert_nothing_is_left(home: Home, tmp_path: Path) -> None:
    assert stored(home, tmp_path) == []
    with reading(home.engine) as connection:
        for table in (tables.tasks, tables.files, tables.windows, tables.redos, tables.search_texts):
            assert connection.execute(select(table)).all() == []
    assert indexed_words(home.engine) == []


def test_deleted_recording_is_gone_at_once_and_its_blobs_soon(home: Home, library: Library, tmp_path: Path) -> None:
    task = run(home, A, B)
    home.worker.stop()
    index.Indexing(home.bench).sweep()
    before = len(stored(home, tmp_path))
    key = row_of(home, task)["result_key"]
    done = library.delete("default", [f"{task.id}.0", f"{task.id}.0", "nothing"])
    assert (done.ids, done.missing, done.stopped) == ((f"{task.id}.0",), ("nothing",), 0)
    assert listed(library) == [f"{task.id}.1"]
    assert searched(library, "a b") == []
    assert home.book.result_key(task.id, 0) is None
    assert library.delete("default", [f"{task.id}.0"]).missing == (f"{task.id}.0",)
    assert home.store.exists(key)
    expire.erase(home.bench)
    assert not home.store.exists(key)
    assert len(stored(home, tmp_path)) == before // 2
    assert home.book.get("default", task.id).status is Status.SUCCEEDED, "the other one still is what it was"
    library.delete("default", [f"{task.id}.1"])
    assert home.book.get("default", task.id) is None
    expire.expire(home.bench, now_ms())
    assert_nothing_is_left(home, tmp_path)


def test_deleting_that_was_interrupted_is_made_up_for(
    home: Home, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = run(home, A, B, keep=True)
    home.worker.stop()
    library.delete("default", [f"{task.id}.0"])

    def crash(prefix: str) -> None:
        raise SystemError("crash")

    with monkeypatch.context() as patched, pytest.raises(SystemError, match="crash"):
        patched.setattr(home.store, "delete_prefix", crash)
        expire.erase(home.bench)
    before = len(stored(home, tmp_path))
    expire.erase(home.bench)
    assert len(stored(home, tmp_path)) == before // 2
    expire.expire(home.bench, now_ms() + 2 * DAY_MS)
    assert row_of(home, task) is None
    assert listed(library) == [f"{task.id}.1"]


def test_deleted_recording_that_cannot_be_removed_holds_up_no_other(
    home: Home, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = run(home, A, B, keep=True)
    home.worker.stop()
    library.delete("default", [f"{task.id}.0", f"{task.id}.1"])
    remove, before = home.store.delete_prefix, len(stored(home, tmp_path))

    def fail(prefix: str) -> None:
        if prefix.endswith("/0"):
            raise OSError(5, "Input/output error")
        remove(prefix)

    with monkeypatch.context() as patched:
        patched.setattr(home.store, "delete_prefix", fail)
        expire.erase(home.bench)
        assert len(stored(home, tmp_path)) == before // 2
    expire.erase(home.bench)
    assert stored(home, tmp_path) == []


def test_others_recordings_are_not_there_to_be_changed_or_deleted(home: Home, library: Library) -> None:
    task = run(home, A)
    with pytest.raises(NotFoundError):
        library.change("mallory", f"{task.id}.0", title="mine")
    assert library.delete("mallory", [f"{task.id}.0"]).ids == ()
    assert library.get("default", f"{task.id}.0").title == "a b.wav"


def test_deleting_a_waiting_task_cancels_it(home: Home, library: Library, tmp_path: Path) -> None:
    target = TargetBook(home.engine).add(Target(owner="default", url="https://8.8.8.8/hook"))
    task = home.submit(A)
    done = library.delete("default", [f"{task.id}.0"])
    assert (done.stopped, listed(library), home.book.open_files()) == (1, [], 0)
    with reading(home.engine) as connection:
        events = connection.execute(select(tables.callback_events.c.task_id, tables.callback_events.c.status)).all()
    assert [tuple(event) for event in events] == [(task.id, "CANCELED")], target
    expire.expire(home.bench, now_ms() + 2 * expire.LINGER_MS)
    assert_nothing_is_left(home, tmp_path)


def test_deleting_some_of_a_waiting_task_leaves_the_others_to_be_done(home: Home, library: Library) -> None:
    task = home.submit(A, B)
    assert library.delete("default", [f"{task.id}.0"]).stopped == 1
    home.worker.start()
    home.worker.wake()
    ended = home.wait(task)
    assert [(one.index, one.status) for one in ended.subtasks] == [(0, Status.CANCELED), (1, Status.SUCCEEDED)]
    assert ended.status is Status.SUCCEEDED
    assert home.origin.fetched[A] == 0
    assert listed(library) == [f"{task.id}.1"]


def test_deleting_what_is_being_recognized_stops_it_and_leaves_nothing(
    home: Home, library: Library, tmp_path: Path
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait(sound: str) -> None:
        inside.set()
        go_on.wait(20)

    home.hosts.on_recognize = wait
    task = home.submit(A)
    home.worker.start()
    home.worker.wake()
    assert inside.wait(120)
    assert library.delete("default", [f"{task.id}.0"]).stopped == 1
    assert (listed(library), home.book.get("default", task.id)) == ([], None)
    expire.erase(home.bench)
    go_on.set()  # what it puts into the store now comes too late
    home.worker.stop()
    assert home.hosts.recognized.total() <= 2
    assert stored(home, tmp_path) == [], "it is taken back at once"
    expire.expire(home.bench, now_ms() + 60_000)
    assert row_of(home, task) is not None, "for as long as something may come late"
    expire.expire(home.bench, now_ms() + 2 * expire.LINGER_MS)
    assert_nothing_is_left(home, tmp_path)


@pytest.mark.parametrize(
    "late", ["source-", ".flac", "windows/1/0-0.standin", "peaks", "heard-c3.json", "heard-1.1.json"]
)
def test_whatever_is_stored_too_late_is_taken_back(
    home: Home, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    put, is_late = home.store.put, threading.Event()
    task = home.submit(A)

    def delete_first(key: str, data: object):
        if late in key and not is_late.is_set():
            library.delete("default", [f"{task.id}.0"])
            expire.erase(home.bench)
            is_late.set()
        return put(key, data)

    monkeypatch.setattr(home.store, "put", delete_first)
    home.worker.start()
    home.worker.wake()
    if ".1.json" in late:  # of a stage that is done again
        home.wait(task)
        redos.ask(home.engine, "default", task.id, StageName.MARKS)
        home.worker.wake()
    assert is_late.wait(120)
    home.worker.stop()
    assert stored(home, tmp_path) == []


def test_deleting_the_last_that_runs_ends_its_task(home: Home, library: Library) -> None:
    task = home.submit(A, B)
    take(home, FileState.WAITING)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    library.delete("default", [f"{task.id}.0", f"{task.id}.1"][:1])
    assert home.book.get("default", task.id).status is Status.RUNNING
    library.delete("default", [f"{task.id}.1"])
    assert home.book.get("default", task.id) is None
    with reading(home.engine) as connection:
        row = connection.execute(select(tables.tasks.c.status, tables.tasks.c.open_files)).one()
    assert tuple(row) == (Status.CANCELED, 0)


def test_stage_that_is_done_again_meanwhile_comes_too_late(home: Home, library: Library, tmp_path: Path) -> None:
    task = run(home, A)
    home.worker.stop()
    redos.ask(home.engine, "default", task.id, StageName.MARKS)
    claimed = redos.claim(home.engine)
    assert claimed is not None
    library.delete("default", [f"{task.id}.0"])
    result = home.store.put(f"{claimed.file.prefix}/late.json", b"{}")
    assert not redos.done(
        home.engine, claimed, result_key="late", result=result, transcript_key="t", heard_key="h", notes=()
    )
    expire.expire(home.bench, now_ms())
    assert_nothing_is_left(home, tmp_path)


def test_an_upload_is_called_as_its_owner_called_it(home: Home, library: Library, tmp_path: Path) -> None:
    sound = tmp_path / "sound"
    sound.write_bytes(b"1234")
    upload = home.uploads.keep("default", "C:\\Talks\\例会 100%.m4a", sound)
    home.submit(upload.url)
    assert library.list("default", Wanted())[1][0].title == "例会 100%.m4a"
    assert only(library.list("default", Wanted())[1][0].task).file_url == upload.url


def test_as_many_are_deleted_at_once_as_may_be_asked_for(home: Home, library: Library) -> None:
    tasks = [home.submit(*[A] * 100) for _ in range(5)]
    ids = [f"{task.id}.{number}" for task in tasks for number in range(100)]
    assert library.delete("default", ids).ids == tuple(ids)
    assert listed(library) == []
