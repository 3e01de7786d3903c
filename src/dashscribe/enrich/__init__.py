"""From what engines heard to what a reader sees: every enricher in one visible order.

An enricher maps the sentences of one passage, lazily and in order of time, to better ones. It may change text, never
invent time. ``ENRICHERS`` is the whole order; each enricher leaves alone what it does not understand. A passage is a
run of spans that touch: spans are parted only where the voice is silent for so long that any sentence ends, so what was
said before can leave while the sound behind is still unheard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from dashscribe.enrich.punctuate import punctuate
from dashscribe.types import Options, Outcome, Sentence, Span

Enricher = Callable[[Iterable[Sentence], Options], Iterator[Sentence]]

ENRICHERS: tuple[Enricher, ...] = (punctuate,)


def sentences(spans: Iterable[Span], hear: Callable[[Span], Outcome], options: Options) -> Iterator[Sentence]:
    """The finished sentences of one channel, each as soon as it is settled.

    ``spans`` are all pieces of speech in order of time and ``hear`` gives the outcome of each. Both may wait, and are
    asked in turn: for what was heard of a span, then for the next span, then for what was heard of that one.
    """
    for passage in _passages(spans, hear):
        stream = passage
        for enricher in ENRICHERS:
            stream = enricher(stream, options)
        yield from stream
        deque(passage, maxlen=0)  # what an enricher did not ask for is passed over, or this passage would never end


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
