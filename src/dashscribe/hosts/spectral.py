"""Voices without a model: who might be speaking, by pitch and spectrum alone.

What a speaker child does where no speaker models are installed. Mean and deviation of the mel cepstrum tell the shape
of a vocal tract, the median pitch its size: enough for two or three clearly different voices in one room, not for
people who sound alike. Runs in a child process only.
"""

from __future__ import annotations

from itertools import pairwise

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Utterance, Waveform

#: Steps of 10 ms, frames of 25 ms, as Kaldi's features have them.
FRAME_MS, FRAME_SAMPLES = 10, 400
#: Coefficients of the mel cepstrum, the one for loudness left out.
CEPSTRA = 19
#: What is this much quieter than the loud parts of a piece is a pause, in dB.
PAUSE_DB = 30.0
#: Root mean square (int16) of a frame below which there is no sound at all.
QUIET = 10.0
#: A pause from this length on parts utterances: people who take turns leave 200 ms in the median (Stivers et al. 2009,
#: "Universals and cultural variation in turn-taking in conversation").
PAUSE_MS = 150
#: Utterances are parted evenly so that none is longer: a change of speaker without a pause is found that precisely.
LONGEST_MS = 1500
#: Speech shorter than this tells nothing about its voice.
SHORTEST_MS = 200
#: Range of the pitch of speech, in Hz, and the autocorrelation from which on a frame has one.
PITCH_HZ = (60.0, 400.0)
VOICED = 0.5


def utterances(piece: Waveform) -> list[Utterance]:
    """The utterances of a piece with their voiceprints: 19 means, 19 deviations and the median pitch in octaves.

    The pitch is NaN where none was found.
    """
    cepstra, loudness_db = _features(piece.samples)
    if not len(cepstra):
        return []
    pitch = _pitch(piece.samples, len(cepstra))
    loud = _loud(loudness_db)
    found: list[Utterance] = []
    for begin, end in _runs(loud):
        frames = np.flatnonzero(loud[begin:end]) + begin
        if len(frames) * FRAME_MS < SHORTEST_MS:
            continue
        voiced = pitch[frames][~np.isnan(pitch[frames])]
        print_ = np.concatenate(
            (cepstra[frames].mean(axis=0), cepstra[frames].std(axis=0), [np.median(voiced) if len(voiced) else np.nan])
        )
        begin_ms = piece.begin_ms + begin * FRAME_MS
        end_ms = min(piece.begin_ms + end * FRAME_MS, piece.span.end_ms)
        found.append(Utterance(begin_ms, end_ms, print_.astype(np.float32).tobytes()))
    return found


def stretches(piece: Waveform) -> list[tuple[int, int]]:
    """Where somebody speaks in a piece, parted at pauses and evenly: half-open, in milliseconds from its begin."""
    _, loudness_db = _features(piece.samples)
    return [(begin * FRAME_MS, end * FRAME_MS) for begin, end in _runs(_loud(loudness_db))] if len(loudness_db) else []


def _loud(loudness_db: NDArray[np.float64]) -> NDArray[np.bool_]:
    floor_db = 10 * np.log10(FRAME_SAMPLES * QUIET**2)
    return loudness_db > max(floor_db, np.percentile(loudness_db, 95) - PAUSE_DB)


def _features(samples: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mel cepstra, shape (frames, 19), and the loudness of each frame in dB."""
    options = knf.MfccOptions()
    options.frame_opts.samp_freq = RATE_HZ
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 30
    options.num_ceps = CEPSTRA + 1
    options.use_energy = True
    computer = knf.OnlineMfcc(options)
    computer.accept_waveform(RATE_HZ, samples.astype(np.float32).tolist())
    computer.input_finished()
    rows = [computer.get_frame(i) for i in range(computer.num_frames_ready)]
    frames = np.array(rows, dtype=np.float64).reshape(-1, CEPSTRA + 1)
    return frames[:, 1:], frames[:, 0] * 10 / np.log(10)


def _pitch(samples: NDArray[np.int16], count: int) -> NDArray[np.float64]:
    """The pitch of each frame in octaves above 1 Hz, by the peak of its autocorrelation; NaN where there is none."""
    length, step = 40 * SAMPLES_PER_MS, FRAME_MS * SAMPLES_PER_MS
    padded = np.pad(samples.astype(np.float64), (0, max(0, (count - 1) * step + length - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::step][:count]
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(frames, 2 * length, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :length]
    shares = 1 - np.arange(length) / length  # fewer samples overlap the further apart they are
    correlation = correlation / np.maximum(correlation[:, :1], 1e-9) / shares
    first, last = int(RATE_HZ / PITCH_HZ[1]), int(RATE_HZ / PITCH_HZ[0])
    lags = first + correlation[:, first:last].argmax(axis=1)
    strength = correlation[np.arange(count), lags]
    return np.where(strength >= VOICED, np.log2(RATE_HZ / lags), np.nan)


def _runs(loud: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open ranges of frames without a long pause inside, none longer than ``LONGEST_MS``."""
    at = np.flatnonzero(loud)
    if not len(at):
        return []
    breaks = np.flatnonzero(np.diff(at) * FRAME_MS > PAUSE_MS)
    runs: list[tuple[int, int]] = []
    for begin, end in zip((at[0], *at[breaks + 1]), (*at[breaks] + 1, at[-1] + 1), strict=True):
        parts = -(-int(end - begin) * FRAME_MS // LONGEST_MS)
        edges = [int(begin) + int(end - begin) * i // parts for i in range(parts + 1)]
        runs += list(pairwise(edges))
    return runs
