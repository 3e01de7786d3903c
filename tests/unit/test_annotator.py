"""Words of other engines timed, and their sentences tagged, by the small SenseVoice, against the true times."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.config import Settings
from dashscribe.engines.sherpa.annotator import Annotator, stacked
from dashscribe.errors import WeightsError
from dashscribe.types import Options, Sentence, Span, Waveform
from dashscribe.weights import find
from dashscribe.words import timed_sentence
from small_models import RECIPE, install

SENTENCES = 100


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("models"), "sensevoice-small")


@pytest.fixture(scope="module")
def annotator(models: Path) -> Annotator:
    return Annotator(Settings(models_dir=models), find(models, "sensevoice-small"))


def untimed(text: str, samples: NDArray[np.int16], begin_ms: int = 1_000) -> tuple[Waveform, Sentence]:
    """A piece, and its text as an engine without times gives it."""
    piece = Waveform(samples, begin_ms)
    return piece, timed_sentence(text, (), piece.span)


def test_words_are_found_where_the_synthesizer_says_they_are(
    annotator: Annotator, spoken: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """The goal: a median error of the boundaries of at most 80 ms and a 95th percentile of at most 250 ms."""
    sys.path.insert(0, str(RECIPE))
    try:
        from sentences import compose  # type: ignore[import-not-found]
        from voices import seen_voice  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(RECIPE))
    chance = np.random.default_rng(20_261_126)
    errors: list[float] = []
    for number in range(SENTENCES):
        language = ("en", "zh")[number % 2]
        text = compose(language, chance)
        samples, truth = spoken.speak(text, seen_voice(language, chance), int(chance.integers(130, 180)))
        piece, sentence = untimed(text, samples)
        timed = annotator.timed(piece, sentence, Options())
        assert not any(word.approximate for word in timed.words), text
        assert [word.text.strip() for word in timed.words] == [word.text for word in truth]
        for word, true in zip(timed.words, truth, strict=True):
            errors += [abs(word.begin_ms - 1_000 - true.begin_ms), abs(word.end_ms - 1_000 - true.end_ms)]
    median, late = np.median(errors), np.percentile(errors, 95)
    with capsys.disabled():
        text = f"boundaries of {len(errors) // 2} words: median error {median:.0f} ms, 95 % within {late:.0f} ms"
        sys.stdout.write(f"\n{text}\n")
    assert median <= 80
    assert late <= 250


def test_what_cannot_be_spelled_is_approximate_and_its_neighbors_are_not(
    annotator: Annotator, spoken: ModuleType
) -> None:
    samples, truth = spoken.sentence("my number is five two seven", "en")
    piece, sentence = untimed("My number is 527.", samples)
    timed = annotator.timed(piece, sentence, Options())
    assert [word.approximate for word in timed.words] == [False, False, False, True]
    assert abs(timed.words[0].begin_ms - 1_000 - truth[0].begin_ms) <= 200
    number = timed.words[-1]
    assert abs(number.begin_ms - 1_000 - truth[3].begin_ms) <= 400
    assert timed.text == "My number is 527."


def test_measured_times_are_left_alone(annotator: Annotator, spoken: ModuleType) -> None:
    samples, _ = spoken.sentence("hello world", "en")
    piece, sentence = untimed("hello world", samples)
    measured = replace(sentence, words=tuple(replace(word, approximate=False) for word in sentence.words))
    assert annotator.timed(piece, measured, Options()) == measured


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("emotion", ["HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED"])
def test_language_and_emotion_are_told_when_asked_for(
    annotator: Annotator, spoken: ModuleType, language: str, emotion: str
) -> None:
    samples, _ = spoken.emotional(emotion, language)
    piece, sentence = untimed(spoken.EMOTIONAL[language], samples)
    tagged = annotator.tagged(piece, sentence, Options(emotion=True))
    assert (tagged.language, tagged.emotion) == (language, emotion.lower())
    assert annotator.tagged(piece, sentence, Options()) == sentence


def test_the_event_is_told_when_asked_for_and_not_yet_known(annotator: Annotator, spoken: ModuleType) -> None:
    piece, sentence = untimed("The weather is good today.", spoken.over_music("the weather is good today", "en"))
    assert annotator.tagged(piece, sentence, Options(events=True)) == replace(sentence, events=("BGM",))
    known = replace(sentence, events=("Laughter",))
    assert annotator.tagged(piece, known, Options(events=True)) == known
    assert annotator.tagged(piece, sentence, Options()) == sentence


def test_a_sound_shorter_than_a_frame_is_no_trouble(annotator: Annotator) -> None:
    piece, sentence = untimed("hello", np.ones(160, np.int16))
    assert annotator.timed(piece, sentence, Options(emotion=True)).text == "hello"


def test_stacks_hold_seven_frames_around_every_sixth_one() -> None:
    frames = np.arange(20, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    rows = stacked(frames)
    assert rows.shape == (4, 14)
    assert rows[0].reshape(7, 2)[:, 0].tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert rows[3].reshape(7, 2)[:, 0].tolist() == [15, 16, 17, 18, 19, 19, 19]


def test_a_damaged_model_is_named(models: Path, tmp_path: Path) -> None:
    model = find(models, "sensevoice-small")
    (tmp_path / "tokens.txt").write_text("a 0\n", encoding="utf-8")
    (tmp_path / model.files["model"]).write_bytes(model.path("model").read_bytes())
    with pytest.raises(WeightsError, match=r"tokens\.txt names 1 symbols"):
        Annotator(Settings(models_dir=models), replace(model, folder=tmp_path))


def test_only_the_sentences_own_sound_is_heard(annotator: Annotator, spoken: ModuleType) -> None:
    """Two sentences in one piece, in two languages: each tells its own."""
    english, _ = spoken.sentence("hello world", "en")
    chinese, _ = spoken.sentence("今天天气很好", "zh")
    samples = np.concatenate([english, np.zeros(8_000, np.int16), chinese])
    piece = Waveform(samples, 0)
    border_ms = (len(english) + 4_000) // 16
    left = timed_sentence("hello world", (), Span(0, border_ms))
    right = timed_sentence("今天天气很好", (), Span(border_ms, piece.span.end_ms))
    found: list[Any] = [annotator.tagged(piece, s, Options(emotion=True)).language for s in (left, right)]
    assert found == ["en", "zh"]
