"""A task as its callers see it, read from its row and those of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import RowMapping

from dashscribe.db import as_datetime
from dashscribe.db.tables import FileState, Status, status_of
from dashscribe.enrich import StageName
from dashscribe.notify.deliveries import Delivery
from dashscribe.types import FailedStage, Media, Options, Shape

#: States in which all of a file's speech is known.
_CUT = (FileState.RECOGNIZING, FileState.JOINING, FileState.FINISHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtask:
    """One file of a task. ``duration_ms`` is the sound that was worked on, summed over its channels.

    ``ledger`` gives milliseconds by fate where there is no result file to say so; ``progress`` is that of its speech.
    ``hidden``: its owner has deleted the recording.
    """

    index: int
    file_url: str
    status: Status
    engine: str = ""
    result_key: str | None = None
    code: str = ""
    message: str = ""
    duration_ms: int = 0
    media: Media | None = None
    notes: tuple[str, ...] = ()
    failed_stages: tuple[FailedStage, ...] = ()
    ledger: Mapping[str, int] | None = None
    redo: Redo | None = None
    progress: Progress | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """The stage of a file that was last asked to be done again; ``message`` says why it failed.

    ``progress`` counts sound where it has to be listened to again.
    """

    stage: StageName
    state: Status
    progress: Progress
    message: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is, in milliseconds of sound: recognized, and known so far."""

    done_ms: int
    total_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it stood at one moment.

    ``queue_position`` counts the tasks ahead of one that is PENDING, no further than ``MOST_AHEAD``.
    """

    id: str
    owner: str
    key_id: str
    request_id: str
    model: str
    shape: Shape
    options: Options
    notes: tuple[str, ...]
    status: Status
    submitted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    code: str = ""
    message: str = ""
    subtasks: tuple[Subtask, ...] = ()
    progress: Progress = Progress(0, 0)
    queue_position: int | None = None
    no_oss: bool = False
    retry_of: str = ""
    deliveries: tuple[Delivery, ...] = ()


def task_of(row: RowMapping, files: Sequence[RowMapping], ahead: int | None, told: tuple[Delivery, ...] = ()) -> Task:
    """A task from its row and those of its files, as ``with_redos`` gives them."""
    options = msgspec.json.decode(row["options"], type=Options)
    known = [_sound(file, len(options.channels)) for file in files]
    return Task(
        id=row["id"],
        owner=row["owner"],
        key_id=row["key_id"],
        request_id=row["request_id"],
        model=row["model"],
        shape=row["shape"],
        options=options,
        notes=msgspec.json.decode(row["notes"], type=tuple[str, ...]),
        status=row["status"],
        submitted_at=as_datetime(row["submitted_ms"]),
        started_at=None if row["started_ms"] is None else as_datetime(row["started_ms"]),
        ended_at=None if row["ended_ms"] is None else as_datetime(row["ended_ms"]),
        code=row["code"],
        message=row["message"],
        subtasks=tuple(_subtask(file, Progress(*sound)) for file, sound in zip(files, known, strict=True)),
        progress=Progress(sum(done for done, _ in known), sum(total for _, total in known)),
        queue_position=ahead,
        no_oss=row["no_oss"],
        retry_of=row["retry_of"],
        deliveries=told,
    )


def _subtask(row: RowMapping, progress: Progress) -> Subtask:
    return Subtask(
        index=row["number"],
        file_url=row["url"],
        status=status_of(row["state"]),
        engine=row["engine"],
        result_key=row["result_key"] or None,
        code=row["code"],
        message=row["message"],
        duration_ms=row["duration_ms"],
        media=msgspec.json.decode(row["media"], type=Media) if row["media"] else None,
        notes=msgspec.json.decode(row["notes"], type=tuple[str, ...]) if row["notes"] else (),
        failed_stages=_failed_stages(row["failed_stages"]),
        ledger=msgspec.json.decode(row["ledger"], type=dict[str, int]) if row["ledger"] else None,
        redo=_redo(row),
        progress=progress,
        hidden=row["hidden"],
    )


def _failed_stages(text: str) -> tuple[FailedStage, ...]:
    return msgspec.json.decode(text, type=tuple[FailedStage, ...]) if text else ()


def _redo(row: RowMapping) -> Redo | None:
    if row["redo_state"] is None:
        return None
    stage = StageName(row["redo_stage"])
    total_ms = row["speech_ms"] if stage is StageName.SPEAKERS else 0
    progress = Progress(min(row["redo_done_ms"], total_ms), total_ms)
    return Redo(stage=stage, state=row["redo_state"], progress=progress, message=row["redo_message"])


def _sound(row: RowMapping, channels: int) -> tuple[int, int]:
    """Milliseconds of one file that are recognized, and that are known to need it."""
    if row["state"] in (FileState.SUCCEEDED, FileState.FAILED):
        return row["speech_ms"], row["speech_ms"]
    if row["state"] in _CUT or not row["media"]:
        return row["recognized_ms"], row["speech_ms"]
    claimed_ms = msgspec.json.decode(row["media"], type=Media).duration_ms * channels
    return row["recognized_ms"], max(row["speech_ms"], claimed_ms)
