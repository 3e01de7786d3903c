"""Edits of transcripts: by revisions, on disk once answered, of nobody else's; on both back ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from durable import Home, only, patient_stop, run, speech, stored
from sqlalchemy import select, update

from dashscribe import redos
from dashscribe.db import reading, tables, writing
from dashscribe.edits import EditBook, Replacement, Said
from dashscribe.enrich import StageName
from dashscribe.errors import EditedMeanwhileError, InvalidParameterError, NotFoundError, NoTranscriptError
from dashscribe.library import Library
from dashscribe.steps import expire, redo
from dashscribe.store import Stored
from dashscribe.tasks import Task
from dashscribe.types import Transcript

URL = "https://a.example/a.wav"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path, backend: str) -> Home:
    return Home(tmp_path, {URL: speech(3)})


@pytest.fixture
def task(home: Home) -> Task:
    return run(home, URL)


def book(home: Home) -> EditBook:
    return EditBook(home.engine, home.store)


def row(home: Home, task: Task) -> dict:
    with reading(home.engine) as connection:
        return dict(connection.execute(select(tables.files).where(tables.files.c.task_id == task.id)).mappings().one())


def edit(home: Home, task: Task, revision: int, *replacements: Replacement, names: dict[int, str] | None = None):
    return book(home).edit("default", task.id, 0, revision=revision, replacements=replacements, names=names or {})


def texts(home: Home, task: Task, *, original: bool = False) -> list[str]:
    version = book(home).read("default", task.id, 0, original=original)
    return [placed.sentence.text for placed in version.edits.tracks[0].sentences]


def test_edit_puts_texts_in_the_place_of_sentences_and_leaves_the_original(home: Home, task: Task) -> None:
    before = texts(home, task)
    original = home.store.read(row(home, task)["transcript_key"])
    result = home.store.read(only(home.book.get("default", task.id)).result_key or "")
    edits, fresh = edit(home, task, 0, Replacement(("0-1",), (Said("Good morning."),)), names={0: "Anna"})
    assert (edits.revision, edits.speakers) == (1, {0: "Anna"})
    (placed,) = fresh[0].placed
    assert (placed.id, placed.edited, placed.sentence.text) == ("0-1", True, "Good morning.")
    assert (placed.sentence.begin_ms, placed.sentence.end_ms) == (30_000, 60_000)
    assert texts(home, task) == [before[0], "Good morning.", before[2]]
    assert texts(home, task, original=True) == before
    assert home.store.read(row(home, task)["transcript_key"]) == original
    assert home.store.read(only(home.book.get("default", task.id)).result_key or "") == result


def test_editing_keeps_the_recording_and_says_when(home: Home, task: Task) -> None:
    assert not row(home, task)["kept"]
    edit(home, task, 0, names={1: "Ben"})
    now = row(home, task)
    assert now["kept"]
    assert now["edited_ms"] > 0
    assert now["revision"] == 1


def test_ids_are_stable_over_edits_of_others_and_new_ones_are_never_reused(home: Home, task: Task) -> None:
    _, halves = edit(home, task, 0, Replacement(("0-0",), (Said("one two"), Said("three"))))
    first, second = (placed.id for placed in halves[0].placed)
    edits, merged = edit(home, task, 1, Replacement((second, "0-1"), (Said("three and more"),)))
    ids = [placed.id for placed in edits.tracks[0].sentences]
    assert ids == [first, merged[0].placed[0].id, "0-2"]
    assert len({"0-0", "0-1", first, second, *ids}) == 6
    book(home).discard("default", task.id, 0)
    _, again = edit(home, task, 3, Replacement(("0-0",), (Said("one two"), Said("three"))))
    assert {placed.id for placed in again[0].placed}.isdisjoint({first, second})


def test_another_revision_than_the_current_one_is_refused_and_named(home: Home, task: Task) -> None:
    edit(home, task, 0, names={0: "Anna"})
    for revision in (0, 2):
        with pytest.raises(EditedMeanwhileError, match=rf"revision was {revision}; the current one is 1"):
            edit(home, task, revision, names={0: "Ben"})
    assert book(home).read("default", task.id, 0).edits.speakers == {0: "Anna"}


def test_of_many_who_edit_one_revision_at_once_one_wins(home: Home, task: Task) -> None:
    outcomes: list[object] = []
    begin = threading.Barrier(8)

    def attempt(number: int) -> None:
        begin.wait()
        try:
            edit(home, task, 0, Replacement(("0-0",), (Said(f"by number {number}"),)))
            outcomes.append(number)
        except EditedMeanwhileError:
            outcomes.append(None)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number in outcomes if number is not None]
    assert texts(home, task)[0] == f"by number {winner}"
    assert row(home, task)["revision"] == 1


def test_going_back_is_a_revision_too_and_forgets_names(home: Home, task: Task) -> None:
    before = texts(home, task)
    edit(home, task, 0, Replacement(("0-0", "0-1"), ()), names={0: "Anna"})
    key = row(home, task)["edits_key"]
    assert book(home).discard("default", task.id, 0) == 2
    assert book(home).discard("default", task.id, 0) == 2
    version = book(home).read("default", task.id, 0)
    assert (texts(home, task), version.is_edited, version.edits.speakers) == (before, False, {})
    assert not home.store.exists(key)
    with pytest.raises(EditedMeanwhileError):
        edit(home, task, 1, names={0: "Anna"})


def test_sentences_that_were_taken_out_leave_a_gap_that_is_told(home: Home, task: Task) -> None:
    edits, _ = edit(home, task, 0, Replacement(("0-1",), (Said(""),)))
    (span,) = edits.tracks[0].removed
    assert (span.begin_ms, span.end_ms) == (30_000, 60_000)
    edits, _ = edit(home, task, 1, Replacement(("0-0", "0-2"), (Said("all of it"),)))
    assert edits.tracks[0].removed == []


def test_only_the_present_revision_s_blob_stays(home: Home, task: Task) -> None:
    keys = []
    for revision in range(3):
        edit(home, task, revision, names={0: f"Anna {revision}"})
        keys.append(row(home, task)["edits_key"])
    assert [home.store.exists(key) for key in keys] == [False, False, True]


def test_an_edit_is_answered_even_if_the_revision_before_it_cannot_be_deleted(
    home: Home, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(home, task, 0, names={0: "Anna"})

    def stuck(key: str) -> None:
        raise OSError(5, key)

    monkeypatch.setattr(home.store, "delete", stuck)
    edits, _ = edit(home, task, 1, names={0: "Ben"})
    assert (edits.revision, row(home, task)["revision"]) == (2, 2)


def test_a_speaker_can_be_set_without_touching_a_word(home: Home, task: Task) -> None:
    old = book(home).read("default", task.id, 0).edits.tracks[0].sentences[1].sentence
    _, fresh = edit(home, task, 0, Replacement(("0-1",), (Said(old.text, 3),)))
    (placed,) = fresh[0].placed
    assert placed.sentence.words == old.words
    assert placed.sentence.speaker == 3


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (("0-9",), "does not have"),
        (("0-0", "0-2"), "consecutive"),
        (("0-1", "0-0"), "consecutive"),
        (("0-0", "0-0"), "consecutive"),
    ],
)
def test_ids_that_do_not_fit_are_refused(home: Home, task: Task, ids: tuple[str, ...], told: str) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        edit(home, task, 0, Replacement(ids, (Said("x"),)))
    assert row(home, task)["revision"] == 0


def test_a_sentence_named_twice_is_refused(home: Home, task: Task) -> None:
    with pytest.raises(InvalidParameterError, match="'0-1' twice"):
        edit(home, task, 0, Replacement(("0-0", "0-1"), ()), Replacement(("0-1",), (Said("x"),)))


def test_others_have_no_such_recording(home: Home, task: Task) -> None:
    for owner, task_id, number in (("mallory", task.id, 0), ("default", task.id, 1), ("default", "nobody", 0)):
        with pytest.raises(NotFoundError):
            book(home).read(owner, task_id, number)
        with pytest.raises(NotFoundError):
            book(home).edit(owner, task_id, number, revision=0, replacements=(), names={0: "x"})
        with pytest.raises(NotFoundError):
            book(home).discard(owner, task_id, number)


def test_what_has_no_transcript_says_why(home: Home, task: Task) -> None:
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(transcript_key=""))
    with pytest.raises(NoTranscriptError, match="DASHSCRIBE_RETENTION"):
        book(home).read("default", task.id, 0)
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(state="failed"))
    with pytest.raises(NoTranscriptError, match="FAILED"):
        book(home).read("default", task.id, 0)


def test_recordings_that_are_hidden_or_removed_are_gone(home: Home, task: Task) -> None:
    version = book(home).read("default", task.id, 0)
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(removed=True))
    assert not book(home)._make_current(version.row, "tasks/x/0/edits-1-x.json")
    with pytest.raises(NotFoundError):
        book(home).read("default", task.id, 0)
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(removed=False))
        connection.execute(update(tables.files).values(hidden=True))
    with pytest.raises(NotFoundError):
        book(home).read("default", task.id, 0)


@pytest.mark.parametrize("change", [{"hidden": True}, {"transcript_key": ""}, {"revision": 7}])
def test_an_edit_that_comes_too_late_leaves_nothing(
    home: Home, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    home.worker.stop()  # which would erase the rest
    before, put = stored(home, tmp_path), home.store.put

    def change_first(key: str, data: bytes):
        with writing(home.engine) as connection:
            connection.execute(update(tables.files).values(change))
        return put(key, data)

    monkeypatch.setattr(home.store, "put", change_first)
    with pytest.raises((NotFoundError, NoTranscriptError, EditedMeanwhileError)):
        edit(home, task, 0, names={0: "Anna"})
    assert stored(home, tmp_path) == before


def test_edits_survive_a_stage_that_is_done_again_and_the_new_original_is_told(home: Home, task: Task) -> None:
    edit(home, task, 0, Replacement(("0-0",), (Said("as it was meant"),)))
    home.worker.stop()
    redos.ask(home.engine, "default", task.id, StageName.MARKS)
    claimed = redos.claim(home.engine)
    assert claimed is not None
    redo.redo(home.bench, claimed)
    version = book(home).read("default", task.id, 0)
    assert version.newer_original
    assert version.edits.tracks[0].sentences[0].sentence.text == "as it was meant"
    assert not book(home).read("default", task.id, 0, original=True).newer_original
    # Whoever read before it has to read again: ids may mean other sentences now.
    with pytest.raises(EditedMeanwhileError, match="the current one is 2"):
        edit(home, task, 1, names={0: "Anna"})
    edit(home, task, 2, names={0: "Anna"})
    assert texts(home, task)[0] == "as it was meant"
    book(home).discard("default", task.id, 0)
    assert not book(home).read("default", task.id, 0).newer_original


def test_an_edit_of_what_is_deleted_meanwhile_leaves_nothing(
    home: Home, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, written = home.store.put, list[str]()

    def deleted_first(key: str, data: bytes) -> Stored:
        Library(home.engine, home.settings).delete("default", [f"{task.id}.0"])
        expire.erase(home.bench)
        written.append(key)
        return put(key, data)

    monkeypatch.setattr(home.store, "put", deleted_first)
    with pytest.raises(NotFoundError):
        edit(home, task, 0, names={0: "Anna"})
    assert [home.store.exists(key) for key in written] == [False]


@pytest.mark.parametrize("moment", ["before the blob", "after the blob", "after the row"])
def test_an_edit_that_is_killed_is_there_or_never_was(home: Home, task: Task, moment: str) -> None:
    edit(home, task, 0, Replacement(("0-0",), (Said("the first edit"),)))
    settings = home.settings
    home.worker.stop()
    program = Path(__file__).with_name("killed_editor.py")
    command = [sys.executable, str(program), str(settings.home)]
    command += [settings.resolved_database_url, settings.resolved_store_url, task.id, moment]
    env = os.environ | {"PYTHONPATH": str(program.parents[1])}  # it uses the suite's own modules
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    happened = moment == "after the row"
    version = book(home).read("default", task.id, 0)
    assert version.edits.tracks[0].sentences[0].sentence.text == ("the second edit" if happened else "the first edit")
    revision = version.row.revision
    assert revision == (2 if happened else 1)
    edit(home, task, revision, Replacement(("0-0",), (Said("the second edit"),)))
    assert texts(home, task)[0] == "the second edit"
    original = msgspec.json.decode(home.store.read(version.row.transcript_key), type=Transcript)
    assert texts(home, task, original=True) == [sentence.text for sentence in original.tracks[0].sentences]
