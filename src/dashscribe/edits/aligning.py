"""New texts for sentences whose words have times: what stayed keeps its times, what is new shares those it replaces.

Texts are compared word by word, without regard to case, width and marks. Whoever moves a comma or a capital loses no
time, and a word that an engine gave as one stays one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

from dashscribe.errors import InvalidParameterError
from dashscribe.types import Sentence, Span, Word
from dashscribe.words import Written, written_words

#: White space and control characters, which no text of ours holds but for single spaces.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def tidy(text: str) -> str:
    """A text as it is kept: every run of white space and control characters is one space, none at its ends."""
    return _BLANK.sub(" ", text).strip()


def comparable(text: str) -> str:
    """What two words have in common that differ in case, width or marks before them only."""
    start = next((at for at, letter in enumerate(text) if letter.isalnum()), 0)
    return unicodedata.normalize("NFKC", text[start:]).casefold()


def numbered(*sequences: Sequence[Hashable]) -> list[list[int]]:
    """The same sequences with a number for each value, so that equal numbers are equal values and not only hashes."""
    known: dict[Hashable, int] = {}
    return [[known.setdefault(value, len(known)) for value in sequence] for sequence in sequences]


def reworded(old: Sequence[Sentence], texts: Sequence[str]) -> list[Sentence]:
    """Sentences with these texts in the place of ``old``, which are consecutive ones of a channel.

    They lie in the same stretch of time; the first and the last reach to its ends. Texts are ``tidy`` and not empty.
    What a sentence has besides text, words and times is that of the old one in whose time it begins. Raises
    InvalidParameterError where there is too little time for so many.
    """
    span = Span(old[0].begin_ms, old[-1].end_ms)
    if span.duration_ms < len(texts):
        raise InvalidParameterError(
            f"{len(texts)} sentences do not fit into the {span.duration_ms} ms of those that they replace.", "replace"
        )
    words = [word for sentence in old for word in sentence.words]
    parts = _parts(old, words, texts)
    bounds = _timed(parts, words, span, len(texts))
    return [_sentence(text, mine, old, bound) for text, mine, bound in zip(texts, _by_text(parts), bounds, strict=True)]


@dataclass(slots=True)
class _Part:
    """A word of a new text, by number: where it stands, and ``heard`` if it stayed, with the old words' places."""

    text: int
    begin: int
    end: int
    heard: Word | None = None
    first: int = 0
    last: int = 0
    begin_ms: int = 0
    end_ms: int = 0


@dataclass(slots=True)
class _Unit:
    """The fewest words of a text that spell whole old words, or the other way round: as a rule one of each."""

    key: tuple[str, ...]
    text: int
    begin: int
    end: int
    first: int = 0
    last: int = 0


def _parts(old: Sequence[Sentence], words: Sequence[Word], texts: Sequence[str]) -> list[_Part]:
    """The words of the new texts in order; those that stayed are known by their old words."""
    from rapidfuzz.distance import Indel  # loaded by the first edit

    from dashscribe.edits.stretches import opcodes

    mine, tokens = _old_units(old), _new_tokens(texts)
    # What is the same at both ends goes first: it is most of it, and there is no doubt about what belongs together.
    begins = _same(mine, tokens)
    between, left_over = mine[len(begins) :], tokens[sum(len(unit.key) for unit in begins) :]
    ends = _same(between[::-1], left_over[::-1], backwards=True)
    between = between[: len(between) - len(ends)]
    left_over = left_over[: len(left_over) - sum(len(unit.key) for unit in ends)]
    rest = _grouped(left_over, {unit.key for unit in between})
    parts = [part for unit, new in zip(mine, begins, strict=False) for part in _stayed(unit, new, words)]
    left, right = numbered([unit.key for unit in between], [unit.key for unit in rest])
    for step in opcodes(left, right, Indel.opcodes):
        fresh = rest[step.dest_start : step.dest_end]
        if step.tag != "equal":
            parts += (_Part(unit.text, unit.begin, unit.end) for unit in fresh)
            continue
        for before, unit in zip(between[step.src_start : step.src_end], fresh, strict=True):
            parts += _stayed(before, unit, words)
    for unit, new in zip(mine[len(mine) - len(ends) :], ends[::-1], strict=True):
        parts += _stayed(unit, new, words)
    return parts


