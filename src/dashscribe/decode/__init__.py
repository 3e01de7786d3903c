"""Streams one media file as int16 at 16 kHz, a track per channel or all in one, and packs samples into FLAC and back.

Leaves opening to ``probe``, the file's clock to ``clock``, arithmetic on samples to ``resample``. Sound that cannot be
decoded becomes silence of the same length and is named in ``lost``, so that times hold whatever is broken.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from math import ceil
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError
from av.packet import Packet
from numpy.typing import NDArray

from dashscribe.decode.clock import clock_for
from dashscribe.decode.resample import Resampler, mix_channels, pick_channels
from dashscribe.decode.source import RATES_HZ, SourceFile, open_source
from dashscribe.errors.sources import DecodeError, NoAudioError, NoSuchChannelError
from dashscribe.opening import open_regular
from dashscribe.types import MAX_CHANNELS, RATE_HZ, SAMPLES_PER_MS, Media, Span, total_ms

#: Sound is resampled in blocks of about this length: long enough that the cost per call does not show.
BLOCK_S = 1.0
#: A demuxer that fails this often in a row is not getting anywhere. Packets without sound cost a file real bytes, or at
#: least index entries, so many more of them are passed over: an hour and a half of AAC.
MAX_DEMUX_ERRORS = 64
MAX_BARREN_PACKETS = 200_000
#: A file that ends this much before the length in its header, in seconds and as a share, was probably cut off.
CUT_OFF_S = 0.5
CUT_OFF_SHARE = 0.02
#: Containers of plain PCM find a sample by arithmetic. All others are decoded from the beginning: what a lossy decoder
#: gives depends on what came before, and one stretch must give the samples that the whole file gives.
SEEKABLE = frozenset({"aiff", "au", "caf", "w64", "wav"})
SEEK_MARGIN_S = 1
#: Their frames borrow bits of the ones before, so that the first after a hole comes out as a crack: it is counted as
#: lost and decoded again, with the past forgotten, for the next to borrow from.
RESERVOIR_CODECS = frozenset({"mp3", "wmav1", "wmav2"})
#: Largest block that FLAC's streamable subset allows at 16 kHz: fewest calls, and no larger files (measured).
FLAC_BLOCK = 4608


def probe(path: Path, url: str, file: SourceFile | None = None) -> Media:
    """Say what ``path`` is, or the ``file`` that was opened there, decoding no more than its first second.

    Raises DecodeError for what is no media or has no decodable sound, NoAudioError when there is no sound to decode.
    """
    decoder = Decoder(path, url=url, channels=(0,), stretch=None, file=file)
    next(iter(decoder), None)
    return decoder.media


def codecs() -> tuple[str, ...]:
    """The codecs of sound that can be decoded, by FFmpeg's names, in order."""
    found: list[str] = []
    for name in sorted(av.codecs_available):
        with suppress(UnknownCodecError):  # it can encode only
            if Codec(name, "r").type == "audio":
                found.append(name)
    return tuple(found)


