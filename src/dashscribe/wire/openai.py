"""Chat completions, as OpenAI's clients call them: one recording in, its text out as the assistant's words.

Owns the routes and the streams, which the audio routes share; ``chat`` reads the calls. What is recognized how is the
same as on the service's own route.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from dashscribe.choice import choose_engine
from dashscribe.engines import EngineInfo
from dashscribe.errors import DashscribeError
from dashscribe.keys import Identity
from dashscribe.render.openai_json import Completion
from dashscribe.types import Sentence, Transcript, joint
from dashscribe.wire import envelope, speech, sse
from dashscribe.wire.chat import read_chat
from dashscribe.wire.guard import Caller
from dashscribe.wire.params import pin_hotwords
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.speech import Call
from dashscribe.wire.spoken import tone
from dashscribe.wire.sse import EventStream

log = logging.getLogger(__name__)

router = APIRouter(tags=["openai"])

_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "messages"],
                "properties": {
                    "model": {"type": "string"},
                    "messages": {"type": "array", "items": {"type": "object"}},
                    "asr_options": {
                        "type": "object",
                        "properties": {"language": {"type": "string"}, "enable_itn": {"type": "boolean"}},
                    },
                    "stream": {"type": "boolean", "default": False},
                    "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
                },
            },
            "example": {
                "model": "qwen3-asr-flash",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_audio", "input_audio": {"data": "https://media.example.net/a.wav"}}
                        ],
                    }
                ],
            },
        }
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "A part of the body is missing or wrong, or the recording cannot be had or read"},
    401: {"description": "invalid_api_key"},
    404: {"description": "model_not_found, or model_not_supported for the models of other interfaces"},
    429: {"description": "limit_requests, insufficient_quota"},
}


@router.post(
    "/v1/chat/completions",
    summary="Transcribe a recording as a chat completion",
    openapi_extra={"requestBody": _BODY},
    responses=_RESPONSES,
)
@router.post("/v1/chat/completions/", include_in_schema=False)
@router.post("/compatible-mode/v1/chat/completions", include_in_schema=False)
@router.post("/compatible-mode/v1/chat/completions/", include_in_schema=False)
async def complete(request: Request, caller: Caller, parts: Annotated[Parts, Depends(parts_of)]) -> Response:
    """The text of the one recording in the messages, at once or sentence by sentence."""
    with ExitStack() as kept:
        folder = await in_thread(parts.blobs, kept.enter_context, parts.uploads.folder())
        read = partial(_read, request, parts, caller, folder)
        call, teller = await speech.receive(request, parts, caller, folder, read)
        headers = {"x-dashscribe-engine": teller.engine.name}
        if teller.streams:
            items = await speech.begun(speech.stream(request, parts, call))
            return EventStream(frames(request, teller.chunks(items)), kept.pop_all(), headers)
        transcript = await speech.transcribe(request, parts, call)
        headers["x-dashscribe-engine"] = transcript.engine  # another one may have taken over
        return envelope.plain(teller.whole(transcript), headers=headers)


def _read(request: Request, parts: Parts, caller: Identity, folder: Path, body: bytes) -> tuple[Call, _Teller]:
    """What is to be done, and who will tell of it."""
    chat = read_chat(body)
    asked = pin_hotwords(chat.asked, caller.owner, parts.hotwords)
    call = Call(
        caller=caller,
        model=chat.model,
        options=asked.options,
        source=speech.find_source(chat.audio, folder),
        notes=tuple(asked.notes),
    )
    completion = Completion(f"chatcmpl-{envelope.request_id(request)}", int(time.time()), chat.model.name)
    engine = choose_engine(chat.model, asked.options.languages, parts.settings, parts.hosts.down())
    return call, _Teller(completion, call, engine, chat.streams, chat.counts)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells what one call heard, whole or in chunks; ``counts`` adds a chunk with the usage."""

    completion: Completion
    call: Call
    engine: EngineInfo
    streams: bool
    counts: bool

    def whole(self, transcript: Transcript) -> dict[str, Any]:
        return self.completion.whole(self._noted(transcript), self._annotations(transcript.sentences))

    async def chunks(
        self, items: AsyncGenerator[Sentence | Transcript | None]
    ) -> AsyncGenerator[Mapping[str, Any] | None]:
        yield self.completion.first()
        text, heard = "", list[Sentence]()
        async with aclosing(items):
            async for item in items:
                if item is None:
                    yield None
                elif isinstance(item, Sentence):
                    added = joint(text, item.text) + item.text
                    text += added
                    heard.append(item)
                    yield self.completion.piece(added, self._annotations(heard))
                else:
                    yield self.completion.closing(self._noted(item))
                    if self.counts:
                        yield self.completion.usage(item)

    def _annotations(self, sentences: Sequence[Sentence]) -> dict[str, Any]:
        if not self.call.model.annotated:
            return {}
        heard = tone(self.call.model, self.call.options, self.engine, sentences)
        return {"annotations": [{"type": "audio_info", "language": heard.language, "emotion": heard.emotion}]}

    def _noted(self, transcript: Transcript) -> Transcript:
        """The transcript with notes on what the annotations claim and nobody measured."""
        if not self.call.model.annotated:
            return transcript
        heard = tone(self.call.model, self.call.options, self.engine, transcript.sentences)
        return replace(transcript, notes=(*transcript.notes, *heard.notes))


async def frames(request: Request, events: AsyncGenerator[Mapping[str, Any] | None]) -> AsyncGenerator[bytes]:
    """Events as OpenAI's clients read them, None as a sign of life; an error among them is the last."""
    try:
        async with aclosing(events):
            async for event in events:
                yield sse.HEARTBEAT if event is None else _frame(event)
        yield b"data: [DONE]\n\n"
    except ClientDisconnect:
        return
    except Exception as error:  # the last door: nothing behind it can still answer
        told = error if isinstance(error, DashscribeError) else DashscribeError()
        if told.status >= 500:
            log.error("%s %s, in the stream: %s", request.method, request.url.path, error, exc_info=error)
        yield _frame(envelope.openai_error(told, envelope.request_id(request))[1])


def _frame(event: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % sse.one_line(event)
