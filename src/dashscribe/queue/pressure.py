"""Back-pressure: how far preparing may run ahead of recognition, and how full the disk may get.

Everything is counted along the one order, so that work waits only for what is before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from sqlalchemy import Engine

from dashscribe import files, windows
from dashscribe.config import Settings
from dashscribe.fleet import ANYONE, Member, Offers
from dashscribe.store import Store

logger = logging.getLogger(__name__)

#: Files that may lie fetched and not cut for one engine before another one is fetched: enough to find the short ones
#: among them.
FETCHED_AHEAD = 200
#: How often the log repeats that the disk is full, in seconds.
REMIND_S = 60.0
#: How long a count of what waits is believed where many workers count, in seconds; longer the more of them there are.
COUNT_S = 0.5


class Pressure:
    """What waits, and what the disk still takes, measured anew with every question.

    What many workers recognize may wait many times over: ``offers`` knows how many they are.
    """

    def __init__(self, engine: Engine, store: Store, settings: Settings, offers: Offers | None = None) -> None:
        self._engine = engine
        self._offers = offers
        self._store = store
        self._limit_ms = settings.waiting_audio_s * 1000
        self._reserve_bytes = settings.disk_reserve_bytes
        self._reminded_s = self._counted_s = self._fetched_s = float("-inf")
        self._brim: int | None = None
        self._fetch_brims: Mapping[str, int] = {}

    def fetch_brims(self) -> Mapping[str, int]:
        """The tags, by model, from which on no more of its files should be fetched for now; none where any may be."""
        if self._offers is None:
            return files.brims(self._engine, FETCHED_AHEAD)
        if self._is_old(self._fetched_s):
            self._fetched_s = time.monotonic()
            self._fetch_brims = files.brims(self._engine, FETCHED_AHEAD * self._workers())
        return self._fetch_brims

    def cut_brim(self, by: Member = ANYONE) -> int | None:
        """The tag from which on no more sound should be cut for queues of ``by`` for now; None when any may be."""
        if self._offers is None:
            return windows.brim(self._engine, self._limit_ms)
        if self._is_old(self._counted_s):
            self._counted_s = time.monotonic()
            self._brim = windows.brim(self._engine, self._limit_ms * self._workers(), by)
        return self._brim

    def _is_old(self, counted_s: float) -> bool:
        return time.monotonic() - counted_s > COUNT_S * max(1.0, self._workers() / 50)

    def _workers(self) -> int:
        return self._offers.alive() if self._offers else 1

    def is_disk_low(self, needed_bytes: int = 0) -> bool:
        """Whether the store has less than its reserve left once it has taken so many more bytes."""
        free_bytes = self._store.free_bytes() - needed_bytes
        if free_bytes >= self._reserve_bytes:
            return False
        if time.monotonic() - self._reminded_s > REMIND_S:
            self._reminded_s = time.monotonic()
            logger.warning(
                "preparing waits: %d MiB are free, the reserve is %d MiB (DASHSCRIBE_DISK_RESERVE_BYTES)",
                free_bytes // 1024**2,
                self._reserve_bytes // 1024**2,
            )
        return True
