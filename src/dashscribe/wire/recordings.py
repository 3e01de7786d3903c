"""Recordings, on paths of our own: the library behind the review pages, for any program.

A recording is one file of a task; its id is that of the task, a dot, and its place in it. Instants are epoch
milliseconds here, times of hits are those of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe.catalog import MODELS
from dashscribe.db import as_ms
from dashscribe.errors import ConflictError
from dashscribe.keys import Identity
from dashscribe.library import Deleted, Library, Recording, Wanted
from dashscribe.notify.deliveries import Delivery
from dashscribe.recordings import MAX_TITLE_CHARS, not_found
from dashscribe.search import Found, Hit, terms_of
from dashscribe.tasks import Status
from dashscribe.types import Options
from dashscribe.wire import answers, body, envelope, library_docs
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.params import TABLE, read
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import check_members, filter_of, number, refusal

MAX_PAGE_SIZE, MAX_IDS = 100, 500
#: Hits of one recording: in a list, and where it is looked at alone.
LISTED_HITS, ALL_HITS = 3, 1000
#: Latest instant, in epoch milliseconds: far beyond any clock.
MAX_INSTANT = 10**14

#: How a deletion is refused beside what ``library_docs`` says.
_AWAITED = {409: {"description": "Conflict: a task has yet to fetch the sound that it is to transcribe again"}}

router = APIRouter(prefix="/dashscribe/v1/recordings", tags=["recordings"])
Here = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of a list, as it came."""

    q: Annotated[str, Query(description='What is looked for in titles and texts: every word of it, or "a phrase".')] = (
        ""
    )
    status: Annotated[str, Query(description=f"One or several of {', '.join(Status)}, with commas.")] = ""
    model: Annotated[str, Query(description="Only those submitted with this model name.")] = ""
    since: Annotated[str, Query(description="Submitted from this instant on, in epoch milliseconds.")] = ""
    until: Annotated[str, Query(description="Submitted up to this instant, in epoch milliseconds.")] = ""
    page_no: Annotated[str, Query(description="From 1.")] = ""
    page_size: Annotated[str, Query(description=f"1 to {MAX_PAGE_SIZE}; default 20.")] = ""


@router.get("", summary="List and search recordings", responses=library_docs.LISTED)
async def list_recordings(
    request: Request, caller: Caller, parts: Here, asked: Annotated[Asked, Depends()]
) -> Response:
    """The caller's recordings, the newest first; with ``q`` those in which all of it is found, and where."""
    parts.limits.ask(caller.owner, "list")
    wanted = _wanted(asked)
    total, found = await in_thread(parts.queries, _library(parts).list, caller.owner, wanted, LISTED_HITS)
    told = {"total": total, "page_no": wanted.page_no, "page_size": wanted.page_size}
    return envelope.answer(request, told | {"recordings": [brief(recording) for recording in found]})


@router.get("/{recording_id}", summary="Show a recording", responses=library_docs.SHOWN)
async def get_recording(
    request: Request,
    caller: Caller,
    parts: Here,
    recording_id: str,
    q: Annotated[str, Query(description="What is looked for in it.")] = "",
) -> Response:
    """One recording with all that is known of it; with ``q``, every sentence in which any of it is found."""
    parts.limits.ask(caller.owner, "query")
    terms = terms_of(q) if q else ()
    found = await in_thread(parts.queries, _library(parts).get, caller.owner, recording_id, terms, ALL_HITS)
    return envelope.answer(request, brief(found) | details(found))


@router.patch(
    "/{recording_id}",
    summary="Name or keep a recording",
    openapi_extra={"requestBody": library_docs.CHANGE_BODY},
    responses=library_docs.CHANGED,
)
async def change_recording(request: Request, caller: Caller, parts: Here, recording_id: str) -> Response:
    """Sets ``title`` and ``kept`` where they are given; what is kept stays until it is deleted, however old."""
    given = _changes(body.parse_object(await body.receive(request)))
    changed = await in_thread(parts.queries, _change, parts, caller, recording_id, given)
    return envelope.answer(request, brief(changed) | details(changed))


@router.delete("/{recording_id}", summary="Delete a recording", responses=library_docs.DELETED | _AWAITED)
async def delete_recording(request: Request, caller: Caller, parts: Here, recording_id: str) -> Response:
    """Nobody sees it any more once this answers; what waits or is worked on is called off."""
    done = await in_thread(parts.queries, _delete, parts, caller.owner, [recording_id])
    if done.missing:
        raise not_found(recording_id)
    return envelope.answer(request, {})


