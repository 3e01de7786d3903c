"""Forced alignment: when each piece of a known text was heard, by the posteriors of a CTC model.

The Viterbi path through a CTC topology (Graves et al. 2006, "Connectionist temporal classification", section 4) over a
graph of all ways to spell the text with the model's tokens, since the text comes from another model. What cannot be
spelled is a wildcard that takes whatever token is likeliest, so that its neighbors still find their places. The one
maintained aligner, torchaudio's, needs torch and a fixed spelling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashscribe.types import is_unspaced
from dashscribe.words import Written, written_words

#: Token number that stands for the wildcard.
WILDCARD = -1
#: Longest piece that is looked up, in characters; the longest of SenseVoice's has 16.
LONGEST_PIECE = 20
#: What a frame of the wildcard costs beside its likeliest token, as a log probability: a spelled way is preferred.
WILDCARD_COST = 1.0


@dataclass(frozen=True, slots=True)
class Arc:
    """One token that spells the characters from ``begin`` to ``end`` of the text; ``node`` numbers leave out spaces."""

    token: int
    begin: int
    end: int
    node_from: int
    node_to: int


@dataclass(frozen=True, slots=True)
class Aligned:
    """Characters ``begin`` to ``end`` of the text were heard in frames ``first`` to ``last``, both inside."""

    begin: int
    end: int
    first: int
    last: int
    spelled: bool


def spellings(text: str, tokens: Mapping[str, int]) -> list[Arc]:
    """Every way to spell the words of ``text``: an arc per token that fits somewhere, wildcards where none does.

    ``tokens`` are a model's symbols: pieces of words, with U+2581 in front where a word begins, and characters.
    """
    arcs: list[Arc] = []
    node = 0
    for word in written_words(text):
        begin = word.begin + len(word.text) - len(word.text.lstrip("\"'“‘«(（《「¿¡ "))
        found = list(_word_arcs(text, Written(text[begin : word.end], "", begin, word.end), tokens))
        if not _leads_through(found, begin, word.end):
            found = [(WILDCARD, begin, word.end)]
        arcs += [Arc(token, b, e, node + b - begin, node + e - begin) for token, b, e in found]
        node += word.end - begin
    return arcs


def _word_arcs(text: str, word: Written, tokens: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    """Token, begin and end of every piece of one word."""
    spoken = "".join(lower if len(lower := character.lower()) == 1 else character for character in text)
    if any(character.isdigit() for character in word.text):
        return  # how a number is said, its digits do not tell
    for begin in range(word.begin, word.end):
        for end in range(begin + 1, min(word.end, begin + LONGEST_PIECE) + 1):
            piece = spoken[begin:end]
            starts = begin == word.begin and not is_unspaced(piece[0])
            token = tokens.get(f"\u2581{piece}" if starts else piece)
            if token is not None:
                yield token, begin, end


def _leads_through(arcs: Sequence[tuple[int, int, int]], begin: int, end: int) -> bool:
    """Whether some way leads from the first character to the last."""
    reached = {begin}
    for _, b, e in sorted(arcs, key=lambda arc: arc[1]):
        if b in reached:
            reached.add(e)
    return end in reached


def align(log_probs: NDArray[np.float32], arcs: Sequence[Arc], blank: int = 0) -> list[Aligned] | None:
    """The likeliest frames of the likeliest spelling; None if there are fewer frames than it takes.

    ``log_probs`` has shape (frames, tokens).
    """
    if not arcs or not len(log_probs):
        return None
    graph = _Graph(arcs)
    emissions = _emissions(log_probs, graph.tokens, blank)
    path = _viterbi(graph, emissions, log_probs[:, blank])
    return _runs(path, graph) if path is not None else None


class _Graph:
    """The arcs in order of their ends, as arrays; node 0 is the begin of the text."""

    def __init__(self, arcs: Sequence[Arc]) -> None:
        self.arcs = sorted(arcs, key=lambda arc: (arc.node_to, arc.node_from))
        self.tokens = np.array([arc.token for arc in self.arcs])
        self.sources = np.array([arc.node_from for arc in self.arcs])
        self.targets = np.array([arc.node_to for arc in self.arcs])
        self.nodes = int(self.targets.max()) + 1
        self.ended, self.firsts = np.unique(self.targets, return_index=True)
        into = {int(node): np.flatnonzero(self.targets == node) for node in self.ended}
        #: Arcs that follow one with the same token: between the two there must be a blank.
        self.doubled: list[tuple[int, NDArray[np.intp]]] = []
        for number, arc in enumerate(self.arcs):
            before = into.get(arc.node_from, np.empty(0, dtype=np.intp))
            same = self.tokens[before] == arc.token
            if same.any():
                self.doubled.append((number, before[~same]))


def _emissions(log_probs: NDArray[np.float32], tokens: NDArray[np.int64], blank: int) -> NDArray[np.float32]:
    """Log probability of each arc in each frame, shape (frames, arcs)."""
    emissions = log_probs[:, np.maximum(tokens, 0)].copy()
    wild = tokens == WILDCARD
    if wild.any():
        spoken = np.delete(log_probs, blank, axis=1).max(axis=1)
        emissions[:, wild] = spoken[:, None] - WILDCARD_COST
    return emissions


def _viterbi(graph: _Graph, emissions: NDArray[np.float32], blanks: NDArray[np.float32]) -> list[int] | None:
    """For each frame the number of the arc that was heard, -1 for blank."""
    count, nodes, frames = len(graph.arcs), graph.nodes, len(blanks)
    never = np.float32(-1e30)
    arc_scores = np.full(count, never, dtype=np.float32)
    node_scores = np.full(nodes, never, dtype=np.float32)  # in a blank, having spelled up to the node
    node_scores[0] = 0.0
    # Where the best way to an arc comes from: -1 itself, -2 a blank, else the arc before; to a blank: -1 or the arc.
    arc_from = np.empty((frames, count), dtype=np.int32)
    node_from = np.empty((frames, nodes), dtype=np.int32)
    for frame in range(frames):
        best_scores, best_arcs = _best_into(graph, arc_scores, nodes, never)
        before, before_arc = best_scores[graph.sources], best_arcs[graph.sources]
        for arc, others in graph.doubled:
            at = others[arc_scores[others].argmax()] if len(others) else -1
            before[arc], before_arc[arc] = (arc_scores[at], at) if at >= 0 else (never, -1)
        ways = np.stack((arc_scores, node_scores[graph.sources], before))
        chosen = ways.argmax(axis=0)
        arc_from[frame] = np.where(chosen == 2, before_arc, -1 - chosen)
        leaves = best_scores > node_scores
        node_from[frame] = np.where(leaves, best_arcs, -1)
        node_scores = np.maximum(node_scores, best_scores) + blanks[frame]
        arc_scores = ways.max(axis=0) + emissions[frame]
    return _back(graph, arc_scores, node_scores, arc_from, node_from, never)


def _best_into(
    graph: _Graph, arc_scores: NDArray[np.float32], nodes: int, never: np.float32
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """For each node the best arc that ends there, and its score."""
    scores = np.full(nodes, never, dtype=np.float32)
    arcs = np.full(nodes, -1, dtype=np.int32)
    scores[graph.ended] = np.maximum.reduceat(arc_scores, graph.firsts)
    hits = np.flatnonzero(arc_scores == scores[graph.targets])
    arcs[graph.targets[hits]] = hits
    return scores, arcs


def _back(
    graph: _Graph,
    arc_scores: NDArray[np.float32],
    node_scores: NDArray[np.float32],
    arc_from: NDArray[np.int32],
    node_from: NDArray[np.int32],
    never: np.float32,
) -> list[int] | None:
    """The way back from the end of the text in the last frame."""
    last = graph.nodes - 1
    ending = np.flatnonzero(graph.targets == last)
    arc = int(ending[arc_scores[ending].argmax()])
    if max(arc_scores[arc], node_scores[last]) <= never / 2:
        return None
    at_arc, at_node = (arc, -1) if arc_scores[arc] >= node_scores[last] else (-1, last)
    path: list[int] = []
    for frame in range(len(arc_from) - 1, -1, -1):
        path.append(at_arc)
        if at_arc >= 0:
            came = int(arc_from[frame, at_arc])
            if came == -2:
                at_arc, at_node = -1, int(graph.sources[at_arc])
            elif came >= 0:
                at_arc = came
        elif (came := int(node_from[frame, at_node])) >= 0:
            at_arc = came
    return path[::-1]


def _runs(path: Sequence[int], graph: _Graph) -> list[Aligned]:
    """The frames of each arc on the path."""
    aligned: list[Aligned] = []
    held = -1
    for frame, arc in enumerate(path):
        if arc >= 0 and arc == held:
            aligned[-1] = Aligned(*_place(graph.arcs[arc]), aligned[-1].first, frame, graph.arcs[arc].token != WILDCARD)
        elif arc >= 0:
            aligned.append(Aligned(*_place(graph.arcs[arc]), frame, frame, graph.arcs[arc].token != WILDCARD))
        held = arc
    return aligned


def _place(arc: Arc) -> tuple[int, int]:
    return arc.begin, arc.end
