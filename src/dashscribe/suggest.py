"""Which model names suit a recording on this machine: those that can run, best first, each with its reasons.

What runs decides before what a name promises: names that share an engine differ only in the form of their answers, so
among them the family's own name comes first and retired names come last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashscribe.catalog import MODELS, Model
from dashscribe.choice import Standing, standing
from dashscribe.engines import EngineInfo
from dashscribe.types import Media

if TYPE_CHECKING:
    from dashscribe.config import Settings

#: Engines by how well their kind reads Chinese and English, from the vendors' own reports; the embedded one is last.
PREFERENCE = (
    *("qwen3-asr", "openai", "funasr-nano", "sensevoice", "paraformer", "whisper", "transducer", "ctc"),
    "pocketsphinx",
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model that would do, the engine that would run, and why."""

    model: Model
    engine: EngineInfo
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A model that would not do, and why."""

    model: Model
    reason: str


def suggest(
    media: Media,
    size_bytes: int,
    languages: Sequence[str],
    needs: Collection[str],
    settings: Settings,
    stand: Callable[[Model], Standing] | None = None,
) -> tuple[list[Suggestion], list[RuledOut]]:
    """The models for a recording, best first, and those that are ruled out. ``needs`` are keys of ``NEEDS``.

    ``stand`` tells what would run for a model; without it, what is installed here decides.
    """
    found: list[Suggestion] = []
    others: list[RuledOut] = []
    for model in MODELS.values():
        stands = stand(model) if stand else standing(model, languages, settings)
        if stands.engine is None:
            others.append(RuledOut(model, stands.why))
            continue
        given = {need: NEEDS[need](model, stands.engine) for need in needs}
        if problem := next(_limits(model, media, size_bytes), "") or next(
            (p for p, ok in given.values() if not ok), ""
        ):
            others.append(RuledOut(model, problem))
            continue
        met = [reason for reason, _ in given.values()]
        found.append(Suggestion(model, stands.engine, tuple(_reasons(model, stands.engine, stands.why, media, met))))
    found.sort(key=lambda s: (_rank(s.engine), s.engine.kind != s.model.own_kind, bool(s.model.retired)))
    return found, others


def _rank(engine: EngineInfo) -> int:
    return PREFERENCE.index(engine.kind) if engine.kind in PREFERENCE else len(PREFERENCE)


def _limits(model: Model, media: Media, size_bytes: int) -> Iterator[str]:
    """The limits of the model that the recording breaks."""
    if model.max_bytes and size_bytes > model.max_bytes:
        yield f"takes up to {model.max_bytes // 1024**2} MiB, this has {size_bytes / 1024**2:.1f}"
    if model.max_duration_ms and media.duration_ms > model.max_duration_ms:
        yield f"takes up to {model.max_duration_ms // 60_000} minutes, this has {media.duration_ms / 60_000:.1f}"


def _reasons(model: Model, engine: EngineInfo, why: str, media: Media, met: Sequence[str]) -> Iterator[str]:
    yield f"{engine.name}: {why}"
    yield from met
    if engine.kind == "pocketsphinx":
        yield engine.summary
    if model.max_rate_hz and media.rate_hz > model.max_rate_hz:
        yield f"made for {model.max_rate_hz} Hz; the {media.rate_hz} Hz of this are resampled"
    elif model.max_rate_hz and media.rate_hz == model.max_rate_hz:
        yield "made for telephone sound"
    if model.min_rate_hz and 0 < media.rate_hz < model.min_rate_hz:
        yield f"made for {model.min_rate_hz} Hz and more; the {media.rate_hz} Hz of this are resampled"
    if media.channel_count > 1:
        chosen = "channel_id" in model.parameters
        tracks = f"the {media.channel_count} tracks"
        yield f"of {tracks} the first, or those that channel_id names" if chosen else f"{tracks} are mixed into one"
    yield "a call that answers at once" if model.interface == "sync" else "a task"
    if model.retired:
        yield f"an old name; {model.successor} is its successor"


def _words(model: Model, engine: EngineInfo) -> tuple[str, bool]:
    if model.shape == "sensevoice" or model.answer == "choices":
        return "its results carry no words", False
    if engine.word_times or engine.annotator:
        return "words with measured times", True
    return f"{engine.name} measures no times of words; an installed SenseVoice would", False


def _emotion(model: Model, engine: EngineInfo) -> tuple[str, bool]:
    if not model.tells_emotion:
        return "its results carry no emotion", False
    if engine.emotion or engine.annotator:
        return "emotion of each sentence", True
    return f"{engine.name} hears no emotion; an installed SenseVoice does", False


def _speakers(model: Model, engine: EngineInfo) -> tuple[str, bool]:
    if model.parameters.isdisjoint({"diarization_enabled", "speaker_diarization_enabled"}):
        return "its results carry no speakers", False
    return "the speaker of each sentence", True


#: What may be asked for, and whether a model with an engine gives it, with the reason.
NEEDS: Mapping[str, Callable[[Model, EngineInfo], tuple[str, bool]]] = {
    "words": _words,
    "emotion": _emotion,
    "speakers": _speakers,
}
