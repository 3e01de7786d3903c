"""For any sound, limits and blocks: spans ordered, disjoint, in bounds, within the limits, and always the same."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dashscribe.segment import Packer, Segmenter
from dashscribe.types import SAMPLES_PER_MS, Limits, Span, Waveform, total_ms
from sizes import size

#: (milliseconds, loudness in int16 steps, whether it is voiced): sound is drawn as a list of such parts.
PARTS = st.lists(
    st.tuples(st.integers(1, 9_000), st.sampled_from([0, 3, 60, 1_500, 9_000]), st.booleans()), min_size=0, max_size=12
)
LIMITS = st.tuples(st.integers(4_000, 12_000), st.sampled_from([0, 500, 2_000])).map(
    lambda drawn: Limits(max_piece_ms=drawn[0], min_piece_ms=drawn[1])
)


def sound_of(parts: list[tuple[int, int, bool]], seed: int, odd: int) -> NDArray[np.int16]:
    rng = np.random.default_rng(seed)
    made: list[NDArray[np.float64]] = [np.zeros(0)]
    for duration_ms, loudness, voiced in parts:
        time_s = np.arange(duration_ms * SAMPLES_PER_MS) / 16_000
        tone = np.sum([np.sin(2 * np.pi * 130 * h * time_s + h) / h for h in range(1, 16)], axis=0)
        made.append(loudness * (tone if voiced else rng.standard_normal(len(time_s))))
    made.append(rng.standard_normal(odd) * 500)
    return np.clip(np.concatenate(made), -32_768, 32_767).astype(np.int16)


def segment(sound: NDArray[np.int16], limits: Limits, blocks: list[int], begin_ms: int = 0) -> list[Waveform]:
    segmenter = Segmenter(limits, begin_ms=begin_ms)
    pieces: list[Waveform] = []
    at = turn = 0
    while at < len(sound):
        size = blocks[turn % len(blocks)]
        pieces += segmenter.feed(sound[at : at + size])
        at, turn = at + size, turn + 1
    return pieces + segmenter.finish()


@settings(max_examples=size(20, 200))
@given(PARTS, LIMITS, st.integers(0, 15), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 61_003]))
def test_spans_are_ordered_disjoint_in_bounds_and_within_the_limits(
    parts: list[tuple[int, int, bool]], limits: Limits, odd: int, seed: int, begin_ms: int
) -> None:
    sound = sound_of(parts, seed, odd)
    pieces = segment(sound, limits, [16_000], begin_ms)
    whole = Span(begin_ms, begin_ms + len(sound) // SAMPLES_PER_MS)
    for piece in pieces:
        assert whole.begin_ms <= piece.span.begin_ms < piece.span.end_ms <= whole.end_ms
        assert piece.span.duration_ms <= limits.max_piece_ms
        assert piece.span.duration_ms >= min(limits.min_piece_ms, whole.duration_ms)
        offset = (piece.begin_ms - begin_ms) * SAMPLES_PER_MS
        assert len(piece.samples) == piece.span.duration_ms * SAMPLES_PER_MS
        np.testing.assert_array_equal(piece.samples, sound[offset : offset + len(piece.samples)])
    assert all(left.span.end_ms <= right.span.begin_ms for left, right in pairwise(pieces))


@settings(max_examples=size(15, 200))
@given(PARTS, LIMITS, st.lists(st.integers(1, 50_000), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size_give_equal_spans(
    parts: list[tuple[int, int, bool]], limits: Limits, blocks: list[int], seed: int
) -> None:
    sound = sound_of(parts, seed, 7)
    blocks = [max(block, len(sound) // 2_000) for block in blocks]
    assert [p.span for p in segment(sound, limits, blocks)] == [p.span for p in segment(sound, limits, [len(sound)])]


@settings(max_examples=size(15, 200))
@given(PARTS, st.integers(0, 2**32 - 1))
def test_cutting_and_merging_lose_no_speech(parts: list[tuple[int, int, bool]], seed: int) -> None:
    """Whatever is speech without any limits is inside a span with them."""
    sound = sound_of(parts, seed, 0)
    runs = [p.span for p in segment(sound, Limits(max_piece_ms=10**9, min_piece_ms=0), [16_000])]
    cut = [p.span for p in segment(sound, Limits(max_piece_ms=5_000, min_piece_ms=2_000), [16_000])]
    for run in runs:
        inside = [Span(max(run.begin_ms, c.begin_ms), min(run.end_ms, c.end_ms)) for c in cut]
        assert total_ms(span for span in inside if span.begin_ms < span.end_ms) == run.duration_ms


@settings(max_examples=size(20, 200))
@given(st.lists(st.integers(1, 30_000), max_size=30))
def test_windows_hold_every_piece_once_in_order_below_the_cap(lengths: list[int]) -> None:
    packer = Packer(1)
    begin_ms, pieces = 0, list[Waveform]()
    for duration_ms in lengths:
        pieces.append(Waveform(np.zeros(duration_ms * SAMPLES_PER_MS, np.int16), begin_ms))
        begin_ms += duration_ms + 10
    drawn = [window for piece in pieces if (window := packer.add(piece))]
    last = packer.finish()
    windows = [*drawn, last] if last else drawn
    assert [span for window in windows for span in window.spans] == [piece.span for piece in pieces]
    assert [window.index for window in windows] == list(range(len(windows)))
    assert all(window.speech_ms <= 60_000 for window in windows)
    assert all(window.speech_ms >= 30_000 for window in drawn)
