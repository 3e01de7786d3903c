"""From one source to one transcript: cut, recognize, finish.

The durable steps use ``recognize``, ``finish`` and ``refuse_empty`` with the database between them; the library, the
command line and synchronous calls use ``transcribe``, which runs the same parts in memory. Nothing here knows HTTP.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dashscribe import ledger
from dashscribe.catalog import choose_engine, find_model
from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.enrich import sentences
from dashscribe.errors import (
    HostError,
    InvariantError,
    NoSpeechError,
    NoWordsError,
    RecognitionError,
    SourceNotFoundError,
)
from dashscribe.hosts import Hosts
from dashscribe.hosts.protocol import CutEnd, Position
from dashscribe.types import Fate, Media, Options, Outcome, Sentence, Span, Track, Transcript, Window

#: A window whose host died, hung or broke a promise this often is booked as failed, and the source goes on.
MAX_FAILURES = 3


def recognize(
    hosts: Hosts, engine: EngineInfo, window: Window, options: Options, *, express: bool = False
) -> Iterator[Outcome]:
    """One admitted outcome per span of the window, in order, each as it becomes ready.

    Raises HostError when the host dies or hangs and InvariantError when the engine's answer breaks a promise.
    """
    heard = hosts.recognize(engine.name, window, options, express=express)
    for span, outcome in zip(window.spans, heard, strict=True):
        yield ledger.admit(outcome, span)


def give_up(window: Window, reason: str) -> list[Outcome]:
    """The outcomes of a window that cannot be recognized: every span failed, for ``reason``."""
    return [Outcome(span, Fate.FAILED, reason=reason) for span in window.spans]


def finish(
    cut: CutEnd,
    outcomes: Mapping[int, Sequence[Outcome]],
    options: Options,
    engine: EngineInfo,
    notes: Sequence[str] = (),
) -> Transcript:
    """Join the outcomes of every channel (each in order of time), enrich, book and prove the result.

    Raises InvariantError when the result breaks a promise. A source without speech gives empty tracks: ask
    ``refuse_empty`` where that is an error.
    """
    texts = {channel: tuple(sentences(outcomes.get(channel, ()), options)) for channel in cut.channels}
    return _bind(cut, outcomes, texts, options, engine, notes)


def _bind(
    cut: CutEnd,
    outcomes: Mapping[int, Sequence[Outcome]],
    texts: Mapping[int, tuple[Sentence, ...]],
    options: Options,
    engine: EngineInfo,
    notes: Sequence[str],
) -> Transcript:
    stretch = Span(cut.begin_ms, cut.end_ms)
    tracks = tuple(
        Track(
            channel=channel,
            sentences=texts[channel],
            ledger=ledger.book(stretch, outcomes.get(channel, ()), cut.lost),
        )
        for channel in cut.channels
    )
    transcript = Transcript(
        media=cut.media, tracks=tracks, model=options.model, engine=engine.name, notes=(*notes, *cut.notes)
    )
    ledger.check(transcript, stretch)
    return transcript


def refuse_empty(transcript: Transcript) -> None:
    """Raise what a task answers for a source without any text: nothing spoken, all failed, or nothing left of it."""
    entries = [entry for track in transcript.tracks for entry in track.ledger]
    failed = [entry for entry in entries if entry.fate is Fate.FAILED]
    if not any(entry.fate is Fate.TRANSCRIBED for entry in entries):
        if failed:
            raise RecognitionError(f"No part of the source could be recognized; the first reason: {failed[0].reason}")
        raise NoSpeechError("No speech was found in the requested channels.")
    if not any(sentence.text.strip() for track in transcript.tracks for sentence in track.sentences):
        raise NoWordsError("Speech was found, but no words are left of it.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one source is: decoded and recognized up to these times, ``duration_ms`` 0 while unknown."""

    media: Media | None
    decoded_ms: int
    recognized_ms: int
    duration_ms: int


def transcribe(
    source: str | Path,
    options: Options,
    *,
    settings: Settings,
    hosts: Hosts,
    on_progress: Callable[[Progress], None] | None = None,
    on_sentence: Callable[[int, Sentence], None] | None = None,
) -> Transcript:
    """Transcribe a path or an http(s) URL in memory, on all slots of ``hosts``.

    ``on_sentence(channel, sentence)`` receives each finished sentence, channel after channel, as it is settled; both
    callbacks run in the caller's thread. A source without speech gives empty tracks. Raises SourceError subclasses for
    a source that cannot be had or read and ModelNotFoundError where no installed engine fits.
    """
    engine = choose_engine(find_model(options.model), options.languages, settings)
    if urlsplit(str(source)).scheme in ("http", "https"):
        from dashscribe.fetch import fetch  # brings the HTTP library along, a third of a second that files need not pay

        with tempfile.TemporaryDirectory(prefix="dashscribe-") as folder:
            # Whoever calls a library names a host on purpose; a redirect to another one is checked like any other.
            path = fetch(str(source), Path(folder), settings=settings, trust_host=True).path
            return _Run(path, str(source), options, engine, hosts, on_progress, on_sentence).transcript()
    if not Path(source).is_file():
        raise SourceNotFoundError(f"{source}: no such file")
    return _Run(Path(source), str(source), options, engine, hosts, on_progress, on_sentence).transcript()


