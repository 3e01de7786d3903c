"""From a window's sound to the outcomes of its spans, once: a result that lies in the store is adopted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from dashscribe import pipeline, windows
from dashscribe.engines import EngineInfo, find_engine
from dashscribe.errors import EngineDownError, EngineUnavailableError
from dashscribe.queue.slots import Stage
from dashscribe.steps.bench import Bench
from dashscribe.store import Store
from dashscribe.types import Outcome, Span, Voices, Window
from dashscribe.windows import ClaimedWindow, Effect

#: How long a window waits whose file has to be cut anew but is still being cut, in milliseconds.
RECUT_WAIT_MS = 5000


def recognize(bench: Bench, window: ClaimedWindow) -> None:
    """Recognize a window and, if it is the last one, pass its file on."""
    try:
        info = find_engine(window.engine, bench.settings)
    except EngineUnavailableError:  # its weights were removed: the new cut chooses among those that there are
        _recut(bench, window)
        return
    key = windows.result_key(window.audio_key, info.name, info.version)
    if info.version != window.engine_version:
        _recut(bench, window)
        return
    try:
        # Before the look at what there is: reading may have to wait for the store, and whoever had the window before
        # may get a result into it meanwhile.
        sound = _sound(bench, window)
        _recognize(bench, window, sound, info, key)
        if pipeline.listens(window.options):
            _listen(bench, window, sound)
    except _SoundGoneError:
        _recut(bench, window)
        return
    except EngineDownError as error:
        if not bench.can_replace(info.name, window.options, str(error)):
            raise
        _recut(bench, window)
        return
    size_bytes = bench.store.size(key) or 0
    effect = windows.done(bench.engine, window, key, size_bytes)
    if effect is not Effect.NONE:
        bench.telemetry.window_ended("done")
    if effect is Effect.LAST:
        bench.worker.ring(Stage.FINISH)


class _SoundGoneError(Exception):
    """The sound of the window does not lie in the store any more."""


def _sound(bench: Bench, window: ClaimedWindow) -> Window | None:
    """The window with its sound; None where that is missing or damaged."""
    try:
        sound = bench.store.read(window.audio_key)
    except FileNotFoundError:
        return None
    return window.window(sound) if len(sound) == window.audio_bytes else None


class _HeardMeanwhileError(Exception):
    """The outcomes of the window have come into the store."""


def _recognize(bench: Bench, window: ClaimedWindow, sound: Window | None, info: EngineInfo, key: str) -> None:
    """Put the window's outcomes into the store, unless they lie there. Raises _SoundGoneError."""

    def refuse_heard() -> None:
        if read_outcomes(bench.store, key, window.spans) is not None:
            raise _HeardMeanwhileError

    with suppress(_HeardMeanwhileError):
        refuse_heard()
        if sound is None:
            raise _SoundGoneError
        # A child may take seconds to start: time enough for what a process had on its way to the store when it died.
        look_again = refuse_heard if window.claim > 1 else None
        outcomes = list(
            pipeline.recognize(bench.hosts, info, sound, window.options, express=window.express, on_ready=look_again)
        )
        bench.store.put(key, msgspec.json.encode(outcomes))


def _listen(bench: Bench, window: ClaimedWindow, sound: Window | None) -> None:
    """Put into the store who is heard in the window, unless that is known. Raises _SoundGoneError."""
    key = windows.voices_key(window.audio_key, bench.hosts.voices_version())
    if read_voices(bench.store, key) is None:
        if sound is None:
            raise _SoundGoneError
        voices = pipeline.listen(bench.hosts, sound, express=window.express)
        if voices.reason:
            bench.pause()  # a child that died with this worker tells nothing about the sound
        bench.store.put(key, msgspec.json.encode(voices))


def read_voices(store: Store, key: str) -> Voices | None:
    """Who was heard in a window; None where that is missing or damaged."""
    try:
        return msgspec.json.decode(store.read(key), type=Voices)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def read_outcomes(store: Store, key: str, spans: Sequence[Span], size_bytes: int | None = None) -> list[Outcome] | None:
    """The outcomes of these spans under a key; None when they are missing, damaged or not of this size."""
    try:
        data = store.read(key)
        outcomes = msgspec.json.decode(data, type=list[Outcome])
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    if size_bytes is not None and len(data) != size_bytes:
        return None
    return outcomes if [outcome.span for outcome in outcomes] == list(spans) else None


def _recut(bench: Bench, window: ClaimedWindow) -> None:
    """The sound is gone or the engine is another one: only a new cut can help."""
    if windows.recut(bench.engine, window):
        bench.worker.ring(Stage.CUT)
    else:
        windows.release(bench.engine, window, after_ms=RECUT_WAIT_MS)