class Decoder:
    """Iterate once: yields blocks of shape (len(channels), n), int16, 16 kHz, contiguous from ``begin_ms``.

    ``channels`` are the requested ones that exist; with ``mix`` all of the file's are averaged into one, numbered 0,
    and the requested ones do not matter. ``file`` is what was opened at ``path`` before, if it was.
    ``media.duration_ms`` is the container's claim until the end, then the length that was decoded; ``end_ms``, ``lost``
    and ``notes`` are complete after the last block. Raises DecodeError and NoAudioError when opened or while iterating,
    NoSuchChannelError when opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        url: str,
        channels: Sequence[int],
        mix: bool = False,
        stretch: Span | None,
        file: SourceFile | None = None,
    ) -> None:
        self._source = open_source(file or SourceFile(open_regular(path)), path, url)
        self.media = self._source.media
        self.notes = list(self._source.notes)
        self._mix = mix
        self.channels = (0,) if mix else self._present(tuple(dict.fromkeys(channels)))
        self.begin_ms = stretch.begin_ms if stretch else 0
        self.end_ms = self.begin_ms
        self.lost: list[Span] = []
        self._until = stretch.end_ms * SAMPLES_PER_MS if stretch else None
        self._clock = clock_for(self._source)
        self._sounds = False  # whether any packet was decoded
        self._heard = False  # whether any sample was given out
        self._skipped = 0  # packets that could not be decoded
        self._channel_absent = False  # whether frames had fewer channels than the stream announced
        self._ended = False  # whether the file was read to its end

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        """Decode; see the class."""
        first = self.begin_ms * SAMPLES_PER_MS
        at = first
        resampler = Resampler(len(self.channels), first=first)
        self._seek(resampler)
        with closing(self._source):
            for block in self._resampled(resampler):
                begin = resampler.position - block.shape[1]
                wanted = block[:, max(0, at - begin) : None if self._until is None else max(0, self._until - begin)]
                if wanted.shape[1]:
                    at += wanted.shape[1]
                    self.end_ms = at // SAMPLES_PER_MS
                    self._heard = True
                    yield np.ascontiguousarray(wanted)
                if at == self._until:
                    break
        self._conclude(resampler.position // SAMPLES_PER_MS)

    def _present(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """The requested channels that the file has; the others are noted."""
        count = self.media.channel_count
        has = f"the file has {count} channel{'s' if count > 1 else ''}, numbered from 0"
        present = tuple(channel for channel in asked if 0 <= channel < count)
        missing = ", ".join(str(channel) for channel in asked if channel not in present)
        if not present:
            self._source.close()
            raise NoSuchChannelError(f"There is no channel {missing or 'to read'}: {has}.")
        if missing:
            self.notes.append(f"Channel {missing} was skipped: {has}.")
        return present

    def _seek(self, resampler: Resampler) -> None:
        """Go to shortly before the stretch where that costs nothing and gives the same samples."""
        target_s = self.begin_ms // 1000 - SEEK_MARGIN_S
        media, stream = self.media, self._source.stream
        if media.container not in SEEKABLE or not media.codec.startswith("pcm_"):
            return
        if not 0 < target_s < media.duration_ms // 1000:
            return
        ticks = round(target_s / (stream.time_base or 1))
        self._source.container.seek(ticks, stream=stream)
        self._clock.seconds = float(target_s)
        resampler.start_at(media.rate_hz, target_s * media.rate_hz)

    def _resampled(self, resampler: Resampler) -> Iterator[NDArray[np.int16]]:
        """All blocks from about the stretch's begin to the end of the file."""
        pending: list[NDArray[np.float32]] = []
        rate_hz = held = 0
        for next_rate_hz, samples in self._pieces():
            if pending and (next_rate_hz != rate_hz or held >= BLOCK_S * rate_hz):
                yield from resampler.feed(rate_hz, np.concatenate(pending))
                pending, held = [], 0
            rate_hz = next_rate_hz
            pending.append(samples)
            held += len(samples)
        if pending:
            yield from resampler.feed(rate_hz, np.concatenate(pending))
        yield from resampler.finish()

    def _pieces(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Decoded samples with their rate, shape (n, channels), silence in the place of what is missing."""
        rate_hz = self.media.rate_hz
        for packet, frames in self._decoded():
            rate_hz = frames[0].sample_rate
            if not self._sounds:
                self._sounds = True
                yield from self._silence(self._clock.lead_in_s, rate_hz)
            missing_s = self._clock.missing_before(packet, frames[0])
            yield from self._fill(missing_s, rate_hz)
            if missing_s and self.media.codec in RESERVOIR_CODECS:
                self._source.stream.codec_context.flush_buffers()
                self._frames(packet)
                yield from self._fill(sum(frame.samples for frame in frames) / rate_hz, rate_hz)
                continue
            for frame in frames:
                length_s = frame.samples / frame.sample_rate
                if frame.layout.nb_channels <= max(self.channels):
                    self._lose(length_s)
                    self._channel_absent = True
                samples = mix_channels(frame) if self._mix else pick_channels(frame, self.channels)
                yield frame.sample_rate, samples
                self._clock.seconds += length_s
        if self._sounds:
            yield from self._fill(self._clock.missing_at_end(), rate_hz)
        self._ended = True

    def _fill(self, missing_s: float, rate_hz: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Silence in the place of lost sound."""
        if missing_s:
            self._lose(missing_s)
            yield from self._silence(missing_s, rate_hz)

    def _silence(self, length_s: float, rate_hz: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        left = round(length_s * rate_hz)
        self._clock.seconds += left / rate_hz
        while left > 0:
            samples = min(left, rate_hz)
            left -= samples
            yield rate_hz, np.zeros((samples, len(self.channels)), np.float32)

    def _lose(self, length_s: float) -> None:
        """Name the stretch of this length that begins now as lost."""
        begin_ms = int(self._clock.seconds * 1000)
        end_ms = ceil((self._clock.seconds + length_s) * 1000)
        if self.lost and begin_ms <= self.lost[-1].end_ms:
            begin_ms = self.lost.pop().begin_ms
        self.lost.append(Span(begin_ms, end_ms))

    def _decoded(self) -> Iterator[tuple[Packet[AudioStream], list[AudioFrame]]]:
        """The packets that give sound, with their frames; bounded on files that give none for ever."""
        barren = 0
        for packet in self._packets():
            # FFmpeg takes an empty packet for the end of the stream; the one that does end it has no time stamp.
            frames = [] if packet.size == 0 and packet.dts is not None else self._frames(packet)
            barren = 0 if frames else barren + 1
            if frames:
                yield packet, frames
            elif barren > MAX_BARREN_PACKETS:
                self.notes.append(f"Decoding was given up after {barren} packets in a row without sound.")
                return

    def _frames(self, packet: Packet[AudioStream]) -> list[AudioFrame]:
        """The frames of a packet; none if it is damaged, which is counted."""
        try:
            frames = [frame for frame in packet.decode() if frame.samples]
        except (FFmpegError, ValueError):  # the latter is PyAV's own from version 19 on: the decoder would not open
            frames = None
        # Garbage that passes for a frame gives itself away by figures that no recording has.
        if frames is None or any(f.sample_rate not in RATES_HZ or f.layout.nb_channels > MAX_CHANNELS for f in frames):
            self._skipped += self._clock.skip(packet)
            return []
        if not frames:
            self._clock.ignore(packet)
        return frames

    def _packets(self) -> Iterator[Packet[AudioStream]]:
        """The packets of the stream; a demuxer that stumbles is asked to go on."""
        errors = 0
        reason = ""
        while errors < MAX_DEMUX_ERRORS:
            try:
                for packet in self._source.container.demux(self._source.stream):
                    self._skipped += errors > 0
                    errors = 0
                    yield packet
            except IndexError:
                # PyAV trips at the very end, behind the last packet, over streams that appeared midway.
                return
            except FFmpegError as error:
                # The first error names the cause, the ones that follow in a row only that it is still there.
                reason = reason if errors else (error.strerror or "")
                errors += 1
            else:
                return
        self.notes.append(f"Reading stopped at {self._clock.seconds:.1f} s, before the end of the file: {reason}.")

    def _conclude(self, position_ms: int) -> None:
        """Settle length, losses and notes; raise for a file, or a stretch, without sound."""
        if self._ended:
            self.media = replace(self.media, duration_ms=position_ms)
        if not self._heard:
            self._refuse(position_ms)
        self.media = replace(self.media, duration_ms=max(self.media.duration_ms, self.end_ms))
        clipped = (Span(max(s.begin_ms, self.begin_ms), min(s.end_ms, self.end_ms)) for s in self.lost)
        self.lost = [span for span in clipped if span.duration_ms > 0]
        self._note_damage()
        claim_s, length_s = self._source.claim_s, position_ms / 1000
        if self._ended and claim_s and claim_s - length_s > max(CUT_OFF_S, CUT_OFF_SHARE * claim_s):
            self.notes.append(
                f"The file announces {claim_s:.1f} s, but its sound ends at {length_s:.1f} s: it may have been cut off."
            )

    def _refuse(self, position_ms: int) -> None:
        if position_ms:
            raise NoAudioError(f"The part to read begins at {self.begin_ms} ms; the file ends at {position_ms} ms.")
        if self._skipped:
            raise DecodeError(f"None of the {self._skipped} packets of sound could be decoded: the file is damaged.")
        raise NoAudioError("The file has an audio stream, but there is no sound in it.")

    def _note_damage(self) -> None:
        damage: list[str] = []
        if self._skipped:
            damage.append(f"{self._skipped} packet{'' if self._skipped == 1 else 's'} could not be decoded")
        if self.lost:
            damage.append(f"{total_ms(self.lost)} ms of sound are missing, silence stands in their place")
        if damage:
            self.notes.append(f"The file is {'damaged' if self._skipped else 'incomplete'}: {'; '.join(damage)}.")
        if self._channel_absent:
            self.notes.append("Part of the file has fewer channels; silence stands for those that are absent there.")
        if self._clock.disbelieved:
            self.notes.append("Time stamps leap beyond the length of the file; sound was joined without a gap there.")


def encode_flac(samples: NDArray[np.int16]) -> bytes:
    """Pack one channel of int16 at 16 kHz, shape (n,), losslessly: 30 s of speech take about 20 ms."""
    buffer = io.BytesIO()
    # No padding: FFmpeg leaves 8 KiB for tags otherwise. Bit-exact: equal samples give equal bytes.
    options = {"metadata_header_padding": "0", "fflags": "bitexact"}
    with av.open(buffer, "w", format="flac", options=options) as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono", options={"frame_size": str(FLAC_BLOCK)})
        stream.format = "s16"
        for begin in range(0, len(samples), FLAC_BLOCK):
            block = np.ascontiguousarray(samples[None, begin : begin + FLAC_BLOCK])
            frame = AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = RATE_HZ
            frame.pts = begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_flac(data: bytes) -> NDArray[np.int16]:
    """Unpack what ``encode_flac`` packed, shape (n,); raises DecodeError for anything else."""
    if not data.startswith(b"fLaC"):
        raise DecodeError("A stored window is no FLAC.")
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            announced = container.streams.audio[0].duration or 0
            blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    except FFmpegError as error:
        raise DecodeError(f"A stored window is no readable FLAC: {error.strerror}.") from error
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
    if len(samples) != announced:
        raise DecodeError(f"A stored window holds {len(samples)} of its {announced} samples.")
    return samples
