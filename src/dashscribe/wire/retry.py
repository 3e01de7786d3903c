"""Doing things again, on a path of our own: one late stage of a task in place, or its files as a new task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from dashscribe import redos
from dashscribe.catalog import find_model
from dashscribe.engines import engines
from dashscribe.enrich import StageName
from dashscribe.errors import InvalidParameterError, NotFoundError, NotRetriedError
from dashscribe.tasks import Status, Task
from dashscribe.types import MAX_SPEAKERS, MIN_SPEAKERS, Options
from dashscribe.wire import answers, body, envelope, openapi
from dashscribe.wire.admission import Call, admit, call_of, engine_for, submission, unheeded
from dashscribe.wire.guard import Caller
from dashscribe.wire.params import Asked
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import check_members, refusal

MAX_FILES = 100

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
    members = await in_thread(parts.queries, act, parts, call_of(request, caller, parts), task_id, wish)
    parts.wake()
    return envelope.answer(request, members, status=202)


def read_wish(sent: bytes) -> Wish:
    """The body of a call, which may be empty. Raises InvalidParameterError."""
    members = body.parse_optional(sent)
    check_members(members, ("stage", "file", "speaker_count", "all"))
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


def _found(parts: Parts, owner: str, task_id: str) -> Task:
    """The owner's task, counted as a call."""
    task = parts.tasks.get(owner, task_id, kept=True)
    if task is None:
        raise NotFoundError(f"There is no task {task_id[:80]!r}, any more or of this key.")
    parts.limits.call(owner, find_model(task.model))
    return task


def _redo(parts: Parts, call: Call, task_id: str, wish: Wish) -> dict[str, Any]:
    """Have the stage done again; the answer."""
    assert wish.stage is not None
    owner = call.caller.owner
    task = _found(parts, owner, task_id)
    is_wanted, parameter = _WANTED.get(wish.stage, (bool, ""))
    if parameter and not is_wanted(task.options):
        raise InvalidParameterError(
            f"The task did not ask for {wish.stage}: submit it with {parameter} for that.", "stage"
        )
    queued = redos.ask(
        parts.database,
        owner,
        task_id,
        wish.stage,
        number=wish.file,
        speaker_count=wish.speaker_count,
    )
    task = parts.tasks.get(owner, task_id, kept=True) or task
    told = [redo for redo in answers.redos(task) if redo["file"] in queued]
    return {"output": {"task_id": task.id, "task_status": task.status.value}, "dashscribe": {"redo": told}}


def _resubmit(parts: Parts, call: Call, task_id: str, wish: Wish) -> dict[str, Any]:
    """Submit the task's files again; the answer."""
    task = _found(parts, call.caller.owner, task_id)
    if task.status in (Status.PENDING, Status.RUNNING):
        raise NotRetriedError(f"It is {task.status.value}: wait for its end.")
    asked_for = [subtask for subtask in task.subtasks if wish.every or subtask.status is Status.FAILED]
    if not asked_for:
        raise NotRetriedError("None of its files failed; with all, every file is done again.")
    chosen = [subtask for subtask in asked_for if not subtask.hidden]
    if not chosen:
        raise NotRetriedError("The recordings that it would be for were deleted: submit their sources anew.")
    admit(parts, call.caller, len(chosen))
    model, options = find_model(task.model), task.options
    engine = engine_for(parts, model, options)
    # What some engine cannot do was said of the one that was chosen then.
    able = parts.workers_engines() or engines(parts.settings).values()
    earlier = {note for info in able for note in unheeded(info, model, options)}
    asked = Asked(options, [note for note in task.notes if note not in earlier])
    wanted = submission(parts, call, model, asked, engine, tuple(subtask.file_url for subtask in chosen))
    new = parts.tasks.submit(replace(wanted, shape=task.shape, no_oss=task.no_oss, retry_of=task.id))
    told = {"retry_of": task.id, "retried": [subtask.index for subtask in chosen]}
    return {"output": {"task_id": new.id, "task_status": new.status.value}, "dashscribe": told}
