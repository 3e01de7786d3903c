"""Whether work would succeed here, found out by doing a little of it: a query, a blob, half a second of sound.

The answer is kept for a few seconds, because whoever balances load asks often. Every check decodes; the engine hears
the sound once per start, for a model that has loaded and answered keeps doing so, and its process is ended when idle.
"""

from __future__ import annotations

import os
import threading
import time
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from dashscribe.catalog import find_model
from dashscribe.choice import choose_engine
from dashscribe.config import Settings
from dashscribe.db import reading, tables
from dashscribe.errors import DashscribeError, HostError, InvariantError, ModelNotFoundError
from dashscribe.hosts import Hosts
from dashscribe.hosts.protocol import CutEnd
from dashscribe.store import Store
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Fate, Limits, Options, Span, Window

#: How long an answer is kept, in seconds.
FRESH_S = 5.0
#: Length of the silence that is decoded and recognized, in milliseconds.
SOUND_MS = 500
#: How long an engine that failed is not tried again, in seconds: loading a model is work.
AGAIN_S = 60.0


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
        self._settings = settings
        self._sound = settings.home / f"ready-{os.getpid()}.wav"
        self._checks: dict[str, Callable[[], None]] = {
            "database": self._query,
            "store": self._write,
            "media": self._decode,
            "engine": self._recognize,
        }
        self._has_heard = False
        self._engine_error: tuple[DashscribeError, float] | None = None
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
        key = f"ready/{os.getpid()}"
        self._store.put(key, b"ready")
        if self._store.read(key) != b"ready":
            raise InvariantError("a blob that was just written reads differently")
        self._store.delete(key)

    def _decode(self) -> None:
        _write_silence(self._sound)
        try:
            options, limits = Options(channels=(0,)), Limits()
            *_, end = self._hosts.cut(self._sound, url="ready.wav", options=options, limits=limits)
        finally:
            self._sound.unlink(missing_ok=True)
        if not isinstance(end, CutEnd) or end.end_ms != SOUND_MS:
            raise InvariantError(f"{SOUND_MS} ms of silence were decoded to {end!r}")

    def _recognize(self) -> None:
        """Have the engine that ``fun-asr`` uses without hints hear the sound, once it has not yet.

        Not one that asks an endpoint: that costs there, and whether it answers is known from calls. What no engine
        here reads at all, calls are told.
        """
        if self._has_heard:
            return
        if self._engine_error and time.monotonic() - self._engine_error[1] < AGAIN_S:
            raise self._engine_error[0]
        try:
            info = choose_engine(find_model("fun-asr"), (), self._settings, self._hosts.down())
            if not info.remote:
                sound = Window(0, 0, (Span(0, SOUND_MS),), bytes(2 * SAMPLES_PER_MS * SOUND_MS), packed=False)
                (outcome,) = self._hosts.recognize(info.name, sound, Options(), express=True)
                if outcome.fate is Fate.FAILED:
                    raise HostError(f"{info.name} does not recognize: {outcome.reason}")
        except ModelNotFoundError:
            pass
        except DashscribeError as error:
            self._engine_error = error, time.monotonic()
            raise
        self._has_heard = True


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
