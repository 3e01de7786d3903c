"""What the work at hand is about: request, task, file, owner. Kept per coroutine and thread; every log line tells it.

A context variable of the standard library does it: it goes along into coroutines and, where a context is copied, into
threads, and whoever logs need not know of it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

#: A name is that of a member of the JSON line; empty values are left out.
Fields = Mapping[str, str | int]

_fields: ContextVar[Fields] = ContextVar("log_fields", default={})  # noqa: B039 (never changed, only replaced)


def current() -> Fields:
    """What is known of the work that the caller is at."""
    return _fields.get()


def add(**fields: str | int) -> None:
    """Tell this, too, until the block that ``about`` opened ends."""
    _fields.set({**_fields.get(), **{name: value for name, value in fields.items() if value != ""}})


@contextmanager
def about(**fields: str | int) -> Generator[None]:
    """Tell this with every line that is logged inside."""
    before = _fields.set(_fields.get())
    add(**fields)
    try:
        yield
    finally:
        _fields.reset(before)
