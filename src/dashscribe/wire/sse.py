"""Server-sent events by hand: the service's clients refuse what the standard allows, a space after ``event:`` first.

Owns the bytes of events and the life of a stream; what an event says is the route's matter. Every event is one line of
JSON (api-sync section 3.1).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

#: A comment, which every client skips: it keeps proxies and idle timers quiet.
HEARTBEAT = b":keep-alive\n\n"

#: Characters at which some clients cut lines; inside JSON strings, the only place where they can be, escapes will do.
_LINE_BREAKS = {char.encode(): f"\\u{ord(char):04x}".encode() for char in "\u2028\u2029\u0085"}


def one_line(members: Mapping[str, Any]) -> bytes:
    """JSON that no client takes for more than one line."""
    line = msgspec.json.encode(members)
    for char, escape in _LINE_BREAKS.items():
        line = line.replace(char, escape)
    return line


def result(number: int, members: Mapping[str, Any]) -> bytes:
    """Event ``number``, counted from 1, of a stream in the service's own form."""
    return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (number, one_line(members))


def failure(number: int, status: int, members: Mapping[str, Any]) -> bytes:
    """The event that ends a stream with an error; the Python client takes the status from the line of that name."""
    return b"id:%d\nevent:error\n:HTTP_STATUS/%d\nstatus:%d\ndata:%b\n\n" % (
        number,
        status,
        status,
        one_line(members),
    )


class EventStream(StreamingResponse):
    """An answer that is sent event by event. ``kept`` is closed, and so are the events, however the answer ends."""

    def __init__(self, events: AsyncGenerator[bytes], kept: ExitStack, headers: Mapping[str, str]) -> None:
        super().__init__(
            events,
            headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"},
            media_type="text/event-stream",
        )
        self._events, self._kept = events, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they or the client are gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._kept.close()
            await self._events.aclose()
