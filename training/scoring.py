"""How well speakers are told: diarization error and equal error rate. Needs numpy alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Errors:
    """Sums of speech in frames of 10 ms: all of it, what was missed, what was made up, what another was taken for."""

    speech: int
    missed: int
    false: int
    confused: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.speech + other.speech,
            self.missed + other.missed,
            self.false + other.false,
            self.confused + other.confused,
        )

    @property
    def rate(self) -> float:
        """The diarization error rate: the errors' share of the speech, overlaps counted twice."""
        return (self.missed + self.false + self.confused) / max(self.speech, 1)


def diarization_errors(active: NDArray[np.bool_], segments: Iterable[tuple[float, float, int]]) -> Errors:
    """Compare ``active`` (talkers, frames of 10 ms) with segments (begin and end in seconds, label), no collar.

    Labels are matched to talkers one to one, as fits best.
    """
    found = list(segments)
    labels = sorted({label for _, _, label in found})
    heard = np.zeros((len(labels), active.shape[1]), bool)
    for begin_s, end_s, label in found:
        heard[labels.index(label), max(0, round(begin_s * 100)) : max(0, round(end_s * 100))] = True
    together = active.astype(np.int64) @ heard.T.astype(np.int64)
    if together.shape[0] > together.shape[1]:
        together = together.T
    rows = range(together.shape[0])
    ways = itertools.permutations(range(together.shape[1]), together.shape[0])
    right = max((sum(int(together[row, way[row]]) for row in rows) for way in ways), default=0)
    spoken, said = active.sum(0), heard.sum(0)
    return Errors(
        int(spoken.sum()),
        int(np.maximum(spoken - said, 0).sum()),
        int(np.maximum(said - spoken, 0).sum()),
        int(np.minimum(spoken, said).sum()) - right,
    )


def equal_error_rate(same: NDArray[np.floating], different: NDArray[np.floating]) -> tuple[float, float]:
    """The rate at which as many pairs of one talker are refused as of two are taken, and the score of that."""
    scores = np.sort(np.concatenate((same, different)))
    refused = np.searchsorted(np.sort(same), scores) / len(same)
    taken = 1 - np.searchsorted(np.sort(different), scores) / len(different)
    place = int(np.argmin(np.abs(refused - taken)))
    return float((refused[place] + taken[place]) / 2), float(scores[place])
