"""How a source looks and sounds for people: peaks for a waveform, and an MP3 that every browser plays.

Runs in a media child only, block by block, on the samples that engines hear, so that both lie on the clock of all
times. MP3 at a constant bit rate: it can be written to a pipe, and browsers find any moment in it by arithmetic.
"""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from dashscribe.hosts.protocol import PEAKS_HZ
from dashscribe.sink import Sink
from dashscribe.types import RATE_HZ

#: Samples that one peak stands for.
PEAK_SAMPLES = RATE_HZ // PEAKS_HZ
#: Bits per second and channel. Frames of 216 bytes, all alike: MPEG-2 layer III has 576 samples in each.
BIT_RATE = 48_000
#: By how many samples LAME (576) and any decoder (529) delay the sound, where no header tells players to skip it; a
#: header would have to be written at the end.
DELAY_SAMPLES = 576 + 529


class Peaks:
    """The loudest sample in each stretch of ``PEAK_SAMPLES``, as 0 to 127, for every channel."""

    def __init__(self, channels: int) -> None:
        self._rest = np.zeros((channels, 0), np.int16)
        self._found = [bytearray() for _ in range(channels)]

    def feed(self, block: NDArray[np.int16]) -> None:
        """More samples, shape (channels, n)."""
        samples = np.concatenate((self._rest, block), axis=1) if self._rest.shape[1] else block
        count = samples.shape[1] // PEAK_SAMPLES
        self._rest = samples[:, count * PEAK_SAMPLES :].copy()
        if count:
            self._add(samples[:, : count * PEAK_SAMPLES].reshape(len(self._found), count, PEAK_SAMPLES))

    def finish(self) -> list[bytes]:
        """The peaks of each channel; the last one may stand for less."""
        if self._rest.shape[1]:
            self._add(self._rest[:, None, :])
        return [bytes(found) for found in self._found]

    def _add(self, stretches: NDArray[np.int16]) -> None:
        """Shape (channels, count, samples)."""
        # Not the absolute value, which the least int16 does not have.
        loudest = np.maximum(stretches.max(axis=2), -(stretches.min(axis=2).astype(np.int32) + 1))
        for found, channel in zip(self._found, (loudest >> 8).astype(np.uint8), strict=True):
            found += channel.tobytes()


class Mp3:
    """Encodes one or two channels of int16 at ``RATE_HZ``; each call gives the bytes that are ready."""

    def __init__(self, channels: int) -> None:
        self._sink = Sink()
        self._layout = "mono" if channels == 1 else "stereo"
        # Bit-exact: equal samples give equal bytes. No tags: the first bytes are sound.
        options = {"write_xing": "0", "id3v2_version": "0", "fflags": "bitexact"}
        self._container = av.open(self._sink, "w", format="mp3", options=options)
        # Of LAME's ten qualities the fastest ones are half as slow as the default and good enough for speech.
        quality = {"compression_level": "7"}
        self._stream = self._container.add_stream("libmp3lame", rate=RATE_HZ, layout=self._layout, options=quality)
        self._stream.codec_context.format = "s16p"
        self._stream.codec_context.bit_rate = BIT_RATE * channels
        self._skip = DELAY_SAMPLES
        self._position = 0

    def feed(self, block: NDArray[np.int16]) -> bytes:
        """More samples, shape (channels, n). The first ones are left out, by as much as the sound comes later."""
        samples = block[:, self._skip :]
        self._skip -= block.shape[1] - samples.shape[1]
        if samples.shape[1]:
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16p", layout=self._layout)
            frame.sample_rate, frame.pts = RATE_HZ, self._position
            self._position += samples.shape[1]
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """The rest."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()
