"""Full stops and capitals for engines that give bare words: sentences end where the speaker pauses.

Owns the regrouping of words into sentences; times and order of the words stay untouched. A pause says that something
ended but not what, so neither commas nor question marks are made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from dashscribe.types import Options, Sentence, Word

#: A pause from this length on ends a sentence. Readers pause 0.3 to 0.6 s at commas and ends of lines, longer at stops.
PAUSE_MS = 700
#: No sentence lasts longer: without pauses it is broken at the longest one of its later half.
LONGEST_MS = 30_000
#: What is already punctuated carries one of these. Not the dot: it also ends "a.m." and "u.s.".
MARKS = frozenset(",;:?!…。，、；：？！")


def punctuate(sentences: Iterable[Sentence], options: Options) -> Iterator[Sentence]:
    """Regroup the bare sentences of one passage, in order of time; each is yielded once the next one has begun.

    A sentence goes on over the border between two pieces of sound that touch. Left alone are sentences that carry a
    mark, that have no words, and that are in a script without spaces or capitals.
    """
    del options
    words: list[Word] = []
    first: Sentence | None = None  # the sentence that the oldest of ``words`` came from
    for sentence in sentences:
        bare = _is_bare(sentence)
        if first is not None and not (bare and _is_same_voice(first, sentence)):
            yield _close(first, words)
            words, first = [], None
        if not bare:
            yield sentence
            continue
        for word in sentence.words:
            while first is not None and (count := _ended(words, word)):
                yield _close(first, words[:count])
                words = words[count:]
                first = first if words else None
            first = first or sentence
            words.append(word)
    if first is not None:
        yield _close(first, words)


def _is_bare(sentence: Sentence) -> bool:
    """Whether these are plain words, separated by spaces, in a script with capitals."""
    spaced = all(word.text.endswith(" ") for word in sentence.words[:-1])
    marked = any(word.punctuation.strip() for word in sentence.words) or not MARKS.isdisjoint(sentence.text)
    return bool(sentence.words) and spaced and not marked and sentence.text.upper() != sentence.text.lower()


def _is_same_voice(left: Sentence, right: Sentence) -> bool:
    """Whether words of both may stand in one sentence."""
    return (left.speaker, left.language, left.emotion, left.events) == (
        right.speaker,
        right.language,
        right.emotion,
        right.events,
    )


def _ended(words: list[Word], following: Word) -> int:
    """How many of ``words`` make a complete sentence, now that ``following`` is known; 0 if it may belong to them."""
    if following.begin_ms - words[-1].end_ms >= PAUSE_MS:
        return len(words)
    if following.end_ms - words[0].begin_ms <= LONGEST_MS:
        return 0
    middle_ms = words[0].begin_ms + LONGEST_MS // 2
    pauses = [right.begin_ms - left.end_ms for left, right in pairwise([*words, following])]
    late = [i for i, word in enumerate([*words[1:], following]) if word.begin_ms >= middle_ms]
    return 1 + max(late, key=lambda i: pauses[i], default=len(words) - 1)


def _close(first: Sentence, words: list[Word]) -> Sentence:
    """The words as one sentence with the properties of ``first``: a capital in front, a full stop behind."""
    spoken = [word.text.strip() for word in words]
    if first.language in ("", "en"):
        spoken = [text.capitalize() if text == "i" or text.startswith("i'") else text for text in spoken]
    spoken[0] = spoken[0][:1].upper() + spoken[0][1:]
    last = len(words) - 1
    stop = "" if spoken[last].endswith(".") else "."
    written = tuple(
        replace(word, text=text if i == last else f"{text} ", punctuation=stop if i == last else "")
        for i, (word, text) in enumerate(zip(words, spoken, strict=True))
    )
    return replace(
        first,
        begin_ms=words[0].begin_ms,
        end_ms=words[-1].end_ms,
        text="".join(word.text + word.punctuation for word in written),
        words=written,
    )
