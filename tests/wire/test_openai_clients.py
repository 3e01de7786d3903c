"""OpenAI's clients believe us: Python's and Node's, the oldest that the service's guides allow and the newest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from wire_origin import Origin
from wire_servers import Server, start_server, stop_server

from dashscribe.catalog import MODELS

HERE = Path(__file__).parent
TEXT = "River larch quill quill quill islet."
ANNOTATIONS = [{"type": "audio_info", "language": "en", "emotion": "neutral"}]


def arguments(server: Server, origin: Origin) -> list[str]:
    sound = origin.folder / "a.wav"
    return [f"{server.url}/compatible-mode/v1", f"{server.url}/v1", server.key, origin("a.wav"), str(sound)]


def run(*command: str | Path, env: dict[str, str] | None = None) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(command, env=clean | (env or {}), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["1.52.0", "newest"])
def said(request: pytest.FixtureRequest, server: Server, origin: Origin) -> dict[str, Any]:
    """What Python's client returned, call by call."""
    oldest = request.param == "1.52.0"
    env = {"PYTHONPATH": str(request.getfixturevalue("openai_1_52"))} if oldest else {}
    said = run(sys.executable, HERE / "openai_calls.py", *arguments(server, origin), env=env)
    assert said["version"] == ("1.52.0" if oldest else version("openai"))
    return said


