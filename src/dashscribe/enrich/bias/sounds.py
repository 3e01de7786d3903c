"""What words sound like, in a form in which it can be compared: tokens, and a key that near sounds share.

A token is a phone of the ARPAbet, or a Han character, which stands for all its readings. The key has a letter for each
class of phones that are easily confused, and one for each class of syllables of Mandarin.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashscribe.enrich.bias.distance import phone_number, syllable_number
from dashscribe.enrich.bias.lexicon import readings
from dashscribe.pronunciation import VOWELS, parts

#: Most ways to say a run of words that are looked at: beyond that, later ways of its words are left out.
MOST_WAYS = 12
#: Phones by class: those of one class differ in voice or a little in place, and engines confuse them.
_CLASSES = {phone: "a" for phone in VOWELS} | {phone: key for key, phones in {
    "p": "P B", "t": "T D TH DH", "k": "K G", "f": "F V", "s": "S Z SH ZH CH JH", "n": "M N NG", "l": "L R", "al": "ER",
}.items() for phone in phones.split()}  # fmt: skip
#: What Mandarin engines, and many speakers, do not tell apart: each is folded into one.
_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "n": "l", "r": "l", "h": "f"}
_FINALS = {"ang": "an", "eng": "en", "ing": "in", "iang": "ian", "uang": "uan"}
_HAN_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class Sound:
    """One way to say something: its tokens, what each of them is for ``distance``, and its key."""

    tokens: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    key: str = ""

    def __add__(self, other: Sound) -> Sound:
        return Sound(self.tokens + other.tokens, self.numbers + other.numbers, self.key + other.key)


def is_han(character: str) -> bool:
    """Whether a character, or the token of one, is Han."""
    return "\u3400" <= character[:1] <= "\u9fff" or "\U00020000" <= character[:1] <= "\U0003ffff"


def letters_of(text: str) -> str:
    """The letters and digits of a text, in lower case and without accents: what spellings are compared by."""
    plain = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(character for character in plain.lower() if character.isalnum() or character == "'").strip("'")


@functools.lru_cache(maxsize=20_000)
def ways(word: str) -> tuple[Sound, ...]:
    """How a word may be said: a Han character, or a run of Latin letters and digits; empty where that is not known."""
    bare = word.strip()
    han = [character for character in bare if is_han(character)]
    if han:
        return _characters(han) if len(han) == len(letters_of(bare)) else ()
    return _latin(bare)


def joined(parts: Iterable[Sequence[Sound]]) -> tuple[Sound, ...]:
    """The ways to say one part after another, the usual ones first."""
    result: list[Sound] = [Sound()]
    for part in parts:
        result = [left + right for left, right in itertools.islice(itertools.product(result, part), MOST_WAYS)]
    return tuple(dict.fromkeys(result))


def _characters(han: Sequence[str]) -> tuple[Sound, ...]:
    """Han characters: one token each, in every reading."""
    return joined(
        [
            Sound((one,), (syllable_number(*syllable),), _folded(*syllable))
            for syllable in dict.fromkeys((initial, final) for initial, final, _ in readings(one))
        ]
        for one in han
    )


_syllables: dict[tuple[str, str], str] = {}


def _folded(initial: str, final: str) -> str:
    """One character for a class of syllables: any that is no letter of the other keys."""
    folded = _INITIALS.get(initial, initial), _FINALS.get(final, final)
    return _syllables.setdefault(folded, chr(0xE000 + len(_syllables)))


def _latin(word: str) -> tuple[Sound, ...]:
    """A word in English, and its digits in Mandarin, too."""
    some = [
        (*map(_sound, said), *(_characters([_HAN_DIGITS[int(part)]]) if part.isdigit() else ()))
        for part, said in parts(word)
    ]
    return joined(some) if some else ()


def _sound(phones: Sequence[str]) -> Sound:
    key = "".join(_CLASSES.get(phone, "") for phone in phones)
    return Sound(tuple(phones), tuple(map(phone_number, phones)), key)


def syllables(tokens: Sequence[str]) -> int:
    """How many syllables these are."""
    return sum(token in VOWELS or is_han(token) for token in tokens)
