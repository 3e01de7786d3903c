"""What a media child does: probe a source, cut it into windows of speech while it is being decoded, encode it.

Runs in a child process only. One pass over the source, block by block: memory does not grow with its length, and the
first window leaves before the rest is decoded. A source without speech is no error here; it gives no windows.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dashscribe import decode
from dashscribe.denoise import Denoiser
from dashscribe.errors import HostError
from dashscribe.errors.sources import DecodeError, DurationTooLongError
from dashscribe.hosts.isolation import MEDIA_CPU_S, grant_time
from dashscribe.hosts.playable import Mp3, Peaks
from dashscribe.hosts.protocol import (
    CodecsReply,
    Compare,
    ComparedReply,
    Cut,
    CutEnd,
    Encode,
    ListCodecs,
    MediaReply,
    PeaksReply,
    Position,
    Probe,
    Reply,
    Request,
    SoundReply,
    WindowReply,
)
from dashscribe.segment import Packer, Segmenter
from dashscribe.types import SAMPLES_PER_MS, Window

#: Longest time of work without a Position, in seconds: it moves progress bars and tells the parent that work goes on.
POSITION_EVERY_S = 0.5
#: Processor time for each second of sound and channel that is cut, in seconds: many times what decoding, detector and
#: denoiser take together. A file that is made to take longer is not worth the time of those who wait.
CPU_PER_SOUND = 1.0
#: Two channels are compared in frames of this length. ``QUIET`` is the root mean square (int16) of no sound at all;
#: a second of speech is more than ``VARIED`` times as loud as its pauses (20 dB and more as a rule).
COMPARED_FRAME_MS = 50
SPOKEN_FRAMES = 20
QUIET = 10
VARIED = 3.0


class MediaRole:
    """A media child. It opens no source itself: the open file comes over ``requests`` behind a request with a path."""

    def __init__(self, requests: Connection) -> None:
        self._requests = requests

    def answer(self, request: Request) -> Iterator[Reply]:
        """The replies to Probe, Compare, ListCodecs, Cut and Encode."""
        grant_time(MEDIA_CPU_S)
        try:
            match request:
                case Probe(path, url):
                    yield MediaReply(decode.probe(Path(os.fsdecode(path)), url, self._file()))
                case Compare():
                    yield from _compared(request, self._file())
                case ListCodecs():
                    yield CodecsReply(decode.codecs())
                case Cut():
                    yield from _cut(request, self._file())
                case Encode():
                    yield from _encoded(request, self._file())
                case _:
                    raise HostError(f"a media child cannot answer {type(request).__name__}")
        except MemoryError as error:
            most = resource.getrlimit(resource.RLIMIT_AS)[0]
            raise DecodeError(f"Decoding needs more than {most // 1024**2} MiB of memory.") from error

    def _file(self) -> decode.SourceFile:
        return decode.SourceFile(recv_handle(self._requests))


def _compared(request: Compare, file: decode.SourceFile) -> Iterator[Reply]:
    """Compare the loudness of two channels, frame by frame, over all that will be heard of them."""
    frame = COMPARED_FRAME_MS * SAMPLES_PER_MS
    loudness: list[NDArray[np.float32]] = []
    rest = np.zeros((2, 0), np.int16)
    path, stretch = Path(os.fsdecode(request.path)), request.stretch
    decoder = decode.Decoder(path, url=request.url, channels=(0, 1), stretch=stretch, file=file)
    told_s = time.monotonic()
    for block in decoder:
        samples = np.concatenate((rest, block), axis=1)
        count = samples.shape[1] // frame
        frames = samples[:, : count * frame].reshape(2, count, frame).astype(np.float32)
        loudness.append(np.sqrt((frames**2).mean(axis=2)))
        rest = samples[:, count * frame :]
        if time.monotonic() - told_s > POSITION_EVERY_S:
            told_s = time.monotonic()
            yield Position(decoder.end_ms)
    levels = np.concatenate(loudness, axis=1) if loudness else np.zeros((2, 1), np.float32)
    ordered = np.sort(levels, axis=1)
    low, high = ordered[:, ordered.shape[1] // 10], ordered[:, -min(SPOKEN_FRAMES, ordered.shape[1])]
    silent = tuple(channel for channel in (0, 1) if levels[channel].max() <= QUIET)
    steady = tuple(channel for channel in (0, 1) if high[channel] < VARIED * max(low[channel], 1.0))
    away = levels - levels.mean(axis=1, keepdims=True)
    power = float(np.sqrt((away[0] ** 2).sum() * (away[1] ** 2).sum()))
    yield ComparedReply(float((away[0] * away[1]).sum()) / power if power else 0.0, silent, steady)


class _Lane:
    """One channel on its way from samples to windows."""

    def __init__(self, channel: int, begin_ms: int, request: Cut) -> None:
        self._channel = channel
        self._denoiser = Denoiser(Path(os.fsdecode(request.denoiser))) if request.denoiser else None
        self._segmenter = Segmenter(
            request.limits,
            begin_ms=begin_ms,
            noise_threshold=request.options.speech_noise_threshold,
            detector=Path(os.fsdecode(request.detector)) if request.detector else None,
        )
        self._packer = Packer(channel, packed=request.packed)

    def feed(self, samples: NDArray[np.int16]) -> Iterator[Window]:
        """The windows that are full with these samples, shape (n,)."""
        for piece in self._segmenter.feed(self._denoiser.feed(samples) if self._denoiser else samples):
            if window := self._packer.add(piece):
                yield window

    def finish(self) -> Iterator[Window]:
        """The windows that are left at the end of the sound."""
        last = self._segmenter.feed(self._denoiser.finish()) if self._denoiser else []
        for piece in last + self._segmenter.finish():
            if window := self._packer.add(piece):
                yield window
        if window := self._packer.finish():
            yield window

    def notes(self) -> Iterator[str]:
        """What went wrong and was gone around."""
        if self._denoiser and self._denoiser.failure:
            yield f"channel {self._channel} was not denoised to its end: {self._denoiser.failure}"


def _cut(request: Cut, file: decode.SourceFile) -> Iterator[Reply]:
    options = request.options
    decoder = decode.Decoder(
        Path(os.fsdecode(request.path)),
        url=request.url,
        channels=options.channels,
        mix=options.mix,
        stretch=options.stretch,
        file=file,
    )
    _check_duration(decoder.media.duration_ms, request)
    yield MediaReply(decoder.media)
    lanes = [_Lane(channel, decoder.begin_ms, request) for channel in decoder.channels]
    peaks = Peaks(len(lanes)) if request.peaks else None
    pace = _Pace(len(lanes))
    samples = 0
    for block in decoder:
        samples += block.shape[1]
        position_ms = decoder.begin_ms + samples // SAMPLES_PER_MS
        _check_duration(position_ms, request)
        if peaks:
            peaks.feed(block)
        for lane, channel_samples in zip(lanes, block, strict=True):
            for window in lane.feed(channel_samples):
                yield WindowReply(window)
        yield from pace.at(position_ms)
    for lane in lanes:
        for window in lane.finish():
            yield WindowReply(window)
    if peaks:
        for channel, found in zip(decoder.channels, peaks.finish(), strict=True):
            yield PeaksReply(channel, found)
    yield CutEnd(
        media=decoder.media,
        channels=tuple(decoder.channels),
        begin_ms=decoder.begin_ms,
        end_ms=decoder.end_ms,
        lost=tuple(decoder.lost),
        notes=(*decoder.notes, *(note for lane in lanes for note in lane.notes())),
    )


class _Pace:
    """Tells the parent now and then how far a decoder is, and is given processor time for what is done."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._reported_s, self._begun_s = time.monotonic(), time.process_time()

    def at(self, position_ms: int) -> Iterator[Position]:
        """Called with every block; a Position where it is time for one."""
        if time.monotonic() - self._reported_s >= POSITION_EVERY_S:
            yield Position(position_ms)
            self._reported_s = time.monotonic()
            earned_s = CPU_PER_SOUND * self._channels * position_ms / 1000
            grant_time(MEDIA_CPU_S + earned_s - (time.process_time() - self._begun_s))


def _encoded(request: Encode, file: decode.SourceFile) -> Iterator[Reply]:
    """All of a source as an MP3: the one or two channels that it has, or more of them mixed."""
    path = Path(os.fsdecode(request.path))
    decoder = decode.Decoder(path, url=request.url, channels=(0, 1), mix=request.mix, stretch=None, file=file)
    _check_duration(decoder.media.duration_ms, request)
    pace = _Pace(len(decoder.channels))
    mp3 = Mp3(len(decoder.channels))
    for block in decoder:
        _check_duration(decoder.end_ms, request)
        if data := mp3.feed(block):
            yield SoundReply(data)
        yield from pace.at(decoder.end_ms)
    yield SoundReply(mp3.finish())


def _check_duration(duration_ms: int, request: Cut | Encode) -> None:
    """Refuse a source that claims, or turns out, to be longer than the limit."""
    if duration_ms > request.max_duration_ms:
        raise DurationTooLongError.of(duration_ms, request.max_duration_ms, request.remedy)
