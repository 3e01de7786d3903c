"""What words sound like, in a form in which it can be compared: tokens, and a key that near sounds share.

A token is a phone of the ARPAbet, or a Han character, which stands for all its readings. The key has a letter for each
class of phones that are easily confused, and one for each class of syllables of Mandarin.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashscribe.enrich.bias.distance import VOWELS, phone_number, syllable_number
from dashscribe.enrich.bias.lexicon import readings, sayings
from dashscribe.enrich.bias.spelling import said_by_letters, said_by_rule

#: Most ways to say a run of words that are looked at: beyond that, later ways of its words are left out.
MOST_WAYS = 12
#: Phones by class: those of one class differ in voice or a little in place, and engines confuse them.
_CLASSES = {phone: "a" for phone in VOWELS} | {phone: key for key, phones in {
    "p": "P B", "t": "T D TH DH", "k": "K G", "f": "F V", "s": "S Z SH ZH CH JH", "n": "M N NG", "l": "L R", "al": "ER",
}.items() for phone in phones.split()}  # fmt: skip
#: What Mandarin engines, and many speakers, do not tell apart: each is folded into one.
_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "n": "l", "r": "l", "h": "f"}
_FINALS = {"ang": "an", "eng": "en", "ing": "in", "iang": "ian", "uang": "uan"}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_HAN_DIGITS = "零一二三四五六七八九"
#: Longest number that is read digit by digit.
_MOST_DIGITS = 4
_PARTS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z']+|[A-Z]|[0-9]")


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
    plain = unicodedata.normalize("NFKD", bare.replace("’", "'").replace("ß", "ss"))
    plain = "".join(c for c in plain if not unicodedata.combining(c) and (c.isalnum() or c in "'-.&/_+")).strip("'.-")
    if not re.fullmatch(r"[A-Za-z0-9'.&/_+-]+", plain) or sum(c.isdigit() for c in plain) > _MOST_DIGITS:
        return ()
    return _latin(plain)


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
    """A word as the dictionary says it, else part by part: small words in it, letters, digits, or by the rules."""
    lower = word.lower()
    if found := sayings(lower):
        spelled = [said_by_letters(lower)] if word.isupper() and word.isalpha() and 1 < len(word) < 5 else []
        return tuple(_sound(phones) for phones in (*found, *spelled))
    return joined(_part(part) for part in _PARTS.findall(word)) if _PARTS.search(word) else ()


def _part(part: str) -> tuple[Sound, ...]:
    if part.isdigit():
        return (_sound(sayings(_DIGITS[int(part)])[0]), *_characters([_HAN_DIGITS[int(part)]]))
    lower = part.lower()
    if found := sayings(lower):
        names = [said_by_letters(lower)] if part.isupper() else []
        return tuple(_sound(phones) for phones in (*found, *names))
    bare = lower.replace("'", "")
    if part.isupper() and (len(part) < 6 or not set(bare) & set("aeiouy")):
        return tuple(_sound(phones) for phones in dict.fromkeys((said_by_letters(bare), said_by_rule(bare))))
    return _compound(bare) or (_sound(said_by_rule(bare)),)


def _compound(word: str) -> tuple[Sound, ...]:
    """A word made of two that the dictionary knows, such as dashboard; the first one as long as possible."""
    for at in range(len(word) - 3, 2, -1):
        first, second = sayings(word[:at]), sayings(word[at:])
        if first and second:
            return joined([[_sound(phones) for phones in first], [_sound(phones) for phones in second]])
    return ()


def _sound(phones: Sequence[str]) -> Sound:
    key = "".join(_CLASSES.get(phone, "") for phone in phones)
    return Sound(tuple(phones), tuple(map(phone_number, phones)), key)


def syllables(tokens: Sequence[str]) -> int:
    """How many syllables these are."""
    return sum(token in VOWELS or is_han(token) for token in tokens)
