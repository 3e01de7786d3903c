"""Counts how steps end, around them, so that none has to know that it is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from dashscribe.errors import EngineDownError, HostError
from dashscribe.errors.sources import SourceError
from dashscribe.queue.slots import PutBack, Stage
from dashscribe.telemetry import Telemetry

T = TypeVar("T")


def measured(telemetry: Telemetry, stage: Stage, step: Callable[[T], None]) -> Callable[[T], None]:
    """The same step, counted."""

    def run(row: T) -> None:
        begun_s = time.monotonic()
        try:
            step(row)
        except Exception as error:
            telemetry.step_ended(stage, outcome_of(error), time.monotonic() - begun_s)
            raise
        telemetry.step_ended(stage, "done", time.monotonic() - begun_s)

    return run


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
        case SQLAlchemyError() | OSError():
            return "machine"
        case _:
            return "other"
