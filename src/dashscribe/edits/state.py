"""A transcript as somebody has edited it: which sentences stand where, under ids that outlive the edits of others.

A revision is a whole: it needs nothing of the original, which a stage that is done again may replace meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
from msgspec import Struct

from dashscribe import ledger
from dashscribe.edits.aligning import reworded
from dashscribe.errors import InvalidParameterError
from dashscribe.types import Entry, Media, Sentence, Span, Track, Transcript, Turn


class Placed(Struct, frozen=True):
    """A sentence under its id; ``edited`` says that somebody has changed it."""

    id: str
    sentence: Sentence
    edited: bool = False


class EditedTrack(Struct, frozen=True, kw_only=True):
    """One channel: its sentences, and the stretches whose sentences were taken out."""

    channel: int
    sentences: list[Placed]
    ledger: tuple[Entry, ...]
    turns: tuple[Turn, ...] = ()
    removed: list[Span] = []


class Edits(Struct, frozen=True, kw_only=True):
    """A transcript at one revision, 0 for one that nobody has edited; ``base`` is the key of what it was made from.

    ``speakers`` are names by number, for all channels.
    """

    revision: int
    base: str
    media: Media
    model: str
    engine: str
    notes: tuple[str, ...]
    tracks: list[EditedTrack]
    speakers: dict[int, str] = {}

    def transcript(self) -> Transcript:
        """The same as renderers take it."""
        return Transcript(
            media=self.media,
            tracks=tuple(
                Track(
                    channel=track.channel,
                    sentences=tuple(placed.sentence for placed in track.sentences),
                    ledger=track.ledger,
                    turns=track.turns,
                )
                for track in self.tracks
            ),
            model=self.model,
            engine=self.engine,
            notes=self.notes,
        )


@dataclass(frozen=True, slots=True)
class Said:
    """A new text; who says it, None for whoever said what it replaces. An empty one takes the sentence out."""

    text: str
    speaker: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a channel in which no sentence stands."""

    channel: int
    span: Span


@dataclass(frozen=True, slots=True)
class Replacement:
    """Consecutive sentences of one channel, and what stands in their place; without ids, what stands in ``place``."""

    ids: tuple[str, ...]
    said: tuple[Said, ...]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """What stands in the place of a replacement's sentences now."""

    channel: int
    placed: list[Placed]


def unedited(transcript: Transcript, key: str, revision: int = 0) -> Edits:
    """A transcript as it was recognized; its sentences are numbered by channel."""
    return Edits(
        revision=revision,
        base=key,
        media=transcript.media,
        model=transcript.model,
        engine=transcript.engine,
        notes=transcript.notes,
        tracks=[
            EditedTrack(
                channel=track.channel,
                sentences=[Placed(f"{track.channel}-{n}", sentence) for n, sentence in enumerate(track.sentences)],
                ledger=track.ledger,
                turns=track.turns,
            )
            for track in transcript.tracks
        ],
    )


def edited(
    edits: Edits, replacements: Sequence[Replacement], names: Mapping[int, str], revision: int
) -> tuple[Edits, list[Fresh]]:
    """The next revision, and what stands in it for each replacement.

    ``names`` are those of speakers that change, empty for one that goes. Raises InvalidParameterError for ids that are
    not there, not consecutive or named twice and for places that are not free, InvariantError if a promise about
    transcripts would be broken.
    """
    places = {
        placed.id: (track.channel, number) for track in edits.tracks for number, placed in enumerate(track.sentences)
    }
    by_channel = {track.channel: track for track in edits.tracks}
    ranges = [
        _free(by_channel, one.place, number) if one.place else _range(by_channel, places, one, number)
        for number, one in enumerate(replacements)
    ]
    _refuse_overlaps(ranges, replacements)
    changes = [
        _Change(where, _fresh(by_channel[where.channel], where, one, f"{where.channel}-r{revision}-{number}"))
        for number, (one, where) in enumerate(zip(replacements, ranges, strict=True))
    ]
    ordered = sorted(changes, key=lambda change: change.where.span)
    tracks = [_with(track, [one for one in ordered if one.where.channel == track.channel]) for track in edits.tracks]
    speakers = {number: name for number, name in {**edits.speakers, **names}.items() if name}
    result = msgspec.structs.replace(edits, revision=revision, tracks=tracks, speakers=speakers)
    _check(result)
    return result, [Fresh(change.where.channel, change.fresh) for change in changes]


@dataclass(frozen=True, slots=True)
class _Range:
    """The sentences ``begin`` to ``end`` of a channel and their stretch; none of them where there is a free place."""

    channel: int
    begin: int
    end: int
    span: Span


@dataclass(frozen=True, slots=True)
class _Change:
    """What stands in the place of some sentences."""

    where: _Range
    fresh: list[Placed]


def _free(tracks: Mapping[int, EditedTrack], place: Place, number: int) -> _Range:
    """Between which sentences a place lies."""
    name, span = f"replace[{number}]", place.span
    if place.channel not in tracks:
        raise InvalidParameterError(
            f"{name}.channel was {place.channel}, which this recording does not have.", "replace"
        )
    track = tracks[place.channel]
    if not (track.ledger and track.ledger[0].begin_ms <= span.begin_ms and span.end_ms <= track.ledger[-1].end_ms):
        raise InvalidParameterError(f"{name} reaches outside what was recognized of the channel.", "replace")
    begin = bisect_right(track.sentences, span.begin_ms, key=lambda placed: placed.sentence.begin_ms)
    before, behind = track.sentences[max(0, begin - 1) : begin], track.sentences[begin : begin + 1]
    if any(one.sentence.end_ms > span.begin_ms for one in before) or any(
        one.sentence.begin_ms < span.end_ms for one in behind
    ):
        raise InvalidParameterError(f"{name} names a stretch in which a sentence stands: give its id.", "replace")
    return _Range(place.channel, begin, begin, span)


