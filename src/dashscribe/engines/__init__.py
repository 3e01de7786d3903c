"""Engines turn sound into sentences. They never format, store, diarize or know HTTP.

An engine lives in one module with one class; it is opened inside a host child only, so a crash in native code costs one
window. ``ENGINES`` names the ones that need no weights; every installed speech model is one more, under the name of its
folder; others come from the entry point group ``dashscribe.engines``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from dashscribe import weights
from dashscribe.engines import openai, sherpa
from dashscribe.engines.engine import Engine, EngineInfo
from dashscribe.errors import EngineUnavailableError
from dashscribe.types import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashscribe.config import Settings
    from dashscribe.weights import Installed

__all__ = ["ENGINES", "Engine", "EngineInfo", "engines", "find_engine", "is_installed"]

ENGINES: dict[str, EngineInfo] = {
    info.name: info
    for info in (
        EngineInfo(
            name="pocketsphinx",
            target="dashscribe.engines.pocketsphinx:PocketsphinxEngine",
            languages=("en",),
            limits=Limits(max_piece_ms=30_000, min_piece_ms=2_000),
            version="6",
            package="pocketsphinx",
            summary="embedded, US English only, about 28 % word errors on clean speech",
            aligned=True,
            hotwords=True,
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


def find_engine(name: str, settings: Settings) -> EngineInfo:
    """The named engine: of this package, an installed model, or an entry point that loads an ``EngineInfo``.

    Raises EngineUnavailableError, which names the ones that there are.
    """
    found = engines(settings)
    if name in found:
        return found[name]
    for point in _entry_points():
        if point == name:
            return _with_helpers(_plugin(name), _models(settings))
    raise EngineUnavailableError(f"no engine is called {name[:100]!r}; known: {', '.join(sorted(found))}")


def engines(settings: Settings) -> dict[str, EngineInfo]:
    """The engines of this package, those of installed speech models, and the endpoint that is set up, by name."""
    models = _models(settings)
    speaking = [model for model in models.values() if model.layout.family.task == "speech"]
    infos = [
        *ENGINES.values(),
        *(sherpa.info_of(model, settings.provider) for model in speaking if model.name not in ENGINES),
    ]
    infos += openai.infos(settings)
    return {info.name: _with_helpers(info, models) for info in infos}


def is_installed(info: EngineInfo) -> bool:
    """Whether the engine's package is there; nothing is imported."""
    return find_spec(info.package) is not None


def _models(settings: Settings) -> Mapping[str, Installed]:
    return weights.installed(settings.resolved_models_dir)


def _with_helpers(info: EngineInfo, models: Mapping[str, Installed]) -> EngineInfo:
    """The engine with the installed models beside it that give what it lacks; what it gives then depends on all.

    A model that can help others is its own helper: all it can add to itself is an alignment.
    """
    if info.family == sherpa.ANNOTATING_FAMILY:
        info = replace(info, annotator=info.weights)
    for model in models.values():
        if model.family == sherpa.ANNOTATING_FAMILY and not info.annotator:
            info = replace(info, annotator=model.name, version=f"{info.version}+{model.digest}")
        if model.layout.family.task == "audio_tagging" and not info.tagger:
            info = replace(info, tagger=model.name, version=f"{info.version}+{model.digest}")
    return info


@cache
def _entry_points() -> tuple[str, ...]:
    """Names only: what other packages bring is loaded when it is asked for."""
    from importlib.metadata import entry_points  # a tenth of what a media child takes to start, which asks for none

    return tuple(point.name for point in entry_points(group="dashscribe.engines"))


@cache
def _plugin(name: str) -> EngineInfo:
    from importlib.metadata import entry_points

    (point,) = entry_points(group="dashscribe.engines", name=name)
    return cast("EngineInfo", point.load())
