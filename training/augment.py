"""Batches of disturbed features: joined sentences, pauses, tempo, voices' length, rooms, channels, levels and noise.

Works on log mel energies, where all this is cheap enough to be drawn afresh for every batch: adding sounds is adding
energies, a channel is an offset to each bin, a shorter vocal tract moves energies to other bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from dataset import Example
from features import BINS, STACKED, STRIDE
from numpy.typing import NDArray
from torch import Tensor

SILENCE = -15.9423847  # log of float32's epsilon: what the filter bank gives for zeros
MAX_FRAMES = 12_000  # 10 ms frames in a batch, padding included
DECIBEL = np.log(10) / 10


@dataclass(slots=True)
class Row:
    """One row of a batch: examples one after another, each at its frame, within `length` frames of 10 ms."""

    examples: list[Example]
    places: list[int]
    length: int


@dataclass(slots=True)
class Batch:
    """Stacked features (N, T, 560) unnormalized, valid lengths (N,), and what each row says and is."""

    features: Tensor
    lengths: Tensor
    tokens: list[NDArray[np.int64]]
    begins_ms: list[NDArray[np.float32]]
    ends_ms: list[NDArray[np.float32]]
    rows: list[Row]


def rows_of(examples: list[Example], chance: np.random.Generator) -> list[Row]:
    """Shuffle examples to rows: three in five alone, others joined in twos and threes of one manner."""
    rows: list[Row] = []
    waiting: dict[tuple[str, str], list[Example]] = {}
    for place in chance.permutation(len(examples)):
        example = examples[place]
        kind = (example.emotion, example.event)
        held = waiting.setdefault(kind, [])
        held.append(example)
        wanted = 1 if chance.random() < 0.62 else int(chance.integers(2, 4))
        if len(held) >= wanted:
            rows.append(_row(held, chance))
            waiting[kind] = []
    return rows


def _row(examples: list[Example], chance: np.random.Generator) -> Row:
    at = int(chance.integers(0, 80)) if chance.random() < 0.6 else 0
    places = []
    for example in examples:
        places.append(at)
        at += len(example.features) + int(chance.integers(5, 100))
    end = places[-1] + len(examples[-1].features)
    return Row(examples, places, end + (int(chance.integers(0, 100)) if chance.random() < 0.6 else 0))


def batches(examples: list[Example], chance: np.random.Generator, strength: float) -> Iterator[Batch]:
    """Yield one epoch in random order, rows of like length together; `strength` is for `disturbed`."""
    rows = sorted(rows_of(examples, chance), key=lambda row: row.length * chance.uniform(0.85, 1.15))
    grouped: list[list[Row]] = [[]]
    for row in rows:
        if (len(grouped[-1]) + 1) * max(row.length, *(other.length for other in grouped[-1]), 1) > MAX_FRAMES:
            grouped.append([])
        grouped[-1].append(row)
    for place in chance.permutation(len(grouped)):
        yield disturbed(grouped[place], chance, strength)


def disturbed(rows: list[Row], chance: np.random.Generator, strength: float) -> Batch:
    """Lay rows out and disturb them, by a strength from 0 to 1; levels vary fully at any."""
    stretch = 1 + strength * chance.uniform(-0.13, 0.15, len(rows))  # of durations
    frames, lengths = _stretched(_laid_out(rows), np.array([row.length for row in rows]), stretch)
    frames = _warped(frames, 1 + strength * chance.uniform(-0.12, 0.14, len(rows)))
    frames = _smeared(frames, chance, strength)
    frames = frames + _channels(len(rows), chance, strength)
    frames = _noisy(frames, chance, strength)
    _masked(frames, lengths, chance, strength)
    return Batch(
        _stack(frames, lengths),
        torch.from_numpy(1 + (lengths - 1) // STRIDE),
        [np.concatenate([example.tokens for example in row.examples]) for row in rows],
        *_times(rows, stretch),
        rows,
    )


def _laid_out(rows: list[Row]) -> Tensor:
    frames = np.full((len(rows), max(row.length for row in rows), BINS), SILENCE, np.float32)
    for number, row in enumerate(rows):
        for example, at in zip(row.examples, row.places, strict=True):
            frames[number, at : at + len(example.features)] = example.features
    return torch.from_numpy(frames)


def _times(
    rows: list[Row], stretch: NDArray[np.float64]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    begins, ends = [], []
    for row, factor in zip(rows, stretch, strict=True):
        pairs = list(zip(row.examples, row.places, strict=True))
        begins.append(np.concatenate([(example.begins_ms + at * 10) * factor for example, at in pairs]))
        ends.append(np.concatenate([(example.ends_ms + at * 10) * factor for example, at in pairs]))
    return begins, ends


def _stretched(
    frames: Tensor, lengths: NDArray[np.int64], stretch: NDArray[np.float64]
) -> tuple[Tensor, NDArray[np.int64]]:
    longer = np.maximum(STRIDE, np.round(lengths * stretch).astype(np.int64))
    places = np.minimum(np.arange(longer.max())[None, :] / stretch[:, None], lengths[:, None] - 1)
    before = places.astype(np.int64)
    share = torch.from_numpy((places - before).astype(np.float32)).unsqueeze(-1)
    row = torch.arange(len(lengths))[:, None]
    after = torch.from_numpy(np.minimum(before + 1, lengths[:, None] - 1))
    return torch.lerp(frames[row, torch.from_numpy(before)], frames[row, after], share), longer


def _warped(frames: Tensor, factors: NDArray[np.float64]) -> Tensor:
    """Move each row's energies to frequencies multiplied by its factor, as another length of the vocal tract does."""
    low, high = (1127 * np.log1p(hertz / 700) for hertz in (20, 8000))
    step = (high - low) / (BINS + 1)
    centers = 700 * np.expm1((low + step * np.arange(1, BINS + 1)) / 1127)
    places = (1127 * np.log1p(centers[None, :] * factors[:, None] / 700) - low) / step - 1
    places = np.clip(places, 0, BINS - 1.001)
    before = torch.from_numpy(places.astype(np.int64)).unsqueeze(1).expand(-1, frames.shape[1], -1)
    share = torch.from_numpy((places % 1).astype(np.float32)).unsqueeze(1)
    return torch.lerp(frames.gather(2, before), frames.gather(2, before + 1), share)


