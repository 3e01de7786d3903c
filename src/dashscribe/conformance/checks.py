"""The vocabulary of expectations: where to look in an exchange, and what must be there.

A field is a path such as ``body.output.results[*].file_url``: ``[*]`` is each of one or more elements, ``[0]`` and
``[-1]`` one of them, ``[]`` all of them that go on as the path does, as one list. What is expected is a value, which
must be equal, or an object of words from ``WORDS``, which must all hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

from dashscribe.errors import DashscribeError

#: Longest text of a field that is shown in a report, in characters.
SHOWN_CHARS = 160

_STEP = re.compile(r"[^.\[\]]+|\[[^\]]*\]")


class UnknownWordError(DashscribeError):
    """An expectation that uses a word which the vocabulary does not have."""


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


#: What is found where a path leads nowhere.
MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Finding:
    """One field of one answer, what was expected of it and what it was, as text for people."""

    step: int
    field: str
    expected: str
    got: str
    holds: bool


def examine(document: dict[str, Any], expectations: dict[str, Any], step: int) -> Iterator[Finding]:
    """Compare a document with what is expected of it: one finding per field, or per element that a field names."""
    for path, expected in expectations.items():
        findings = [
            Finding(step, where, shown_check(expected), shown(value), holds(expected, value, document))
            for where, value in find(document, path)
        ]
        failed = [finding for finding in findings if not finding.holds]
        # Of many elements that are as they should be one line says enough.
        yield from failed or findings[:1]


def find(document: Any, path: str) -> list[tuple[str, Any]]:
    """What lies at a path, each with its exact place; ``MISSING`` where something is not there."""
    return _walk(document, _STEP.findall(path), "")


def _walk(value: Any, steps: list[str], where: str) -> list[tuple[str, Any]]:
    if not steps:
        return [(where, value)]
    step, rest = steps[0], steps[1:]
    if not step.startswith("["):
        inner = cast("dict[str, Any]", value).get(step, MISSING) if isinstance(value, dict) else MISSING
        return _walk(inner, rest, f"{where}.{step}".lstrip(".")) if inner is not MISSING else [_lost(where, steps)]
    if not isinstance(value, list) or not value:
        return [_lost(where, steps)]
    items = cast("list[Any]", value)
    if step in ("[*]", "[]"):
        found = [place for i, item in enumerate(items) for place in _walk(item, rest, f"{where}[{i}]")]
        if step == "[*]":
            return found
        return [(where + _join(steps), [inner for _, inner in found if inner is not MISSING])]
    index = int(step[1:-1])
    if not -len(items) <= index < len(items):
        return [_lost(where, steps)]
    return _walk(items[index], rest, f"{where}{step}")


def _lost(where: str, steps: list[str]) -> tuple[str, Any]:
    return (where + _join(steps)).lstrip("."), MISSING


def _join(steps: list[str]) -> str:
    return "".join(step if step.startswith("[") else f".{step}" for step in steps)


def holds(expected: Any, value: Any, document: dict[str, Any]) -> bool:
    """Whether a value is as expected. Raises UnknownWordError."""
    if not isinstance(expected, dict):
        return _equal(value, expected)
    words = cast("dict[str, Any]", expected)
    for word in words:
        if word not in WORDS:
            raise UnknownWordError(f"{word!r} is no word of the vocabulary: {', '.join(WORDS)}")
    return all(
        (value is not MISSING or word in ("absent", "any")) and WORDS[word](value, argument, document)
        for word, argument in words.items()
    )


def shown(value: Any) -> str:
    """A value as JSON in one line of bounded length."""
    text = str(value) if value is MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def shown_check(expected: Any) -> str:
    """An expectation as people read it, in one line."""
    if not isinstance(expected, dict):
        return shown(expected)
    words = cast("dict[str, Any]", expected)
    if "any" in words:
        return " or ".join(shown_check(choice) for choice in words["any"])
    told = [word if argument is True else f"{word} {shown(argument)}" for word, argument in words.items()]
    return ", ".join(told).replace("_", " ")


# --- the words: what is there, the word's argument, the whole document ----------------------------------------------


def _equal(value: Any, expected: Any) -> bool:
    # True is 1 in Python and 1.0 is 1; on the wire they are different things.
    if value is MISSING or expected is MISSING:
        return False
    return json.dumps(value, sort_keys=True) == json.dumps(expected, sort_keys=True)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def _is_a(value: Any, names: Any, _: Any) -> bool:
    wanted = cast("list[str]", [names] if isinstance(names, str) else names)
    if isinstance(value, bool):  # which Python takes for an integer
        return "boolean" in wanted
    return any(isinstance(value, _KINDS[name]) for name in wanted)


def _matches(value: Any, pattern: Any, _: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL) is not None


def _in_range(value: Any, bounds: Any, _: Any) -> bool:
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _only(value: Any, names: Any, _: Any) -> bool:
    return isinstance(value, dict) and set(cast("dict[str, Any]", value)) <= set(names)


def _counts_from(value: Any, first: Any, _: Any) -> bool:
    return bool(value) and isinstance(value, list) and _equal(value, list(range(first, first + len(_items(value)))))


def _ascends(value: Any, _: Any, __: Any) -> bool:
    numbers = [item for item in _items(value) if isinstance(item, int | float)]
    return bool(numbers) and value == sorted(numbers)


def _grows(value: Any, _: Any, __: Any) -> bool:
    texts = [str(item) for item in _items(value)]
    return bool(texts) and all(later.startswith(earlier) for earlier, later in pairwise(texts))


def _joins(value: Any, whole: Any, _: Any) -> bool:
    return isinstance(value, list) and "".join(str(item) for item in _items(value)) == whole


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _no_null(value: Any, _: Any, document: Any) -> bool:
    if isinstance(value, dict):
        return all(_no_null(inner, True, document) for inner in cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return all(_no_null(inner, True, document) for inner in _items(value))
    return value is not None


#: Every word with what it does: (value, argument of the word, document) to whether it holds. A value that is missing
#: fails all but ``absent`` and ``any``. docs/conformance.md tells them with examples.
WORDS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "absent": lambda value, wanted, _: (value is MISSING) is wanted,
    "present": lambda value, wanted, _: (value is not MISSING) is wanted,
    "equals": lambda value, wanted, _: _equal(value, wanted),
    "type": _is_a,
    "one_of": lambda value, choices, _: any(_equal(value, choice) for choice in choices),
    "matches": _matches,
    "range": _in_range,
    "non_empty": lambda value, wanted, _: bool(value) is wanted,
    "length": lambda value, wanted, _: isinstance(value, list | str | dict) and len(cast("str", value)) == wanted,
    "only": _only,
    "no_null": _no_null,
    "same_as": lambda value, path, document: _equal(value, find(document, path)[0][1]),
    "counts_from": _counts_from,
    "ascends": _ascends,
    "grows": _grows,
    "joins": _joins,
    "any": lambda value, choices, document: any(holds(choice, value, document) for choice in choices),
}