def _by_text(parts: Sequence[_Part]) -> list[list[_Part]]:
    """The parts of each text, every one of which has some."""
    return [list(mine) for _, mine in groupby(parts, key=lambda part: part.text)]


def _same(mine: Sequence[_Unit], tokens: Sequence[_Unit], *, backwards: bool = False) -> list[_Unit]:
    """The new units that are the first of the old ones, as far as they are."""
    found: list[_Unit] = []
    at = 0
    for unit in mine:
        some = tokens[at : at + len(unit.key)]
        some = some[::-1] if backwards else some
        if not some or _key(some) != unit.key or some[0].text != some[-1].text:
            break
        found.append(_Unit(unit.key, some[0].text, some[0].begin, some[-1].end))
        at += len(some)
    return found


def _tokens(text: str) -> list[Written]:
    """The words of a text; one of marks only, such as ♪, is a word by itself."""
    return written_words(text) or ([Written(text, "", 0, len(text))] if text else [])


def _old_units(old: Sequence[Sentence]) -> list[_Unit]:
    units: list[_Unit] = []
    at = 0
    for number, sentence in enumerate(old):
        owners = [place for place, word in enumerate(sentence.words, at) for _ in word.text + word.punctuation]
        at += len(sentence.words)
        for token in _tokens(sentence.text) if owners else ():
            first, last, key = owners[token.begin], owners[token.end - 1], comparable(token.text)
            if units and units[-1].text == number and units[-1].last >= first:
                units[-1].key += (key,)
                units[-1].end, units[-1].last = token.end, last
            else:
                units.append(_Unit((key,), number, token.begin, token.end, first, last))
    return units


def _new_tokens(texts: Sequence[str]) -> list[_Unit]:
    return [
        _Unit((comparable(token.text),), number, token.begin, token.end)
        for number, text in enumerate(texts)
        for token in _tokens(text)
    ]


def _grouped(tokens: Sequence[_Unit], known: set[tuple[str, ...]]) -> list[_Unit]:
    """The words of the new texts, those of a phrase that an old word spells as one."""
    lengths: dict[str, list[int]] = defaultdict(list)
    for phrase in sorted(known, key=len, reverse=True):
        lengths[phrase[0]].append(len(phrase))
    units: list[_Unit] = []
    at = 0
    while at < len(tokens):
        some = [tokens[at]]
        for count in lengths.get(tokens[at].key[0], ()):
            phrase = tokens[at : at + count]
            if _key(phrase) in known and phrase[0].text == phrase[-1].text:
                some = phrase
                break
        units.append(_Unit(_key(some), some[0].text, some[0].begin, some[-1].end))
        at += len(some)
    return units


def _key(tokens: Sequence[_Unit]) -> tuple[str, ...]:
    return tuple(token.key[0] for token in tokens)


def _stayed(before: _Unit, unit: _Unit, words: Sequence[Word]) -> list[_Part]:
    """A unit that both have, as the old words that it consists of."""
    mine = words[before.first : before.last + 1]
    if len(mine) == 1:
        return [_Part(unit.text, unit.begin, unit.end, mine[0], before.first, before.last)]
    # Several words for what the text has as one ("it" and "'s"): parted as before where that can be told.
    edges = [0, *accumulate(len(word.text + word.punctuation) for word in mine)]
    if edges[-2] >= unit.end - unit.begin or before.end - before.begin != unit.end - unit.begin:
        together = Word(mine[0].begin_ms, mine[-1].end_ms, "", approximate=any(word.approximate for word in mine))
        return [_Part(unit.text, unit.begin, unit.end, together, before.first, before.last)]
    edges[-1] = unit.end - unit.begin
    return [
        _Part(unit.text, unit.begin + begin, unit.begin + end, word, place, place)
        for (begin, end), word, place in zip(pairwise(edges), mine, range(before.first, before.last + 1), strict=True)
    ]


# --- times ------------------------------------------------------------------------------------------------------------


def _timed(parts: list[_Part], words: Sequence[Word], span: Span, texts: int) -> list[Span]:
    """Give every part its time; the bounds of the texts, each of which has some."""
    reach = 1
    while True:
        _share(parts, words, span)
        bounds = _bounds(parts, span, texts)
        empty = next((number for number, bound in enumerate(bounds) if bound.duration_ms <= 0), None)
        if empty is None:
            return bounds
        if not _let_go(parts, empty, reach):
            return _evenly(parts, span, texts)
        reach *= 2


