"""What engines lack and other installed models add: times of words, marks; and what is said where nothing adds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from commands import dashscribe, program
from dashscribe.weights.adding import add
from media_files import write_wav
from small_models import FOLDER, Speak, install

QUIET = np.zeros(16_000, np.int16)


def transcribe(
    models: Path, engine: str, path: Path, run: Callable[..., CompletedProcess[str]] = dashscribe, **settings: str
) -> tuple[dict[str, Any], str]:
    """The result of the command line, and what it said on stderr."""
    settings |= {"DASHSCRIBE_MODELS_DIR": str(models), "DASHSCRIBE_ENGINE": engine}
    done = run("transcribe", path, "-f", "json", **settings)
    return (json.loads(done.stdout) if done.stdout else {}), done.stderr


def two_outputs(folder: Path) -> Path:
    """The small Paraformer as older exports are: without the outputs from which times are read."""
    folder.mkdir()
    model = onnx.load(FOLDER / "paraformer-small" / "model.onnx")
    del model.graph.output[2:]
    onnx.save(model, folder / "model.onnx")
    (folder / "tokens.txt").write_bytes((FOLDER / "paraformer-small" / "tokens.txt").read_bytes())
    return folder


@pytest.mark.parametrize("helped", [False, True])
def test_a_paraformer_without_times_has_its_words_aligned_if_a_model_is_there(
    tmp_path: Path, spoken: ModuleType, helped: bool
):
    models = tmp_path / "models"
    add(two_outputs(tmp_path / "old"), models, languages=("zh", "en"))
    if helped:
        install(models, "sensevoice-small")
    samples, truth = spoken.sentence("please open the window", "en")
    path = write_wav(tmp_path / "a.wav", np.concatenate([QUIET, samples, QUIET])[None])
    found, _ = transcribe(models, "old", path)
    (sentence,) = found["transcripts"][0]["sentences"]
    assert sentence["text"] == "Please open the window."
    notes = [note for note in found["dashscribe"]["notes"] if "approximate" in note]
    assert bool(notes) == (not helped)
    assert helped or notes[0].startswith("4 of 4 words have approximate times")
    late = [abs(w["begin_time"] - 1_000 - t.begin_ms) for w, t in zip(sentence["words"], truth, strict=True)]
    assert (max(late) <= 200) == helped


def test_an_installed_model_sets_marks_and_one_that_fails_leaves_the_text(tmp_path: Path, speak: Speak):
    models = install(tmp_path / "models", "zipformer-ctc-tiny", "punctuation-tiny")
    path = speak("en-us", "some words that are said without a pause and go on", gain=0.25)
    found, _ = transcribe(models, "zipformer-ctc-tiny", path)
    assert found["transcripts"][0]["text"].startswith("Hello, world this is a test")
    (graph,) = (models / "punctuation-tiny").glob("*.onnx")
    data = graph.read_bytes()
    graph.unlink()  # it is a link
    graph.write_bytes(data[: len(data) // 2])
    found, _ = transcribe(models, "zipformer-ctc-tiny", path)
    assert found["transcripts"][0]["text"].startswith("Hello world this is a test")
    assert any(note.startswith("the punctuation model failed") for note in found["dashscribe"]["notes"])


def test_a_processor_that_is_not_there_is_an_error_and_never_a_silent_fallback(tmp_path: Path, speak: Speak):
    models = install(tmp_path / "models", "zipformer-ctc-tiny")
    cuda = {"DASHSCRIBE_PROVIDER": "cuda"}
    found, said = transcribe(models, "zipformer-ctc-tiny", speak("en-us", "hello"), program, **cuda)
    assert found == {}
    assert "DASHSCRIBE_PROVIDER=cuda has no effect" in said
    assert "Fallback to cpu" in said
    listed = dashscribe("models", "ls", **cuda)
    assert "was not built for it: docs/gpu.md says what to install" in listed.stdout


@pytest.mark.parametrize(
    ("model", "rate_hz", "better"),
    [
        ("paraformer-8k-v2", 16_000, "paraformer-v2"),
        ("paraformer-mtl-v1", 8_000, "paraformer-8k-v2"),
        ("fun-asr", 8_000, ""),
    ],
)
def test_a_rate_outside_a_models_range_is_resampled_and_noted(
    tmp_path: Path, spoken: ModuleType, model: str, rate_hz: int, better: str
):
    models = install(tmp_path / "models", "paraformer-small")
    samples, _ = spoken.sentence("今天天气很好", "zh")
    sound = np.concatenate([QUIET, samples, QUIET])[:: 16_000 // rate_hz]
    path = write_wav(tmp_path / "a.wav", sound[None], rate_hz)
    settings = {"DASHSCRIBE_MODELS_DIR": str(models), "DASHSCRIBE_ENGINE": ""}
    done = dashscribe("transcribe", path, "--model", model, "--language", "zh", "-f", "json", **settings)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    notes = [note for note in found["dashscribe"]["notes"] if "resampled" in note]
    assert [f"{better} for this" in note for note in notes] == ([True] if better else [])
    assert found["dashscribe"]["engine"] == "paraformer-small"
