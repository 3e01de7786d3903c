"""The open weights of the service's own families, through sherpa-onnx: what each family gives, and what runs it.

Importing this package imports no runtime. A row per family: how its sound has to be cut, what it gives besides text,
which module runs it; what a folder of the family holds stands in ``dashscribe.weights.families``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashscribe import weights
from dashscribe.engines.engine import EngineInfo
from dashscribe.errors import WeightsError
from dashscribe.types import Limits
from dashscribe.weights.families import FAMILIES
from dashscribe.weights.onnx_header import read_header

if TYPE_CHECKING:
    from dashscribe.config import Settings
    from dashscribe.weights import Installed

PACKAGE = "sherpa_onnx"
#: Outputs of a Paraformer that tells times: scores, their count, and the two that fire with each token.
PARAFORMER_OUTPUTS = 4
#: Pieces that are decoded at once where that changes nothing, by what computes, the best number first. On a processor
#: more than 8 gain little and delay the first; a GPU reads twice as fast with 32 (docs/gpu.md), if they fit.
BATCHES = {"cpu": (8,), "cuda": (32, 16, 8)}
#: The family whose models can time the words of others and tell language and emotion for them.
ANNOTATING_FAMILY = "sensevoice"


#: Frame-synchronous models read half a minute at ease; shorter stretches than half a second hold hardly a word.
_FRAMEWISE = Limits(max_piece_ms=30_000, min_piece_ms=500)
#: Fun-ASR-Nano and Qwen3-ASR hold prompt, sound and text in one cache of 512 places, of which 16.7 and 13 go for each
#: second. What does not fit is cut off without a word (training/HANDMADE.md, "Length").
_NANO = Limits(max_piece_ms=20_000, min_piece_ms=1_000)
_QWEN3 = Limits(max_piece_ms=25_000, min_piece_ms=1_000)
#: Whisper hears 30 s and pads what is shorter; the runtime drops what is longer.
_WHISPER = Limits(max_piece_ms=28_000, min_piece_ms=1_000)


def _engine(module: str, limits: Limits, **gives: Any) -> EngineInfo:
    """What the engines of one family have in common; ``gives`` are the fields in which they differ from the least."""
    target = f"dashscribe.engines.sherpa.{module}"
    return EngineInfo(
        name="", target=target, languages=(), limits=limits, version="", package=PACKAGE, summary="", **gives
    )


#: The engine that a model of each family is, but for what the model itself tells.
ENGINES: dict[str, EngineInfo] = {
    "sensevoice": _engine("sensevoice:SenseVoiceEngine", _FRAMEWISE, emotion=True, itn=True),
    "paraformer": _engine("paraformer:ParaformerEngine", _FRAMEWISE),
    "funasr-nano": _engine("llm:FunAsrNanoEngine", _NANO, word_times=False, itn=True, punctuation=True, hotwords=True),
    "qwen3-asr": _engine("llm:Qwen3AsrEngine", _QWEN3, word_times=False, punctuation=True, hotwords=True, context=True),
    "whisper": _engine("whisper:WhisperEngine", _WHISPER, word_times=False, punctuation=True),
    "transducer": _engine("framewise:TransducerEngine", _FRAMEWISE, hotwords=True),
    "ctc": _engine("framewise:CtcEngine", _FRAMEWISE),
}
#: Families that really decode several pieces at once.
BATCHING = frozenset({"sensevoice", "paraformer"})


def info_of(model: Installed, provider: str) -> EngineInfo:
    """The engine that an installed speech model is, where ``provider`` computes."""
    engine = ENGINES[model.family]
    return replace(
        engine,
        name=model.name,
        languages=model.languages,
        # What computes rounds in its own way, which can make another word in places.
        version=f"{_runtime_version()}+{model.digest}" + ("" if provider == "cpu" else f"+{provider}"),
        summary=f"{FAMILIES[model.family].title} through sherpa-onnx",
        family=model.family,
        weights=model.name,
        batch=model.batches.get(provider, 1) if model.family in BATCHING else 1,
        word_times=engine.word_times and _tells_times(model.family, model.folder / model.files.get("model", "")),
    )


@lru_cache(maxsize=64)
def _tells_times(family: str, graph: Path) -> bool:
    """Whether a model was exported with what its times are read from: for Paraformer, two outputs more."""
    if family != "paraformer":
        return True
    try:
        return len(read_header(graph).outputs) == PARAFORMER_OUTPUTS
    except WeightsError:
        return False  # it will not load, and the reason is told then


def provider_problem(settings: Settings) -> str:
    """Why the installed runtime cannot compute on what is asked for, or is slow there; empty if nothing is known.

    Nothing is loaded for that, only files are looked at; a recognizer that falls back to the processor all the same
    refuses to open.
    """
    spec = find_spec(PACKAGE)
    if settings.provider == "cpu" or spec is None:
        return ""
    folders = [Path(place) / "lib" for place in spec.submodule_search_locations or ()]
    if not any(any(folder.glob(f"*onnxruntime_providers_{settings.provider}*")) for folder in folders):
        return f"the installed sherpa-onnx {_runtime_version()} was not built for it: docs/gpu.md says what to install"
    untried = untried_batches(settings)
    return f"far slower than need be before `dashscribe models verify {' '.join(untried)}`" if untried else ""


def untried_batches(settings: Settings) -> list[str]:
    """The models that decode piece by piece on a GPU because nobody has found out whether they may do otherwise."""
    models = weights.installed(settings.resolved_models_dir).values()
    batching = [model for model in models if model.family in BATCHING]
    return [model.name for model in batching if settings.provider not in {"cpu", *model.batches}]


@cache
def _runtime_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sherpa-onnx")
    except PackageNotFoundError:
        return "none"
