"""From turns to sentences: whose each word is, and sentences that are parted where the speaker changes.

A word belongs to the speaker whose turns cover most of it. Where several speak at once, an engine writes down one of
them, as a rule the one who was speaking before: words there go on with the speaker of the word before them if that
one still speaks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from dashscribe.types import Sentence, Turn, Word
from dashscribe.words import part_of

#: A change of speaker moves to a longer pause between words this near, in milliseconds: who takes turns leaves a pause,
#: and turns are only known so precisely.
NEAR_MS = 700
#: How much longer that pause must be, in milliseconds.
LONGER_MS = 80
#: A word this far from any turn was said by nobody that is known, in milliseconds.
FAR_MS = 2_000


class Assignment:
    """The turns of one channel, in order of their begin, ready to be asked about."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._begins = [turn.begin_ms for turn in turns]
        self._longest_ms = max((turn.end_ms - turn.begin_ms for turn in turns), default=0)

    def parted(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """The sentences of a passage, each with its speaker, parted where that changes inside.

        A sentence without words keeps together and goes to who speaks most of it. Where no turn is anywhere near, the
        speaker stays unknown.
        """
        parts: list[Sentence] = []
        speaker: int | None = None
        for sentence in sentences:
            if not sentence.words:
                speaker = self.speaker(sentence.begin_ms, sentence.end_ms, speaker)
                parts.append(replace(sentence, speaker=speaker))
                continue
            words = sentence.words
            owners: list[int | None] = []
            for word in words:
                speaker = self.speaker(word.begin_ms, word.end_ms, speaker)
                owners.append(speaker)
            owners = _snapped(words, owners)
            for begin, end in _runs(words, owners):
                parts.append(replace(part_of(sentence, begin, end), speaker=owners[begin]))
        return parts

    def speaker(self, begin_ms: int, end_ms: int, before: int | None) -> int | None:
        """Who speaks most of a stretch, ``before`` if that one speaks as much.

        Where nobody does, whoever does close by: ``before`` if that is one of them; None if nobody is near.
        """
        heard: defaultdict[int, int] = defaultdict(int)
        first = bisect_left(self._begins, begin_ms - self._longest_ms)
        for turn in self._turns[first : bisect_left(self._begins, max(end_ms, begin_ms + 1))]:
            shared_ms = min(end_ms, turn.end_ms) - max(begin_ms, turn.begin_ms)
            if shared_ms > 0 or turn.begin_ms <= begin_ms < turn.end_ms:  # a word may be without length
                heard[turn.speaker] += max(shared_ms, 1)
        if not heard:
            return self._nearby(begin_ms, end_ms, before)
        most = max(heard.values())
        if before is not None and heard.get(before, 0) == most:
            return before
        return next(speaker for speaker, ms in heard.items() if ms == most)

    def _nearby(self, begin_ms: int, end_ms: int, before: int | None) -> int | None:
        """Who speaks nearest to a stretch in which nobody does, within ``FAR_MS``; ``before`` of those that do."""
        first = bisect_left(self._begins, begin_ms - self._longest_ms - FAR_MS)
        turns = self._turns[first : bisect_left(self._begins, end_ms + FAR_MS + 1)]
        away = [(max(turn.begin_ms - end_ms, begin_ms - turn.end_ms), turn.speaker) for turn in turns]
        near = [(ms, speaker) for ms, speaker in away if ms <= FAR_MS]
        if any(speaker == before for _, speaker in near):
            return before
        return min(near)[1] if near else None


def _snapped(words: Sequence[Word], owners: Sequence[int | None]) -> list[int | None]:
    """The owners with each change of speaker moved to a clearly longer pause close by."""
    pauses = [0, *(right.begin_ms - left.end_ms for left, right in pairwise(words)), 0]
    changes = [i for i in range(1, len(words)) if owners[i] != owners[i - 1]]
    result = list(owners)
    low = 1
    for number, at in enumerate(changes):
        high = changes[number + 1] - 1 if number + 1 < len(changes) else len(words) - 1
        border_ms = words[at].begin_ms
        near = [i for i in range(low, high + 1) if abs(words[i].begin_ms - border_ms) <= NEAR_MS]
        best = max(near, key=lambda i: pauses[i], default=at)
        if pauses[best] < pauses[at] + LONGER_MS:
            best = at
        if best < at:
            result[best:at] = [owners[at]] * (at - best)
        else:
            result[at:best] = [owners[at - 1]] * (best - at)
        low = best + 1  # whoever speaks between two changes keeps a word at least
    return result


def _runs(words: Sequence[Word], owners: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of words of one speaker; what has no length goes on with what stands before or behind it."""
    runs: list[tuple[int, int]] = []
    for at in range(len(words)):
        if runs and (owners[at] == owners[at - 1] or _is_instant(words, *runs[-1])):
            runs[-1] = runs[-1][0], at + 1
        else:
            runs.append((at, at + 1))
    if len(runs) > 1 and _is_instant(words, *runs[-1]):
        begin, end = runs[-2][0], runs.pop()[1]
        runs[-1] = begin, end
    return iter(runs)


def _is_instant(words: Sequence[Word], begin: int, end: int) -> bool:
    return words[end - 1].end_ms <= words[begin].begin_ms
