"""One record, one line: what a caller sends cannot pass for a line of the log."""

import json
import logging
import re
import sys

import pytest

from dashscribe import log_fields
from dashscribe.cli.logs import JsonLines, TextLines


def record(message: str, *arguments: object, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord(
        "dashscribe.files", logging.WARNING, __file__, 1, message, arguments, sys.exc_info() if error else None
    )


def test_text_line_tells_time_level_and_place() -> None:
    line = TextLines().format(record("fetched %s", "a.wav"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING dashscribe\.files: fetched a\.wav", line)


def test_line_break_in_a_message_does_not_begin_a_line() -> None:
    line = TextLines().format(record("fetched %s", "http://h/a\r\n2026-01-01T00:00:00.000Z INFO root: all is well"))
    assert "\n" not in line
    assert "\r" not in line


def test_json_line_holds_the_traceback() -> None:
    try:
        raise ValueError("中文\nbad")
    except ValueError:
        line = JsonLines().format(record("failed", error=True))
    assert "\n" not in line
    members = json.loads(line)
    assert members["message"] == "failed"
    assert members["level"] == "WARNING"
    assert "ValueError: 中文" in members["exception"]
    assert members["time"].endswith("Z")


def test_text_shows_the_traceback_below() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        assert TextLines().format(record("failed", error=True)).endswith("ValueError: bad")


def test_what_the_work_is_about_ends_a_text_line_and_is_members_of_a_json_line() -> None:
    with log_fields.about(request_id="r", owner=""), log_fields.about(task_id="t\nINFO all is well", file=0):
        assert (
            TextLines().format(record("failed")).endswith("failed [request_id=r task_id=t\\nINFO all is well file=0]")
        )
        members = json.loads(JsonLines().format(record("failed")))
    assert (members["request_id"], members["file"], "owner" in members) == ("r", 0, False)
    assert TextLines().format(record("failed")).endswith(": failed")


def test_what_was_added_inside_ends_with_the_block() -> None:
    with log_fields.about(request_id="r"):
        log_fields.add(owner="ann")
        assert log_fields.current() == {"request_id": "r", "owner": "ann"}
    assert log_fields.current() == {}


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_secrets_are_taken_out_of_messages_and_tracebacks(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("https://me:hidden99@h/a?Signature=hidden99")
    except ValueError:
        line = formatter.format(
            record("GET %s %s", "/a?token=hidden99", {"authorization": "Bearer hidden99"}, error=True)
        )
    assert "ValueError" in line
    assert "hidden" not in line