def _share(parts: Sequence[_Part], words: Sequence[Word], span: Span) -> None:
    """Those that stayed have their times; a run of new ones shares that of the words that it replaces by length.

    A run that replaces nothing gets the pause that it stands in, which may be none at all.
    """
    at, behind, floor_ms = 0, 0, span.begin_ms
    while at < len(parts):
        part = parts[at]
        if part.heard is not None:
            part.begin_ms, part.end_ms = part.heard.begin_ms, part.heard.end_ms
            behind, floor_ms = part.last + 1, part.end_ms
            at += 1
            continue
        until = next((place for place in range(at, len(parts)) if parts[place].heard is not None), len(parts))
        following = parts[until] if until < len(parts) else None
        ceiling_ms = following.heard.begin_ms if following and following.heard else span.end_ms
        gone = words[behind : following.first if following else len(words)]
        bounds = Span(gone[0].begin_ms, gone[-1].end_ms) if gone else Span(floor_ms, ceiling_ms)
        if not behind and following is None:
            bounds = span  # nothing stayed
        _spread(parts[at:until], bounds)
        at = until


def _spread(parts: Sequence[_Part], bounds: Span) -> None:
    edges = [0, *accumulate(part.end - part.begin for part in parts)]
    for part, (begin, end) in zip(parts, pairwise(edges), strict=True):
        part.begin_ms = bounds.begin_ms + bounds.duration_ms * begin // edges[-1]
        part.end_ms = bounds.begin_ms + bounds.duration_ms * end // edges[-1]


def _bounds(parts: Sequence[_Part], span: Span, texts: int) -> list[Span]:
    """From the first word of each text to its last; the outer ones reach to the ends."""
    firsts: dict[int, _Part] = {}
    lasts: dict[int, _Part] = {}
    for part in parts:
        firsts.setdefault(part.text, part)
        lasts[part.text] = part
    begins = [span.begin_ms, *(firsts[number].begin_ms for number in range(1, texts))]
    ends = [*(lasts[number].end_ms for number in range(texts - 1)), span.end_ms]
    return [Span(begin_ms, end_ms) for begin_ms, end_ms in zip(begins, ends, strict=True)]


def _let_go(parts: Sequence[_Part], text: int, reach: int) -> bool:
    """Treat words around a text without time as new, so that it shares theirs; False if there is none any more."""
    known = [place for place, part in enumerate(parts) if part.heard is not None]
    inside = [place for place in known if parts[place].text == text]
    before = [place for place in known if parts[place].text < text][-reach:]
    behind = [place for place in known if parts[place].text > text][: 0 if before else reach]
    for place in (*inside, *before, *behind):
        parts[place].heard = None
    return bool(known)


def _evenly(parts: Sequence[_Part], span: Span, texts: int) -> list[Span]:
    """Share the whole stretch by length, at least a millisecond for each text."""
    mine = _by_text(parts)
    edges = [0, *accumulate(sum(part.end - part.begin for part in text) for text in mine)]
    bounds: list[Span] = []
    begin_ms = span.begin_ms
    for number, text in enumerate(mine):
        share_ms = span.begin_ms + span.duration_ms * edges[number + 1] // edges[-1]
        end_ms = min(max(share_ms, begin_ms + 1), span.end_ms - (texts - 1 - number))
        bounds.append(Span(begin_ms, end_ms))
        _spread(text, bounds[-1])
        begin_ms = end_ms
    return bounds


def _sentence(text: str, parts: Sequence[_Part], old: Sequence[Sentence], bounds: Span) -> Sentence:
    ends = [*(part.begin for part in parts[1:]), len(text)]
    begins = [0, *(part.begin for part in parts[1:])]
    words = tuple(
        _word(text[begin : part.end], text[part.end : end], part)
        for part, begin, end in zip(parts, begins, ends, strict=True)
    )
    like = next((sentence for sentence in reversed(old) if sentence.begin_ms <= bounds.begin_ms), old[0])
    return replace(like, begin_ms=bounds.begin_ms, end_ms=bounds.end_ms, text=text, words=words)


def _word(core: str, tail: str, part: _Part) -> Word:
    confidence = part.heard.confidence if part.heard else None
    approximate = part.heard.approximate if part.heard else True
    text, punctuation = (core, tail) if tail.strip() else (core + tail, "")
    return Word(part.begin_ms, part.end_ms, text, punctuation, confidence, approximate)
