"""One record, one line: what a caller sends cannot pass for a line of the log."""

import json
import logging
import re
import sys

import pytest

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
