"""Where in a sentence a term was said: runs of words that sound near enough to it, and none of the reasons against it.

Owns what keeps words as they are: pauses and marks between them, words that everybody uses, words that the engine is
sure of, words that are the term already.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dashscribe.enrich.bias.distance import distances
from dashscribe.enrich.bias.lexicon import chinese_words, common_english, cuts_word, same_tones
from dashscribe.enrich.bias.sounds import Sound, is_han, joined, letters_of, ways
from dashscribe.enrich.bias.terms import EXACT, Index, Saying, Term
from dashscribe.types import Word

#: Nothing is put together over a pause of this length.
PAUSE_MS = 300
#: A word of which the engine is so sure is replaced by nothing but what sounds the same.
SURE = 0.9
#: Up to this distance per token it does: another vowel in a long word (Dostoevsky, Dostoyevsky).
SAME_SOUND = 0.025
#: Letters from which on a word is not one of the small ones that engines put in place of a syllable.
WHOLE_LETTERS = 4
#: From this weight on a common word may be a term that sounds the same.
FIRM_WEIGHT = 4
#: A term of one Han character, or over the edge of a word: by chance that is met too often for a lower weight.
INSISTENT_WEIGHT = 5
#: A sound this long, per token of a term, is stretched over something else; a Han character counts for two phones.
LONGEST_TOKEN_MS = 400
#: What the limit shrinks to where every one of several words is common: some sequence of them is near to anything.
COMMON_SHARE = 0.75
#: Endings that a term may have and still be itself.
_ENDINGS = ("s", "'s", "es", "s'", "ed", "ing", "'ll", "'d")
#: Words that hold sentences together are never a term by themselves.
_GLUE = frozenset(
    re.findall(
        r"[a-z]+",
        """a about all am an and are as at be been but by can did do for from had has have he her here him his how i if
        in is it its just me my no not now of on or our out she so some than that the their them then there they this to
        too two up us was we were what when where which who will with would yes you your""",
    )
)


@dataclass(frozen=True, slots=True)
class Match:
    """Words ``begin`` to ``end`` are a term; ``is_kept`` if they already are as they should be.

    ``alike`` counts their characters that are those of the term.
    """

    begin: int
    end: int
    term: Term
    cost: float
    is_kept: bool = False
    alike: int = 0


@dataclass(frozen=True, slots=True)
class _Window:
    """Some words in a row, their letters and the ways to say them."""

    begin: int
    end: int
    letters: str
    sounds: tuple[Sound, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A way to say some words and a way to say a term."""

    window: _Window
    heard: Sound
    said: Saying

    def match(self, cost: float) -> Match:
        """What comes of it."""
        term = self.said.term
        alike = sum(map(str.__eq__, self.window.letters, term.letters))
        return Match(self.window.begin, self.window.end, term, cost, alike=alike)


def matches(words: Sequence[Word], index: Index, disfavored: frozenset[str]) -> list[Match]:
    """The terms in the words of a sentence, in order, without overlap: the longest first, of those the nearest.

    ``disfavored`` are letters of what the engine's words should rather not be.
    """
    found: list[Match] = []
    for begin, end in _runs(words):
        windows = list(_windows(words, begin, end, index.longest))
        found += _candidates(words, windows, index, disfavored)
    found.sort(key=lambda m: (-m.term.length, m.cost, -m.term.hotword.weight, -m.alike, m.begin, m.end))
    taken: set[int] = set()
    chosen: list[Match] = []
    for match in found:
        if taken.isdisjoint(range(match.begin, match.end)):
            taken.update(range(match.begin, match.end))
            chosen.append(match)
    return sorted(chosen, key=lambda match: match.begin)


