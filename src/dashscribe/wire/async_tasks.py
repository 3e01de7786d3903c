"""The asynchronous interface: submit, query, cancel, list.

Paths come with and without a slash at the end and a query may be a POST, because the service's pages and clients differ
in that. A query never answers 503: a Java client would ask again without a pause.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from dashscribe.errors import InvalidParameterError, SynchronousCallError, UnsupportedOperationError
from dashscribe.errors.sources import SourceError
from dashscribe.fetch import data_uri
from dashscribe.keys import Identity
from dashscribe.tasks import Status, Task
from dashscribe.uploads import Upload
from dashscribe.wire import body, envelope, openapi
from dashscribe.wire.admission import Call, admit, call_of, check_disk, engine_for, submission
from dashscribe.wire.answers import Teller, unknown
from dashscribe.wire.guard import Caller
from dashscribe.wire.params import pin_hotwords
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.submission import Order, read_order
from dashscribe.wire.values import number, refusal

DAY = timedelta(hours=24)
#: The end of a listing is a second, all of which belongs to it.
LAST_SECOND = timedelta(milliseconds=999)
#: Larger bodies than this are received on disk: those that hold a recording.
SPOOLED_BYTES = 1024**2
#: A body that names sources only has hardly ever more bytes.
BARE_BYTES = 64 * 1024
MAX_PAGE_SIZE = 100
MAX_IDEMPOTENCY_KEY_CHARS = 255
#: Statuses that the service names; the ones beyond ``Status`` are never those of a task here, so they match nothing.
_STATUSES = (*Status, "UNKNOWN", "SUSPENDED")
#: Ids that are worth a look into the database; ours are UUIDs.
_TASK_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

router = APIRouter(prefix="/api/v1", tags=["tasks"])
Here = Annotated[Parts, Depends(parts_of)]


@router.post(
    "/services/audio/asr/transcription",
    summary="Submit files for transcription",
    openapi_extra={"requestBody": openapi.SUBMIT_BODY},
    responses=openapi.SUBMITTED,
)
@router.post("/services/audio/asr/transcription/", include_in_schema=False)
async def submit(
    request: Request,
    caller: Caller,
    parts: Here,
    x_dashscope_async: Annotated[str, Header(description="Must be `enable`.")] = "",
    idempotency_key: Annotated[str, Header(description="Repeating it within 24 h gives the same task.")] = "",
    x_dashscope_ossresourceresolve: Annotated[
        str, Header(description="`enable` where a source is an oss:// URL; needed only if the server says so.")
    ] = "",
    x_dashscribe_keep: Annotated[
        str, Header(description="`true` keeps its recordings until they are deleted, beyond any retention.")
    ] = "",
) -> Response:
    """Accepts a task: it is on disk when this answers, and goes on whatever happens to the server."""
    if x_dashscope_async.strip().lower() != "enable":
        raise SynchronousCallError("Send the header X-DashScope-Async: enable.")
    if len(idempotency_key) > MAX_IDEMPOTENCY_KEY_CHARS:
        raise refusal("Idempotency-Key", idempotency_key, f"give at most {MAX_IDEMPOTENCY_KEY_CHARS} characters")
    resolves = x_dashscope_ossresourceresolve.strip().lower() == "enable"
    no_oss = parts.settings.strict_oss and not resolves
    call = call_of(request, caller, parts)
    keep = x_dashscribe_keep.strip().lower()
    if keep not in ("", "true", "false"):
        raise refusal("X-Dashscribe-Keep", x_dashscribe_keep, "give true or false, or leave it out")
    wishes = _Wishes(idempotency_key, no_oss, keep == "true")
    async with _received(request, caller, parts, checks_disk=not idempotency_key) as sent:
        threads = parts.arriving if _may_carry(sent) else parts.queries
        task, engine = await in_thread(threads, _submit, parts, call, wishes, sent)
    parts.wake()
    members: dict[str, Any] = {"output": {"task_id": task.id, "task_status": task.status.value}}
    if task.notes:
        members["dashscribe"] = {"notes": list(task.notes)}
    return envelope.answer(request, members, headers={"x-dashscribe-engine": engine} if engine else {})


@asynccontextmanager
async def _received(
    request: Request, caller: Identity, parts: Parts, *, checks_disk: bool
) -> AsyncGenerator[IO[bytes]]:
    """The body, in memory or in a folder of the home; it is there, and has its place, for as long as the block lasts.

    Raises BusyError, TooLargeError, and DiskLowError before any of it came: but not of a call that may be repeated, to
    which its task is owed whatever the state of the disk.
    """
    with body.place(request, request.app.state.bodies, caller.owner), ExitStack() as kept:
        size_bytes = body.announced_bytes(request, body.MAX_RECORDING_BODY_BYTES)
        folder: str | None = None
        if size_bytes > SPOOLED_BYTES:
            if checks_disk:
                await in_thread(parts.queries, check_disk, parts, size_bytes)
            folder = str(await in_thread(parts.blobs, kept.enter_context, parts.uploads.folder()))
        with SpooledTemporaryFile(SPOOLED_BYTES, dir=folder) as sent:
            await body.receive_into(request, sent, body.MAX_RECORDING_BODY_BYTES)
            yield sent


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What the headers of a submit call ask for."""

    idempotency_key: str
    no_oss: bool
    keep: bool


