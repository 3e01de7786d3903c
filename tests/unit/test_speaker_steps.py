"""Speakers in the durable steps: kept window by window, found again after an interruption, never worth the text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from durable import Home, cut_by_hand, only, result_of, run, shorten_waits, source, take

from dashscribe import windows
from dashscribe.db.tables import FileState
from dashscribe.errors import HostDiedError, WeightsError
from dashscribe.queue.slots import PutBack
from dashscribe.steps import finish, recognize
from dashscribe.tasks import Status
from dashscribe.types import Options

A = "http://x/a"
TALK = Options(diarize=True, speaker_count=2)
#: Each window holds what one and then what the other says.
TURNS = source(*([(at, at + 2500), (at + 3000, at + 5500)] for at in range(0, 40_000, 10_000)))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {A: TURNS})
    yield opened
    opened.worker.stop()


def speakers(home: Home, task: object) -> list[int | None]:
    result = msgspec.json.decode(result_of(home, only(task)))
    return [sentence.get("speaker_id") for sentence in result["transcripts"][0]["sentences"]]


def test_speakers_are_told_over_all_windows(home: Home) -> None:
    task = run(home, A, options=TALK)
    assert speakers(home, task) == [0, 1] * 4
    assert set(home.hosts.listened.values()) == {1}


def test_nobody_listens_who_was_not_asked(home: Home) -> None:
    task = run(home, A, options=Options(diarize=True, speaker_per_channel=True))
    assert speakers(home, task) == [0] * 8
    assert speakers(home, home.wait(home.submit(A))) == [None] * 8
    assert not home.hosts.listened


def test_a_child_that_dies_is_tried_again(home: Home) -> None:
    def die_once(sound: str) -> None:
        if home.hosts.listened[sound] == 1:
            raise HostDiedError("killed")

    home.hosts.on_listen = die_once
    task = run(home, A, options=TALK)
    assert speakers(home, task) == [0, 1] * 4
    assert set(home.hosts.recognized.values()) == {1}


@pytest.mark.parametrize(("error", "tries"), [(HostDiedError("killed"), 3), (WeightsError("damaged"), 1)])
def test_a_stretch_that_cannot_be_listened_to_costs_its_speakers_alone(
    home: Home, error: Exception, tries: int
) -> None:
    def fail(sound: str) -> None:
        if sound.endswith("-1"):
            raise error

    home.hosts.on_listen = fail
    task = run(home, A, options=TALK)
    assert task.status is Status.SUCCEEDED
    assert speakers(home, task) == [0, 1, None, None, 0, 1, 0, 1]
    assert home.hosts.listened[f"{A} 0-1"] == tries
    notes = only(task).notes
    assert any("speakers are not told in places" in note and str(error) in note for note in notes)
    assert set(home.hosts.recognized.values()) == {1}


def test_when_nothing_can_be_listened_to_the_text_is_there_without_speakers(home: Home) -> None:
    def fail(sound: str) -> None:
        raise HostDiedError("killed")

    home.hosts.on_listen = fail
    task = run(home, A, options=TALK)
    assert task.status is Status.SUCCEEDED
    assert speakers(home, task) == [None] * 8


def test_voices_that_were_heard_before_an_interruption_are_found_again(home: Home) -> None:
    cut_by_hand(home, A, options=TALK)
    bench = home.bench
    first = windows.claim(home.engine)
    assert first is not None
    recognize.recognize(bench, first)
    # The worker that recognizes the second window is gone before it can say so; another one finds what it left.
    second = windows.claim(home.engine)
    assert second is not None
    recognize.recognize(bench, replace(second, claim=second.claim - 1))
    windows.release(home.engine, second)
    while window := windows.claim(home.engine):
        recognize.recognize(bench, window)
    assert set(home.hosts.listened.values()) == {1}


@pytest.mark.parametrize("loss", ["missing", "other models"])
def test_windows_whose_voices_are_missing_are_listened_to_again_but_not_recognized(home: Home, loss: str) -> None:
    task = cut_by_hand(home, A, options=TALK)
    bench = home.bench
    while window := windows.claim(home.engine):
        recognize.recognize(bench, window)
        kept = windows.voices_key(window.audio_key, home.hosts.version)
    if loss == "missing":
        home.store.delete(kept)
    else:
        home.hosts.version = "ears-2"
    finish.finish(bench, take(home, FileState.JOINING))
    again = 1 if loss == "missing" else 4
    listened = sum(home.hosts.listened.values())
    while window := windows.claim(home.engine):
        recognize.recognize(bench, window)
    assert sum(home.hosts.listened.values()) - listened == again
    finish.finish(bench, take(home, FileState.JOINING))
    assert set(home.hosts.recognized.values()) == {1}
    assert speakers(home, home.wait(task)) == [0, 1] * 4


def test_a_child_that_dies_because_the_worker_stops_tells_nothing_of_the_sound(home: Home) -> None:
    cut_by_hand(home, A, options=TALK)
    bench = home.bench
    window = windows.claim(home.engine)
    assert window is not None

    def stop(sound: str) -> None:
        bench.worker.stopping.set()
        raise HostDiedError("the program is closing")

    home.hosts.on_listen = stop
    with pytest.raises(PutBack):
        recognize.recognize(bench, window)
    key = windows.voices_key(window.audio_key, home.hosts.version)
    assert recognize.read_voices(home.store, key) is None
