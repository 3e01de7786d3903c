"""Sensitive words: those of a call become asterisks or vanish, those of the operator's list become asterisks.

Owns what counts as a hit. Words of scripts with spaces count only as whole words, those of scripts without them
anywhere. Hits are searched until there are none left, since what remains around a word that went may be another one.
"""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import ahocorasick

from dashscribe.enrich.cutting import Hole, cut
from dashscribe.enrich.itn import Normalizer, in_digits, may_count
from dashscribe.errors import ConfigError
from dashscribe.types import Censor, Sentence, Word, is_unspaced

logger = logging.getLogger(__name__)

MASK = "*"
#: What is left of a word in front of an English apostrophe is another word, not this one.
_CONTRACTED = frozenset(("s", "t", "d", "m", "ll", "re", "ve"))
_APOSTROPHES = "'’"
#: Written for an apostrophe, by engines and in lists.
_QUOTES = "’‘ʼ"
#: Thai and Lao, Burmese, Khmer: letters without spaces between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
#: Zero-width characters and variation selectors, which no reader sees.
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text as it is compared: narrow, decomposed, without case; ``places`` are where its characters come from."""

    text: str
    places: Sequence[int]


@dataclass(frozen=True, slots=True, order=True)
class _Hit:
    """A listed word in a folded text, in the order in which hits count: the longest first, masked before removed."""

    shortness: int
    removes: bool
    begin: int
    end: int


class Lexicon:
    """Words to search for, all at once: the time does not depend on how many there are."""

    def __init__(self, masked: Iterable[str] = (), removed: Iterable[str] = ()) -> None:
        found: dict[str, bool] = {}
        self._counting: dict[str, bool] = {}
        self._written: Lexicon | None = None
        for words, removes in ((removed, True), (masked, False)):
            for word in words:
                text = _fold(word.strip()).text
                if any(character.isalnum() for character in text):
                    found[text] = removes
                    if may_count(word):
                        self._counting[word] = removes
        self._automaton: Any = None
        if found:
            automaton = cast("Any", ahocorasick).Automaton()
            for text, removes in found.items():
                automaton.add_word(text, (len(text), removes))
            automaton.make_automaton()
            self._automaton = automaton

    def __bool__(self) -> bool:
        """Whether there is anything to search for."""
        return self._automaton is not None

    def written(self, normalizer: Normalizer) -> Lexicon:
        """Its words that say numbers, as those are written in digits; what the normalizer raises passes through."""
        if self._written is None:
            written = zip(in_digits(list(self._counting), normalizer), self._counting.items(), strict=True)
            forms = [(form, removes) for form, (word, removes) in written if form != word]
            self._written = Lexicon(*([form for form, removes in forms if removes is kind] for kind in (False, True)))
        return self._written

    def hits(self, folded: _Folded) -> Iterator[_Hit]:
        """Every place where a word of the list stands as a word."""
        if self._automaton is None:
            return
        for last, (size, removes) in self._automaton.iter(folded.text):
            begin, end = last + 1 - size, last + 1
            if _is_whole(folded, begin, end):
                yield _Hit(-size, removes, begin, end)


NONE = Lexicon()


def lexicons(asked: Censor, path: Path | None = None) -> tuple[Sequence[Lexicon], str]:
    """What a call wants to be searched for, with the operator's list if there is a ``path``; and a note of trouble."""
    system, note = system_list(path) if asked.system else (NONE, "")
    own = _lexicon(asked.masked, asked.removed)
    return [lexicon for lexicon in (own, system) if lexicon], note


def censor(sentences: Iterable[Sentence], lexicons: Sequence[Lexicon]) -> Iterator[Sentence]:
    """The sentences without the words of the lists; one of which nothing is left is left out."""
    for sentence in sentences:
        left: Sentence | None = sentence
        while left is not None and (hits := _chosen(_fold(left.text), lexicons)):
            left = _without(left, hits)
        if left is not None:
            yield left


@lru_cache(maxsize=16)  # a task's files, and a caller's calls, come with the same list
def _lexicon(masked: tuple[str, ...], removed: tuple[str, ...]) -> Lexicon:
    return Lexicon(masked, removed)


def _chosen(folded: _Folded, lexicons: Sequence[Lexicon]) -> list[tuple[int, int, bool]]:
    """The hits that count, none of which overlap, as places in the text; with whether the word is removed."""
    hits = sorted(hit for lexicon in lexicons for hit in lexicon.hits(folded))
    taken = bytearray(len(folded.text))
    chosen: list[tuple[int, int, bool]] = []
    for hit in hits:
        if not any(taken[hit.begin : hit.end]):
            taken[hit.begin : hit.end] = b"\1" * (hit.end - hit.begin)
            chosen.append((folded.places[hit.begin], folded.places[hit.end - 1] + 1, hit.removes))
    return chosen


def _without(sentence: Sentence, hits: Iterable[tuple[int, int, bool]]) -> Sentence | None:
    """The sentence with its hits masked or removed, its words with them."""
    text = list(sentence.text)
    holes: list[Hole] = []
    for begin, end, removes in hits:
        if removes:
            holes.append(Hole(begin, end + _possessive(sentence.text, end)))
        else:
            # Spaces stay: they part words, and asterisks in their place would tell nothing less.
            text[begin:end] = [c if c.isspace() else MASK for c in text[begin:end]]
    masked = "".join(text)
    if masked != sentence.text:
        sentence = replace(sentence, text=masked, words=tuple(_spelled(sentence.words, masked)))
    return cut(sentence, holes) if holes else sentence