def _may_carry(sent: IO[bytes]) -> bool:
    """Whether a body may carry a recording, which goes to the store first: polls are not to wait for that."""
    if sent.tell() > BARE_BYTES:
        return True
    sent.seek(0)
    return b"input_audio" in sent.read()


def _submit(parts: Parts, call: Call, wishes: _Wishes, sent: IO[bytes]) -> tuple[Task, str]:
    """The task, and the engine that it is for, as far as that is known."""
    with parts.telemetry.traces.span("submit", {"dashscribe.owner": call.caller.owner}) as tell:
        task, engine = _accept(parts, call, wishes, sent)
        tell({"dashscribe.task_id": task.id, "dashscribe.model": task.model, "dashscribe.files": len(task.subtasks)})
    return task, engine


def _accept(parts: Parts, call: Call, wishes: _Wishes, sent: IO[bytes]) -> tuple[Task, str]:
    sent.seek(0)
    order = read_order(sent.read())
    owner, key = call.caller.owner, wishes.idempotency_key
    # First of all: what a repeated call asks for is there, whatever became of limits, lists and engines.
    if key and (made := parts.tasks.repeated(owner, key, order.digest)):
        return made, made.subtasks[0].engine
    parts.limits.call(owner, order.model)
    admit(parts, call.caller, len(order.file_urls) or 1)
    asked = pin_hotwords(order.asked, owner, parts.hotwords)
    engine = engine_for(parts, order.model, asked.options)
    kept = _keep(parts, owner, order) if order.data_uri else None
    wanted = submission(parts, call, order.model, asked, engine, (kept.url,) if kept else order.file_urls)
    task = parts.tasks.submit(
        replace(
            wanted,
            idempotency_key=key,
            body_digest=order.digest,
            no_oss=wishes.no_oss and kept is None,
            content_sha256=kept.sha256 if kept else "",
            keep=wishes.keep,
        )
    )
    return task, engine.name


def _keep(parts: Parts, owner: str, order: Order) -> Upload:
    """Make an upload of a recording that came within the call: a task must find it whatever happens."""
    with parts.uploads.folder() as folder:
        try:
            file = data_uri.save(order.data_uri, folder)
        except SourceError as error:
            raise InvalidParameterError(error.detail, "input_audio") from error
        return parts.uploads.keep(owner, "input_audio", file, model=order.model.name)


@router.get("/tasks/{task_id}", summary="Query a task", responses=openapi.QUERIED)
@router.post("/tasks/{task_id}", include_in_schema=False)
@router.get("/tasks/{task_id}/", include_in_schema=False)
@router.post("/tasks/{task_id}/", include_in_schema=False)
async def query(request: Request, caller: Caller, parts: Here, task_id: str) -> Response:
    """The state of a task and, at its end, where its results are; UNKNOWN where there is no such task."""
    parts.limits.ask(caller.owner, "query")
    task = None
    if _TASK_ID.fullmatch(task_id):
        task = await in_thread(parts.queries, parts.tasks.get, caller.owner, task_id)
    return envelope.answer(request, _teller(request, parts).answer(task) if task else unknown(task_id))


@router.post("/tasks/{task_id}/cancel", summary="Cancel a waiting task", responses=openapi.CANCELED)
@router.post("/tasks/{task_id}/cancel/", include_in_schema=False)
async def cancel(request: Request, caller: Caller, parts: Here, task_id: str) -> Response:
    """Calls off a task that is still PENDING; any other answers UnsupportedOperation."""
    parts.limits.ask(caller.owner, "cancel")
    if not _TASK_ID.fullmatch(task_id):
        raise UnsupportedOperationError("There is no such task.")
    await in_thread(parts.queries, _cancel, parts, caller, task_id)
    parts.wake()  # its end is an event
    return envelope.answer(request, {})


