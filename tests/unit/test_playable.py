"""What media children make for people: peaks and MP3, the same however the samples come in."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashscribe.hosts.playable import PEAK_SAMPLES, Mp3, Peaks
from dashscribe.types import RATE_HZ


def parts_of(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    edges = np.cumsum(sizes)
    return np.split(samples, edges[edges < samples.shape[1]], axis=1)


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 3 * PEAK_SAMPLES), max_size=8), length=st.integers(1, 6 * PEAK_SAMPLES))
def test_peaks_are_the_loudest_of_each_stretch_in_whatever_blocks_they_come(sizes: list[int], length: int) -> None:
    samples = np.random.default_rng(length).integers(-32768, 32768, (2, length)).astype(np.int16)
    peaks = Peaks(2)
    for part in parts_of(samples, sizes):
        peaks.feed(part)
    for found, channel in zip(peaks.finish(), samples.astype(np.int32), strict=True):
        stretches = [channel[at : at + PEAK_SAMPLES] for at in range(0, length, PEAK_SAMPLES)]
        assert list(found) == [min(127, int(max(one.max(), -one.min() - 1)) >> 8) for one in stretches]


@pytest.mark.parametrize(("sample", "peak"), [(0, 0), (255, 0), (256, 1), (32767, 127), (-32768, 127), (-1, 0)])
def test_peaks_go_from_0_to_127(sample: int, peak: int) -> None:
    peaks = Peaks(1)
    peaks.feed(np.full((1, PEAK_SAMPLES), sample, np.int16))
    assert peaks.finish() == [bytes([peak])]


@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_is_the_same_in_whatever_blocks_it_comes_and_lies_on_the_clock(channels: int) -> None:
    samples = np.zeros((channels, 3 * RATE_HZ), np.int16)
    samples[:, RATE_HZ : RATE_HZ + 2000] = np.random.default_rng(3).normal(0, 8000, 2000).astype(np.int16)
    made = []
    for sizes in ([RATE_HZ] * 2, [7, 576, 1105, 40_000]):
        mp3 = Mp3(channels)
        made.append(b"".join([*map(mp3.feed, parts_of(samples, sizes)), mp3.finish()]))
    assert made[0] == made[1]
    with av.open(io.BytesIO(made[0])) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert len(heard) == channels
    loud = np.flatnonzero(np.abs(heard[0]) > np.abs(heard[0]).max() / 4)
    assert loud[0] / RATE_HZ == pytest.approx(1, abs=0.005)
    assert heard.shape[1] >= samples.shape[1] - 1200
