"""Reads the cases: each is one documented call form with its source, its steps and what each answer must be like.

The data is checked while it is read, so that a misspelled member is an error and not an expectation that never counts.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

#: The file beside the cases that holds expectations which many of them share, by name.
GROUPS = "groups.json"


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One exchange: an HTTP request (``send``) or a call of an official client (``sdk``), and what must come back.

    ``send`` is a method and a path below the server's root, or a URL. ``key`` is the key to send where it is not the
    one that was given; empty sends none. ``form`` is sent as multipart/form-data with the clip as its last part.
    ``like`` names groups of expectations that count
    besides ``expect``, which has the last word on a field; ``save`` names fields that later steps of the case use as
    ``{name}``. ``cleans`` is a saved name whose thing the step deletes: it is taken even where an earlier one failed.
    """

    send: str = ""
    sdk: str = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    json: Any | UnsetType = UNSET
    text: str | None = None
    form: dict[str, str] | None = None
    until_ended: bool = False
    like: tuple[str, ...] = ()
    expect: dict[str, Any] = field(default_factory=dict[str, Any])
    save: dict[str, str] = field(default_factory=dict[str, str])
    cleans: str = ""


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call form; ``page`` and ``section`` say where the vendor documents it."""

    id: str
    title: str
    page: str
    section: str
    replay: Literal["http", "sse", "sdk"] = "http"
    steps: tuple[Step, ...]


def load(pattern: str = "*") -> list[Case]:
    """The cases that ship with the package whose id has, or matches, the pattern; in the order of the files."""
    folder = files("dashscribe.conformance").joinpath("cases")
    groups = msgspec.json.decode(folder.joinpath(GROUPS).read_bytes(), type=dict[str, dict[str, Any]])
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json") and entry.name != GROUPS)
    cases = [
        case
        for name in names
        for case in msgspec.json.decode(folder.joinpath(name).read_bytes(), type=tuple[Case, ...])
    ]
    return [_whole(case, groups) for case in cases if pattern in case.id or fnmatchcase(case.id, pattern)]


def _whole(case: Case, groups: dict[str, dict[str, Any]]) -> Case:
    """The case with the groups that its steps name written out."""
    steps = [
        replace(
            step, expect={**{path: check for name in step.like for path, check in groups[name].items()}, **step.expect}
        )
        for step in case.steps
    ]
    return replace(case, steps=tuple(steps))
