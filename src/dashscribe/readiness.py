"""Whether work would succeed here, found out by doing a little of it: a query, a blob, a decoded sound.

The answer is kept for a few seconds, because whoever balances load asks often.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from dashscribe.config import Settings
from dashscribe.db import reading, tables
from dashscribe.errors import InvariantError
from dashscribe.hosts import Hosts
from dashscribe.hosts.protocol import CutEnd
from dashscribe.store import Store
from dashscribe.types import RATE_HZ, Limits, Options

#: How long an answer is kept, in seconds.
FRESH_S = 5.0
#: What no other process writes, on no machine that shares the store.
_ME = uuid.uuid4().hex
#: Length of the silence that is decoded, in milliseconds.
SOUND_MS = 500


@dataclass(slots=True)
class _Answer:
    reasons: Mapping[str, str]
    at_s: float


class Readiness:
    """Called, it gives the reasons why this server cannot work, by name of the part; empty when it can."""

    def __init__(self, engine: Engine, store: Store, hosts: Hosts, settings: Settings) -> None:
        self._engine = engine
        self._store = store
        self._hosts = hosts
        self._sound = settings.home / f"ready-{os.getpid()}.wav"
        self._checks: dict[str, Callable[[], None]] = {
            "database": self._query,
            "store": self._write,
            "media": self._decode,
        }
        self._last = _Answer({}, float("-inf"))
        self._guard = threading.Lock()

    def __call__(self) -> Mapping[str, str]:
        """Check every part, or repeat an answer that is still fresh."""
        with self._guard:
            if time.monotonic() - self._last.at_s > FRESH_S:
                reasons = {name: reason for name, check in self._checks.items() if (reason := _reason(check))}
                self._last = _Answer(reasons, time.monotonic())
            return self._last.reasons

    def _query(self) -> None:
        with reading(self._engine) as connection:
            connection.execute(select(tables.tasks.c.id).limit(1)).all()

    def _write(self) -> None:
        key = f"ready/{_ME}"
        self._store.put(key, b"ready")
        if self._store.read(key) != b"ready":
            raise InvariantError("a blob that was just written reads differently")
        self._store.delete(key)

    def _decode(self) -> None:
        self._sound.parent.mkdir(parents=True, exist_ok=True)  # with nothing else in it, nobody made it
        _write_silence(self._sound)
        try:
            options, limits = Options(channels=(0,)), Limits()
            *_, end = self._hosts.cut(self._sound, url="ready.wav", options=options, limits=limits)
        finally:
            self._sound.unlink(missing_ok=True)
        if not isinstance(end, CutEnd) or end.end_ms != SOUND_MS:
            raise InvariantError(f"{SOUND_MS} ms of silence were decoded to {end!r}")


def _reason(check: Callable[[], None]) -> str:
    """Why a check fails; empty when it passes."""
    try:
        check()
    except Exception as error:  # whatever is wrong with a part, the others are still to be told
        return f"{type(error).__name__}: {error}"
    return ""


def _write_silence(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(bytes(2 * RATE_HZ * SOUND_MS // 1000))
