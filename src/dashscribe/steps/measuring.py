"""Counts how steps end, around them, and says what they are about, so that none has to know that it is watched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from dashscribe import log_fields
from dashscribe.db import is_trouble
from dashscribe.errors import EngineDownError, HostError
from dashscribe.errors.sources import SourceError
from dashscribe.files import ClaimedFile
from dashscribe.notify.deliveries import ClaimedDelivery
from dashscribe.queue.slots import PutBack, Stage
from dashscribe.redos import ClaimedRedo
from dashscribe.telemetry import Telemetry
from dashscribe.windows import ClaimedWindow

Row = TypeVar("Row", ClaimedFile, ClaimedWindow, ClaimedRedo, ClaimedDelivery)


def measured(telemetry: Telemetry, stage: Stage, step: Callable[[Row], None]) -> Callable[[Row], None]:
    """The same step, counted, logged with what it is about, and a span of the trace in which its task was submitted."""

    def run(row: Row) -> None:
        begun_s, fields = time.monotonic(), fields_of(row)
        attributes = {f"dashscribe.{name}": value for name, value in fields.items()}
        parent = row.file.traceparent if isinstance(row, ClaimedRedo) else row.traceparent
        with log_fields.about(**fields), telemetry.traces.span(stage, attributes, parent=parent) as tell:
            try:
                step(row)
            except Exception as error:
                outcome = outcome_of(error)
                telemetry.step_ended(stage, outcome, time.monotonic() - begun_s)
                tell({"dashscribe.outcome": outcome}, error=None if isinstance(error, PutBack) else error)
                raise
            tell({"dashscribe.outcome": "done"})
        telemetry.step_ended(stage, "done", time.monotonic() - begun_s)

    return run


def told(book: Callable[[Row, Exception], object]) -> Callable[[Row, Exception], object]:
    """The same decision about an error, logged with what it is about."""

    def run(row: Row, error: Exception) -> object:
        with log_fields.about(**fields_of(row)):
            return book(row, error)

    return run


def fields_of(row: ClaimedFile | ClaimedWindow | ClaimedRedo | ClaimedDelivery) -> dict[str, str | int]:
    """What the log and a span say that a step is about."""
    if isinstance(row, ClaimedDelivery):
        told = {"request_id": row.request_id, "task_id": row.task_id, "event": row.event_id, "target": row.target.id}
        return {name: value for name, value in told.items() if value}
    file = row.file if isinstance(row, ClaimedRedo) else row
    number = file.file_number if isinstance(file, ClaimedWindow) else file.number
    about: dict[str, str | int] = {"request_id": file.request_id, "owner": file.owner, "task_id": file.task_id}
    about["file"] = number
    if isinstance(row, ClaimedWindow):
        about |= {"window": f"{row.channel}-{row.number}", "engine": row.engine}
    elif isinstance(row, ClaimedRedo):
        about["redo"] = row.stage.value
    return about


def outcome_of(error: Exception) -> str:
    """What an error means for a step, in one of the words of the metric."""
    match error:
        case PutBack():
            return "put_back"
        case SourceError():
            return "source"
        case EngineDownError():
            return "engine_down"
        case HostError():
            return "host"
        case _ if isinstance(error, OSError) or is_trouble(error):
            return "machine"
        case _:
            return "other"