@router.post(
    "/delete",
    summary="Delete several recordings",
    openapi_extra={"requestBody": library_docs.DELETE_BODY},
    responses=library_docs.ALL_DELETED | _AWAITED,
)
async def delete_recordings(request: Request, caller: Caller, parts: Here) -> Response:
    """Up to 500 at once; those that are not there are told, and are no error.

    So are those that stay, as ``awaited``, unless there is nothing else: ``task_id`` has yet to fetch their sound.
    """
    ids = _listed_ids(body.parse_object(await body.receive(request)))
    done = await in_thread(parts.queries, _delete, parts, caller.owner, ids)
    stay = [{"id": one, "task_id": _task_of(waiting)} for one, waiting in done.awaited.items()]
    told = {"deleted": list(done.ids), "not_found": list(done.missing), "awaited": stay}
    return envelope.answer(request, told)


def _library(parts: Parts) -> Library:
    return Library(parts.database, parts.settings)


def _change(parts: Parts, caller: Identity, recording_id: str, given: dict[str, Any]) -> Recording:
    _library(parts).change(caller.owner, recording_id, **given)
    return _library(parts).get(caller.owner, recording_id)


def _delete(parts: Parts, owner: str, ids: Sequence[str]) -> Deleted:
    """Delete recordings and say so to whoever waits for that. Raises ConflictError where all that are there stay."""
    done = _library(parts).delete(owner, ids)
    if done.stopped:
        parts.telemetry.file_ended("canceled", files=done.stopped)
    if done.ids:
        parts.wake()  # the end of a task is an event
    elif done.awaited:
        raise _in_use(done.awaited)
    return done


def _in_use(awaited: Mapping[str, str]) -> ConflictError:
    (recording_id, waiting), *others = awaited.items()
    more = f" It is the same with {len(others)} more of them." if others else ""
    return ConflictError(
        f"Task {_task_of(waiting)} has yet to fetch the sound of recording {recording_id}, which it is to transcribe "
        f"again: wait until it has, or cancel it, or delete its recording {waiting} as well.{more}"
    )


def _task_of(recording_id: str) -> str:
    return recording_id.partition(".")[0]


# --- what is asked ----------------------------------------------------------------------------------------------------


def _wanted(asked: Asked) -> Wanted:
    statuses = {name.strip() for name in asked.status.split(",") if name.strip()}
    if not statuses <= set(Status):
        raise refusal("status", asked.status, f"give one or several of {', '.join(Status)}, with commas between them")
    return Wanted(
        terms=terms_of(asked.q) if asked.q else (),
        statuses=frozenset(map(Status, statuses)),
        model=asked.model,
        since_ms=number("since", asked.since, 0, 0, MAX_INSTANT) if asked.since else None,
        until_ms=number("until", asked.until, 0, 0, MAX_INSTANT) if asked.until else None,
        page_no=number("page_no", asked.page_no, 1, 1, 10**9),
        page_size=number("page_size", asked.page_size, 20, 1, MAX_PAGE_SIZE),
    )


def _changes(members: dict[str, JSON]) -> dict[str, Any]:
    """The members that a change sets. Raises InvalidParameterError."""
    check_members(members, ("title", "kept"))
    given: dict[str, Any] = {}
    if "title" in members:
        title = members["title"]
        if not isinstance(title, str) or len(title) > MAX_TITLE_CHARS:
            raise refusal("title", title, f"give a string of at most {MAX_TITLE_CHARS} characters")
        given["title"] = " ".join(title.split())
    if "kept" in members:
        if not isinstance(members["kept"], bool):
            raise refusal("kept", members["kept"], "give true or false")
        given["kept"] = members["kept"]
    return given


def _listed_ids(members: dict[str, JSON]) -> list[str]:
    ids = members.get("ids")
    allowed = f'give {{"ids": […]}} with 1 to {MAX_IDS} ids of recordings'
    if set(members) - {"ids"} or not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
        raise refusal("ids", f"{len(ids)} ids" if isinstance(ids, list) else ids, allowed)
    named: list[str] = []
    for one in ids:
        if not isinstance(one, str):
            raise refusal("ids", one, allowed)
        named.append(one)
    return named


# --- what is told -----------------------------------------------------------------------------------------------------


