"""What a noise threshold changes, from the detector to the words, on noises and on speech among them."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.config import load
from dashscribe.decode import Decoder
from dashscribe.engines.pocketsphinx import Heard, PocketsphinxEngine, not_speech
from dashscribe.segment import Segmenter
from dashscribe.types import Limits, Options, Span, Waveform

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from noises import NOISES, make

THRESHOLDS = (-1.0, -0.5, 0.0, 0.5, 1.0)
STEADY = ("white", "pink", "brown", "hum", "rain", "tone")


def found_ms(sound: NDArray[np.int16], threshold: float) -> int:
    segmenter = Segmenter(Limits(), noise_threshold=threshold)
    return sum(piece.span.duration_ms for piece in segmenter.feed(sound) + segmenter.finish())


@pytest.fixture(scope="module")
def speech(sample: Path) -> NDArray[np.int16]:
    """Six seconds of a person, with two seconds of silence on both sides."""
    (spoken,) = np.concatenate(list(Decoder(sample, url="", channels=(0,), stretch=Span(0, 6_000))), axis=1)
    return np.pad(spoken, 32_000)


def among(speech: NDArray[np.int16], name: str, snr_db: float) -> NDArray[np.int16]:
    """The speech with a noise under it that is so much weaker, taken over the six seconds of speech."""
    noise = make(name, len(speech) / 16_000, 5).astype(float)
    spoken = np.square(speech[32_000:-32_000].astype(float)).mean()
    gain = np.sqrt(spoken / np.square(noise).mean()) / 10 ** (snr_db / 20)
    return np.clip(speech + gain * noise, -32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize("name", NOISES)
def test_a_higher_threshold_never_finds_more_in_a_noise(name: str) -> None:
    found = [found_ms(make(name, 8, 5), threshold) for threshold in THRESHOLDS]
    assert all(left >= right for left, right in pairwise(found)), found


@pytest.mark.parametrize("name", STEADY)
def test_steady_noise_however_loud_is_no_voice_to_a_strict_detector(name: str) -> None:
    loud = make(name, 8, 5, level=6_000)
    assert found_ms(loud, 0.0) > 7_000, "webrtcvad alone takes it for voice"
    assert found_ms(loud, 0.5) == 0


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0])
@pytest.mark.parametrize("name", ["pink", "music", "engine"])
def test_speech_among_noise_is_found_less_and_less(speech: NDArray[np.int16], name: str, snr_db: float) -> None:
    found = [found_ms(among(speech, name, snr_db), threshold) for threshold in THRESHOLDS]
    assert all(left >= right for left, right in pairwise(found)), found


def test_a_strict_threshold_leaves_the_speech_and_takes_the_noise(speech: NDArray[np.int16]) -> None:
    noisy = among(speech, "pink", 4)
    assert found_ms(noisy, 0.0) > 9_000
    segmenter = Segmenter(Limits(), noise_threshold=0.5)
    spans = [piece.span for piece in segmenter.feed(noisy) + segmenter.finish()]
    assert sum(span.duration_ms for span in spans) < 7_500
    assert spans[0].begin_ms < 2_600
    assert spans[-1].end_ms > 7_000


def test_what_a_strict_detector_finds_does_not_depend_on_blocks(speech: NDArray[np.int16]) -> None:
    noisy, found = among(speech, "pink", 12), []
    for size in (len(noisy), 777):
        segmenter = Segmenter(Limits(), noise_threshold=0.7)
        pieces = [piece for at in range(0, len(noisy), size) for piece in segmenter.feed(noisy[at : at + size])]
        found.append([piece.span for piece in pieces + segmenter.finish()])
    assert found[0] == found[1] != []


def test_no_words_are_made_up_for_noises() -> None:
    """A fast part of ``benchmarks/noise.py``."""
    engine = PocketsphinxEngine(load())
    pieces: list[Waveform] = []
    for name in ("keyboard", "siren", "music", "footsteps"):
        segmenter = Segmenter(Limits())
        sound = make(name, 4, 100)
        found = segmenter.feed(sound) + segmenter.finish()
        assert found, "the detector takes it for voice, so that the engine has to judge"
        pieces += found
    written = [sentence.text for o in engine.recognize(pieces, Options()) for sentence in o.sentences]
    assert written == []


def test_what_was_refused_stays_refused_when_more_is_asked_for() -> None:
    chance, refused = np.random.default_rng(4), []
    for _ in range(2_000):
        path: list[Heard] = []
        slow, known = chance.uniform(0.5, 6), chance.integers(2, 5)  # from clear speech to chance finds
        for _ in range(int(chance.integers(1, 20))):
            begin_ms = path[-1].end_ms if path else 0
            phones = int(chance.integers(0, 6))
            end_ms = begin_ms + int(chance.integers(20, 60) * slow * max(phones, 1))
            text = f"word{chance.integers(0, 8)}" if phones else "<sil>"
            path.append(Heard(text, phones, begin_ms, end_ms, chance.uniform() ** 3, int(chance.integers(1, known))))
        if any(word.phones for word in path):
            refused.append([bool(not_speech(path, strictness)) for strictness in (0, 0.5, 1, 1.5, 2)])
    totals = np.sum(refused, axis=0)
    assert totals[0] == 0, "at the lowest threshold everything is taken for speech"
    assert all(left < right for left, right in pairwise(totals)), totals
    assert all(not left or right for row in refused for left, right in pairwise(row))
