"""One source at once, in memory, as the library, the command line and synchronous calls want it.

Runs the same parts as the durable steps. Nothing here knows HTTP.
"""

from __future__ import annotations

import tempfile
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from dashscribe.catalog import find_model
from dashscribe.choice import choose_engine, lacks, passed_over
from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.enrich import Enrichment
from dashscribe.enrich.spoken import Spoken
from dashscribe.errors import EngineDownError, HostDiedError, HostError, InvariantError
from dashscribe.errors.sources import SourceNotFoundError
from dashscribe.hosts import Hosts
from dashscribe.hosts.gather import MOST_WINDOWS
from dashscribe.hosts.protocol import CutEnd, Position
from dashscribe.pipeline.parts import (
    MAX_FAILURES,
    bind,
    enrichment_for,
    give_up,
    listen,
    listens,
    recognize,
    speakers_of,
)
from dashscribe.types import Media, Options, Outcome, Progress, Sentence, Span, Transcript, Voices, Window

#: Longest time between two reports of progress, in seconds.
REPORT_S = 0.5


def transcribe(
    source: str | Path,
    options: Options,
    *,
    settings: Settings,
    hosts: Hosts,
    url: str = "",
    engine: EngineInfo | None = None,
    express: bool = False,
    max_duration_ms: int | None = None,
    notes: Sequence[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
    on_sentence: Callable[[int, Sentence], None] | None = None,
) -> Transcript:
    """Transcribe a path or an http(s) URL in memory, on all slots of ``hosts``; ``express`` takes an express slot too.

    ``url`` names the source in the result (default: as it was given), ``engine`` is one that was chosen before, and
    ``notes`` come first among those of the transcript. ``on_sentence(channel, sentence)`` receives each sentence as
    soon as it is settled, channel after channel. ``on_progress`` is called with every step and at least once a second.
    Both run in the caller's thread, and what they raise ends the work, also that of the children. A source without
    speech gives empty tracks. Raises SourceError subclasses for a source that cannot be had or read,
    DurationTooLongError for one that is longer than ``max_duration_ms`` or the settings allow, ModelNotFoundError
    where no installed engine fits, and EngineDownError where the engine is down and either no other one fits or a
    sentence of it was told; else the source begins anew with the next one, and a note says so.
    """
    model, down = find_model(options.model), hosts.down()
    notes = list(notes)
    engine = engine or choose_engine(model, options.languages, settings, down)
    told: list[Sentence] = []

    def tell(channel: int, sentence: Sentence) -> None:
        if on_sentence:
            told.append(sentence)
            on_sentence(channel, sentence)

    with _as_file(source, settings, on_progress) as path:
        options, about_channels = settle_channels(options, path, url or str(source), hosts)
        notes += about_channels
        # The windows stay in memory, where compressing them would only take time.
        named = partial(hosts.cut, path, url=url or str(source), packed=False)
        cutting = partial(named, options=options, max_duration_ms=max_duration_ms)
        recognizing = partial(recognize, hosts, options=options, express=express)
        listening = partial(listen, hosts, express=express) if listens(options) else None
        while True:
            about = passed_over(model, options.languages, settings, engine, down)
            about = (*notes, *about, *lacks(engine, options, asked_itn=not model.itn))
            enrichment = enrichment_for(engine, options, hosts, settings)
            try:
                return _transcribe_by(
                    engine, hosts, cutting, recognizing, listening, enrichment, about, on_progress, tell
                )
            except EngineDownError as error:
                down[engine.name] = str(error)
                engine = choose_engine(model, options.languages, settings, down)
                if told or engine.name in down:
                    raise


def settle_channels(options: Options, path: Path, url: str, hosts: Hosts) -> tuple[Options, list[str]]:
    """Options with the channels of this source, where none were named, and notes about them.

    All of them; but to tell speakers apart, two channels of which each holds speech of its own are a call, each of them
    one speaker, and any others are mixed, for everybody is heard in each. Raises SourceError.
    """
    if options.mix or (options.channels and not options.speaker_per_channel):
        return options, []
    count = hosts.probe(path, url).channel_count
    if options.channels:
        present = sum(channel < count for channel in options.channels)
        return replace(options, speaker_per_channel=present > 1), []
    every = replace(options, channels=tuple(range(count)))
    if count == 1:
        return replace(every, speaker_per_channel=False), []
    if not options.diarize or options.speaker_per_channel:
        return every, []
    mixed = replace(options, channels=(0,), mix=True)
    if count > 2:
        return mixed, [f"the {count} channels were mixed into one, to tell speakers apart by their voices"]
    channels = hosts.compare(path, url, options.stretch)
    if channels.silent and len(channels.silent) < count:
        (silent,) = channels.silent
        return replace(options, channels=(1 - silent,)), [f"channel {silent} holds no sound and was left out"]
    if channels.is_call:
        return replace(every, speaker_per_channel=True), ["the two channels differ: each is taken as one speaker"]
    why = "one of the two channels holds no speech of its own" if channels.steady else "the two channels are alike"
    return mixed, [f"{why}: they were mixed into one"]


def _transcribe_by(
    engine: EngineInfo,
    hosts: Hosts,
    cutting: Callable[..., Generator[Media | Position | Window | CutEnd]],
    recognizing: Callable[..., Iterator[Outcome]],
    listening: Callable[..., Voices] | None,
    enrichment: Enrichment,
    notes: Sequence[str],
    on_progress: Callable[[Progress], None] | None,
    on_sentence: Callable[[int, Sentence], None],
) -> Transcript:
    """The whole source by one engine; ``cutting`` and ``recognizing`` want to know which, and all when to stop."""
    stop = threading.Event()
    # One window more than the slots take keeps every slot busy and bounds what waits in memory.
    ahead = 1 + hosts.slots * (MOST_WINDOWS if engine.batch > 1 else 1)
    run = _Run(
        _whole_cut(partial(cutting, limits=engine.limits, stop=stop)),
        partial(recognizing, engine, stop=stop),
        listening and partial(listening, stop=stop),
        ahead,
        enrichment,
        on_progress,
        on_sentence,
    )
    try:
        return run.transcript(engine, notes)
    except BaseException:
        stop.set()
        raise
    finally:
        run.close()


def _whole_cut(
    cutting: Callable[[], Generator[Media | Position | Window | CutEnd]],
) -> Generator[Media | Position | Window | CutEnd]:
    """The messages of a cut; if its child dies, another one begins anew and what was told already is left out.

    That works because a file is always cut in the same way. A child that hangs is not given a second chance.
    """
    told = 0
    for failures in range(1, MAX_FAILURES + 1):
        again = 0
        try:
            with closing(cutting()) as messages:
                for message in messages:
                    if not isinstance(message, Position):
                        again += 1
                        if again <= told:
                            continue
                        told = again
                    yield message
            return
        except HostDiedError:
            if failures == MAX_FAILURES:
                raise


@contextmanager
def _as_file(source: str | Path, settings: Settings, on_progress: Callable[[Progress], None] | None) -> Generator[Path]:
    """The source as a file on this machine; a download is gone afterwards."""
    if urlsplit(str(source)).scheme not in ("http", "https"):
        if not Path(source).is_file():
            raise SourceNotFoundError(f"{source}: no such file")
        yield Path(source)
        return
    from dashscribe.fetch import fetch  # brings the HTTP library along, a third of a second that files need not pay

    def on_bytes(received_bytes: int, total_bytes: int | None) -> None:
        if on_progress:
            on_progress(Progress(moved_bytes=received_bytes, total_bytes=total_bytes))

    with tempfile.TemporaryDirectory(prefix="dashscribe-") as folder:
        # Whoever calls a library names a host on purpose; a redirect to another one is checked like any other.
        yield fetch(str(source), Path(folder), settings=settings, on_bytes=on_bytes, trust_host=True).path


class _Run:
    """One source on its way: windows go out to the slots as they are cut, outcomes come back as they are ready.

    Threads do nothing but wait for children. What they bring goes through ``_events`` as calls that the caller's thread
    makes one after another, so that everything else here needs no lock. At most ``ahead`` windows are between the cut
    and the caller's thread.
    """

    def __init__(
        self,
        messages: Generator[Media | Position | Window | CutEnd],
        recognizing: Callable[..., Iterator[Outcome]],
        listening: Callable[..., Voices] | None,
        ahead: int,
        enrichment: Enrichment,
        on_progress: Callable[[Progress], None] | None,
        on_sentence: Callable[[int, Sentence], None] | None,
    ) -> None:
        self._messages, self._recognizing, self._listening = messages, recognizing, listening
        self._ahead, self._enrichment, self._options = ahead, enrichment, enrichment.options
        self._on_progress, self._on_sentence = on_progress, on_sentence
        self._threads = ThreadPoolExecutor(ahead + 1, thread_name_prefix="child")  # one more for the cut
        self._events: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._progress = Progress()
        self._asking = False  # whether a thread waits for the next message of the cut
        self._cut: CutEnd | None = None
        self._found: dict[int, list[Span]] = defaultdict(list)  # by channel
        self._heard: dict[tuple[int, Span], Outcome] = {}
        self._voices: dict[tuple[int, int], Voices] = {}  # by channel and number of the window
        self._windows = 0  # how many were cut
        self._spoken: dict[int, Spoken] = {}  # by channel
        self._channel_count = 1
        self._out: deque[deque[tuple[int, Span]]] = deque()  # what is not heard of the windows that are out

    def transcript(self, engine: EngineInfo, notes: Sequence[str]) -> Transcript:
        """Drive the source to its end."""
        while self._progress.media is None:
            self._advance()
        channels = self._channels(self._progress.media)
        self._channel_count = len(channels)
        texts = {channel: tuple(self._sentences(channel)) for channel in channels}
        assert self._cut is not None, "the channels are worked off only when the cut has ended"
        outcomes = {channel: self._outcomes(channel) for channel in texts}
        return bind(self._cut, outcomes, texts, self._spoken, self._enrichment, engine.name, notes)

    def close(self) -> None:
        """Wait for the threads, which are through or were told to stop."""
        self._threads.shutdown(cancel_futures=True)
        self._messages.close()

    def _channels(self, media: Media) -> list[int]:
        """The tracks that there will be."""
        if self._options.mix:
            return [0]
        return [channel for channel in dict.fromkeys(self._options.channels) if channel < media.channel_count]

    def _sentences(self, channel: int) -> Iterator[Sentence]:
        if self._options.diarize:  # who is who is known when everybody has been heard
            self._spoken[channel] = self._speakers(channel)
            sentences = self._enrichment.of_channel(self._spoken[channel].outcomes)
        else:
            sentences = self._enrichment.sentences(self._spans(channel), partial(self._outcome, channel))
        for sentence in sentences:
            if self._on_sentence:
                self._on_sentence(channel, sentence)
            yield sentence
        if channel not in self._spoken:
            self._spoken[channel] = speakers_of(channel, self._outcomes(channel), (), self._options, 1)

    def _speakers(self, channel: int) -> Spoken:
        """Everything that was heard in a channel with its speakers, driving the whole source to its end."""
        for span in self._spans(channel):
            self._outcome(channel, span)
        while self._listening and len(self._voices) < self._windows:
            self._advance()
        voices = [self._voices[key] for key in sorted(self._voices) if key[0] == channel]
        return speakers_of(channel, self._outcomes(channel), voices, self._options, self._channel_count)

    def _outcomes(self, channel: int) -> list[Outcome]:
        return [self._heard[channel, span] for span in self._found[channel]]

    def _spans(self, channel: int) -> Iterator[Span]:
        """The pieces of speech of a channel in order, driving the whole source while the next is not found yet."""
        found = self._found[channel]
        given = 0
        while given < len(found) or self._cut is None:
            if given == len(found):
                self._advance()
                continue
            yield found[given]
            given += 1

    def _outcome(self, channel: int, span: Span) -> Outcome:
        """What was heard of a span, driving the whole source until that is known."""
        while (channel, span) not in self._heard:
            self._advance()
        return self._heard[channel, span]

    def _advance(self) -> None:
        """Take the next thing that happens, or after a while without any just tell that time passes."""
        if self._cut is None and not self._asking and len(self._out) < self._ahead:
            self._asking = True
            asked = self._threads.submit(next, self._messages)
            asked.add_done_callback(lambda done: self._events.put(lambda: self._take(done.result())))
        try:
            event = self._events.get(timeout=REPORT_S)
        except Empty:
            pass
        else:
            event()
        if self._on_progress:
            self._on_progress(self._progress)

    def _take(self, message: Media | Position | Window | CutEnd) -> None:
        """The next message of the cut."""
        self._asking = False
        match message:
            case Window() as window:
                self._found[window.channel] += window.spans
                self._windows += 1
                self._out.append(deque((window.channel, span) for span in window.spans))
                recognized = self._threads.submit(self._recognize, window)
                recognized.add_done_callback(lambda done: self._events.put(done.result))
            case Position(position_ms):
                self._progress = replace(self._progress, decoded_ms=position_ms)
            case Media() as media:
                self._progress = replace(self._progress, media=media, duration_ms=media.duration_ms)
            case CutEnd() as end:
                self._cut = end
                self._progress = replace(self._progress, media=end.media, decoded_ms=end.end_ms, duration_ms=end.end_ms)

    def _recognize(self, window: Window) -> None:
        """Bring a window's outcomes, in a thread of its own; what fails for good is booked and the source goes on.

        An outcome that was brought may be on the reader's screen: another try goes on behind it.
        """
        brought, reason = 0, ""
        for _ in range(MAX_FAILURES):
            try:
                for outcome in self._recognizing(window, first=brought):
                    self._events.put(partial(self._hear, window.channel, outcome))
                    brought += 1
            except (HostError, InvariantError) as error:
                reason = str(error)
            else:
                break
        else:
            for outcome in give_up(window, reason)[brought:]:
                self._events.put(partial(self._hear, window.channel, outcome))
        if self._listening:
            voices = self._listening(window)
            self._events.put(lambda: self._voices.update({(window.channel, window.index): voices}))

    def _hear(self, channel: int, outcome: Outcome) -> None:
        """Keep an outcome and strike it off what is out; windows end in the order in which they were cut."""
        self._heard[channel, outcome.span] = outcome
        recognized_ms = self._progress.recognized_ms
        while self._out:
            pieces = self._out[0]
            while pieces and pieces[0] in self._heard:
                recognized_ms = max(recognized_ms, pieces.popleft()[1].end_ms)
            if pieces:
                break
            self._out.popleft()
        self._progress = replace(self._progress, recognized_ms=recognized_ms)
