"""A recording transcribed once more from what is kept of it, with another model or other parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from dashscribe.catalog import Model, find_model, options_for
from dashscribe.choice import choose_engine, lacks
from dashscribe.edits import EditBook
from dashscribe.errors import InvalidParameterError, UrlError
from dashscribe.keys import Identity
from dashscribe.recordings import read_id, recording_url
from dashscribe.sounds import Sounds
from dashscribe.tasks import Submission
from dashscribe.types import Options
from dashscribe.wire import body, envelope, openapi_review
from dashscribe.wire.admission import admit
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.params import TABLE, Asked, model_name, parameters_of, pin_hotwords
from dashscribe.wire.params import read as read_parameters
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.sound import sounds_of

router = APIRouter(prefix="/dashscribe/v1/recordings", tags=["review"])
Here = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True, slots=True)
class _Call:
    request_id: str
    base_url: str
    members: dict[str, JSON]


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
    sent = await body.receive(request)
    members = body.parse_object(sent) if sent.strip() else {}
    call = _Call(envelope.request_id(request), envelope.base_url(request, parts.settings.public_url), members)
    told = await in_thread(parts.queries, _again, parts, sounds, caller, place, call)
    parts.wake()
    return envelope.answer(request, told, status=202)


def _again(parts: Parts, sounds: Sounds, caller: Identity, place: tuple[str, int], call: _Call) -> dict[str, Any]:
    if unknown := [name for name in call.members if name not in ("model", "parameters")]:
        raise InvalidParameterError(f"{unknown[0]!r:.80} is no member of this call: model, parameters.", "body")
    sounds.source(*place, caller.owner)  # there has to be one
    row = EditBook(parts.database, parts.store).recording(caller.owner, *place)
    model = find_model(model_name(call.members) if "model" in call.members else row.model)
    if model.interface != "async":
        raise UrlError(f"{model.name} is synchronous: it takes no tasks.")
    if call.members.get("parameters") is None:
        asked = carried(model, row.options)
    else:
        asked = pin_hotwords(read_parameters(model, parameters_of(call.members)), caller.owner, parts.hotwords)
    parts.limits.call(caller.owner, model)
    parts.keys.check_quota(caller)
    admit(parts, caller.owner, 1)
    among = parts.workers_engines()
    engine = choose_engine(model, asked.options.languages, parts.settings, parts.hosts.down(), among)
    task = parts.tasks.submit(
        Submission(
            owner=caller.owner,
            key_id=caller.key_id,
            request_id=call.request_id,
            model=model.name,
            shape=model.shape,
            options=asked.options,
            file_urls=(recording_url(*place, row.name),),
            notes=(*asked.notes, *lacks(engine, asked.options, asked_itn=not model.itn)),
            base_url=call.base_url,
            time_zone=parts.settings.time_zone,
            traceparent=parts.telemetry.traces.traceparent(),
            keep=True,  # like what it was made from
        )
    )
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
