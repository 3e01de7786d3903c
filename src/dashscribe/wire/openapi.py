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


def _answers(example: dict[str, Any], errors: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """A success by example, and what the errors mean by status."""
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "Success", "content": {"application/json": {"example": example}}}
    }
    for status, meaning in {401: "InvalidApiKey", **(errors or {})}.items():
        answers[status] = {"description": meaning}
    return answers


_TASK_ID = "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f"
_REQUEST_ID = "0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b"

SUBMITTED = _answers(
    {"request_id": _REQUEST_ID, "output": {"task_id": _TASK_ID, "task_status": "PENDING"}},
    {
        400: "A part of the body is missing or out of range",
        403: "AccessDenied: the header X-DashScope-Async is missing",
        404: "ModelNotFound: the name is unknown, or no installed engine can stand for the model",
        409: "Conflict: the Idempotency-Key was used for another body",
    },
)
QUERIED = _answers(
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
CANCELED = _answers({"request_id": _REQUEST_ID}, {400: "UnsupportedOperation: the task is not PENDING"})
RETRIED = _answers(
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
LISTED = _answers(
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
GENERATED = _answers(
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
