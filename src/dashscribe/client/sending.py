"""Local files on their way to a server: in pieces that survive a broken connection where the server speaks tus.

Others, the cloud among them, get the form of the service, which begins anew after a break.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import httpx
from msgspec import Struct

from dashscribe.client.calls import TRIES, Calls, read
from dashscribe.errors.remote import ApiError, UnreachableError
from dashscribe.headers import number
from dashscribe.words import sendable

#: Where servers of ours take uploads in pieces, beside the base URL.
PATH = "/dashscribe/v1/uploads"
_TUS = {"Tus-Resumable": "1.0.0"}
#: Tries in a row that bring nothing: with their pauses longer than a server takes to notice that a connection is gone.
FRUITLESS_TRIES = 9
CHUNK_BYTES = 256 * 1024
#: Answers after which another try may help: somebody else is at it, another offset, too busy, a piece was damaged.
_PASSING = frozenset({409, 423, 429, 460})

OnBytes = Callable[[int, int], None]


class Credential(Struct, frozen=True, kw_only=True):
    """What the service's form is filled in with."""

    policy: str
    signature: str
    upload_dir: str
    upload_host: str
    oss_access_key_id: str
    x_oss_object_acl: str
    x_oss_forbid_overwrite: str


class _Answer(Struct, frozen=True):
    data: Credential


def send(calls: Calls, path: Path, model: str, on_bytes: OnBytes) -> str:
    """Upload a file: its oss:// URL. ``on_bytes(sent, total)`` is called with every piece."""
    server, name = calls.base_url.removesuffix("/api/v1"), sendable(path.name)
    with path.open("rb") as file:
        total = path.stat().st_size
        if _takes_pieces(calls, server):
            return _Pieces(calls, file, total, on_bytes).send(server + PATH, name, model)
        return calls.retrying(lambda: _send_form(calls, file, total, name, model, on_bytes), TRIES, _is_passing)


def _takes_pieces(calls: Calls, server: str) -> bool:
    """Whether the server answers as the protocol says; it is not told the key before that is known."""
    try:
        return "tus-resumable" in calls.call("OPTIONS", server + PATH, with_key=False).headers
    except ApiError:
        return False


class _Pieces:
    """One file on its way in pieces; every break costs only what was not yet on the server's disk."""

    def __init__(self, calls: Calls, file: BinaryIO, total: int, on_bytes: OnBytes) -> None:
        self._calls, self._file, self._total, self._on_bytes = calls, file, total, on_bytes

    def send(self, url: str, name: str, model: str) -> str:
        """Send all of it: the oss:// URL."""
        told = {"filename": name, "model": model}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items())
        announced = {**_TUS, "Upload-Length": str(self._total), "Upload-Metadata": metadata}
        # Announced twice, a file is expected twice; the server forgets the one that never comes.
        answer = self._calls.call("POST", url, headers=announced, repeatable=True)
        address, offset, fruitless, is_sure = answer.headers["location"], 0, 0, True
        while "dashscribe-upload-url" not in answer.headers:
            try:
                answer = self._send_from(address, offset) if is_sure else self._ask(address)
                is_sure = True
            except (ApiError, UnreachableError) as error:
                fruitless += 1
                if fruitless >= FRUITLESS_TRIES or not _is_passing(error):
                    raise
                self._calls.pause(fruitless)
                is_sure = False  # how much of it there is
                continue
            reached = _offset(answer)
            fruitless = 0 if reached > offset else fruitless
            offset = reached
        return unquote(answer.headers["dashscribe-upload-url"])

    def _ask(self, address: str) -> httpx.Response:
        """How much has come."""
        return self._calls.once("HEAD", address, headers=_TUS)

    def _send_from(self, address: str, offset: int) -> httpx.Response:
        headers = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(self._total - offset),
        }
        return self._calls.once("PATCH", address, headers=headers, content=self._read_from(offset))

    def _read_from(self, offset: int) -> Iterator[bytes]:
        self._file.seek(offset)
        while offset < self._total and (chunk := self._file.read(min(CHUNK_BYTES, self._total - offset))):
            yield chunk
            offset += len(chunk)
            self._on_bytes(offset, self._total)


def _offset(answer: httpx.Response) -> int:
    told = answer.headers.get("upload-offset", "")
    offset = number(told)
    if offset is None:
        raise ApiError(f"the server's answer names no offset of the upload: {told[:100]!r}")
    return offset


def _send_form(calls: Calls, file: BinaryIO, total: int, name: str, model: str, on_bytes: OnBytes) -> str:
    """Ask for a credential and send all of the file with it."""
    asked = calls.call("GET", "/uploads", params={"action": "getPolicy", "model": model}, repeatable=True)
    given = read(asked.content, _Answer).data
    key = f"{given.upload_dir}/{name}"
    form = {
        "OSSAccessKeyId": given.oss_access_key_id,
        "Signature": given.signature,
        "policy": given.policy,
        "key": key,
        "x-oss-object-acl": given.x_oss_object_acl,
        "x-oss-forbid-overwrite": given.x_oss_forbid_overwrite,
        "success_action_status": "200",
    }
    watched = _Watched(file, total, on_bytes)
    calls.once("POST", given.upload_host, with_key=False, data=form, files={"file": (name, watched)})
    return f"oss://{key}"


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, total: int, on_bytes: OnBytes) -> None:
        self._file, self._total, self._on_bytes = file, total, on_bytes
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self._on_bytes(self._file.tell(), self._total)
        return data


def _is_passing(error: BaseException) -> bool:
    """Whether another try may help."""
    if isinstance(error, ApiError):
        return error.http_status in _PASSING or error.http_status >= 500
    return isinstance(error, UnreachableError)
