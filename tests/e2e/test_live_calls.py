"""Calls that somebody waits for, with real children: what is said leaves at once, what is given up stops at once."""

from __future__ import annotations

import threading
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from dashscribe import config, pipeline
from dashscribe.decode import Decoder
from dashscribe.hosts import Hosts
from dashscribe.pipeline import Progress
from dashscribe.types import Options, Sentence, Span, Transcript

#: Generous on a busy machine; nothing here is about speed.
SOON_S = 120.0


class GivenUpError(Exception):
    """The client has hung up."""


@pytest.fixture
def speech(sample: Path, tmp_path: Path) -> Path:
    """The first eleven seconds of the project's sample three times, one window, with two seconds of silence between."""
    (sound,) = np.concatenate(list(Decoder(sample, url="", channels=(0,), stretch=Span(0, 11_000))), axis=1)
    quiet = np.zeros(32_000, np.int16)
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.concatenate([sound, quiet, sound, quiet, sound]).astype("<i2").tobytes())
    return path


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file exists, the engine recognizes one span and holds the next."""
    path = tmp_path / "hold"
    path.touch()
    monkeypatch.setenv("DASHSCRIBE_STANDIN_HOLD", str(path))
    monkeypatch.setenv("DASHSCRIBE_STANDIN_LOG", str(tmp_path / "log"))
    return path


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts(config.load(), slots=1) as hosts:
        yield hosts


def transcribed(
    hosts: Hosts,
    path: Path,
    on_progress: Callable[[Progress], None] | None = None,
    on_sentence: Callable[[int, Sentence], None] | None = None,
) -> Transcript:
    settings = config.load(engine="standin")
    return pipeline.transcribe(
        path, Options(), settings=settings, hosts=hosts, on_progress=on_progress, on_sentence=on_sentence
    )


def engine_children() -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process().children():
        try:
            if "asr" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:  # gone, or ended and not yet collected
            continue
    return found


def test_a_sentence_leaves_while_the_engine_is_held_at_the_next_span(hosts: Hosts, speech: Path, hold: Path) -> None:
    said: list[str] = []

    def on_sentence(channel: int, sentence: Sentence) -> None:
        if not said:
            assert hold.exists()
            hold.unlink()
        said.append(sentence.text)

    transcript = transcribed(hosts, speech, on_sentence=on_sentence)
    assert said == [sentence.text for sentence in transcript.sentences]
    assert transcript == transcribed(hosts, speech)


def test_a_call_that_is_given_up_leaves_no_slot_held_and_no_engine_at_work(
    hosts: Hosts, speech: Path, hold: Path
) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.recognized_ms:
            raise GivenUpError

    with pytest.raises(GivenUpError):
        transcribed(hosts, speech, on_progress)
    assert engine_children() == []
    hold.unlink()
    assert transcribed(hosts, speech).text


def test_a_call_that_is_given_up_while_it_waits_for_a_slot_leaves_the_one_at_work_alone(
    hosts: Hosts, speech: Path, hold: Path
) -> None:
    told: list[Progress] = []

    def give_up(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 8:  # its windows are cut by now and nothing but time goes on
            raise GivenUpError

    with ThreadPoolExecutor(1) as threads:
        first = threading.Event()
        working = threads.submit(transcribed, hosts, speech, None, lambda *_: first.set())
        assert first.wait(SOON_S)
        with pytest.raises(GivenUpError):
            transcribed(hosts, speech, give_up)
        (child,) = engine_children()
        hold.unlink()
        assert working.result(SOON_S).text
    assert [process.pid for process in engine_children()] == [child.pid]


def test_a_child_that_dies_midway_changes_nothing_about_the_result(
    hosts: Hosts, speech: Path, hold: Path, tmp_path: Path
) -> None:
    said: list[str] = []

    def on_sentence(channel: int, sentence: Sentence) -> None:
        if not said:
            (child,) = engine_children()
            child.kill()
            hold.unlink()
        said.append(sentence.text)

    disturbed = transcribed(hosts, speech, on_sentence=on_sentence)
    recognized = (tmp_path / "log").read_text().splitlines()
    assert len(recognized) == len(set(recognized)), "a span that had left was recognized again"
    assert said == [sentence.text for sentence in disturbed.sentences]
    assert disturbed == transcribed(hosts, speech)


def test_progress_is_told_every_second_while_the_engine_is_held(hosts: Hosts, speech: Path, hold: Path) -> None:
    """Reports must go on by themselves: it is the sixth of them that lets the engine go."""
    told: list[int] = []
    late = threading.Event()
    release = threading.Timer(SOON_S / 5, lambda: (late.set(), hold.unlink()))

    def on_progress(progress: Progress) -> None:
        if progress.recognized_ms:
            told.append(progress.recognized_ms)
            if len(told) == 1:
                release.start()
            if len(told) == 6 and not late.is_set():
                release.cancel()
                hold.unlink()

    transcribed(hosts, speech, on_progress)
    assert not late.is_set() and len(told) >= 6, told
