"""Finding speech and cutting it: merging, widening, cutting and packing, on sound made for the purpose."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.decode import decode_flac
from dashscribe.errors import InvalidParameterError
from dashscribe.segment import Packer, Segmenter, SpanPlanner
from dashscribe.types import SAMPLES_PER_MS, Limits, Span, Waveform

LIMITS = Limits(max_piece_ms=30_000, min_piece_ms=2_000)


def voice(duration_ms: int, seed: int = 1) -> NDArray[np.int16]:
    """Something that every voice detector takes for voice: harmonics of 120 Hz, louder and softer as syllables are."""
    time_s = np.arange(duration_ms * SAMPLES_PER_MS) / 16_000
    tone = sum(np.sin(2 * np.pi * 120 * h * time_s + h) / h for h in range(1, 25))
    loudness = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time_s)
    noise = np.random.default_rng(seed).standard_normal(len(time_s)) * 20
    return (2000 * tone * loudness + noise).astype(np.int16)


def silence(duration_ms: int) -> NDArray[np.int16]:
    return np.random.default_rng(7).integers(-8, 9, duration_ms * SAMPLES_PER_MS).astype(np.int16)


def segment(*parts: NDArray[np.int16], limits: Limits = LIMITS, begin_ms: int = 0) -> list[Waveform]:
    segmenter = Segmenter(limits, begin_ms=begin_ms)
    return segmenter.feed(np.concatenate(parts)) + segmenter.finish()


def spans(pieces: list[Waveform]) -> list[Span]:
    return [piece.span for piece in pieces]


def test_silence_gives_no_spans() -> None:
    assert segment(silence(5_000)) == []
    assert segment(np.zeros(0, np.int16)) == []


def test_digital_silence_gives_no_spans() -> None:
    assert segment(np.zeros(80_000, np.int16)) == []


def test_speech_between_silence_is_found_with_some_sound_around() -> None:
    (span,) = spans(segment(silence(4_000), voice(5_000), silence(4_000)))
    assert 3_500 <= span.begin_ms <= 4_000
    assert 9_000 <= span.end_ms <= 9_500


def test_a_piece_carries_exactly_the_samples_of_its_span() -> None:
    sound = np.concatenate([silence(3_000), voice(4_000), silence(6_000), voice(3_000, 2), silence(1_234)])
    pieces = segment(sound)
    assert len(pieces) == 2
    for piece in pieces:
        begin, end = piece.span.begin_ms * SAMPLES_PER_MS, piece.span.end_ms * SAMPLES_PER_MS
        np.testing.assert_array_equal(piece.samples, sound[begin:end])


def test_times_are_on_the_clock_of_the_file_when_a_stretch_is_cut() -> None:
    sound = (silence(4_000), voice(5_000), silence(4_000))
    moved = [Span(s.begin_ms + 61_003, s.end_ms + 61_003) for s in spans(segment(*sound))]
    assert spans(segment(*sound, begin_ms=61_003)) == moved


def test_a_single_click_is_no_speech() -> None:
    sound = silence(6_000).copy()
    sound[48_000:48_160] = 20_000
    assert segment(sound) == []


def test_a_short_span_joins_the_nearer_neighbor_with_the_true_sound_between() -> None:
    sound = np.concatenate([silence(1_000), voice(4_000), silence(2_000), voice(800), silence(1_200), voice(4_000)])
    first, second = segment(sound)
    assert first.span.end_ms < 5_600
    assert 6_600 <= second.span.begin_ms <= 7_000
    assert second.span.end_ms >= 12_900
    begin = second.span.begin_ms * SAMPLES_PER_MS
    np.testing.assert_array_equal(second.samples, sound[begin : begin + len(second.samples)])


def test_a_short_span_after_a_near_one_joins_it_when_nothing_nearer_follows() -> None:
    (first, second) = spans(
        segment(voice(4_000), silence(1_000), voice(700), silence(1_800), voice(4_000), silence(1_000))
    )
    assert first.end_ms >= 5_700
    assert second.begin_ms >= 7_000


def test_a_short_span_far_from_others_is_widened_to_the_shortest_length() -> None:
    short = spans(segment(silence(10_000), voice(600), silence(10_000)))
    assert [span.duration_ms for span in short] == [2_000]
    assert short[0].begin_ms < 9_800
    assert short[0].end_ms > 10_700


def test_a_short_span_at_the_edge_of_the_file_is_widened_inwards() -> None:
    assert spans(segment(voice(500), silence(9_000))) == [Span(0, 2_000)]
    assert spans(segment(silence(9_000), voice(500))) == [Span(7_500, 9_500)]


def test_a_file_below_the_shortest_length_is_taken_whole() -> None:
    assert spans(segment(silence(200), voice(600), silence(300))) == [Span(0, 1_100)]


def test_nothing_is_merged_or_widened_without_a_shortest_length() -> None:
    lengths = spans(segment(silence(3_000), voice(600), silence(1_000), voice(3_000), limits=Limits(min_piece_ms=0)))
    assert len(lengths) == 2
    assert lengths[0].duration_ms < 1_500


def test_a_long_stretch_is_cut_in_its_best_pause() -> None:
    pause_at_ms = 22_000
    sound = (voice(10_000), silence(300), voice(11_700), silence(400), voice(15_000))
    first, second = spans(segment(*sound))
    assert pause_at_ms <= first.end_ms <= pause_at_ms + 400
    assert second.begin_ms == first.end_ms


def test_the_longer_of_two_pauses_is_chosen() -> None:
    sound = (voice(18_000), silence(480), voice(4_000), silence(120), voice(20_000))
    first = spans(segment(*sound))[0]
    assert 18_000 <= first.end_ms <= 18_480


def test_endless_speech_is_cut_into_abutting_pieces_within_the_limits() -> None:
    pieces = segment(voice(200_000))
    lengths = [piece.span.duration_ms for piece in pieces]
    assert max(lengths) <= 30_000
    assert min(lengths) >= 2_000
    assert all(left.span.end_ms == right.span.begin_ms for left, right in pairwise(pieces))
    assert pieces[0].span.begin_ms == 0
    assert pieces[-1].span.end_ms == 200_000


def test_a_stretch_just_too_long_leaves_no_crumb() -> None:
    for excess_ms in (100, 1_000, 1_900):
        lengths = [span.duration_ms for span in spans(segment(voice(30_000 + excess_ms)))]
        assert sum(lengths) == 30_000 + excess_ms
        assert min(lengths) >= 2_000
        assert max(lengths) <= 30_000


def test_memory_does_not_grow_with_the_length_of_the_sound() -> None:
    segmenter = Segmenter(LIMITS)
    kept: list[int] = []
    tracemalloc.start()
    for minute in range(6):
        segmenter.feed(voice(60_000, minute) if minute % 2 else silence(60_000))
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(kept) < 2 * 90_000 * SAMPLES_PER_MS, "more than a minute and a half of samples is kept"


def test_pieces_come_out_while_the_sound_still_runs() -> None:
    segmenter = Segmenter(LIMITS)
    early = segmenter.feed(np.concatenate([voice(5_000), silence(4_000)]))
    assert [piece.span.begin_ms for piece in early] == [0]


def test_a_higher_noise_threshold_takes_no_more_for_speech() -> None:
    rng = np.random.default_rng(3)
    sound = np.concatenate([silence(2_000), voice(5_000), silence(2_000)])
    noisy = (sound + rng.standard_normal(len(sound)) * 1500).astype(np.int16)
    totals: list[int] = []
    for threshold in (-1.0, 0.0, 1.0):
        segmenter = Segmenter(LIMITS, noise_threshold=threshold)
        totals.append(sum(p.span.duration_ms for p in segmenter.feed(noisy) + segmenter.finish()))
    assert totals[0] >= totals[1] >= totals[2]
    assert totals[0] > totals[2]


def test_no_noise_threshold_is_the_same_as_zero() -> None:
    sound = np.concatenate([silence(2_000), voice(5_000), silence(2_000)])
    given = Segmenter(LIMITS, noise_threshold=0.0)
    assert spans(given.feed(sound) + given.finish()) == spans(segment(sound))


@pytest.mark.parametrize("threshold", [-1.01, 2.0, float("nan")])
def test_a_noise_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidParameterError, match="-1 to 1"):
        Segmenter(LIMITS, noise_threshold=threshold)


def test_limits_that_no_cut_can_keep_are_refused() -> None:
    with pytest.raises(ValueError, match="at least twice"):
        SpanPlanner(Limits(max_piece_ms=3_000, min_piece_ms=2_000), 0, lambda first, last: last)


def piece(begin_ms: int, duration_ms: int) -> Waveform:
    return Waveform(voice(duration_ms, begin_ms), begin_ms)


def test_windows_hold_about_half_a_minute_and_are_numbered() -> None:
    packer = Packer(3)
    pieces = [piece(i * 20_000, 12_000) for i in range(7)]
    windows = [packer.add(p) for p in pieces]
    full = [w for w in windows if w]
    last = packer.finish()
    assert last is not None
    assert [len(w.spans) for w in [*full, last]] == [3, 3, 1]
    assert [(w.channel, w.index) for w in [*full, last]] == [(3, 0), (3, 1), (3, 2)]
    assert packer.finish() is None


def test_the_audio_of_a_window_is_its_spans_one_after_another() -> None:
    packer = Packer(0)
    pieces = [piece(1_000, 4_000), piece(9_000, 3_000)]
    assert [packer.add(p) for p in pieces] == [None, None]
    window = packer.finish()
    assert window is not None
    assert window.spans == tuple(p.span for p in pieces)
    np.testing.assert_array_equal(decode_flac(window.audio), np.concatenate([p.samples for p in pieces]))


def test_no_window_is_longer_than_its_cap() -> None:
    packer = Packer(0)
    windows = [packer.add(p) for p in (piece(0, 29_000), piece(30_000, 45_000), piece(80_000, 20_000))]
    windows.append(packer.finish())
    assert [[s.duration_ms for s in w.spans] for w in windows if w] == [[29_000], [45_000], [20_000]]
