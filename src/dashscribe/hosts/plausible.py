"""What a media child may claim: one that was taken over by a file must not fill the disk or keep its place."""

from __future__ import annotations

from dashscribe.errors import HostError, HostTimeoutError
from dashscribe.hosts.parent import Kind
from dashscribe.hosts.protocol import PEAKS_HZ, Cut, Encode, PeaksReply
from dashscribe.types import MAX_CHANNELS, Window

#: How long a cut may take for each second of the longest sound that is allowed, in seconds. A denoiser on a crowded
#: machine stays below; ten channels of twelve hours may take five days, which is not what this is against.
PER_SOUND_S = 1.0
#: Bytes of a window for each of its milliseconds: those of int16 at 16 kHz, and some more for what holds them.
BYTES_PER_MS, FRAME_BYTES = 40, 64 * 1024
#: Bytes of encoded sound for each millisecond: twice those of two channels of ``playable.BIT_RATE``.
ENCODED_BYTES_PER_MS = 24


class Plausible:
    """Judges the messages of one cut, or of encoding one source."""

    def __init__(self, request: Cut | Encode) -> None:
        self._most_ms = request.max_duration_ms
        is_cut = isinstance(request, Cut)
        self._mixed = request.options.mix if is_cut else request.mix
        self._channels = request.options.channels if is_cut else (0, 1)
        self._encoded_bytes = 0
        self._end_ms: dict[int, int] = {}  # of the last span, by channel
        self._sound_ms = 0

    def check(self, window: Window, kind: Kind) -> None:
        """Raise HostError for a window that no honest cut gives: out of order, past the end, too large."""
        end_ms, spans = self._end_ms.get(window.channel, -1), window.spans
        sane = self._is_channel(window.channel)
        for span in spans:
            sane = sane and end_ms <= span.begin_ms < span.end_ms
            end_ms = span.end_ms
        sane = sane and bool(spans) and end_ms <= self._most_ms + 1000
        most_bytes = BYTES_PER_MS * sum(span.duration_ms for span in spans) + FRAME_BYTES
        if not sane or len(window.audio) > most_bytes:
            raise HostError(f"the {kind} sent a window that cannot be: {len(window.audio)} bytes, spans {spans[:3]}")
        self._end_ms[window.channel] = end_ms

    def check_peaks(self, reply: PeaksReply, kind: Kind) -> None:
        """Raise HostError for more peaks than the longest source has, or those of a channel that nobody asked for."""
        if not self._is_channel(reply.channel) or len(reply.peaks) > PEAKS_HZ * (self._most_ms + 1000) // 1000:
            raise HostError(f"the {kind} sent {len(reply.peaks)} peaks of channel {reply.channel}, which cannot be")

    def check_encoded(self, data: bytes, kind: Kind) -> None:
        """Raise HostError once there is more encoded sound than the longest source gives."""
        self._encoded_bytes += len(data)
        if self._encoded_bytes > ENCODED_BYTES_PER_MS * self._most_ms + FRAME_BYTES:
            raise HostError(f"the {kind} sent {self._encoded_bytes} bytes of sound, which cannot be")

    def _is_channel(self, channel: int) -> bool:
        return 0 <= channel < MAX_CHANNELS and (self._mixed or channel in self._channels)

    def check_time(self, worked_s: float, silence_s: float, kind: Kind) -> None:
        """Raise HostTimeoutError for a cut that goes on and on, whatever signs it gives."""
        channels = 1 if self._mixed else max(1, len(self._channels))
        most_s = silence_s + PER_SOUND_S * channels * self._most_ms / 1000
        if worked_s > most_s:
            raise HostTimeoutError(f"the {kind} cut one source for more than {most_s:g} s and was ended")
