"""Submit calls that bring their recording along or name uploads, and the command line that uploads local files."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from wire_origin import Origin
from wire_servers import ASYNC, SUBMIT, Desk, Server, assert_refused, checked, poll, start_server, stop_server

from dashscribe.client import Client, sending
from plain_http import loopback

FILETRANS = "qwen3-asr-flash-filetrans"


def data_uri(origin: Origin) -> str:
    return "data:audio/wav;base64," + base64.b64encode((origin.folder / "a.wav").read_bytes()).decode()


def handed_in(http: Any, body: dict[str, Any], **headers: str) -> httpx.Response:
    return http.post(SUBMIT, json=body, headers=ASYNC | headers)


# --- input_audio ------------------------------------------------------------------------------------------------------


def test_recording_inside_the_call_is_transcribed(server: Server, origin: Origin):
    with server.http() as http:
        task_id = checked(handed_in(http, {"model": FILETRANS, "input_audio": {"data": data_uri(origin)}}))["output"]
        answer = poll(lambda: checked(http.get(f"/api/v1/tasks/{task_id['task_id']}")))
    assert answer["output"]["task_status"] == "SUCCEEDED"
    result = loopback.get(answer["output"]["result"]["transcription_url"]).json()
    assert result["file_url"].startswith("oss://dashscope-instant/")
    assert result["transcripts"][0]["text"]


def test_url_inside_input_audio_is_a_source(server: Server, origin: Origin):
    with server.http() as http:
        body = {"model": FILETRANS, "input_audio": {"data": origin("a.wav")}}
        task_id = checked(handed_in(http, body))["output"]["task_id"]
    assert server.wait(task_id)["output"]["task_status"] == "SUCCEEDED"


def test_recording_of_ten_megabytes_is_taken(desk: Desk):
    encoded = base64.b64encode(os.urandom(7_800_000)).decode()
    assert len(encoded) <= 10 * 1024**2
    body = {"model": FILETRANS, "input_audio": {"data": "data:audio/wav;base64," + encoded}}
    assert checked(handed_in(desk.http, body))["output"]["task_status"] == "PENDING"
    (upload,) = checked(desk.http.get("/dashscribe/v1/uploads"))["uploads"]
    assert upload["size"] == 7_800_000


def test_repeated_recording_with_the_same_key_gives_the_same_task(desk: Desk, origin: Origin):
    body = {"model": FILETRANS, "input_audio": {"data": data_uri(origin)}}
    ids = {checked(handed_in(desk.http, body, **{"Idempotency-Key": "k"}))["output"]["task_id"] for _ in range(2)}
    assert len(ids) == 1
    body["input_audio"] = {"data": "data:audio/wav;base64,AAAA"}
    assert_refused(handed_in(desk.http, body, **{"Idempotency-Key": "k"}), 409, "Conflict", "")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"model": "fun-asr", "input_audio": {"data": "data:audio/wav;base64,AAAA"}}, "BadRequest.EmptyInput"),
        ({"model": FILETRANS, "input_audio": None}, "BadRequest.EmptyInput"),
        ({"model": FILETRANS, "input_audio": "data:audio/wav;base64,AAAA"}, "InvalidParameter"),
        ({"model": FILETRANS, "input_audio": {}}, "InvalidParameter"),
        ({"model": FILETRANS, "input_audio": {"data": 5}}, "InvalidParameter"),
        ({"model": FILETRANS, "input_audio": {"data": "a.wav"}}, "InvalidParameter"),
        ({"model": "no-model", "input_audio": {"data": "data:,"}}, "ModelNotFound"),
        ({"model": FILETRANS, "input_audio": {"data": "data:audio/wav;base64,???"}}, "InvalidParameter"),
        ({"model": FILETRANS, "input_audio": {"data": "data:audio/wav,AAAA"}}, "InvalidParameter"),
        ({"model": FILETRANS, "input_audio": {"data": "data:audio/wav;base64,"}}, "InvalidParameter"),
    ],
)
def test_bad_recording_is_refused_and_nothing_is_kept(desk: Desk, body: dict[str, Any], code: str):
    response = handed_in(desk.http, body)
    assert response.status_code in (400, 404)
    assert checked(response)["code"] == code
    assert checked(desk.http.get("/dashscribe/v1/uploads"))["total"] == 0


def test_input_audio_beside_input_is_named_as_without_effect(desk: Desk):
    answer = checked(desk.submit(input_audio={"data": "data:audio/wav;base64,AAAA"}))
    assert any("input_audio" in note for note in answer["dashscribe"]["notes"])


# --- the header -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("strict") / "home", DASHSCRIBE_STRICT_OSS="true")
    yield running
    stop_server(running)


@pytest.mark.parametrize("model", ["fun-asr", FILETRANS])
def test_strict_server_wants_the_header_for_uploads(strict: Server, origin: Origin, model: str):
    tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    content = (origin.folder / "a.wav").read_bytes()
    with strict.http() as http:
        made = http.post("/dashscribe/v1/uploads", headers=tus | {"Upload-Length": str(len(content))}, content=content)
        url = made.headers["dashscribe-upload-url"]
        body = {"model": model, "input": {"file_url": url} if model == FILETRANS else {"file_urls": [url]}}
        ids = [
            checked(handed_in(http, body, **headers))["output"]["task_id"]
            for headers in ({}, {"X-DashScope-OssResourceResolve": "enable"})
        ]
    refused, good = (strict.wait(task_id)["output"] for task_id in ids)
    assert good["task_status"] == "SUCCEEDED"
    assert refused["code"] == ("FILE_DOWNLOAD_FAILED" if model == FILETRANS else "InvalidFile.DownloadFailed")
    assert "X-DashScope-OssResourceResolve: enable" in refused["message"]


# --- the command line -------------------------------------------------------------------------------------------------


def test_client_sends_the_form_to_a_server_without_tus(server: Server, origin: Origin, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "PATH", "/no/such/path")
    file = origin.folder / "a.wav"
    seen: list[tuple[int, int]] = []
    with Client(server.url, server.key) as client:
        urls = [client.upload(file, FILETRANS, lambda sent, total: seen.append((sent, total))) for _ in range(2)]
        task = client.submit(FILETRANS, urls[:1])
        assert client.wait(task.id).task.status == "SUCCEEDED"
    assert urls[0] != urls[1]
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)


def test_command_line_transcribes_local_files(server: Server, origin: Origin, tmp_path: Path):
    local = tmp_path / "会议 1.wav"
    local.write_bytes((origin.folder / "a.wav").read_bytes())
    command = [Path(sys.executable).with_name("dashscribe"), "tasks", "submit", str(local), origin("b.wav"), "--wait"]
    env = os.environ | {"DASHSCOPE_HTTP_BASE_URL": server.api, "DASHSCOPE_API_KEY": server.key}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("result    http") == 2
    assert "file      oss://dashscope-instant/" in done.stdout
    assert "会议 1.wav" in done.stdout
