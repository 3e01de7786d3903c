"""Where captions may break: sentences as pieces of text that stay whole, and how well each piece ends a line.

Scripts with spaces break there. Chinese is cut into its words by rjieba, Japanese and Thai into phrases by BudouX; no
piece begins with a mark that closes or ends with one that opens, whatever word the marks belong to.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal
from unicodedata import category

from rich.cells import cell_len

from dashscribe.render.caption_style import CaptionStyle
from dashscribe.types import Sentence, Word, is_unspaced
from dashscribe.words import ABBREVIATIONS, written_words

if TYPE_CHECKING:
    import budoux

#: Unicode categories of the marks that no line begins with, and of those that no line ends with.
_CLOSING, _OPENING = {"Po", "Pe", "Pf"}, {"Ps", "Pi"}
#: What else begins no line (JIS X 4051): small kana, marks that repeat or lengthen, units of a number.
_NEVER_FIRST = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶーゝゞヽヾ々〻‰℃℉°")
#: Chinese words that lean on the one before them.
_PARTICLES = frozenset("的地得了着过吗呢吧啊呀嘛么们")
_CLAUSE_ENDS = tuple(",.;:!?)，。；：！？、）…—")
_QUOTES = "\"'”’»」』"
#: Words that lean on the one after them: a line that ends with one stops where nobody would.
_LEANING = frozenset(
    (
        *("a", "an", "the", "this", "these", "those", "no", "my", "your", "his", "her", "its", "our", "their"),
        *("of", "to", "in", "on", "at", "by", "for", "from", "with", "into", "as", "than", "and", "or", "but", "nor"),
        *("if", "that", "i", "you", "he", "she", "we", "they", "is", "are", "was", "were", "not"),
    )
)
_TITLES = frozenset(("mr", "mrs", "ms", "dr", "prof", "st", "no", "vol", "fig"))
_UNITS = frozenset(
    (
        *("kg", "g", "mg", "t", "lb", "lbs", "oz", "km", "m", "cm", "mm", "mi", "ft", "l", "ml", "s", "ms", "min", "h"),
        *("hz", "khz", "mhz", "ghz", "kb", "mb", "gb", "tb", "w", "kw", "v", "°c", "°f", "%", "percent"),
        *("am", "pm", "a.m", "p.m", "thousand", "million", "billion"),
    )
)
_NUMBER = re.compile(r"\d(?:[\d.,:/]*\d)?$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: What stands in front of the next word: all behind a last space, else marks that open and signs of currency.
_FOR_NEXT = re.compile(r"(?<=\s)[^\s\w,.;:!?)，。、；：！？）…]+$")
_KANA, _THAI = re.compile("[\u3041-\u30ff]"), re.compile("[\u0e01-\u0e5b]")


@dataclass(frozen=True, slots=True)
class Piece:
    """What no break may part: a word or phrase with its marks, its time and who speaks."""

    begin_ms: int
    end_ms: int
    text: str
    voice: str = ""
    ends_sentence: bool = False

    @property
    def break_cost(self) -> float:
        """How bad a break behind this piece is: 0 where a clause ends, up to 0.6."""
        if self.ends_sentence or _ends_clause(self.text):
            return 0.0
        return 0.6 if self.text.strip().lower() in _LEANING else 0.3


def pieces_of(sentence: Sentence, style: CaptionStyle, voice: str) -> list[Piece]:
    """The pieces of a sentence, none of them blank, spanning exactly its time; white space only at their ends."""
    pieces: list[Piece] = []
    for piece in _atoms(sentence, style):
        if pieces and not _may_part(pieces[-1].text, piece.text):
            last = pieces.pop()
            piece = Piece(last.begin_ms, piece.end_ms, last.text + piece.text)
        pieces.append(piece)
    pieces = [replace(p, voice=voice) for p in _phrases(pieces, style) if p.text.strip()]
    if pieces:
        pieces[0] = replace(pieces[0], begin_ms=sentence.begin_ms, text=pieces[0].text.lstrip())
        pieces[-1] = replace(pieces[-1], end_ms=sentence.end_ms, ends_sentence=True)
    return pieces


def _atoms(sentence: Sentence, style: CaptionStyle) -> Iterator[Piece]:
    """The words with their marks, save those marks that belong in front of the next word."""
    held = ""
    words = sentence.words or (Word(sentence.begin_ms, sentence.end_ms, sentence.text),)
    parts = [part for word in words for part in _parts(word, style)]
    for number, part in enumerate(parts, start=1):
        text = held + part.text
        held = "" if number == len(parts) else _for_next(text)
        yield replace(part, text=text.removesuffix(held))


def _parts(word: Word, style: CaptionStyle) -> Iterator[Piece]:
    """The word, or what it consists of if it fits no cue, as a whole text without words does: times by length."""
    text = plain(word.text + word.punctuation)
    if cell_len(text) <= style.columns and word.end_ms - word.begin_ms <= style.max_ms:
        yield Piece(word.begin_ms, word.end_ms, text)
        return
    written = [entry.text + entry.tail for entry in written_words(text)] or [text]
    texts = [part for one in written for part in (_budoux("thai").parse(one) if _THAI.search(one) else [one])]
    length_ms = word.end_ms - word.begin_ms
    for part, (begin, end) in zip(texts, pairwise(accumulate(map(len, texts), initial=0)), strict=True):
        share = (length_ms * begin // max(len(text), 1), length_ms * end // max(len(text), 1))
        yield Piece(word.begin_ms + share[0], word.begin_ms + share[1], part)


def plain(text: str) -> str:
    """The text without control characters, every run of white space as one space."""
    return _CONTROL.sub("", re.sub(r"\s+", " ", text))


def _for_next(text: str) -> str:
    if found := _FOR_NEXT.search(text):
        return found.group()
    begin = len(text.rstrip())
    while begin and (category(text[begin - 1]) in _OPENING or _is_currency(text, begin - 1)):
        begin -= 1
    return text[begin:] if text[begin:].strip() else ""


def _is_currency(text: str, at: int) -> bool:
    """Whether a sign of currency stands in front of its amount."""
    return category(text[at]) == "Sc" and not text[max(at - 1, 0)].isdigit()


def _may_part(left: str, right: str) -> bool:
    """Whether there can be a break at all: at a space or beside a script without them, unless marks forbid."""
    first, last = right.strip()[:1], left.strip()[-1:]
    if not first or not last or category(first).startswith("M") or first == "\u200d" or last == "\u200d":
        return False
    if left.endswith(" ") or right.startswith(" "):
        only_closes = all(category(c) in _CLOSING for c in right.strip())
        return not only_closes and not all(category(c) in _OPENING for c in left.strip())
    if _closes(first) or category(last) in _OPENING:
        return False
    return _stands_alone(first) or _stands_alone(last) or last == "—"


def _closes(character: str) -> bool:
    return category(character) in _CLOSING or character in _NEVER_FIRST


def _stands_alone(character: str) -> bool:
    return is_unspaced(character) or _THAI.match(character) is not None


def _phrases(pieces: list[Piece], style: CaptionStyle) -> Iterator[Piece]:
    """The pieces of each phrase as one, unless no line or no cue would hold it."""
    text = "".join(piece.text for piece in pieces)
    starts = _phrase_starts(text)
    at = begin = 0
    for end, piece in enumerate(pieces, start=1):
        at += len(piece.text)
        if end < len(pieces) and not _parts_phrases(piece.text, pieces[end].text, at, starts):
            continue
        phrase = Piece(pieces[begin].begin_ms, piece.end_ms, "".join(part.text for part in pieces[begin:end]))
        fits = cell_len(phrase.text.strip()) <= style.columns and phrase.end_ms - phrase.begin_ms <= style.max_ms
        yield from [phrase] if fits else pieces[begin:end]
        begin = end


def _parts_phrases(left: str, right: str, at: int, starts: set[int]) -> bool:
    """Whether a phrase ends between two pieces, the second of which begins at ``at``."""
    before, behind = left.strip().lower(), right.strip().lower()
    if _NUMBER.search(before) and behind.rstrip(",.;:!?") in _UNITS:
        return False
    if before.endswith(".") and before[:-1] in _TITLES:
        return False
    if left.endswith(" ") or right.startswith(" "):
        return True
    # 2019年, 3.5公斤, 第3章: counted in one word or two, by whoever wrote the dictionary.
    counted = (before[-1:].isdigit() and is_unspaced(behind[:1])) or (before.endswith("第") and behind[:1].isdigit())
    return at in starts and not counted


def _phrase_starts(text: str) -> set[int]:
    """Where words of Chinese or phrases of Japanese or Thai begin; every place in other texts."""
    if _THAI.search(text):
        parts = _budoux("thai").parse(text)
    elif _KANA.search(text):
        parts = _budoux("japanese").parse(text)
    elif any(map(is_unspaced, text)):
        # Here, not above: it reads its dictionary when it is imported, 0.2 s and 33 MB.
        import rjieba

        return {begin for part, begin, _ in rjieba.tokenize(text) if part not in _PARTICLES}
    else:
        return set(range(len(text)))
    return set(accumulate(map(len, parts), initial=0))


@functools.cache
def _budoux(language: Literal["japanese", "thai"]) -> budoux.Parser:
    import budoux

    return budoux.load_default_thai_parser() if language == "thai" else budoux.load_default_japanese_parser()


def _ends_clause(text: str) -> bool:
    bare = text.rstrip().rstrip(_QUOTES)
    if bare.endswith("."):
        spoken = bare[:-1].rsplit(" ", 1)[-1].lower()
        return len(spoken) > 1 and spoken not in ABBREVIATIONS
    return bare.endswith(_CLAUSE_ENDS)
