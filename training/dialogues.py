"""Dialogues from single utterances: turns with pauses, quick changes and overlaps, over noise, and who speaks when.

Needs numpy and the synthesizers alone. What is drawn at random comes from the generator that is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sounds
from numpy.typing import NDArray
from speech import RATE_HZ
from talkers import utter

#: Shares of turns that begin before the one before has ended, and right at its end; the others follow a pause.
OVERLAPPING, QUICK = 0.4, 0.2
OVERLAP_S, QUICK_S, PAUSE_S, LONG_PAUSE_S = (0.3, 2.2), (0.0, 0.12), (0.15, 1.2), (1.2, 4.0)
CALM = 0.1  # of turns follow a long pause
FIRST_S = 0.5  # the first turn begins within this
SAME_AGAIN = 0.12  # of turns are of who spoke before
STEP = RATE_HZ // 100  # activity is told every 10 ms
AUDIBLE = 0.01  # of the loudest: what is softer within an utterance is a pause
JOINED_S = 0.25  # shorter pauses within an utterance belong to it

Utter = Callable[[int], NDArray[np.int16]]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A recording: ``samples`` (n,) float32 in [-1, 1] at 16 kHz, ``active`` (talkers, n // 160) who speaks."""

    samples: NDArray[np.float32]
    active: NDArray[np.bool_]

    def turns(self) -> list[tuple[int, int, int]]:
        """Talker, begin and end in ms of each stretch of speech."""
        found = []
        for talker, row in enumerate(self.active):
            edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
            found += [(talker, 10 * int(a), 10 * int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        return sorted(found, key=lambda turn: turn[1])


def activity(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Whether somebody speaks, (n // 160,), in an utterance without noise."""
    frames = samples[: len(samples) // STEP * STEP].astype(np.float32).reshape(-1, STEP)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = level > AUDIBLE * level.max(initial=1.0)
    edges = np.flatnonzero(np.diff(loud.astype(np.int8)))
    for begin, end in itertools.pairwise(edges):
        if not loud[begin + 1] and end - begin < JOINED_S * 100:
            loud[begin + 1 : end + 1] = True
    return loud


def compose(
    say: Utter, talkers: int, seconds: float, chance: np.random.Generator, overlapping: float = OVERLAPPING
) -> Dialogue:
    """Have talkers speak in turns; ``say(talker)`` gives what one says next. No more than two speak at once.

    A share ``overlapping`` of the turns begins before the one before has ended. Turns are cut off at the end.
    """
    count = round(seconds * RATE_HZ)
    samples, active = np.zeros(count, np.float32), np.zeros((talkers, count // STEP), bool)
    gains = 10 ** (chance.uniform(-5, 5, talkers) / 20)
    ends = [0, 0]  # of the two turns that end last, the later one first
    at, talker = round(chance.uniform(0, FIRST_S) * RATE_HZ), int(chance.integers(max(talkers, 1)))
    while talkers and at < count:
        said = say(talker)
        speaks = activity(said)
        begin = at // STEP
        kept = said[: count - begin * STEP].astype(np.float32)
        samples[begin * STEP : begin * STEP + len(kept)] += kept * (gains[talker] * 0.07 / (_rms(said, speaks) + 1e-9))
        row = active[talker, begin : begin + len(speaks)]
        row |= speaks[: len(row)]
        ends = sorted((*ends, at + len(said)), reverse=True)[:2]
        before = talker
        if talkers > 1 and chance.random() > SAME_AGAIN:
            talker = (talker + int(chance.integers(1, talkers))) % talkers
        at = _next(ends, len(said), 0.0 if talker == before else overlapping, chance)
    return Dialogue(samples, active)


def _rms(said: NDArray[np.int16], speaks: NDArray[np.bool_]) -> float:
    frames = said[: len(speaks) * STEP].astype(np.float32).reshape(-1, STEP)[speaks]
    return float(np.sqrt(np.mean(frames**2))) if len(frames) else 1.0


def _next(ends: list[int], length: int, overlapping: float, chance: np.random.Generator) -> int:
    """When the next turn begins, in samples."""
    manner = chance.random()
    if manner < overlapping:
        overlap = min(chance.uniform(*OVERLAP_S) * RATE_HZ, 0.7 * length)
        return max(ends[1], ends[0] - round(overlap))
    bounds = QUICK_S if manner < overlapping + QUICK else LONG_PAUSE_S if manner > 1 - CALM else PAUSE_S
    return ends[0] + round(chance.uniform(*bounds) * RATE_HZ)


def disturb(dialogue: Dialogue, noises: list[NDArray[np.float32]], chance: np.random.Generator) -> Dialogue:
    """Lay noise or, rarely, music under a dialogue and play it at another level; some stay clean."""
    samples = dialogue.samples
    if chance.random() < 0.65:
        noise = noises[int(chance.integers(len(noises)))]
        shift = int(chance.integers(len(noise)))
        bed = np.take(noise, np.arange(shift, shift + len(samples)), mode="wrap")
        samples = samples + bed * (0.07 * 10 ** (-chance.uniform(8, 40) / 20))
    gain = 10 ** (chance.uniform(-24, 6) / 20)
    return Dialogue(np.clip(samples * gain, -1, 1).astype(np.float32), dialogue.active)


def between(names: list[str], seconds: float, seed: int, overlapping: float = OVERLAPPING) -> Dialogue:
    """A dialogue of these talkers, without noise: the same for a seed, but for eSpeak NG's own noise."""
    chance = np.random.default_rng(seed)
    return compose(lambda talker: utter(names[talker], chance), len(names), seconds, chance, overlapping)


def beds(chance: np.random.Generator, count: int = 40, seconds: float = 12.0) -> list[NDArray[np.float32]]:
    """Noises, and a fifth of music, of rms 1."""
    size = round(seconds * RATE_HZ)
    return [sounds.music(size, chance) if place % 5 == 0 else sounds.noise(size, chance) for place in range(count)]
