"""The server as an operator meets it: a process that is started, used with curl's means, stopped and started again."""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import ports

FINAL = {"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"}
PATIENCE_S = 180.0


@dataclass
class Serving:
    """A running server: its process, its address, and what it printed at the start."""

    process: subprocess.Popen[str]
    base_url: str
    greeting: str
    log: Path

    @property
    def key(self) -> str:
        """The key that it made, which it prints once."""
        (key,) = re.findall(r"sk-[0-9a-f]{20,}", self.greeting)
        return key

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def call(method: str, url: str, key: str = "", body: object = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "X-DashScope-Async": "enable"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def submit(server: Serving, key: str, *urls: str) -> str:
    body = {"model": "fun-asr", "input": {"file_urls": urls}, "parameters": {}}
    status, answer = call("POST", f"{server.base_url}/api/v1/services/audio/asr/transcription", key, body)
    assert status == 200, answer
    return answer["output"]["task_id"]


def told(server: Serving, key: str, task_id: str) -> dict[str, Any]:
    return call("GET", f"{server.base_url}/api/v1/tasks/{task_id}", key)[1]


def ended(server: Serving, key: str, task_id: str) -> dict[str, Any]:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        output = told(server, key, task_id)["output"]
        if output["task_status"] in FINAL:
            return output
        time.sleep(0.1)
    raise AssertionError(f"task {task_id} did not end: {output}\n{server.log.read_text()}")


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def serve(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Serving]]:
    """Start a server on the test's own home and wait for its greeting."""
    with servers(tmp_path, free_port) as start:
        yield start


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server for all tests that leave it as it is; its key is configured."""
    folder = tmp_path_factory.mktemp("running")
    with servers(folder, ports.free_port()) as start:
        yield start(DASHSCRIBE_HOME=str(folder / "home"), DASHSCRIBE_API_KEY="sk-from-the-environment")


@contextmanager
def servers(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Serving]]:
    """Starts servers on a port and waits for their greetings; all are killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> Serving:
        log = tmp_path / f"server-{len(running)}.log"
        environment = os.environ | {
            "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1",
            "DASHSCRIBE_ENGINE": "standin",
            "DASHSCRIBE_WORKERS": "1",
            **variables,
        }
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "dashscribe", "serve", "--port", str(free_port), *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        running.append(process)
        assert process.stdout is not None
        greeting = ""
        for line in process.stdout:
            greeting += line
            if "/docs" in line:
                return Serving(process, f"http://127.0.0.1:{free_port}", greeting, log)
        raise AssertionError(f"the server ended with {process.wait(10)}:\n{greeting}{log.read_text()}")

    yield start
    for process in running:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[str]:
    """URL of a recording whose noise passes for speech."""
    folder = tmp_path / "media"
    folder.mkdir()
    rng = np.random.default_rng(3)
    at_s = np.arange(6 * 16_000) / 16_000
    # Voice-like: a buzz at 120 Hz with formants, in syllables.
    buzz = sum(np.sin(2 * np.pi * 120 * k * at_s) / k for k in range(1, 25))
    samples = buzz * (np.sin(2 * np.pi * 3 * at_s) > -0.3) * 4000 + rng.normal(0, 60, len(at_s))
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.clip(-32768, 32767).astype("<i2").tobytes())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a.wav"
    server.shutdown()
    server.server_close()


def test_first_start_prints_a_key_once_and_it_tasks_and_result_urls_outlive_the_process(
    serve: Callable[..., Serving], sound: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)  # by hand, as many do
    first = serve()
    key = first.key
    assert f"DASHSCOPE_HTTP_BASE_URL={first.base_url}/api/v1" in first.greeting
    assert "standin for fun-asr, " in first.greeting
    assert f"{first.base_url}/  (" in first.greeting  # for people
    assert call("GET", f"{first.base_url}/api/v1/tasks/", key)[0] == 200
    assert call("GET", f"{first.base_url}/api/v1/tasks/", "sk-wrong")[0] == 401
    task_id = submit(first, key, sound)
    before = ended(first, key, task_id)
    assert before["task_status"] == "SUCCEEDED", before
    url = before["results"][0]["transcription_url"]
    result = call("GET", url)[1]
    assert result["file_url"] == sound
    assert result["transcripts"][0]["sentences"]
    assert first.stop() == 0
    assert home.stat().st_mode & 0o777 == 0o755
    assert (home / "store").stat().st_mode & 0o777 == 0o700
    assert not [path for path in home.rglob("*") if path.stat().st_mode & 0o077]

    second = serve()
    assert "sk-" not in second.greeting
    assert call("GET", f"{second.base_url}/api/v1/tasks/", key)[0] == 200
    assert told(second, key, task_id)["output"] == before
    assert call("GET", url) == (200, result)


