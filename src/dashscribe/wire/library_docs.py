"""What the OpenAPI page says about recordings and accounts."""

from __future__ import annotations

from typing import Any

from dashscribe.recordings import MAX_TITLE_CHARS
from dashscribe.wire.openapi import created, described

_REQUEST_ID = "0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b"
_TASK_ID = "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f"
_BEGUN = {"request_id": _REQUEST_ID}


def _body(members: dict[str, Any], example: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": members, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


_RECORDING = {
    "id": f"{_TASK_ID}.0",
    "task_id": _TASK_ID,
    "file": 0,
    "title": "例会 2026-06-01.m4a",
    "url": "oss://dashscope-instant/0a1b…/2026-06-01/3d4e…/例会 2026-06-01.m4a",
    "model": "fun-asr",
    "status": "SUCCEEDED",
    "engine": "funasr-nano",
    "submitted_at": 1780286400104,
    "started_at": 1780286400131,
    "ended_at": 1780286460870,
    "duration_ms": 3600000,
    "kept": True,
    "languages": ["zh", "en"],
    "diarized": True,
    "failed_stages": [{"stage": "marks", "reasons": ["the punctuation model failed: its process was killed"]}],
}
_FOUND = {
    "hit_count": 12,
    "hits": [{"begin_ms": 61200, "end_ms": 64050, "channel": 0, "text": "下一个议题是预算。", "marks": [[6, 8]]}],
}
_DETAILS: dict[str, Any] = {
    "revision": 0,
    "options": {"diarization_enabled": True},
    "notes": ["the punctuation model failed: its process was killed"],
    "stages": [],
    "deliveries": [],
    "media": {"container": "mov", "codec": "aac", "rate_hz": 48000, "channel_count": 2, "duration_ms": 3600000},
}
_NO_RECORDING = {404: "NotFound: the caller has no such recording, any more"}

LISTED = described(
    {**_BEGUN, "total": 1, "page_no": 1, "page_size": 20, "recordings": [{**_RECORDING, **_FOUND}]},
    {400: "A filter is out of range, or q holds nothing to look for"},
)
SHOWN = described({**_BEGUN, **_RECORDING, **_DETAILS}, {400: "q holds nothing to look for", **_NO_RECORDING})
CHANGE_BODY = _body(
    {
        "title": {
            "type": "string",
            "maxLength": MAX_TITLE_CHARS,
            "description": "What it is called; an empty one is the name in its URL again.",
        },
        "kept": {"type": "boolean", "description": "Whether it stays until it is deleted."},
    },
    {"title": "Budget meeting", "kept": True},
)
CHANGED = described(
    {**_BEGUN, **_RECORDING, **_DETAILS},
    {400: "A member is wrong", **_NO_RECORDING, 409: "Conflict: its sound and transcript were removed already"},
)
DELETED = described(_BEGUN, _NO_RECORDING)
DELETE_BODY = _body(
    {"ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 500}},
    {"ids": [f"{_TASK_ID}.0"]},
    ("ids",),
)
ALL_DELETED = described({**_BEGUN, "deleted": [f"{_TASK_ID}.0"], "not_found": [], "awaited": []}, {400: "ids is wrong"})

ME = described(
    {
        **_BEGUN,
        "owner": "default",
        "key_id": "1",
        "key_name": "laptop",
        "temporary": False,
        "operates": True,
        "version": "0.1.0",
        "retention_ms": 86400000,
        "max_upload_bytes": 2147483648,
        "max_duration_ms": 43200000,
        "time_zone": "Asia/Shanghai",
        "may_manage_keys": True,
        "languages": ["en", "zh"],
    }
)
_KEY = {"id": "1", "name": "laptop", "hint": "9f3c", "created_at": 1780286400104, "used_ms": 5400000}
KEYS = described({**_BEGUN, "keys": [_KEY]})
KEY_BODY = _body(
    {
        "name": {"type": "string", "maxLength": 100},
        "quota_seconds": {"type": "integer", "minimum": 0, "description": "Seconds of sound per month (UTC)."},
    },
    {"name": "review pages", "quota_seconds": 360000},
)
_MAY_NOT = {403: "AccessDenied: the key is temporary, or has a quota"}
KEY_MADE = created(
    201,
    {**_BEGUN, "id": "2", "key": "sk-4d3c2b1a…", "name": "review pages", "quota_seconds": 360000},
    {400: "A member is wrong", **_MAY_NOT, 409: "Conflict: there are too many keys"},
)
KEY_ENDED = described(_BEGUN, {**_MAY_NOT, 404: "NotFound: the owner has no such key that works"})

USAGE = described(
    {
        **_BEGUN,
        "since": "2026-05-02",
        "until": "2026-06-01",
        "days": [
            {"day": "2026-06-01", "key_id": "1", "key_name": "laptop", "model": "fun-asr", "files": 3}
            | {"duration_ms": 5400000}
        ],
    },
    {400: "A day is none, or the days are too many"},
)
_LOAD = {"waiting": 3, "running": 1, "speech_ms_waiting": 1800000, "oldest_wait_ms": 4200}
QUEUE = described(
    {
        **_BEGUN,
        **_LOAD,
        "own": _LOAD,
        "workers": [
            {"id": "gpu-1-0", "version": "0.1.0", "slots": 4, "busy": 2, "host": "gpu-1", "seen_at": 1780286400104}
            | {"engines": ["funasr-nano", "sensevoice"]}
        ],
        "queues": [{"engine": "funasr-nano", "windows_waiting": 60, "windows_running": 2}],
    }
)
_A_FILTER = {"filter_with_signed": {"word_list": ["机密"]}, "system_reserved_filter": True}
_SAVED = {"masked": ["机密"], "removed": [], "system": True}
WORDS = described({**_BEGUN, **_SAVED, "special_word_filter": _A_FILTER})
_WORDS_OF_A_LIST = {"type": "array", "items": {"type": "string", "maxLength": 100}}
WORDS_BODY = _body(
    {
        "masked": {**_WORDS_OF_A_LIST, "description": "They become asterisks."},
        "removed": {**_WORDS_OF_A_LIST, "description": "They vanish."},
        "system": {"type": "boolean", "description": "Whether the operator's list counts, too."},
    },
    _SAVED,
)
WORDS_SAVED = described({**_BEGUN, **_SAVED, "special_word_filter": _A_FILTER}, {400: "A word is wrong, or too many"})

_A_MODEL = {
    "name": "fun-asr",
    "call": "async",
    "languages": ["zh", "en"],
    "engine": "pocketsphinx",
    "why": "stands in; own weights: dashscribe models pull funasr-nano",
    "pull": "dashscribe models pull funasr-nano",
    "runs": True,
}
_AVAILABLE = {
    "name": "funasr-nano",
    "family": "funasr-nano",
    "languages": ["zh", "en", "ja"],
    "license": "Apache-2.0",
    "command": "dashscribe models pull funasr-nano",
}
MODELS = described({**_BEGUN, "models": [_A_MODEL], "installed": [], "available": [_AVAILABLE]})
SUGGESTED = described(
    {
        **_BEGUN,
        "models": [
            {"name": "fun-asr", "call": "async", "engine": "funasr-nano"}
            | {"reasons": ["funasr-nano: the family's own weights", "a task"]}
        ],
        "ruled_out": [{"name": "qwen3-asr-flash", "reason": "takes up to 5 minutes, this has 60.0"}],
    },
    {400: "A member of the query is out of range or unknown"},
)
