"""Sounds by an audio-tagging model: labels to the service's events, and the way from the model to the result's tags."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from commands import dashscribe, program
from dashscribe.config import Settings
from dashscribe.engines import engines
from dashscribe.engines.sherpa.tagger import EVENTS, THRESHOLD, Tagger
from dashscribe.errors import HostError, WeightsError
from dashscribe.types import Span, Waveform
from dashscribe.weights import find
from dashscribe.weights.adding import add
from media_files import write_wav
from small_models import install

QUIET = np.zeros(16_000, np.int16)
SOUND = Waveform(np.random.default_rng(0).integers(-3_000, 3_000, 16_000 * 25).astype(np.int16), 1_000)


def tagging(folder: Path, **scores: float) -> Path:
    """A model in the layout of CED that gives every sound the same scores."""
    folder.mkdir(parents=True)
    names = [name.replace("_", " ") for name in scores]
    lines = [f'{number},/m/{number},"{name}"\n' for number, name in enumerate(names)]
    (folder / "class_labels_indices.csv").write_text("index,mid,display_name\n" + "".join(lines), encoding="utf-8")
    sound = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64, "T"])
    probabilities = helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", len(names)])
    constants = {
        "scores": np.array([list(scores.values())], np.float32),
        "zero": np.array(0, np.float32),
        "column": np.array([-1, 1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "column"], ["rows"]),
        helper.make_node("Add", ["rows", "scores"], ["p"]),
    ]
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tagging", [sound], [probabilities], values)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "model.onnx"
    )
    return folder


def tagger(folder: Path, **scores: float) -> Tagger:
    add(tagging(folder / "ced", **scores), folder / "models")
    return Tagger(Settings(), find(folder / "models", "ced"))


def test_labels_of_audioset_become_the_four_events_in_their_order(tmp_path: Path) -> None:
    heard = tagger(tmp_path, Laughter=0.9, Cough=0.99, Clapping=0.6, Music=0.8, Speech=0.7)
    assert heard.events(SOUND, Span(1_000, 4_000)) == ("Speech", "BGM", "Applause", "Laughter") == tuple(EVENTS)


def test_what_scores_lower_than_the_threshold_is_not_told(tmp_path: Path) -> None:
    heard = tagger(tmp_path, Speech=THRESHOLD - 0.01, Music=THRESHOLD, Applause=0.1, Background_music=0.0)
    assert heard.events(SOUND, Span(1_000, 4_000)) == ("BGM",)


def test_scores_that_are_no_numbers_are_an_error_and_no_silence(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="ced gave scores that are no numbers"):
        tagger(tmp_path, Speech=float("nan"), Music=0.9).events(SOUND, Span(1_000, 4_000))


@pytest.mark.parametrize("span", [Span(1_000, 1_000), Span(1_000, 1_010), Span(1_000, 26_000)])
def test_no_length_of_sound_is_any_trouble(tmp_path: Path, span: Span) -> None:
    assert tagger(tmp_path, Speech=0.9).events(SOUND, span) == ("Speech",)


def test_labels_that_are_not_the_models_are_refused(tmp_path: Path) -> None:
    folder = tagging(tmp_path / "ced", Speech=0.9, Music=0.9)
    labels = folder / "class_labels_indices.csv"
    labels.write_text("".join(labels.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    with pytest.raises(WeightsError, match="names 1 classes"):
        add(folder, tmp_path / "models")


def test_an_installed_tagger_stands_beside_every_engine_and_is_part_of_its_version(tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path / "models")
    before = engines(settings)["pocketsphinx"]
    add(tagging(tmp_path / "ced", Speech=0.9), tmp_path / "models")
    after = engines(settings)["pocketsphinx"]
    assert (before.tagger, after.tagger) == ("", "ced")
    assert before.version != after.version
    assert "ced" not in engines(settings)


@pytest.mark.parametrize(
    ("scores", "tag"),
    [({"Speech": 0.9, "Music": 0.8}, "<|Speech|> <|BGM|> {} <|/BGM|> <|/Speech|>"), ({}, "<|Speech|> {} <|/Speech|>")],
)
def test_the_result_of_an_engine_that_tells_no_events_has_those_of_the_tagger(
    tmp_path: Path, spoken: ModuleType, scores: dict[str, float], tag: str
) -> None:
    """Without one the tag of speech stands there, and a note says that nobody measured it."""
    models = install(tmp_path / "models", "paraformer-small")
    if scores:
        add(tagging(tmp_path / "ced", **scores), models)
    samples, _ = spoken.sentence("今天天气很好", "zh")
    path = write_wav(tmp_path / "a.wav", np.concatenate([QUIET, samples, QUIET])[None])
    settings = {"DASHSCRIBE_MODELS_DIR": str(models), "DASHSCRIBE_ENGINE": "paraformer-small"}
    run = program if scores else dashscribe
    done = run("transcribe", path, "--model", "sensevoice-v1", "-f", "json", **settings)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["transcripts"][0]["text"] == tag.format("今天天气很好。")
    noted = any("measured event" in note for note in result["dashscribe"]["notes"])
    assert noted == (not scores)


@pytest.mark.parametrize(
    ("sound", "expected"), [("music", ("Speech", "BGM")), ("applause", ("Speech", "Applause")), ("", ("Speech",))]
)
def test_the_trained_model_hears_what_is_under_speech(
    tmp_path: Path, spoken: ModuleType, sound: str, expected: tuple[str, ...]
) -> None:
    heard = Tagger(Settings(), find(install(tmp_path, "ced-tagging-small"), "ced-tagging-small"))
    samples, _ = spoken.sentence("the weather is good today", "en")
    speech = samples.astype(np.float32) * 0.7
    if sound:
        under = getattr(sys.modules["sounds"], sound)(len(speech), np.random.default_rng(2))
        speech += under * np.sqrt(np.mean(speech**2)) * 10 ** (-6 / 20)
    piece = Waveform(np.clip(np.rint(speech), -32_768, 32_767).astype(np.int16), 0)
    assert heard.events(piece, piece.span) == expected
