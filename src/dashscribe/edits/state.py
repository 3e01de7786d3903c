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
class Replacement:
    """Consecutive sentences of one channel, and what stands in their place."""

    ids: tuple[str, ...]
    said: tuple[Said, ...]


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
    not there, not consecutive or named twice, InvariantError if a promise about transcripts would be broken.
    """
    places = {
        placed.id: (track.channel, number) for track in edits.tracks for number, placed in enumerate(track.sentences)
    }
    ranges = [_range(places, replacement, number) for number, replacement in enumerate(replacements)]
    _refuse_overlaps(ranges, replacements)
    by_channel = {track.channel: track for track in edits.tracks}
    changes = [
        _Change(channel, begin, end, _fresh(by_channel[channel], begin, end, one, f"{channel}-r{revision}-{number}"))
        for number, (one, (channel, begin, end)) in enumerate(zip(replacements, ranges, strict=True))
    ]
    ordered = sorted(changes, key=lambda change: change.begin)
    tracks = [_with(track, [one for one in ordered if one.channel == track.channel]) for track in edits.tracks]
    speakers = {number: name for number, name in {**edits.speakers, **names}.items() if name}
    result = msgspec.structs.replace(edits, revision=revision, tracks=tracks, speakers=speakers)
    _check(result)
    return result, [Fresh(change.channel, change.fresh) for change in changes]


@dataclass(frozen=True, slots=True)
class _Change:
    """What stands in the place of the sentences ``begin`` to ``end`` of a channel."""

    channel: int
    begin: int
    end: int
    fresh: list[Placed]


def _range(places: Mapping[str, tuple[int, int]], replacement: Replacement, number: int) -> tuple[int, int, int]:
    """Channel, first and behind the last of the sentences of a replacement."""
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
    return found[0][0], found[0][1], found[-1][1] + 1


def _refuse_overlaps(ranges: Sequence[tuple[int, int, int]], replacements: Sequence[Replacement]) -> None:
    ordered = sorted(range(len(ranges)), key=lambda number: ranges[number])
    for left, right in pairwise(ordered):
        if ranges[left][0] == ranges[right][0] and ranges[right][1] < ranges[left][2]:
            twice = replacements[right].ids[0]
            raise InvalidParameterError(f"replace names the sentence {twice!r:.80} twice.", "replace")


def _fresh(track: EditedTrack, begin: int, end: int, replacement: Replacement, prefix: str) -> list[Placed]:
    """What stands in the place of some. One for one keeps its id and, if only the speaker changes, its words."""
    old = track.sentences[begin:end]
    said = [one for one in replacement.said if one.text]
    if not said:
        return []
    if len(old) == len(said) == 1 and old[0].sentence.text == said[0].text:
        sentences = [old[0].sentence]
    else:
        sentences = reworded([placed.sentence for placed in old], [one.text for one in said])
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
        sentences += [*track.sentences[at : change.begin], *change.fresh]
        at = change.end
    sentences += track.sentences[at:]
    turns = tuple(
        Turn(one.sentence.begin_ms, one.sentence.end_ms, one.sentence.speaker)
        for one in sentences
        if one.sentence.speaker is not None
    )
    return msgspec.structs.replace(track, sentences=sentences, turns=turns, removed=_removed(track, changes))


def _removed(track: EditedTrack, changes: Sequence[_Change]) -> list[Span]:
    """The stretches whose sentences were taken out, those of before among them."""
    old = track.sentences
    gone = [Span(old[one.begin].sentence.begin_ms, old[one.end - 1].sentence.end_ms) for one in changes]
    begins = [span.begin_ms for span in gone]
    result = [span for span, one in zip(gone, changes, strict=True) if not one.fresh]
    for span in track.removed:
        at = bisect_right(begins, span.begin_ms) - 1
        # A gap that lies between sentences which become one is none any more.
        if at < 0 or span.begin_ms >= gone[at].end_ms:
            result.append(span)
    return sorted(result)


def _check(edits: Edits) -> None:
    """Prove of a revision what holds of every transcript."""
    transcript = edits.transcript()
    for track in transcript.tracks:
        if track.ledger:
            stretch = Span(track.ledger[0].begin_ms, track.ledger[-1].end_ms)
            ledger.check(replace(transcript, tracks=(track,)), stretch)
