"""Sounds that hold no speech, made from nothing but a seed: what an engine must write no words for.

Each function takes a number of samples at 16 kHz and a source of chance and returns samples (n,) of any level; ``make``
brings them to one. Those of ``training/sounds.py`` (music, applause, laughter and the like) are among them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from common import CHECKOUT
from dashscribe.types import RATE_HZ

sys.path.insert(0, str(CHECKOUT / "training"))
from sounds import EVENTS, colored_noise

Sound = NDArray[np.floating]


def clock(count: int) -> Sound:
    """The time of each sample, in seconds."""
    return np.arange(count) / RATE_HZ


def strewn(count: int, chance: np.random.Generator, per_s: float, part: Callable[[], Sound]) -> Sound:
    """``part`` again and again, at random times, ``per_s`` times a second on average."""
    sound = np.zeros(count)
    for at in np.sort(chance.integers(0, count, max(1, round(per_s * count / RATE_HZ)))):
        one = part()[: count - at]
        sound[at : at + len(one)] += one * chance.uniform(0.3, 1)
    return sound


def decaying(length: int, chance: np.random.Generator, low_hz: float, high_hz: float) -> Sound:
    """A burst of noise that dies away."""
    return colored_noise(length, chance, low_hz, high_hz) * np.exp(-np.arange(length) / (length / 6))


def white(count: int, chance: np.random.Generator) -> Sound:
    return chance.standard_normal(count)


def pink(count: int, chance: np.random.Generator) -> Sound:
    return colored_noise(count, chance, 20, 8000, 0.5)


def brown(count: int, chance: np.random.Generator) -> Sound:
    return colored_noise(count, chance, 20, 8000, 1.0)


def hum(count: int, chance: np.random.Generator) -> Sound:
    """The mains with harmonics."""
    base_hz, time_s = float(chance.choice([50, 60])), clock(count)
    waves = (chance.uniform(0, 1) / h * np.sin(2 * np.pi * base_hz * h * time_s + h) for h in range(1, 30))
    return np.sum(list(waves), axis=0) + 0.05 * white(count, chance)


def clicks(count: int, chance: np.random.Generator) -> Sound:
    return strewn(count, chance, 3, lambda: decaying(int(chance.integers(16, 160)), chance, 500, 8000))


def keyboard(count: int, chance: np.random.Generator) -> Sound:
    """Somebody types: down and up, six keys a second with pauses."""

    def key() -> Sound:
        down, up = (decaying(int(chance.integers(300, 900)), chance, 300, 7000) for _ in range(2))
        return np.concatenate([down, np.zeros(int(chance.integers(600, 1600))), 0.4 * up])

    busy = np.repeat(chance.random(count // RATE_HZ + 1) < 0.8, RATE_HZ)[:count]
    return strewn(count, chance, 7, key) * busy + 0.005 * white(count, chance)


def dtmf(count: int, chance: np.random.Generator) -> Sound:
    """Somebody dials."""
    sound, length = np.zeros(count), RATE_HZ // 10
    for at in range(0, count - length, int(chance.uniform(0.18, 0.3) * RATE_HZ)):
        pair_hz = chance.choice([697, 770, 852, 941]), chance.choice([1209, 1336, 1477])
        sound[at : at + length] = sum(np.sin(2 * np.pi * hz * clock(length)) for hz in pair_hz)
    return sound + 0.01 * white(count, chance)


def rain(count: int, chance: np.random.Generator) -> Sound:
    """Drops over the hiss of the rest."""
    drops = strewn(count, chance, 60, lambda: decaying(int(chance.integers(100, 400)), chance, 800, 7000))
    return drops + 0.5 * colored_noise(count, chance, 300, 8000, 0.3)


def engine(count: int, chance: np.random.Generator) -> Sound:
    """A motor whose speed wanders: pulses through a resonance."""
    wander = np.interp(
        np.arange(count), np.arange(0, count, RATE_HZ), chance.uniform(25, 90, len(range(0, count, RATE_HZ)))
    )
    phase = np.cumsum(wander) / RATE_HZ
    pulses = np.diff(np.floor(phase), prepend=0.0)
    return np.convolve(pulses, decaying(800, chance, 60, 1500), mode="same") + 0.1 * brown(count, chance)


def siren(count: int, chance: np.random.Generator) -> Sound:
    """A tone with harmonics that glides up and down."""
    glide_hz = chance.uniform(500, 800) * 2 ** (0.5 * np.sin(2 * np.pi * chance.uniform(0.2, 2) * clock(count)))
    phase = 2 * np.pi * np.cumsum(glide_hz) / RATE_HZ
    return np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)


def birds(count: int, chance: np.random.Generator) -> Sound:
    """Chirps: short glides between 2 and 6 kHz, in rows."""

    def chirp() -> Sound:
        length = int(chance.uniform(0.04, 0.15) * RATE_HZ)
        glide_hz = np.linspace(*chance.uniform(2000, 6000, 2), length)
        one = np.sin(2 * np.pi * np.cumsum(glide_hz) / RATE_HZ) * np.hanning(length)
        return np.tile(np.concatenate([one, np.zeros(length // 2)]), int(chance.integers(1, 6)))

    return strewn(count, chance, 1.5, chirp) + 0.02 * pink(count, chance)


def bells(count: int, chance: np.random.Generator) -> Sound:
    """Struck metal: partials that are no harmonics, ringing for a second."""

    def stroke() -> Sound:
        base_hz, time_s = chance.uniform(250, 900), clock(RATE_HZ)
        partials = ((1, 1.0), (2.0, 0.7), (2.4, 0.6), (3.0, 0.4), (4.1, 0.3), (5.4, 0.2))
        return sum(a * np.sin(2 * np.pi * base_hz * r * time_s) * np.exp(-time_s * 3 * r) for r, a in partials)

    return strewn(count, chance, 1.5, stroke)


def footsteps(count: int, chance: np.random.Generator) -> Sound:
    sound, stride = np.zeros(count), int(chance.uniform(0.45, 0.65) * RATE_HZ)
    for at in range(0, count - 3000, stride):
        step = decaying(2400, chance, 60, 900) + 0.2 * decaying(2400, chance, 1000, 5000)
        sound[at : at + 2400] += step * chance.uniform(0.6, 1)
    return sound + 0.01 * white(count, chance)


#: By name. Laughing and crying are made with a voice: a detector is right to take them for one.
NOISES: dict[str, Callable[[int, np.random.Generator], Sound]] = {
    **{f.__name__: f for f in (white, pink, brown, hum, clicks, keyboard, dtmf, rain, engine, siren, birds, bells)},
    "footsteps": footsteps,
    **{("music" if name == "BGM" else name.lower()): made for name, made in EVENTS.items()},
}


def make(name: str, seconds: float, seed: int, level: float = 2000.0) -> NDArray[np.int16]:
    """The sound ``name`` of this length as int16, shape (n,), with a root mean square of ``level``."""
    chance = np.random.default_rng([seed, *name.encode()])
    sound = NOISES[name](round(seconds * RATE_HZ), chance)
    scaled = sound * level / (np.sqrt(np.mean(np.square(sound))) + 1e-9)
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


def backwards(speech: NDArray[np.int16]) -> NDArray[np.int16]:
    """Speech from its end to its begin: everything of a voice but words."""
    return np.ascontiguousarray(speech[::-1])


def babble(voices: list[NDArray[np.int16]], count: int, chance: np.random.Generator, talkers: int = 8) -> Sound:
    """Many voices backwards at once, each from a random place on, shape (count,)."""
    total = np.zeros(count)
    for _ in range(talkers):
        voice = backwards(voices[int(chance.integers(len(voices)))]).astype(np.float64)
        whole = np.tile(voice, count // len(voice) + 2)
        at = int(chance.integers(len(voice)))
        total += whole[at : at + count] / (np.sqrt(np.mean(np.square(voice))) + 1e-9)
    return total
