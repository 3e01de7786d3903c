"""Measures frame scores of the SenseVoice layout by themselves, as forced alignment with ONNX Runtime uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from dataset import Rendered, example
from features import FRAME_MS, fbank, stack
from numpy.typing import NDArray
from train import extents

TAG_ROWS = 4
AUTO, WITHOUT_ITN = 0, 15


class Scorer:
    """The model's file, run by ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.shift, self.scale = (
            np.array(metadata[name].split(","), np.float32) for name in ("neg_mean", "inv_stddev")
        )

    def __call__(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Give log posteriors (T, V), the rows of tags left out."""
        features = (stack(fbank(samples)) + self.shift) * self.scale
        numbers = (np.array([value], np.int32) for value in (len(features), AUTO, WITHOUT_ITN))
        names = [node.name for node in self.session.get_inputs()]
        (logits,) = self.session.run(None, dict(zip(names, (features[None], *numbers), strict=True)))
        rows = logits[0, TAG_ROWS:]
        rows = rows - rows.max(-1, keepdims=True)
        return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


def align(posteriors: NDArray[np.float32], tokens: NDArray[np.int64]) -> list[int]:
    """Find each token's first frame on the best path of CTC that spells the tokens."""
    labels = np.zeros(2 * len(tokens) + 1, np.int64)  # blanks between tokens
    labels[1::2] = tokens
    may_skip = np.zeros(len(labels), bool)
    may_skip[3::2] = labels[3::2] != labels[1:-2:2]
    score = np.full(len(labels), -np.inf)
    score[:2] = posteriors[0, labels[:2]]
    steps = np.zeros((len(posteriors), len(labels)), np.int64)
    for frame in range(1, len(posteriors)):
        one = np.concatenate(([-np.inf], score[:-1]))
        two = np.where(may_skip, np.concatenate(([-np.inf, -np.inf], score[:-2])), -np.inf)
        steps[frame] = np.argmax((score, one, two), axis=0)
        score = np.max((score, one, two), axis=0) + posteriors[frame, labels]
    state = len(labels) - 1 if score[-1] > score[-2] else len(labels) - 2
    firsts = [0] * len(tokens)
    for frame in range(len(posteriors) - 1, -1, -1):
        if state % 2:
            firsts[state // 2] = frame
        state -= steps[frame, state]
    return firsts


def measure(path: Path, truth: list[Rendered]) -> dict[str, float]:
    """Measure, over recordings of speech: frames within tokens, frames of silence, and aligned beginnings.

    Returns:
        Percent of frames within true extents whose token has half of the posterior or more; percent of tokens that
        have such a frame; percent of frames outside that have such a blank; median and 95th percentile of errors of
        aligned tokens' beginnings, in ms.
    """
    scorer = Scorer(path)
    inside, found, outside, errors = [], [], [], []
    for made in truth:
        posteriors, spoken = scorer(made.samples), example(made)
        held = np.exp(posteriors) >= 0.5
        silent = np.ones(len(held), bool)
        for token, first, last in zip(
            spoken.tokens, *extents(spoken.tokens, spoken.begins_ms, spoken.ends_ms, len(held)), strict=True
        ):
            inside.extend(held[first:last, token])
            found.append(held[first:last, token].any())
            silent[max(0, first - 1) : last + 1] = False
        outside.extend(held[silent, 0])
        errors += [
            abs(first * FRAME_MS - begin_ms)
            for first, begin_ms in zip(align(posteriors, spoken.tokens), spoken.begins_ms, strict=True)
        ]
    return {
        "frames of tokens": 100 * float(np.mean(inside)),
        "tokens": 100 * float(np.mean(found)),
        "frames of silence": 100 * float(np.mean(outside)) if outside else 100.0,
        "median": float(np.median(errors)),
        "95 %": float(np.percentile(errors, 95)),
    }
