"""The vocabulary of expectations: what holds, what does not, and where it is looked for."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from dashscribe.conformance.checks import MISSING, UnknownWordError, examine, find, holds, shown, shown_check
from dashscribe.conformance.exchange import read_stream
from dashscribe.conformance.replay import CannotRunError, server_root
from dashscribe.conformance.sdk import SdkProcess

DOCUMENT = {"body": {"list": [{"id": 1, "text": "a"}, {"id": 2, "text": "ab"}, {"text": "abc"}], "empty": []}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("body.list[0].id", [("body.list[0].id", 1)]),
        ("body.list[-1].text", [("body.list[-1].text", "abc")]),
        ("body.list[9].text", [("body.list[9].text", MISSING)]),
        ("body.list[].id", [("body.list[].id", [1, 2])]),
        ("body.list[].none", [("body.list[].none", [])]),
        ("body.list[*].id", [("body.list[0].id", 1), ("body.list[1].id", 2), ("body.list[2].id", MISSING)]),
        ("body.empty[*].id", [("body.empty[*].id", MISSING)]),
        ("body.none.id", [("body.none.id", MISSING)]),
        ("body.list.id", [("body.list.id", MISSING)]),
        ("body.empty", [("body.empty", [])]),
    ],
)
def test_a_path_leads_to_fields(path: str, found: list[tuple[str, Any]]):
    assert find(DOCUMENT, path) == found


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (1, 1, True),
        (1, True, False),
        (1, 1.0, False),
        ("1", 1, False),
        ([], [], True),
        (None, None, True),
        (None, MISSING, False),
        ({"equals": {"a": 1}}, {"a": 1}, True),
        ({"absent": True}, MISSING, True),
        ({"absent": True}, None, False),
        ({"present": True}, None, True),
        ({"present": True}, MISSING, False),
        ({"type": "integer"}, 1, True),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 1.5, False),
        ({"type": "number"}, 1.5, True),
        ({"type": "boolean"}, False, True),
        ({"type": ["string", "null"]}, None, True),
        ({"type": "object"}, [], False),
        ({"one_of": ["a", "b"]}, "b", True),
        ({"one_of": [1]}, True, False),
        ({"matches": "a+"}, "aa", True),
        ({"matches": "a+"}, "aab", False),
        ({"matches": "1"}, 1, False),
        ({"matches": "a.b"}, "a\nb", True),
        ({"range": [1, None]}, 1, True),
        ({"range": [1, 2]}, 3, False),
        ({"range": [0, 2]}, True, False),
        ({"range": [0, 2]}, "1", False),
        ({"non_empty": True}, "", False),
        ({"non_empty": True}, ["a"], True),
        ({"non_empty": False}, "", True),
        ({"length": 2}, [1, 2], True),
        ({"length": 2}, 2, False),
        ({"only": ["a", "b"]}, {"a": 1}, True),
        ({"only": ["a", "b"]}, {"c": 1}, False),
        ({"no_null": True}, {"a": [{"b": 1}]}, True),
        ({"no_null": True}, {"a": [{"b": None}]}, False),
        ({"same_as": "body.list[0].id"}, 1, True),
        ({"same_as": "body.list[1].id"}, 1, False),
        ({"same_as": "body.none"}, 1, False),
        ({"counts_from": 1}, [1, 2, 3], True),
        ({"counts_from": 1}, [0, 1, 2], False),
        ({"counts_from": 1}, [], False),
        ({"ascends": True}, [1, 1, 5], True),
        ({"ascends": True}, [2, 1], False),
        ({"ascends": True}, [], False),
        ({"ascends": True}, [1, None, "x"], False),
        ({"grows": True}, ["a", "ab", "abc"], True),
        ({"grows": True}, ["a", "b"], False),
        ({"grows": True}, [], False),
        ({"joins": "abc"}, ["a", "", "bc"], True),
        ({"joins": "abc"}, ["a", "abc"], False),
        ({"any": [{"absent": True}, 5]}, MISSING, True),
        ({"any": [{"absent": True}, 5]}, 5, True),
        ({"any": [{"absent": True}, 5]}, 6, False),
        ({"type": "integer", "range": [1, 2]}, 2.0, False),
        ({"type": "string"}, MISSING, False),
    ],
)
def test_a_word_holds_or_not(check: Any, value: Any, expected: bool):
    assert holds(check, value, DOCUMENT) is expected


def test_an_unknown_word_is_an_error_not_a_pass():
    with pytest.raises(UnknownWordError, match="matchs"):
        holds({"matchs": "a"}, "a", {})


def test_each_element_that_differs_is_named():
    findings = list(
        examine(DOCUMENT, {"body.list[*].id": {"type": "integer"}, "body.list[*].text": {"matches": "a.*"}}, 3)
    )
    assert [(f.step, f.field, f.holds) for f in findings] == [
        (3, "body.list[2].id", False),
        (3, "body.list[0].text", True),
    ]
    assert findings[0].got == "nothing"


def test_what_is_shown_is_bounded():
    assert len(shown("x" * 10_000)) < 200
    assert shown_check({"any": [{"absent": True}, {"range": [1, None]}]}) == "absent or range [1, null]"


def test_a_stream_is_read_leniently_and_kept_as_it_came():
    read = read_stream('id:1\nevent: result\n:HTTP_STATUS/200\ndata:{"a":1}\n\n:keep-alive\n\ndata: [DONE]\n\n')
    assert read["lines"][1] == "event: result"
    assert [event.get("id") for event in read["events"]] == [1, None]
    assert read["data"] == [{"a": 1}, "[DONE]"]


@pytest.mark.parametrize(
    "base_url",
    [
        "https://asr.example.org",
        "https://asr.example.org/",
        "https://asr.example.org/api/v1/",
        "https://asr.example.org/compatible-mode/v1",
        "https://asr.example.org/v1",
    ],
)
def test_a_base_url_of_any_client_names_the_server(base_url: str):
    assert server_root(base_url) == "https://asr.example.org"


@pytest.mark.parametrize("base_url", ["asr.example.org", "ftp://asr.example.org", "http://", ""])
def test_no_url_cannot_be_run(base_url: str):
    with pytest.raises(CannotRunError):
        server_root(base_url)


def test_a_client_that_is_not_installed_is_named():
    answer = SdkProcess("http://127.0.0.1").call("nosuchclient:A.b", {}, key="", limit_s=5)
    assert "nosuchclient is not installed" in answer["missing"]


def test_a_client_without_that_call_is_named():
    sdk = SdkProcess("http://127.0.0.1")
    assert "nothing" in sdk.call("json:nothing", {}, key="", limit_s=20)["missing"]
    sdk.close()


def test_a_client_that_hangs_is_ended_and_the_next_call_works():
    sdk = SdkProcess("http://127.0.0.1")
    threads = threading.active_count()
    with pytest.raises(TimeoutError):
        sdk.call("threading:Event.wait", {"timeout": 60}, key="", limit_s=1)
    assert sdk.call("json:dumps", {"obj": [1]}, key="", limit_s=20) == {"result": "[1]"}
    assert "raised" in sdk.call("json:loads", {"s": "{"}, key="", limit_s=20)
    sdk.close()
    deadline = time.monotonic() + 20
    while threading.active_count() > threads + 1:  # those that waited for the client end by themselves
        assert time.monotonic() < deadline
        time.sleep(0.05)