@pytest.mark.parametrize("name", ["chat", "chat data", "twin chat"])
def test_a_chat_gives_the_text(said: dict[str, Any], name: str):
    (choice,) = said[name]["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (TEXT, "stop")
    (annotation,) = choice["message"]["annotations"]
    assert annotation | ANNOTATIONS[0] == annotation  # newer releases add members of their own
    usage = said[name]["usage"]
    assert (usage["prompt_tokens_details"]["audio_tokens"], usage["seconds"]) == (95, 3)


@pytest.mark.parametrize("name", ["chat stream", "chat stream without usage", "twin stream"])
def test_a_chat_stream_adds_up_to_the_text(said: dict[str, Any], name: str):
    chunks = list(said[name])
    if name == "chat stream":
        last = chunks.pop()
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] > last["usage"]["prompt_tokens"] == 95
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas) == TEXT
    assert [chunk["choices"][0].get("finish_reason") for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert deltas[1]["annotations"] == ANNOTATIONS
    assert all(chunk["usage"] is None for chunk in chunks)


def test_models_are_listed_and_found(said: dict[str, Any]):
    assert said["models"] == list(MODELS)
    assert said["model"]["id"] == "qwen3-asr-flash"


def test_a_file_gives_every_form(said: dict[str, Any]):
    assert said["file json"]["text"] == TEXT
    assert said["twin file"]["text"] == TEXT
    assert said["file hints"]["text"] == TEXT
    assert said["file text"] == f"{TEXT}\n"
    assert said["file srt"].startswith("1\n00:00:00,200 --> ")
    assert said["file vtt"].startswith("WEBVTT\n\n00:00:00.200 --> ")
    verbose = said["file verbose_json"]
    assert (verbose["text"], verbose["language"], float(verbose["duration"])) == (TEXT, "english", 3.8)
    assert verbose["segments"][0]["end"] == 3.2
    assert [word["word"] for word in said["file words"]["words"]][:2] == ["River", "larch"]


def test_a_file_stream_adds_up_to_the_text(said: dict[str, Any]):
    if "file stream" not in said:
        assert said["version"] == "1.52.0"
        pytest.skip("this release does not stream files")
    *deltas, done = said["file stream"]
    assert "".join(event["delta"] for event in deltas) == done["text"] == TEXT
    assert done["usage"]["type"] == "tokens"


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("wrong key", "AuthenticationError", 401, "invalid_api_key"),
        ("wrong key list", "AuthenticationError", 401, "invalid_api_key"),
        ("unknown model", "NotFoundError", 404, "model_not_found"),
        ("other model", "BadRequestError", 400, "invalid_parameter_error"),
        ("no such model", "NotFoundError", 404, "model_not_found"),
        ("missing source", "BadRequestError", 400, "invalid_parameter_error"),
        ("missing source stream", "BadRequestError", 400, "invalid_parameter_error"),
        ("wrong language", "BadRequestError", 400, "invalid_parameter_error"),
        ("no sound", "BadRequestError", 400, "invalid_parameter_error"),
        ("translation", "BadRequestError", 400, "not_implemented"),
        ("unknown path", "NotFoundError", 404, "not_found"),
    ],
)
def test_a_refusal_is_the_right_exception(said: dict[str, Any], name: str, kind: str, status: int, code: str):
    error = said[name]
    assert (error["class"], error["status"], error["code"]) == (kind, status, code)
    assert error["request_id"]
    assert error["message"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes files up to 1 MB."""
    running = start_server(tmp_path_factory.mktemp("small") / "home", DASHSCRIBE_MAX_FILE_BYTES=str(1024**2))
    yield running
    stop_server(running)


def test_a_file_that_is_too_large_is_told_so(small: Server):
    import openai  # a second of work, for this test alone

    client = openai.OpenAI(api_key=small.key, base_url=f"{small.url}/v1", max_retries=0)
    for megabytes in (2, 60):
        with pytest.raises(openai.APIStatusError) as refused:
            client.audio.transcriptions.create(file=("a.wav", b"\0" * megabytes * 1024**2), model="whisper-1")
        assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")


@pytest.fixture(scope="module")
def node(server: Server, origin: Origin, openai_node: Path) -> dict[str, Any]:
    """What Node's client returned, call by call."""
    return run("node", HERE / "openai_calls.mjs", openai_node, *arguments(server, origin))


def test_node_chats(node: dict[str, Any]):
    for name in ("chat", "data"):
        message = node[name]["choices"][0]["message"]
        assert (message["content"], message["annotations"]) == (TEXT, ANNOTATIONS)
        assert not any("extra_body" in note for note in node[name]["dashscribe"]["notes"])
    *chunks, usage = node["stream"]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == TEXT
    assert (usage["choices"], usage["usage"]["seconds"]) == ([], 3)


def test_node_transcribes_files(node: dict[str, Any]):
    assert node["json"]["text"] == TEXT
    assert node["text"] == f"{TEXT}\n"
    assert node["verbose_json"]["segments"][0]["text"] == TEXT
    assert node["models"] == list(MODELS)


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("wrong key", "AuthenticationError", 401, "invalid_api_key"),
        ("unknown model", "NotFoundError", 404, "model_not_found"),
        ("no sound", "BadRequestError", 400, "invalid_parameter_error"),
    ],
)
def test_node_gets_the_right_exception(node: dict[str, Any], name: str, kind: str, status: int, code: str):
    assert [node[name][member] for member in ("class", "status", "code")] == [kind, status, code]


def test_curl_as_the_guides_have_it(server: Server, origin: Origin, curl: Callable[..., str], tmp_path: Path):
    key = ["-H", f"Authorization: Bearer {server.key}"]
    part = {"type": "input_audio", "input_audio": {"data": origin("a.wav")}}
    body = {
        "model": "qwen3-asr-flash",
        "messages": [{"content": [part], "role": "user"}],
        "stream": False,
        "asr_options": {"enable_itn": False},
    }
    chat = f"{server.url}/compatible-mode/v1/chat/completions"
    said = curl("-X", "POST", chat, *key, "-H", "Content-Type: application/json", "-d", json.dumps(body))
    assert json.loads(said)["choices"][0]["message"]["content"] == TEXT
    form = ["-F", f"file=@{origin.folder / 'a.wav'}", "-F", "model=whisper-1", "-F", "response_format=text"]
    assert curl(f"{server.url}/v1/audio/transcriptions", *key, *form) == f"{TEXT}\n"
