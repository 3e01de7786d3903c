"""The parts of the way from a window to a transcript: recognize, listen for speakers, finish.

The durable steps use them with the database between them, ``whole`` in memory.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

from dashscribe import ledger
from dashscribe.catalog import find_model
from dashscribe.choice import rate_note
from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.enrich import Enrichment, StageName
from dashscribe.enrich.spoken import Spoken
from dashscribe.errors import DashscribeError, HostError
from dashscribe.errors.sources import DecodeError, NoSpeechError, NoWordsError, RecognitionError
from dashscribe.hosts import Hosts
from dashscribe.hosts.parent import check_stop
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import (
    FailedStage,
    Fate,
    Keep,
    Media,
    Options,
    Outcome,
    Sentence,
    Span,
    Track,
    Transcript,
    Voices,
    Window,
    in_memory,
)

#: A window whose host died, hung or broke a promise this often is booked as failed, and the source goes on.
MAX_FAILURES = 3


def recognize(
    hosts: Hosts,
    engine: EngineInfo,
    window: Window,
    options: Options,
    *,
    express: bool = False,
    first: int = 0,
    stop: threading.Event | None = None,
    on_ready: Callable[[], None] | None = None,
) -> Iterator[Outcome]:
    """One admitted outcome per span of the window from number ``first`` on, in order, each as it becomes ready.

    ``on_ready`` is called right before the engine begins; what it raises is the end of it. Raises HostError when the
    host dies or hangs, or soon after ``stop`` was set, InvariantError when the engine's answer breaks a promise, and
    EngineDownError, which is no fault of the window.
    """
    heard = hosts.recognize(engine.name, window, options, express=express, first=first, stop=stop, on_ready=on_ready)
    with closing(heard):
        for span, outcome in zip(window.spans[first:], heard, strict=True):
            yield ledger.admit(outcome, span)


def give_up(window: Window, reason: str) -> list[Outcome]:
    """The outcomes of a window that cannot be recognized: every span failed, for ``reason``."""
    return [Outcome(span, Fate.FAILED, reason=reason) for span in window.spans]


def listens(options: Options) -> bool:
    """Whether the voices of each window are wanted."""
    return options.diarize and not options.speaker_per_channel


def listen(hosts: Hosts, window: Window, *, express: bool = False, stop: threading.Event | None = None) -> Voices:
    """Who is heard in a window; whatever keeps that from being known is its reason, for the text does not need it.

    Raises HostError soon after ``stop`` was set.
    """
    reason = ""
    for failures in range(MAX_FAILURES):
        try:
            # The runtime ends the process at some segmentations of some sounds: the last try goes without one.
            return hosts.voices(window, express=express, segmented=failures < MAX_FAILURES - 1, stop=stop)
        except HostError as error:
            check_stop(stop)
            reason = str(error)
        except DashscribeError as error:  # no model, or a damaged one: another try would not help
            return Voices(reason=str(error))
    return Voices(reason=reason)


def enrichment_for(engine: EngineInfo | None, options: Options, hosts: Hosts, settings: Settings) -> Enrichment:
    """What is done to the sentences of one source; numbers only where the engine, None if it is gone, has not."""
    normalizes = options.itn and engine is not None and not engine.itn
    return Enrichment(options, hosts.punctuator(), settings.sensitive_words, hosts.normalizer() if normalizes else None)


def finish(
    cut: CutEnd,
    outcomes: Mapping[int, Sequence[Outcome]],
    enrichment: Enrichment,
    engine: str,
    notes: Sequence[str] = (),
    voices: Mapping[int, Sequence[Voices]] | None = None,
    keep: Keep = in_memory,
) -> Transcript:
    """Join the outcomes of every channel (each in order of time), enrich, book and prove the result.

    ``engine`` is the name of the one that was used, ``voices`` were heard in the windows of each channel, where
    ``listens`` says that they are wanted, ``keep`` holds what comes in between, and the result's sentences. Raises
    InvariantError when the result breaks a promise. A source without speech gives empty tracks: ask ``refuse_empty``
    where that is an error.
    """
    spoken = {
        channel: speakers_of(
            channel,
            outcomes.get(channel, ()),
            (voices or {}).get(channel, ()),
            enrichment.options,
            len(cut.channels),
            keep,
        )
        for channel in cut.channels
    }
    texts = {channel: keep(Sentence, enrichment.of_channel(who.outcomes)) for channel, who in spoken.items()}
    return bind(cut, outcomes, texts, spoken, enrichment, engine, notes)


def speakers_of(
    channel: int,
    outcomes: Sequence[Outcome],
    voices: Sequence[Voices],
    options: Options,
    channel_count: int,
    keep: Keep = in_memory,
) -> Spoken:
    """The outcomes of one of so many channels with their speakers, if those are wanted."""
    if options.diarize:
        from dashscribe.enrich.speakers import tell_apart  # it needs numpy, which a server does without until then

        return tell_apart(channel, outcomes, voices, options, channel_count=channel_count, keep=keep)
    return Spoken(outcomes, ())


def bind(
    cut: CutEnd,
    outcomes: Mapping[int, Sequence[Outcome]],
    texts: Mapping[int, Sequence[Sentence]],
    spoken: Mapping[int, Spoken],
    enrichment: Enrichment,
    engine: str,
    notes: Sequence[str],
) -> Transcript:
    """The transcript of finished sentences by channel: booked, proved, with everything that is to be known of it."""
    stretch = Span(cut.begin_ms, cut.end_ms)
    options = enrichment.options
    tracks = tuple(
        Track(
            channel=channel,
            sentences=texts[channel],
            ledger=ledger.book(stretch, outcomes.get(channel, ()), cut.lost),
            turns=spoken[channel].turns,
        )
        for channel in cut.channels
    )
    told = dict.fromkeys(note for who in spoken.values() for note in who.notes)
    found = (*enrichment.notes, *told, *cut.notes, *_doubts(cut.media, outcomes, texts, options))
    transcript = Transcript(
        media=cut.media,
        tracks=tracks,
        model=options.model,
        engine=engine,
        notes=(*notes, *found),
        failed_stages=tuple(_failed_stages(spoken, enrichment)),
    )
    ledger.check(transcript, stretch)
    return transcript


def _failed_stages(spoken: Mapping[int, Spoken], enrichment: Enrichment) -> Iterator[FailedStage]:
    """What failed of the late stages, in their order."""
    speakers = dict.fromkeys(reason for who in spoken.values() for reason in who.failures)
    failed = {StageName.SPEAKERS: list(speakers), **enrichment.failed}
    for name in StageName:
        if reasons := failed.get(name):
            yield FailedStage(name.value, tuple(reasons))


def _doubts(
    media: Media,
    outcomes: Mapping[int, Sequence[Outcome]],
    texts: Mapping[int, Sequence[Sentence]],
    options: Options,
) -> Iterator[str]:
    """What a reader has to know of a result before believing all of it."""
    if note := rate_note(find_model(options.model), media):
        yield note
    heard = (o for channel in texts for o in outcomes.get(channel, ()) if o.fate is Fate.TRANSCRIBED)
    yield from dict.fromkeys(outcome.reason for outcome in heard if outcome.reason)
    words = Counter(word.approximate for some in texts.values() for sentence in some for word in sentence.words)
    if approximate := words[True]:
        yield (
            f"{approximate} of {words.total()} words have approximate times: nothing measured them, they share the "
            "time around them by their length; an installed SenseVoice (dashscribe models pull sensevoice) aligns words"
        )


def refuse_empty(transcript: Transcript) -> None:
    """Raise what a task answers for a source without any text: nothing spoken, all failed, or nothing left of it."""
    entries = [entry for track in transcript.tracks for entry in track.ledger]
    failed = [entry for entry in entries if entry.fate is Fate.FAILED]
    if not any(entry.fate is Fate.TRANSCRIBED for entry in entries):
        if failed and all(entry.reason == ledger.UNDECODED for entry in failed):
            raise DecodeError("No speech was found in what could be decoded of it, and the rest is damaged.")
        if failed:
            raise RecognitionError(f"No part of the source could be recognized; the first reason: {failed[0].reason}")
        raise NoSpeechError("No speech was found in the requested channels.")
    if not any(sentence.text.strip() for track in transcript.tracks for sentence in track.sentences):
        raise NoWordsError("Speech was found, but no words are left of it.")
