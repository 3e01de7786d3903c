"""Words of a text and their times: from pieces with times, as models give them, to words as the service words them.

A word is a run of letters and digits of a script with spaces, or a single character of a script without them. Marks
belong to the word before them. The text decides what the words are; pieces only say when its characters were heard, so
that words always spell their text, whatever a model's pieces look like.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dashscribe.types import Sentence, Span, Word, is_unspaced

#: What stands inside a word of a script with spaces: letters, digits, marks on letters, and single joints between them.
_JOINTS = "'’-.&@/:%+_"
#: Ends of sentences. A dot counts only at the end of a word.
STOPS = frozenset("。！？!?…")
#: A dot behind one of these, or behind a single letter, ends no sentence.
ABBREVIATIONS = frozenset(
    (
        *("mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "jr", "sr", "no", "inc", "ltd", "co", "corp", "dept"),
        *("e.g", "i.e", "a.m", "p.m", "u.s", "u.k", "vol", "fig", "approx", "est"),
    )
)


@dataclass(frozen=True, slots=True)
class Written:
    """A word as it stands in a text: the word itself, what follows up to the next one, where it begins and ends."""

    text: str
    tail: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Heard:
    """When characters of a text were heard: ``begin`` and ``end`` are places in the text, half-open."""

    begin: int
    end: int
    begin_ms: int
    end_ms: int


def written_words(text: str) -> list[Written]:
    """The words of a text in order; marks before the first one are part of it."""
    starts: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        end = _word_end(text, at)
        if end > at:
            starts.append((at, end))
        at = max(end, at + 1)
    if not starts:
        return []
    starts[0] = (0, starts[0][1])
    ends = [begin for begin, _ in starts[1:]] + [len(text)]
    return [Written(text[b:e], text[e:until], b, e) for (b, e), until in zip(starts, ends, strict=True)]


def _word_end(text: str, at: int) -> int:
    """Where the word that begins at ``at`` ends; ``at`` itself if none begins there."""
    if not text[at].isalnum():
        return at
    if is_unspaced(text[at]):
        return at + 1
    end = at + 1
    while end < len(text) and _goes_on(text, end):
        end += 1
    # What is said as part of the word but is no letter: 50%, C++.
    while end < len(text) and text[end] in "%+#°":
        end += 1
    return end


def _goes_on(text: str, at: int) -> bool:
    """Whether a word of a script with spaces goes on here: with a letter, a mark on one, or a joint before another."""
    if text[at] in _JOINTS:
        return at + 1 < len(text) and text[at + 1].isalnum() and not is_unspaced(text[at + 1])
    return (text[at].isalnum() and not is_unspaced(text[at])) or unicodedata.category(text[at]).startswith("M")


def locate(text: str, pieces: Sequence[str]) -> list[tuple[int, int]] | None:
    """Where each piece stands in the text, in order, passing over spaces between them; None if they do not spell it.

    Pieces may carry what their model marks words with: U+2581 or a space in front, ``@@`` behind.
    """
    places: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        bare = piece.replace("\u2581", " ").strip().removesuffix("@@")
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith(bare, at):
            return None
        places.append((at, at + len(bare)))
        at += len(bare)
    return places if not text[at:].strip() else None


def timed_sentence(text: str, heard: Sequence[Heard], span: Span, *, language: str = "", emotion: str = "") -> Sentence:
    """The text as a sentence inside ``span``, its words timed by what was heard of their characters.

    ``heard`` is in order and may lack characters: a word none of whose characters was heard is spread, with its
    neighbors of the same lot, over the time between those that were, and marked as approximate.
    """
    text = text.strip()
    written = written_words(text)
    if not written:
        # Marks alone are nothing that anybody said.
        return Sentence(begin_ms=span.begin_ms, end_ms=span.end_ms, text="", language=language, emotion=emotion)
    times = _spread(_word_times(written, heard), written, span)
    words = tuple(
        _word(entry, begin_ms, end_ms, approximate, is_last=i == len(written) - 1)
        for i, (entry, (begin_ms, end_ms, approximate)) in enumerate(zip(written, times, strict=True))
    )
    return Sentence(
        begin_ms=words[0].begin_ms,
        end_ms=words[-1].end_ms,
        text="".join(word.text + word.punctuation for word in words),
        words=words,
        language=language,
        emotion=emotion,
    )


def _word(written: Written, begin_ms: int, end_ms: int, approximate: bool, *, is_last: bool) -> Word:
    tail = re.sub(r"\s+", " ", written.tail.rstrip() if is_last else written.tail)
    marks = tail.strip()
    spaced = written.text if marks else written.text + tail
    return Word(begin_ms, end_ms, spaced, tail if marks else "", approximate=approximate)


def _word_times(written: Sequence[Written], heard: Sequence[Heard]) -> list[tuple[int, int] | None]:
    """Begin and end of each word by the characters that were heard of it; None where none was."""
    times: list[tuple[int, int] | None] = []
    at = 0
    for word in written:
        while at < len(heard) and heard[at].end <= word.begin:
            at += 1
        inside: list[Heard] = []
        for entry in heard[at:]:
            if entry.begin >= word.end:
                break
            inside.append(entry)
        times.append((inside[0].begin_ms, max(entry.end_ms for entry in inside)) if inside else None)
    return times


def _spread(
    times: Sequence[tuple[int, int] | None], written: Sequence[Written], span: Span
) -> list[tuple[int, int, bool]]:
    """Bounds for every word: those that are known, put in order; the others share the gap around them by length."""
    result: list[tuple[int, int, bool]] = []
    floor_ms = span.begin_ms
    at = 0
    while at < len(times):
        known = times[at]
        if known is not None:
            following = next((t[0] for t in times[at + 1 : at + 2] if t is not None), span.end_ms)
            begin_ms = min(max(known[0], floor_ms), span.end_ms)
            end_ms = min(max(known[1], begin_ms), max(following, begin_ms), span.end_ms)
            result.append((begin_ms, end_ms, False))
            floor_ms = end_ms
            at += 1
            continue
        until = next((i for i in range(at, len(times)) if times[i] is not None), len(times))
        ceiling = times[until] if until < len(times) else None
        ceiling_ms = max(floor_ms, ceiling[0]) if ceiling else span.end_ms
        lengths = [len(word.text) for word in written[at:until]]
        begin_ms, said = floor_ms, 0
        for length in lengths:
            said += length
            end_ms = floor_ms + (ceiling_ms - floor_ms) * said // sum(lengths)
            result.append((begin_ms, end_ms, True))
            begin_ms = end_ms
        floor_ms = begin_ms
        at = until
    return result


def part_at_stops(sentence: Sentence) -> list[Sentence]:
    """The sentences that a text consists of by its own marks; what has no marks stays together.

    Words that were given no length, as where a model times several alike, are no sentence by themselves.
    """
    bounds = [0]
    for at, word in enumerate(sentence.words, start=1):
        if _ends_sentence(word) and sentence.words[bounds[-1]].begin_ms < word.end_ms:
            bounds.append(at)
    if len(bounds) > 1 and (bounds[-1] == len(sentence.words) or _is_empty(sentence.words[bounds[-1] :])):
        bounds.pop()
    bounds.append(len(sentence.words))
    return [part_of(sentence, begin, end) for begin, end in pairwise(bounds)]


def _is_empty(words: Sequence[Word]) -> bool:
    """Whether words have no length."""
    return words[0].begin_ms == words[-1].end_ms


def _ends_sentence(word: Word) -> bool:
    marks = word.punctuation.strip().rstrip("\"'”’)）」』")
    if not marks.endswith("."):
        return not STOPS.isdisjoint(marks)
    spoken = word.text.strip().lower()
    return len(spoken) > 1 and spoken not in ABBREVIATIONS


def part_of(sentence: Sentence, begin: int, end: int) -> Sentence:
    """Words ``begin`` to ``end`` as a sentence of their own; one that is the whole keeps its bounds."""
    if (begin, end) == (0, len(sentence.words)):
        return sentence
    words = sentence.words[begin:end]
    last = replace(words[-1], text=words[-1].text.rstrip(), punctuation=words[-1].punctuation.rstrip())
    words = (*words[:-1], last)
    return replace(
        sentence,
        begin_ms=words[0].begin_ms,
        end_ms=words[-1].end_ms,
        text="".join(word.text + word.punctuation for word in words),
        words=words,
    )


def sendable(text: str) -> str:
    """``text`` with question marks for what UTF-8 cannot hold: half characters, such as odd file names bring along."""
    return text.encode("utf-8", "replace").decode("utf-8")
