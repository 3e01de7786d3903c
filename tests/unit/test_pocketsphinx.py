"""The embedded engine: words with times, nothing carried over between pieces, no words for what is no speech."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.config import load
from dashscribe.decode import Decoder
from dashscribe.engines.pocketsphinx import Heard, PocketsphinxEngine, not_speech
from dashscribe.ledger import admit
from dashscribe.segment import Segmenter
from dashscribe.types import SAMPLES_PER_MS, Fate, Limits, Options, Outcome, Span, Waveform
from sizes import size


@pytest.fixture(scope="module")
def engine() -> PocketsphinxEngine:
    return PocketsphinxEngine(load())


def samples_of(path: Path) -> NDArray[np.int16]:
    return np.concatenate(list(Decoder(path, url=path.name, channels=(0,), stretch=None)), axis=1)[0]


@pytest.fixture(scope="module")
def speech(sample: Path) -> Waveform:
    """The first six seconds of the shipped sample."""
    return Waveform(samples_of(sample)[: 6_000 * SAMPLES_PER_MS], 0)


@pytest.fixture(scope="module")
def heard_alone(engine: PocketsphinxEngine, speech: Waveform) -> Outcome:
    return engine.recognize([speech], Options())[0]


def text_of(outcome: Outcome) -> str:
    return " ".join(sentence.text for sentence in outcome.sentences)


def test_clear_speech_is_recognized(heard_alone: Outcome) -> None:
    assert heard_alone.fate is Fate.TRANSCRIBED
    assert heard_alone.sentences[0].language == "en"
    assert text_of(heard_alone).startswith("four score and seven years ago our fathers")


def test_words_are_timed_inside_the_piece_in_order_and_rebuild_the_text(heard_alone: Outcome) -> None:
    (sentence,) = heard_alone.sentences
    assert 0 <= sentence.begin_ms == sentence.words[0].begin_ms
    assert sentence.words[-1].end_ms == sentence.end_ms <= 6_000
    assert all(word.begin_ms < word.end_ms for word in sentence.words)
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(sentence.words))
    assert "".join(word.text for word in sentence.words) == sentence.text
    assert not sentence.text.endswith(" ")
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in sentence.words)
    assert not set("()<>[]+") & set(sentence.text)


def test_an_outcome_passes_the_ledger_unchanged(heard_alone: Outcome, speech: Waveform) -> None:
    assert admit(heard_alone, speech.span) == heard_alone


def moved_by(outcome: Outcome, ms: int) -> Outcome:
    """The same so much later."""
    sentences = [
        replace(
            sentence,
            begin_ms=sentence.begin_ms + ms,
            end_ms=sentence.end_ms + ms,
            words=tuple(replace(word, begin_ms=word.begin_ms + ms, end_ms=word.end_ms + ms) for word in sentence.words),
        )
        for sentence in outcome.sentences
    ]
    return replace(outcome, span=Span(outcome.span.begin_ms + ms, outcome.span.end_ms + ms), sentences=tuple(sentences))


def test_what_came_before_changes_nothing_and_times_move_with_the_begin_of_the_piece(
    engine: PocketsphinxEngine, speech: Waveform, heard_alone: Outcome
) -> None:
    loud = Waveform(np.random.default_rng(5).integers(-20_000, 20_000, 32_000).astype(np.int16), 0)
    late = Waveform(speech.samples, 3_600_123)
    first, second = engine.recognize([loud, speech, loud, late], Options())[1::2]
    assert first == heard_alone
    assert second.span == Span(3_600_123, 3_606_123)
    assert second == moved_by(heard_alone, 3_600_123)


@pytest.mark.slow
def test_clips_in_three_orders_give_equal_words_times_and_confidences(
    audio_dir: Path, engine: PocketsphinxEngine
) -> None:
    rows = json.loads((audio_dir / "manifest.json").read_text(encoding="utf-8"))
    count = size(5, 10)
    short = sorted((row for row in rows if row["kind"] == "speech"), key=lambda row: row["duration_s"])[:count]
    pieces = [Waveform(samples_of(audio_dir / row["file"]), 0) for row in short]
    orders = [list(range(count)), list(range(count))[::-1], np.random.default_rng(1).permutation(count).tolist()]
    runs = [dict(zip(order, engine.recognize([pieces[i] for i in order], Options()), strict=True)) for order in orders]
    assert runs[0] == runs[1] == runs[2]
    assert sum(outcome.fate is Fate.TRANSCRIBED for outcome in runs[0].values()) >= count * 0.8


@pytest.mark.parametrize("count", [1, 15, 400, 1_600])
def test_the_shortest_pieces_are_taken(engine: PocketsphinxEngine, count: int) -> None:
    piece = Waveform(np.random.default_rng(2).integers(-9_000, 9_000, count).astype(np.int16), 40)
    (outcome,) = engine.recognize([piece], Options())
    assert outcome.span == piece.span
    assert all(40 <= w.begin_ms < w.end_ms <= piece.span.end_ms for s in outcome.sentences for w in s.words)


def test_silence_and_steady_noise_give_no_words_and_no_reason(engine: PocketsphinxEngine) -> None:
    noise = np.random.default_rng(3).standard_normal(48_000) * 2_000
    pieces = [Waveform(np.zeros(32_000, np.int16), 0), Waveform(noise.astype(np.int16), 0)]
    assert engine.recognize(pieces, Options()) == [Outcome(p.span, Fate.NON_SPEECH) for p in pieces]


def organ() -> Waveform:
    """Eight seconds of chords, a new one every second."""
    rng = np.random.default_rng(2)
    time_s = np.arange(16_000) / 16_000
    loudness = np.minimum(1, np.minimum(time_s / 0.02, (1 - time_s) / 0.05))
    chords: list[NDArray[np.float64]] = []
    for _ in range(8):
        root_hz = rng.choice([131, 147, 165, 175, 196, 220])
        pitches_hz = [root_hz * step * h for step in (1, 1.26, 1.5) for h in range(1, 8)]
        tones = [root_hz / hz * np.sin(2 * np.pi * hz * time_s + i % 7) for i, hz in enumerate(pitches_hz)]
        chords.append(np.sum(tones, axis=0) * loudness)
    return Waveform((2_500 * np.concatenate(chords)).astype(np.int16), 0)


@pytest.fixture(scope="module")
def of_music(engine: PocketsphinxEngine) -> Callable[[float | None], Outcome]:
    """What the engine makes of the organ with a noise threshold, on which what the decoder hears does not depend."""
    piece = organ()
    decoded = engine._heard(engine._plain, piece)

    def outcome(threshold: float | None) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "_heard", lambda ear, asked: decoded if asked is piece else None)
            return engine.recognize([piece], Options(speech_noise_threshold=threshold))[0]

    return outcome


def test_music_is_refused_with_what_was_measured(of_music: Callable[[float | None], Outcome]) -> None:
    outcome = of_music(None)
    assert outcome.fate is Fate.NON_SPEECH
    assert outcome.sentences == ()
    assert outcome.reason.startswith("no speech: ")
    assert any(character.isdigit() for character in outcome.reason)


def test_the_lowest_noise_threshold_takes_everything_for_speech(of_music: Callable[[float | None], Outcome]) -> None:
    assert of_music(-1.0).fate is Fate.TRANSCRIBED


def path(*words: tuple[str, int, float, int], pause_ms: int = 0) -> list[Heard]:
    """A decoder's path: (word, length in ms, confidence, n-gram) with a pause after each word; three phones a word."""
    heard: list[Heard] = []
    at_ms = 0
    for text, duration_ms, confidence, ngram in words:
        heard.append(Heard(text, 3, at_ms, at_ms + duration_ms, confidence, ngram))
        heard.append(Heard("<sil>", 0, at_ms + duration_ms, at_ms + duration_ms + pause_ms, 1.0, 1))
        at_ms += duration_ms + pause_ms
    return heard


