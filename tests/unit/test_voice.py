"""Voice activity by an installed Silero model: the real one, from its own package, through the whole chain."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.config import Settings
from dashscribe.errors import WeightsError
from dashscribe.hosts import Hosts
from dashscribe.hosts.protocol import CutEnd
from dashscribe.segment import Segmenter
from dashscribe.types import SAMPLES_PER_MS, Limits, Options, Span, Waveform, Window
from dashscribe.voice import SileroVoice, open_voice
from dashscribe.weights.adding import add
from kept_packages import kept_python
from media_files import write_wav

LIMITS = Limits(max_piece_ms=30_000, min_piece_ms=500)


@pytest.fixture(scope="module")
def package() -> Path:
    """The files of the package that carries the model, without the framework that it asks for."""
    return kept_python("silero-vad-6", "--no-deps", "silero-vad>=6,<7") / "silero_vad" / "data"


@pytest.fixture
def models(package: Path, tmp_path: Path) -> Path:
    add(package / "silero_vad.onnx", tmp_path / "models", name="silero-vad")
    return tmp_path / "models"


def cut(settings: Settings, path: Path) -> tuple[list[Span], CutEnd]:
    with Hosts(settings, slots=1) as hosts:
        found = list(hosts.cut(path, url="a", options=Options(), limits=LIMITS))
    end = found[-1]
    assert isinstance(end, CutEnd)
    return [span for message in found if isinstance(message, Window) for span in message.spans], end


@pytest.fixture(scope="module")
def noisy(speak: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of hiss, a sentence, six more seconds of hiss, as loud as an air conditioner."""
    from small_models import samples_of

    sentence = samples_of(speak("en-us", "the weather will be fine tomorrow", gap_ms=0))[4_800:]
    hiss = np.random.default_rng(3).normal(0, 250, len(sentence) + 12 * 16_000)
    sound = hiss.copy()
    sound[6 * 16_000 : 6 * 16_000 + len(sentence)] += sentence
    return write_wav(tmp_path_factory.mktemp("noisy") / "a.wav", sound.astype(np.int16)[None])


def test_an_installed_model_finds_the_speech_in_noise(models: Path, noisy: Path) -> None:
    spans, end = cut(Settings(models_dir=models), noisy)
    assert end.notes == ()
    (span,) = spans
    assert 5_400 <= span.begin_ms <= 6_300
    assert span.end_ms >= 7_500


def test_both_kinds_of_the_real_model_are_taken(package: Path, tmp_path: Path) -> None:
    for name in ("silero_vad.onnx", "silero_vad_16k_op15.onnx"):
        assert add(package / name, tmp_path, name=name.removesuffix(".onnx")).family == "silero-vad"


@pytest.mark.parametrize("name", ["silero_vad_half.onnx", "silero_vad_16k_sequence.onnx"])
def test_graphs_that_would_end_the_process_are_refused(package: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError):
        add(package / name, tmp_path, name="other")


def test_a_model_that_was_damaged_is_told_and_the_embedded_detector_works(models: Path, sample: Path) -> None:
    (file,) = models.glob("silero-vad/*.onnx")
    file.write_bytes(file.read_bytes()[:1000])
    spans, end = cut(Settings(models_dir=models), sample)
    assert spans
    (note,) = end.notes
    assert note.startswith("the embedded voice detector was used, because")
    assert str(file) in note


def pieces(sound: NDArray[np.int16], model: Path, size: int) -> list[Waveform]:
    segmenter = Segmenter(LIMITS, detector=model)
    found: list[Waveform] = []
    for at in range(0, len(sound), size):
        found += segmenter.feed(sound[at : at + size])
    return found + segmenter.finish()


def test_spans_do_not_depend_on_how_the_sound_arrives(package: Path, sample: Path) -> None:
    from dashscribe.decode import Decoder

    (sound,) = np.concatenate(list(Decoder(sample, url="", channels=(0,), stretch=Span(0, 20_000))), axis=1)
    model = package / "silero_vad.onnx"
    whole = [piece.span for piece in pieces(sound, model, len(sound))]
    assert whole
    assert [piece.span for piece in pieces(sound, model, 777)] == whole


def test_a_stricter_threshold_finds_less(package: Path, noisy: Path) -> None:
    from small_models import samples_of

    sound, frame = samples_of(noisy), 20 * SAMPLES_PER_MS
    frames = [sound[at : at + frame].tobytes() for at in range(0, len(sound) - frame, frame)]
    model, thresholds = package / "silero_vad.onnx", (-1.0, -0.5, 0.0, 0.5, 1.0)
    counts = [sum(map(voice, frames)) for voice in (open_voice(model, threshold) for threshold in thresholds)]
    assert isinstance(open_voice(model, 0.0), SileroVoice)
    assert all(left >= right for left, right in pairwise(counts))
    assert counts[0] > counts[2] > counts[4] > 0
    lengths: list[int] = []
    for threshold in thresholds:
        segmenter = Segmenter(LIMITS, detector=model, noise_threshold=threshold)
        lengths.append(sum(piece.span.duration_ms for piece in segmenter.feed(sound) + segmenter.finish()))
    assert all(left >= right for left, right in pairwise(lengths))
