"""How a text is compared when somebody searches: in which pieces, and which of its characters each comes from.

A piece is a word of a script with spaces, or one character of a script without them, folded: compatibility forms are
undone (full width, ligatures), case and the accents of Latin letters do not count, marks and symbols are left out. A
text that holds another one as whole pieces is found by it, with or without the marks between them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dashscribe.types import is_unspaced

#: What stands between two pieces in a folded line. No piece holds one.
SEPARATOR = " "
#: Longest piece that is looked up as a whole, in characters: what follows is compared with the text itself.
MAX_GRAM_CHARS = 40
#: Most marks that count on a letter, as in Unicode's Stream-Safe Text Format (UAX #15, D3): no writing has as many.
#: What people pile up beyond that would make pieces of any length.
MAX_MARKS = 30
#: Vowels and final consonants of Korean syllables that came apart.
_JAMO = range(0x1160, 0x1200)


@dataclass(frozen=True, slots=True)
class Piece:
    """A word or character as it is compared, and where in the original it lies: code points, half-open."""

    text: str
    begin: int
    end: int
    is_character: bool


def pieces(text: str) -> list[Piece]:
    """The pieces of a text in order."""
    found: list[Piece] = []
    word: list[tuple[str, int, int]] = []

    def end_word() -> None:
        if word:
            letters = "".join(part for part, _, _ in word)
            found.append(Piece(letters, word[0][1], word[-1][2], is_character=False))
            word.clear()

    for first, last in _clusters(text):
        folded = _folded(text[first:last])
        # What comes to several things, such as ½, is in no word with what stands beside it: it can only be told whole.
        is_mixed = len(folded) > 1 and len({(bool(letters), is_character) for letters, is_character in folded}) > 1
        if is_mixed:
            end_word()
        for letters, is_character in folded:
            if letters and not is_character:
                word.append((letters, first, last))
                continue
            end_word()
            if letters:
                found.append(Piece(letters, first, last, is_character=True))
        if is_mixed:
            end_word()
    end_word()
    return found


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Characters with what combines with them: the stretches that are folded as one, none of them long."""
    begin = 0
    for at in range(1, len(text)):
        combines = not text[at].isascii() and _combines(text[at]) and at - begin <= MAX_MARKS
        # A vowel that is a mark and a letter (Thai, Lao) stands with its own letters; behind others it is by itself.
        if not combines or (_brings_a_letter(text[at]) and not _takes_a_letter(text[begin])):
            yield begin, at
            begin = at
    if text:
        yield begin, len(text)


@lru_cache(maxsize=16_384)
def _combines(character: str) -> bool:
    first = unicodedata.normalize("NFKC", character)[0]
    return unicodedata.category(first)[0] == "M" or ord(first) in _JAMO


@lru_cache(maxsize=16_384)
def _brings_a_letter(character: str) -> bool:
    return any(letter.isalnum() and ord(letter) not in _JAMO for letter in unicodedata.normalize("NFKC", character))


@lru_cache(maxsize=16_384)
def _takes_a_letter(character: str) -> bool:
    return _is_whole(unicodedata.normalize("NFKC", character)[-1])


@lru_cache(maxsize=65_536)
def _folded(cluster: str) -> tuple[tuple[str, bool], ...]:
    """What a cluster comes to: letters of a word, characters that are pieces by themselves, gaps (empty)."""
    found: list[tuple[str, bool]] = []
    for letter in unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold()):
        base = unicodedata.normalize("NFD", letter)[0]
        letter = base if base.isascii() and base.isalnum() else letter
        if unicodedata.category(letter)[0] == "M":
            # A vowel sign, which is nothing without its letter; on a Latin one it is an accent.
            if found and found[-1][0] and not found[-1][0].isascii():
                found[-1] = found[-1][0] + letter, found[-1][1]
        elif not letter.isalnum():
            found.append(("", False))
        else:
            found.append((letter, _is_whole(letter)))
    return tuple(found)


def _is_whole(letter: str) -> bool:
    """Whether a character is a piece: writing without spaces, and Korean, whose words carry their particles."""
    return (
        is_unspaced(letter)
        or "\uac00" <= letter <= "\ud7a3"
        or "\u1100" <= letter <= "\u11ff"
        or "\u0e00" <= letter <= "\u0eff"  # Thai, Lao
        or "\u1000" <= letter <= "\u109f"  # Burmese
        or "\u1780" <= letter <= "\u17ff"  # Khmer
    )


def folded_line(found: Iterable[Piece]) -> str:
    """Pieces as one line, with a separator on both sides of each: whoever searches for some finds them as a part."""
    inner = SEPARATOR.join(piece.text for piece in found)
    return f"{SEPARATOR}{inner}{SEPARATOR}"


def grams(found: Sequence[Piece]) -> Iterator[str]:
    """What PostgreSQL looks a line up by: its pieces, and each two characters that stand side by side."""
    before = None
    for piece in found:
        yield piece.text[:MAX_GRAM_CHARS]
        if before is not None and before.is_character and piece.is_character:
            yield before.text + piece.text
        before = piece


@dataclass(frozen=True, slots=True)
class Term:
    """What is searched for as it stands: pieces that follow each other."""

    pieces: tuple[Piece, ...]

    @property
    def line(self) -> str:
        """The part of a folded line that it is."""
        return folded_line(self.pieces)

    @property
    def grams(self) -> list[str]:
        """The fewest grams that whatever holds it has."""
        found, paired = list[str](), set[int]()
        for at in range(1, len(self.pieces)):
            left, right = self.pieces[at - 1], self.pieces[at]
            if left.is_character and right.is_character:
                found.append(left.text + right.text)
                paired |= {at - 1, at}
        found += [piece.text[:MAX_GRAM_CHARS] for at, piece in enumerate(self.pieces) if at not in paired]
        return list(dict.fromkeys(found))

    @property
    def is_gram(self) -> bool:
        """Whether whatever has its grams holds it, so that no text has to be looked at.

        A word said twice is one gram, and is not: where it stands once has that gram, too.
        """
        first, *more = self.pieces
        is_pair = len(more) == 1 and first.is_character and more[0].is_character
        return is_pair or (not more and len(first.text) <= MAX_GRAM_CHARS)

    def places(self, found: Sequence[Piece]) -> Iterator[tuple[int, int]]:
        """Where it stands among the pieces of a text: code points, half-open."""
        wanted = [piece.text for piece in self.pieces]
        texts = [piece.text for piece in found]
        for at in range(len(texts) - len(wanted) + 1):
            if texts[at : at + len(wanted)] == wanted:
                yield found[at].begin, found[at + len(wanted) - 1].end
