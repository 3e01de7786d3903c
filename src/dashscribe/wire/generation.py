"""The synchronous interface: one recording in, its text out, in one answer or as a stream of events.

One URL serves two families of models whose requests and answers have nothing in common; the model's row decides.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.requests import ClientDisconnect

from dashscribe.choice import choose_engine
from dashscribe.engines import EngineInfo
from dashscribe.errors import AsynchronousCallError, DashscribeError, InvalidParameterError
from dashscribe.keys import Identity
from dashscribe.types import Sentence, Transcript
from dashscribe.wire import envelope, openapi, speech, sse
from dashscribe.wire.guard import Caller
from dashscribe.wire.messages import read_order
from dashscribe.wire.params import pin_hotwords
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.speech import Call
from dashscribe.wire.spoken import Teller, teller_for

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/api/v1", tags=["synchronous calls"])


@router.post(
    "/services/aigc/multimodal-generation/generation",
    summary="Transcribe one recording",
    openapi_extra={"requestBody": openapi.GENERATION_BODY},
    responses=openapi.GENERATED,
)
@router.post("/services/aigc/multimodal-generation/generation/", include_in_schema=False)
async def generate(
    request: Request,
    caller: Caller,
    parts: Annotated[Parts, Depends(parts_of)],
    x_dashscope_sse: Annotated[str, Header(description="`enable` for a stream of events.")] = "",
    x_dashscope_async: Annotated[str, Header(description="Must not be `enable`.")] = "",
    x_dashscope_encryptionkey: Annotated[str, Header(description="Not supported.")] = "",
) -> Response:
    """Waits for a turn and answers with the text; with the header X-DashScope-SSE, sentence by sentence."""
    if x_dashscope_async.strip().lower() == "enable":
        raise AsynchronousCallError("Leave the header X-DashScope-Async out; audio/asr/transcription takes tasks.")
    if x_dashscope_encryptionkey:
        raise InvalidParameterError("Bodies are taken as they are, over TLS.", "X-DashScope-EncryptionKey")
    is_stream = x_dashscope_sse.strip().lower() == "enable"
    with ExitStack() as kept:
        folder = await in_thread(parts.blobs, kept.enter_context, parts.uploads.folder())
        read = partial(_read, parts, caller, folder, is_stream)
        call, engine, teller = await speech.receive(request, parts, caller, folder, read)
        headers = {"x-dashscribe-engine": engine.name}
        if is_stream:
            items = await speech.begun(speech.stream(request, parts, call))
            return sse.EventStream(_events(request, items, teller), kept.pop_all(), headers)
        transcript = await speech.transcribe(request, parts, call)
        headers["x-dashscribe-engine"] = transcript.engine  # another one may have taken over
        return envelope.answer(request, teller.whole(transcript), headers=headers)


def _read(
    parts: Parts, caller: Identity, folder: Path, is_stream: bool, body: bytes
) -> tuple[Call, EngineInfo, Teller]:
    """What is to be done, who will do it, and who will tell of it."""
    order = read_order(body)
    asked = pin_hotwords(order.asked, caller.owner, parts.hotwords)
    engine = choose_engine(order.model, asked.options.languages, parts.settings, parts.hosts.down())
    notes = asked.notes
    if asked.incremental and not is_stream:
        notes = [*notes, "incremental_output had no effect: the header X-DashScope-SSE: enable is missing"]
    call = Call(
        caller=caller,
        model=order.model,
        options=asked.options,
        source=speech.find_source(order.audio, folder),
        notes=tuple(notes),
    )
    return call, engine, teller_for(order.model, asked.options, engine, incremental=asked.incremental)


async def _events(
    request: Request, items: AsyncGenerator[Sentence | Transcript | None], teller: Teller
) -> AsyncGenerator[bytes]:
    """The events of a stream, heartbeats among them; an error after the first of them is one, too."""
    number = 0
    about = {"request_id": envelope.request_id(request)}
    try:
        async for item in items:
            if item is None:
                yield sse.HEARTBEAT
                continue
            for members in teller.events(item):
                number += 1
                yield sse.result(number, members | about)
    except ClientDisconnect:
        return
    except Exception as error:  # the last door: nothing behind it can still answer
        told = error if isinstance(error, DashscribeError) else DashscribeError()
        if told.status >= 500:
            logger.error("%s, event %d: %s", request.url.path, number + 1, error, exc_info=error)
        yield sse.failure(number + 1, told.status, {"code": told.code, "message": told.message, **about})
