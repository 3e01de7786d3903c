"""Filter bank features as sherpa-onnx computes them for SenseVoice and Paraformer.

80 Kaldi mel bins of 25 ms every 10 ms, Hamming window, no dither, samples in the range of int16; then seven frames
are stacked every six, centered, with the edges repeated.
"""

from __future__ import annotations

import kaldi_native_fbank
import numpy as np
from numpy.typing import NDArray
from speech import RATE_HZ

BINS = 80
STACKED, STRIDE = 7, 6  # low frame rate: m=7, n=6
FRAME_MS = 10 * STRIDE


def _options() -> kaldi_native_fbank.FbankOptions:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE_HZ
    options.frame_opts.dither = 0
    options.frame_opts.window_type = "hamming"
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = BINS
    options.mel_opts.low_freq = 20
    options.mel_opts.high_freq = 0  # Nyquist
    return options


def fbank(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Compute log mel energies (frames, 80)."""
    computer = kaldi_native_fbank.OnlineFbank(_options())
    computer.accept_waveform(RATE_HZ, samples.astype(np.float32))
    computer.input_finished()
    count = computer.num_frames_ready
    return np.stack([computer.get_frame(place) for place in range(count)]) if count else np.zeros((0, BINS), np.float32)


def stack(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stack frames (n, 80) to (1 + (n - 1) // 6, 560): window i covers frames 6i - 3 to 6i + 3."""
    count = 1 + (len(frames) - 1) // STRIDE
    places = np.arange(count)[:, None] * STRIDE + np.arange(STACKED)[None, :] - STACKED // 2
    return frames[np.clip(places, 0, len(frames) - 1)].reshape(count, -1)