class _Run:
    """One source on its way: windows go out to the slots as they are cut and come back in order."""

    def __init__(
        self,
        path: Path,
        url: str,
        options: Options,
        engine: EngineInfo,
        hosts: Hosts,
        on_progress: Callable[[Progress], None] | None,
        on_sentence: Callable[[int, Sentence], None] | None,
    ) -> None:
        self._messages = hosts.cut(path, url=url, options=options, limits=engine.limits)
        self._options, self._engine, self._hosts = options, engine, hosts
        self._on_progress, self._on_sentence = on_progress, on_sentence
        self._progress = Progress(None, 0, 0, 0)
        self._outcomes: dict[int, list[Outcome]] = defaultdict(list)
        # One window more than there are slots keeps every slot busy and bounds what waits in memory.
        self._ahead = hosts.slots + 1
        self._slots = ThreadPoolExecutor(self._ahead, thread_name_prefix="window")
        self._working: deque[tuple[Window, Future[list[Outcome]]]] = deque()
        self._cut: CutEnd | None = None

    def transcript(self) -> Transcript:
        """Drive the source to its end."""
        try:
            while self._progress.media is None:
                self._advance()
            present = range(self._progress.media.channel_count)
            channels = [c for c in dict.fromkeys(self._options.channels) if c in present]
            texts = {channel: tuple(self._sentences(channel)) for channel in channels}
            assert self._cut is not None, "the channels are worked off only when the cut has ended"
            return _bind(self._cut, self._outcomes, texts, self._options, self._engine, ())
        finally:
            self._messages.close()
            self._slots.shutdown(wait=False, cancel_futures=True)

    def _sentences(self, channel: int) -> Iterator[Sentence]:
        for sentence in sentences(self._channel_outcomes(channel), self._options):
            if self._on_sentence:
                self._on_sentence(channel, sentence)
            yield sentence

    def _channel_outcomes(self, channel: int) -> Iterator[Outcome]:
        """The outcomes of a channel in order, driving the whole source while they are not there yet."""
        heard = self._outcomes[channel]
        given = 0
        while True:
            while given < len(heard):
                given += 1
                yield heard[given - 1]
            if self._cut is not None and not self._working:
                return
            self._advance()

    def _advance(self) -> None:
        """Take the next message of the cut, or wait for the oldest window when enough of them are out."""
        if self._cut is not None or len(self._working) >= self._ahead:
            window, future = self._working.popleft()
            self._outcomes[window.channel].extend(future.result())
            self._report(recognized_ms=window.spans[-1].end_ms)
            return
        match next(self._messages):
            case Window() as window:
                self._working.append((window, self._slots.submit(self._recognize, window)))
            case Position(position_ms):
                self._report(decoded_ms=position_ms)
            case Media() as media:
                self._report(media=media, duration_ms=media.duration_ms)
            case CutEnd() as end:
                self._cut = end
                self._report(media=end.media, decoded_ms=end.end_ms, duration_ms=end.end_ms)

    def _recognize(self, window: Window) -> list[Outcome]:
        """A window's outcomes; one that fails for good is booked as failed and the source goes on."""
        reason = ""
        for _ in range(MAX_FAILURES):
            try:
                return list(recognize(self._hosts, self._engine, window, self._options))
            except (HostError, InvariantError) as error:
                reason = str(error)
        return give_up(window, reason)

    def _report(
        self,
        *,
        media: Media | None = None,
        decoded_ms: int | None = None,
        recognized_ms: int | None = None,
        duration_ms: int | None = None,
    ) -> None:
        last = self._progress
        self._progress = Progress(
            media or last.media,
            last.decoded_ms if decoded_ms is None else decoded_ms,
            last.recognized_ms if recognized_ms is None else max(recognized_ms, last.recognized_ms),
            last.duration_ms if duration_ms is None else duration_ms,
        )
        if self._on_progress:
            self._on_progress(self._progress)
