"""Which models there are: OpenAI's list for its clients and the service's own, both from the catalog.

Many programs read the list only to see whether their key is good. Whether a model can run on this server stands in a
``dashscribe`` member of each entry, since the list names every model of the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe.catalog import MODELS, Model, find_model
from dashscribe.choice import Standing, standing
from dashscribe.wire import envelope
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import number

MAX_PAGE_SIZE = 200

router = APIRouter(tags=["models"])
Here = Annotated[Parts, Depends(parts_of)]
#: What a list says of one model.
Entry = Callable[[Model, Parts], dict[str, Any]]

_ERRORS: dict[int | str, dict[str, Any]] = {401: {"description": "The key is missing or wrong"}}


@router.get("/v1/models", summary="List models, as OpenAI does", responses=_ERRORS)
@router.get("/v1/models/", include_in_schema=False)
@router.get("/compatible-mode/v1/models", include_in_schema=False)
@router.get("/compatible-mode/v1/models/", include_in_schema=False)
async def list_models(caller: Caller, parts: Here) -> Response:
    """Every model name that this server knows."""
    del caller
    data = await in_thread(parts.queries, _all, _entry, list(MODELS.values()), parts)
    return envelope.plain({"object": "list", "data": data})


@router.get("/v1/models/{name:path}", summary="One model, as OpenAI has it", responses=_ERRORS)
@router.get("/compatible-mode/v1/models/{name:path}", include_in_schema=False)
async def one_model(caller: Caller, parts: Here, name: str) -> Response:
    """The entry of one model name; 404 model_not_found for any other."""
    del caller
    return envelope.plain(_entry(find_model(name.removesuffix("/")), parts))


@router.get("/api/v1/models", summary="List models, as the service does", responses=_ERRORS)
@router.get("/api/v1/models/", include_in_schema=False)
async def list_native(
    request: Request,
    caller: Caller,
    parts: Here,
    page_no: Annotated[str, Query(description="From 1.")] = "",
    page_size: Annotated[str, Query(description=f"1 to {MAX_PAGE_SIZE}; default 10.")] = "",
    model: Annotated[str, Query(description="Only the model of this name.")] = "",
) -> Response:
    """A page of the model names; a name that is unknown gives an empty one."""
    del caller
    page = number("page_no", page_no, 1, 1, 10**9)
    size = number("page_size", page_size, 10, 1, MAX_PAGE_SIZE)
    found = [row for row in MODELS.values() if model in ("", row.name)]
    shown = found[(page - 1) * size : page * size]
    listed = await in_thread(parts.queries, _all, _native_entry, shown, parts)
    return envelope.answer(
        request, {"output": {"total": len(found), "page_no": page, "page_size": size, "models": listed}}
    )


def _all(entry: Entry, models: Sequence[Model], parts: Parts) -> list[dict[str, Any]]:
    """The entries of these models; looks at what is installed, hence not for the event loop."""
    return [entry(model, parts) for model in models]


def _entry(model: Model, parts: Parts) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": _created(model),
        "owned_by": "system",
        "dashscribe": _about(model, parts),
    }


def _native_entry(model: Model, parts: Parts) -> dict[str, Any]:
    return {"model": model.name, "name": model.name, "dashscribe": _about(model, parts)}


def _about(model: Model, parts: Parts) -> dict[str, Any]:
    """How the model is called, and what would recognize for it without language hints, or why nothing would."""
    about: dict[str, Any] = {"call": model.interface}
    if model.alias_of:
        about["alias_of"] = model.alias_of
    stand = model_standing(parts, model)
    if stand.engine is None:
        return about | {"runs": False, "reason": stand.why}
    return about | {"runs": True, "engine": stand.engine.name, "why": stand.why}


def standings(parts: Parts) -> dict[str, dict[str, str]]:
    """The engine that would run for each model without language hints, empty where none would, and why."""
    stands = {name: model_standing(parts, model) for name, model in MODELS.items()}
    return {name: {"engine": s.engine.name if s.engine else "", "why": s.why} for name, s in stands.items()}


def model_standing(parts: Parts, model: Model, languages: Sequence[str] = ()) -> Standing:
    """What a call of the model would meet: tasks go to workers, other calls to what is installed here."""
    among = parts.workers_engines() if model.interface == "async" else None
    return standing(model, languages, parts.settings, parts.hosts.down(), among)


def _created(model: Model) -> int:
    """Midnight (UTC) of the day in the model's name or in that of its snapshot; 0 where there is none."""
    day = re.search(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", f"{model.name} {model.alias_of}")
    return int(datetime.fromisoformat(day[0]).replace(tzinfo=UTC).timestamp()) if day else 0
