"""Doing things again, on a path of our own: one late stage of a task in place, or its files as a new task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from dashscribe import redos
from dashscribe.catalog import find_model
from dashscribe.choice import choose_engine, lacks
from dashscribe.engines import EngineInfo, engines
from dashscribe.enrich import StageName
from dashscribe.errors import InvalidParameterError, NotFoundError, NotRetriedError
from dashscribe.keys import Identity
from dashscribe.tasks import Status, Submission, Task
from dashscribe.types import MAX_SPEAKERS, MIN_SPEAKERS, Options
from dashscribe.wire import answers, body, envelope, openapi
from dashscribe.wire.admission import admit
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import refusal

MAX_FILES = 100
_MEMBERS = ("stage", "file", "speaker_count", "all")

#: Whether a stage was wanted, and what a task has to set for it. Marks are set for everybody.
_WANTED: dict[StageName, tuple[Callable[[Options], object], str]] = {
    StageName.SPEAKERS: (lambda options: options.diarize, "diarization_enabled"),
    StageName.HOTWORDS: (lambda options: options.hotwords or options.context, "vocabulary_id, or a context,"),
    StageName.FILLERS: (lambda options: options.drop_fillers, "disfluency_removal_enabled"),
    StageName.NUMBERS: (lambda options: options.itn, "enable_itn"),
    StageName.SENSITIVE_WORDS: (lambda options: options.censor, "special_word_filter"),
}

router = APIRouter(prefix="/dashscribe/v1/tasks", tags=["tasks"])
Here = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the body asks for."""

    stage: StageName | None = None
    file: int | None = None
    speaker_count: int | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """The call's id, and what URLs begin with that its caller is told."""

    request_id: str
    base_url: str


@router.post(
    "/{task_id}/retry",
    status_code=202,
    summary="Do a stage of a task again, or its failed files",
    openapi_extra={"requestBody": openapi.RETRY_BODY},
    responses=openapi.RETRIED,
)
async def retry(request: Request, caller: Caller, parts: Here, task_id: str) -> Response:
    """With ``stage``: what it makes replaces the task's result once it is complete; the task's state and URLs stay.

    Repeating the request while it is under way joins it. Without ``stage``: a new task from the same sources and
    parameters, for the files that failed.
    """
    wish = read_wish(await body.receive(request))
    act = _redo if wish.stage else _resubmit
    call = _Call(envelope.request_id(request), envelope.base_url(request, parts.settings.public_url))
    members = await in_thread(parts.queries, act, parts, caller, task_id, wish, call)
    parts.wake()
    return envelope.answer(request, members, status=202)


def read_wish(sent: bytes) -> Wish:
    """The body of a call, which may be empty. Raises InvalidParameterError."""
    members = body.parse_object(sent) if sent.strip() else {}
    if unknown := [name for name in members if name not in _MEMBERS]:
        raise InvalidParameterError(f"{unknown[0]!r:.80} is no member of this call: {', '.join(_MEMBERS)}.", "body")
    stage, every = members.get("stage"), members.get("all", False)
    names = [name.value for name in StageName]
    if stage is not None and stage not in names:
        raise refusal("stage", stage, f"give one of {', '.join(names)}")
    if not isinstance(every, bool):
        raise refusal("all", every, "give true or false")
    file = _number(members, "file", 0, MAX_FILES - 1)
    count = _number(members, "speaker_count", MIN_SPEAKERS, MAX_SPEAKERS)
    if count is not None and stage != StageName.SPEAKERS:
        raise refusal("speaker_count", count, "it goes with the stage speakers")
    if file is not None and stage is None:
        raise refusal("file", file, "it goes with a stage; without one, the files that failed are done again")
    if every and stage is not None:
        raise refusal("all", every, "it goes without a stage; a stage is done again for every file that has a result")
    return Wish(StageName(stage) if isinstance(stage, str) else None, file, count, every)


def _number(members: dict[str, body.JSON], name: str, least: int, most: int) -> int | None:
    value = members.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most):
        raise refusal(name, value, f"give an integer from {least} to {most}")
    return value


def _found(parts: Parts, caller: Identity, task_id: str) -> Task:
    """The caller's task, counted as a call."""
    task = parts.tasks.get(caller.owner, task_id, kept=True)
    if task is None:
        raise NotFoundError(f"There is no task {task_id[:80]!r}, any more or of this key.")
    parts.limits.call(caller.owner, find_model(task.model))
    return task


def _redo(parts: Parts, caller: Identity, task_id: str, wish: Wish, call: _Call) -> dict[str, Any]:
    """Have the stage done again; the answer."""
    assert wish.stage is not None
    task = _found(parts, caller, task_id)
    is_wanted, parameter = _WANTED.get(wish.stage, (bool, ""))
    if parameter and not is_wanted(task.options):
        raise InvalidParameterError(
            f"The task did not ask for {wish.stage}: submit it with {parameter} for that.", "stage"
        )
    queued = redos.ask(
        parts.database,
        caller.owner,
        task_id,
        wish.stage,
        number=wish.file,
        speaker_count=wish.speaker_count,
    )
    task = parts.tasks.get(caller.owner, task_id, kept=True) or task
    told = [redo for redo in answers.redos(task) if redo["file"] in queued]
    return {"output": {"task_id": task.id, "task_status": task.status.value}, "dashscribe": {"redo": told}}


def _resubmit(parts: Parts, caller: Identity, task_id: str, wish: Wish, call: _Call) -> dict[str, Any]:
    """Submit the task's files again; the answer."""
    task = _found(parts, caller, task_id)
    if task.status in (Status.PENDING, Status.RUNNING):
        raise NotRetriedError(f"It is {task.status.value}: wait for its end.")
    chosen = [subtask for subtask in task.subtasks if wish.every or subtask.status is Status.FAILED]
    if not chosen:
        raise NotRetriedError("None of its files failed; with all, every file is done again.")
    parts.keys.check_quota(caller)
    admit(parts, caller.owner, len(chosen))
    model, options = find_model(task.model), task.options
    among = parts.workers_engines()
    engine = choose_engine(model, options.languages, parts.settings, parts.hosts.down(), among)

    def unheeded(info: EngineInfo) -> tuple[str, ...]:
        return tuple(lacks(info, options, asked_itn=not model.itn))

    earlier = {note for info in among or engines(parts.settings).values() for note in unheeded(info)}
    new = parts.tasks.submit(
        Submission(
            owner=caller.owner,
            key_id=caller.key_id,
            request_id=call.request_id,
            model=task.model,
            shape=task.shape,
            options=options,
            file_urls=tuple(subtask.file_url for subtask in chosen),
            notes=(*(note for note in task.notes if note not in earlier), *unheeded(engine)),
            no_oss=task.no_oss,
            retry_of=task.id,
            base_url=call.base_url,
            time_zone=parts.settings.time_zone,
            traceparent=parts.telemetry.traces.traceparent(),
        )
    )
    told = {"retry_of": task.id, "retried": [subtask.index for subtask in chosen]}
    return {"output": {"task_id": new.id, "task_status": new.status.value}, "dashscribe": told}
