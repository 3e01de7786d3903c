"""Keeps decoded sound on the file's clock: says how much is missing in front of each frame.

Two kinds of files, two clocks: containers carry time stamps; bare streams of frames (MP3, ADTS, AMR) only have the
positions of their bytes. Healthy files jitter, drift and start late, so only a jump counts as a hole.
"""

from __future__ import annotations

from typing import Protocol

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from dashscribe.decode.source import Source
from dashscribe.opening import ID3_HEADER_BYTES, id3_bytes

#: Time stamps of healthy files stray by less: an Ogg page boundary by 10 ms, a first WMA frame by 92 ms.
JUMP_S = 0.1
#: After a packet that was skipped a hole is certain; only the rounding of time stamps to milliseconds is let pass.
SKIPPED_JUMP_S = 0.01
#: Sound cards and containers disagree by up to 0.05 %, film pulldown by 0.1 %: slower than this is drift, no hole.
DRIFT = 0.002
#: Time stamps that fall back further than this start anew: recordings were joined.
RESTART_S = 1.0
#: No hole reaches further than this past the length that the header states, and none is longer than an hour.
CLAIM_SLACK_S = 1.0
MAX_HOLE_S = 3600.0
#: The index points at a chunk, a packet's position at its content: 4 bytes of name, 4 of size.
AVI_CHUNK_HEADER_BYTES = 8


class TimeBase(Protocol):
    """Seconds of one tick: a ``Fraction``, or from PyAV 19 on a rational number of its own."""

    @property
    def numerator(self) -> int:
        """What is divided."""
        ...

    @property
    def denominator(self) -> int:
        """By what."""
        ...


class Clock(Protocol):
    """Where decoding stands on the file's clock, in seconds, and what is missing there.

    ``seconds`` is moved on by whoever decodes, ``lead_in_s`` is the silence with which the file's clock begins.
    """

    seconds: float
    lead_in_s: float
    #: How often time stamps leapt to where the file cannot reach.
    disbelieved: int

    def missing_before(self, packet: Packet[AudioStream], frame: AudioFrame) -> float:
        """Seconds missing between what was decoded so far and ``packet``, whose first frame is ``frame``."""
        ...

    def skip(self, packet: Packet[AudioStream]) -> bool:
        """Take note of a packet that could not be decoded; False when it was no sound in the first place."""
        ...

    def ignore(self, packet: Packet[AudioStream]) -> None:
        """Take note of a packet that decodes to nothing, as tags and first packets do."""
        ...

    def missing_at_end(self) -> float:
        """Seconds of sound in the packets that were skipped since the last frame."""
        ...


def clock_for(source: Source) -> Clock:
    """The clock that suits the container."""
    return ByteClock() if source.is_bare_stream else StampClock(source)