def test_configured_key_works_and_is_not_printed(running: Serving) -> None:
    assert "sk-from" not in running.greeting
    assert call("GET", f"{running.base_url}/api/v1/tasks/", "sk-from-the-environment")[0] == 200


def test_embedded_engine_says_what_can_be_expected_of_it(serve: Callable[..., Serving]) -> None:
    assert "US English only, about 28 % word errors" in serve(DASHSCRIBE_ENGINE="").greeting


def test_task_that_was_interrupted_goes_on_with_the_next_start(serve: Callable[..., Serving], sound: str) -> None:
    first = serve(DASHSCRIBE_STANDIN_DELAY_MS="60000")
    key = first.key
    task_id = submit(first, key, sound)
    end_s = time.monotonic() + PATIENCE_S
    while told(first, key, task_id)["output"]["task_status"] == "PENDING":
        assert time.monotonic() < end_s
        time.sleep(0.05)
    assert first.stop() == 0
    assert ended(serve(), key, task_id)["task_status"] == "SUCCEEDED"


def test_server_is_ready_and_says_so(running: Serving) -> None:
    assert call("GET", f"{running.base_url}/healthz")[0] == 200
    status, answer = call("GET", f"{running.base_url}/readyz")
    assert status == 200, answer


def test_server_starts_without_what_it_may_never_need(running: Serving) -> None:
    loaded = Path(f"/proc/{running.process.pid}/maps").read_text()
    assert "pydantic_core" in loaded  # as libraries that it needs show there
    assert not [name for name in ("/numpy/", "/av/", "/cryptography/") if name in loaded]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_within_seconds_though_a_connection_is_open(
    number: int, serve: Callable[..., Serving], free_port: int
) -> None:
    server = serve()
    with socket.create_connection(("127.0.0.1", free_port)) as idle:
        idle.sendall(
            b"POST /api/v1/services/audio/asr/transcription HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n{"
        )
        time.sleep(0.2)
        begun = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - begun < 20
    assert "Traceback" not in server.log.read_text()


def test_second_signal_ends_the_server_at_once(serve: Callable[..., Serving], sound: str) -> None:
    server = serve(DASHSCRIBE_STANDIN_DELAY_MS="60000")
    task_id = submit(server, server.key, sound)
    end_s = time.monotonic() + PATIENCE_S
    # Once sound is being recognized, an orderly stop takes the worker's whole grace of some seconds.
    while not told(server, server.key, task_id).get("dashscribe", {}).get("progress", {}).get("total_ms"):
        assert time.monotonic() < end_s
        time.sleep(0.05)

    def hears() -> bool:
        with suppress(psutil.Error):
            return any("asr" in child.cmdline() for child in psutil.Process(server.process.pid).children())
        return False

    while not hears():
        assert time.monotonic() < end_s
        time.sleep(0.05)
    server.process.send_signal(signal.SIGINT)
    port = int(server.base_url.rpartition(":")[2])

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    while is_open():  # it closes once the first signal is heeded; the worker's grace of seconds follows
        assert time.monotonic() < end_s
        time.sleep(0.02)
    assert server.stop(signal.SIGINT) == 128 + signal.SIGINT


def test_request_whose_head_never_ends_is_cut_off(running: Serving) -> None:
    sent = 0
    port = int(running.base_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as endless:
        endless.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Endless: ")
        with pytest.raises(ConnectionError):
            while sent < 100_000_000:
                endless.sendall(b"a" * 100_000)
                sent += 100_000
    assert call("GET", f"{running.base_url}/healthz")[0] == 200


def test_taken_port_is_an_error_that_names_it(running: Serving, tmp_path: Path) -> None:
    port = running.base_url.rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "dashscribe", "serve", "--port", port],
        env=os.environ | {"DASHSCRIBE_HOME": str(tmp_path / "another")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 1
    assert f"port {port} is taken" in second.stderr
    assert "sk-" not in second.stdout
    assert not (tmp_path / "another").exists()


def test_second_worker_of_one_home_is_refused_but_a_server_without_one_is_not(
    serve: Callable[..., Serving], sound: str
) -> None:
    first = serve()
    port = ports.free_port()
    refused = subprocess.run(
        [sys.executable, "-m", "dashscribe", "serve", "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 1
    assert "--no-worker" in refused.stderr
    second = serve("--no-worker", "--port", str(port))
    second.base_url = f"http://127.0.0.1:{port}"
    task_id = submit(second, first.key, sound)
    assert ended(second, first.key, task_id)["task_status"] == "SUCCEEDED"
