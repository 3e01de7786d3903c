"""A recording transcribed once more from what is kept of it, with another model or other parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from dashscribe.catalog import Model, find_model, options_for
from dashscribe.edits import EditBook
from dashscribe.errors import UrlError
from dashscribe.errors.sources import RecordingGoneError
from dashscribe.recordings import not_found, read_id, recording_url
from dashscribe.sounds import Sounds
from dashscribe.types import Options
from dashscribe.wire import body, envelope, openapi_review
from dashscribe.wire.admission import Call, admit, call_of, engine_for, submission
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.params import TABLE, Asked, model_name, parameters_of, pin_hotwords
from dashscribe.wire.params import read as read_parameters
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.sound import sounds_of
from dashscribe.wire.values import check_members

router = APIRouter(prefix="/dashscribe/v1/recordings", tags=["review"])
Here = Annotated[Parts, Depends(parts_of)]


@router.post(
    "/{recording_id}/again",
    status_code=202,
    summary="Transcribe a recording again",
    openapi_extra={"requestBody": openapi_review.AGAIN_BODY},
    responses=openapi_review.AGAIN,
)
async def again(
    request: Request, caller: Caller, parts: Here, sounds: Annotated[Sounds, Depends(sounds_of)], recording_id: str
) -> Response:
    """A new task from the kept source, however old: of the same model unless another is named.

    Without ``parameters`` it asks for what the recording's own task did, as far as the model takes that.
    """
    place = read_id(recording_id)
    members = body.parse_optional(await body.receive(request))
    call = call_of(request, caller, parts)
    told = await in_thread(parts.queries, _again, parts, sounds, call, place, members)
    parts.wake()
    return envelope.answer(request, told, status=202)


def _again(
    parts: Parts, sounds: Sounds, call: Call, place: tuple[str, int], members: dict[str, JSON]
) -> dict[str, Any]:
    check_members(members, ("model", "parameters"))
    owner = call.caller.owner
    sounds.source(*place, owner)  # there has to be one
    row = EditBook(parts.database, parts.store).recording(owner, *place)
    model = find_model(model_name(members) if "model" in members else row.model)
    if model.interface != "async":
        raise UrlError(f"{model.name} is synchronous: it takes no tasks.")
    if members.get("parameters") is None:
        asked = carried(model, row.options)
    else:
        asked = pin_hotwords(read_parameters(model, parameters_of(members)), owner, parts.hotwords)
    parts.limits.call(owner, model)
    admit(parts, call.caller, 1)
    engine = engine_for(parts, model, asked.options)
    url = recording_url(*place, row.name)
    wanted = submission(parts, call, model, asked, engine, (url,))
    try:
        task = parts.tasks.submit(replace(wanted, keep=True, kept_only=True))  # kept like what it was made from
    except RecordingGoneError:  # it was deleted, or expired, since it was looked at
        sounds.source(*place, owner)  # raises what it is now
        raise not_found(f"{place[0]}.{place[1]}") from None
    told: dict[str, Any] = {"id": f"{task.id}.0", "task_id": task.id, "status": task.status.value, "model": task.model}
    return told | ({"notes": list(task.notes)} if task.notes else {})


def carried(model: Model, options: Options) -> Asked:
    """What was asked for before, as far as the model takes it, and notes on what it does not."""
    if model.name == options.model:
        return Asked(options)
    usual = Options()
    takes = {row.option for row in TABLE if row.option and row.name in model.parameters}
    takes |= {"hotwords"} if model.max_hotwords else set()
    given: dict[str, Any] = {}
    notes: list[str] = []
    for name in dict.fromkeys(row.option for row in TABLE if row.option):
        value = getattr(options, name)
        if name in takes:
            given[name] = value
        elif value != getattr(usual, name):
            notes.append(f"{name} of the earlier task had no effect: {model.name} does not take it")
    if "hotwords" in given:
        given["hotwords"] = given["hotwords"][: model.max_hotwords]
    return Asked(options_for(model, **given), notes)
