"""The phrase lists of the first Paraformer models, which the service dresses as compile jobs of its fine-tuning routes.

Nothing is trained: a list is ready when the call answers. Clients differ in what they send along (empty file arrays,
the asynchronous header, a body on DELETE), so all of it is accepted.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe.catalog import find_model
from dashscribe.errors import EmptyModelError, InvalidParameterError, ResourceNotExistError
from dashscribe.hotwords import HotwordList, Kind
from dashscribe.types import Hotword
from dashscribe.wire import body, envelope
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import number, refusal, shortened

TRAINING_TYPE = "compile_asr_phrase"
MAX_PAGE_SIZE = 100

router = APIRouter(prefix="/api/v1", tags=["hotwords"])
Here = Annotated[Parts, Depends(parts_of)]

#: Ids that are worth a look into the database.
_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")

_MEMBERS = {
    "model",
    "training_type",
    "training_file_ids",
    "validation_file_ids",
    "hyper_parameters",
    "finetuned_output",
}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "training_type", "hyper_parameters"],
                "properties": {
                    "model": {"type": "string"},
                    "training_type": {"const": TRAINING_TYPE},
                    "hyper_parameters": {"type": "object"},
                    "finetuned_output": {"type": "string", "description": "The list to replace; a new one if missing."},
                },
            },
            "example": {
                "model": "paraformer-v1",
                "training_type": TRAINING_TYPE,
                "hyper_parameters": {"phrase_list": {"Kestrel Bridge": 4}},
            },
        }
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "A member breaks a rule, no such list, or too many lists"},
    401: {"description": "InvalidApiKey"},
    429: {"description": "Throttling.RateQuota"},
}


@router.post(
    "/fine-tunes",
    summary="Create or replace a phrase list",
    openapi_extra={"requestBody": _BODY},
    responses={**_RESPONSES, 404: {"description": "ModelNotFound"}},
)
@router.post("/fine-tunes/", include_in_schema=False)
async def compile_phrases(request: Request, caller: Caller, parts: Here) -> Response:
    """Keeps a new list, or replaces all words of the one that ``finetuned_output`` names."""
    parts.limits.ask(caller.owner, "hotwords")
    sent = await body.receive(request)
    return envelope.answer(request, await in_thread(parts.queries, _compile, parts, caller.owner, sent))


def _compile(parts: Parts, owner: str, sent: bytes) -> dict[str, Any]:
    """The answer to a create or an update, but for its request id."""
    members = body.parse_object(sent)
    name, replaced = members.get("model"), members.get("finetuned_output")
    if name in (None, ""):
        raise EmptyModelError("Give the name of a model, such as paraformer-v1.")
    if not isinstance(name, str):
        raise refusal("model", name, "give the name of a model as a string")
    model, zone = find_model(name), ZoneInfo(parts.settings.time_zone)
    if (kind := members.get("training_type")) != TRAINING_TYPE:
        raise refusal("training_type", kind, f"give {TRAINING_TYPE}; nothing else is compiled here")
    words = _words(members.get("hyper_parameters"))
    if replaced in (None, ""):
        written = parts.hotwords.create(owner, Kind.PHRASES, model, words, zone=zone)
    elif not isinstance(replaced, str):
        raise refusal("finetuned_output", replaced, "give the id of a list as a string")
    else:
        target = parts.hotwords.find(owner, Kind.PHRASES, replaced).target_model
        if target != name:
            raise InvalidParameterError(f"model was {name}; the list was made for {target}: give that.", "model")
        written = parts.hotwords.update(owner, Kind.PHRASES, replaced, words, zone=zone)
    output = {
        "job_id": written.job_id,
        "status": "SUCCEEDED",
        "finetuned_output": written.id,
        "training_type": TRAINING_TYPE,
        "create_time": _clock(written.modified_at, zone),
    }
    notes = _unread(members)
    return {"output": output, **({"dashscribe": {"notes": notes}} if notes else {})}


def _words(given: JSON) -> tuple[Hotword, ...]:
    """The words of ``hyper_parameters.phrase_list``: an object of weights by text, types checked."""
    phrases = given.get("phrase_list") if isinstance(given, dict) else None
    if not isinstance(phrases, dict):
        raise refusal("hyper_parameters", given, 'give an object such as {"phrase_list": {"Kestrel": 4}}')
    words: list[Hotword] = []
    for text, weight in phrases.items():
        if not isinstance(weight, int) or isinstance(weight, bool):
            raise refusal(f"phrase_list[{shortened(text)!r}]", weight, "give a weight of 1 to 5 or -6 to -1")
        words.append(Hotword(text, weight))
    return tuple(words)


def _unread(members: dict[str, JSON]) -> list[str]:
    """A note on what had no effect: members that nothing reads, files to train with."""
    files = [name for name in ("training_file_ids", "validation_file_ids") if members.get(name)]
    given = members.get("hyper_parameters")
    inner = [f"hyper_parameters.{name}" for name in given if name != "phrase_list"] if isinstance(given, dict) else []
    names = sorted([*(set(members) - _MEMBERS), *files, *inner])
    return [f"members of the body had no effect: {shortened(', '.join(names))}"] if names else []


@router.get("/fine-tunes/outputs", summary="List phrase lists", responses=_RESPONSES)
@router.get("/fine-tunes/outputs/", include_in_schema=False)
async def list_phrases(
    request: Request,
    caller: Caller,
    parts: Here,
    page_no: Annotated[str, Query(description="From 1.")] = "",
    page_size: Annotated[str, Query(description=f"1 to {MAX_PAGE_SIZE}; default 10.")] = "",
) -> Response:
    """The caller's lists, the newest first."""
    parts.limits.ask(caller.owner, "hotwords")
    page = number("page_no", page_no, 1, 1, 10**9)
    size = number("page_size", page_size, 10, 1, MAX_PAGE_SIZE)
    total, lists = await in_thread(
        parts.queries, parts.hotwords.list, caller.owner, Kind.PHRASES, skip=(page - 1) * size, count=size
    )
    zone = ZoneInfo(parts.settings.time_zone)
    records = [_record(found, zone) for found in lists]
    output = {"page_no": page, "page_size": size, "total": total, "finetuned_outputs": records}
    return envelope.answer(request, {"output": output})


