"""The terms of a list as the corrector knows them, and which of them a run of words may be.

Owns how near is near enough: by the weight of a term and by its length.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from dashscribe.enrich.bias.sounds import Sound, is_han, joined, letters_of, syllables, ways
from dashscribe.pronunciation.dictionary import sayings
from dashscribe.types import Hotword
from dashscribe.words import Written, written_words

#: What the weight of a term makes of the distance at which it is still taken for heard.
_LOOSENESS = {1: 0.4, 2: 0.6, 3: 0.8, 4: 1.0, 5: 1.1}
_SUPER_LOOSENESS = 1.2
#: That distance for phones, at weight 4: so much for each one beyond the first few, and never more than this share of
#: all. Chosen on English of four synthetic voices through pocketsphinx against terms nobody said in five minutes of
#: recordings (benchmarks/hotwords.py): near terms of five phones are met by chance all the time, of eleven hardly ever.
_PER_PHONE, _FIRST_PHONES, _PHONE_SHARE = 0.55, 4.5, 0.34
#: What it shrinks to for a term whose words a dictionary has: an engine that knows them would have written them.
_KNOWN_SHARE = 0.7
#: That distance per Han character, and its share for short terms: two names that differ in half a syllable are two.
_PER_CHARACTER = 0.1125
_SHORT = {1: 0.0, 2: 0.7, 3: 0.85}
#: Below this a sound is the very one, whatever adding up has left.
EXACT = 0.01
#: Share of the letters of a key that may differ where the sounds are to be compared in full.
_KEY_SHARE = 0.35


@dataclass(frozen=True)
class Term:
    """A term to correct into; ``is_weak`` for one that stood in a context, which only its very sound calls for."""

    hotword: Hotword
    words: tuple[Written, ...]
    sounds: tuple[Sound, ...]
    is_weak: bool = False

    @cached_property
    def letters(self) -> str:
        """Its letters, as spellings are compared."""
        return letters_of(self.hotword.text)

    @cached_property
    def length(self) -> int:
        """How many tokens it usually has."""
        return len(self.sounds[0].tokens)


@dataclass(frozen=True)
class Saying:
    """One way to say a term: how near is near enough goes by it, for a term spelled out is long and a word short."""

    term: Term
    sound: Sound

    @cached_property
    def length(self) -> int:
        """How many tokens it has."""
        return len(self.sound.tokens)

    @cached_property
    def syllables(self) -> int:
        """How many syllables it has."""
        return syllables(self.sound.tokens)

    @cached_property
    def is_han(self) -> bool:
        """Whether it consists of Han characters."""
        return all(map(is_han, self.sound.tokens))

    @cached_property
    def allowed(self) -> float:
        """How far a sound may be from this one."""
        term = self.term
        if term.is_weak or self.syllables < 2:
            return EXACT
        characters = sum(map(is_han, self.sound.tokens))
        phones = self.length - characters
        near = min(_PER_PHONE * max(phones - _FIRST_PHONES, 0), _PHONE_SHARE * phones)
        if all(sayings(word.text.lower()) for word in term.words):
            near *= _KNOWN_SHARE
        near += _PER_CHARACTER * characters * _SHORT.get(characters, 1.0)
        return max(near * _LOOSENESS.get(term.hotword.weight, _SUPER_LOOSENESS), EXACT)

    @cached_property
    def edits(self) -> int:
        """How many letters of its key may differ; each stands for a change of sound that costs about a half or more."""
        return min(int(self.allowed / 0.45), int(_KEY_SHARE * len(self.sound.key) + 0.5))


def known_terms(hotwords: Iterable[Hotword], *, is_weak: bool = False) -> Iterator[Term]:
    """Those of the hotwords that may be corrected into: favored ones of a language and script that is known here."""
    for hotword in hotwords:
        words = tuple(written_words(unicodedata.normalize("NFC", hotword.text.strip())))
        sounds = joined(ways(word.text) for word in words) if words else ()
        if sounds and sounds[0].tokens and hotword.weight > 0 and hotword.language in ("", "en", "zh"):
            yield Term(hotword, words, sounds, is_weak)


class Index:
    """Which of many terms a run of words may be: by its letters, by its key, and by keys that are near to that one."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self._spelled: dict[str, list[Term]] = defaultdict(list)
        self._exact: dict[str, list[Saying]] = defaultdict(list)
        # By the length of a key that is looked up: the keys that may be near to it, how near they must be, whose.
        self._near: dict[int, _Column] = defaultdict(_Column)
        self.longest = 0
        for term in terms:
            self._spelled[term.letters].append(term)
            for sound in term.sounds:
                self._add(Saying(term, sound))

    def _add(self, saying: Saying) -> None:
        key, edits = saying.sound.key, saying.edits
        if not edits:
            self._exact[key].append(saying)
        self.longest = max(self.longest, len(key) + edits)
        for length in range(max(len(key) - edits, 1), len(key) + edits + 1) if edits else ():
            column = self._near[length]
            column.keys.append(key)
            column.edits.append(edits)
            column.sayings.append(saying)

    def spelled(self, letters: str) -> Sequence[Term]:
        """The terms that have these letters."""
        return self._spelled.get(letters, ())

    def near(self, keys: Iterable[str]) -> Iterator[tuple[str, Saying]]:
        """The keys that are, or are near to, one of a term, each with the way to say it that has it."""
        by_length: dict[int, list[str]] = defaultdict(list)
        for key in dict.fromkeys(keys):
            by_length[len(key)].append(key)
            yield from ((key, saying) for saying in self._exact.get(key, ()))
        for length, some in by_length.items():
            column = self._near.get(length)
            if column is None:
                continue
            most = max(column.edits)
            edits = cdist(some, column.keys, scorer=Levenshtein.distance, score_cutoff=most, dtype=np.uint8)
            for row, at in zip(*np.nonzero(edits <= np.array(column.edits, np.uint8)), strict=True):
                yield some[row], column.sayings[at]


@dataclass(frozen=True)
class _Column:
    keys: list[str] = field(default_factory=list[str])
    edits: list[int] = field(default_factory=list[int])
    sayings: list[Saying] = field(default_factory=list[Saying])
