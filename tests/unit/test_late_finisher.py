"""Whoever finishes a file too late, or is killed while at it, changes nothing that answers and leaves nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from durable import Home, cut_by_hand, patient_stop, run, shorten_waits, source, stored, take
from sqlalchemy import select

from dashscribe import files, redos, windows
from dashscribe.db import now_ms, reading, tables
from dashscribe.db.tables import FileState
from dashscribe.enrich import StageName
from dashscribe.errors import StageError
from dashscribe.files import ClaimedFile
from dashscribe.redos import ClaimedRedo
from dashscribe.steps import expire, finish, recognize, redo
from dashscribe.steps.heard import Keys
from dashscribe.steps.late import leaving_nothing
from dashscribe.store import Stored
from dashscribe.tasks import Status
from dashscribe.types import Options

A = "http://x/a"
#: When one who stores a result is paused or killed: before this blob, or before the row.
MOMENTS = ("heard-", "transcript-", "result-", "row")
#: What of the program decides about keys; old ones named a result by the generation alone, which is 1 here.
NEW = {name: getattr(finish, name) for name in ("first_keys", "every_first_key", "take_back")}
OLD = {
    "first_keys": lambda prefix, claim: Keys(prefix, "1"),
    "every_first_key": lambda *_: (),
    "take_back": lambda *_: None,
}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    turns = source(*([(at, at + 2500), (at + 3000, at + 5500)] for at in range(0, 20_000, 10_000)))
    opened = Home(tmp_path, {A: turns}, retention=0.25)
    marking(opened, ".")
    yield opened
    opened.worker.stop()


def marking(home: Home, mark: str) -> None:
    """Let the punctuation model set this mark, so that results can be told apart."""
    home.hosts.punctuator = lambda: lambda text: text + mark


def to_be_finished(home: Home, *, keep: bool = False) -> ClaimedFile:
    """A file all of whose windows are recognized, claimed by a worker to finish it."""
    cut_by_hand(home, A, keep=keep)
    while window := windows.claim(home.engine):
        recognize.recognize(home.bench, window)
    return take(home, FileState.JOINING)


def taken_over(home: Home) -> ClaimedFile:
    """The same by another worker: the lease of the one before is over."""
    assert files.recover(home.engine) == 1
    return take(home, FileState.JOINING)


def answers(home: Home) -> dict[str, bytes]:
    """What the row of the only file names."""
    names = ("result_key", "transcript_key", "heard_key")
    with reading(home.engine) as connection:
        row = connection.execute(select(*(tables.files.c[name] for name in names))).one()
    return {key: home.store.read(key) for key in row}


def left(version: str) -> list[str]:
    """All that is there of a file with a result."""
    return [
        f"heard-{version}.json",
        "peaks.msgpack",
        f"result-{version}.json",
        "source-1",
        f"transcript-{version}.json",
    ]


def at(home: Home, monkeypatch: pytest.MonkeyPatch, moment: str, act: Callable[[], object]) -> None:
    """Do this once, at that moment of the next that is stored and written into a row."""
    done: list[str] = []

    def once(now: str) -> None:
        if moment in now and not done:
            done.append(now)
            act()

    put, succeeded, redone = home.store.put, files.succeeded, redos.done

    def put_then(key: str, data: object) -> Stored:
        once(key)
        return put(key, data)

    def succeed_then(*row: object, **values: object) -> bool:
        once("row")
        return succeeded(*row, **values)

    def redone_then(*row: object, **values: object) -> bool:
        once("row")
        return redone(*row, **values)

    monkeypatch.setattr(home.store, "put", put_then)
    monkeypatch.setattr(files, "succeeded", succeed_then)
    monkeypatch.setattr(redos, "done", redone_then)


def die(*_: object, **__: object) -> NoReturn:
    raise KeyboardInterrupt  # what a kill leaves: nothing is booked, nothing is given back


def killed(home: Home, monkeypatch: pytest.MonkeyPatch, file: ClaimedFile, moment: str = "row") -> None:
    """Finish a file and be killed meanwhile."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        at(home, patched, moment, die)
        finish.finish(home.bench, file)


def finish_as(program: dict[str, object], home: Home, monkeypatch: pytest.MonkeyPatch, file: ClaimedFile) -> None:
    """Finish a file as a worker of this version does."""
    with monkeypatch.context() as patched:
        for name, value in program.items():
            patched.setattr(finish, name, value)
        finish.finish(home.bench, file)


