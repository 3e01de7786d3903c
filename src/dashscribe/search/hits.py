"""What was searched for, from the text of a query, and where in a recording it stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dashscribe.errors import InvalidParameterError
from dashscribe.search.folding import Term, folded_line, pieces
from dashscribe.search.index import Kept, Line

#: Longest query in characters, and most terms in it.
MAX_QUERY_CHARS, MAX_TERMS = 200, 16
#: A term is whatever stands between spaces, or between straight quotes, spaces included.
_TERM = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Hit:
    """A sentence in which something was found; ``marks`` say where in its text, in UTF-16 code units, half-open."""

    line: Line
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a query finds in one recording: in how many sentences, some of those, and where in its title."""

    count: int
    hits: tuple[Hit, ...]
    title_marks: tuple[tuple[int, int], ...]


def terms_of(query: str) -> tuple[Term, ...]:
    """What a query looks for, every term of which has to be found. Raises InvalidParameterError."""
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidParameterError(f"q has {len(query)} characters; give at most {MAX_QUERY_CHARS}.", "q")
    found: dict[str, Term] = {}
    for quoted, bare in _TERM.findall(query):
        cut = tuple(pieces(quoted or bare))
        if cut:
            found.setdefault(folded_line(cut), Term(cut))
    if not found:
        raise InvalidParameterError(f"q was {query[:80]!r}; give a letter, a digit or a character to look for.", "q")
    if len(found) > MAX_TERMS:
        raise InvalidParameterError(f"q has {len(found)} terms; give at most {MAX_TERMS}.", "q")
    return tuple(found.values())


def matches(title: str, terms: Sequence[Term]) -> bool:
    """Whether a title alone holds every term."""
    folded = folded_line(pieces(title))
    return all(term.line in folded for term in terms)


def find(kept: Kept | None, title: str, terms: Sequence[Term], most: int) -> Found:
    """Where the terms stand: of the sentences that hold any, the first ``most`` of those with most of the terms.

    They come in order of time. ``kept`` is None for a recording that has no text yet.
    """
    if kept is None:
        return Found(0, (), marks(title, terms))
    said, wanted = kept.folded[1:], [term.line for term in terms]
    held = Counter(number for line in wanted for number, folded in enumerate(said) if line in folded)
    chosen = sorted(held, key=lambda number: (-held[number], number))[:most]
    lines = [kept.line(number) for number in sorted(chosen)]
    hits = tuple(Hit(line, marks(line.text, terms)) for line in lines)
    return Found(len(held), hits, marks(title, terms))


def marks(text: str, terms: Sequence[Term]) -> tuple[tuple[int, int], ...]:
    """Where in a text the terms stand, in order and without overlaps, in UTF-16 code units, half-open."""
    cut = pieces(text)
    joined: list[list[int]] = []
    for begin, end in sorted(place for term in terms for place in term.places(cut)):
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    return tuple((_utf16(text[:begin]), _utf16(text[:end])) for begin, end in joined)


def _utf16(text: str) -> int:
    """How many code units browsers count in a text."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2
