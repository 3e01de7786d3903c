"""A user with curl: the commands of the service's pages, with the host changed; and clients ruder than curl."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from wire_origin import Origin
from wire_servers import Server, poll


def headers(server: Server, *more: str) -> list[str]:
    sent = (f"Authorization: Bearer {server.key}", "Content-Type: application/json", *more)
    return [argument for header in sent for argument in ("-H", header)]


def test_submit_query_and_download(server: Server, origin: Origin, curl: Callable[..., str], tmp_path: Path):
    body = {
        "model": "qwen3-asr-flash-filetrans",
        "input": {"file_url": origin("a.wav")},
        "parameters": {"channel_id": [0], "enable_itn": False, "enable_words": True},
    }
    path = f"{server.api}/services/audio/asr/transcription"
    asynchronous = headers(server, "X-DashScope-Async: enable")
    submitted = json.loads(curl("-X", "POST", path, *asynchronous, "-d", json.dumps(body)))
    task = f"{server.api}/tasks/{submitted['output']['task_id']}"
    answer = poll(lambda: json.loads(curl("-X", "GET", task, *asynchronous)))
    assert answer["output"]["task_status"] == "SUCCEEDED"
    saved = tmp_path / "transcription.json"
    curl("-sS", answer["output"]["result"]["transcription_url"], "-o", str(saved))
    assert json.loads(saved.read_text(encoding="utf-8"))["transcripts"][0]["sentences"][0]["words"]


def test_query_by_post_with_an_empty_body(server: Server, origin: Origin, curl: Callable[..., str]):
    task_id = server.submit("paraformer-v2", origin("a.wav"))
    answer = json.loads(curl("-X", "POST", f"{server.api}/tasks/{task_id}", *headers(server)))
    assert answer["output"]["task_id"] == task_id


def test_form_content_type_that_curl_sends_by_itself(server: Server, origin: Origin, curl: Callable[..., str]):
    body = json.dumps({"model": "fun-asr", "input": {"file_urls": [origin("a.wav")]}})
    path = f"{server.api}/services/audio/asr/transcription"
    key = ("-H", f"Authorization: bearer {server.key}", "-H", "x-dashscope-async: ENABLE")
    assert json.loads(curl("--location", path, *key, "--data", body))["output"]["task_status"] == "PENDING"


def test_forgotten_headers_are_explained(server: Server, curl: Callable[..., str]):
    path = f"{server.api}/services/audio/asr/transcription"
    assert json.loads(curl("-X", "POST", path))["code"] == "InvalidApiKey"
    assert json.loads(curl("-X", "POST", path, *headers(server), "-d", "{}"))["code"] == "AccessDenied"


def test_head_of_a_result(server: Server, origin: Origin, curl: Callable[..., str]):
    answer = server.wait(server.submit("fun-asr", origin("a.wav")))
    head = curl("--head", answer["output"]["results"][0]["transcription_url"]).lower()
    assert head.startswith("http/1.1 200")
    assert "content-type: application/json; charset=utf-8" in head


def test_http_1_0_client_without_a_host_gets_working_urls(server: Server, origin: Origin, curl: Callable[..., str]):
    task_id = server.submit("fun-asr", origin("a.wav"))
    server.wait(task_id)
    raw = curl("--http1.0", "-H", "Host:", f"{server.api}/tasks/{task_id}", *headers(server))
    url = json.loads(raw)["output"]["results"][0]["transcription_url"]
    assert json.loads(curl(url))["file_url"] == origin("a.wav")


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /api/v1/services/audio/asr/transcription HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"X-DashScope-Async: enable\r\nContent-Length: 1000\r\n\r\n{",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    ],
    ids=["hangs up in the body", "hangs up in the head", "speaks TLS", "sends odd bytes"],
)
def test_a_rude_client_leaves_no_trace_in_the_log(server: Server, sent: bytes):
    begin = server.log.stat().st_size
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), 60) as connection:
        connection.sendall(sent.replace(b"%s", server.key.encode()))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
    with server.http() as http:
        assert http.get("/healthz").status_code == 200
    assert b"Traceback" not in server.log.read_bytes()[begin:]