def test_a_known_phrase_is_speech_however_long_the_rest_is_stretched() -> None:
    phrase = (("is", 140, 0.1, 1), ("the", 250, 0.1, 2), ("only", 250, 0.1, 3), ("way", 380, 0.2, 2))
    sung = path(*phrase, ("hide", 2_200, 0.5, 2))
    assert not_speech(sung, 1) == ""
    unknown = [replace(entry, ngram=2) for entry in sung]
    assert not_speech(unknown, 1)
    doubted = [replace(entry, confidence=0.01) for entry in sung]
    assert not_speech(doubted, 1)


def test_stretched_words_without_a_phrase_are_no_speech() -> None:
    assert "2.0 different phones a second" in not_speech(path(("and", 1_500, 0.9, 3), ("found", 1_500, 1.0, 3)), 1)


def test_a_short_phrase_among_many_other_words_is_not_enough() -> None:
    phrase = [(word, 300, 0.3, 3) for word in ("the", "kind", "down")]
    music = [(f"word{i}", 1_000, 0.5, 1) for i in range(12)]
    assert "3 of 15 words in phrases" in not_speech(path(*music, *phrase, pause_ms=30), 1)
    assert not_speech(path(*music[:8], *phrase, pause_ms=30), 1) == ""


def test_a_long_phrase_is_speech_however_much_music_is_around() -> None:
    phrase = [(word, 300, 0.3, 3) for word in ("how", "old", "is", "the", "brooklyn", "bridge")]
    music = [(f"word{i}", 1_000, 0.5, 1) for i in range(40)]
    assert not_speech(path(*music, *phrase, pause_ms=30), 1) == ""


