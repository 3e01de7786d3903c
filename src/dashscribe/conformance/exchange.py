"""One HTTP exchange as a document that expectations can look into: status, headers, body, and the lines of a stream.

A stream is read as bytes and split here, not by a library, because half of what matters about it is spelling: an event
that a lenient reader accepts may be one that the official clients do not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def open_client(root: str, limit_s: float) -> httpx.Client:
    """A client for a server; a proxy of the environment is no way to this machine itself."""
    return httpx.Client(base_url=root, timeout=limit_s, trust_env=not is_loopback(root))


def exchange(
    http: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    form: Mapping[str, str] | None = None,
    file: tuple[str, bytes, str] | None = None,
    limit_s: float,
) -> dict[str, Any]:
    """Send a request and read its whole answer. Raises httpx.HTTPError, and TimeoutError after ``limit_s`` in all."""
    deadline = time.monotonic() + limit_s
    parts = {"file": file} if file else None
    with http.stream(method, url, headers=headers, content=content, data=form, files=parts) as response:
        received = bytearray()
        for chunk in response.iter_bytes():
            received += chunk
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer is not complete after {limit_s:g} s")
    text = received.decode("utf-8", errors="replace")
    document: dict[str, Any] = {
        "status": response.status_code,
        "headers": {name.lower(): value for name, value in response.headers.items()},
        "text": text,
    }
    if "text/event-stream" in response.headers.get("content-type", ""):
        return document | read_stream(text)
    try:
        return document | {"body": json.loads(text)}
    except ValueError:
        return document


def read_stream(text: str) -> dict[str, Any]:
    """The lines of an event stream, its events by id and name, and their data: objects, or texts that are no JSON."""
    lines = text.rstrip("\n").replace("\r\n", "\n").split("\n")
    events: list[dict[str, Any]] = []
    data: list[Any] = []
    for block in "\n".join(lines).split("\n\n"):
        fields = dict(_field(line) for line in block.split("\n") if line and not line.startswith(":"))
        if not fields:
            continue  # a heartbeat
        number = fields.get("id", "")
        events.append(fields | ({"id": int(number)} if number.isdecimal() else {}))
        data.append(_parsed(fields.get("data", "")))
    return {"lines": lines, "events": events, "data": data}


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
