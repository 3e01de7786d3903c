"""One stage of a finished file again: what is kept for it, what it replaces, and what becomes of it when it fails."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from durable import Home, only, patient_stop, result_of, run, shorten_waits, source, stored
from sqlalchemy import delete, select, update

from dashscribe import redos
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.enrich import StageName
from dashscribe.errors import (
    HostDiedError,
    HostError,
    InvalidParameterError,
    NotFoundError,
    NotRetriedError,
    StageError,
)
from dashscribe.errors.sources import SourceNotFoundError
from dashscribe.queue.slots import GIVE_UP_AT, PutBack
from dashscribe.redos import ClaimedRedo
from dashscribe.steps import expire, redo
from dashscribe.steps.heard import Heard
from dashscribe.tasks import ANSWERS_MS, Redo, Status, Task
from dashscribe.types import Censor, Fate, Hotword, Options, Outcome, Window
from dashscribe.words import timed_sentence

A, B = "http://x/a", "http://x/b"
TALK = Options(diarize=True, speaker_count=2)
#: Each window holds what one and then what the other says.
TURNS = source(*([(at, at + 2500), (at + 3000, at + 5500)] for at in range(0, 40_000, 10_000)))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: TURNS, B: TURNS})
    yield opened
    opened.worker.stop()


def ask(home: Home, task: Task, stage: str = "speakers", **how: object) -> tuple[int, ...]:
    return redos.ask(home.engine, task.owner, task.id, StageName(stage), **how)


def state(home: Home, task: Task) -> Redo:
    found = only_now(home, task).redo
    assert found is not None
    return found


def only_now(home: Home, task: Task):
    now = home.book.get(task.owner, task.id)
    assert now is not None
    return only(now)


def again(home: Home, task: Task, stage: str = "speakers", **how: object) -> Redo:
    """Have a stage done again by the worker that runs, and wait for the end."""
    ask(home, task, stage, **how)
    home.worker.wake()
    return settled(home, task)


def settled(home: Home, task: Task) -> Redo:
    """What was asked for once it has ended."""
    until = time.monotonic() + 20
    while (found := state(home, task)).state in (Status.PENDING, Status.RUNNING):
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


def take(home: Home) -> ClaimedRedo:
    claimed = redos.claim(home.engine)
    assert claimed is not None
    return claimed


def text(home: Home, task: Task) -> str:
    return msgspec.json.decode(result_of(home, only_now(home, task)))["transcripts"][0]["text"]


def speakers(home: Home, task: Task) -> list[int | None]:
    result = msgspec.json.decode(result_of(home, only_now(home, task)))
    return [sentence.get("speaker_id") for sentence in result["transcripts"][0]["sentences"]]


def deaf(home: Home, sounds: str = "") -> None:
    """No child can listen to sounds that end so."""

    def fail(sound: str) -> None:
        if sound.endswith(sounds):
            raise HostDiedError("killed")

    home.hosts.on_listen = fail


def hear_again(home: Home) -> None:
    home.hosts.on_listen = lambda sound: None


# --- the way it should go ---------------------------------------------------------------------------------------------


@pytest.mark.bucket
def test_speakers_that_failed_are_told_once_they_can_be(home: Home, tmp_path: Path) -> None:
    deaf(home)
    task = run(home, A, options=TALK)
    assert speakers(home, task) == [None] * 8
    assert any("speakers are not told" in note for note in only(task).notes)
    (failed,) = only(task).failed_stages
    assert failed.stage == "speakers"
    assert failed.reasons
    assert set(failed.reasons) <= set(only(task).notes)
    hear_again(home)
    before = home.book.get("default", task.id)
    assert again(home, task).state is Status.SUCCEEDED
    after = home.book.get("default", task.id)
    assert before is not None
    assert after is not None
    assert speakers(home, task) == [0, 1] * 4
    assert not any("speakers are not told" in note for note in only(after).notes)
    assert not only(after).failed_stages
    assert (after.status, after.ended_at) == (Status.SUCCEEDED, before.ended_at)
    assert only(after).duration_ms == only(before).duration_ms
    assert set(home.hosts.recognized.values()) == {1}
    assert home.origin.fetched[A] == 1
    home.worker.stop()
    assert stored(home, tmp_path) == [
        "heard-1.1.json",
        "peaks.msgpack",
        "result-1.1.json",
        "source-1",
        "transcript-1.1.json",
    ]


def test_what_was_heard_is_kept_beside_the_result(home: Home) -> None:
    task = run(home, A, options=TALK)
    with reading(home.engine) as connection:
        key = connection.execute(select(tables.files.c.heard_key)).scalar_one()
    heard = msgspec.json.decode(home.store.read(key), type=Heard)
    assert len(heard.outcomes[0]) == 8
    assert len(heard.voices[0]) == 4
    assert key.startswith(f"tasks/{task.id}/0/")


def test_a_number_of_speakers_that_is_given_stays(home: Home) -> None:
    task = run(home, A, options=Options(diarize=True, speaker_count=2, drop_fillers=True))
    assert again(home, task, speaker_count=7).state is Status.SUCCEEDED
    assert len(set(speakers(home, task))) > 2
    found = speakers(home, task)
    assert again(home, task, "fillers").state is Status.SUCCEEDED
    assert speakers(home, task) == found


def test_result_is_done_again_as_often_as_one_likes(home: Home, tmp_path: Path) -> None:
    task = run(home, A, options=TALK)
    first = result_of(home, only(task))
    for _ in range(3):
        assert again(home, task).state is Status.SUCCEEDED
        assert result_of(home, only_now(home, task)) == first
    home.worker.stop()
    assert stored(home, tmp_path) == [
        "heard-1.3.json",
        "peaks.msgpack",
        "result-1.3.json",
        "source-1",
        "transcript-1.3.json",
    ]


def test_all_files_with_a_result_or_the_one_that_is_named(home: Home) -> None:
    home.origin.sources["http://x/gone"] = SourceNotFoundError("x answered 404")
    task = run(home, A, "http://x/gone", B, options=TALK)
    assert ask(home, task, number=2) == (2,)
    assert ask(home, task) == (0, 2)  # 2 is joined


# --- each stage ------------------------------------------------------------------------------------------------------


class Models:
    """A punctuator and a normalizer that a test may change, as an update of installed models would."""

    def __init__(self, home: Home) -> None:
        self.mark, self.number = ".", "1"
        self.asked: list[str] = []
        home.hosts.punctuator = lambda: self.punctuate
        home.hosts.normalizer = lambda: self.normalize

    def punctuate(self, text: str) -> str:
        self.asked.append("marks")
        if self.mark == "broken":
            raise HostError("died")
        return text + self.mark

    def normalize(self, texts: Sequence[str], language: str) -> list[str]:
        self.asked.append("numbers")
        if self.number == "broken":
            raise HostError("died")
        return [text.replace("twenty one", self.number) for text in texts]


def saying(home: Home, words: str) -> None:
    """Let every span say this."""

    def recognize(engine: str, window: Window, options: Options, **_: object) -> Iterator[Outcome]:
        for span in window.spans:
            yield Outcome(span, Fate.TRANSCRIBED, (timed_sentence(words, (), span, language="en"),))

    home.hosts.recognize = recognize


@pytest.fixture
def models(home: Home) -> Models:
    return Models(home)


def test_marks_are_set_by_the_model_of_today(home: Home, models: Models) -> None:
    task = run(home, A)
    assert text(home, task).endswith(".")
    models.mark = "!"
    assert again(home, task, "marks").state is Status.SUCCEEDED
    assert text(home, task).endswith("!")
    assert "." not in text(home, task)


def test_every_other_stage_leaves_the_marks_as_they_were(home: Home, models: Models) -> None:
    options = Options(drop_fillers=True, itn=True, censor=Censor(), hotwords=(Hotword("Kestrel"),))
    task = run(home, A, options=options)
    before = text(home, task)
    models.mark = "!"
    models.asked.clear()
    for stage in ("hotwords", "fillers", "numbers", "sensitive-words"):
        found = again(home, task, stage)
        assert found.state is Status.SUCCEEDED, found
        assert text(home, task) == before
    assert "marks" not in models.asked


def test_sensitive_words_are_those_of_the_list_of_today(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("nothing\n")
    home = Home(tmp_path, {A: TURNS}, sensitive_words=words)
    task = run(home, A, options=Options(censor=Censor()))
    first = text(home, task).split()[0].rstrip(".,")
    words.write_text(f"{first}\n")
    assert first in text(home, task)
    assert again(home, task, "sensitive-words").state is Status.SUCCEEDED
    assert first not in text(home, task)
    home.worker.stop()


def test_numbers_are_written_by_the_normalizer_of_today(home: Home, models: Models) -> None:
    saying(home, "we are twenty one")
    task = run(home, A, options=Options(itn=True))
    assert text(home, task).startswith("We are 1.")
    models.number, models.mark = "21", "!"
    assert again(home, task, "numbers").state is Status.SUCCEEDED
    assert text(home, task).startswith("We are 21.")


SAID = "Um, we met kes trell yes."
#: By stage: what makes it fail, what a task sets for it, what is said, and what that is once it has been done again.
BROKEN = {
    "hotwords": ("bias.Bias.correct", {"hotwords": (Hotword("Kestrel", 5),)}, SAID, "Um, we met Kestrel yes."),
    "marks": ("punctuate", {}, "um we met kes trell yes", "Um we met kes trell yes."),
    "fillers": ("drop_fillers", {"drop_fillers": True}, SAID, "We met kes trell yes."),
    "numbers": ("write_numbers", {"itn": True}, "Um, twenty one.", "Um, 1."),
    "sensitive-words": ("censor", {"censor": Censor(masked=("trell",))}, SAID, "Um, we met kes ***** yes."),
}


@pytest.mark.parametrize("stage", BROKEN)
def test_a_text_stage_that_failed_is_done_again_alone(home: Home, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    broken, wanted, said, wished = BROKEN[stage]
    saying(home, said)
    Models(home).mark = ""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(f"dashscribe.enrich.{broken}", fail)
        task = run(home, A, options=Options(**wanted))
    assert any("that stage failed" in note for note in only(task).notes)
    assert not text(home, task).startswith(wished)
    saying(home, "nothing of the kind")
    assert again(home, task, stage).state is Status.SUCCEEDED
    assert not any("that stage failed" in note for note in only_now(home, task).notes)
    assert text(home, task).startswith(wished)


def test_every_stage_has_been_done_again_here() -> None:
    assert {"speakers", *BROKEN} == {name.value for name in StageName}


def test_a_punctuation_model_counts_from_when_the_marks_are_done_again(home: Home) -> None:
    task = run(home, A, options=TALK)
    bare = text(home, task)
    models = Models(home)
    models.mark = "!"
    assert again(home, task).state is Status.SUCCEEDED
    assert text(home, task) == bare
    assert again(home, task, "marks").state is Status.SUCCEEDED
    assert "!" in text(home, task)
    home.hosts.punctuator = lambda: None
    assert again(home, task).state is Status.SUCCEEDED
    assert "!" in text(home, task)
    assert again(home, task, "marks").state is Status.SUCCEEDED
    assert text(home, task) == bare


@pytest.mark.parametrize("stage", ["marks", "sensitive-words"])
def test_a_text_stage_that_fails_leaves_the_result(tmp_path: Path, stage: str) -> None:
    words = tmp_path / "words.txt"
    words.write_text("nothing\n")
    home = Home(tmp_path, {A: TURNS}, sensitive_words=words)
    models = Models(home)
    task = run(home, A, options=Options(censor=Censor()))
    before, key = text(home, task), only(task).result_key
    models.mark = "broken"
    words.unlink()
    found = again(home, task, stage)
    assert found.state is Status.FAILED
    assert {"marks": "punctuation model failed", "sensitive-words": "list of sensitive words"}[stage] in found.message
    assert (text(home, task), only_now(home, task).result_key) == (before, key)
    home.worker.stop()


def test_numbers_that_an_engine_writes_itself_are_nothing_to_do_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = run(home, A, options=Options(itn=False))
    found = again(home, task, "numbers")
    assert found.state is Status.FAILED
    assert "writes numbers as digits itself" in found.message


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sounds", ["", "-2"])
def test_speakers_that_would_be_told_in_fewer_places_leave_the_result(home: Home, tmp_path: Path, sounds: str) -> None:
    task = run(home, A, options=TALK)
    before = result_of(home, only(task))
    deaf(home, sounds)
    found = again(home, task)
    assert found.state is Status.FAILED
    assert "speakers are not told" in found.message
    assert "killed" in found.message
    assert result_of(home, only_now(home, task)) == before
    home.worker.stop()
    assert stored(home, tmp_path) == [
        "heard-c3.json",
        "peaks.msgpack",
        "result-c3.json",
        "source-1",
        "transcript-c3.json",
    ]
    hear_again(home)
    home.worker = home.new_worker()
    home.worker.start()
    assert again(home, task).state is Status.SUCCEEDED


def test_an_error_that_nobody_foresaw_is_tried_three_times(home: Home) -> None:
    task = run(home, A, options=TALK)
    tries: list[str] = []

    def broken(url: str, number: int) -> None:
        tries.append(url)
        raise ZeroDivisionError("broken")

    home.hosts.on_cut = broken
    found = again(home, task)
    assert (found.state, len(tries)) == (Status.FAILED, 3)
    assert "broken" in found.message


def test_without_the_copy_of_the_source_speakers_are_not_told_again_but_marks_are(home: Home) -> None:
    task = run(home, A, options=TALK)
    with reading(home.engine) as connection:
        home.store.delete(connection.execute(select(tables.files.c.source_key)).scalar_one())
    found = again(home, task)
    assert found.state is Status.FAILED
    assert "copy of the source is gone" in found.message
    assert again(home, task, "marks").state is Status.SUCCEEDED
    assert speakers(home, task) == [0, 1] * 4


@pytest.mark.bucket
def test_damaged_record_of_what_was_heard_is_told(home: Home) -> None:
    task = run(home, A, options=TALK)
    with reading(home.engine) as connection:
        home.store.put(connection.execute(select(tables.files.c.heard_key)).scalar_one(), b"{")
    found = again(home, task, "marks")
    assert found.state is Status.FAILED
    assert "not kept any more" in found.message
    assert speakers(home, task) == [0, 1] * 4


# --- requests --------------------------------------------------------------------------------------------------------


def test_the_same_request_joins_and_another_one_is_refused(home: Home) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    assert ask(home, task) == ask(home, task) == (0,)
    for other in ({"stage": "marks"}, {"speaker_count": 3}):
        with pytest.raises(NotRetriedError, match="one stage at a time"):
            ask(home, task, **other)
    claimed = take(home)
    assert ask(home, task) == (0,)
    assert state(home, task).state is Status.RUNNING
    assert redos.claim(home.engine) is None
    redo.redo(home.bench, claimed)
    assert state(home, task).state is Status.SUCCEEDED
    ask(home, task, "marks")
    assert state(home, task).state is Status.PENDING


def test_only_one_of_many_requests_at_once_is_carried_out(home: Home) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    ends: list[object] = []

    def request(stage: str) -> None:
        try:
            ends.append(ask(home, task, stage))
        except NotRetriedError as error:
            ends.append(error)

    threads = [threading.Thread(target=request, args=(stage,)) for stage in ("speakers", "marks") * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count((0,)) == 8
    take(home)
    assert redos.claim(home.engine) is None


def test_what_cannot_be_done_again_is_refused_with_the_reason(home: Home) -> None:
    home.origin.sources["http://x/gone"] = SourceNotFoundError("x answered 404")
    task = run(home, A, "http://x/gone", options=TALK)
    failed = home.wait(home.submit("http://x/gone", options=TALK))
    with pytest.raises(NotRetriedError, match=r"File 1 failed .*as a new task"):
        ask(home, task, number=1)
    with pytest.raises(InvalidParameterError, match="files 0 to 1"):
        ask(home, task, number=2)
    with pytest.raises(NotRetriedError, match="None of its files has a result"):
        ask(home, failed)
    with pytest.raises(NotFoundError):
        redos.ask(home.engine, "somebody", task.id, StageName.SPEAKERS)
    home.worker.stop()
    with pytest.raises(NotRetriedError, match="no result yet"):
        ask(home, home.submit(A), number=0)
    canceled = home.submit(A)
    home.book.cancel("default", canceled.id)
    with pytest.raises(NotRetriedError, match="canceled"):
        ask(home, canceled, number=0)


def test_owners_do_not_wait_for_each_other(home: Home) -> None:
    home.worker.start()
    tasks = [home.submit(A, options=TALK, owner=owner) for owner in ("one", "one", "two")]
    tasks = [home.wait(task) for task in tasks]
    home.worker.stop()
    for task in tasks:
        ask(home, task)
    assert take(home).owner == "one"
    claimed = redos.claim(home.engine, ["one"])
    assert claimed is not None
    assert claimed.owner == "two"


# --- time and interruptions ------------------------------------------------------------------------------------------


def test_what_a_worker_left_is_taken_up_and_windows_that_were_through_are_found(home: Home) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    home.hosts.listened.clear()
    ask(home, task)

    def die(sound: str) -> None:
        if sound.endswith("-2"):
            raise KeyboardInterrupt  # what a kill leaves: nothing is booked, nothing is given back

    home.hosts.on_listen = die
    with pytest.raises(KeyboardInterrupt):
        redo.redo(home.bench, take(home))
    assert state(home, task).progress.done_ms == 10_000
    assert state(home, task).progress.total_ms == 20_000
    hear_again(home)
    home.worker = home.new_worker()
    home.worker.start()
    assert settled(home, task).state is Status.SUCCEEDED
    assert home.hosts.listened == {f"{A} 0-0": 1, f"{A} 0-1": 1, f"{A} 0-2": 2, f"{A} 0-3": 1}
    assert speakers(home, task) == [0, 1] * 4


def test_it_is_given_up_when_the_server_ends_with_it_again_and_again(home: Home) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    ask(home, task)
    for _ in range(GIVE_UP_AT):
        take(home)
        assert redos.recover(home.engine) == 1
    home.worker = home.new_worker()
    home.worker.start()
    found = settled(home, task)
    assert found.state is Status.FAILED
    assert "20 times" in found.message


@pytest.mark.bucket
@pytest.mark.parametrize("moment", ["before the rows", "after the rows"])
def test_an_end_between_blobs_and_rows_leaves_one_result(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    task = run(home, A, options=TALK)
    before = result_of(home, only(task))
    home.worker.stop()
    ask(home, task)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(*((redos, "done") if moment == "before the rows" else (redo, "_clear")), die)
        redo.redo(home.bench, take(home))
    assert result_of(home, only_now(home, task)) == before
    home.worker = home.new_worker()
    home.worker.start()
    assert settled(home, task).state is Status.SUCCEEDED
    assert result_of(home, only_now(home, task)) == before
    if moment == "after the rows":  # it is through; what it left goes with the next one, or with the retention
        assert again(home, task).state is Status.SUCCEEDED
    home.worker.stop()
    assert stored(home, tmp_path) == [
        "heard-1.2.json",
        "peaks.msgpack",
        "result-1.2.json",
        "source-1",
        "transcript-1.2.json",
    ]


def test_a_slot_whose_claim_has_passed_on_changes_nothing(home: Home, tmp_path: Path) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    ask(home, task)
    late = take(home)
    redos.release(home.engine, late)
    redo.redo(home.bench, take(home))
    with pytest.raises(StageError) as raised:
        redo.redo(home.bench, late)
    redo.book(home.bench, late, raised.value)
    assert state(home, task).state is Status.SUCCEEDED
    assert stored(home, tmp_path) == [
        "heard-1.2.json",
        "peaks.msgpack",
        "result-1.2.json",
        "source-1",
        "transcript-1.2.json",
    ]


@pytest.mark.bucket
def test_of_two_slots_with_one_stage_the_later_claim_counts(home: Home, tmp_path: Path) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    ask(home, task, "marks")
    late = take(home)
    redos.release(home.engine, late)
    mine = take(home)
    with pytest.raises(StageError) as raised:
        redo.redo(home.bench, late)
    redo.book(home.bench, late, raised.value)
    assert state(home, task).state is Status.RUNNING
    assert only_now(home, task).result_key == only(task).result_key
    redo.redo(home.bench, mine)
    assert state(home, task).state is Status.SUCCEEDED
    assert stored(home, tmp_path) == [
        "heard-1.2.json",
        "peaks.msgpack",
        "result-1.2.json",
        "source-1",
        "transcript-1.2.json",
    ]


def test_models_that_change_while_it_listens_make_it_begin_anew(home: Home) -> None:
    task = run(home, A, options=TALK)

    def install(sound: str) -> None:
        if sound.endswith("-2"):
            home.hosts.version = "ears-2"

    home.hosts.listened.clear()
    home.hosts.on_listen = install
    assert again(home, task).state is Status.SUCCEEDED
    assert home.hosts.listened[f"{A} 0-0"] == 2
    assert speakers(home, task) == [0, 1] * 4


def test_the_machine_s_trouble_costs_no_try(home: Home) -> None:
    task = run(home, A, options=TALK)
    tries: list[str] = []

    def full(sound: str) -> None:
        tries.append(sound)
        if len(tries) < 6:
            raise OSError(28, "No space left on device")

    home.hosts.on_listen = full
    assert again(home, task).state is Status.SUCCEEDED


@pytest.mark.parametrize("window", ["-1", "-3"])
def test_a_stop_in_the_middle_is_gone_on_from_at_the_next_start(home: Home, window: str) -> None:
    deaf(home, "-0")
    task = run(home, A, options=TALK)
    home.hosts.listened.clear()
    arrived = threading.Event()

    def wait(sound: str) -> None:
        if sound.endswith(window):
            arrived.set()
            home.worker.stopping.wait(20)
            raise HostDiedError("the child ended with the server")

    home.hosts.on_listen = wait
    ask(home, task)
    home.worker.wake()
    assert arrived.wait(20)
    home.worker.stop()
    assert state(home, task).state is Status.PENDING
    hear_again(home)
    home.worker = home.new_worker()
    home.worker.start()
    assert settled(home, task).state is Status.SUCCEEDED
    assert home.hosts.listened[f"{A} 0-0"] == 1
    assert not any("speakers are not told" in note for note in only_now(home, task).notes)


def test_a_window_that_could_not_be_listened_to_is_tried_anew_with_the_next_try(home: Home) -> None:
    task = run(home, A, options=TALK)
    home.hosts.listened.clear()

    def fail_once(sound: str) -> None:
        if sound.endswith("-1"):
            raise HostDiedError("killed")
        if sound.endswith("-2"):
            hear_again(home)
            raise OSError(28, "No space left on device")

    home.hosts.on_listen = fail_once
    ask(home, task)
    home.worker.wake()
    assert settled(home, task).state is Status.SUCCEEDED
    assert home.hosts.listened[f"{A} 0-1"] == 4


@pytest.mark.bucket
def test_expiry_takes_along_what_was_heard(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: TURNS}, retention=1.0)
    task = run(home, A, options=TALK)
    assert again(home, task).state is Status.SUCCEEDED
    home.worker.stop()
    home.store.put(f"tasks/{task.id}/0/heard-1.json", b"left by a kill")
    expire.expire(home.bench, now_ms() + 3600 * 1000 + 1)
    assert stored(home, tmp_path) == ["result-1.1.json"]
    with pytest.raises(NotRetriedError, match=r"not kept any more.*DASHSCRIBE_RETENTION"):
        ask(home, task)
    expire.expire(home.bench, now_ms() + ANSWERS_MS + 1)
    assert stored(home, tmp_path) == []
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.redos)).all() == []
    with pytest.raises(NotFoundError):
        ask(home, task)


@pytest.mark.bucket
def test_what_an_end_has_left_beside_a_kept_recording_goes_with_the_retention(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if that was over long ago."""
    task = run(home, A, options=TALK, keep=True)
    home.worker.stop()
    for version in (1, 2):
        ask(home, task)
        claimed = take(home)
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):

            def die(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(redo, "_clear", die)
            redo.redo(home.bench, claimed)
        before = stored(home, tmp_path)
        assert "0-0.voices-ears-1.json" in before
        assert sum(name.startswith("heard-") for name in before) == 2
        expire.expire(home.bench, now_ms() + 25 * 3600 * 1000)
        heard, result, transcript = (f"{what}-1.{version}.json" for what in ("heard", "result", "transcript"))
        assert stored(home, tmp_path) == [heard, "peaks.msgpack", result, "source-1", transcript]
        result_of(home, only_now(home, task))


def test_expiry_waits_for_a_stage_that_is_done_again_for_a_kept_recording(home: Home, tmp_path: Path) -> None:
    task = run(home, A, options=TALK, keep=True)
    home.worker.stop()
    ask(home, task)
    claimed = take(home)
    home.store.put(f"tasks/{task.id}/0/redo/0-0.voices-ears-1.json", b"{}")
    before = stored(home, tmp_path)
    for _ in range(2):
        expire.expire(home.bench, now_ms() + 25 * 3600 * 1000)
        assert stored(home, tmp_path) == before
    assert redos.failed(home.engine, claimed, "for this test")
    expire.expire(home.bench, now_ms() + 25 * 3600 * 1000)
    assert stored(home, tmp_path) == [
        "heard-c3.json",
        "peaks.msgpack",
        "result-c3.json",
        "source-1",
        "transcript-c3.json",
    ]


@pytest.mark.parametrize("gone", ["kept", "task"])
def test_what_expires_while_a_stage_is_done_again_stays_gone(home: Home, tmp_path: Path, gone: str) -> None:
    task = run(home, A, options=TALK)
    home.worker.stop()
    ask(home, task)
    claimed = take(home)
    file = tables.files
    with writing(home.engine) as connection:
        if gone == "kept":
            connection.execute(update(file).values(heard_key="", transcript_key=""))
        else:
            connection.execute(delete(tables.tasks))
    with pytest.raises((StageError, PutBack)) as raised:
        redo.redo(home.bench, claimed)
    if gone == "kept":
        redo.book(home.bench, claimed, raised.value)
        assert state(home, task).state is Status.FAILED
    assert not [name for name in stored(home, tmp_path) if ".1.json" in name]


def test_tasks_of_before_have_nothing_to_do_it_from(home: Home) -> None:
    task = run(home, A, options=TALK)
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(heard_key=""))
    with pytest.raises(NotRetriedError, match="or never was"):
        ask(home, task)
