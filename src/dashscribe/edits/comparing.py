"""Two transcripts side by side: which words they share, and what one has in the place of the other.

Compared are words of writing with spaces and single characters of writing without, channel by channel, without regard
to case, width and marks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from dashscribe.edits.aligning import comparable, numbered
from dashscribe.types import Sentence, Transcript
from dashscribe.words import written_words

Kind = Literal["same", "replaced", "inserted", "deleted"]
_KINDS: dict[str, Kind] = {"equal": "same", "replace": "replaced", "insert": "inserted", "delete": "deleted"}


class ComparedWord(Struct, frozen=True):
    """A word with the marks behind it; its time is that of the word it was recognized as, or of a part of that."""

    begin_ms: int
    end_ms: int
    text: str


class Pair(Struct, frozen=True, omit_defaults=True):
    """A run of words that both have, or that differ."""

    kind: Kind
    channel: int
    left: list[ComparedWord]
    right: list[ComparedWord]


class Figures(Struct, frozen=True):
    """How many words there are on each side, and how many have to be replaced, inserted or deleted."""

    words: int
    other_words: int
    replaced: int
    inserted: int
    deleted: int
    changed: int


def compare(left: Transcript, right: Transcript) -> tuple[list[Pair], Figures]:
    """Runs of words, in order of channel and time, and their sums. A channel that one side lacks has no words there."""
    from rapidfuzz.distance import Levenshtein  # loaded by the first comparison

    from dashscribe.edits.stretches import opcodes

    by_channel = (
        {track.channel: track.sentences for track in left.tracks},
        {t.channel: t.sentences for t in right.tracks},
    )
    pairs: list[Pair] = []
    replaced = inserted = deleted = 0
    for channel in sorted({*by_channel[0], *by_channel[1]}):
        mine, others = (list(_words(side.get(channel, ()))) for side in by_channel)
        before, behind = numbered([key for key, _ in mine], [key for key, _ in others])
        for step in opcodes(before, behind, Levenshtein.opcodes):
            taken, given = step.src_end - step.src_start, step.dest_end - step.dest_start
            # Levenshtein replaces one by one: what is left of a longer side is put in or taken out.
            replaced += min(taken, given) if step.tag == "replace" else 0
            inserted += given if step.tag == "insert" else 0
            deleted += taken if step.tag == "delete" else 0
            old = [word for _, word in mine[step.src_start : step.src_end]]
            new = [word for _, word in others[step.dest_start : step.dest_end]]
            pairs.append(Pair(_KINDS[step.tag], channel, old, new))
    words = sum(len(pair.left) for pair in pairs), sum(len(pair.right) for pair in pairs)
    return pairs, Figures(*words, replaced, inserted, deleted, replaced + inserted + deleted)


def _words(sentences: Sequence[Sentence]) -> Iterator[tuple[str, ComparedWord]]:
    """What each word is compared by, and the word."""
    for sentence in sentences:
        for word in sentence.words:
            spelled = _spelled(word.text + word.punctuation)
            length_ms = word.end_ms - word.begin_ms
            for number, (key, text) in enumerate(spelled):
                begin_ms = word.begin_ms + length_ms * number // len(spelled)
                end_ms = word.begin_ms + length_ms * (number + 1) // len(spelled)
                yield key, ComparedWord(begin_ms, end_ms, text)


@functools.lru_cache(10_000)
def _spelled(text: str) -> tuple[tuple[str, str], ...]:
    """The words that a text is compared by: their keys, and how they stand in it. A few are most of what is said."""
    return tuple((comparable(one.text), one.text + one.tail) for one in written_words(text))
