"""What the OpenAPI page says about reviewing recordings: transcripts, edits, sound, exports, comparisons."""

from __future__ import annotations

from typing import Any

from dashscribe.render import PRESETS
from dashscribe.wire.openapi import created, described

_REQUEST_ID = "0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b"
_TASK_ID = "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f"
_ANSWER: dict[str, Any] = {"request_id": _REQUEST_ID}
_GONE = {404: "NotFound: the owner has no such recording, any more"}
_NO_TEXT = {409: "Conflict: the recording has no transcript, or none any more"}
_ID = {"type": "string", "description": "The id of a sentence, as the transcript tells it."}

_WORD = {"begin_ms": 760, "end_ms": 1300, "text": "Good ", "confidence": 0.93}
_SENTENCE = {
    "id": "0-0",
    "channel": 0,
    "begin_ms": 760,
    "end_ms": 3240,
    "text": "Good morning, all.",
    "speaker": 0,
    "language": "en",
    "words": [_WORD, {"begin_ms": 1300, "end_ms": 2100, "text": "morning", "punctuation": ", ", "approximate": True}],
}


def _body(members: dict[str, Any], example: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": members, "additionalProperties": False}
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema, "example": example}}}


TRANSCRIPT = described(
    {
        **_ANSWER,
        "revision": 3,
        "edited": True,
        "duration_ms": 5120,
        "channels": [0],
        "speakers": {"0": "Anna"},
        "languages": ["en"],
        "sentences": [_SENTENCE],
        "ledger": [{"channel": 0, "begin_ms": 0, "end_ms": 760, "fate": "non_speech"}],
        "notes": [],
    },
    {400: "A parameter is wrong", **_GONE, **_NO_TEXT},
)
EDIT_BODY = _body(
    {
        "revision": {"type": "integer", "minimum": 0, "description": "The revision that was read."},
        "replace": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ids"],
                "properties": {
                    "ids": {
                        "type": "array",
                        "description": "Consecutive sentences of one channel; none with channel, begin_ms and end_ms.",
                        "items": _ID,
                    },
                    "channel": {"type": "integer", "minimum": 0},
                    "begin_ms": {"type": "integer", "minimum": 0, "description": "Where a free stretch begins."},
                    "end_ms": {"type": "integer", "minimum": 1},
                    "with": {
                        "type": "array",
                        "description": "What stands in their place; nothing, or an empty text, takes them out.",
                        "items": {
                            "type": "object",
                            "required": ["text"],
                            "properties": {
                                "text": {"type": "string", "maxLength": 10_000},
                                "speaker": {"type": "integer", "minimum": 0, "maximum": 99},
                            },
                        },
                    },
                },
            },
        },
        "speakers": {
            "type": "object",
            "description": "Names by number; an empty one takes the name away.",
            "additionalProperties": {"type": "string", "maxLength": 100},
        },
    },
    {"revision": 3, "replace": [{"ids": ["0-0"], "with": [{"text": "Good morning, all."}]}], "speakers": {"0": "Anna"}},
    ["revision"],
)
EDITED = described(
    {**_ANSWER, "revision": 4, "replaced": [{"ids": ["0-0"], "with": [_SENTENCE]}], "speakers": {"0": "Anna"}},
    {
        400: "A member of the body is wrong, or names sentences that are not there or not consecutive, "
        "or a stretch that is not free",
        **_GONE,
        409: "Conflict: another revision is the current one, which the message names; or there is no transcript",
    },
)
DISCARDED = described({**_ANSWER, "revision": 5}, {**_GONE, **_NO_TEXT})
COMPARED = described(
    {
        **_ANSWER,
        "pairs": [
            {
                "kind": "replaced",
                "channel": 0,
                "left": [{"begin_ms": 760, "end_ms": 1300, "text": "Good "}],
                "right": [{"begin_ms": 750, "end_ms": 1290, "text": "Could "}],
            }
        ],
        "figures": {"words": 1, "other_words": 1, "replaced": 1, "inserted": 0, "deleted": 0, "changed": 1},
    },
    {400: "A parameter is wrong", **_GONE, **_NO_TEXT},
)
AGAIN_BODY = _body(
    {
        "model": {"type": "string", "description": "An asynchronous model; default: the one of the recording."},
        "parameters": {"type": "object", "description": "As for a new task; default: what was asked for before."},
    },
    {"model": "paraformer-v2"},
    [],
)
AGAIN = created(
    202,
    {**_ANSWER, "id": f"{_TASK_ID}.0", "task_id": _TASK_ID, "status": "PENDING", "model": "paraformer-v2"},
    {
        400: "A member of the body is wrong, or the model is synchronous",
        404: "NotFound: there is no such recording, or no sound of it; ModelNotFound: nothing can stand for it",
        429: "Throttling: too many calls, too much in the queue, or the key's quota is used up",
    },
)
SOUND = described(
    {
        **_ANSWER,
        "url": f"/dashscribe/v1/sound/{_TASK_ID}.0?Expires=1780329600&Signature=0123…",
        "ready": True,
        "type": "audio/mpeg",
    },
    {404: "NotFound: there is no such recording, or no sound of it"},
)
PEAKS = described(
    {**_ANSWER, "rate_hz": 20, "begin_ms": 0, "channel_numbers": [0], "channels": [[0, 3, 57, 96, 41]]},
    {404: "NotFound: there is no such recording, or it was cut by a version that made no peaks"},
)
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
SOUND_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The sound", "content": {"audio/*": _BYTES}},
    206: {"description": "The range that was asked for", "content": {"audio/*": _BYTES}},
    304: {"description": "It is as the caller has it"},
    403: {"description": "AccessDenied: expired or wrongly signed"},
    404: {"description": "NotFound: there is no such recording, or no sound of it"},
    412: {"description": "It is another one than If-Match names"},
    416: {"description": "The range begins behind the end"},
    503: {"description": "NotReady: a copy for browsers is being made; Retry-After tells when to ask again"},
}


def _file(description: str, media_type: str, errors: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    answers = described({}, errors)
    answers[200] = {"description": description, "content": {media_type: _BYTES}}
    return answers


EXPORTED = _file("The file", "*/*", {400: "A parameter is wrong", **_GONE, **_NO_TEXT})
EXPORTED_MANY = _file("A ZIP", "application/zip", {400: "A member of the body is wrong", **_GONE, **_NO_TEXT})
EXPORT_BODY = _body(
    {
        "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 500},
        "formats": {
            "type": "array",
            "items": {"type": "string", "enum": ["txt", "md", "srt", "vtt", "docx", "tsv", "json"]},
            "minItems": 1,
        },
        "version": {"type": "string", "enum": ["edited", "original"]},
        "speakers": {"type": "boolean"},
        "captions": {"type": "string", "enum": list(PRESETS)},
        "times": {"type": "boolean"},
    },
    {"ids": [f"{_TASK_ID}.0"], "formats": ["docx", "srt"]},
    ["ids"],
)
