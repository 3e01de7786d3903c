"""From what engines heard to what a reader sees: every enricher in one visible order.

An enricher maps the sentences of one passage, lazily and in order of time, to better ones. It may change text, never
invent time; each leaves alone what it does not understand. A passage is a run of spans that touch: spans are parted
only where the voice is silent for so long that any sentence ends, so what was said before can leave while the sound
behind is still unheard.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dashscribe.enrich.censor import Lexicon, censor, lexicons
from dashscribe.enrich.fillers import drop_fillers
from dashscribe.enrich.itn import Normalizer, write_numbers
from dashscribe.enrich.punctuate import Punctuator, punctuate
from dashscribe.errors import DashscribeError
from dashscribe.types import Options, Outcome, Sentence, Span

if TYPE_CHECKING:
    from dashscribe.enrich.bias import Bias

_DIGITS = re.compile("[0-9]")
#: One enricher: from the sentences of a passage to better ones.
Stage = Callable[[Iterable[Sentence]], Iterator[Sentence]]


class StageName(StrEnum):
    """What is done to what was heard, in this order; each can fail alone, and be done again alone.

    ``SPEAKERS`` compares voices over whole channels, before any sentence is passed on (``enrich.speakers``); all others
    work on the sentences of one passage.
    """

    SPEAKERS = "speakers"
    HOTWORDS = "hotwords"
    MARKS = "marks"
    FILLERS = "fillers"
    NUMBERS = "numbers"
    SENSITIVE_WORDS = "sensitive-words"


#: What the reader has to expect where a stage failed.
_LOSSES = {
    StageName.HOTWORDS: "hotwords are not corrected in places",
    StageName.MARKS: "marks are as the engine set them",
    StageName.FILLERS: "filler words stay in places",
    StageName.NUMBERS: "numbers stay as they were said",
    StageName.SENSITIVE_WORDS: "sensitive words may be left",
}


@dataclass(slots=True)
class Enrichment:
    """The enrichers for one source and what was asked of them, with the models that they use.

    ``sensitive_words`` is the operator's own list, for the calls that want it. There is a ``normalizer`` only where
    numbers are to be digits and the engine has not written them so.

    ``notes`` say what of it failed, ``failed`` the same by stage: a late stage that fails leaves a usable result.
    """

    options: Options
    punctuator: Punctuator | None = None
    sensitive_words: Path | None = None
    normalizer: Normalizer | None = None
    notes: list[str] = field(default_factory=list[str])
    failed: dict[StageName, list[str]] = field(default_factory=dict[StageName, list[str]])
    _bias: Bias | None = field(default=None, init=False)
    _lexicons: Sequence[Lexicon] | None = field(default=None, init=False)

    def sentences(self, spans: Iterable[Span], hear: Callable[[Span], Outcome]) -> Iterator[Sentence]:
        """The finished sentences of one channel, each as soon as it is settled.

        ``spans`` are all pieces of speech in order of time and ``hear`` gives the outcome of each. Both may wait, and
        are asked in turn: for what was heard of a span, then for the next span, then for what was heard of that one.
        """
        for passage in _passages(spans, hear):
            yield from self._enriched(passage)
            deque(passage, maxlen=0)  # what an enricher did not ask for is passed over, or the passage would never end

    def of_channel(self, outcomes: Iterable[Outcome]) -> Iterator[Sentence]:
        """The finished sentences of one channel that was heard to its end, its outcomes in order of time."""
        latest: list[Outcome] = []

        def spans() -> Iterator[Span]:
            for outcome in outcomes:
                latest[:] = [outcome]  # what is asked for next: no more than that is ever looked at
                yield outcome.span

        return self.sentences(spans(), lambda span: latest[0])

    def _enriched(self, passage: Iterator[Sentence]) -> Iterator[Sentence]:
        """Every enricher that is wanted, in order; all but the one that sets marks work on a sentence at a time."""
        sentences = passage
        for name in StageName:
            stage = self._stage(name)
            if stage:
                through = self._guarded if name is StageName.MARKS else self._each
                sentences = through(name, stage, sentences)
        return sentences

    def _stage(self, name: StageName) -> Stage | None:
        """What a stage does to the sentences of a passage; None where it is not wanted."""
        options = self.options
        match name:
            case StageName.HOTWORDS if options.hotwords or options.context:
                return self._correct
            case StageName.MARKS:
                punctuator = self._punctuate if self.punctuator else None
                return partial(punctuate, punctuator=punctuator, at_stops=options.words)
            case StageName.FILLERS if options.drop_fillers:
                return partial(drop_fillers, languages=options.languages)
            case StageName.NUMBERS if self.normalizer:
                return partial(write_numbers, normalizer=self._normalize, languages=options.languages)
            case StageName.SENSITIVE_WORDS if options.censor:
                return self._censor
            case _:
                return None

    def _each(self, name: StageName, stage: Stage, sentences: Iterator[Sentence]) -> Iterator[Sentence]:
        """The sentences through a stage that takes each by itself: where it fails, that one stays as it was."""
        for sentence in sentences:
            yield from self._guarded(name, stage, iter((sentence,)))

    def _guarded(self, name: StageName, stage: Stage, sentences: Iterator[Sentence]) -> Iterator[Sentence]:
        """The sentences through a stage; if it fails, what it had not settled stays as it was."""
        handed: deque[Sentence] = deque()
        settled_ms, is_asking = 0, False

        def watched() -> Iterator[Sentence]:
            nonlocal is_asking
            while True:
                is_asking = True
                sentence = next(sentences, None)
                is_asking = False
                if sentence is None:
                    return
                handed.append(sentence)
                yield sentence

        try:
            for sentence in stage(watched()):
                settled_ms = sentence.end_ms
                while handed and handed[0].end_ms <= settled_ms:
                    handed.popleft()
                yield sentence
        except Exception as error:
            if is_asking:  # it comes from before the stage: from recognition, or from whoever stops the work
                raise
            reason = f"{_LOSSES[name]}, because that stage failed: {type(error).__name__}: {error}"
            if not any(note.startswith(_LOSSES[name]) for note in self.notes):
                self._fail(name, reason)
        else:
            return
        yield from (late for sentence in handed for late in _after(sentence, settled_ms))
        yield from sentences

    def _censor(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """The sentences without the words that were to be masked or removed, by lists that are read once."""
        if self._lexicons is None and self.options.censor:
            self._lexicons, note = lexicons(self.options.censor, self.sensitive_words)
            if note:
                self._fail(StageName.SENSITIVE_WORDS, note)
        for sentence in sentences:
            yield from censor((sentence,), self._lists(sentence.text))

    def _lists(self, text: str) -> Sequence[Lexicon]:
        """What is searched for in a text: where it has digits, also what words that were listed become in them."""
        lists = self._lexicons or ()
        if self.normalizer is None or not _DIGITS.search(text):
            return lists
        try:
            return [*lists, *(words.written(self.normalizer) for words in lists)]
        except (DashscribeError, ValueError) as error:  # too few answers are a ValueError
            self._give_up_numbers(error)
            self._fail(StageName.SENSITIVE_WORDS, f"{_LOSSES[StageName.SENSITIVE_WORDS]} as digits: {error}")
            return lists

    def _correct(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """The sentences with the terms that were asked for, and one note that counts them."""
        from dashscribe.enrich.bias import Bias  # it needs numpy, which a server does without until then

        bias = self._bias = self._bias or Bias(self.options)
        told = bias.note()
        for sentence in bias.correct(sentences):
            if (note := bias.note()) != told:
                self.notes[:] = [*(other for other in self.notes if other != told), note]
                told = note
            yield sentence

    def _punctuate(self, text: str) -> str:
        """The text with a model's marks; as it is once the model has failed."""
        if self.punctuator is None:
            return text
        try:
            return self.punctuator(text)
        except DashscribeError as error:
            self.punctuator = None
            self._fail(StageName.MARKS, f"the punctuation model failed, sentences end at pauses from there on: {error}")
            return text

    def _normalize(self, texts: Sequence[str], language: str) -> Sequence[str]:
        """The texts with their numbers as digits; as they are once the normalizer has failed."""
        if self.normalizer is None:
            return texts
        try:
            return self.normalizer(texts, language)
        except DashscribeError as error:
            self._give_up_numbers(error)
            return texts

    def _give_up_numbers(self, error: Exception) -> None:
        """Ask the normalizer no more."""
        self.normalizer = None
        reason = f"writing numbers as digits failed, they stay as they were said from there on: {error}"
        self._fail(StageName.NUMBERS, reason)

    def _fail(self, name: StageName, reason: str) -> None:
        """Note that a stage failed."""
        self.notes.append(reason)
        self.failed.setdefault(name, []).append(reason)


def _after(sentence: Sentence, begin_ms: int) -> Iterator[Sentence]:
    """What of a sentence was said from ``begin_ms`` on."""
    words = tuple(word for word in sentence.words if word.begin_ms >= begin_ms)
    if len(words) == len(sentence.words):
        yield sentence
    elif words:
        text = "".join(word.text + word.punctuation for word in words)
        yield replace(sentence, begin_ms=words[0].begin_ms, words=words, text=text)


def _passages(spans: Iterable[Span], hear: Callable[[Span], Outcome]) -> Iterator[Iterator[Sentence]]:
    """What was heard in each run of spans that touch."""
    rest = iter(spans)
    span = next(rest, None)

    def passage() -> Iterator[Sentence]:
        nonlocal span
        end_ms = span.begin_ms if span else 0
        while span is not None and span.begin_ms == end_ms:
            yield from hear(span).sentences
            end_ms = span.end_ms
            span = next(rest, None)

    while span is not None:
        yield passage()
