"""Sounds that are not speech, drawn at random: applause, laughter, music and the other events of SenseVoice's tags.

Needs numpy alone. Every function returns float samples (n,) at 16 kHz with a root mean square near 1; `render` makes
a recording of one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from speech import RATE_HZ

Sound = NDArray[np.float32]


def render(event: str, seconds: float, chance: np.random.Generator, level: float = 2500.0) -> NDArray[np.int16]:
    """Record an event.

    Args:
        event: One of `EVENTS`.
        seconds: Length.
        chance: Source of everything random in it.
        level: Root mean square of the samples.
    """
    sound = EVENTS[event](round(seconds * RATE_HZ), chance)
    return np.clip(np.rint(_leveled(sound) * level), -32768, 32767).astype(np.int16)


def _leveled(sound: NDArray[np.floating]) -> Sound:
    return (sound / (np.sqrt(np.mean(np.square(sound))) + 1e-9)).astype(np.float32)


def _seconds(count: int) -> NDArray[np.float64]:
    return np.arange(count) / RATE_HZ


def colored_noise(count: int, chance: np.random.Generator, low_hz: float, high_hz: float, slope: float = 0.0) -> Sound:
    """Draw noise between two frequencies whose amplitude falls with frequency to the power `slope`."""
    size = 1 << max(8, int(np.ceil(np.log2(max(count, 2)))))  # other sizes may have slow Fourier transforms
    frequencies = np.fft.rfftfreq(size, 1 / RATE_HZ)
    spectrum = chance.standard_normal(len(frequencies)) + 1j * chance.standard_normal(len(frequencies))
    spectrum *= (frequencies >= low_hz) * (frequencies <= high_hz) / np.maximum(frequencies, 50.0) ** slope
    return _leveled(np.fft.irfft(spectrum, size)[:count])


def _add(sound: NDArray[np.floating], at: int, part: NDArray[np.floating]) -> None:
    if 0 <= at < len(sound):
        kept = min(len(part), len(sound) - at)
        sound[at : at + kept] += part[:kept]


def _voiced(pitch_hz: NDArray[np.float64], formants_hz: tuple[float, ...]) -> NDArray[np.float64]:
    """Sum harmonics of a pitch that changes; each is as loud as it is near a formant."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    sound = np.zeros(len(pitch_hz))
    for harmonic in range(1, 25):
        place_hz = harmonic * float(pitch_hz.mean())
        if place_hz > RATE_HZ / 2:
            break
        nearness = sum(np.exp(-(((place_hz - formant) / 180) ** 2)) for formant in formants_hz)
        sound += (0.03 + nearness) / harmonic**0.5 * np.sin(harmonic * phase)
    return sound


def applause(count: int, chance: np.random.Generator) -> Sound:
    """Clap: many short bursts of noise, forty to two hundred a second."""
    sound = np.zeros(count + 4000)
    low_hz, high_hz = chance.uniform(300, 900), chance.uniform(3000, 7000)
    bank = colored_noise(16_000, chance, low_hz, high_hz)
    for at in chance.integers(0, count, size=round(count / RATE_HZ * chance.uniform(40, 200))):
        length = int(chance.integers(150, 500))
        start = int(chance.integers(0, 15_000))
        _add(
            sound,
            int(at),
            bank[start : start + length] * np.exp(-np.arange(length) / (length / 5)) * chance.uniform(0.3, 1),
        )
    return _leveled(sound[:count])


