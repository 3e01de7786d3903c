"""Hotwords in the vocabulary of the embedded engine: each is a word of its own, with the ways to say it and a weight.

The library scores words by trigrams and knows 134,000 words. ``NGramModel.add_word`` adds one that is as likely behind
any words as one of them is on average, times a weight; ``Decoder.add_word`` adds how it sounds. Neither takes it back:
a list has a decoder of its own. A term of several words is one entry, since the model would never expect them in a row;
and so is one that the dictionary has, which is as rare there as the text that the model was trained on had it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dashscribe.pronunciation import VOWELS, Phones, ways_to_say
from dashscribe.types import Hotword
from dashscribe.words import Written, written_words

#: How much likelier than the average word each weight makes a term; 50 is the greatest there is. Rare names gain most
#: from being there at all. Chosen on the tuned sentences of benchmarks/hotwords.py, where 1, 30 and 1000 for all terms
#: found 54, 60 and 63 % of them.
LIKELIER = {1: 1.0, 2: 3.0, 3: 10.0, 4: 30.0, 5: 100.0, 50: 1000.0}
#: Ways to say a term that the decoder gets.
MOST_WAYS = 4
#: Shorter terms are met by chance, in music, too: those are left to what corrects by sound, which looks more closely.
LEAST_PHONES, LEAST_SYLLABLES = 6, 2
#: Nobody says a longer one: seven words have some sixty.
MOST_PHONES = 100
#: What the name of an added entry begins with: no word of the dictionary does.
_ENTRY = "hotword:"


class LanguageModel(Protocol):
    """What is used of ``pocketsphinx.NGramModel``."""

    def add_word(self, word: str, weight: float) -> int:
        """Add a word as likely as the average one times ``weight``."""
        ...


class Vocabulary(Protocol):
    """What is used of ``pocketsphinx.Decoder``, whose words these are."""

    def get_lm(self, name: str) -> LanguageModel:
        """The language model of a search."""
        ...

    def add_word(self, word: str, phones: str, update: bool) -> object:
        """Add a word, or with ``(2)`` behind it another way to say it; ``update`` builds the search anew."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """A hotword as the decoder has it: its words, the ways to say them all, its likelihood against the average."""

    words: tuple[Written, ...]
    ways: tuple[Phones, ...]
    likelier: float

    def shares(self) -> list[float]:
        """The part of the term's time that each of its words takes, by how many phones it has."""
        counts = [len(ways_to_say([word.text], 1)[0]) for word in self.words]
        return [count / sum(counts) for count in counts]


@functools.lru_cache(maxsize=4)
def terms_of(hotwords: tuple[Hotword, ...]) -> tuple[Term, ...]:
    """The hotwords that the decoder can be given: favored ones, in Latin letters, of the length of names; each once."""
    favored = [word for word in hotwords if word.weight > 0 and word.language in ("", "en")]
    return tuple(term for word in {word.text: word for word in favored}.values() if (term := _term(word)))


def _term(hotword: Hotword) -> Term | None:
    words = tuple(written_words(hotword.text.strip()))
    ways = ways_to_say([word.text for word in words], MOST_WAYS) if words else ()
    if not ways or not all(LEAST_PHONES <= len(way) <= MOST_PHONES for way in ways):
        return None
    if sum(phone in VOWELS for phone in ways[0]) < LEAST_SYLLABLES:
        return None
    return Term(words, ways, LIKELIER.get(hotword.weight, LIKELIER[50]))


def teach(decoder: Vocabulary, terms: Sequence[Term]) -> dict[str, Term]:
    """Add the terms to a fresh decoder; they are returned by the names of their entries."""
    named = {f"{_ENTRY}{number}": term for number, term in enumerate(terms)}
    model = decoder.get_lm("_default")
    entries: list[tuple[str, str]] = []
    for name, term in named.items():
        model.add_word(name, term.likelier)
        entries += [(name if at == 1 else f"{name}({at})", " ".join(way)) for at, way in enumerate(term.ways, 1)]
    for at, (name, phones) in enumerate(entries, 1):
        decoder.add_word(name, phones, at == len(entries))
    return named
