"""What the OpenAPI page says about bodies and answers that the routes read and write themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashscribe.wire.params import TABLE


def _parameter(summary: str, lack: str) -> str:
    return f"{summary} No effect here: {lack}." if lack else summary


_PARAMETERS = {
    row.name: {**row.schema, "description": _parameter(row.summary, row.lack)}
    for row in TABLE
    if row.name != "resources"  # lies beside them
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
                    "parameters": {"type": "object", "properties": _PARAMETERS},
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
