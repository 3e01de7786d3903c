"""How a word that stands in no dictionary is probably said, from its letters: a few dozen rules of English spelling.

Owns the guess for names and made-up terms. It need not be right to be of use: what is compared with it is heard by an
engine that did not know the word either, and near is enough. The rules are the regular part of English orthography as
primers teach it (digraphs, soft c and g, the silent e); the longest one that fits is taken, from left to right.
"""

from __future__ import annotations

import functools
import re

#: Letters to phones; ``^`` is the begin of the word and ``$`` its end.
_RULES = {
    # silent or special at the edges of a word
    "^kn": "N", "^gn": "N", "^wr": "R", "^ps": "S", "^x": "Z", "^rh": "R", "^mc": "M AH K", "mb$": "M", "mn$": "M",
    "^y": "Y", "y$": "IY", "ies$": "IY Z", "ed$": "D", "le$": "AH L", "re$": "ER", "es$": "EH S", "que$": "K",
    "gue$": "G", "ous$": "AH S", "age$": "IH JH", "ture$": "CH ER", "o$": "OW", "a$": "AH", "i$": "IY", "u$": "UW",
    "e$": "", "ski$": "S K IY", "sky$": "S K IY", "ez$": "EH Z", "ey$": "IY",
    # endings that run together
    "tion": "SH AH N", "ssion": "SH AH N", "sion": "ZH AH N", "cian": "SH AH N", "cial": "SH AH L", "tial": "SH AH L",
    # consonants in groups
    "tch": "CH", "sch": "SH", "dge": "JH", "dg": "JH", "ch": "CH", "sh": "SH", "ph": "F", "th": "TH", "ck": "K",
    "ch(?=[lmnr])": "K", "gg(?=[ei])": "JH", "ggio$": "JH IY OW",
    "gh": "", "ng": "NG", "nk": "NG K", "qu": "K W", "wh": "W", "sc(?=[eiy])": "S", "zh": "ZH", "kh": "K", "dh": "D",
    "bh": "B", "cz": "CH", "sz": "SH", "ts": "T S", "tz": "T S", "cc(?=[eiy])": "K S", "gg": "G", "x": "K S",
    # vowels in groups
    "igh": "AY", "eigh": "EY", "augh": "AO", "ough": "AO", "ee": "IY", "ea": "IY", "oo": "UW", "oa": "OW", "oe": "OW",
    "ou": "AW", "ow": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "ei": "EY",
    "ey": "EY", "ie": "IY", "eu": "Y UW", "ew": "Y UW", "ue": "UW", "ui": "UW", "ia": "IY AH", "io": "IY OW",
    "iu": "IY AH", "aa": "AA", "ae": "EY", "uo": "W OW", "ua": "W AA",
    # vowels before r, and before a consonant and a silent e
    "air": "EH R", "ear": "IH R", "eer": "IH R", "our": "AO R", "oor": "AO R", "arr": "EH R", "ar": "AA R", "er": "ER",
    "ir": "ER", "or": "AO R", "ur": "ER", "a(?=[^aeiouyrwx]e$)": "EY", "i(?=[^aeiouyrwx]e$)": "AY",
    "o(?=[^aeiouyrwx]e$)": "OW", "u(?=[^aeiouyrwx]e$)": "UW", "e(?=[^aeiouyrwx]e$)": "IY", "y(?=[^aeiouyrwx]e$)": "AY",
    # single letters
    "c(?=[eiy])": "S", "g(?=[eiy])": "JH", "c": "K", "g": "G", "a": "AE", "b": "B", "d": "D", "e": "EH", "f": "F",
    "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R",
    "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "y": "IH", "z": "Z", "'": "",
}  # fmt: skip
#: What differs in names and terms that come from other languages, as English speakers say them: the vowels.
_FOREIGN = {
    "a": "AA", "i": "IY", "o": "OW", "u": "UW", "a$": "AA", "ai": "AY", "au": "AW", "ei": "EY", "ou": "UW",
    "ia": "IY AA", "es$": "IY Z",
}  # fmt: skip
#: The names of the letters, for what is spelled out.
_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip


def said_by_rule(word: str, *, foreign: bool = False) -> tuple[str, ...]:
    """The phones of a word of the letters a to z and apostrophes, in lower case; ``foreign`` as if from abroad."""
    phones: list[str] = []
    at = 0
    while at < len(word):
        length, sounds = next(
            (len(found.group()), said) for pattern, said in _patterns(foreign) if (found := pattern.match(word, at))
        )
        phones += sounds
        at += length
        # A letter that is written twice is said once.
        while at < len(word) and word[at] == word[at - 1] and word[at] not in "aeiou":
            at += 1
    return tuple(phones)


def said_by_letters(word: str) -> tuple[str, ...]:
    """The phones of a word of the letters a to z that is spelled out."""
    return tuple(phone for letter in word for phone in _NAMES[letter].split())


@functools.cache
def _patterns(foreign: bool) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """The rules, those first that see the most letters, and edges of words among those."""
    rules = _RULES | _FOREIGN if foreign else _RULES
    longest = sorted(rules, key=lambda rule: -len(re.sub(r"\(.*\)", "e", rule)))
    return tuple((re.compile(rule), tuple(rules[rule].split())) for rule in longest)
