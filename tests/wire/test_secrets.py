"""What is a secret is written down nowhere: logs, errors, metrics, settings as shown, processes as listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from test_upload_routes import credential, fields, send
from wire_origin import Origin
from wire_servers import ASYNC, SUBMIT, checked, start_server, stop_server

KEY = "sk-hidden-server-key-4711"
ENDPOINT_KEY = "sk-hidden-endpoint-key-4712"
AWS = "hiddenAwsSecret4713"
WRONG = "sk-hidden-wrong-key-4714"
SIGNATURE = "hiddenSignature4715"
PASSWORD = "hiddenPassword4716"
QUERY_KEY = "hiddenQueryKey4717"


@pytest.fixture
def echoing() -> Iterator[str]:
    """An endpoint that refuses every call and repeats the key that it was sent, as some do."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            told = json.dumps({"error": {"message": f"bad key {self.headers.get('authorization')}"}}).encode()
            self.send_response(401)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_no_secret_is_written_down(tmp_path: Path, echoing: str) -> None:
    variables = {
        "DASHSCRIBE_API_KEY": KEY,
        "DASHSCRIBE_OPENAI_URL": echoing,
        "DASHSCRIBE_OPENAI_API_KEY": ENDPOINT_KEY,
        "DASHSCRIBE_ENGINE": "openai",
        "DASHSCRIBE_OPENAI_TIMEOUT_S": "2",
        "DASHSCRIBE_LOG_FORMAT": "json",
        "DASHSCRIBE_DEBUG": "1",
        "AWS_SECRET_ACCESS_KEY": AWS,
    }
    (tmp_path / "origin").mkdir()
    server = start_server(tmp_path / "home", **variables)
    secrets = {KEY, ENDPOINT_KEY, AWS, WRONG, SIGNATURE, PASSWORD, QUERY_KEY}
    try:
        with Origin(tmp_path / "origin") as origin, httpx.Client(base_url=server.url, timeout=60) as http:
            answers = visited(http, origin, secrets)
            seen = processes(server.process.pid)
            answers += [http.get("/metrics").text, http.get("/readyz").text]
        answers += [command(tmp_path / "home", variables, *words) for words in (["config"], ["config", "--json"])]
        answers.append(command(tmp_path / "home", variables, "doctor", "--json"))
    finally:
        stop_server(server)
    log = server.log.read_text()
    assert "failed" in log, "something has to be logged for this test to mean anything"
    for secret in secrets:
        assert secret not in log, [line for line in log.splitlines() if secret in line]
        assert not [text for text in seen if secret in text], secret
    for secret in (KEY, ENDPOINT_KEY, AWS, WRONG):
        assert not [text for text in answers if secret in text], secret


def visited(http: httpx.Client, origin: Origin, secrets: set[str]) -> list[str]:
    """The bodies of calls that succeed and fail in many ways; new secrets are added as they come up."""
    mine = {"Authorization": f"Bearer {KEY}"}
    lent = http.post("/api/v1/tokens", headers=mine).json()["token"]
    secrets.add(lent)
    data = credential(_With(http, mine))
    assert send(http, data, fields(data)).status_code == 200
    ticket = urlsplit(data["upload_host"]).path.rpartition("/")[2].partition("-")[2]  # what follows may have a "-", too
    assert len(ticket) > 20, data["upload_host"]
    secrets |= {data["signature"], ticket}
    host = origin.url.removeprefix("http://")
    urls = [
        f"{origin.url}/a.wav?Expires=1&OSSAccessKeyId=x&Signature={SIGNATURE}",
        f"{origin.url}/404/x.wav?Signature={SIGNATURE}&token={QUERY_KEY}",
        f"{origin.url}/page.html?X-Amz-Signature={SIGNATURE}",
        f"http://me:{PASSWORD}@{host}/403/a.wav",
        f"http://me:{PASSWORD}@10.0.0.1/a.wav?api_key={QUERY_KEY}",
        f"http://me:{PASSWORD}@{host}:99999/a.wav",
        f"ftp://me:{PASSWORD}@{host}/a.wav",
    ]
    body = {"model": "fun-asr", "input": {"file_urls": urls}}
    submitted = http.post(SUBMIT, json=body, headers=mine | ASYNC)
    task_id = checked(submitted)["output"]["task_id"]
    deadline = time.monotonic() + 90
    while (ended := checked(http.get(f"/api/v1/tasks/{task_id}", headers=mine)))["output"]["task_metrics"][
        "FAILED"
    ] < 6:
        assert time.monotonic() < deadline, ended  # the last one waits for the endpoint, which is down
        time.sleep(0.2)
    sync = {"model": "qwen3-asr-flash", "input": {"messages": [{"role": "user", "content": [{"audio": urls[0]}]}]}}
    generation = "/api/v1/services/aigc/multimodal-generation/generation"
    responses = [
        http.get("/api/v1/tasks", headers={"Authorization": f"Bearer {WRONG}"}),
        http.get("/v1/models", headers={"Authorization": f"Bearer {WRONG}"}),
        http.get("/api/v1/tasks", headers={"Authorization": WRONG}),
        http.get("/api/v1/tasks", params={"api_key": QUERY_KEY}, headers={"Authorization": f"Bearer {lent}"}),
        http.post(SUBMIT, content=b'{"api_key": "' + WRONG.encode(), headers=mine | ASYNC),
        http.post(generation, json=sync, headers=mine),
        http.post("/v1/chat/completions", json={"model": "x", "messages": []}, headers=mine),
        http.post("/v1/audio/transcriptions", headers=mine, data={"model": "whisper-1"}, files={"file": b"RIFFx"}),
        http.get("/results/x/0.json", params={"Signature": SIGNATURE, "Expires": "1", "OSSAccessKeyId": "x"}),
        http.post("/oss-upload/1-" + QUERY_KEY, files={"file": b"x"}, data={"policy": QUERY_KEY}),
    ]
    return [json.dumps(ended), submitted.text, *(response.text for response in responses)]


class _With:
    """A client that sends headers along."""

    def __init__(self, http: httpx.Client, headers: dict[str, str]) -> None:
        self._http, self._headers = http, headers

    def get(self, path: str, **how: object) -> httpx.Response:
        return self._http.get(path, headers=self._headers, **how)  # type: ignore[arg-type]


def processes(pid: int) -> list[str]:
    """Titles, command lines and, of those that decode, variables of the server's processes."""
    told: list[str] = []
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, OSError):  # it ends just now
            line = process.cmdline()
            told += [process.name(), *line]
            if "--role" in line:
                told.append(Path(f"/proc/{process.pid}/environ").read_text())
    assert any("media" in text for text in told), "no child that decodes was looked at"
    return told


def command(home: Path, variables: dict[str, str], *words: str) -> str:
    """All that a command prints."""
    env = os.environ | variables | {"DASHSCRIBE_HOME": str(home)}
    program = Path(sys.executable).with_name("dashscribe")
    done = subprocess.run([program, *words], env=env, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_settings_that_are_refused_do_not_show_what_was_given(tmp_path: Path) -> None:
    variables = {
        "DASHSCRIBE_OPENAI_URL": f"https://me:{PASSWORD}@gpu.example/v1?token={QUERY_KEY}",
        "DASHSCRIBE_WORKERS": "many",
    }
    (tmp_path / "config.toml").write_text(f'api_kye = "{WRONG}"\n')
    told = command(tmp_path, variables | {"DASHSCRIBE_DEBUG": "1"}, "config")
    assert "unusable settings" in told
    assert "'many'" in told
    for secret in (PASSWORD, QUERY_KEY, WRONG):
        assert secret not in told
