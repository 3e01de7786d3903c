"""Models for people who choose one: what would run for each name, which weights are here or can be, what suits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe import weights
from dashscribe.catalog import LANGUAGES, MODELS
from dashscribe.choice import described, weights_for
from dashscribe.errors import InvalidParameterError
from dashscribe.suggest import NEEDS, suggest
from dashscribe.types import MAX_CHANNELS, Media
from dashscribe.weights.known import KNOWN
from dashscribe.wire import envelope, library_docs
from dashscribe.wire.guard import Caller
from dashscribe.wire.models import model_standing
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import number

#: Longest recording and highest rate that are asked about: beyond what any model takes.
MAX_DURATION_MS, MAX_RATE_HZ = 10**9, 10**6

router = APIRouter(prefix="/dashscribe/v1", tags=["models"])
Here = Annotated[Parts, Depends(parts_of)]


@router.get("/models", summary="Models and weights", responses=library_docs.MODELS)
async def list_models(request: Request, caller: Caller, parts: Here) -> Response:
    """Every model name with the engine that would run for it and why; weights that are here, and that can be pulled.

    Weights are those of the machine that answers; with workers elsewhere, what they have decides what runs.
    """
    del caller
    return envelope.answer(request, await in_thread(parts.queries, _models, parts))


def _models(parts: Parts) -> dict[str, Any]:
    here = weights.installed(parts.settings.resolved_models_dir)
    return {
        "models": [_row(parts, name) for name in MODELS],
        "installed": [
            {"name": one.name, "family": one.family, "languages": list(one.languages)}
            | {name: value for name, value in (("source", one.source), ("license", one.license)) if value}
            for one in here.values()
        ],
        "available": list(_available(set(here))),
    }


def _row(parts: Parts, name: str) -> dict[str, Any]:
    model = MODELS[name]
    stand = model_standing(parts, model)
    told = {key: value for key, value in described(model, stand).items() if value not in ("", 0)}
    if stand.engine is None or stand.engine.kind != model.own_kind:
        pull = weights_for(model)
        told |= {"pull": f"dashscribe models pull {pull}"} if pull else {}
    told |= {"input": model.input_key, "parameters": sorted(model.parameters)}
    return told | {"runs": stand.engine is not None}


def _available(installed: set[str]) -> Iterator[dict[str, Any]]:
    """Weights that are not here, with the command that brings them."""
    for known in KNOWN.values():
        if known.name not in installed:
            told: dict[str, Any] = {"name": known.name, "family": known.family, "languages": list(known.languages)}
            told |= {"license": known.license.name, "command": f"dashscribe models pull {known.name}"}
            yield told | ({"size_bytes": known.size_bytes} if known.size_bytes else {})


@router.get("/suggestion", summary="Which models suit a recording", responses=library_docs.SUGGESTED)
async def suggestion(
    request: Request,
    caller: Caller,
    parts: Here,
    duration_ms: Annotated[str, Query(description="How long it is; 0 while that is not known.")] = "",
    size_bytes: Annotated[str, Query(description="How large the file is.")] = "",
    rate_hz: Annotated[str, Query(description="Its sample rate.")] = "",
    channel_count: Annotated[str, Query(description="How many tracks it has.")] = "",
    languages: Annotated[str, Query(description="What is spoken: codes with commas between them.")] = "",
    needs: Annotated[str, Query(description=f"What its result must tell: {', '.join(NEEDS)}, with commas.")] = "",
) -> Response:
    """The model names that would do for a recording, best first, each with its reasons, and why others would not."""
    del caller
    media = Media(
        url="",
        container="",
        codec="",
        duration_ms=number("duration_ms", duration_ms, 0, 0, MAX_DURATION_MS),
        rate_hz=number("rate_hz", rate_hz, 0, 0, MAX_RATE_HZ),
        channel_count=number("channel_count", channel_count, 1, 1, MAX_CHANNELS),
    )
    size = number("size_bytes", size_bytes, 0, 0, 10**14)
    hints, wanted = _listed("languages", languages, LANGUAGES), _listed("needs", needs, NEEDS)
    return envelope.answer(request, await in_thread(parts.queries, _suggest, parts, media, size, hints, wanted))


def _suggest(
    parts: Parts, media: Media, size_bytes: int, languages: tuple[str, ...], needs: tuple[str, ...]
) -> dict[str, Any]:
    found, others = suggest(
        media, size_bytes, languages, needs, parts.settings, lambda model: model_standing(parts, model, languages)
    )
    suggested = [
        {"name": one.model.name, "call": one.model.interface, "engine": one.engine.name, "reasons": list(one.reasons)}
        for one in found
    ]
    return {"models": suggested, "ruled_out": [{"name": one.model.name, "reason": one.reason} for one in others]}


def _listed(name: str, text: str, known: Any) -> tuple[str, ...]:
    """The words of a comma list, all of them known ones."""
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if unknown := [word for word in found if word not in known]:
        raise InvalidParameterError(f"{name} has {unknown[0]!r:.80}; give some of {', '.join(sorted(known))}.", name)
    return found
