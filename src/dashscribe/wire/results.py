"""Result URLs: open to whoever holds one, signed, good for 24 hours after the task's end.

They look like the service's own, which lead to an object store: a query of Expires, OSSAccessKeyId and Signature, and
errors as that store's XML. The signature covers all that a URL names; its secret lies in the database. URLs are passed
on to people, so that they must not tell whose they are.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO

import anyio
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from dashscribe.signed_urls import pseudonym, result_url, signature
from dashscribe.wire import oss
from dashscribe.wire.oss import OssError
from dashscribe.wire.parts import Parts, in_thread, parts_of

_CHUNK_BYTES = 256 * 1024
_INDEX = re.compile(r"([0-9]{1,4})\.json")
_EXPIRES = re.compile(r"[0-9]{1,12}")

__all__ = ["pseudonym", "result_url", "router", "signature"]

router = APIRouter(tags=["results"])


@router.head("/results/{task_id}/{name}", include_in_schema=False)
@router.get(
    "/results/{task_id}/{name}",
    summary="Download a result",
    responses={200: {"description": "The result file"}, 403: {"description": "Expired or wrongly signed"}},
)
async def download(
    request: Request,
    parts: Annotated[Parts, Depends(parts_of)],
    task_id: str,
    name: str,
    expires: Annotated[str, Query(alias="Expires")] = "",
    access_key: Annotated[str, Query(alias="OSSAccessKeyId")] = "",
    given: Annotated[str, Query(alias="Signature")] = "",
) -> Response:
    """The stored result file, byte by byte. No key is needed: the signature is the permission."""
    index = _INDEX.fullmatch(name)
    if not index or not _EXPIRES.fullmatch(expires):
        return oss.refuse(request, OssError(403, "AccessDenied", "The URL is not signed."))
    wanted = signature(parts.secret, access_key, task_id, int(index[1]), int(expires))
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        return oss.refuse(request, OssError(403, "AccessDenied", "The signature does not belong to this URL."))
    if int(expires) < time.time():
        return oss.refuse(request, OssError(403, "AccessDenied", "Request has expired."))
    found = await _open(parts, task_id, int(index[1]))
    if found is None:
        return oss.refuse(request, OssError(404, "NoSuchKey", "The specified key does not exist."))
    file, size = found
    headers = {"content-length": str(size)}
    if request.method == "HEAD":
        await file.aclose()
        return Response(None, 200, headers, "application/json; charset=utf-8")
    return StreamingResponse(_chunks(file), 200, headers, "application/json; charset=utf-8")


async def _open(parts: Parts, task_id: str, index: int) -> tuple[anyio.AsyncFile[bytes], int] | None:
    """The stored result and its size in bytes, open before anything is answered: whole even if it is replaced then."""
    for _ in range(2):  # one that is replaced between the two steps lies under another key
        key = await in_thread(parts.queries, parts.tasks.result_key, task_id, index)
        if key is None:
            return None
        try:
            file = await in_thread(parts.blobs, _open_blob, parts, key)
        except FileNotFoundError:
            continue
        return anyio.wrap_file(file), os.fstat(file.fileno()).st_size
    return None


def _open_blob(parts: Parts, key: str) -> BinaryIO:
    with parts.store.path(key) as path:
        return path.open("rb")


async def _chunks(file: anyio.AsyncFile[bytes]) -> AsyncIterator[bytes]:
    """The blob in pieces, so that a long transcript is never in memory as a whole."""
    async with file:
        while chunk := await file.read(_CHUNK_BYTES):
            yield chunk
