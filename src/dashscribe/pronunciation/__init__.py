"""How words in Latin letters are said in English: from a dictionary, else part by part, else by rules of spelling.

What corrects hotwords compares these sounds with what was heard, and the embedded engine learns new words by them.
Phones are those of the ARPAbet without stress.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence

from dashscribe.pronunciation.dictionary import sayings
from dashscribe.pronunciation.spelling import said_by_letters, said_by_rule

Phones = tuple[str, ...]

#: The phones that are vowels.
VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"))
#: Longest number that is read digit by digit.
MOST_DIGITS = 4
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_PARTS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z']+|[A-Z]|[0-9]")


def parts(word: str, *, guesses: bool = False) -> list[tuple[str, tuple[Phones, ...]]]:
    """The parts of a word, each with the ways to say it: the whole word if the dictionary has it, else what is in it.

    Those are small words (as capitals tell), digits, and letters that are spelled out. With ``guesses``, a part that
    nothing but the rules knows is also said as a word of another language would be. Empty for what is not Latin, or
    holds a long number.
    """
    plain = unicodedata.normalize("NFKD", word.strip().replace("’", "'").replace("ß", "ss"))
    plain = "".join(c for c in plain if not unicodedata.combining(c) and (c.isalnum() or c in "'-.&/_+")).strip("'.-")
    if not re.fullmatch(r"[A-Za-z0-9'.&/_+-]+", plain) or sum(c.isdigit() for c in plain) > MOST_DIGITS:
        return []
    if found := sayings(plain.lower()):
        spelled = [said_by_letters(plain.lower())] if plain.isupper() and plain.isalpha() and 1 < len(plain) < 5 else []
        return [(plain, (*found, *spelled))]
    return [(part, _ways(part, guesses)) for part in _PARTS.findall(plain)]


def ways_to_say(words: Sequence[str], most: int) -> tuple[Phones, ...]:
    """At most so many ways to say words in Latin letters one after another, with guesses, the likeliest first.

    Empty if one of the words is not known to be said in any way.
    """
    some = [parts(word, guesses=True) for word in words]
    if not all(some):
        return ()
    choices = [ways for one in some for _, ways in one]
    # The first of every part, the second of every part and so on, before all that can be put together of them.
    level = [tuple(ways[min(at, len(ways) - 1)] for ways in choices) for at in range(max(map(len, choices)))]
    chosen = dict.fromkeys((*level, *itertools.islice(itertools.product(*choices), most)))
    return tuple(tuple(itertools.chain.from_iterable(one)) for one in itertools.islice(chosen, most))


def _ways(part: str, guesses: bool) -> tuple[Phones, ...]:
    if part.isdigit():
        return (sayings(_DIGITS[int(part)])[0],)
    lower = part.lower()
    bare = lower.replace("'", "")
    if found := sayings(lower):
        return (*found, said_by_letters(bare)) if part.isupper() and bare else found
    if part.isupper() and (len(part) < 6 or not set(bare) & set("aeiouy")):
        return tuple(dict.fromkeys((said_by_letters(bare), said_by_rule(bare))))
    if guesses:
        return tuple(dict.fromkeys((*_compound(bare)[:1], *_guesses(bare))))
    return _compound(bare) or (said_by_rule(bare),)


def _guesses(word: str) -> tuple[Phones, ...]:
    """By the rules of English; with the vowels of most other languages; and with those where they are weak."""
    foreign = said_by_rule(word, foreign=True)
    weak = tuple("AH" if phone == "EH" else phone for phone in foreign)
    if weak[-1:] == ("AA",):
        weak = (*weak[:-1], "AH")
    return tuple(dict.fromkeys((said_by_rule(word), foreign, weak)))


def _compound(word: str) -> tuple[Phones, ...]:
    """A word made of two that the dictionary knows, such as dashboard; the first one as long as possible."""
    for at in range(len(word) - 3, 2, -1):
        first, second = sayings(word[:at]), sayings(word[at:])
        if first and second:
            return tuple(left + right for left, right in itertools.product(first, second))
    return ()
