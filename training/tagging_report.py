"""The figures of the audio tagging model, measured through sherpa-onnx on sounds that training did not draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sherpa_onnx
from numpy.typing import NDArray
from speech import RATE_HZ
from tagging import NAMES, SOUNDS, Shelf
from talkers import Bank

RECORDINGS, SECONDS = 30, 3.0
THRESHOLD = 0.5
BACKGROUNDS = ("Music", "Applause", "Laughter")


def tagger(model: Path) -> sherpa_onnx.AudioTagging:
    """sherpa-onnx's audio tagging with the labels beside the model."""
    labels = str(model.with_name("class_labels_indices.csv"))
    config = sherpa_onnx.AudioTaggingModelConfig(ced=str(model))
    return sherpa_onnx.AudioTagging(sherpa_onnx.AudioTaggingConfig(model=config, labels=labels, top_k=len(NAMES)))


def probabilities(engine: sherpa_onnx.AudioTagging, samples: NDArray[np.float32]) -> dict[str, float]:
    """The probability of each class by name."""
    stream = engine.create_stream()
    stream.accept_waveform(RATE_HZ, samples)
    return {event.name: event.prob for event in engine.compute(stream)}


def lines(model: Path, held_out: Bank, seed: int) -> list[str]:
    """The part of the page about sounds."""
    engine, shelf = tagger(model), Shelf(held_out, seed + 1)
    chance = np.random.default_rng(seed)
    length = round(SECONDS * RATE_HZ)
    cases = {name: (name,) for name in NAMES}
    cases |= {f"Speech over {name}": ("Speech", name) for name in BACKGROUNDS}
    rows, false = [], dict.fromkeys(NAMES, 0)
    for case, held in cases.items():
        found = 0
        for _ in range(RECORDINGS):
            heard = probabilities(engine, _recording(shelf, held, length, chance))
            tags = {name for name, probability in heard.items() if probability >= THRESHOLD}
            found += set(held) <= tags
            for name in tags - set(held):
                false[name] += 1
        rows.append(f"| {case} | {100 * found / RECORDINGS:.0f} |")
    total = RECORDINGS * len(cases)
    return [
        "## Audio tagging (%)",
        "",
        f"{RECORDINGS} recordings of {SECONDS:.0f} s of each, drawn afresh, speech by held-out talkers; a class "
        f"is found if its probability is {THRESHOLD} or more. Below speech lies what is under it by 6 dB.",
        "",
        "| sound | all its classes found |",
        "| --- | --- |",
        *rows,
        "",
        f"Classes found that are not there, of {total} recordings: "
        + ", ".join(f"{name} {count}" for name, count in false.items())
        + ".",
        "",
    ]


def _recording(shelf: Shelf, held: tuple[str, ...], length: int, chance: np.random.Generator) -> NDArray[np.float32]:
    if held == ("Silence",):
        return (chance.standard_normal(length) * 1e-5).astype(np.float32)
    assert set(held) <= {"Speech", *SOUNDS}
    samples = shelf.cut(held[0], length, chance)
    if len(held) > 1:
        samples = samples + shelf.cut(held[1], length, chance) * 10 ** (-6 / 20)
    return (samples * 0.05).clip(-1, 1).astype(np.float32)
