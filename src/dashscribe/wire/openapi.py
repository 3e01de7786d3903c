"""What the OpenAPI page says about bodies and answers that the routes read and write themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashscribe.catalog import MODELS
from dashscribe.enrich import StageName
from dashscribe.types import MAX_SPEAKERS, MIN_SPEAKERS
from dashscribe.wire.params import TABLE


def _parameter(summary: str, lack: str) -> str:
    return f"{summary} No effect here: {lack}." if lack else summary


def _parameters(interface: str) -> dict[str, Any]:
    """The members that any model of the interface takes, but for ``resources``, which lies beside them."""
    names = {name for model in MODELS.values() if model.interface == interface for name in model.parameters}
    return {
        row.name: {**row.schema, "description": _parameter(row.summary, row.lack)}
        for row in TABLE
        if row.name in names - {"resources"}
    }


SUBMIT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "input"],
                "properties": {
                    "model": {"type": "string"},
                    "input": {
                        "type": "object",
                        "properties": {
                            "file_urls": {"type": "array", "items": {"type": "string"}, "maxItems": 100},
                            "file_url": {"type": "string", "description": "Filetrans models take this one URL."},
                        },
                    },
                    "parameters": {"type": "object", "properties": _parameters("async")},
                    "resources": {"type": "array", "items": {"type": "object"}},
                },
            },
            "example": {
                "model": "fun-asr",
                "input": {"file_urls": ["https://media.example.net/a.wav"]},
                "parameters": {"channel_id": [0]},
            },
        }
    },
}

RETRY_BODY: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "stage": {
                        "type": "string",
                        "enum": [stage.value for stage in StageName],
                        "description": "What to do again, with today's models, lists and settings. Without it, a new "
                        "task does again the files that failed.",
                    },
                    "file": {"type": "integer", "minimum": 0, "description": "Only this file, by its place."},
                    "speaker_count": {
                        "type": "integer",
                        "minimum": MIN_SPEAKERS,
                        "maximum": MAX_SPEAKERS,
                        "description": "For the stage speakers: how many there are.",
                    },
                    "all": {"type": "boolean", "description": "Without a stage: the files that did not fail, too."},
                },
            },
            "example": {"stage": "speakers", "speaker_count": 3},
        }
    },
}

_RECORDING = {"type": "string", "description": "An http or https URL, a data URI, or the oss:// URL of an upload."}
_IN_ASR_OPTIONS = ("language", "enable_itn", "enable_lid")
_SYNC_PARAMETERS = _parameters("sync")

GENERATION_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "input"],
                "properties": {
                    "model": {"type": "string"},
                    "input": {
                        "type": "object",
                        "required": ["messages"],
                        "properties": {
                            "messages": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["role", "content"],
                                    "properties": {
                                        "role": {"type": "string", "enum": ["system", "user", "assistant"]},
                                        "content": {
                                            "type": "array",
                                            "items": {
                                                "type": "object",
                                                "properties": {
                                                    "audio": _RECORDING,
                                                    "input_audio": {
                                                        "type": "object",
                                                        "properties": {"data": _RECORDING},
                                                    },
                                                    "text": {"type": "string"},
                                                    "type": {"type": "string"},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "asr_options": {
                                "type": "object",
                                "properties": {name: _SYNC_PARAMETERS[name] for name in _IN_ASR_OPTIONS},
                            },
                            **{name: row for name, row in _SYNC_PARAMETERS.items() if name not in _IN_ASR_OPTIONS},
                        },
                    },
                },
            },
            "example": {
                "model": "qwen3-asr-flash",
                "input": {"messages": [{"role": "user", "content": [{"audio": "https://media.example.net/a.wav"}]}]},
                "parameters": {"asr_options": {"language": "en"}},
            },
        }
    },
}


def described(example: dict[str, Any], errors: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """A success by example, and what the errors mean by status."""
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "Success", "content": {"application/json": {"example": example}}}
    }
    for status, meaning in {401: "InvalidApiKey", **(errors or {})}.items():
        answers[status] = {"description": meaning}
    return answers


_TASK_ID = "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f"
_REQUEST_ID = "0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b"

SUBMITTED = described(
    {"request_id": _REQUEST_ID, "output": {"task_id": _TASK_ID, "task_status": "PENDING"}},
    {
        400: "A part of the body is missing or out of range",
        403: "AccessDenied: the header X-DashScope-Async is missing",
        404: "ModelNotFound: the name is unknown, or no installed engine can stand for the model",
        409: "Conflict: the Idempotency-Key was used for another body",
        429: "Throttling: too many calls, too much in the queue, a disk that is full, or the key's quota is used up",
    },
)
QUERIED = described(
    {
        "request_id": _REQUEST_ID,
        "output": {
            "task_id": _TASK_ID,
            "task_status": "SUCCEEDED",
            "submit_time": "2026-06-01 12:00:00.104",
            "scheduled_time": "2026-06-01 12:00:00.131",
            "end_time": "2026-06-01 12:00:03.870",
            "results": [
                {
                    "file_url": "https://media.example.net/a.wav",
                    "transcription_url": "https://asr.example.org/results/…",
                    "subtask_status": "SUCCEEDED",
                }
            ],
            "task_metrics": {"TOTAL": 1, "SUCCEEDED": 1, "FAILED": 0},
        },
        "usage": {"duration": 4},
    }
)
CANCELED = described({"request_id": _REQUEST_ID}, {400: "UnsupportedOperation: the task is not PENDING"})
RETRIED = described(
    {
        "request_id": _REQUEST_ID,
        "output": {"task_id": _TASK_ID, "task_status": "SUCCEEDED"},
        "dashscribe": {"redo": [{"file": 0, "stage": "speakers", "state": "PENDING"}]},
    },
    {
        400: "A member of the body is wrong, or the task did not ask for the stage",
        404: "NotFound: the owner has no such task, any more; ModelNotFound: nothing installed can recognize it anew",
        409: "Conflict: nothing failed, there is no result, what was heard is not kept, or another stage is under way",
    },
)
RETRIED[202] = RETRIED.pop(200)
LISTED = described(
    {
        "request_id": _REQUEST_ID,
        "total": 1,
        "total_page": 1,
        "page_no": 1,
        "page_size": 10,
        "data": [{"task_id": _TASK_ID, "status": "SUCCEEDED", "model_name": "fun-asr"}],
        "tasks": [{"task_id": _TASK_ID, "task_status": "SUCCEEDED"}],
    },
    {400: "A filter is out of range"},
)
GENERATED = described(
    {
        "request_id": _REQUEST_ID,
        "output": {
            "choices": [
                {
                    "finish_reason": "stop",
                    "message": {
                        "role": "assistant",
                        "content": [{"text": "Four score and seven years ago."}],
                        "annotations": [{"type": "audio_info", "language": "en", "emotion": "neutral"}],
                    },
                }
            ]
        },
        "usage": {
            "input_tokens_details": {"text_tokens": 0},
            "output_tokens_details": {"text_tokens": 8},
            "input_tokens": 90,
            "output_tokens": 8,
            "seconds": 3,
        },
    },
    {
        400: "A part of the body is missing or wrong, or the recording cannot be had or read, is too long or too large",
        403: "AccessDenied: the header X-DashScope-Async was sent",
        404: "ModelNotFound: unknown, or no installed engine can stand for it; NotFound: there is no such hotword list",
        429: "Throttling: too many calls, too many at once, or the key's quota is used up; Retry-After tells when",
        500: "InternalError.Algo: recognition failed; RequestTimeOut: it took too long",
    },
)

_TARGET_MEMBERS: dict[str, Any] = {
    "url": {
        "type": "string",
        "description": "http or https, or rocketmq://HOST:PORT/TOPIC (unproven); no name or password in it.",
    },
    "name": {"type": "string", "maxLength": 100},
    "models": {"type": "array", "items": {"type": "string"}, "description": "Only tasks of these; empty for all."},
    "statuses": {
        "type": "array",
        "items": {"type": "string", "enum": ["SUCCEEDED", "FAILED", "CANCELED"]},
        "description": "Only tasks that ended so; empty for all.",
    },
    "token": {"type": "string", "description": "Goes along in a header; for RocketMQ ACCESS_KEY:SECRET_KEY."},
    "policy": {"type": "string", "enum": ["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"]},
    "signature": {"type": "string", "enum": ["current", "legacy"]},
    "dead_letters": {"type": "boolean", "description": "Whether events are kept that all tries were in vain for."},
    "paused": {"type": "boolean", "description": "Events wait meanwhile."},
}
_SERVER_WIDE = {"type": "boolean", "description": "Everybody's tasks; for permanent keys of the owner default."}


def _target_body(members: Mapping[str, Any], example: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(members), **({"required": required} if required else {})}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


NEW_TARGET_BODY = _target_body(
    {**_TARGET_MEMBERS, "server_wide": _SERVER_WIDE},
    {"url": "https://app.example.org/asr-done", "statuses": ["SUCCEEDED", "FAILED"]},
    ["url"],
)
TARGET_BODY = _target_body(_TARGET_MEMBERS, {"paused": True}, [])

_A_TARGET = {
    "id": "cb-0123456789abcdef",
    "owner": "default",
    "server_wide": False,
    "url": "https://app.example.org/asr-done",
    "name": "",
    "paused": False,
    "dead_letters": True,
    "failures": 0,
    "kind": "http",
    "policy": "BACKOFF_RETRY",
    "signature": "current",
    "models": [],
    "statuses": ["SUCCEEDED", "FAILED"],
    "fixed": False,
    "created_at": "2026-06-01T04:00:00.000Z",
}
_A_DELIVERY = {
    "id": 7,
    "state": "waiting",
    "attempts": 1,
    "target_id": "cb-0123456789abcdef",
    "target_url": "https://app.example.org/asr-done",
    "event_id": "3f2b1c0d-9e8f-4a7b-8c6d-5e4f3a2b1c0d",
    "created_at": "2026-06-01T04:00:03.870Z",
    "test": False,
    "task_id": _TASK_ID,
    "task_status": "SUCCEEDED",
    "model": "fun-asr",
    "owner": "default",
    "tried_at": "2026-06-01T04:00:04.012Z",
    "next_try_at": "2026-06-01T04:00:18.305Z",
    "http_status": 502,
    "response": "Bad Gateway",
    "error": "HTTP 502 Bad Gateway",
}
_NO_TARGET = {404: "NotFound: the caller has no such target"}
_FIXED = {409: "Conflict: the target stands in the settings"}
_NO_DELIVERY = {404: "NotFound: no such delivery, any more, to a target of the caller"}


def created(status: int, example: dict[str, Any], errors: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """As ``described``, with another status for success."""
    answers = described(example, errors)
    answers[status] = answers.pop(200)
    return answers


TARGETS = described({"request_id": _REQUEST_ID, "targets": [_A_TARGET]})
TARGET = described({"request_id": _REQUEST_ID, **_A_TARGET}, _NO_TARGET)
_PERMANENT = {403: "AccessDenied: a temporary key"}
TARGET_ADDED = created(
    201,
    {"request_id": _REQUEST_ID, **_A_TARGET},
    {
        400: "A member is wrong, or the address guard refuses the host",
        403: "AccessDenied: a temporary key, or server_wide with another one than of the owner default",
        409: "Conflict: there are too many targets",
    },
)
TARGET_CHANGED = described(
    {"request_id": _REQUEST_ID, **_A_TARGET},
    {400: "A member is wrong, or the address guard refuses the host", **_PERMANENT, **_NO_TARGET, **_FIXED},
)
TARGET_REMOVED = described({"request_id": _REQUEST_ID}, {**_PERMANENT, **_NO_TARGET, **_FIXED})
TESTED = created(202, {"request_id": _REQUEST_ID, **_A_DELIVERY}, {**_NO_TARGET, 409: "Conflict: a test is under way"})
DELIVERIES = described({"request_id": _REQUEST_ID, "deliveries": [_A_DELIVERY]}, {400: "A filter is out of range"})
DELIVERY = described({"request_id": _REQUEST_ID, **_A_DELIVERY, "event": {"specversion": "1.0"}}, _NO_DELIVERY)
REPLAYED = created(
    202,
    {"request_id": _REQUEST_ID, **_A_DELIVERY},
    {**_NO_DELIVERY, 409: "Conflict: it is on its way, or its target was removed"},
)
_FINGERPRINT = "0123456789abcdef" * 4
CERTIFICATES = described(
    {
        "request_id": _REQUEST_ID,
        "certificates": [{"fingerprint": _FINGERPRINT, "created_at": "2026-06-01T04:00:00.000Z"}],
    }
)
ROTATED = described(
    {"request_id": _REQUEST_ID, "fingerprint": _FINGERPRINT},
    {403: "AccessDenied: another key than a permanent one of the owner default"},
)
