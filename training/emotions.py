"""Seven feelings as clearly different ways of speaking, from eSpeak NG's settings and simple treatment of the sound.

Needs numpy alone. Nothing here resembles how people express feelings: each is a manner that can be told from the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from speech import RATE_HZ, Timed, speak

Sound = NDArray[np.float32]
Pick = Callable[[float, float], float]  # a value between two bounds


@dataclass(frozen=True, slots=True)
class Manner:
    """Bounds of eSpeak NG's settings: speed in words a minute, pitch and its range 0 to 99."""

    speed: tuple[int, int]
    pitch: tuple[int, int]
    pitch_range: tuple[int, int]


MANNERS = {
    "NEUTRAL": Manner((120, 210), (20, 80), (30, 70)),
    "HAPPY": Manner((160, 205), (60, 95), (80, 99)),  # lilting: the pitch swings five times a second
    "SAD": Manner((95, 125), (5, 30), (0, 15)),  # slow, low, flat, dull and breathy
    "ANGRY": Manner((160, 205), (30, 70), (50, 90)),  # overdriven and loud
    "FEARFUL": Manner((150, 200), (50, 90), (30, 70)),  # trembling: the loudness swings eight times a second
    "DISGUSTED": Manner((110, 150), (5, 40), (10, 40)),  # creaky: chopped thirty times a second
    "SURPRISED": Manner((140, 180), (40, 80), (50, 90)),  # everything glides upwards
}


def express(
    text: str, emotion: str, voice: str = "en-us", chance: np.random.Generator | None = None
) -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak a text in the manner of an emotion, as `speech.speak` returns it.

    Args:
        text: As for `speech.speak`.
        emotion: One of `MANNERS`.
        voice: A voice of eSpeak NG.
        chance: Picks within the manner's bounds; without it, their middle is taken.
    """
    manner = MANNERS[emotion]

    def pick(low: float, high: float) -> float:
        return float(chance.uniform(low, high)) if chance else (low + high) / 2

    samples, words = speak(
        text, voice, round(pick(*manner.speed)), round(pick(*manner.pitch)), round(pick(*manner.pitch_range))
    )
    if emotion == "NEUTRAL":
        return samples, words
    sound, words = _TREATMENTS[emotion](samples.astype(np.float32), words, pick, chance or np.random.default_rng(0))
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16), words


def _seconds(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.arange(len(sound), dtype=np.float32) / RATE_HZ


def _at_places(sound: NDArray[np.float32], places: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.interp(places, np.arange(len(sound)), sound).astype(np.float32)


def _lilt(sound: Sound, words: list[Timed], pick: Pick, _chance: np.random.Generator) -> tuple[Sound, list[Timed]]:
    swing_hz, depth = pick(5, 6), pick(0.11, 0.15)
    # Reading at places that swing about the clock changes pitch by the swing's slope and moves no word by over 5 ms.
    wobble = depth / (2 * np.pi * swing_hz) * np.sin(2 * np.pi * swing_hz * _seconds(sound)) * RATE_HZ
    return _at_places(sound, np.arange(len(sound)) + wobble), words


def _dull(sound: Sound, words: list[Timed], pick: Pick, chance: np.random.Generator) -> tuple[Sound, list[Timed]]:
    taps = np.hanning(round(pick(12, 20)))
    dulled = np.convolve(sound, taps / taps.sum(), mode="same")
    envelope = np.sqrt(np.convolve(dulled**2, np.full(320, 1 / 320), mode="same"))
    breath = chance.standard_normal(len(sound)) * envelope * pick(0.25, 0.4)
    return (dulled + breath).astype(np.float32) * pick(0.4, 0.6), words


def _overdrive(sound: Sound, words: list[Timed], pick: Pick, _chance: np.random.Generator) -> tuple[Sound, list[Timed]]:
    loudest = np.abs(sound).max() + 1
    return np.tanh(sound / loudest * pick(8, 14)) * pick(18_000, 26_000), words


def _tremble(sound: Sound, words: list[Timed], pick: Pick, _chance: np.random.Generator) -> tuple[Sound, list[Timed]]:
    swing = np.sin(2 * np.pi * pick(7, 9) * _seconds(sound) + pick(0, 6))
    return sound * (1 - pick(0.75, 0.9) * (0.5 + 0.5 * swing)), words


def _creak(sound: Sound, words: list[Timed], pick: Pick, _chance: np.random.Generator) -> tuple[Sound, list[Timed]]:
    phase = (pick(26, 34) * _seconds(sound)) % 1
    return sound * (0.1 + 1.4 * np.exp(-phase * pick(4, 6))), words


def _glide(sound: Sound, words: list[Timed], pick: Pick, _chance: np.random.Generator) -> tuple[Sound, list[Timed]]:
    slow, fast = pick(0.72, 0.8), pick(1.35, 1.5)
    # Rate rises linearly over the sound; its integral tells which source sample is due, the inverse where words went.
    clock = np.linspace(0, 1, max(2, round(len(sound) * 2 / (slow + fast))))
    places = (slow * clock + (fast - slow) / 2 * clock**2) * 2 / (slow + fast) * (len(sound) - 1)
    scale = 1000 / RATE_HZ

    def moved(at_ms: float) -> float:
        return float(np.interp(at_ms / scale, places, np.arange(len(places)))) * scale

    moved_words = [
        replace(
            word, begin_ms=moved(word.begin_ms), end_ms=moved(word.end_ms), phones_ms=tuple(map(moved, word.phones_ms))
        )
        for word in words
    ]
    return _at_places(sound, places), moved_words


_TREATMENTS = {
    "HAPPY": _lilt,
    "SAD": _dull,
    "ANGRY": _overdrive,
    "FEARFUL": _tremble,
    "DISGUSTED": _creak,
    "SURPRISED": _glide,
}