def test_one_word_over_and_over_is_no_speech() -> None:
    assert not_speech(path(*[("gluten", 400, 0.7, 3)] * 8), 1)


def test_separate_words_at_speaking_rate_are_speech() -> None:
    assert not_speech(path(("one", 300, 0.6, 1), ("two", 300, 0.5, 1), ("three", 350, 0.8, 1), pause_ms=400), 1) == ""


def test_quick_words_that_the_decoder_itself_doubts_are_no_speech() -> None:
    chirps = path(*[(word, 200, 0.02, 2) for word in ("all", "you", "need", "in", "her", "hands")], pause_ms=200)
    assert not_speech(chirps, 1)
    assert not_speech([replace(entry, confidence=0.2) for entry in chirps], 1) == ""


def test_a_pause_breaks_a_phrase() -> None:
    words = [(word, 590, 0.1, 3) for word in ("is", "the", "only", "way")]
    assert not_speech(path(*words, pause_ms=30), 1) == ""
    assert not_speech(path(*words, pause_ms=200), 1)


def test_strictness_scales_what_is_asked_for() -> None:
    slow = path(("one", 500, 0.5, 1), ("two", 520, 0.4, 1), pause_ms=400)
    assert [bool(not_speech(slow, strictness)) for strictness in (0, 1, 2)] == [False, False, True]
    stretched = path(("and", 3_000, 0.01, 1))
    assert [bool(not_speech(stretched, strictness)) for strictness in (0, 1, 2)] == [False, True, True]


@pytest.mark.slow
def test_recordings_without_speech_give_at_most_two_words_a_minute(audio_dir: Path, engine: PocketsphinxEngine) -> None:
    rows = json.loads((audio_dir / "manifest.json").read_text(encoding="utf-8"))
    words = minutes = 0.0
    for row in rows:
        if row["language"] == "none":
            sound = samples_of(audio_dir / row["file"])
            segmenter = Segmenter(Limits())
            pieces = segmenter.feed(sound) + segmenter.finish()
            words += sum(len(text_of(outcome).split()) for outcome in engine.recognize(pieces, Options()))
            minutes += len(sound) / 16_000 / 60
    assert minutes > 1
    assert words / minutes <= 2


@pytest.mark.slow
def test_singing_is_kept(audio_dir: Path, engine: PocketsphinxEngine) -> None:
    piece = Waveform(samples_of(audio_dir / "en_singing_slow_motion_dream.mp3"), 0)
    assert engine.recognize([piece], Options())[0].fate is Fate.TRANSCRIBED
