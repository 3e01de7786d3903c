"""Models of the real formats through the whole program: command line, tasks, calls, streams.

The models are small: those of the generating families are made by hand and say one of a few fixed texts by loudness,
hotwords and language (training/HANDMADE.md), so that a test can tell whether sound and options arrived.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from generation_calls import events
from wire_origin import Origin
from wire_servers import Server, checked, start_server, stop_server

import dashscribe
from dashscribe.config import Settings
from media_files import write_wav
from plain_http import loopback
from small_models import Speak, install, samples_of

GENERATE = "/api/v1/services/aigc/multimodal-generation/generation"
LOUD = "我们用dash scribe和同义千问写了25条字幕。"
MEDIUM = "Hello world, this is a test."
SOFT = "今天天气不错，我们去公园吧。"
#: Loudness at which the handmade models say each of these, as a factor of espeak-ng's own.
GAINS = {LOUD: 1.0, MEDIUM: 0.25, SOFT: 0.03}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("models"), "qwen3-asr-tiny", "funasr-nano-tiny", "whisper-tiny")


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Server]:
    """A server that chooses among the handmade models by itself."""
    home = tmp_path_factory.mktemp("weighted") / "home"
    running = start_server(home, DASHSCRIBE_MODELS_DIR=str(models), DASHSCRIBE_ENGINE="")
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def said(speak: Speak) -> dict[str, Path]:
    """A recording for each text."""
    return {text: speak("en-us", "the same words, spoken louder or softer", gain=gain) for text, gain in GAINS.items()}


def call(server: Server, model: str, path: Path, **parameters: Any) -> httpx.Response:
    uri = "data:audio/wav;base64," + base64.b64encode(path.read_bytes()).decode()
    flash = "qwen3" not in model
    part = {"type": "input_audio", "input_audio": {"data": uri}} if flash else {"audio": uri}
    given = parameters | ({"format": "wav"} if flash else {})
    body = {"model": model, "input": {"messages": [{"role": "user", "content": [part]}]}, "parameters": given}
    headers = {"X-DashScope-SSE": "enable"} if parameters.get("incremental_output") is not None else {}
    with server.http() as http:
        return http.post(GENERATE, json=body, headers=headers)


def text_of(answer: dict[str, Any]) -> str:
    output = answer["output"]
    return output["text"] if "text" in output else output["choices"][0]["message"]["content"][0]["text"]


@pytest.mark.parametrize("text", GAINS)
@pytest.mark.parametrize(
    ("model", "engine"), [("qwen3-asr-flash", "qwen3-asr-tiny"), ("fun-asr-flash-2026-06-15", "funasr-nano-tiny")]
)
def test_a_call_runs_the_familys_own_weights(
    weighted: Server, said: dict[str, Path], model: str, engine: str, text: str
):
    response = call(weighted, model, said[text])
    answer = checked(response)
    assert text_of(answer) == text
    assert response.headers["x-dashscribe-engine"] == answer["dashscribe"]["engine"] == engine


def test_a_task_runs_the_familys_own_weights_and_says_that_times_are_approximate(
    weighted: Server, origin: Origin, said: dict[str, Path]
):
    (origin.folder / "medium.wav").write_bytes(said[MEDIUM].read_bytes())
    ended = weighted.wait(weighted.submit("fun-asr", f"{origin.url}/medium.wav"))
    assert ended["output"]["task_status"] == "SUCCEEDED", ended
    result = loopback.get(ended["output"]["results"][0]["transcription_url"]).json()
    assert result["transcripts"][0]["text"] == MEDIUM
    assert result["dashscribe"]["engine"] == "funasr-nano-tiny"
    (note,) = [note for note in result["dashscribe"]["notes"] if "approximate" in note]
    assert note.startswith("6 of 6 words have approximate times")


def test_command_line_and_library_say_the_same(models: Path, said: dict[str, Path]):
    env = os.environ | {"DASHSCRIBE_MODELS_DIR": str(models)}
    command = [sys.executable, "-m", "dashscribe", "transcribe", said[SOFT], "--model", "qwen3-asr-flash-filetrans"]
    done = subprocess.run([*command, "-f", "json"], env=env, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["transcripts"][0]["text"] == SOFT
    assert result["dashscribe"]["engine"] == "qwen3-asr-tiny"


def test_a_language_reaches_the_model(weighted: Server, said: dict[str, Path]):
    chinese = checked(call(weighted, "qwen3-asr-flash", said[MEDIUM], language="zh"))
    assert text_of(chinese) == "你好世界，这是一个测试。"
    english = checked(call(weighted, "qwen3-asr-flash", said[SOFT], language="en"))
    assert text_of(english) == "It is a nice day, let us go to the park."


def test_hotwords_reach_the_model_in_the_spelling_of_the_list(weighted: Server, said: dict[str, Path]):
    words = {"Dashscribe": 4, "通义千问": 5}
    answer = checked(call(weighted, "qwen-audio-3.1-asr-flash", said[LOUD], vocabulary=words))
    assert text_of(answer) == "我们用Dashscribe和通义千问写了25条字幕。"
    assert not any("hotwords had no effect" in note for note in answer["dashscribe"]["notes"])
    without = checked(call(weighted, "qwen-audio-3.1-asr-flash", said[LOUD]))
    assert text_of(without) == LOUD


def test_a_stream_tells_sentence_by_sentence(weighted: Server, speak: Speak):
    path = speak("en-us", "something to be said here", "and something more later", gain=0.25)
    told = events(call(weighted, "qwen3-asr-flash", path, incremental_output=True).text)
    pieces = [e.data["output"]["choices"][0]["message"]["content"] for e in told]
    assert "".join(part[0]["text"] for part in pieces if part) == f"{MEDIUM} {MEDIUM}"
    assert len(told) == 3


def test_what_runs_for_each_name_is_told(weighted: Server):
    ready = loopback.get(f"{weighted.url}/readyz").json()
    assert ready["models"]["fun-asr"] == {"engine": "funasr-nano-tiny", "why": "the family's own weights"}
    assert ready["models"]["paraformer-v2"]["why"].startswith("stands in; own weights: dashscribe models pull ")
    with weighted.http() as http:
        listed = {row["id"]: row["dashscribe"] for row in http.get("/v1/models").json()["data"]}
    assert listed["qwen3-asr-flash"]["engine"] == "qwen3-asr-tiny"
    assert "qwen3-asr-tiny" in weighted.log.read_text()


def test_what_no_engine_reads_is_refused_with_the_command_that_helps(weighted: Server, said: dict[str, Path]):
    with weighted.http() as http:
        body = {
            "model": "fun-asr",
            "input": {"file_urls": ["http://127.0.0.1/a"]},
            "parameters": {"language_hints": ["bg"]},
        }
        response = http.post(
            "/api/v1/services/audio/asr/transcription", json=body, headers={"X-DashScope-Async": "enable"}
        )
    refused = checked(response)
    assert (response.status_code, refused["code"]) == (404, "ModelNotFound")
    assert "`dashscribe models pull " in refused["message"]


@pytest.mark.parametrize("tone_hz", [500, 1_500])
def test_a_model_that_runs_away_fails_its_sound_with_the_reason_and_the_rest_goes_on(
    models: Path, speak: Speak, tmp_path: Path, tone_hz: int
):
    at = np.arange(16_000 * 8) / 16_000
    tone = (np.sin(2 * np.pi * tone_hz * at) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at)) * 12_000).astype(np.int16)
    speech = samples_of(speak("en-us", "words that are heard", gain=0.25))
    path = write_wav(tmp_path / "both.wav", np.concatenate([speech, tone, np.zeros(32_000, np.int16), speech])[None])
    settings = Settings(models_dir=models, engine="qwen3-asr-tiny")
    transcript = dashscribe.transcribe(path, settings=settings)
    assert MEDIUM in transcript.text
    reasons = {entry.reason for track in transcript.tracks for entry in track.ledger if entry.fate == "failed"}
    assert not reasons or any(
        "repet" in r or "truncat" in r or "cut off" in r or "cannot be said" in r for r in reasons
    )
    assert "watching. Thank you for watching. Thank" not in transcript.text
    assert "and then, and then, and then, and then" not in transcript.text
