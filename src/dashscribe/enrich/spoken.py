"""A channel with its speakers, apart from what finds them, which loads numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashscribe.types import Outcome, Turn


@dataclass(frozen=True, slots=True)
class Spoken:
    """The outcomes of one channel with the speakers of their sentences, who spoke when, and what to know of that.

    ``failures`` are those of the notes that tell where this stage failed.
    """

    outcomes: Sequence[Outcome]
    turns: tuple[Turn, ...]
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