def _cancel(parts: Parts, caller: Identity, task_id: str) -> None:
    if canceled := parts.tasks.cancel(caller.owner, task_id):
        parts.telemetry.file_ended("canceled", files=canceled)
        return
    task = parts.tasks.get(caller.owner, task_id)
    raise UnsupportedOperationError(f"It is {task.status.value}." if task else "There is no such task.")


@dataclass(frozen=True, slots=True)
class Listing:
    """The query of a list call, as it came: strings, so that what is wrong is refused in the service's envelope."""

    task_id: Annotated[str, Query()] = ""
    start_time: Annotated[str, Query(description="YYYYMMDDhhmmss; at most 24 h before end_time.")] = ""
    end_time: Annotated[str, Query(description="YYYYMMDDhhmmss")] = ""
    model_name: Annotated[str, Query()] = ""
    status: Annotated[str, Query(description=", ".join(_STATUSES))] = ""
    api_key_id: Annotated[str, Query(description="Tasks submitted with this key.")] = ""
    page_no: Annotated[str, Query(description="From 1.")] = ""
    page_size: Annotated[str, Query(description=f"1 to {MAX_PAGE_SIZE}; default 10.")] = ""


@router.get("/tasks", summary="List tasks", responses=openapi.LISTED)
@router.get("/tasks/", include_in_schema=False)
async def list_tasks(request: Request, caller: Caller, parts: Here, listing: Annotated[Listing, Depends()]) -> Response:
    """The caller's tasks of the last 24 hours or of another day, the newest first."""
    parts.limits.ask(caller.owner, "list")
    teller = _teller(request, parts)
    start, end = _stretch(listing.start_time, listing.end_time, teller.zone)
    page_no = number("page_no", listing.page_no, 1, 1, 10**9)
    page_size = number("page_size", listing.page_size, 10, 1, MAX_PAGE_SIZE)
    if listing.status and listing.status not in _STATUSES:
        raise refusal("status", listing.status, f"give one of {', '.join(_STATUSES)}")
    total, tasks = 0, tuple[Task, ...]()
    if not listing.status or listing.status in set(Status):
        total, tasks = await in_thread(
            parts.queries,
            parts.tasks.list,
            caller.owner,
            start=start,
            end=end + LAST_SECOND,
            task_id=listing.task_id,
            model=listing.model_name,
            status=Status(listing.status) if listing.status else None,
            key_id=listing.api_key_id,
            page_no=page_no,
            page_size=page_size,
        )
    paging = {"total": total, "total_page": -(-total // page_size), "page_no": page_no, "page_size": page_size}
    # The documented member is ``data``; the newest official client reads ``tasks``.
    listed = {"data": [teller.entry(task) for task in tasks], "tasks": [teller.brief(task) for task in tasks]}
    return envelope.answer(request, paging | listed)


def _teller(request: Request, parts: Parts) -> Teller:
    base_url = envelope.base_url(request, parts.settings.public_url)
    return Teller(ZoneInfo(parts.settings.time_zone), base_url, parts.secret)


def _stretch(start: str, end: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The times of submission to list, both included: the last 24 h, or what is given, completed to 24 h."""
    first = _instant("start_time", start, zone)
    last = _instant("end_time", end, zone)
    if first is None:
        last = last or datetime.now(UTC)
        return last - DAY, last
    last = first + DAY if last is None else last
    if not timedelta(0) <= last - first <= DAY:
        raise InvalidParameterError(
            f"start_time {start} and end_time {end}: the end must be 0 to 24 hours after the start.", "end_time"
        )
    return first, last


def _instant(name: str, value: str, zone: ZoneInfo) -> datetime | None:
    if not value:
        return None
    allowed = "give YYYYMMDDhhmmss, such as 20260601120000"
    if not re.fullmatch(r"(19[7-9]|2[0-9]{2})[0-9]{11}", value):
        raise refusal(name, value, allowed)
    try:
        return datetime.strptime(value, "%Y%m%d%H%M%S").replace(tzinfo=zone).astimezone(UTC)
    except ValueError as error:
        raise refusal(name, value, allowed) from error
