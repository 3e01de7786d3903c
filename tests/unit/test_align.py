"""Forced alignment on posteriors made by hand: every spelling is tried, what cannot be spelled keeps its neighbors."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dashscribe.align import WILDCARD, Aligned, align, spellings

#: blank, then pieces of words and characters.
TOKENS = {
    symbol: number
    for number, symbol in enumerate(
        ["<blk>", "\u2581hel", "lo", "\u2581hello", "\u2581l", "o", "\u2581a", "你", "好", "l"]
    )
}


def posteriors(*frames: str) -> NDArray[np.float32]:
    """Log probabilities in which each frame's token (``_`` is blank) has 0.9 and the others share the rest."""
    rows = np.full((len(frames), len(TOKENS)), 0.1 / (len(TOKENS) - 1))
    for row, symbol in zip(rows, frames, strict=True):
        row[0 if symbol == "_" else TOKENS[symbol]] = 0.9
    return np.log(rows).astype(np.float32)


def found(text: str, *frames: str) -> list[tuple[str, int, int, bool]]:
    aligned = align(posteriors(*frames), spellings(text, TOKENS))
    assert aligned is not None
    return [(text[a.begin : a.end], a.first, a.last, a.spelled) for a in aligned]


def test_each_piece_is_found_where_it_is_said() -> None:
    assert found("hello 你好", "_", "\u2581hel", "\u2581hel", "lo", "_", "你", "_", "好") == [
        ("hel", 1, 2, True),
        ("lo", 3, 3, True),
        ("你", 5, 5, True),
        ("好", 7, 7, True),
    ]


def test_the_likeliest_spelling_wins() -> None:
    assert found("Hello", "_", "\u2581hello", "_") == [("Hello", 1, 1, True)]
    assert found("hello", "\u2581hel", "l", "o")[0] == ("hel", 0, 0, True)


def test_a_doubled_character_has_a_blank_between() -> None:
    assert found("好好", "好", "好", "_", "好") == [("好", 0, 1, True), ("好", 3, 3, True)]
    assert align(posteriors("好", "好"), spellings("好好", TOKENS)) is None


def test_what_cannot_be_spelled_takes_what_is_there_and_its_neighbors_keep_their_places() -> None:
    aligned = found("你 35 好", "_", "你", "_", "\u2581a", "o", "_", "好")
    assert aligned[0] == ("你", 1, 1, True)
    assert aligned[-1] == ("好", 6, 6, True)
    ((_, first, last, _),) = [entry for entry in aligned if not entry[3]]
    assert 2 <= first <= last <= 5


def test_a_text_longer_than_its_sound_is_not_aligned() -> None:
    assert align(posteriors("你"), spellings("你好", TOKENS)) is None
    assert align(posteriors(), spellings("你", TOKENS)) is None
    assert align(posteriors("你"), spellings("", TOKENS)) is None


@pytest.mark.parametrize("text", ["12", "xyz", "C++"])
def test_numbers_and_strange_words_are_wildcards(text: str) -> None:
    assert {arc.token for arc in spellings(text, TOKENS)} == {WILDCARD}


@settings(max_examples=60)
@given(
    text=st.text(alphabet="helo a你好3 ", min_size=1, max_size=12),
    frames=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_posteriors_give_pieces_in_order_that_cover_every_word_or_nothing(
    text: str, frames: int, seed: int
) -> None:
    scores = np.random.default_rng(seed).normal(size=(frames, len(TOKENS))).astype(np.float32)
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    arcs = spellings(text, TOKENS)
    aligned = align(log_probs, arcs)
    if aligned is None:
        return
    assert [a.begin for a in aligned] == sorted({a.begin for a in aligned})
    assert all(left.end <= right.begin and left.last < right.first for left, right in pairwise(aligned))
    covered = {at for a in aligned for at in range(a.begin, a.end)}
    assert covered == {at for arc in arcs for at in range(arc.begin, arc.end)}
    assert _score(aligned, arcs, log_probs) <= 0


def _score(aligned: list[Aligned], arcs: object, log_probs: NDArray[np.float32]) -> float:
    del arcs
    return float(sum(log_probs[a.first : a.last + 1].max() for a in aligned if a.spelled))


def test_the_best_path_is_the_best_of_all_paths() -> None:
    """Compared with a search through every assignment of frames for a short text."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        scores = rng.normal(size=(6, len(TOKENS))).astype(np.float32) * 2
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        ids = [TOKENS["你"], TOKENS["好"]]
        best = max((sum(log_probs[f, i] for f, i in enumerate(path)), path) for path in _paths(6, ids))
        aligned = align(log_probs, spellings("你好", TOKENS))
        assert aligned is not None
        expected = [[f for f, i in enumerate(best[1]) if i == token] for token in ids]
        assert [(a.first, a.last) for a in aligned] == [(frames[0], frames[-1]) for frames in expected]


def _paths(frames: int, ids: list[int]) -> list[tuple[int, ...]]:
    """Every CTC path of two different tokens over so many frames."""

    def collapsed(path: tuple[int, ...]) -> list[int]:
        return [i for at, i in enumerate(path) if i and (at == 0 or path[at - 1] != i)]

    return [path for path in product([0, *ids], repeat=frames) if collapsed(path) == ids]
