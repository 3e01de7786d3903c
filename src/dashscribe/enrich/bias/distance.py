"""How far two sounds are from each other: an edit distance in which what is easily confused costs little.

A phone that is another one altogether costs 1, and so does a syllable of Mandarin; half of that is its initial, half
its final. The small costs follow what recognizers confuse most: voiced with voiceless consonants, vowels with vowels,
weak sounds with nothing, and in Mandarin z c s with zh ch sh, n and r with l, f with h, front nasals with back ones.
Many pairs are compared at once, a cell of all their tables at a time: a list of thousands of terms leaves many.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dashscribe.pronunciation import VOWELS

CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R"),
    *("S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH"),
)
#: Sounds that are nearly one, and those that are near.
_TWINS = """AA-AO IH-AH IH-IY UH-UW EH-AE EH-IH AH-UH AA-AH ER-R ER-AH S-Z SH-ZH TH-DH N-NG F-V T-D"""
_NEAR = """P-B K-G CH-JH SH-CH ZH-JH M-N M-NG T-TH D-DH F-TH V-DH V-B S-TH Z-DH L-R L-W R-W S-SH S-ZH Z-JH S-CH T-CH
    D-JH L-OW L-AO W-UW Y-IY ER-AO"""
_TWIN, _SIMILAR, _VOWEL, _OTHER = 0.2, 0.4, 0.45, 1.0
#: What a sound costs that one side lacks: short vowels and weak consonants are swallowed, the others are not.
_LACKING = {"AH": 0.35, "IH": 0.35, "HH": 0.4, "Y": 0.35, "W": 0.4, "T": 0.55, "D": 0.55, "R": 0.6, "L": 0.7}
_LACKING_VOWEL, _LACKING_OTHER = 0.55, 0.85
#: A phone and a syllable of Mandarin are never one.
_FOREIGN = 2.0
_CHEAP_INITIALS = frozenset(map(frozenset, (("z", "zh"), ("c", "ch"), ("s", "sh"), ("n", "l"), ("r", "l"), ("f", "h"))))
_CHEAP_FINALS = frozenset(
    map(frozenset, (("an", "ang"), ("en", "eng"), ("in", "ing"), ("ian", "iang"), ("uan", "uang")))
)
_CHEAP, _HALF = 0.15, 0.5
#: Phones, and syllables of Mandarin in every reading of its table: some 450 are used.
_MOST_SOUNDS = 1_024
#: Most pairs that are compared at once.
_BATCH = 16_384


class _Table:
    """The cost of each change; sounds are numbered as they turn up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phones = {phone: number for number, phone in enumerate((*sorted(VOWELS), *CONSONANTS))}
        self._syllables: dict[tuple[str, str], int] = {}
        self.changing = np.full((_MOST_SOUNDS, _MOST_SOUNDS), _FOREIGN, np.float32)
        self.lacking = np.full(_MOST_SOUNDS, 1.0, np.float32)
        for phone, number in self._phones.items():
            self.lacking[number] = _LACKING.get(phone, _LACKING_VOWEL if phone in VOWELS else _LACKING_OTHER)
            for other, place in self._phones.items():
                both = phone in VOWELS and other in VOWELS
                self.changing[number, place] = 0.0 if phone == other else _VOWEL if both else _OTHER
        for pairs, cost in ((_NEAR, _SIMILAR), (_TWINS, _TWIN)):
            for pair in pairs.split():
                one, two = (self._phones[phone] for phone in pair.split("-"))
                self.changing[one, two] = self.changing[two, one] = cost

    def phone(self, phone: str) -> int:
        """The number of a phone."""
        return self._phones[phone]

    def syllable(self, initial: str, final: str) -> int:
        """The number of a syllable."""
        key = initial, final
        if key not in self._syllables:
            with self._lock:
                self._add(key)
        return self._syllables[key]

    def _add(self, key: tuple[str, str]) -> None:
        if key in self._syllables:
            return
        number = len(self._phones) + len(self._syllables)
        for other, place in self._syllables.items():
            cost = _half(key[0], other[0], _CHEAP_INITIALS) + _half(key[1], other[1], _CHEAP_FINALS)
            self.changing[number, place] = self.changing[place, number] = cost
        self.changing[number, number] = 0.0
        self._syllables[key] = number


def _half(left: str, right: str, cheap: frozenset[frozenset[str]]) -> float:
    if left == right:
        return 0.0
    return _CHEAP if frozenset((left, right)) in cheap else _HALF


_table = _Table()
phone_number = _table.phone
syllable_number = _table.syllable


def distances(left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The cost of turning each of the left into the right one at its place; both are sounds by their numbers."""
    parts = [_distances(left[at : at + _BATCH], right[at : at + _BATCH]) for at in range(0, len(left), _BATCH)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _distances(left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    ours, our_lengths = _padded(left)
    theirs, their_lengths = _padded(right)
    row = np.zeros((theirs.shape[0] + 1, len(left)), np.float32)
    np.cumsum(_table.lacking[theirs], axis=0, out=row[1:])
    result = row[their_lengths, np.arange(len(left))]
    for at, sounds in enumerate(ours, 1):
        lacked = _table.lacking[sounds]
        changed = row[:-1] + _table.changing[sounds[None], theirs]
        row += lacked
        np.minimum(row[1:], changed, out=row[1:])
        for place, others in enumerate(theirs, 1):
            np.minimum(row[place], row[place - 1] + _table.lacking[others], out=row[place])
        ends = our_lengths == at
        result[ends] = row[their_lengths[ends], np.flatnonzero(ends)]
    return result


def _padded(sounds: Sequence[Sequence[int]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The sounds in columns, filled up with anything, and how long each is."""
    lengths = np.fromiter(map(len, sounds), np.intp, len(sounds))
    table = np.zeros((int(lengths.max(initial=0)), len(sounds)), np.intp)
    for column, one in enumerate(sounds):
        table[: len(one), column] = one
    return table, lengths
