"""Which engine runs for a model on this machine now, why that one, and what of a request it does not heed.

The order of preference stands in the catalog's rows, what is installed in ``engines``.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashscribe.catalog import Model
from dashscribe.engines import EngineInfo, engines, find_engine, is_installed
from dashscribe.errors import DashscribeError, ModelNotFoundError
from dashscribe.languages import HOTWORD_LANGUAGES, ITN_LANGUAGES, have_common
from dashscribe.types import Media, Options, is_unspaced
from dashscribe.weights.known import KNOWN

if TYPE_CHECKING:
    from dashscribe.config import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """What would run for a model now and why; ``engine`` is None where nothing would, and ``why`` says what to do."""

    engine: EngineInfo | None
    why: str


def standing(
    model: Model,
    languages: Sequence[str],
    settings: Settings,
    down: Mapping[str, str] | None = None,
    among: Collection[EngineInfo] | None = None,
) -> Standing:
    """What a call of the model with these language hints would meet; ``down`` are engines that are, with the reason.

    ``among`` is as for ``choose_engine``.
    """
    down = down or {}
    try:
        engine = choose_engine(model, languages, settings, down, among)
    except DashscribeError as error:
        return Standing(None, error.detail)
    passed = passed_over(model, languages, settings, engine, down)
    return Standing(engine, "; ".join((why(model, engine, settings), *passed)))


def described(model: Model, stand: Standing) -> dict[str, object]:
    """A model name with what would run for it, for programs; texts are empty where there is nothing to say."""
    engine = stand.engine
    return {
        "name": model.name,
        "alias_of": model.alias_of,
        "call": model.interface,
        "languages": list(model.coverage),
        "language_hints": list(model.languages),
        "engine": engine.name if engine else "",
        "family": engine.kind if engine else "",
        "why": stand.why if engine else "",
        "reason": "" if engine else stand.why,
        "retired": model.retired,
        "successor": model.successor,
        "max_bytes": model.max_bytes,
        "max_duration_ms": model.max_duration_ms,
        "max_files": model.max_files,
    }


def choose_engine(
    model: Model,
    languages: Sequence[str],
    settings: Settings,
    without: Container[str] = (),
    among: Collection[EngineInfo] | None = None,
) -> EngineInfo:
    """The first installed candidate that shares a language with the model and, where hints are given, with them.

    All hints count here, also those that the model's recognition does not heed. ``settings.engine`` forces one engine
    for every model. ``without`` names engines that are down: they are chosen only where no other one fits. ``among``
    are those that workers elsewhere have, in place of what is installed here. Raises ModelNotFoundError, which names
    the command that installs one that can.
    """
    if settings.engine:
        return next((i for i in among or () if i.name == settings.engine), None) or find_engine(
            settings.engine, settings
        )
    fitting = list(candidates(model, languages, settings, among))
    for info in (*(info for info in fitting if info.name not in without), *fitting):
        return info
    usable = _usable(settings) if among is None else among
    able = ", ".join(f"{i.name} ({_shortened(i.languages)})" for i in usable if i.languages)
    wanted = f"with the language hints {', '.join(languages)}" if languages else "without language hints"
    raise ModelNotFoundError(
        f"No installed engine can stand for {model.name} (which covers {_shortened(model.coverage)}) {wanted}. "
        f"Installed engines and the languages they read: {able or 'none'}. {remedy(model, languages)}",
        model.name,
    )


def candidates(
    model: Model, languages: Sequence[str], settings: Settings, among: Collection[EngineInfo] | None = None
) -> Iterator[EngineInfo]:
    """Every installed engine that can recognize for the model, or every one ``among`` these, best first."""
    usable = _usable(settings) if among is None else among
    for kind in model.candidates:
        for info in usable:
            fits = _reads(info, model.coverage) and (not languages or _reads(info, languages))
            if info.kind == kind and fits:
                yield info


def passed_over(
    model: Model, languages: Sequence[str], settings: Settings, chosen: EngineInfo, down: Mapping[str, str]
) -> Iterator[str]:
    """A note on each better candidate in whose place one was chosen; ``down`` tells why, by name."""
    if settings.engine or chosen.name in down:
        return
    for info in candidates(model, languages, settings):
        if info.name == chosen.name:
            return
        if info.name in down:
            yield f"{chosen.name} took the place of {info.name}, which is down: {down[info.name]}"


def why(model: Model, info: EngineInfo, settings: Settings) -> str:
    """Why that engine runs for the model, in a few words."""
    if settings.engine:
        return "forced by DASHSCRIBE_ENGINE"
    if info.kind == model.own_kind:
        return "the family's own weights"
    return f"stands in; own weights: dashscribe models pull {weights_for(model)}"


def weights_for(model: Model) -> str:
    """The weights of the model's own family, by the name under which they can be pulled; empty if there are none."""
    fitting = [known for known in KNOWN.values() if known.family == model.own_kind]
    english_only = [known for known in fitting if known.languages == ("en",)]
    return next((known.name for known in fitting if known not in english_only), "")