def _smeared(frames: Tensor, chance: np.random.Generator, strength: float) -> Tensor:
    """Let up to one row in five ring on, as rooms do: energy decays by 60 dB in 0.15 to 0.6 s."""
    chosen = np.flatnonzero(chance.random(len(frames)) < 0.2 * strength)
    if not len(chosen):
        return frames
    energy = torch.exp(frames[chosen])
    decay = torch.from_numpy(10 ** (-6 * 0.01 / chance.uniform(0.15, 0.6, len(chosen)))).float()[:, None, None]
    level = torch.from_numpy(chance.uniform(0.02, 0.15, len(chosen))).float()[:, None, None]
    ringing = energy.clone()
    for delay in range(1, 16):
        ringing[:, delay:] += level * decay**delay * energy[:, :-delay]
    frames[chosen] = torch.log(ringing)
    return frames


def _channels(count: int, chance: np.random.Generator, strength: float) -> Tensor:
    """Draw a level and a smooth response for each row; up to one in six is a telephone's or otherwise narrow."""
    bins = np.arange(BINS)
    waves = np.cos(np.pi * np.arange(1, 5)[:, None] * (bins + 0.5) / BINS)
    response = chance.normal(0, 2.0 * strength, (count, 4)) @ waves + chance.uniform(-26, 6, (count, 1))
    for row in np.flatnonzero(chance.random(count) < 0.17 * strength):
        low, high = chance.uniform(0, 9), chance.uniform(54, 79)  # bins; 8 is 300 Hz, 57 is 3.4 kHz
        depth = chance.uniform(15, 50)
        response[row] -= depth * np.clip((low - bins) / 4, 0, 1) + depth * np.clip((bins - high) / 3, 0, 1)
    return torch.from_numpy((response * DECIBEL).astype(np.float32)).unsqueeze(1)


def _noisy(frames: Tensor, chance: np.random.Generator, strength: float) -> Tensor:
    """Add noise of a random slope, 8 to 60 dB below the row's loud frames; a fifth stays clean, or more."""
    count = len(frames)
    loud = torch.quantile(frames.mean(-1), 0.9, dim=1).numpy()
    clean = chance.random(count) < 0.5 - 0.3 * strength
    below = np.where(clean, 200.0, chance.uniform(30 - 22 * strength, 60, count))
    slope = chance.uniform(-14, 4, (count, 1)) * np.linspace(-0.5, 0.5, BINS)[None, :]
    floor = (loud[:, None] - (below[:, None] - slope) * DECIBEL).astype(np.float32)
    # Energies in noise follow a gamma law, the narrower the wider the bin: its log is near normal, 0.7 to 0.25 wide.
    width = torch.linspace(0.7, 0.25, BINS)
    generator = torch.Generator().manual_seed(int(chance.integers(2**31)))
    noise = torch.from_numpy(floor).unsqueeze(1) + width * torch.randn(frames.shape, generator=generator)
    return torch.logaddexp(frames, noise)


def _masked(frames: Tensor, lengths: NDArray[np.int64], chance: np.random.Generator, strength: float) -> None:
    """Blank a few short spans of time and bands of bins of up to half of the rows, in place."""
    for row in np.flatnonzero(chance.random(len(frames)) < 0.5 * strength):
        middle = float(frames[row, : lengths[row]].mean())
        for _ in range(int(chance.integers(0, 1 + lengths[row] // 100))):
            at, width = int(chance.integers(lengths[row])), int(chance.integers(1, 7))
            frames[row, at : at + width] = middle
        at, width = int(chance.integers(BINS)), int(chance.integers(0, 12))
        frames[row, :, at : at + width] = middle


def _stack(frames: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    """Stack as `features.stack` does, for a padded batch."""
    count = 1 + (int(lengths.max()) - 1) // STRIDE
    places = np.arange(count)[:, None] * STRIDE + np.arange(STACKED)[None, :] - STACKED // 2
    places = np.clip(places[None], 0, lengths[:, None, None] - 1)
    row = torch.arange(len(lengths))[:, None, None]
    return frames[row, torch.from_numpy(places)].reshape(len(lengths), count, -1)
