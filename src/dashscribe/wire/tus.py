"""Uploads that go on where they broke off: the tus protocol, version 1.0.0 (https://tus.io), on paths of our own.

Core, creation, creation-with-upload, expiration, termination, checksum. An upload's address holds its key, so that all
uploads can be looked at and removed here, also those that came as a form. An offset that is told is on disk.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from dashscribe.catalog import find_model
from dashscribe.errors import ConflictError, DashscribeError, InvalidParameterError, NotFoundError
from dashscribe.errors.sources import UploadGoneError
from dashscribe.headers import number
from dashscribe.uploads import Arrival, Receipt
from dashscribe.wire import envelope
from dashscribe.wire.body import pieces_of
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import refusal

PREFIX = "/dashscribe/v1/uploads"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
CHECKSUMS = ("sha1", "sha256", "md5")
PIECE = "application/offset+octet-stream"
MAX_PAGE_SIZE = 100


class VersionError(DashscribeError):
    """Another version of the protocol than ours, or none."""

    code, status, text = "InvalidParameter", 412, "The header Tus-Resumable must be 1.0.0."


class UploadTooLargeError(DashscribeError):
    """More bytes than the server takes, or than were announced."""

    code, status, text = "BadRequest.TooLarge", 413, "Payload Too Large."


class PieceTypeError(DashscribeError):
    """A piece of an upload that is not sent as one."""

    code, status, text = "InvalidParameter", 415, f"The header Content-Type must be {PIECE}."


class ChecksumError(DashscribeError):
    """A piece that is not what was sent."""

    code, status, text = "InvalidParameter", 460, "The checksum does not match: send the piece again."


class TusRoute(APIRoute):
    """Asks for the protocol's version and tells it in every answer, errors included."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler as the framework makes it, between the two headers."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                # A GET is no part of the protocol, an OPTIONS asks for it.
                if request.method not in ("GET", "OPTIONS") and request.headers.get("tus-resumable") != VERSION:
                    raise VersionError
                response = await handle(request)
            except DashscribeError as error:
                response = await envelope.refuse(request, error)
            response.headers["tus-resumable"] = VERSION
            if response.status_code == VersionError.status:
                response.headers["tus-version"] = VERSION
            return response

        return answer


router = APIRouter(prefix=PREFIX, tags=["uploads"], route_class=TusRoute)
Here = Annotated[Parts, Depends(parts_of)]
_RESUMABLE: dict[str, Any] = {
    "parameters": [
        {"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"type": "string", "enum": [VERSION]}}
    ]
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    404: {"description": "NotFound"},
    412: {"description": VersionError.text},
    423: {"description": "Conflict: another request adds to this upload"},
}


@router.options("", summary="What the server takes", status_code=204)
@router.options("/{key:path}", include_in_schema=False)
async def options(parts: Here) -> Response:
    """The protocol's version and extensions and the largest file, in headers. No key is needed."""
    headers = {
        "tus-version": VERSION,
        "tus-extension": EXTENSIONS,
        "tus-max-size": str(parts.settings.max_file_bytes),
        "tus-checksum-algorithm": ",".join(CHECKSUMS),
    }
    return Response(None, 204, headers)


@router.get("", summary="List uploads")
async def list_uploads(
    request: Request,
    caller: Caller,
    parts: Here,
    page_no: Annotated[int, Query(ge=1, le=10**6)] = 1,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 10,
) -> Response:
    """The caller's uploads, whole ones and those that can be resumed, the newest first."""
    parts.limits.ask(caller.owner, "list")
    total, page = await in_thread(
        parts.queries, parts.uploads.receipts, caller.owner, limit=page_size, offset=(page_no - 1) * page_size
    )
    paging = {"total": total, "page_no": page_no, "page_size": page_size}
    return envelope.answer(request, {**paging, "uploads": [_told(receipt) for receipt in page]})


@router.post(
    "",
    summary="Begin an upload",
    status_code=201,
    openapi_extra=_RESUMABLE,
    responses=_REFUSED | {413: {"description": "The file is larger than Tus-Max-Size"}},
)
@router.post("/", include_in_schema=False)
async def create(request: Request, caller: Caller, parts: Here) -> Response:
    """Announces a file by `Upload-Length` and `Upload-Metadata` (filename, model); its first bytes may come along."""
    parts.limits.ask(caller.owner, "upload")
    length = _count(request, "Upload-Length")
    most = parts.settings.max_file_bytes
    if length > most:
        raise UploadTooLargeError(f"The file has {length} bytes; the limit is {most} (DASHSCRIBE_MAX_FILE_BYTES).")
    metadata = _metadata(request.headers.get("upload-metadata", ""))
    model = metadata.get("model", "")
    if model:
        find_model(model)
    name = metadata.get("filename") or metadata.get("name", "")
    receipt = await in_thread(parts.blobs, parts.uploads.begin, caller.owner, name, length, model=model)
    if request.headers.get("content-type", "") == PIECE:
        receipt = await _add(request, parts, caller.owner, receipt.key, 0)
    base = envelope.base_url(request, parts.settings.public_url)
    return Response(None, 201, {"location": base + _address(receipt), **_progress(receipt)})


@router.head("/{key:path}", include_in_schema=False)
async def head(request: Request, caller: Caller, parts: Here, key: str) -> Response:
    """How many bytes are here, in `Upload-Offset`: where a client goes on."""
    del request
    receipt = await _receipt(parts, caller.owner, key)
    known = {"filename": receipt.name, "model": receipt.model}
    told = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in known.items() if value)
    return Response(None, 200, {**_progress(receipt), "upload-metadata": told, "cache-control": "no-store"})


