"""The one reader of request bodies: bounded in size and number while they are received, strict JSON, an object on top.

Routes get a plain dictionary or an error of the 4xx kind, whatever bytes came. The content type is not looked at: the
service's clients and curl users send several, and the bytes tell.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import IO, TypeAlias

import anyio
import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect

from dashscribe.errors import IllegalInputError, InvalidBodyError, TooLargeError
from dashscribe.wire.places import Places

#: A hundred URLs of the greatest length (params.MAX_URL_CHARS) fit four times over.
MAX_BODY_BYTES = 4 * 1024**2
#: A recording of 10 MB as base64, with the context that may come along.
MAX_RECORDING_BODY_BYTES = 16 * 1024**2
#: Bodies that say that they have no more than this take no place. The HTTP server reads as much ahead of any
#: connection, so that bounding them would save nothing; nearly every call is one of them. They cost no more time than
#: they did, and are never refused, however many slow ones come in.
SMALL_BYTES = 64 * 1024
#: Places for larger bodies, and for those that do not say how large they are; of one owner half as many. One of a JSON
#: route takes up to 4 MiB of memory, one of a submit 1 MiB of memory, or 16 MiB of disk.
LARGE_BODIES = 64
#: Objects and arrays inside each other; no documented body goes deeper than five.
MAX_DEPTH = 32
#: Commas that one body may have, those in texts included; without a bound, 16 MB of ``[]`` would become a gigabyte.
MAX_COMMAS = 200_000
#: Silence after which a connection counts as broken, in seconds, and the least that a longer one must bring on average:
#: who receives holds a turn, or a lock, that others wait for.
IDLE_S, LEAST_BYTES_PER_S = 30.0, 4096

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


async def receive(request: Request) -> bytes:
    """The body's bytes; a large one has a place until its request is answered, since it waits for threads as well.

    For routes that know their caller. Raises BusyError, and TooLargeError as soon as more than ``MAX_BODY_BYTES`` came.
    """
    request.state.held.enter_context(place(request, request.app.state.bodies, request.state.owner))
    with BytesIO() as body:
        await receive_into(request, body, MAX_BODY_BYTES)
        return body.getvalue()


def announced_bytes(request: Request, most: int) -> int:
    """How long a body says it is; ``most`` for one that says more, or nothing."""
    length = request.headers.get("content-length", "")
    # What is chunked has the length that its chunks have, whatever else it says.
    if "transfer-encoding" in request.headers or not (length.isdecimal() and len(length) < 20):
        return most
    return min(int(length), most)


def place(request: Request, places: Places, owner: str) -> AbstractContextManager[None]:
    """A place for a body, unless it is small; to be taken before any of it is asked for. Raises BusyError."""
    small = announced_bytes(request, SMALL_BYTES + 1) <= SMALL_BYTES
    return nullcontext() if small else places.take(owner)


async def pieces_of(request: Request) -> AsyncGenerator[bytes]:
    """The body as it comes, no piece empty; raises ClientDisconnect when it breaks off, or as good as does."""
    stream = request.stream()
    begun_s, received = time.monotonic(), 0
    while True:
        try:
            with anyio.fail_after(IDLE_S):
                piece = await anext(stream, None)
        except TimeoutError as error:
            raise ClientDisconnect from error
        if piece is None:
            return
        received += len(piece)
        if time.monotonic() - begun_s > IDLE_S + received / LEAST_BYTES_PER_S:
            raise ClientDisconnect
        if piece:
            yield piece


async def receive_into(request: Request, file: IO[bytes], max_bytes: int) -> None:
    """Append the body to ``file``. Raises TooLargeError as soon as more than ``max_bytes`` came."""
    async for piece in pieces_of(request):
        file.write(piece)
        if file.tell() > max_bytes:
            raise TooLargeError(f"The body is larger than {max_bytes} bytes.")


def parse_optional(body: bytes) -> dict[str, JSON]:
    """As ``parse_object``, of a call that needs no body: none is an object without members."""
    return parse_object(body) if body.strip() else {}


def parse_object(body: bytes) -> dict[str, JSON]:
    """The JSON object that the bytes hold; the last of equal keys counts, a byte order mark is skipped.

    Raises IllegalInputError for what is no JSON (NaN, lone surrogates and numbers beyond measure included) and
    InvalidBodyError for other encodings, for anything but an object on top, for nesting beyond ``MAX_DEPTH``, for more
    members than ``MAX_COMMAS`` can part and for NUL characters, which no database stores.
    """
    if body.count(b",") > MAX_COMMAS:
        raise InvalidBodyError(f"The body has more than {MAX_COMMAS} members, or commas in its texts.")
    try:
        value: JSON = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError as error:
        raise InvalidBodyError(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error
    except RecursionError as error:
        raise InvalidBodyError(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    except msgspec.DecodeError as error:
        raise IllegalInputError(f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidBodyError("The body must be a JSON object.")
    _inspect(value)
    return value


def _inspect(root: dict[str, JSON]) -> None:
    """Refuse what is nested too deep or holds NUL, in one walk that does not itself recurse."""
    level: list[JSON] = [root]
    depth = 0
    while level:
        depth += 1
        inner: list[JSON] = []
        for value in level:
            if isinstance(value, str):
                if "\0" in value:
                    raise InvalidBodyError("The body holds a NUL character (\\u0000).")
            elif isinstance(value, dict):
                inner.extend(value.keys())
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if depth > MAX_DEPTH and any(isinstance(value, dict | list) for value in level):
            raise InvalidBodyError(f"The body is nested deeper than {MAX_DEPTH} levels.")
        level = inner