def laughter(count: int, chance: np.random.Generator) -> Sound:
    """Laugh: rows of short "ha", four to six a second, falling in pitch."""
    sound = np.zeros(count + 8000)
    at, pitch_hz = int(chance.integers(0, 1600)), chance.uniform(150, 350)
    formants_hz = (chance.uniform(650, 850), chance.uniform(1100, 1400), 2600.0)
    while at < count:
        for place in range(int(chance.integers(4, 9))):
            length = int(chance.uniform(0.07, 0.11) * RATE_HZ)
            glide = pitch_hz * (1 - 0.04 * place) * np.linspace(1.15, 0.85, length)
            breath = colored_noise(length // 2, chance, 400, 5000) * 0.35
            _add(sound, at, breath)
            _add(sound, at + length // 3, _voiced(glide, formants_hz) * np.hanning(length))
            at += int(chance.uniform(0.17, 0.24) * RATE_HZ)
        at += int(chance.uniform(0.15, 0.5) * RATE_HZ)
    return _leveled(sound[:count])


def music(count: int, chance: np.random.Generator) -> Sound:
    """Play chords of decaying or held tones with a melody above and, at times, a beat."""
    sound = np.zeros(count + RATE_HZ)
    beat = int(chance.uniform(0.25, 0.5) * RATE_HZ)
    base_hz, decay_s = chance.uniform(110, 260), chance.uniform(0.25, 2.0)
    partials = 1 / np.arange(1, 7) ** chance.uniform(0.8, 2.0)
    scale, chords = (0, 2, 4, 5, 7, 9, 11), ((0, 4, 7), (5, 9, 12), (7, 11, 14), (-3, 0, 4))
    drums = chance.random() < 0.4
    for place, at in enumerate(range(0, count, beat)):
        notes = [int(chance.choice(scale)) + 12]
        if place % 4 == 0:
            notes += list(chords[int(chance.integers(len(chords)))])
        for note in notes:
            _add(sound, at, _tone(base_hz * 2 ** (note / 12), beat * (4 if note < 12 else 1), partials, decay_s))
        if drums:
            _add(sound, at, colored_noise(1200, chance, 2000, 8000) * np.exp(-np.arange(1200) / 250) * 0.8)
    return _leveled(sound[:count])


def _tone(pitch_hz: float, length: int, partials: NDArray[np.float64], decay_s: float) -> NDArray[np.float64]:
    clock = _seconds(length + 800)
    envelope = np.minimum(clock / 0.01, 1) * np.exp(-clock / decay_s)
    envelope[-800:] *= np.linspace(1, 0, 800)
    waves = (weight * np.sin(2 * np.pi * pitch_hz * (place + 1) * clock) for place, weight in enumerate(partials))
    return envelope * sum(wave for place, wave in enumerate(waves) if pitch_hz * (place + 1) < RATE_HZ / 2)


def cry(count: int, chance: np.random.Generator) -> Sound:
    """Wail: long voiced glides up and down, high and trembling."""
    sound = np.zeros(count + 2 * RATE_HZ)
    at = 0
    while at < count:
        length = int(chance.uniform(0.5, 1.1) * RATE_HZ)
        clock = np.linspace(0, 1, length)
        pitch_hz = chance.uniform(380, 520) * (1 + 0.25 * np.sin(np.pi * clock)) * (1 + 0.03 * np.sin(60 * clock))
        _add(sound, at, _voiced(pitch_hz, (900.0, 1500.0, 3000.0)) * np.sin(np.pi * clock) ** 0.5)
        at += length + int(chance.uniform(0.1, 0.3) * RATE_HZ)
    return _leveled(sound[:count])


def cough(count: int, chance: np.random.Generator) -> Sound:
    """Cough: pairs of abrupt bursts of low noise."""
    return _bursts(count, chance, (0.12, 0.25), (200, 2500), 12, (0.3, 0.6))


def sneeze(count: int, chance: np.random.Generator) -> Sound:
    """Sneeze: noise that swells, then one bright burst; again after a while."""
    sound = np.zeros(count + RATE_HZ)
    at = 0
    while at < count:
        swell = int(chance.uniform(0.3, 0.5) * RATE_HZ)
        _add(sound, at, colored_noise(swell, chance, 500, 2500) * np.linspace(0, 0.35, swell) ** 2)
        length = int(chance.uniform(0.3, 0.45) * RATE_HZ)
        burst = colored_noise(length, chance, 2000, 7500) * np.exp(-np.linspace(0, 5, length)) * 1.5
        _add(sound, at + swell, burst)
        at += swell + length + int(chance.uniform(0.6, 1.2) * RATE_HZ)
    return _leveled(sound[:count])


def breath(count: int, chance: np.random.Generator) -> Sound:
    """Breathe: soft noise that swells and ebbs."""
    swing = np.sin(2 * np.pi * chance.uniform(0.4, 0.7) * _seconds(count) + chance.uniform(0, 6)) ** 2
    return _leveled(colored_noise(count, chance, 300, 3500, 0.5) * swing)


def _bursts(
    count: int,
    chance: np.random.Generator,
    length_s: tuple[float, float],
    band_hz: tuple[float, float],
    steepness: float,
    pause_s: tuple[float, float],
) -> Sound:
    sound = np.zeros(count + RATE_HZ)
    at = int(chance.integers(0, 1600))
    while at < count:
        for _ in range(2):
            length = int(chance.uniform(*length_s) * RATE_HZ)
            _add(sound, at, colored_noise(length, chance, *band_hz) * np.exp(-np.linspace(0, steepness / 2, length)))
            at += length + int(0.08 * RATE_HZ)
        at += int(chance.uniform(*pause_s) * RATE_HZ)
    return _leveled(sound[:count])


def noise(count: int, chance: np.random.Generator) -> Sound:
    """Hiss, hum or rumble: steady noise of a random color, with the mains' hum at times."""
    low_hz, high_hz = chance.uniform(20, 400), chance.uniform(1000, 8000)
    sound = colored_noise(count, chance, low_hz, high_hz, chance.uniform(0, 1.2))
    if chance.random() < 0.3:
        hum_hz = float(chance.choice([50, 60, 100, 120]))
        sound = sound + chance.uniform(0.3, 3) * np.sin(2 * np.pi * hum_hz * _seconds(count))
    return _leveled(sound)


def tone(count: int, chance: np.random.Generator) -> Sound:
    """Beep: one steady or interrupted tone, as test signals and telephones have them."""
    clock = _seconds(count)
    wave = np.sin(2 * np.pi * chance.uniform(200, 3000) * clock)
    if chance.random() < 0.5:
        wave = wave * ((clock * chance.uniform(0.5, 4)) % 1 < 0.5)
    return _leveled(wave)


EVENTS: dict[str, Callable[[int, np.random.Generator], Sound]] = {
    "BGM": music,
    "Applause": applause,
    "Laughter": laughter,
    "Cry": cry,
    "Sneeze": sneeze,
    "Breath": breath,
    "Cough": cough,
    "noise": noise,
    "tone": tone,
}