@router.get("/{key:path}", summary="Look at an upload", responses={404: {"description": "NotFound"}})
async def look(request: Request, caller: Caller, parts: Here, key: str) -> Response:
    """The state of an upload as JSON, and the oss:// URL that tasks name it by once it is complete."""
    return envelope.answer(request, _told(await _receipt(parts, caller.owner, key)))


@router.patch(
    "/{key:path}",
    summary="Send a piece of an upload",
    status_code=204,
    openapi_extra=_RESUMABLE,
    responses=_REFUSED
    | {
        409: {"description": "Conflict: Upload-Offset is not where the upload stands"},
        415: {"description": PieceTypeError.text},
        460: {"description": ChecksumError.text},
    },
)
async def add(request: Request, caller: Caller, parts: Here, key: str) -> Response:
    """Adds the body (`application/offset+octet-stream`) to an upload, from `Upload-Offset` on.

    What came of a broken request counts, but for up to 64 KiB that were on their way when it broke.
    """
    if request.headers.get("content-type", "") != PIECE:
        raise PieceTypeError
    receipt = await _add(request, parts, caller.owner, key, _count(request, "Upload-Offset"))
    return Response(None, 204, _progress(receipt))


@router.delete(
    "/{key:path}",
    summary="Remove an upload",
    status_code=204,
    openapi_extra=_RESUMABLE,
    responses=_REFUSED | {409: {"description": "Conflict: a task that has not ended names it"}},
)
async def remove(request: Request, caller: Caller, parts: Here, key: str) -> Response:
    """Removes an upload, whole or not."""
    del request
    if not await in_thread(parts.blobs, parts.uploads.remove, caller.owner, key):
        raise NotFoundError("There is no such upload.")
    return Response(None, 204)


@router.post("/{key:path}", include_in_schema=False)
async def overridden(request: Request, caller: Caller, parts: Here, key: str) -> Response:
    """For clients whose proxy lets no other methods pass: the method is what X-HTTP-Method-Override says."""
    method = {"PATCH": add, "DELETE": remove, "HEAD": head}.get(request.headers.get("x-http-method-override", ""))
    if method is None:
        raise InvalidParameterError(
            "POST to an upload needs PATCH, DELETE or HEAD in this header.", "X-HTTP-Method-Override"
        )
    return await method(request, caller, parts, key)


# --- receiving ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Checksum:
    """What the sender says of a piece: algorithm and digest."""

    name: str
    digest: bytes


