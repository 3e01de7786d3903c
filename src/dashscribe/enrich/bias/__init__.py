"""Hotwords for every engine: what was recognized is corrected into the terms of a list where it sounds like them.

Works on words and their times, after recognition, so that it serves engines that listen for nothing, and behind those
that do it finds little to change. It covers English and Mandarin; everything else passes through untouched. Terms of a
context count as weak ones: only words that sound exactly like them are corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from dashscribe.enrich.bias.context import context_hotwords
from dashscribe.enrich.bias.matching import Match, matches
from dashscribe.enrich.bias.sounds import letters_of
from dashscribe.enrich.bias.terms import Index, known_terms
from dashscribe.types import Options, Sentence, Word
from dashscribe.words import Written

#: Languages in which words are compared by sound; empty is that of an engine that does not tell.
LANGUAGES = frozenset(("", "en", "zh"))


class Bias:
    """The terms of one source, ready to be found; ``corrected`` counts the terms that were put in."""

    def __init__(self, options: Options) -> None:
        favored = {letters_of(word.text) for word in options.hotwords}
        terms = list(known_terms(options.hotwords))
        weak = (word for word in context_hotwords(options.context) if letters_of(word.text) not in favored)
        terms += known_terms(weak, is_weak=True)
        self._index = Index(terms) if terms else None
        self._disfavored = frozenset(letters_of(word.text) for word in options.hotwords if word.weight < 0)
        self._untold = bool(options.languages) and LANGUAGES.isdisjoint(options.languages)
        self.corrected = 0

    def correct(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """The sentences with the terms in them, each by itself; one without any comes back as it is."""
        for sentence in sentences:
            yield self._corrected(sentence) if self._reads(sentence) else sentence

    def note(self) -> str:
        """How much was corrected; empty if nothing was."""
        if not self.corrected:
            return ""
        return f"hotwords: {self.corrected} {'word' if self.corrected == 1 else 'words'} corrected"

    def _reads(self, sentence: Sentence) -> bool:
        """Whether the sentence is in a language that is known here; kana tell of Japanese where nothing else does."""
        if self._index is None or not sentence.words or sentence.language not in LANGUAGES:
            return False
        if not sentence.language and self._untold:
            return False
        return not any("\u3040" <= character <= "\u30ff" for character in sentence.text)

    def _corrected(self, sentence: Sentence) -> Sentence:
        assert self._index is not None
        found = [match for match in matches(sentence.words, self._index, self._disfavored) if not match.is_kept]
        if not found:
            return sentence
        words: list[Word] = []
        at = 0
        for match in found:
            words += sentence.words[at : match.begin]
            words += _spoken(sentence.words[match.begin : match.end], match)
            at = match.end
            self.corrected += _differs(sentence.words[match.begin : match.end], match)
        words += sentence.words[at:]
        return replace(sentence, words=tuple(words), text="".join(word.text + word.punctuation for word in words))


def _differs(words: Sequence[Word], match: Match) -> bool:
    """Whether more than capitals was changed."""
    return "".join(word.text for word in words).strip().lower() != match.term.hotword.text.lower()


def _spoken(words: Sequence[Word], match: Match) -> list[Word]:
    """The term in place of these words; marks around them stay, and their outer times.

    As many words as there were keep the time of each; others share it by their length, approximately.
    """
    first, last = words[0], words[-1]
    opening = first.text[: next(at for at, character in enumerate(first.text) if character.isalnum())]
    space = last.text[len(last.text.rstrip()) :]
    confidence = min((word.confidence for word in words if word.confidence is not None), default=None)
    written = match.term.words
    is_shared = 1 < len(written) != len(words)
    is_approximate = is_shared or any(word.approximate for word in words)
    spelled = [
        Word(begin_ms, end_ms, *_with_tail(one), confidence, is_approximate)
        for one, (begin_ms, end_ms) in zip(written, _times(words, [len(one.text) for one in written]), strict=True)
    ]
    spelled[0] = replace(spelled[0], text=opening + spelled[0].text)
    spelled[-1] = _followed_by(spelled[-1], space, last.punctuation)
    return spelled


def _with_tail(written: Written) -> tuple[str, str]:
    """Text and punctuation of a word of a term: a space belongs to the text unless a mark stands before it."""
    return (written.text, written.tail) if written.tail.strip() else (written.text + written.tail, "")


def _followed_by(word: Word, space: str, punctuation: str) -> Word:
    """The last word of a term with what followed the words in its place."""
    if word.punctuation:
        return replace(word, punctuation=word.punctuation + (punctuation or space))
    return replace(word, text=word.text + space, punctuation=punctuation)


def _times(words: Sequence[Word], lengths: Sequence[int]) -> list[tuple[int, int]]:
    """The time of each of the new words, by their lengths."""
    if len(words) == len(lengths):
        return [(word.begin_ms, word.end_ms) for word in words]
    begin_ms, duration_ms = words[0].begin_ms, words[-1].end_ms - words[0].begin_ms
    edges = [begin_ms + duration_ms * sum(lengths[:count]) // sum(lengths) for count in range(len(lengths) + 1)]
    return list(pairwise(edges))