class StampClock:
    """Time stamps against counted samples."""

    def __init__(self, source: Source) -> None:
        self._origin_s = source.origin_s
        self._end_s = None if source.claim_s is None else source.start_s - source.origin_s + source.claim_s
        self._lead_s = 0.0  # how far time stamps usually lie ahead of the samples
        self._anchored = False
        self._skipped_to_s: float | None = None  # end of the last packet that was skipped since a frame
        self.seconds = 0.0
        self.disbelieved = 0
        # AVI packets carry their count, which goes on as if nothing had been lost; the index knows their positions.
        counted = source.media.container == "avi" and not source.media.codec.startswith("pcm_")
        self._index = source.stream.index_entries if counted else None
        self._index_at = 0
        # Sound that starts after the picture: the wait belongs to the file's clock.
        offset_s = source.start_s - source.origin_s
        self.lead_in_s = offset_s if JUMP_S < offset_s <= MAX_HOLE_S else 0.0

    def missing_before(self, packet: Packet[AudioStream], frame: AudioFrame) -> float:
        """See Clock."""
        skipped, self._skipped_to_s = self._skipped_to_s is not None, None
        stamp_s = self._stamp_of(packet, frame)
        if stamp_s is None:
            return 0.0
        excess_s = stamp_s - self.seconds - self._lead_s
        if not self._anchored and not skipped:
            # Codecs that swallow their first packets begin late: no loss, and constant from here on.
            self._anchored, self._lead_s = True, self._lead_s + excess_s
            return 0.0
        self._anchored = True
        if excess_s > (SKIPPED_JUMP_S if skipped else JUMP_S):
            return self._believed(excess_s)
        if excess_s < -RESTART_S:
            self._lead_s += excess_s
            return 0.0
        drift_s = DRIFT * frame.samples / frame.sample_rate
        self._lead_s += min(max(excess_s, -drift_s), drift_s)
        return 0.0

    def _believed(self, hole_s: float) -> float:
        """The hole, or 0 where time stamps leap to where the file cannot reach; they count from there on."""
        reaches_s = self.seconds + hole_s - CLAIM_SLACK_S
        if hole_s <= MAX_HOLE_S and (self._end_s is None or reaches_s <= self._end_s):
            return hole_s
        self._lead_s += hole_s
        self.disbelieved += 1
        return 0.0

    def skip(self, packet: Packet[AudioStream]) -> bool:
        """See Clock."""
        if packet.pts is not None:
            self._skipped_to_s = self._stamp(packet.pts + (packet.duration or 0), packet.time_base)
        else:
            self._skipped_to_s = self.seconds + self._lead_s
        return True

    def ignore(self, packet: Packet[AudioStream]) -> None:
        """See Clock: time stamps need no help."""

    def missing_at_end(self) -> float:
        """See Clock."""
        if self._skipped_to_s is None:
            return 0.0
        missing_s = self._skipped_to_s - self.seconds - self._lead_s
        return self._believed(missing_s) if missing_s > JUMP_S else 0.0

    def _stamp_of(self, packet: Packet[AudioStream], frame: AudioFrame) -> float | None:
        """When ``packet`` should sound, by the index where there is one, else by the time stamp of its first frame."""
        if self._index is not None and packet.pos is not None:
            position = packet.pos - AVI_CHUNK_HEADER_BYTES
            while self._index_at < len(self._index) and self._index[self._index_at].pos < position:
                self._index_at += 1
            if self._index_at < len(self._index) and self._index[self._index_at].pos == position:
                return self._stamp(self._index[self._index_at].timestamp, packet.time_base)
        if frame.pts is None or not frame.time_base:  # PyAV 19 gives 0 where others give None
            return None
        return self._stamp(frame.pts, frame.time_base)

    def _stamp(self, ticks: int, time_base: TimeBase) -> float:
        return ticks * time_base.numerator / time_base.denominator - self._origin_s


class ByteClock:
    """Bytes between frames against the bytes that a second took so far; exact where the bit rate is constant."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.lead_in_s = 0.0
        self.disbelieved = 0
        self._sound_bytes = 0
        self._missing_s = 0.0
        self._end: int | None = None  # position behind the last packet that was decoded
        self._skipped_to = 0  # position behind the last packet that was skipped
        self._tag_end = 0  # position behind a tag in the midst of joined files

    def missing_before(self, packet: Packet[AudioStream], frame: AudioFrame) -> float:
        """See Clock."""
        del frame
        if packet.pos is None:
            return 0.0
        missing_s = self._seconds_to(packet.pos, SKIPPED_JUMP_S)
        self._sound_bytes += packet.size
        self._end = packet.pos + packet.size
        return missing_s

    def skip(self, packet: Packet[AudioStream]) -> bool:
        """See Clock."""
        position = packet.pos or 0
        self._skipped_to = position + packet.size
        tag_bytes = id3_bytes(bytes(packet)[:ID3_HEADER_BYTES])
        if tag_bytes and position >= self._tag_end:
            # A joined file goes on with its own tag, and in the same packet perhaps a frame that only counts frames.
            self._tag_end = position + max(tag_bytes, packet.size)
        return position >= self._tag_end

    def ignore(self, packet: Packet[AudioStream]) -> None:
        """See Clock: it is no loss either, unless there was one before it."""
        position = packet.pos or 0
        if position <= max(self._end or 0, self._tag_end):
            self._tag_end = position + packet.size

    def missing_at_end(self) -> float:
        """See Clock."""
        return self._seconds_to(self._skipped_to, JUMP_S)

    def _seconds_to(self, position: int, least_s: float) -> float:
        """What the bytes up to ``position`` would have lasted; 0 before the first frame, where junk is no loss."""
        if self._end is None:
            return 0.0
        gap = position - max(self._end, self._tag_end)
        missing_s = gap * (self.seconds - self._missing_s) / self._sound_bytes
        if missing_s <= least_s:
            return 0.0
        self._missing_s += missing_s
        return missing_s
