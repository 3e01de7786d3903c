"""From what engines heard to what a reader sees: every enricher in one visible order.

An enricher maps the sentences of one passage, lazily and in order of time, to better ones. It may change text, never
invent time; each leaves alone what it does not understand. A passage is a run of spans that touch: spans are parted
only where the voice is silent for so long that any sentence ends, so what was said before can leave while the sound
behind is still unheard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dashscribe.enrich.punctuate import Punctuator, punctuate
from dashscribe.errors import DashscribeError
from dashscribe.types import Options, Outcome, Sentence, Span


@dataclass(slots=True)
class Enrichment:
    """The enrichers for one source and what was asked of them, with the models that they use.

    ``notes`` say what of it failed: a late stage that fails leaves a usable result.
    """

    options: Options
    punctuator: Punctuator | None = None
    notes: list[str] = field(default_factory=list[str])

    def sentences(self, spans: Iterable[Span], hear: Callable[[Span], Outcome]) -> Iterator[Sentence]:
        """The finished sentences of one channel, each as soon as it is settled.

        ``spans`` are all pieces of speech in order of time and ``hear`` gives the outcome of each. Both may wait, and
        are asked in turn: for what was heard of a span, then for the next span, then for what was heard of that one.
        """
        for passage in _passages(spans, hear):
            yield from self._enriched(passage)
            deque(passage, maxlen=0)  # what an enricher did not ask for is passed over, or the passage would never end

    def _enriched(self, passage: Iterator[Sentence]) -> Iterator[Sentence]:
        """Every enricher, in order."""
        return punctuate(passage, self._punctuate if self.punctuator else None)

    def _punctuate(self, text: str) -> str:
        """The text with a model's marks; as it is once the model has failed."""
        if self.punctuator is None:
            return text
        try:
            return self.punctuator(text)
        except DashscribeError as error:
            self.punctuator = None
            self.notes.append(f"the punctuation model failed, sentences end at pauses from there on: {error}")
            return text


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