async def _add(request: Request, parts: Parts, owner: str, key: str, offset: int) -> Receipt:
    """Receive a piece, the upload's at ``offset``: how far the upload is then."""
    checksum = _checksum(request.headers.get("upload-checksum", ""))
    stack = ExitStack()
    try:
        arrival = await in_thread(parts.arriving, stack.enter_context, parts.uploads.resume(owner, key))
        if offset != arrival.offset:
            raise ConflictError(f"Upload-Offset is {offset}, the upload stands at {arrival.offset}.")
        announced = number(request.headers.get("content-length", ""))
        if announced is not None:
            _check_length(arrival, announced)
        await _receive(request, parts, arrival, checksum)
        await in_thread(parts.arriving, arrival.settle)
    except UploadGoneError as error:
        raise NotFoundError(error.detail) from error
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(parts.arriving, stack.close)
    return await _receipt(parts, owner, key)


async def _receive(request: Request, parts: Parts, arrival: Arrival, checksum: _Checksum | None) -> None:
    """Write the body to the upload; with a checksum all of it counts, or nothing."""
    digest = hashlib.new(checksum.name, usedforsecurity=False) if checksum else None
    try:
        async for chunk in pieces_of(request):
            _check_length(arrival, len(chunk))
            if digest:
                digest.update(chunk)
            await in_thread(parts.arriving, arrival.write, chunk, may_save=digest is None)
    except ClientDisconnect:
        if digest is None:
            await in_thread(parts.arriving, arrival.save)
        raise
    if checksum and digest and digest.digest() != checksum.digest:
        raise ChecksumError
    await in_thread(parts.arriving, arrival.save)


def _check_length(arrival: Arrival, more_bytes: int) -> None:
    if arrival.offset + more_bytes > arrival.receipt.length:
        raise UploadTooLargeError(f"The upload was announced with {arrival.receipt.length} bytes.")


# --- headers and what is told ---------------------------------------------------------------------------------------


def _count(request: Request, name: str) -> int:
    given = request.headers.get(name, "")
    if not (given.isascii() and given.isdecimal() and len(given) <= 15):
        raise refusal(name, given, "give a number of bytes")
    return int(given)


def _metadata(header: str) -> dict[str, str]:
    """The names and values that a client gives a file: ``name base64,name base64``."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except ValueError as error:  # of either
            raise refusal("Upload-Metadata", pair, "give each value as base64 of UTF-8") from error
    return found


def _checksum(header: str) -> _Checksum | None:
    if not header:
        return None
    name, _, value = header.partition(" ")
    if name not in CHECKSUMS:
        raise refusal("Upload-Checksum", header, f"give {', '.join(CHECKSUMS)}, a space, and the digest as base64")
    try:
        return _Checksum(name, base64.b64decode(value, validate=True))
    except ValueError as error:
        raise refusal("Upload-Checksum", header, "give the digest as base64") from error


async def _receipt(parts: Parts, owner: str, key: str) -> Receipt:
    receipt = await in_thread(parts.blobs, parts.uploads.receipt, owner, key)
    if receipt is None:
        raise NotFoundError("The owner of this API key has no such upload, or none any more.")
    return receipt


def _progress(receipt: Receipt) -> dict[str, str]:
    headers = {
        "upload-offset": str(receipt.received),
        "upload-length": str(receipt.length),
        "upload-expires": format_datetime(receipt.expires_at, usegmt=True),
    }
    if receipt.complete:  # escaped, since headers hold no Chinese; tasks take the URL either way
        headers["dashscribe-upload-url"] = quote(receipt.url, safe=":/")
    return headers


def _told(receipt: Receipt) -> dict[str, Any]:
    """An upload as JSON; ``url`` comes with the last byte."""
    told: dict[str, Any] = {
        "address": _address(receipt),
        "name": receipt.name,
        "size": receipt.length,
        "offset": receipt.received,
        "complete": receipt.complete,
        "expires_at": receipt.expires_at.isoformat(timespec="seconds"),
    }
    return {"url": receipt.url, **told} if receipt.complete else told


def _address(receipt: Receipt) -> str:
    return f"{PREFIX}/{quote(receipt.key)}"
