"""From what engines heard to what a reader sees: every enricher in one visible order.

An enricher maps the sentences of one channel, lazily and in order of time, to better ones. It may change text, never
invent time. ``ENRICHERS`` is the whole order; each enricher leaves alone what it does not understand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dashscribe.enrich.punctuate import punctuate
from dashscribe.types import Options, Outcome, Sentence

Enricher = Callable[[Iterable[Sentence], Options], Iterator[Sentence]]

ENRICHERS: tuple[Enricher, ...] = (punctuate,)


def sentences(outcomes: Iterable[Outcome], options: Options) -> Iterator[Sentence]:
    """The finished sentences of one channel from its outcomes in order of time, each as soon as it is settled."""
    stream: Iterator[Sentence] = (sentence for outcome in outcomes for sentence in outcome.sentences)
    for enricher in ENRICHERS:
        stream = enricher(stream, options)
    return stream
