"""Result files of the service, in any of their three shapes, as transcripts: the way back from ``transcription_json``.

What a result does not tell stays empty: the confidence of words and, for a server that is none of ours, the ledger and
the engine. Turns are those of the sentences, since a result tells no others. Times and texts are taken as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct, field

from dashscribe.errors.remote import ApiError
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Turn, Word

#: What SenseVoice puts around and behind a text (models 4.1).
_EVENT = re.compile(r"<\|(?P<event>\w+)\|>\s*(?P<inside>.*?)\s*<\|/(?P=event)\|>", re.DOTALL)
_EMOTION = re.compile(r"\s*<\|(?P<emotion>[A-Z_0-9]+)\|>\s*$")
_EMOTIONS = frozenset({"neutral", "happy", "angry", "sad"})
#: The event that stands where none was measured.
_SPEECH = "Speech"


class _Word(Struct, frozen=True):
    begin_time: int
    end_time: int
    text: str
    punctuation: str = ""


class _Sentence(Struct, frozen=True):
    begin_time: int
    end_time: int
    text: str
    speaker_id: int | None = None
    language: str = ""
    emotion: str = ""
    words: tuple[_Word, ...] = ()


class _Track(Struct, frozen=True):
    channel_id: int = 0
    sentences: tuple[_Sentence, ...] = ()


class _Entry(Struct, frozen=True):
    begin_time: int
    end_time: int
    fate: str
    reason: str = ""


class _Coverage(Struct, frozen=True):
    channel_id: int = 0
    ledger: tuple[_Entry, ...] = ()


class _Ours(Struct, frozen=True):
    engine: str = ""
    coverage: tuple[_Coverage, ...] = ()
    notes: tuple[str, ...] = ()


class _Properties(Struct, frozen=True):
    audio_format: str = ""
    channels: tuple[int, ...] = ()
    original_sampling_rate: int = 0
    original_duration_in_milliseconds: int = 0


class _AudioInfo(Struct, frozen=True):
    container: str = field(default="", name="format")
    sample_rate: int = 0


class _Result(Struct, frozen=True):
    file_url: str = ""
    properties: _Properties = _Properties()
    audio_info: _AudioInfo | None = None
    transcripts: tuple[_Track, ...] = ()
    ours: _Ours = field(default=_Ours(), name="dashscribe")


def transcript_of(data: dict[str, Any], model: str) -> Transcript:
    """The transcript that a result file of ``model`` holds. Raises ApiError for what is no result."""
    try:
        result = msgspec.convert(data, _Result, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(f"the result cannot be read: {error}") from error
    return Transcript(
        media=_media(result),
        tracks=tuple(_tracks(result)),
        model=model,
        engine=result.ours.engine,
        notes=result.ours.notes,
    )


def silent(url: str, channels: Sequence[int], model: str, sums: Mapping[str, int], engine: str) -> Transcript:
    """The transcript of a file in which nobody said a word; ``sums`` is what a server of ours tells of its sound."""
    heard_ms = sums.get(f"{Fate.NON_SPEECH}", 0) // max(1, len(channels))
    ledger = (Entry(0, heard_ms, Fate.NON_SPEECH),) if heard_ms and sums.keys() <= {Fate.NON_SPEECH} else ()
    return Transcript(
        media=Media(url=url, container="", codec="", rate_hz=0, channel_count=0, duration_ms=heard_ms),
        tracks=tuple(Track(channel=channel, sentences=(), ledger=ledger) for channel in channels),
        model=model,
        engine=engine,
    )


def _media(result: _Result) -> Media:
    about, info = result.properties, result.audio_info or _AudioInfo()
    ends = [entry.end_time for coverage in result.ours.coverage for entry in coverage.ledger]
    return Media(
        url=result.file_url,
        container=info.container,
        codec=about.audio_format,
        rate_hz=about.original_sampling_rate or info.sample_rate,
        channel_count=len(about.channels),
        duration_ms=about.original_duration_in_milliseconds or max(ends, default=0),
    )


def _tracks(result: _Result) -> Iterator[Track]:
    ledgers = {coverage.channel_id: coverage.ledger for coverage in result.ours.coverage}
    for track in result.transcripts:
        sentences = tuple(map(_sentence, track.sentences))
        ledger = tuple(map(_entry, ledgers.get(track.channel_id, ())))
        yield Track(channel=track.channel_id, sentences=sentences, ledger=ledger, turns=tuple(_turns(sentences)))


def _entry(entry: _Entry) -> Entry:
    try:
        fate = Fate(entry.fate)
    except ValueError as error:
        raise ApiError(f"the result cannot be read: {entry.fate[:40]!r} is no fate of sound") from error
    return Entry(entry.begin_time, entry.end_time, fate, entry.reason)


def _sentence(given: _Sentence) -> Sentence:
    text, emotion, events = _untagged(given.text)
    return Sentence(
        begin_ms=given.begin_time,
        end_ms=given.end_time,
        text=text,
        words=tuple(Word(word.begin_time, word.end_time, word.text, word.punctuation) for word in given.words),
        speaker=given.speaker_id,
        language=given.language,
        emotion=given.emotion or emotion,
        events=events,
    )


def _untagged(text: str) -> tuple[str, str, tuple[str, ...]]:
    """A text without its tags, the emotion behind it and the events around it, outermost first."""
    emotion, events = "", list[str]()
    if found := _EMOTION.search(text):
        name = found["emotion"].lower()
        # The tag of any other emotion does not tell which.
        emotion = name if name in _EMOTIONS else ""
    bare = text[: found.start()] if found else text
    while around := _EVENT.fullmatch(bare.strip()):
        events.append(around["event"])
        bare = around["inside"]
    return (bare if events or found else text), emotion, () if events == [_SPEECH] else tuple(events)


def _turns(sentences: Iterable[Sentence]) -> Iterator[Turn]:
    """What one speaker says in a row, as one turn."""
    for speaker, said in groupby(sentences, key=lambda sentence: sentence.speaker):
        turn = list(said)
        if speaker is not None:
            yield Turn(turn[0].begin_ms, turn[-1].end_ms, speaker)
