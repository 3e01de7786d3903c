"""Whether another task is accepted, and as what: the part that all calls share which make one.

It is while the disk has room and the queue is not longer than the operator wants. What is refused here is refused
before anything is kept of it, and can be sent again. A repeated call whose task exists already asks for nothing new: it
gets that task before anything is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from dashscribe.catalog import Model
from dashscribe.choice import choose_engine, lacks
from dashscribe.engines import EngineInfo
from dashscribe.errors import DiskLowError, QueueFullError
from dashscribe.keys import Identity
from dashscribe.submissions import Submission
from dashscribe.types import Options
from dashscribe.wire import envelope
from dashscribe.wire.params import Asked
from dashscribe.wire.parts import Parts

#: What a client is told to wait, in seconds: files end all the time, a disk is cleared once in a while.
QUEUE_RETRY_S, DISK_RETRY_S = 10, 60


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, the call's id, and what URLs begin with that its caller is told."""

    caller: Identity
    request_id: str
    base_url: str


def call_of(request: Request, caller: Identity, parts: Parts) -> Call:
    """What a request says of itself."""
    return Call(caller, envelope.request_id(request), envelope.base_url(request, parts.settings.public_url))


def engine_for(parts: Parts, model: Model, options: Options) -> EngineInfo:
    """The engine that a task would be recognized by now. Raises ModelNotFoundError."""
    down, among = parts.hosts.down(), parts.workers_engines()
    return choose_engine(model, options.languages, parts.settings, down, among)


def unheeded(engine: EngineInfo, model: Model, options: Options) -> list[str]:
    """Notes on what an engine cannot do of what is asked for."""
    return list(lacks(engine, options, asked_itn=not model.itn))


def submission(
    parts: Parts, call: Call, model: Model, asked: Asked, engine: EngineInfo, file_urls: tuple[str, ...]
) -> Submission:
    """What is asked of the task book; callers replace what else they know."""
    return Submission(
        owner=call.caller.owner,
        key_id=call.caller.key_id,
        request_id=call.request_id,
        model=model.name,
        shape=model.shape,
        options=asked.options,
        file_urls=file_urls,
        notes=(*asked.notes, *unheeded(engine, model, asked.options)),
        base_url=call.base_url,
        time_zone=parts.settings.time_zone,
        traceparent=parts.telemetry.traces.traceparent(),
    )


def admit(parts: Parts, caller: Identity, files: int) -> None:
    """Let in a task of so many files. Raises QuotaError, QueueFullError, DiskLowError.

    Tasks that come in at the same moment see the same queue, so that together they may go a little beyond its limit.
    """
    parts.keys.check_quota(caller)
    check_disk(parts)
    owner, settings = caller.owner, parts.settings
    for whose, limit, variable in (
        (owner, settings.max_owner_files, "DASHSCRIBE_MAX_OWNER_FILES"),
        ("", settings.max_queued_files, "DASHSCRIBE_MAX_QUEUED_FILES"),
    ):
        if limit and (queued := parts.tasks.open_files(whose)) + files > limit:
            of_whom = f"of owner {owner} " if whose else ""
            raise QueueFullError(
                f"{queued} files {of_whom}wait or are being worked on and {files} more came; the limit is {limit} "
                f"({variable}): wait until some have ended, or submit fewer at once.",
                QUEUE_RETRY_S,
            )


def check_disk(parts: Parts, more_bytes: int = 0) -> None:
    """Raise DiskLowError while the disk cannot take so many more bytes and keep its reserve."""
    room_bytes, reserve_bytes = parts.uploads.room_bytes(), parts.settings.disk_reserve_bytes
    if room_bytes < more_bytes:
        raise DiskLowError(
            f"{(room_bytes + reserve_bytes) // 1024**2} MiB of the server's disk are free, and "
            f"{reserve_bytes // 1024**2} MiB are kept free (DASHSCRIBE_DISK_RESERVE_BYTES): try again later.",
            DISK_RETRY_S,
        )
