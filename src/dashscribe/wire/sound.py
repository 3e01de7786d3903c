"""Hearing a recording: its sound by a signed URL, with ranges, and the peaks of its waveform.

Players send no key: the URL's signature is the permission, over all that it names. It stays the same for an hour, so
that a browser keeps what it has of a sound.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from dashscribe.errors import AccessDeniedError, DashscribeError, NotFoundError, NotReadyError
from dashscribe.files import prefix_of
from dashscribe.peaks import read_peaks
from dashscribe.recordings import read_id
from dashscribe.signed_urls import SOUND_STEP, sound_query, sound_signature
from dashscribe.sounds import COPY_TYPE, EXTENSIONS, Sound, Sounds
from dashscribe.wire import envelope, openapi_review
from dashscribe.wire.file_names import disposition, file_name
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of

#: A range as players ask for one. Several at once, or what is none, are answered with all (RFC 9110, section 14.2).
_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-[0-9]{1,15})")
_EXPIRES = re.compile(r"[0-9]{1,12}")

router = APIRouter(prefix="/dashscribe/v1", tags=["review"])
Here = Annotated[Parts, Depends(parts_of)]


async def sounds_of(request: Request) -> Sounds:
    """The sounds of the application that serves this request."""
    return request.app.state.sounds


Playing = Annotated[Sounds, Depends(sounds_of)]


@router.get("/recordings/{recording_id}/sound", summary="Where a recording is heard", responses=openapi_review.SOUND)
async def where(caller: Caller, request: Request, parts: Here, sounds: Playing, recording_id: str) -> Response:
    """The path and query of a URL for players, and whether it plays now or a copy for browsers is being made."""
    task_id, number = read_id(recording_id)
    told = await in_thread(parts.blobs, about_sound, parts, sounds, caller.owner, task_id, number)
    return envelope.answer(request, told)


def about_sound(parts: Parts, sounds: Sounds, owner: str, task_id: str, number: int) -> dict[str, Any]:
    """What a page has to know to play a recording of the owner's; a copy that is needed is begun.

    ``url`` is a path of this server, so that it leads through whatever a page came through. Raises NotFoundError where
    there is no sound.
    """
    source = sounds.source(task_id, number, owner)
    query = sound_query(parts.secret, task_id, number, datetime.now(UTC))
    told: dict[str, Any] = {"url": f"/dashscribe/v1/sound/{task_id}.{number}?{query}", "ready": True}
    try:
        return told | {"type": sounds.sound(source).media_type}
    except NotReadyError as error:
        return told | {"type": COPY_TYPE, "ready": False, "retry_after_s": error.retry_after_s}
    except FileNotFoundError as error:
        raise _gone() from error
    except DashscribeError as error:  # the copy cannot be made; all else about the recording is as good as before
        return told | {"type": COPY_TYPE, "ready": False, "message": error.message}


@router.head("/sound/{recording_id}", include_in_schema=False)
@router.get("/sound/{recording_id}", summary="The sound of a recording", responses=openapi_review.SOUND_BYTES)
async def play(
    request: Request,
    parts: Here,
    sounds: Playing,
    recording_id: str,
    expires: Annotated[str, Query(alias="Expires")] = "",
    given: Annotated[str, Query(alias="Signature")] = "",
) -> Response:
    """Bytes that browsers play, all or a range. No key is needed: the signature is the permission."""
    task_id, number = read_id(recording_id)
    if not _EXPIRES.fullmatch(expires):
        raise AccessDeniedError("The URL is not signed.")
    wanted = sound_signature(parts.secret, task_id, number, int(expires))
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise AccessDeniedError("The signature does not belong to this URL.")
    if int(expires) < time.time():
        raise AccessDeniedError("The URL has expired: ask for the recording again.")
    response = await in_thread(parts.blobs, _open, parts, sounds, task_id, number)
    status = _condition(request.headers, response.headers["etag"])
    if status == 200:
        return response
    response.close()
    return Response(None, status, {name: response.headers[name] for name in ("etag", "cache-control")})


def _condition(asked: Headers, tag: str) -> int:
    """What a call's conditions make of it: 200, 304 for who has it, 412 for who wants another (RFC 9110, 13.2.2).

    Not ``If-Range``, which is a matter of the range.
    """
    wanted, known = (asked.get(name) for name in ("if-match", "if-none-match"))
    if wanted is not None and not {"*", tag}.intersection(map(str.strip, wanted.split(","))):
        return 412
    # One that somebody on the way made weak is as good here.
    if known is not None and {"*", tag, f"W/{tag}"}.intersection(map(str.strip, known.split(","))):
        return 304
    return 200


def _is_one_range(header: str) -> bool:
    found = _RANGE.fullmatch(header)
    return found is not None and not (found[1] and found[2] and int(found[2]) < int(found[1]))


class _Held(FileResponse):
    """A blob as a local file, which stays for as long as it is being sent."""

    def __init__(self, parts: Parts, sound: Sound, name: str) -> None:
        self._stack = ExitStack()
        path = self._stack.enter_context(parts.store.path(sound.key))
        headers = {
            # Blobs are never changed under their keys, but for a copy that is made again, of the same sound.
            "etag": f'"{hashlib.sha256(sound.key.encode()).hexdigest()[:32]}"',
            # A player shows it; who saves it gets it under the recording's name.
            "content-disposition": disposition(f"{file_name(name)}.{EXTENSIONS[sound.media_type]}", inline=True),
            "cache-control": f"private, max-age={int(SOUND_STEP.total_seconds())}",
        }
        super().__init__(path, headers=headers, media_type=sound.media_type, stat_result=path.stat())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or the range that is asked for."""
        headers = Headers(scope=scope)
        if not _is_one_range(headers.get("range", "")):
            others = [(name, value) for name, value in headers.raw if name != b"range"]
            scope = {**scope, "headers": others}
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()


def _open(parts: Parts, sounds: Sounds, task_id: str, number: int) -> _Held:
    try:
        source = sounds.source(task_id, number)
        return _Held(parts, sounds.sound(source), source.name)
    except FileNotFoundError as error:
        raise _gone() from error


def _gone() -> NotFoundError:
    return NotFoundError("The recording's sound is missing from the store.")


@router.get("/recordings/{recording_id}/peaks", summary="The waveform of a recording", responses=openapi_review.PEAKS)
async def peaks(request: Request, caller: Caller, parts: Here, sounds: Playing, recording_id: str) -> Response:
    """How loud each channel is, 20 numbers a second, over the stretch that was recognized."""
    task_id, number = read_id(recording_id)
    told = await in_thread(parts.blobs, _peaks, parts, sounds, caller.owner, task_id, number)
    return envelope.answer(request, told)


def _peaks(parts: Parts, sounds: Sounds, owner: str, task_id: str, number: int) -> dict[str, Any]:
    sounds.source(task_id, number, owner)
    found = read_peaks(parts.store, prefix_of(task_id, number))
    if found is None:
        raise NotFoundError("There are no peaks: the recording was cut by a version that made none, or is not cut yet.")
    encoded = [msgspec.Raw(msgspec.json.encode(list(channel))) for channel in found.channels.values()]
    about = {"rate_hz": found.rate_hz, "begin_ms": found.begin_ms, "channel_numbers": list(found.channels)}
    return about | {"channels": encoded}