def _spelled(words: Iterable[Word], text: str) -> Iterator[Word]:
    """The words with a text of the same length."""
    at = 0
    for word in words:
        middle, end = at + len(word.text), at + len(word.text) + len(word.punctuation)
        yield replace(word, text=text[at:middle], punctuation=text[middle:end])
        at = end


def _possessive(text: str, at: int) -> int:
    """Length of an English genitive's ending here, which goes with its word."""
    return 2 if re.compile(rf"[{_APOSTROPHES}][sS](?!\w)").match(text, at) else 0


def _is_whole(folded: _Folded, begin: int, end: int) -> bool:
    """Whether a stretch consists of whole characters and, in scripts with spaces, of whole words."""
    text, places = folded.text, folded.places
    if begin and places[begin - 1] == places[begin]:
        return False
    if end < len(text) and (places[end - 1] == places[end] or unicodedata.category(text[end])[0] == "M"):
        return False
    return not (_goes_before(text, begin, end) or _goes_behind(text, begin, end))


def _goes_before(text: str, begin: int, end: int) -> bool:
    """Whether the word at ``begin`` began before it."""
    if not begin or not _is_spaced(text[begin]):
        return False
    last, before = text[begin - 1], text[begin - 2 : begin - 1]
    if last == "'":
        return (before.isalpha() or before == MASK) and text[begin:end] in _CONTRACTED
    if last in ".,:":
        return before.isdigit() and text[begin].isdigit()
    return last == "_" or _is_spaced(last)


def _goes_behind(text: str, begin: int, end: int) -> bool:
    """Whether the word that ends at ``end`` goes on behind it: 3 in 3.5, don in don't, C in C++."""
    if end == len(text) or not _is_spaced(text[end - 1]):
        return False
    following, further = text[end], text[end + 1 : end + 2]
    if following == "'":
        return further == "t" and not text[end + 2 : end + 3].isalnum()
    if following in ".,:":
        return further.isdigit() and text[end - 1].isdigit()
    if _is_jamo(text[end - 1]):
        return False  # Korean words take their endings without a space
    return following in "_+#" or _is_spaced(following)


def _is_spaced(character: str) -> bool:
    """Whether a folded character is a letter or digit of writing with spaces between words, or a mark on one."""
    written = character.isalnum() or unicodedata.category(character)[0] == "M"
    return written and not (is_unspaced(character) or _UNSPACED.match(character))


def _is_jamo(character: str) -> bool:
    return "\u1100" <= character <= "\u11ff"


def _fold(text: str) -> _Folded:
    """Compare full and half width, upper and lower case, composed and decomposed letters, apostrophes as equals.

    One space stands for several; beside characters of writing without spaces there is none.
    """
    if text.isascii() and "  " not in text and text.isprintable():
        return _Folded(text.lower(), range(len(text)))
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for part in _parts(character):
            last = folded[-1] if folded else ""
            if part == " " and (last in ("", " ") or is_unspaced(last)):
                continue
            if last == " " and is_unspaced(part):
                folded.pop()
                places.pop()
            folded.append(part)
            places.append(place)
    return _Folded("".join(folded), places)


@lru_cache(maxsize=65_536)
def _parts(character: str) -> str:
    """What a character is compared as: nothing for what is not seen, several for ligatures and letters with marks."""
    if character.isspace():
        return " "
    if _UNSEEN.match(character):
        return ""
    if character in _QUOTES:
        return "'"
    narrow = unicodedata.normalize("NFKD", character)
    return unicodedata.normalize("NFKD", narrow.casefold()).replace(" ", "")


@dataclass(slots=True)
class _ListFile:
    """What was last read of an operator's list, and by what one sees that the file has changed."""

    stamp: tuple[int, int, int] | None = None
    lexicon: Lexicon = NONE


_files: dict[Path, _ListFile] = {}
_files_guard = threading.Lock()


def check_list(path: Path | None) -> None:
    """Read the operator's list, if there is one. Raises ConfigError, which names a file that cannot be read."""
    if path is None:
        return
    try:
        _read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"DASHSCRIBE_SENSITIVE_WORDS: {path} cannot be read: {_reason(error)}; name a text file in UTF-8 with a "
            "word on each line, or leave the setting out"
        ) from error


def system_list(path: Path | None) -> tuple[Lexicon, str]:
    """The words of the operator's list as it is now, and a note if only those read earlier are to be had."""
    if path is None:
        return NONE, ""
    try:
        return _read(path), ""
    except (OSError, UnicodeDecodeError) as error:
        logger.warning("the list of sensitive words %s cannot be read: %s", path, error)
        with _files_guard:
            last = _files.get(path)
        # Callers get to see the note, so that it names no folder of this machine.
        used = "the words read from it before count" if last else "no word of it was masked"
        return last.lexicon if last else NONE, f"the server's list of sensitive words: {_reason(error)}; {used}"


def _read(path: Path) -> Lexicon:
    """The words of the file, read again only when it has changed."""
    status = path.stat()
    stamp = status.st_mtime_ns, status.st_size, status.st_ino
    with _files_guard:
        known = _files.get(path)
    if known and known.stamp == stamp:
        return known.lexicon
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    # A hash inside a word is none of a comment: C#.
    words = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in lines)
    lexicon = Lexicon(masked=[word for word in words if word])
    with _files_guard:
        _files[path] = _ListFile(stamp, lexicon)
    return lexicon


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is not UTF-8"
