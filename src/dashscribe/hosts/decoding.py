"""What media children are asked: what a source is, how it sounds in windows, how it sounds for people.

As many of them work at once as there are callers; what they say of a source is believed as far as it can be.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from dashscribe.errors import HostDiedError, HostError
from dashscribe.errors.sources import DurationTooLongError
from dashscribe.hosts.bounds import Bounds
from dashscribe.hosts.installed import denoiser_file, detector_file, media_kind
from dashscribe.hosts.observing import Observer, Stopwatch
from dashscribe.hosts.parent import Kind
from dashscribe.hosts.plausible import Plausible
from dashscribe.hosts.pool import Pool
from dashscribe.hosts.protocol import (
    CodecsReply,
    Compare,
    ComparedReply,
    Cut,
    CutEnd,
    Describe,
    Encode,
    Isolation,
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
from dashscribe.opening import opened
from dashscribe.types import Limits, Media, Options, Span, Window
from dashscribe.words import sendable

if TYPE_CHECKING:
    from dashscribe.config import Settings

R = TypeVar("R", bound=Reply)
OnPeaks = Callable[[int, bytes], None]


class Decoding:
    """The part of ``Hosts`` that is about sources."""

    def __init__(self, settings: Settings, pool: Pool, bounds: Bounds, observer: Observer) -> None:
        self._settings, self._pool, self._bounds, self._observer = settings, pool, bounds, observer

    def probe(self, path: Path, url: str) -> Media:
        """What the file is, by its container's claim; ``url`` is its name in the answer. Raises SourceError."""
        with opened(path) as file:
            return self._ask(Probe(os.fsencode(path.absolute()), sendable(url)), MediaReply, file).media

    def compare(self, path: Path, url: str, stretch: Span | None = None) -> ComparedReply:
        """How the first two channels of a file differ, in a stretch or all of it. Raises SourceError."""
        request = Compare(os.fsencode(path.absolute()), sendable(url), stretch)
        limit_s = self._media_limit_s(stretch)
        with (
            opened(path) as file,
            self._pool.borrowed(media_kind(self._settings)) as host,
            closing(host.call(request, limit_s, file=file)) as replies,
        ):
            for reply in replies:
                if isinstance(reply, ComparedReply):
                    return reply
        raise unexpected(None)

    def cut(
        self,
        path: Path,
        *,
        url: str,
        options: Options,
        limits: Limits,
        max_duration_ms: int | None = None,
        packed: bool = True,
        express: bool = True,
        stop: threading.Event | None = None,
        on_peaks: OnPeaks | None = None,
    ) -> Generator[Media | Position | Window | CutEnd]:
        """Decode the file and find its speech: first a Media, then Windows and Positions as found, last a CutEnd.

        ``packed`` windows hold compressed sound. The child waits while the caller does not ask for more; closing the
        iterator early ends its work. Not ``express``, it leaves the processors to those that are. Raises SourceError
        for a source that cannot be read or is longer than the settings, or ``max_duration_ms``, allow; HostError soon
        after ``stop`` was set. What a denoiser cannot do is in the notes of the CutEnd. ``on_peaks(channel, peaks)`` is
        called before that, with what ``PeaksReply`` carries.
        """
        most_ms, remedy = self._most_ms()
        if max_duration_ms is not None and max_duration_ms < most_ms:
            most_ms, remedy = max_duration_ms, "split it"
        detector, notes = detector_file(self._settings)
        denoiser, doubts = denoiser_file(self._settings, options)
        place, name = os.fsencode(path.absolute()), sendable(url)
        request = Cut(place, name, options, limits, most_ms, remedy, detector, packed, denoiser)
        request = replace(request, peaks=on_peaks is not None)
        kind = media_kind(self._settings, patient=not express)
        told = 0
        try:
            with closing(self._cutting(path, kind, request, (*notes, *doubts), stop, on_peaks)) as messages:
                for message in messages:
                    told += not isinstance(message, Position)
                    yield message
            return
        except HostDiedError as error:
            # Before the first window that may be the model's doing; later it is rather the source's.
            if not denoiser or told > 1:
                raise
            doubts = (f"the sound was used as it was: the child that was to denoise it died ({error.detail})",)
        with closing(
            self._cutting(path, kind, replace(request, denoiser=b""), (*notes, *doubts), stop, on_peaks)
        ) as messages:
            yield from (message for message in messages if not (told and isinstance(message, Media)))

    def _media_limit_s(self, stretch: Span | None) -> float:
        """How long a media child may give no sign: what lies before a stretch is decoded in silence."""
        return self._bounds.media_s + self._bounds.per_skipped_s * (stretch.begin_ms / 1000 if stretch else 0.0)

    def _cutting(
        self,
        path: Path,
        kind: Kind,
        request: Cut,
        notes: Sequence[str],
        stop: threading.Event | None,
        on_peaks: OnPeaks | None,
    ) -> Generator[Media | Position | Window | CutEnd]:
        """The messages of one media child."""
        limit_s, watch, within = self._media_limit_s(request.options.stretch), Stopwatch(), Plausible(request)
        with (
            opened(path) as file,
            self._pool.borrowed(kind) as host,
            closing(host.call(request, limit_s, stop, file=file)) as replies,
        ):
            for reply in watch.over(replies):
                match reply:
                    case MediaReply(media):
                        yield media
                    case WindowReply(window):
                        within.check(window, host.kind)
                        yield window
                    case Position():
                        within.check_time(watch.seconds, limit_s, host.kind)
                        yield reply
                    case PeaksReply() if on_peaks:
                        within.check_peaks(reply, host.kind)
                        on_peaks(reply.channel, reply.peaks)
                    case CutEnd():
                        sound_ms = (reply.end_ms - reply.begin_ms) * len(reply.channels)
                        self._observer.worked("cut", "", sound_ms, watch.seconds)
                        yield replace(reply, notes=(*reply.notes, *notes))
                    case _:
                        raise unexpected(reply)

    def encode(
        self, path: Path, *, url: str, mix: bool, stop: threading.Event | None = None
    ) -> Generator[bytes | Position]:
        """The whole source as an MP3, piece by piece, and how far it is, on the clock of all times.

        Its one or two channels or, with ``mix``, all of them as one. Raises SourceError, and HostError soon after
        ``stop`` was set.
        """
        most_ms, remedy = self._most_ms()
        request = Encode(os.fsencode(path.absolute()), sendable(url), most_ms, remedy, mix)
        limit_s, watch, within = self._media_limit_s(None), Stopwatch(), Plausible(request)
        with (
            opened(path) as file,
            self._pool.borrowed(media_kind(self._settings, patient=True)) as host,
            closing(host.call(request, limit_s, stop, file=file)) as replies,
        ):
            for reply in watch.over(replies):
                match reply:
                    case SoundReply(data):
                        within.check_encoded(data, host.kind)
                        yield data
                    case Position():
                        within.check_time(watch.seconds, limit_s, host.kind)
                        yield reply
                    case _:
                        raise unexpected(reply)

    def _most_ms(self) -> tuple[int, str]:
        """How long a source may be, and what to do about one that is longer."""
        return self._settings.max_duration_s * 1000, DurationTooLongError.REMEDY

    def isolation(self) -> dict[str, str]:
        """What a media child gives up on this machine, by name; the value tells how far, or why the system refused."""
        return self._ask(Describe(), Isolation).measures

    def codecs(self) -> frozenset[str]:
        """The codecs of sound that can be decoded here, by FFmpeg's names."""
        return frozenset(self._ask(ListCodecs(), CodecsReply).names)

    def _ask(self, request: Request, kind: type[R], file: int | None = None) -> R:
        """The one reply, of this kind, of a media child to a short request, which may be about an open file."""
        with (
            self._pool.borrowed(media_kind(self._settings)) as host,
            closing(host.call(request, self._bounds.media_s, file=file)) as replies,
        ):
            reply = next(replies, None)
        if not isinstance(reply, kind):
            raise unexpected(reply)
        return reply


def unexpected(reply: Reply | None) -> HostError:
    """The error for a reply that belongs to another request, or for none."""
    return HostError(f"a child process answered with {type(reply).__name__}, which does not belong there")
