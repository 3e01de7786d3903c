"""Decoding does not depend on how sound is cut up: into blocks, packets, stretches or stored windows."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from dashscribe.decode import decode_flac, encode_flac
from dashscribe.decode.resample import Resampler
from dashscribe.types import RATE_HZ, Span
from media_files import MediaMaker, decode, media, tone_bursts, write_wav
from sizes import size

__all__ = ["media"]  # the fixture

RATES_HZ = st.sampled_from([8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
CUTS = st.lists(st.integers(0, 20_000), max_size=12)
NOISE = np.random.default_rng(7).normal(0, 0.2, (20_000, 2)).astype(np.float32)


def resample(
    rate_hz: int, cuts: list[int], first: int = 0, length: int = len(NOISE)
) -> tuple[Resampler, NDArray[np.int16]]:
    """The noise, fed in blocks that end at the cuts."""
    resampler = Resampler(2, first=first)
    edges = [0, *sorted(cut for cut in cuts if cut < length), length]
    blocks: list[NDArray[np.int16]] = [np.zeros((2, 0), np.int16)]
    for begin, end in pairwise(edges):
        blocks += resampler.feed(rate_hz, NOISE[begin:end])
    return resampler, np.concatenate([*blocks, *resampler.finish()], axis=1)


@given(rate_hz=RATES_HZ, cuts=CUTS)
def test_blocks_of_any_size_give_equal_samples(rate_hz: int, cuts: list[int]) -> None:
    assert np.array_equal(resample(rate_hz, cuts)[1], resample(rate_hz, [])[1])


@settings(max_examples=size(20, 200))
@given(
    sound=arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 300)), elements=st.integers(-32768, 32767)),
    asked=st.lists(st.integers(-1, 9), max_size=3),
)
def test_a_mix_is_the_mean_of_all_channels_to_the_sample(
    sound: NDArray[np.int16], asked: list[int], tmp_path: Path
) -> None:
    decoder, samples = decode(write_wav(tmp_path / "any.wav", sound), asked, mix=True)
    assert (decoder.channels, decoder.notes) == ((0,), [])
    assert np.array_equal(samples, np.rint(sound.mean(axis=0, keepdims=True)))


@given(rate_hz=RATES_HZ, length=st.integers(0, 20_000))
def test_length_at_16_khz_is_the_length_in_time(rate_hz: int, length: int) -> None:
    resampler, samples = resample(rate_hz, [], length=length)
    assert abs(samples.shape[1] - length * RATE_HZ / rate_hz) <= 0.5
    assert resampler.position == samples.shape[1]


@given(rate_hz=RATES_HZ, first=st.integers(0, 60_000), cuts=CUTS)
def test_passing_over_the_beginning_gives_the_samples_of_the_whole(rate_hz: int, first: int, cuts: list[int]) -> None:
    whole_end, whole = resample(rate_hz, [])
    resampler, part = resample(rate_hz, cuts, first=first)
    assert abs(resampler.position - whole_end.position) <= (part.shape[1] == 0)
    begin = resampler.position - part.shape[1]
    wanted = max(first, begin)
    assert begin <= first or part.shape[1] == 0 or begin == 0
    assert np.array_equal(part[:, wanted - begin :], whole[:, wanted:])


@settings(max_examples=size(15, 200))
@given(rates=st.lists(RATES_HZ, min_size=1, max_size=4), first=st.integers(0, 40_000))
def test_changes_of_rate_do_not_move_what_follows(rates: list[int], first: int) -> None:
    def run(first: int) -> tuple[int, NDArray[np.int16]]:
        resampler = Resampler(2, first=first)
        blocks = [block for rate_hz in rates for block in resampler.feed(rate_hz, NOISE[:9001])]
        blocks += resampler.finish()
        return resampler.position, np.concatenate([np.zeros((2, 0), np.int16), *blocks], axis=1)

    end, whole = run(0)
    part_end, part = run(first)
    assert part_end == end == whole.shape[1]
    kept = min(part.shape[1], max(0, end - first))
    assert np.array_equal(part[:, part.shape[1] - kept :], whole[:, whole.shape[1] - kept :])


@given(arrays(np.int16, st.integers(0, 20_000), elements=st.integers(-32768, 32767), fill=st.integers(-32768, 32767)))
@example(np.zeros(0, np.int16))
@example(np.array([-32768], np.int16))
@example(np.array([32767, -32768] * 4608, np.int16))
@settings(max_examples=size(20, 200))
def test_flac_gives_back_every_sample(samples: NDArray[np.int16]) -> None:
    unpacked = decode_flac(encode_flac(samples))
    assert unpacked.dtype == np.int16
    assert np.array_equal(unpacked, samples)


@settings(max_examples=size(8, 100))
@given(begin_ms=st.integers(0, 3990), length_ms=st.integers(1, 5000))
@pytest.mark.parametrize("name", ["pcm.wav", "xing.mp3", "edit.m4a", "opus.opus"])
def test_any_stretch_is_cut_from_the_whole(media: MediaMaker, name: str, begin_ms: int, length_ms: int) -> None:
    whole = decode(media(name), (0, 1))[1]
    span = Span(begin_ms, begin_ms + length_ms)
    part = decode(media(name), (0, 1), span)[1]
    assert np.array_equal(part, whole[:, span.begin_ms * 16 : span.end_ms * 16])


def test_packets_of_any_size_give_equal_samples(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    source = write_wav(tmp_path / "source.wav", tone_bursts(44_100), 44_100)
    expected = decode(source, (0, 1))[1]
    for packet in (64, 1000, 4608, 65_535):
        path = tmp_path / f"{packet}.mka"
        ffmpeg("-i", source, "-c:a", "flac", "-frame_size", packet, "-strict", "-2", path)
        decoder, samples = decode(path, (0, 1))
        assert np.array_equal(samples, expected), packet
        assert decoder.lost == []