def remedy(model: Model, languages: Sequence[str]) -> str:
    """The command that installs an engine for the model, as a sentence."""
    for kind in model.candidates:
        for known in KNOWN.values():
            covered = not known.languages or have_common(known.languages, languages or model.coverage)
            if known.family == kind and covered:
                return f"`dashscribe models pull {known.name}` installs one that can; `dashscribe models ls` lists all."
    return "`dashscribe models ls` shows what each model needs."


def lacks(info: EngineInfo, options: Options, asked_itn: bool = True) -> Iterator[str]:
    """What was asked for and the engine does not heed, a note each."""
    by_sound = _may_speak(HOTWORD_LANGUAGES, info, options)
    if options.hotwords and not info.hotwords and not by_sound:
        yield f"hotwords had no effect: {info.name} does not listen for them"
    elif info.languages and set(info.languages).isdisjoint(_UNSPACED):
        foreign = [word.text for word in options.hotwords if any(map(is_unspaced, word.text))]
        if foreign:
            named = f"{foreign[0][:20]} and {len(foreign) - 1} more hotwords" if len(foreign) > 1 else foreign[0][:20]
            yield f"{named} had no effect: {info.name} writes {_shortened(info.languages)} only"
    if options.context and not info.context:
        what = "counts for its names and terms only" if by_sound else "had no effect"
        yield f"context {what}: {info.name} does not read any"
    if options.refine_times and info.aligned:
        yield f"timestamp_alignment_enabled had no effect: {info.name} takes its times from an alignment in any case"
    if options.itn and asked_itn and not info.itn and not _may_speak(ITN_LANGUAGES, info, options):
        yield f"enable_itn had no effect: numbers are written as digits in {' and '.join(ITN_LANGUAGES)} only"


#: Languages of writing without spaces, in which Han characters and kana may be heard.
_UNSPACED = frozenset({"zh", "yue", "ja"})


def _may_speak(languages: Sequence[str], info: EngineInfo, options: Options) -> bool:
    """Whether anything may be said in one of these languages, which an enricher knows."""
    spoken = options.languages or info.languages
    return not spoken or not set(spoken).isdisjoint(languages)


def rate_note(model: Model, media: Media) -> str:
    """That a recording's sample rate is none of the model's, and which model it is for; empty if there is nothing."""
    if model.max_rate_hz and media.rate_hz > model.max_rate_hz:
        better = "paraformer-v2"
    elif media.rate_hz and media.rate_hz < model.min_rate_hz:
        better = "paraformer-8k-v2" if "zh" in model.coverage and model.family.startswith("paraformer") else "fun-asr"
    else:
        return ""
    limit = f"up to {model.max_rate_hz}" if model.max_rate_hz else f"from {model.min_rate_hz}"
    return f"the sound has {media.rate_hz} Hz and was resampled: {model.name} is for {limit} Hz, {better} for this"


def _usable(settings: Settings) -> list[EngineInfo]:
    return [info for info in engines(settings).values() if is_installed(info)]


def _reads(info: EngineInfo, languages: Sequence[str]) -> bool:
    return not info.languages or have_common(info.languages, languages)


def _shortened(codes: Sequence[str], limit: int = 8) -> str:
    return ", ".join(codes[:limit]) + (f" and {len(codes) - limit} more" if len(codes) > limit else "")
