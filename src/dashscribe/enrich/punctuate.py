"""Marks and capitals for engines that give bare words: by a punctuation model, else where the speaker pauses.

Owns the regrouping of words into sentences; times and order of the words stay untouched. A pause says that something
ended but not what, so without a model neither commas nor question marks are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from dashscribe.types import Sentence, Word, is_unspaced, joint
from dashscribe.words import STOPS

#: Puts marks between and behind the words of a text, and changes nothing else in it.
Punctuator = Callable[[str], str]

#: A pause from this length on ends a sentence. Readers pause 0.3 to 0.6 s at commas and ends of lines, longer at stops.
PAUSE_MS = 700
#: No sentence lasts longer: without pauses it is broken at the longest one of its later half.
LONGEST_MS = 30_000
#: What is already punctuated carries one of these. Not the dot: it also ends "a.m." and "u.s.".
MARKS = frozenset(",;:?!…。，、；：？！")
#: Marks of Chinese that a model sets in English, too, and what stands for them there.
_NARROW = str.maketrans("，。？！、；：", ",.?!,;:")
#: Words that are handed to a model at once: enough to see what belongs together.
MODEL_WORDS = 200


def punctuate(
    sentences: Iterable[Sentence], punctuator: Punctuator | None = None, *, at_stops: bool = True
) -> Iterator[Sentence]:
    """Regroup the bare sentences of one passage, in order of time; each is yielded once the next one has begun.

    Sentences end where the voice pauses and, with ``at_stops``, at a model's full stops; without it those stand inside
    of them. A sentence goes on over the border between two pieces of sound that touch. Left alone are sentences that
    carry a mark, that have no words, and that are in a script in which nobody here knows what ends a sentence.
    """
    words: list[Word] = []
    first: Sentence | None = None  # the sentence that the oldest of ``words`` came from
    for sentence in sentences:
        bare = _is_bare(sentence)
        if first is not None and not (bare and _is_same_voice(first, sentence)):
            yield from _close_all(first, words, punctuator, at_stops)
            words, first = [], None
        if not bare:
            yield sentence
            continue
        if words:  # the space that no sentence has at its end
            words[-1] = replace(words[-1], text=words[-1].text + joint(words[-1].text, sentence.words[0].text))
        for word in sentence.words:
            while first is not None and (count := _ended(words, word, looks_ahead=at_stops and punctuator is not None)):
                closed, words = _closed(first, words, count, punctuator, at_stops)
                yield from closed
                first = first if words else None
            first = first or sentence
            words.append(word)
    if first is not None:
        yield from _close_all(first, words, punctuator, at_stops)


def _is_bare(sentence: Sentence) -> bool:
    """Whether these are plain words of a script whose sentences end with a full stop that is known here."""
    marked = any(word.punctuation.strip() for word in sentence.words) or not MARKS.isdisjoint(sentence.text)
    return bool(sentence.words) and not marked and _has_full_stop(sentence.text)


def _has_full_stop(text: str) -> bool:
    """Whether the text is in Han, kana, Hangul or a script with capitals."""
    cased = text.upper() != text.lower()
    return cased or any(is_unspaced(character) or "\uac00" <= character <= "\ud7a3" for character in text)


def _is_same_voice(left: Sentence, right: Sentence) -> bool:
    """Whether words of both may stand in one sentence."""
    return (left.speaker, left.language, left.emotion, left.events) == (
        right.speaker,
        right.language,
        right.emotion,
        right.events,
    )


def _ended(words: Sequence[Word], following: Word, *, looks_ahead: bool) -> int:
    """How many of ``words`` can be closed, now that ``following`` is known; 0 if it may belong to them.

    ``looks_ahead`` says that a model will part them at its stops, for which it wants to see many at once.
    """
    if following.begin_ms - words[-1].end_ms >= PAUSE_MS:
        return len(words)
    if looks_ahead:
        return len(words) if len(words) >= MODEL_WORDS else 0
    if following.end_ms - words[0].begin_ms <= LONGEST_MS:
        return 0
    middle_ms = words[0].begin_ms + LONGEST_MS // 2
    pauses = [right.begin_ms - left.end_ms for left, right in pairwise([*words, following])]
    late = [i for i, word in enumerate([*words[1:], following]) if word.begin_ms >= middle_ms]
    return 1 + max(late, key=lambda i: pauses[i], default=len(words) - 1)


def _closed(
    first: Sentence, words: list[Word], count: int, punctuator: Punctuator | None, at_stops: bool
) -> tuple[list[Sentence], list[Word]]:
    """The first ``count`` words as sentences, and the words that go on: those after the last stop of a model's too."""
    if punctuator is None or not at_stops:
        return list(_close_all(first, words[:count], punctuator, at_stops)), words[count:]
    parts = _parts(words[:count], punctuator)
    goes_on = parts.pop() if len(parts) > 1 and count >= MODEL_WORDS else []
    return [_close(first, part) for part in parts], [_bare(word) for word in goes_on] + words[count:]


