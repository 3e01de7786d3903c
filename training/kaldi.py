"""Kaldi's filter bank features in PyTorch, for whole batches at once, as sherpa-onnx computes them for its models.

Frames every 10 ms with mirrored edges, no dither. Rounding aside, the numbers are those of kaldi-native-fbank.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from speech import RATE_HZ
from torch import Tensor

SHIFT, SIZE = 160, 512
SMALLEST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of features: ``length`` of frames in samples, ``power`` of the Hann window, which may be periodic."""

    bins: int
    length: int
    low_hz: float
    high_hz: float
    preemphasis: float
    centered: bool  # whether each frame's mean is taken off
    power: float
    periodic: bool
    logarithm: bool


#: For speaker embeddings; 0.85 makes Povey's window.
SPEAKER = Kind(80, 400, 20.0, 7600.0, 0.97, True, 0.85, False, True)
#: For CED; the runtime turns these energies to decibels.
CED = Kind(64, 512, 0.0, 8000.0, 0.0, False, 1.0, True, False)


def _mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


def scale(kind: Kind) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In mel: the lines of the spectrum (257, 1), the edges of the bins (bins + 2,)."""
    edges = np.linspace(_mel(kind.low_hz), _mel(kind.high_hz), kind.bins + 2)
    return _mel(np.arange(SIZE // 2 + 1) * RATE_HZ / SIZE)[:, None], edges


@functools.cache
def _filters(kind: Kind) -> Tensor:
    """Triangles that are straight on the mel scale, (257, bins)."""
    places, edges = scale(kind)
    step = edges[1] - edges[0]
    weights = np.maximum(0, np.minimum(places - edges[:-2], edges[2:] - places) / step)
    weights[-1] = 0  # Kaldi leaves out the last line of the spectrum
    return torch.from_numpy(weights.astype(np.float32))


@functools.cache
def window(kind: Kind) -> Tensor:
    """The weights of a frame's samples, (length,)."""
    return torch.hann_window(kind.length, periodic=kind.periodic).pow(kind.power)


def fbank(samples: Tensor, kind: Kind = SPEAKER) -> Tensor:
    """Energies (N, (n + 80) // 160, bins) of samples (N, n) in [-1, 1]; n is at least a frame's length."""
    size = samples.shape[1]
    count = (size + SHIFT // 2) // SHIFT
    before = kind.length // 2 - SHIFT // 2
    after = max(0, (count - 1) * SHIFT - before + kind.length - size)
    padded = torch.cat((samples[:, :before].flip(1), samples, samples[:, size - after :].flip(1)), 1)
    frames = padded.unfold(1, kind.length, SHIFT)[:, :count]
    return energies(frames, kind)


def energies(frames: Tensor, kind: Kind) -> Tensor:
    """Energies (…, bins) of frames of samples (…, length)."""
    if kind.centered:
        frames = frames - frames.mean(-1, keepdim=True)
    if kind.preemphasis:
        frames = frames - kind.preemphasis * torch.cat((frames[..., :1], frames[..., :-1]), -1)
    power = torch.fft.rfft(frames * window(kind), n=SIZE).abs().square() @ _filters(kind)
    return torch.log(torch.clamp(power, min=SMALLEST)) if kind.logarithm else power