def _runs(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Stretches of words whose sounds are known, with no pause and no mark between two of them."""
    begin = 0
    for at, (left, right) in enumerate(pairwise(words), 1):
        parted = right.begin_ms - left.end_ms >= PAUSE_MS or left.punctuation.strip() or not right.text[:1].isalnum()
        if parted:
            yield begin, at
            begin = at
    if words:
        yield begin, len(words)


def _windows(words: Sequence[Word], begin: int, end: int, longest: int) -> Iterator[_Window]:
    """Every run of words inside these bounds that is short enough to be a term."""
    sounds = [ways(_bare(word.text)) for word in words[begin:end]]
    for first in range(begin, end):
        letters, heard = "", (Sound(),)
        for last in range(first, end):
            heard = joined((heard, sounds[last - begin]))
            heard = tuple(sound for sound in heard if len(sound.key) <= longest)
            if not heard:  # nobody knows how this is said, or it has become too long
                break
            letters += letters_of(words[last].text)
            yield _Window(first, last + 1, letters, heard)


def _bare(text: str) -> str:
    """A word without marks before it."""
    return next((text[at:] for at, character in enumerate(text) if character.isalnum()), "")


def _candidates(
    words: Sequence[Word], windows: Sequence[_Window], index: Index, disfavored: frozenset[str]
) -> Iterator[Match]:
    by_key: dict[str, list[tuple[_Window, Sound]]] = defaultdict(list)
    for window in windows:
        for term in index.spelled(window.letters):
            yield _spelled(words, window, term)
        for sound in window.sounds:
            by_key[sound.key].append((window, sound))
    pairs = [_Pair(window, heard, said) for key, said in index.near(by_key) for window, heard in by_key[key]]
    costs = distances([pair.heard.numbers for pair in pairs], [pair.said.sound.numbers for pair in pairs])
    for at in np.flatnonzero(costs <= [pair.said.allowed for pair in pairs]).tolist():
        if _gives_way(words, pairs[at], float(costs[at]), disfavored):
            yield pairs[at].match(float(costs[at]))


def _spelled(words: Sequence[Word], window: _Window, term: Term) -> Match:
    """The words have the letters of the term: at most capitals and spaces are to be set, and not in common words."""
    written = "".join(word.text for word in words[window.begin : window.end]).strip()
    is_common = window.end - window.begin == 1 and window.letters in common_english()
    is_kept = written == term.hotword.text or term.is_weak or (is_common and term.hotword.weight < FIRM_WEIGHT)
    return Match(window.begin, window.end, term, 0.0, is_kept)


def _is_form_of(window: _Window, term: Term) -> bool:
    """Whether the words are the term, with an ending of grammar or without."""
    if window.letters == term.letters:
        return True
    ending = window.letters.removeprefix(term.letters)
    return ending in _ENDINGS and window.end - window.begin == len(term.words)


def _gives_way(words: Sequence[Word], pair: _Pair, cost: float, disfavored: frozenset[str]) -> bool:
    """Whether words that sound like a term are to be it: whether nothing speaks for them as they are."""
    window, said, is_exact = pair.window, pair.said, cost <= EXACT
    some = words[window.begin : window.end]
    if _is_form_of(window, said.term) or _is_stretched(some, said.sound):
        return False
    if cost > SAME_SOUND * said.length and _is_sure(some):
        return False
    if not is_exact and _are_common(some) and cost > COMMON_SHARE * said.allowed:
        return False
    if window.letters in disfavored:
        return True
    if said.term.is_weak:
        return _gives_way_to_context(words, pair)
    if (said.is_han and said.length == 1) or _cuts(words, window):
        return said.term.hotword.weight >= INSISTENT_WEIGHT and is_exact
    return not _is_protected(words, window) or _gives_way_though_common(pair, is_exact)


def _are_common(words: Sequence[Word]) -> bool:
    """Whether these are several words, each of which everybody uses."""
    return len(words) > 1 and all(letters_of(word.text) in common_english() for word in words)


def _is_sure(words: Sequence[Word]) -> bool:
    """Whether the engine is sure of these words: of a whole one, or of all of them together.

    It is of many a short one that it puts in the place of a syllable; that alone tells nothing.
    """
    known = [(word.confidence, len(letters_of(word.text))) for word in words if word.confidence is not None]
    if any(confidence >= SURE and length >= WHOLE_LETTERS for confidence, length in known):
        return True
    return bool(known) and sum(confidence for confidence, _ in known) >= SURE * len(known)


def _is_stretched(words: Sequence[Word], sound: Sound) -> bool:
    """Whether the words last longer than anybody says the term: sound that is no speech was heard as words."""
    if words[0].approximate or words[-1].approximate:
        return False
    length = sum(2 if is_han(token) else 1 for token in sound.tokens)
    return words[-1].end_ms - words[0].begin_ms > LONGEST_TOKEN_MS * max(length, 3)


def _gives_way_though_common(pair: _Pair, is_exact: bool) -> bool:
    """Whether a common word is to be a term: if it sounds just like one that matters, in Chinese with its tones."""
    if not is_exact or pair.said.term.hotword.weight < FIRM_WEIGHT or pair.window.letters in _GLUE:
        return False
    return not pair.said.is_han or same_tones(pair.heard.tokens, pair.said.sound.tokens)


def _gives_way_to_context(words: Sequence[Word], pair: _Pair) -> bool:
    """Whether words may be taken for a term that a context mentions among thousands: by chance that must not happen."""
    if _is_protected(words, pair.window) or _cuts(words, pair.window):
        return False
    if not pair.said.is_han:
        return pair.said.length >= 5 and pair.said.syllables >= 2
    heard, said = pair.heard.tokens, pair.said.sound.tokens
    # A name whose characters are partly right: three syllables with their tones alone would still meet by chance.
    return len(said) >= 3 and same_tones(heard, said) and any(map(str.__eq__, heard, said))


def _is_protected(words: Sequence[Word], window: _Window) -> bool:
    """Whether the words are one that people say all the time."""
    if not is_han(window.letters):
        return window.end - window.begin == 1 and window.letters in common_english()
    return len(window.letters) == 1 or window.letters in chinese_words()


def _cuts(words: Sequence[Word], window: _Window) -> bool:
    """Whether a Chinese word reaches over an edge of these characters."""
    begin, end = window.begin, window.end
    while begin > 0 and is_han(words[begin - 1].text) and not words[begin - 1].punctuation.strip():
        begin -= 1
    while end < len(words) and is_han(words[end].text) and not words[end - 1].punctuation.strip():
        end += 1
    text = "".join(word.text[:1] for word in words[begin:end])
    return is_han(window.letters) and cuts_word(text, window.begin - begin, window.end - begin)
