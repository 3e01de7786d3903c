"""Which channels are heard when nobody named any: calls by channel, rooms mixed, and nothing that is said left out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe import config
from dashscribe.hosts import Hosts
from dashscribe.pipeline import settle_channels
from dashscribe.types import Options, Span
from media_files import write_wav

pytestmark = pytest.mark.usefixtures("lasting_children")

Floats = NDArray[np.float64]
RATE = 16_000
TALK = Options(diarize=True, channels=())
Settle = Callable[..., tuple[Options, list[str]]]


def speech(*stretches: tuple[float, float], seconds: float = 20, seed: int = 0) -> Floats:
    """A buzz in syllables between these seconds, over faint noise."""
    at = np.arange(int(seconds * RATE)) / RATE
    loud = sum((at >= begin) & (at < end) for begin, end in stretches)
    buzz = sum(np.sin(2 * np.pi * 150 * k * at) / k for k in range(1, 8)) * (1 + np.sin(2 * np.pi * 3 * at))
    return 2000 * loud * buzz + np.random.default_rng(seed).normal(0, 20, len(at))


def noise(level: float, seconds: float = 20) -> Floats:
    return np.random.default_rng(9).normal(0, level, int(seconds * RATE))


LEFT, RIGHT = speech((1, 5), (11, 14)), speech((6, 10), (15, 19), seed=1)
ALTERNATING = LEFT, RIGHT
LATE = (
    speech((1, 3), (310, 312), seconds=330),
    np.where(np.arange(330 * RATE) < 315 * RATE, 0, speech((316, 325), seconds=330)),
)


@pytest.fixture
def settled(tmp_path: Path) -> Settle:
    def settle(*channels: Floats, options: Options = TALK) -> tuple[Options, list[str]]:
        path = write_wav(tmp_path / "a.wav", np.clip(np.array(channels), -32768, 32767).astype(np.int16))
        with Hosts(config.Settings(models_dir=tmp_path / "none"), slots=1) as hosts:
            return settle_channels(options, path, "a.wav", hosts)

    return settle


@pytest.mark.parametrize("channels", [ALTERNATING, LATE], ids=["in turns", "one late"])
def test_two_channels_of_speech_of_their_own_are_a_call(settled: Settle, channels: tuple[Floats, Floats]) -> None:
    options, notes = settled(*channels)
    assert (options.channels, options.speaker_per_channel) == ((0, 1), True)
    assert notes == ["the two channels differ: each is taken as one speaker"]


@pytest.mark.parametrize(
    ("channels", "note"),
    [
        ((LEFT + RIGHT, (LEFT + RIGHT) / 2), "the two channels are alike: they were mixed into one"),
        ((LEFT + RIGHT, noise(60)), "one of the two channels holds no speech of its own: they were mixed into one"),
        ((LEFT, RIGHT, RIGHT), "the 3 channels were mixed into one, to tell speakers apart by their voices"),
    ],
    ids=["alike", "noise beside", "three"],
)
def test_others_are_mixed(settled: Settle, channels: tuple[Floats, ...], note: str) -> None:
    options, notes = settled(*channels)
    assert (options.mix, options.speaker_per_channel, notes) == (True, False, [note])


@pytest.mark.parametrize("silent", [0, 1])
def test_a_channel_without_any_sound_is_left_out_and_named(settled: Settle, silent: int) -> None:
    channels = [LEFT + RIGHT, LEFT + RIGHT]
    channels[silent] = np.zeros(len(LEFT))
    options, notes = settled(*channels)
    assert (options.channels, options.mix) == ((1 - silent,), False)
    assert notes == [f"channel {silent} holds no sound and was left out"]


def test_only_what_will_be_heard_is_compared(settled: Settle) -> None:
    stretch = Options(diarize=True, channels=(), stretch=Span(314_000, 328_000))
    options, _ = settled(*LATE, options=stretch)
    assert options.mix or 1 in options.channels


def test_silence_in_both_is_heard_as_it_is(settled: Settle) -> None:
    options, _ = settled(np.zeros(RATE), np.zeros(RATE))
    assert options.mix or options.channels == (0, 1)


def test_named_channels_are_speakers_only_where_there_are_several(
    settled: Settle,
) -> None:
    named = Options(diarize=True, channels=(0, 1), speaker_per_channel=True)
    assert settled(LEFT, options=named)[0].speaker_per_channel is False
    assert settled(LEFT, LEFT, options=named)[0].speaker_per_channel is True
    every = Options(diarize=True, channels=(), speaker_per_channel=True)
    assert settled(LEFT, options=every)[0] == Options(diarize=True, channels=(0,))
