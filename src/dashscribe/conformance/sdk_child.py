"""The program in which official clients run: reads calls from standard input, writes what they returned, a line each.

A call names a callable as ``module:Attribute.attribute``; a class on the way is made into an instance where the next
attribute belongs to instances. The clients keep address and key in module globals, which is why they live here.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any, cast

#: Seconds after which the openai client gives a call up; the parent ends this program at its own limit.
PATIENCE_S = 300.0


def main() -> None:
    """Answer every line until the input ends. What clients print goes to standard error."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            answers.write(json.dumps(_answer(json.loads(line)), default=str) + "\n")
            answers.flush()


def _answer(call: dict[str, Any]) -> dict[str, Any]:
    try:
        function = _find(call)
    except (ImportError, AttributeError) as error:
        return {"missing": f"{call['sdk']} does not exist in what is installed: {error}"}
    try:
        return {"result": _plain(function(**call["arguments"]))}
    except Exception as error:  # whatever a client raises is its answer
        return {"raised": {"type": type(error).__name__, "text": str(error), **_attributes(error)}}


def _find(call: dict[str, Any]) -> Any:
    """The callable, with the client it belongs to pointed at the server."""
    module_name, _, path = call["sdk"].partition(":")
    module = importlib.import_module(module_name)
    if module_name.startswith("dashscope"):
        dashscope = cast("Any", importlib.import_module("dashscope"))
        dashscope.base_http_api_url, dashscope.api_key = call["native_url"], call["key"]
    made = {
        "OpenAI": {
            "base_url": call["openai_url"],
            "api_key": call["key"],
            "max_retries": 0,
            "timeout": PATIENCE_S,
        },
        "Client": {"base_url": call["native_url"], "api_key": call["key"]},
    }
    found: Any = module
    for name in path.split("."):
        if inspect.isclass(found) and not isinstance(inspect.getattr_static(found, name), staticmethod | classmethod):
            found = found(**made.get(found.__name__, {}))
        found = getattr(found, name)
    return found


def _attributes(error: Exception) -> dict[str, Any]:
    """What the clients' errors carry, under the names that they give it."""
    names = ("status_code", "code", "message", "request_id", "_status_code", "_code", "_error_message")
    return {name.lstrip("_"): _plain(getattr(error, name)) for name in names if hasattr(error, name)}


def _plain(value: Any) -> Any:
    """A client's answer as JSON holds it: streams as lists; models, dictionaries and other objects as objects."""
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return int(value)  # HTTPStatus among them
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in cast("dict[Any, Any]", value).items()}
    if hasattr(value, "__iter__"):
        return [_plain(inner) for inner in cast("Iterable[Any]", value)]
    return {name: _plain(inner) for name, inner in cast("dict[str, Any]", vars(value)).items()}


if __name__ == "__main__":
    main()
