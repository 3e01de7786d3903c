"""Taking words out of a sentence: what becomes of the marks and spaces around the hole, of capitals and of times.

Which words go is decided elsewhere. No word's time moves; a sentence that loses its first or last word begins or ends
with the ones that are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dashscribe.types import Sentence, Word, is_unspaced
from dashscribe.words import STOPS

_OPENING, _CLOSING = "“‘「『（(《〈【[{«", "”’」』）)》〉】]}»"
_MARKS = re.compile(rf"[{re.escape(_OPENING + _CLOSING)}\"]|[^{re.escape(_OPENING + _CLOSING)}\"\s]+")
_COMMA, _STOP = 1, 3
#: What joins the parts of a word and is left alone when one of them goes.
_JOINTS = "-'’/&.@:_+"


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch of a sentence's text that goes; the marks behind a word that goes with it stay if ``marks`` do."""

    begin: int
    end: int
    marks: bool = True


@dataclass(frozen=True, slots=True)
class _Gone:
    """A word of which nothing is left: the marks in front of it, those behind it that count, and the word itself."""

    word: Word
    before: str
    behind: str


def cut(sentence: Sentence, holes: Iterable[Hole]) -> Sentence | None:
    """The sentence without what lies in the holes; None if no word is left of it."""
    flags = bytearray(len(sentence.text))
    for hole in holes:
        flags[hole.begin : hole.end] = (b"\1" if hole.marks else b"\2") * (hole.end - hole.begin)
    kept: list[Word] = []
    run: list[_Gone] = []
    at = 0
    for word in sentence.words:
        end = at + len(word.text) + len(word.punctuation)
        left = _without(word, flags[at:end])
        at = end
        if isinstance(left, _Gone):
            run.append(left)
            continue
        if run:
            left = _joined(kept, run, left)
            run = []
        kept.append(left)
    if not kept:
        return None
    if run:
        _ended(kept, run)
    return _rebuilt(sentence, kept)


def _without(word: Word, flags: bytearray) -> Word | _Gone:
    """What is left of a word, given which of its characters go."""
    if not any(flags):
        return word
    size = len(word.text)
    text = "".join(c for c, flag in zip(word.text, flags, strict=False) if not flag)
    marks = "".join(c for c, flag in zip(word.punctuation, flags[size:], strict=True) if not flag)
    if not any(flags[:size]):
        return replace(word, punctuation=marks)
    if not any(c.isalnum() or c == "*" for c in text):
        at = next(i for i, flag in enumerate(flags) if flag)
        counts = all(flag != 2 for flag in flags[:size])
        return _Gone(word, word.text[:at].strip(), marks.strip() if counts else "")
    body = text.rstrip()
    if flags[0]:
        body = body.lstrip(_JOINTS)
    if flags[len(word.text.rstrip()) - 1]:
        body = body.rstrip(_JOINTS)
    return replace(word, text=body + text[len(text.rstrip()) :], punctuation=marks)


def _joined(kept: list[Word], run: Sequence[_Gone], following: Word) -> Word:
    """Close the hole between the last of ``kept``, which gets the marks that stay, and ``following``."""
    before = kept[-1] if kept else None
    own = before.punctuation.strip() if before else ""
    mark = _merged(own, run)
    if following.text.islower() and _began(run, before is None or _weight(own) == _STOP):
        following = replace(following, text=following.text[:1].upper() + following.text[1:])
    if before is None:
        opening = "".join(c for c in mark if c in _OPENING)
        return replace(following, text=opening + following.text) if opening else following
    right = _ends_with_space(run[-1].word)
    if mark:
        spaced = right
    else:  # two words must not become one; of the two spaces around the hole one goes with it
        parted = not is_unspaced(before.text.rstrip()[-1:]) and not is_unspaced(following.text[:1])
        spaced = parted or (right and _ends_with_space(before))
    kept[-1] = _marked(before, mark, " " if spaced else "")
    return following


def _began(run: Iterable[_Gone], begins: bool) -> bool:
    """Whether what follows the run stands where a sentence had begun with a capital; ``begins``: the run begins one."""
    capital = False
    for gone in run:
        capital = gone.word.text.lstrip(_OPENING + '"')[:1].isupper() if begins else capital
        begins = _weight(gone.behind) == _STOP
        capital = capital and not begins
    return capital


def _ended(kept: list[Word], run: Sequence[_Gone]) -> None:
    """Give the last of ``kept`` the marks with which the sentence ended."""
    mark = _merged(kept[-1].punctuation.strip(), run)
    if _weight(mark) == _COMMA and not run[-1].behind:
        mark = ""  # it led on to what is gone
    kept[-1] = _marked(kept[-1], mark, "")


def _marked(word: Word, mark: str, space: str) -> Word:
    text = word.text.rstrip()
    return replace(word, text=text if mark else text + space, punctuation=mark + space if mark else "")


def _ends_with_space(word: Word) -> bool:
    return (word.text + word.punctuation)[-1:].isspace()


def _merged(own: str, run: Iterable[_Gone]) -> str:
    """The marks of a word and those behind it as one: empty brackets go, of marks in a row the weightiest stays."""
    found = _MARKS.findall(own + "".join(gone.before + " " + gone.behind + " " for gone in run))
    marks: list[str] = []
    for mark in found:
        last = marks[-1] if marks else ""
        if _closes(last, mark):
            marks.pop()
        elif _weight(mark) and last and last in _OPENING:
            continue
        elif _weight(mark) and _weight(last):
            marks[-1] = max(last, mark, key=_weight)
        else:
            marks.append(mark)
    return "".join(marks)


def _closes(opening: str, mark: str) -> bool:
    """Whether the mark closes the quote or bracket right before it."""
    if not opening or mark == '"':
        return mark == opening
    return opening in _OPENING and mark in _CLOSING and _OPENING.index(opening) == _CLOSING.index(mark)


def _weight(mark: str) -> int:
    """How much a mark parts: 0 for brackets and nothing."""
    bare = mark.strip(_OPENING + _CLOSING + '" ')
    if not bare:
        return 0
    if not STOPS.isdisjoint(bare) or bare.endswith("."):
        return _STOP
    return _COMMA + 1 if any(c in "；;：:—" for c in bare) else _COMMA


def _rebuilt(sentence: Sentence, words: Sequence[Word]) -> Sentence:
    """The sentence with these of its words; its bounds follow where its first or last word is gone."""
    begin_ms = sentence.begin_ms if words[0].begin_ms == sentence.words[0].begin_ms else words[0].begin_ms
    end_ms = sentence.end_ms if words[-1].end_ms == sentence.words[-1].end_ms else words[-1].end_ms
    if begin_ms >= end_ms:  # a word that was given no length of its own
        begin_ms, end_ms = sentence.begin_ms, sentence.end_ms
    text = "".join(word.text + word.punctuation for word in words)
    return replace(sentence, begin_ms=begin_ms, end_ms=end_ms, text=text, words=tuple(words))
