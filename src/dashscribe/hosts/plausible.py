"""What a media child may claim: one that was taken over by a file must not fill the disk or keep its place."""

from __future__ import annotations

from dashscribe.errors import HostError, HostTimeoutError
from dashscribe.hosts.parent import Kind
from dashscribe.hosts.protocol import Cut
from dashscribe.types import MAX_CHANNELS, Window

#: How long a cut may take for each second of the longest sound that is allowed, in seconds. A denoiser on a crowded
#: machine stays below; ten channels of twelve hours may take five days, which is not what this is against.
PER_SOUND_S = 1.0
#: Bytes of a window for each of its milliseconds: those of int16 at 16 kHz, and some more for what holds them.
BYTES_PER_MS, FRAME_BYTES = 40, 64 * 1024


class Plausible:
    """Judges the messages of one cut."""

    def __init__(self, request: Cut) -> None:
        self._request = request
        self._end_ms: dict[int, int] = {}  # of the last span, by channel
        self._sound_ms = 0

    def check(self, window: Window, kind: Kind) -> None:
        """Raise HostError for a window that no honest cut gives: out of order, past the end, too large."""
        end_ms, spans, channels = self._end_ms.get(window.channel, -1), window.spans, self._request.options.channels
        sane = 0 <= window.channel < MAX_CHANNELS and (self._request.options.mix or window.channel in channels)
        for span in spans:
            sane = sane and end_ms <= span.begin_ms < span.end_ms
            end_ms = span.end_ms
        sane = sane and bool(spans) and end_ms <= self._request.max_duration_ms + 1000
        most_bytes = BYTES_PER_MS * sum(span.duration_ms for span in spans) + FRAME_BYTES
        if not sane or len(window.audio) > most_bytes:
            raise HostError(f"the {kind} sent a window that cannot be: {len(window.audio)} bytes, spans {spans[:3]}")
        self._end_ms[window.channel] = end_ms

    def check_time(self, worked_s: float, silence_s: float, kind: Kind) -> None:
        """Raise HostTimeoutError for a cut that goes on and on, whatever signs it gives."""
        channels = 1 if self._request.options.mix else max(1, len(self._request.options.channels))
        most_s = silence_s + PER_SOUND_S * channels * self._request.max_duration_ms / 1000
        if worked_s > most_s:
            raise HostTimeoutError(f"the {kind} cut one source for more than {most_s:g} s and was ended")
