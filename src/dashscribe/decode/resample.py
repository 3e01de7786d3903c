"""Frames of any format and rate become int16 at 16 kHz: channels picked by index, mixed only on request.

The resampler is soxr at its best quality: at 8.5 kHz it damps by 94 dB where FFmpeg's own leaves -26 dB of alias, and
as it computes in double precision, a run that starts in the middle gives the very samples of the whole. Rounding is
done here, since soxr's int16 output is dithered.
"""

from __future__ import annotations

from math import gcd

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from dashscribe.types import RATE_HZ

#: FFmpeg's sample formats as numpy types, with the value that stands for silence and the one that stands for 1.0.
FORMATS: dict[str, tuple[str, float, float]] = {
    "u8": ("u1", 128.0, 2.0**7),
    "s16": ("i2", 0.0, 2.0**15),
    "s32": ("i4", 0.0, 2.0**31),
    "s64": ("i8", 0.0, 2.0**63),
    "flt": ("f4", 0.0, 1.0),
    "dbl": ("f8", 0.0, 1.0),
}
#: Lossy codecs overshoot full scale by a little; float samples beyond this are garbage.
LOUDEST = 4.0
#: Where a run starts in its middle, this much is fed ahead; the filter's edge reaches 12 ms at 16 kHz (measured).
EDGE_SAMPLES = RATE_HZ // 10
#: PyAV walks past the end of a frame's table of planes beyond this many.
MAX_PLANES = 8


def pick_channels(frame: AudioFrame, channels: tuple[int, ...]) -> NDArray[np.float32]:
    """The samples of ``channels``, shape (n, len(channels)), full scale 1.0; absent ones are silent."""
    count = frame.layout.nb_channels
    if frame.format.is_planar and count > MAX_PLANES:
        frame = av.AudioResampler("flt").resample(frame)[0]
    planes, planar = frame.planes, frame.format.is_planar
    dtype, zero, one = FORMATS[frame.format.name.removesuffix("p")]
    picked = np.zeros((frame.samples, len(channels)), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # garbage in float samples; the resampler's door stops it
        for i, channel in enumerate(channels):
            if channel < count:
                plane = np.frombuffer(bytes(planes[channel if planar else 0]), dtype)
                picked[:, i] = plane[: frame.samples] if planar else plane[channel::count][: frame.samples]
                picked[:, i] -= zero
    return picked if one == 1 else picked / np.float32(one)


def mix_channels(frame: AudioFrame) -> NDArray[np.float32]:
    """The mean of all channels that this frame has, shape (n, 1), full scale 1.0.

    A mean of samples within full scale stays within it. It is taken in double precision, where it is exact for equal
    samples: a mono file, or one track in many channels, comes out as that track.
    """
    channels = pick_channels(frame, tuple(range(frame.layout.nb_channels)))
    return _sound(channels).mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round half to even and clip. Shape (n, channels) becomes (channels, n)."""
    scaled = np.rint(samples.T * np.float32(2**15))
    return np.ascontiguousarray(np.clip(scaled, -(2**15), 2**15 - 1).astype(np.int16))


def _sound(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without garbage: one NaN or infinity would spread to every channel of a mean, and through a filter for good."""
    return np.clip(np.nan_to_num(samples), -LOUDEST, LOUDEST)


class Resampler:
    """Streams runs of any rate into 16 kHz; a change of rate ends one run and begins the next.

    Output before sample ``first`` is not wanted: it is counted, not computed, up to the edge of the filter.
    ``position`` is the index of the next sample that comes out.
    """

    def __init__(self, channel_count: int, *, first: int = 0) -> None:
        self.position = 0
        self._channel_count = channel_count
        self._first = first
        self._rate_hz: int = RATE_HZ
        self._stream: soxr.ResampleStream | None = None
        self._run_begin = 0  # index of the run's first sample at 16 kHz
        self._run_samples = 0  # samples of the run so far, at its own rate
        self._computing = False

    def start_at(self, rate_hz: int, sample: int) -> None:
        """Let the first run begin at this sample of its own rate, as after a seek."""
        self._rate_hz, self._run_samples = rate_hz, sample

    def feed(self, rate_hz: int, samples: NDArray[np.float32]) -> list[NDArray[np.int16]]:
        """What comes out for more samples, shape (n, channels): blocks of shape (channels, n)."""
        blocks: list[NDArray[np.int16]] = []
        if rate_hz != self._rate_hz:
            blocks += self.finish()
            self._rate_hz, self._run_begin, self._run_samples = rate_hz, self.position, 0
        if not self._computing:
            samples = self._pass_over(samples)
        if len(samples):
            blocks += self._compute(samples, last=False)
        return blocks

    def finish(self) -> list[NDArray[np.int16]]:
        """End the run and give what is still inside."""
        blocks: list[NDArray[np.int16]] = []
        if self._computing:
            blocks = self._compute(np.zeros((0, self._channel_count), np.float32), last=True)
        else:
            # soxr's own rounding of a run's length: half a sample is a sample.
            self.position = self._run_begin + (2 * self._run_samples * RATE_HZ + self._rate_hz) // (2 * self._rate_hz)
        self._computing, self._stream = False, None
        return blocks

    def _pass_over(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Drop what lies far enough ahead of the first wanted sample; computing starts where both grids meet."""
        step_out = RATE_HZ // gcd(RATE_HZ, self._rate_hz)
        steps = max(0, self._first - EDGE_SAMPLES - self._run_begin) // step_out
        begin = steps * self._rate_hz // gcd(RATE_HZ, self._rate_hz)
        drop = min(max(0, begin - self._run_samples), len(samples))
        self._run_samples += drop
        if drop < len(samples):
            self._computing = True
            self.position = self._run_begin + steps * step_out
            if self._rate_hz != RATE_HZ:
                self._stream = soxr.ResampleStream(self._rate_hz, RATE_HZ, self._channel_count, quality="VHQ")
        return samples[drop:]

    def _compute(self, samples: NDArray[np.float32], *, last: bool) -> list[NDArray[np.int16]]:
        self._run_samples += len(samples)
        samples = _sound(samples)
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last=last)
        self.position += len(samples)
        return [to_int16(samples)] if len(samples) else []
