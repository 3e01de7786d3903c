"""What a server may want to know of its children: who is told of it while it happens, and how things stand now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")

#: Why a child ended: of itself, silent for too long, no model loaded, too old or large, unused, not wanted any more.
EndReason = Literal["died", "timed_out", "failed", "worn_out", "idle", "stopped"]


class Observer(Protocol):
    """Told of what happens, by many threads; must not raise. ``engine`` is empty where none takes part."""

    def child_started(self, role: str, engine: str, seconds: float) -> None:
        """A child can work, so many seconds after its start."""
        ...

    def child_ended(self, role: str, engine: str, reason: EndReason) -> None:
        """A child is gone."""
        ...

    def worked(self, stage: Literal["cut", "recognize", "listen"], engine: str, audio_ms: int, seconds: float) -> None:
        """So much sound was worked on to the end, in so many seconds of the child's time."""
        ...


class Unobserved:
    """For the library and the command line, where nobody asks."""

    def child_started(self, role: str, engine: str, seconds: float) -> None:
        """Keep nothing."""

    def child_ended(self, role: str, engine: str, reason: EndReason) -> None:
        """Keep nothing."""

    def worked(self, stage: Literal["cut", "recognize", "listen"], engine: str, audio_ms: int, seconds: float) -> None:
        """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Places:
    """Slots of one kind, and how much work waits for one."""

    busy: int
    free: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Activity:
    """How things stand: children by role, engine and state (busy, idle); slots by kind; whether engines are down.

    ``breakers`` are of the engines that were asked so far and that ask somebody else.
    """

    children: Mapping[tuple[str, str, str], int]
    places: Mapping[str, Places]
    breakers: Mapping[str, bool]


class Stopwatch:
    """Counts the seconds that an iterator takes for its items, not those of who takes them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, items: Iterator[T]) -> Iterator[T]:
        """The same items."""
        while True:
            begun_s = time.monotonic()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.seconds += time.monotonic() - begun_s
            yield item
