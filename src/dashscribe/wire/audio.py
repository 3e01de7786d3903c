"""OpenAI's audio routes: a recording comes with the call as a form, and its text goes back in the form asked for.

The service has nothing like them; clients of a server of one's own expect them. The limits are this server's, not those
of the service's synchronous models: a call takes as long as its recording needs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request, Response

from dashscribe.choice import choose_engine
from dashscribe.engines import EngineInfo
from dashscribe.errors import NotTranslatedError
from dashscribe.keys import Identity
from dashscribe.render import openai_json, srt, vtt
from dashscribe.types import Sentence, Transcript, joint
from dashscribe.wire import envelope, speech
from dashscribe.wire.audio_form import Dictation, Format, read_dictation, recording
from dashscribe.wire.form import Form, read_form
from dashscribe.wire.guard import Caller
from dashscribe.wire.openai import frames
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.speech import Call, LocalSource
from dashscribe.wire.sse import EventStream

#: Room for 500 keywords and their like, and for the recording of a known speaker's voice as text.
MAX_FIELDS, MAX_FIELD_BYTES = 1000, 2 * 1024**2
#: Longest header that tells the notes of an answer which is no JSON; proxies take some 8 KB of headers in all.
MAX_NOTES_CHARS = 2000

router = APIRouter(tags=["openai"])
Here = Annotated[Parts, Depends(parts_of)]

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_FILE = {"type": "string", "format": "binary"}


def _body(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file", "model"], "properties": {"file": _FILE, **properties}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "A field is missing or wrong, or the recording cannot be read"},
    401: {"description": "invalid_api_key"},
    413: {"description": "request_too_large"},
    429: {"description": "limit_requests, insufficient_quota"},
}


@router.post(
    "/v1/audio/transcriptions",
    summary="Transcribe a recording that comes along",
    openapi_extra=_body(
        model=_TEXT,
        language=_TEXT,
        prompt=_TEXT,
        response_format={"type": "string", "enum": list(get_args(Format)), "default": "json"},
        stream={"type": "boolean"},
        **{"timestamp_granularities[]": _TEXTS, "include[]": _TEXTS, "keywords[]": _TEXTS, "languages[]": _TEXTS},
    ),
    responses=_ERRORS,
)
@router.post("/v1/audio/transcriptions/", include_in_schema=False)
@router.post("/compatible-mode/v1/audio/transcriptions", include_in_schema=False)
@router.post("/compatible-mode/v1/audio/transcriptions/", include_in_schema=False)
async def transcribe(request: Request, caller: Caller, parts: Here) -> Response:
    """The text of the recording: at once in the form asked for, or sentence by sentence."""
    with ExitStack() as kept:
        form = await _receive(request, caller, parts, kept)
        wanted = read_dictation(form, parts.settings)
        options = wanted.asked.options
        engine = choose_engine(wanted.model, options.languages, parts.settings, parts.hosts.down())
        call = Call(
            caller=caller,
            model=wanted.model,
            options=options,
            source=LocalSource(wanted.file.path, wanted.file.name),
            notes=(*wanted.asked.notes, *_unmeasured(wanted, engine)),
        )
        items = speech.stream(request, parts, call, sentences=wanted.streams)
        if wanted.streams:
            events = _events(wanted, await speech.begun(items))
            return EventStream(frames(request, events), kept.pop_all(), {"x-dashscribe-engine": engine.name})
        return _answer(wanted, await _transcript(items))


@router.post(
    "/v1/audio/translations",
    summary="Translate a recording: not available",
    openapi_extra=_body(model=_TEXT, prompt=_TEXT, response_format=_TEXT),
    responses=_ERRORS,
)
@router.post("/v1/audio/translations/", include_in_schema=False)
@router.post("/compatible-mode/v1/audio/translations", include_in_schema=False)
@router.post("/compatible-mode/v1/audio/translations/", include_in_schema=False)
async def translate(request: Request, caller: Caller, parts: Here) -> Response:
    """Refused: no engine here translates, and text in the language spoken would be another thing."""
    with ExitStack() as kept:
        recording(await _receive(request, caller, parts, kept))
        raise NotTranslatedError(
            "No engine here writes another language than the one spoken: /v1/audio/transcriptions gives that."
        )


async def _receive(request: Request, caller: Identity, parts: Parts, kept: ExitStack) -> Form:
    """The form, its file in a folder that ``kept`` removes.

    Raises the errors of ``speech.receiving``, NoRoomError while the disk is full, and the errors of ``read_form``.
    """
    await in_thread(parts.queries, parts.uploads.check_room)
    folder: Path = await in_thread(parts.blobs, kept.enter_context, parts.uploads.folder())
    async with speech.receiving(request, parts, caller):
        return await read_form(
            request,
            folder,
            max_file_bytes=min(parts.settings.max_file_bytes, await in_thread(parts.queries, parts.uploads.room_bytes)),
            max_fields=MAX_FIELDS,
            max_field_bytes=MAX_FIELD_BYTES,
            check_room=parts.uploads.check_room,
        )


def _unmeasured(wanted: Dictation, engine: EngineInfo) -> Iterator[str]:
    """A note on the language of an answer that tells one, where the engine knows no other."""
    if len(engine.languages) == 1 and (wanted.streams or wanted.format in ("json", "verbose_json")):
        yield f"no language was measured; {engine.languages[0]} is the one that the engine reads"


async def _transcript(items: AsyncGenerator[Sentence | Transcript | None]) -> Transcript:
    async with aclosing(items):
        async for item in items:
            if isinstance(item, Transcript):
                return item
    raise AssertionError("the last item is the transcript")


def _answer(wanted: Dictation, transcript: Transcript) -> Response:
    headers = {"x-dashscribe-engine": transcript.engine}
    match wanted.format:
        case "json":
            return envelope.plain(openai_json.plain(transcript, with_logprobs=wanted.logprobs), headers=headers)
        case "verbose_json":
            hint = next(iter(wanted.asked.options.languages), "")
            told = openai_json.verbose(transcript, language=hint, words=wanted.words, segments=wanted.segments)
            return envelope.plain(told, headers=headers)
        case "diarized_json":
            return envelope.plain(openai_json.diarized(transcript), headers=headers)
        case "text":
            text = f"{transcript.text}\n"
        case "srt":
            text = srt.render(transcript)
        case "vtt":
            text = vtt.render(transcript)
    if transcript.notes:
        headers["x-dashscribe-notes"] = _header(transcript.notes)
    return Response(text, 200, headers, "text/plain; charset=utf-8")


def _header(notes: tuple[str, ...]) -> str:
    """The notes as a JSON array in ASCII, the last ones left out where they do not fit."""
    text = json.dumps(notes)
    return text if len(text) <= MAX_NOTES_CHARS else _header(notes[:-1])


async def _events(
    wanted: Dictation, items: AsyncGenerator[Sentence | Transcript | None]
) -> AsyncGenerator[Mapping[str, Any] | None]:
    text, count, numbered = "", 0, wanted.format == "diarized_json"
    async with aclosing(items):
        async for item in items:
            if item is None:
                yield None
            elif isinstance(item, Transcript):
                yield openai_json.done(item, with_logprobs=wanted.logprobs, by_speaker=numbered)
            else:
                added = joint(text, item.text) + item.text
                text += added
                segment = count if numbered else None
                yield openai_json.delta(added, item, segment=segment, with_logprobs=wanted.logprobs)
                if numbered:
                    yield openai_json.spoken_segment(count, item)
                count += 1
