"""Generation calls of both families, and what comes back as events."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from wire_origin import burst, silence, write_wav
from wire_servers import assert_no_null

GENERATE = "/api/v1/services/aigc/multimodal-generation/generation"
STREAM = {"X-DashScope-SSE": "enable"}
QWEN3, FLASH = "qwen3-asr-flash", "fun-asr-flash-2026-06-15"
#: How a model's message carries the recording.
DIALECT = {QWEN3: "audio", "qwen-audio-asr": "audio", "qwen3-asr-flash-us": "audio"}
EVERY_FAMILY = [QWEN3, "qwen-audio-asr", FLASH, "qwen-audio-3.1-asr-flash"]


def data_uri(sound: bytes, kind: str = "audio/wav") -> str:
    return f"data:{kind};base64,{base64.b64encode(sound).decode()}"


def part(model: str, audio: Any) -> dict[str, Any]:
    """The recording, as this model's family has it."""
    if DIALECT.get(model) == "audio":
        return {"audio": audio}
    return {"type": "input_audio", "input_audio": {"data": audio}}


def user(model: str, audio: Any) -> dict[str, Any]:
    return {"role": "user", "content": [part(model, audio)]}


def call(model: str, audio: Any, *, messages: list[Any] | None = None, **parameters: Any) -> dict[str, Any]:
    """A good body; ``messages`` come before the one with the recording."""
    if DIALECT.get(model) != "audio":
        parameters = {"format": "wav", "sample_rate": "16000"} | parameters
    said = [*(messages or []), user(model, audio)]
    return {"model": model, "input": {"messages": said}, "parameters": parameters}


def heard(body: dict[str, Any]) -> str:
    """The text of an answer of either family."""
    output = body["output"]
    return output["choices"][0]["message"]["content"][0]["text"] if "choices" in output else output["text"]


@dataclass(frozen=True)
class Event:
    id: int
    name: str
    lines: list[str]
    data: dict[str, Any]


def events(text: str) -> list[Event]:
    """The events of a stream, which has the service's form to the byte; comments between them are left out."""
    found: list[Event] = []
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        lines = block.split("\n")
        if lines == [":keep-alive"]:
            continue
        assert lines[0] == f"id:{len(found) + 1}"
        assert lines[-1].startswith("data:{")
        found.append(
            Event(len(found) + 1, lines[1].removeprefix("event:"), lines, json.loads(lines[-1].removeprefix("data:")))
        )
    return found


def stream(http: httpx.Client, body: dict[str, Any]) -> list[Event]:
    """Send a call for a stream; every event is a result."""
    response = http.post(GENERATE, json=body, headers=STREAM)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = events(response.text)
    assert [event.lines[1:3] for event in found] == [["event:result", ":HTTP_STATUS/200"]] * len(found)
    assert all(len(event.lines) == 4 for event in found)
    assert {event.data["request_id"] for event in found} == {response.headers["x-request-id"]}
    for event in found:
        assert_no_null(event.data)
    return found


def sounds(folder: Path) -> dict[str, bytes]:
    """Recordings for data URIs: one sentence, two of them, none, and one longer than five minutes."""
    write_wav(folder / "one.wav", silence(0.4) + burst(2.6, 11) + silence(0.6))
    write_wav(folder / "two.wav", burst(2.6, 12) + silence(2.5) + burst(2.6, 13) + silence(0.5))
    write_wav(folder / "none.wav", silence(1.5))
    write_wav(folder / "stereo.wav", burst(2.2, 14) + silence(0.8), silence(3))
    return {path.stem: path.read_bytes() for path in folder.glob("*.wav")}
