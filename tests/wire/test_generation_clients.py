"""The official Python clients' synchronous calls: the oldest release that has them, the newest of both majors, v2."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from generation_calls import QWEN3
from wire_origin import Origin, burst, silence, write_wav
from wire_servers import Server

pytestmark = pytest.mark.filterwarnings("ignore:dashscope 2.0:FutureWarning")

CALLS = Path(__file__).with_name("sdk_generation.py")
#: Earlier releases make all the calls but one: they do not upload local recordings.
OLDEST = "1.13.0"


@pytest.fixture(scope="module")
def two(origin: Origin) -> Path:
    """A recording of two sentences, served by ``origin``."""
    path = origin.folder / "two.wav"
    write_wav(path, burst(2.6, 12) + silence(2.5) + burst(2.6, 13) + silence(0.5))
    return path


@pytest.fixture(scope="module", params=[OLDEST, "1", "2"])
def said(request: pytest.FixtureRequest, server: Server, origin: Origin, two: Path) -> dict[str, Any]:
    """What the class interface returned, call by call: a list of answers each."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCOPE_")}
    if request.param == OLDEST:
        env["PYTHONPATH"] = str(request.getfixturevalue("sdk_oldest"))
    elif request.param == "1":
        env["PYTHONPATH"] = str(request.getfixturevalue("sdk_1"))
    arguments = [server.api, server.key, origin("two.wav"), str(two)]
    done = subprocess.run(
        [sys.executable, CALLS, *arguments], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["version"].startswith(request.param)
    return said


def text(answer: dict[str, Any]) -> str:
    assert (answer["status_code"], answer["code"]) == (200, "")
    assert answer["request_id"]
    return "".join(part["text"] for part in answer["output"]["choices"][0]["message"]["content"])


def test_every_source_gives_the_text(said: dict[str, Any]):
    (url,) = said["url"]
    assert text(url).count(".") == 2
    assert text(url) == text(said["data uri"][0]) == text(said["qwen-audio-asr"][0])
    assert said["attributes"] == [text(url), "stop"]
    assert url["output"]["choices"][0]["message"]["annotations"][0]["language"] == "en"
    assert url["usage"]["seconds"] == 8


def test_local_files_are_uploaded_by_the_client(said: dict[str, Any]):
    assert text(said["file"][0]) == text(said["url"][0])


def test_the_input_audio_family_goes_through_the_same_class(said: dict[str, Any]):
    for name in ("flash", "flash data uri"):
        (answer,) = said[name]
        assert answer["status_code"] == 200
        assert answer["output"]["text"] == text(said["url"][0])
        assert answer["output"]["sentence"]["words"]
        assert answer["usage"]["duration"] == 9
    ends = [answer["output"]["sentence"]["sentence_end"] for answer in said["stream flash"]]
    assert ends == [False, True, False, True]


@pytest.mark.parametrize("source", ["http", "data"])
def test_streams_are_read_whatever_incremental_output_says(said: dict[str, Any], source: str):
    whole = text(said["url"][0])
    grown = [text(answer) for answer in said[f"stream absent {source}"]]
    assert grown[-1] == whole
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))
    assert "".join(text(answer) for answer in said[f"stream true {source}"]) == whole
    # Newer releases ask for pieces and put them together themselves.
    assert text(said[f"stream false {source}"][-1]) == whole
    for how in ("absent", "true", "false"):
        reasons = [a["output"]["choices"][0]["finish_reason"] for a in said[f"stream {how} {source}"]]
        assert reasons == ["null", "null", "stop"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("gone", 400, "InvalidParameter"),
        ("gone stream", 400, "InvalidParameter"),
        ("wrong key", 401, "InvalidApiKey"),
        ("wrong model", 404, "ModelNotFound"),
        ("no format", 400, "InvalidParameter"),
    ],
)
def test_refusals_arrive_with_code_and_message(said: dict[str, Any], name: str, status: int, code: str):
    (answer,) = said[name]
    assert (answer["status_code"], answer["code"]) == (status, code)
    assert answer["message"]


def test_asyncio_twin(said: dict[str, Any]):
    if "twin" not in said:
        pytest.skip(f"dashscope {said['version']} has no AioMultiModalConversation")
    assert text(said["twin"][0]) == text(said["url"][0])
    assert "".join(text(answer) for answer in said["twin stream"]) == text(said["url"][0])
    assert [answer["status_code"] for answer in said["twin gone"]] == [400]


# --- the v2 client --------------------------------------------------------------------------------------------------


def asked(source: dict[str, str]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "audio", **source}]}]


@pytest.fixture(scope="module")
def parts(origin: Origin, two: Path) -> list[dict[str, str]]:
    """The recording as the v2 client's messages may have it."""
    return [{"url": origin("two.wav")}, {"data": base64.b64encode(two.read_bytes()).decode(), "format": "wav"}]


def test_v2_answers_and_streams(server: Server, parts: list[dict[str, str]]):
    import dashscope  # a second of work, for the tests of its v2 client alone

    with dashscope.Client(api_key=server.key, base_url=server.api) as client:
        whole: set[str] = set()
        for part in parts:
            for stream in (False, True):
                how = {"asr_options": {"language": "en"}}
                answer = client.multimodal.chat.create(model=QWEN3, messages=asked(part), stream=stream, parameters=how)
                whole.add(v2_text(answer) if stream else answer.choices[0].message.content)
    assert len(whole) == 1
    assert whole.pop().count(".") == 2


def v2_text(chunks: Any) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_v2_refusals_raise(server: Server, origin: Origin):
    import dashscope
    from dashscope.v2.errors import DashScopeError

    with dashscope.Client(api_key=server.key, base_url=server.api) as client, pytest.raises(DashScopeError) as caught:
        client.multimodal.chat.create(model=QWEN3, messages=asked({"url": origin("404/gone.wav")}))
    assert caught.value.code == "InvalidParameter"
    assert caught.value.message.startswith("Failed to download multimodal content.")


def test_v2_asyncio_client(server: Server, parts: list[dict[str, str]]):
    import dashscope

    async def transcribe() -> tuple[str, str]:
        async with dashscope.AsyncClient(api_key=server.key, base_url=server.api) as client:
            chat = client.multimodal.chat
            whole = await chat.create(model=QWEN3, messages=asked(parts[0]))
            chunks = await chat.create(model=QWEN3, messages=asked(parts[0]), stream=True)
            return whole.choices[0].message.content, v2_text([chunk async for chunk in chunks])

    whole, streamed = asyncio.run(transcribe())
    assert whole == streamed != ""
