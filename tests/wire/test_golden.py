"""Replays the golden exchanges: what is sent, what must come back, and which document says so.

A file has steps. In what is expected, text after ``~`` is a regular expression whose named groups later steps use as
``${name}``; ``#int`` and ``#text`` are types; objects hold exactly the members named, and those under ``...`` if they
like; ``["*", x]`` is one or more of x. A request marked ``until_ended`` is sent until its task has ended.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from wire_origin import Origin
from wire_servers import Server, assert_no_null, poll

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.json"))


def filled(value: Any, names: dict[str, str], *, escaped: bool = False) -> Any:
    """The value with ``${name}`` replaced in all its texts, fit for a regular expression where the text is one."""
    if isinstance(value, str):
        pattern = escaped and value.startswith("~")
        return re.sub(r"\$\{(\w+)\}", lambda found: re.escape(names[found[1]]) if pattern else names[found[1]], value)
    if isinstance(value, dict):
        return {name: filled(inner, names, escaped=escaped) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, names, escaped=escaped) for inner in value]
    return value


def match(expected: Any, actual: Any, names: dict[str, str], where: str) -> None:
    """Assert that ``actual`` is as expected and keep what named groups found."""
    if isinstance(expected, dict):
        match_object(expected, actual, names, where)
    elif isinstance(expected, list):
        match_list(expected, actual, names, where)
    elif expected == "#int":
        assert type(actual) is int, where
        assert actual >= 0, where
    elif expected == "#text":
        assert isinstance(actual, str), where
    elif isinstance(expected, str) and expected.startswith("~"):
        found = re.fullmatch(expected[1:], actual)
        assert found, f"{where}: {actual!r} is not {expected}"
        names |= {name: text for name, text in found.groupdict().items() if text is not None}
    else:
        assert type(actual) is type(expected), where
        assert actual == expected, where


def match_object(expected: dict[str, Any], actual: Any, names: dict[str, str], where: str) -> None:
    assert isinstance(actual, dict), where
    allowed = set(expected.get("...", ()))
    wanted = {name: inner for name, inner in expected.items() if name != "..."}
    assert set(actual) - allowed == set(wanted), f"{where} has the members {sorted(actual)}"
    for name, inner in wanted.items():
        match(inner, actual[name], names, f"{where}.{name}")


def match_list(expected: list[Any], actual: Any, names: dict[str, str], where: str) -> None:
    assert isinstance(actual, list), where
    if expected[:1] == ["*"]:
        assert actual, f"{where} is empty"
        expected = [expected[1]] * len(actual)
    assert len(actual) == len(expected), where
    for index, (inner, item) in enumerate(zip(expected, actual, strict=True)):
        match(inner, item, names, f"{where}[{index}]")


def send(http: httpx.Client, request: dict[str, Any]) -> httpx.Response:
    content = {"json": request["body"]} if "body" in request else {"content": request.get("text")}
    return http.request(request["method"], request["path"], headers=request.get("headers"), **content)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_exchange(path: Path, server: Server, origin: Origin):
    golden = json.loads(path.read_text(encoding="utf-8"))
    assert set(golden["source"]) == {"document", "section", "date"}
    names = {"origin": origin.url}
    with server.http() as http:
        for step in golden["steps"]:
            request = filled(step["request"], names)
            if step.get("until_ended"):
                poll(lambda request=request: send(http, request).json())
            response = send(http, request)
            expected = filled(step["response"], names, escaped=True)
            assert response.status_code == expected["status"], response.text
            for name, value in expected["headers"].items():
                match(value, response.headers.get(name, ""), names, name)
            if "text" in expected:
                match(expected["text"], response.text, names, "text")
            else:
                if not request["path"].startswith("/compatible-mode/"):  # OpenAI's shapes have nulls
                    assert_no_null(response.json())
                match(expected["body"], response.json(), names, "$")


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "...": ["b"]}, {"a": 1, "c": 2}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ("~a.", "abc"),
        ("#int", True),
        ("#int", "1"),
        ("#text", 1),
        (1, True),
        (["*", 1], []),
        (["*", "#int"], [1, "x"]),
        ([1], [1, 1]),
        (None, 0),
    ],
)
def test_the_matcher_notices_differences(expected: Any, actual: Any):
    with pytest.raises(AssertionError):
        match(expected, actual, {}, "$")
