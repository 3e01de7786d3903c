"""Engines turn sound into sentences. They never format, store, diarize or know HTTP.

An engine lives in one module with one class; it is opened inside a host child only, so a crash in native code costs one
window. ``ENGINES`` names the ones of this package; others come from the entry point group ``dashscribe.engines``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Protocol, cast

from dashscribe.errors import EngineUnavailableError
from dashscribe.types import Limits, Options, Outcome, Waveform


class Engine(Protocol):
    """What a host child drives. State must not carry over from one piece to the next: the piece decides its outcome."""

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """Recognize ``pieces`` (int16, 16 kHz, one channel each): one outcome per piece, in order.

        Sentences carry times on the file's clock and lie inside their piece.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What can be known of an engine without loading it.

    ``target`` is ``module:callable``, imported by a host child and called with the settings. ``languages`` empty means
    any. ``version`` is part of a result's identity: it changes when the same sound may give other words.
    """

    name: str
    target: str
    languages: tuple[str, ...]
    limits: Limits
    version: str
    package: str
    summary: str
    word_times: bool = True


ENGINES: dict[str, EngineInfo] = {
    info.name: info
    for info in (
        EngineInfo(
            name="pocketsphinx",
            target="dashscribe.engines.pocketsphinx:PocketsphinxEngine",
            languages=("en",),
            limits=Limits(max_piece_ms=30_000, min_piece_ms=2_000),
            version="5",
            package="pocketsphinx",
            summary="embedded, US English only, about 28 % word errors on clean speech",
        ),
        EngineInfo(
            name="standin",
            target="dashscribe.testing:StandInEngine",
            languages=(),
            limits=Limits(max_piece_ms=30_000, min_piece_ms=2_000),
            version="1",
            package="dashscribe",
            summary="made-up words computed from the samples, for tests only",
        ),
    )
}


def find_engine(name: str) -> EngineInfo:
    """The named engine, from this package or an entry point that loads an ``EngineInfo``."""
    if name in ENGINES:
        return ENGINES[name]
    for point in entry_points(group="dashscribe.engines", name=name):
        return cast("EngineInfo", point.load())
    known = ", ".join(sorted(ENGINES))
    raise EngineUnavailableError(f"no engine is called {name!r}; known: {known}")


def is_installed(info: EngineInfo) -> bool:
    """Whether the engine's package is there; nothing is imported."""
    return find_spec(info.package) is not None