def brief(recording: Recording) -> dict[str, Any]:
    """A recording as it stands in a list: what is not known is left out."""
    task, file = recording.task, recording.file
    told: dict[str, Any] = {"id": recording.id, "task_id": task.id, "file": file.index, "title": recording.title}
    told |= {"url": file.file_url, "model": task.model, "status": file.status.value}
    told |= {name: value for name, value in _known(recording) if value not in ("", None)}
    told |= {"kept": recording.kept, "languages": list(recording.languages)}
    told["diarized"] = task.options.diarize or task.options.speaker_per_channel
    if file.failed_stages:
        told["failed_stages"] = [{"stage": one.stage, "reasons": list(one.reasons)} for one in file.failed_stages]
    return told | (_found(recording.found) if recording.found else {})


def _known(recording: Recording) -> Iterator[tuple[str, Any]]:
    task, file = recording.task, recording.file
    ended = file.status not in (Status.PENDING, Status.RUNNING)
    yield from (("engine", file.engine), ("code", file.code), ("message", file.message))
    yield "submitted_at", as_ms(task.submitted_at)
    yield "started_at", _instant(task.started_at)
    yield "ended_at", _instant(task.ended_at) if ended else None
    yield "edited_at", recording.edited_ms
    yield "duration_ms", file.media.duration_ms if file.media else None
    yield "queue_position", task.queue_position if file.status is Status.PENDING else None
    if file.status is Status.RUNNING and file.progress:
        yield "progress", {"done_ms": file.progress.done_ms, "total_ms": file.progress.total_ms}


def _instant(at: datetime | None) -> int | None:
    return as_ms(at) if at else None


def _found(found: Found) -> dict[str, Any]:
    told: dict[str, Any] = {"hit_count": found.count, "hits": [_hit(hit) for hit in found.hits]}
    return told | ({"title_marks": [list(mark) for mark in found.title_marks]} if found.title_marks else {})


def _hit(hit: Hit) -> dict[str, Any]:
    line = hit.line
    told = {"begin_ms": line.begin_ms, "end_ms": line.end_ms, "channel": line.channel, "text": line.text}
    return told | {"marks": [list(mark) for mark in hit.marks]}


def details(recording: Recording) -> dict[str, Any]:
    """What is told of a recording beside that where it is looked at alone."""
    task, file = recording.task, recording.file
    told: dict[str, Any] = {"revision": recording.revision, "options": options_told(task.model, task.options)}
    told["notes"] = list(dict.fromkeys((*task.notes, *file.notes)))
    told["stages"] = answers.redos(task)
    told["deliveries"] = [_delivery(delivery) for delivery in task.deliveries]
    if file.media:
        same = ("container", "codec", "rate_hz", "channel_count", "duration_ms")
        told["media"] = {name: getattr(file.media, name) for name in same}
    if file.ledger:
        told["ledger"] = dict(file.ledger)
    return told | ({"retry_of": task.retry_of} if task.retry_of else {})


def _delivery(delivery: Delivery) -> dict[str, Any]:
    told: dict[str, Any] = {"id": delivery.id, "target_id": delivery.target.id, "target_url": delivery.target.url}
    told |= {"state": delivery.state.value, "attempts": delivery.attempts}
    about = {"tried_at": delivery.tried_ms, "next_try_at": delivery.due_ms}
    about |= {"http_status": delivery.http_status, "error": delivery.error}
    return told | {name: value for name, value in about.items() if value}


#: How the wire has values that are kept in another form.
_FORMS: dict[str, Callable[[Any], Any]] = {
    "language": lambda codes: codes[0],
    "corpus": lambda text: {"text": text},
    "special_word_filter": filter_of,
}


def options_told(name: str, options: Options) -> dict[str, Any]:
    """What a task asked for beyond the defaults of its model, by the names of the wire."""
    model = MODELS.get(name)
    if model is None:  # a name that a newer program knows
        return {}
    usual, told = read(model, {}).options, dict[str, Any]()
    for row in TABLE:
        if row.option and row.name in model.parameters and row.option != "hotwords":
            value = getattr(options, row.option)
            if value not in (None, "", getattr(usual, row.option)):
                told[row.name] = _FORMS.get(row.name, msgspec.to_builtins)(value)
    if options.hotwords:
        told["vocabulary"] = {word.text: word.weight for word in options.hotwords}
    return told