def again(home: Home, stage: StageName = StageName.MARKS) -> ClaimedRedo:
    """A stage that is to be done again, claimed by a worker."""
    with reading(home.engine) as connection:
        task_id = connection.execute(select(tables.tasks.c.id)).scalar_one()
    redos.ask(home.engine, "default", task_id, stage)
    claimed = redos.claim(home.engine)
    assert claimed is not None
    return claimed


def redo_state(home: Home) -> tuple[str, str]:
    with reading(home.engine) as connection:
        row = connection.execute(select(tables.redos.c.state, tables.redos.c.message)).one()
    return row.state, row.message


def tidy(home: Home) -> None:
    """What a round does once the retention is over."""
    expire.expire(home.bench, now_ms() + 3600 * 1000)


# --- too late ---------------------------------------------------------------------------------------------------------


@pytest.mark.bucket
@pytest.mark.parametrize("moment", ["marks", *MOMENTS])
def test_late_finish_with_other_words_changes_nothing_that_answers(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    late = to_be_finished(home)
    taken = taken_over(home)
    before: dict[str, bytes] = {}

    def others_finish() -> None:
        marking(home, ".")
        finish.finish(home.bench, taken)
        before.update(answers(home))

    def mark(text: str) -> str:
        if moment == "marks" and not before:
            others_finish()
        return text + "!"

    home.hosts.punctuator = lambda: mark
    at(home, monkeypatch, moment, others_finish)
    finish.finish(home.bench, late)
    assert len(before) == 3
    assert answers(home) == before
    assert not any(b"!" in blob for blob in before.values())
    assert stored(home, tmp_path) == left("c4")


def test_undisturbed_finish_looks_for_nothing_that_others_left(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = to_be_finished(home)
    deleted: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(home.store, "delete", deleted.append)
        finish.finish(home.bench, file)
    assert deleted == []
    assert stored(home, tmp_path) == left("c3")
    assert all(key.endswith("-c3.json") for key in answers(home))


def test_late_redo_leaves_nothing_either(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish.finish(home.bench, to_be_finished(home))
    late = again(home)
    redos.release(home.engine, late)
    taken = redos.claim(home.engine)
    assert taken is not None
    at(home, monkeypatch, "transcript-", lambda: redo.redo(home.bench, taken))
    with pytest.raises(StageError) as raised:
        redo.redo(home.bench, late)
    redo.book(home.bench, late, raised.value)
    assert redo_state(home)[0] == Status.SUCCEEDED
    assert stored(home, tmp_path) == left("1.2")


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.bucket
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_kill_leaves_before_the_row_goes_when_the_file_is_finished(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    killed(home, monkeypatch, to_be_finished(home), moment)
    assert ("heard-c3.json" in stored(home, tmp_path)) == (moment != "heard-")
    finish.finish(home.bench, taken_over(home))
    assert stored(home, tmp_path) == left("c4")


@pytest.mark.bucket
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_what_a_kill_leaves_goes_with_the_retention_when_the_file_fails(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool, keep: bool
) -> None:
    killed(home, monkeypatch, to_be_finished(home, keep=keep))
    if late:
        assert files.time_out(home.engine, now_ms() + 1, "InternalError", "for this test")
    else:
        assert files.failed(home.engine, taken_over(home), "InternalError", "for this test")
    assert "result-c3.json" in stored(home, tmp_path)
    tidy(home)
    assert stored(home, tmp_path) == (["peaks.msgpack", "source-1"] if keep else [])


def test_what_a_kill_leaves_goes_when_whoever_took_over_comes_too_late(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(home, monkeypatch, to_be_finished(home))
    taken = taken_over(home)
    at(home, monkeypatch, "row", lambda: files.time_out(home.engine, now_ms() + 1, "InternalError", "for this test"))
    leaving_nothing(home.bench, partial(finish.finish, home.bench))(taken)
    assert stored(home, tmp_path) == ["peaks.msgpack", "source-1"]


@pytest.mark.bucket
@pytest.mark.parametrize("keep", [True, False])
def test_kill_between_the_loss_and_its_clearing_up_leaves_nothing_for_long(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    late = to_be_finished(home, keep=keep)
    taken = taken_over(home)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        at(home, patched, "heard-", lambda: finish.finish(home.bench, taken))
        patched.setattr(finish, "take_back", die)
        finish.finish(home.bench, late)
    assert sorted({*left("c3"), *left("c4")}) == stored(home, tmp_path)
    before = answers(home)
    tidy(home)
    assert stored(home, tmp_path) == (left("c4") if keep else ["result-c4.json"])
    assert not keep or answers(home) == before


@pytest.mark.parametrize("by", ["the retention", "a stage that is done again"])
def test_what_a_winner_could_not_clear_up_goes_later(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    killed(home, monkeypatch, to_be_finished(home, keep=True))
    taken = taken_over(home)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(home.store, "delete_prefix", die)
        finish.finish(home.bench, taken)
    assert {*left("c3"), *left("c4")} < set(stored(home, tmp_path))
    if by == "the retention":
        tidy(home)
        assert stored(home, tmp_path) == left("c4")
    else:
        redo.redo(home.bench, again(home))
        assert not {*left("c3"), *left("c4")} & set(stored(home, tmp_path)) - {"peaks.msgpack", "source-1"}
        tidy(home)  # of the windows
        assert stored(home, tmp_path) == left("1.1")


def test_first_result_goes_with_the_retention_where_a_redo_was_killed_before_it_could_clear_up(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish.finish(home.bench, to_be_finished(home, keep=True))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(redo, "_clear", die)
        redo.redo(home.bench, again(home))
    assert sorted({*left("c3"), *left("1.1")}) == stored(home, tmp_path)
    tidy(home)
    assert stored(home, tmp_path) == left("1.1")


# --- workers of two versions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("first", "second", "version"), [(NEW, OLD, "1"), (OLD, NEW, "c4")], ids=["old", "new"])
def test_worker_of_another_version_that_comes_too_late_changes_nothing(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, object],
    second: dict[str, object],
    version: str,
    keep: bool,
) -> None:
    late = to_be_finished(home, keep=keep)
    taken = taken_over(home)
    before: dict[str, bytes] = {}

    def others_finish() -> None:
        marking(home, ".")
        finish_as(second, home, monkeypatch, taken)
        before.update(answers(home))

    marking(home, "!")
    at(home, monkeypatch, "heard-", others_finish)
    finish_as(first, home, monkeypatch, late)
    assert len(before) == 3
    assert answers(home) == before
    assert stored(home, tmp_path) == (left("1") if first is NEW else sorted({*left("1"), *left("c4")}))
    tidy(home)
    assert stored(home, tmp_path) == (left(version) if keep else [f"result-{version}.json"])


def test_stage_of_an_old_result_is_done_again(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish_as(OLD, home, monkeypatch, to_be_finished(home))
    assert stored(home, tmp_path) == left("1")
    redo.redo(home.bench, again(home))
    assert stored(home, tmp_path) == left("1.1")


def test_what_an_old_worker_killed_while_finishing_left_goes_when_the_file_is_finished(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = to_be_finished(home)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        at(home, patched, "row", die)
        finish_as(OLD, home, monkeypatch, file)
    assert "result-1.json" in stored(home, tmp_path)
    finish.finish(home.bench, taken_over(home))
    assert stored(home, tmp_path) == left("c4")


def test_first_result_that_an_old_worker_left_beside_a_redo_goes_with_the_retention(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish.finish(home.bench, to_be_finished(home, keep=True))
    with monkeypatch.context() as patched:
        patched.setattr(redo, "every_first_key", lambda *_: ())
        redo.redo(home.bench, again(home))
    assert sorted({*left("c3"), *left("1.1")}) == stored(home, tmp_path)
    tidy(home)
    assert stored(home, tmp_path) == left("1.1")


# --- speakers again, without what they were before --------------------------------------------------------------------


@pytest.mark.bucket
@pytest.mark.parametrize("damage", [None, b"{", b'{"tracks": 1}'])
def test_speakers_are_not_told_again_without_the_transcript_and_nothing_is_cut_for_that(
    home: Home, damage: bytes | None
) -> None:
    run(home, A, options=Options(diarize=True, speaker_count=2))
    home.worker.stop()
    (key,) = (key for key in answers(home) if "/transcript-" in key)
    if damage is None:
        home.store.delete(key)
    else:
        home.store.put(key, damage)
    cut: list[str] = []
    home.hosts.on_cut = lambda url, number: cut.append(url)
    home.hosts.listened.clear()
    claimed = again(home, StageName.SPEAKERS)
    with pytest.raises(StageError, match="not kept any more") as raised:
        redo.redo(home.bench, claimed)
    redo.book(home.bench, claimed, raised.value)
    state, message = redo_state(home)
    assert state == Status.FAILED
    assert "recognizes it anew" in message
    assert (cut, home.hosts.listened.total()) == ([], 0)
    redo.redo(home.bench, again(home))  # marks need no transcript
    assert redo_state(home)[0] == Status.SUCCEEDED