def _close_all(first: Sentence, words: list[Word], punctuator: Punctuator | None, at_stops: bool) -> Iterator[Sentence]:
    closed = [_close(first, part) for part in (_parts(words, punctuator) if punctuator else [words])]
    yield from closed if at_stops else [_joined(closed)]


def _joined(sentences: Sequence[Sentence]) -> Sentence:
    """Sentences that follow each other as one."""
    words: list[Word] = []
    for sentence in sentences:
        if words and (space := joint(words[-1].text + words[-1].punctuation, sentence.words[0].text)):
            mark = words[-1].punctuation
            gap = {"punctuation": mark + space} if mark else {"text": words[-1].text + space}
            words[-1] = replace(words[-1], **gap)
        words += sentence.words
    text = "".join(word.text + word.punctuation for word in words)
    return replace(sentences[0], end_ms=sentences[-1].end_ms, text=text, words=tuple(words))


def _parts(words: list[Word], punctuator: Punctuator) -> list[list[Word]]:
    """The words with a model's marks behind them, in sentences; one without any mark where its answer is of no use."""
    marks = marks_between([word.text for word in words], punctuator("".join(word.text for word in words)))
    if marks is None:
        return [words]
    parts: list[list[Word]] = [[]]
    for word, following, mark in zip(words, [*words[1:], None], marks, strict=True):
        if not (is_unspaced(word.text[:1]) or (following and is_unspaced(following.text[:1]))):
            mark = mark.translate(_NARROW)
        spaces = " " if mark and word.text.endswith(" ") else ""
        text = word.text.rstrip() if mark else word.text
        parts[-1].append(replace(word, text=text, punctuation=mark + spaces))
        if (not STOPS.isdisjoint(mark) or mark.endswith(".")) and parts[-1][0].begin_ms < word.end_ms:
            parts.append([])
    if len(parts) > 1 and (not parts[-1] or parts[-1][0].begin_ms == parts[-1][-1].end_ms):
        parts[-2:] = [parts[-2] + parts[-1]]  # words that were given no length are no sentence by themselves
    return parts


def marks_between(words: Sequence[str], text: str) -> list[str] | None:
    """The marks that ``text`` has behind each word; None if it does not hold these words in this order."""
    marks: list[str] = []
    at = 0
    for number, word in enumerate(words):
        bare = word.strip()
        found = text.find(bare, at)
        between = text[at : max(found, at)].strip()
        if found < 0 or any(character.isalnum() for character in between) or (number == 0 and between):
            return None
        if marks:
            marks[-1] = between
        marks.append("")
        at = found + len(bare)
    if any(character.isalnum() for character in text[at:]):
        return None
    return [*marks[:-1], text[at:].strip()] if marks else []


def _bare(word: Word) -> Word:
    """The word without its mark, with the space that the mark had behind it."""
    return replace(word, text=word.text + (" " if word.punctuation.endswith(" ") else ""), punctuation="")


def _close(first: Sentence, words: list[Word]) -> Sentence:
    """The words as one sentence with the properties of ``first``: a capital in front, a full stop behind."""
    written = list(words)
    if first.language in ("", "en"):
        written = [_with_capital_i(word) for word in written]
    head, tail = written[0], written[-1]
    written[0] = replace(head, text=head.text[:1].upper() + head.text[1:])
    tail = written[-1]
    stop = tail.punctuation.strip() or ("" if tail.text.rstrip().endswith(".") else _full_stop(tail.text))
    written[-1] = replace(tail, text=tail.text.rstrip(), punctuation=stop)
    begin_ms, end_ms = words[0].begin_ms, words[-1].end_ms
    if begin_ms == end_ms:  # a word that was given no length, alone between two pauses
        begin_ms = max(begin_ms - 1, min(first.begin_ms, begin_ms))
        end_ms = max(end_ms, begin_ms + 1)
    return replace(
        first,
        begin_ms=begin_ms,
        end_ms=end_ms,
        text="".join(word.text + word.punctuation for word in written),
        words=tuple(written),
    )


def _with_capital_i(word: Word) -> Word:
    spoken = word.text.strip()
    return replace(word, text="I" + word.text[1:]) if spoken == "i" or spoken.startswith("i'") else word


def _full_stop(text: str) -> str:
    return "。" if is_unspaced(text.rstrip()[-1]) else "."
