"""How the server logs: one line per record on stderr, for people or as JSON for collectors."""

from __future__ import annotations

import json
import logging
import time
from typing import Literal

from dashscribe import log_fields
from dashscribe.log_fields import Fields
from dashscribe.redact import redact

#: Who logs a line per request.
ACCESS = "dashscribe.wire.access"
#: Libraries that tell more than an operator wants to know.
_QUIET = ("uvicorn", "httpx", "httpcore", "alembic", "sqlalchemy")


def set_up(log_format: Literal["text", "json"]) -> None:
    """Send all records of level INFO and above to stderr; libraries speak from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class TextLines(logging.Formatter):
    """``2026-06-01T12:00:00.104Z INFO dashscribe.files: message``; a traceback follows on lines of its own."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is the library's)
        """The record on one line: what a caller sent cannot pass for a line of ours. What it is about comes last."""
        line = super().formatMessage(record)
        if about := " ".join(f"{name}={value}" for name, value in fields_of(record).items()):
            line += f" [{about}]"
        return line.replace("\r", "\\r").replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """The record and its traceback, without what looks like a secret."""
        return redact(super().format(record))


def fields_of(record: logging.LogRecord) -> Fields:
    """What a line in words says at its end: not what its own words have said."""
    told = ("method", "route", "status", "ms") if record.name == ACCESS else ()
    return {name: value for name, value in log_fields.current().items() if name not in told}


class JsonLines(TextLines):
    """One JSON object per line: time, level, logger, message, what it is about and, where there is one, the traceback.

    Of what it is about: request_id, owner, task_id, file (its number), window, engine, redo, event, target; of the line
    at a request's end also method, route, status and ms.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        members = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **log_fields.current(),
        }
        if record.exc_info:
            members["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(members, ensure_ascii=False)
