"""How the server logs: one line per record on stderr, for people or as JSON for collectors."""

from __future__ import annotations

import json
import logging
import time
from typing import Literal

from dashscribe.redact import redact

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
        """The record on one line: what a caller sent cannot pass for a line of ours."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """The record and its traceback, without what looks like a secret."""
        return redact(super().format(record))


class JsonLines(TextLines):
    """One JSON object per line: time, level, logger, message and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        members = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            members["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(members, ensure_ascii=False)