def _range(
    tracks: Mapping[int, EditedTrack], places: Mapping[str, tuple[int, int]], replacement: Replacement, number: int
) -> _Range:
    """Where the sentences of a replacement stand."""
    name = f"replace[{number}].ids"
    for sentence_id in replacement.ids:
        if sentence_id not in places:
            raise InvalidParameterError(
                f"{name} names {sentence_id!r:.80}, which this revision does not have.", "replace"
            )
    found = [places[sentence_id] for sentence_id in replacement.ids]
    for left, right in pairwise(found):
        if right != (left[0], left[1] + 1):
            raise InvalidParameterError(
                f"{name} must be consecutive sentences of one channel, in order; give others in replacements of "
                "their own.",
                "replace",
            )
    (channel, begin), (_, last) = found[0], found[-1]
    sentences = tracks[channel].sentences
    return _Range(channel, begin, last + 1, Span(sentences[begin].sentence.begin_ms, sentences[last].sentence.end_ms))


def _refuse_overlaps(ranges: Sequence[_Range], replacements: Sequence[Replacement]) -> None:
    """Sentences and free places do not overlap by themselves, so what does is named twice or bridged."""
    ordered = sorted(range(len(ranges)), key=lambda number: (ranges[number].channel, ranges[number].span))
    for left, right in pairwise(ordered):
        if ranges[left].channel == ranges[right].channel and ranges[right].span.begin_ms < ranges[left].span.end_ms:
            if replacements[left].place or replacements[right].place:
                raise InvalidParameterError(f"replace[{left}] and replace[{right}] overlap in time.", "replace")
            twice = replacements[right].ids[0]
            raise InvalidParameterError(f"replace names the sentence {twice!r:.80} twice.", "replace")


def _fresh(track: EditedTrack, where: _Range, replacement: Replacement, prefix: str) -> list[Placed]:
    """What stands in the place of some. One for one keeps its id and, if only the speaker changes, its words."""
    old = track.sentences[where.begin : where.end]
    said = [one for one in replacement.said if one.text]
    if not said:
        return []
    if len(old) == len(said) == 1 and old[0].sentence.text == said[0].text:
        sentences = [old[0].sentence]
    else:
        before = [placed.sentence for placed in old] or [
            Sentence(begin_ms=where.span.begin_ms, end_ms=where.span.end_ms, text="")
        ]
        sentences = reworded(before, [one.text for one in said])
    ids = [old[0].id] if len(old) == len(said) == 1 else [f"{prefix}-{number}" for number in range(len(said))]
    return [
        Placed(sentence_id, sentence if one.speaker is None else replace(sentence, speaker=one.speaker), True)
        for sentence_id, sentence, one in zip(ids, sentences, said, strict=True)
    ]


def _with(track: EditedTrack, changes: Sequence[_Change]) -> EditedTrack:
    """The channel with changes, which are in order: all at once, as each for itself would go through all of it."""
    if not changes:
        return track
    sentences: list[Placed] = []
    at = 0
    for change in changes:
        sentences += [*track.sentences[at : change.where.begin], *change.fresh]
        at = change.where.end
    sentences += track.sentences[at:]
    turns = tuple(
        Turn(one.sentence.begin_ms, one.sentence.end_ms, one.sentence.speaker)
        for one in sentences
        if one.sentence.speaker is not None
    )
    return msgspec.structs.replace(track, sentences=sentences, turns=turns, removed=_removed(track, changes))


def _removed(track: EditedTrack, changes: Sequence[_Change]) -> list[Span]:
    """The stretches whose sentences were taken out, those of before among them."""
    replaced = [one for one in changes if one.where.begin < one.where.end]
    begins = [one.where.span.begin_ms for one in replaced]
    result = [one.where.span for one in replaced if not one.fresh]
    for span in track.removed:
        at = bisect_right(begins, span.begin_ms) - 1
        # A gap that lies between sentences which become one is none any more.
        if at < 0 or span.begin_ms >= replaced[at].where.span.end_ms:
            result.append(span)
    for place in (one.where.span for one in changes if one.where.begin == one.where.end):
        result = [left for span in result for left in _without(span, place)]
    return sorted(result)


def _without(span: Span, place: Span) -> list[Span]:
    """What is left of a stretch beside another."""
    before = Span(span.begin_ms, min(span.end_ms, place.begin_ms))
    behind = Span(max(span.begin_ms, place.end_ms), span.end_ms)
    return [left for left in (before, behind) if left.duration_ms > 0]


def _check(edits: Edits) -> None:
    """Prove of a revision what holds of every transcript."""
    transcript = edits.transcript()
    for track in transcript.tracks:
        if track.ledger:
            stretch = Span(track.ledger[0].begin_ms, track.ledger[-1].end_ms)
            ledger.check(replace(transcript, tracks=(track,)), stretch)