async def _named(finetuned_output: str) -> str:
    if not _ID.fullmatch(finetuned_output):
        raise ResourceNotExistError(f"There is no list {shortened(finetuned_output)!r} of this owner.")
    return finetuned_output


Named = Annotated[str, Depends(_named)]


@router.get("/fine-tunes/outputs/{finetuned_output}", summary="Query a phrase list", responses=_RESPONSES)
@router.get("/fine-tunes/outputs/{finetuned_output}/", include_in_schema=False)
async def query_phrases(request: Request, caller: Caller, parts: Here, list_id: Named) -> Response:
    """When a list was made, and for which model; its words are told nowhere, as with the service."""
    parts.limits.ask(caller.owner, "hotwords")
    found = await in_thread(parts.queries, parts.hotwords.find, caller.owner, Kind.PHRASES, list_id)
    return envelope.answer(request, {"output": _record(found, ZoneInfo(parts.settings.time_zone))})


@router.delete("/fine-tunes/outputs/{finetuned_output}", summary="Delete a phrase list", responses=_RESPONSES)
@router.delete("/fine-tunes/outputs/{finetuned_output}/", include_in_schema=False)
async def delete_phrases(request: Request, caller: Caller, parts: Here, list_id: Named) -> Response:
    """Forgets a list; tasks that named it keep its words."""
    parts.limits.ask(caller.owner, "hotwords")
    await in_thread(parts.queries, parts.hotwords.delete, caller.owner, Kind.PHRASES, list_id)
    return envelope.answer(request, {"output": {"finetuned_output": list_id}})


def _record(found: HotwordList, zone: ZoneInfo) -> dict[str, str]:
    return {
        "create_time": _clock(found.created_at, zone),
        "finetuned_output": found.id,
        "job_id": found.job_id,
        "model": found.target_model,
        "output_type": "custom_resource",
    }


def _clock(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}"
