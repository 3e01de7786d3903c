"""The two servers that tests talk to, and what every answer of theirs must be like."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from dashscribe.config import Settings
from dashscribe.db import open_database
from dashscribe.hosts import Hosts
from dashscribe.store import open_store
from dashscribe.wire.app import Parts, create_app
from laid_database import lay
from plain_http import client, loopback
from ports import free_port

KEY = "sk-wire-tests"
SUBMIT = "/api/v1/services/audio/asr/transcription"
ASYNC = {"X-DashScope-Async": "enable"}
FINAL = {"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"}


def assert_no_null(value: Any, where: str = "$") -> None:
    """Java's parser fails at a null where it expects an object or an array: members are left out instead."""
    assert value is not None, f"null at {where}"
    if isinstance(value, dict):
        for name, inner in value.items():
            assert_no_null(inner, f"{where}.{name}")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            assert_no_null(inner, f"{where}[{index}]")


def checked(response: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer of any kind, which has a request id in body and header and holds no null."""
    assert "application/json" in response.headers["content-type"]
    body = response.json()
    assert_no_null(body)
    assert body["request_id"] == response.headers["x-request-id"]
    assert UUID(body["request_id"])
    return body


#: Changes to the query of a signed URL, each of which makes another URL of it.
TAMPERED: list[dict[str, str]] = [
    {"Signature": ""},
    {"Signature": "0" * 64},
    {"Signature": "é"},
    {"Expires": ""},
    {"Expires": "9999999999"},
    {"Expires": "x"},
    {"Expires": "9" * 50},
    {"Expires": "-1"},
]


def assert_refused(response: httpx.Response, status: int, code: str, text: str) -> dict[str, Any]:
    """The service's error envelope and nothing else; the message begins with the service's fixed text."""
    body = checked(response)
    assert set(body) == {"request_id", "code", "message"}
    assert (response.status_code, body["code"]) == (status, code)
    assert body["message"].startswith(text), body["message"]
    return body


@dataclass(frozen=True)
class Desk:
    """The application in this process; ``http`` sends the key of owner ``default`` unless told otherwise."""

    http: TestClient
    app: FastAPI
    parts: Parts
    engine: Engine
    ready: dict[str, str]
    woken: list[None]

    def submit(self, body: Any = None, *, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
        """Post a submit call for a good body with some members replaced, or exactly ``body``."""
        good = {"model": "fun-asr", "input": {"file_urls": ["https://media.example.net/a.wav"]}}
        return self.http.post(SUBMIT, json=good | members if body is None else body, headers=ASYNC | (headers or {}))

    def task(self, **members: Any) -> str:
        """Submit and give the task id."""
        return checked(self.submit(**members))["output"]["task_id"]

    def query(self, task_id: str, **how: Any) -> dict[str, Any]:
        """Query a task."""
        return checked(self.http.get(f"/api/v1/tasks/{task_id}", **how))


@contextmanager
def open_desk(home: Path, **changes: Any) -> Iterator[Desk]:
    """The application in this process; ``changes`` are settings."""
    settings = Settings(home=home, api_key=KEY, engine="standin", **changes)
    engine = open_database(lay(settings.resolved_database_url))
    hosts = Hosts(settings, slots=1, express_slots=1)
    ready: dict[str, str] = {}
    woken: list[None] = []
    parts = Parts.over(
        settings,
        engine,
        open_store(settings),
        hosts,
        secret="a secret of these tests",
        wake=lambda: woken.append(None),
        ready=lambda: ready,
    )
    app = create_app(parts)
    with TestClient(app, headers={"Authorization": f"Bearer {KEY}"}) as http:
        yield Desk(http, app, parts, engine, ready, woken)
    hosts.close()
    engine.dispose()


async def in_pieces(
    desk: Desk, method: str, path: str, receive: Callable[[], Awaitable[dict[str, Any]]], **headers: str
) -> httpx.Response:
    """The answer to a request whose body comes as ``receive`` has it; the key is sent unless told otherwise."""
    named = {"authorization": f"Bearer {KEY}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await desk.app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=content)


@dataclass(frozen=True)
class Server:
    """The whole program, listening on ``url``."""

    url: str
    key: str
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.home.with_suffix(".log")

    @property
    def api(self) -> str:
        """What official clients take as their base URL."""
        return f"{self.url}/api/v1"

    def http(self) -> httpx.Client:
        """A plain client that sends the key."""
        return client(self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=120)

    def submit(self, model: str, *urls: str, parameters: dict[str, Any] | None = None) -> str:
        """Submit and give the task id."""
        given = {"file_url": urls[0]} if "filetrans" in model and len(urls) == 1 else {"file_urls": list(urls)}
        body = {"model": model, "input": given, "parameters": parameters or {}}
        with self.http() as http:
            return checked(http.post(SUBMIT, json=body, headers=ASYNC))["output"]["task_id"]

    def wait(self, task_id: str) -> dict[str, Any]:
        """Query until the task has ended."""
        with self.http() as http:
            return poll(lambda: checked(http.get(f"/api/v1/tasks/{task_id}")))


def poll(query: Callable[[], dict[str, Any]], within_s: float = 300) -> dict[str, Any]:
    """Repeat a query until its task has ended."""
    deadline = time.monotonic() + within_s
    while (body := query())["output"]["task_status"] not in FINAL:
        assert time.monotonic() < deadline, f"the task did not end: {body}"
        time.sleep(0.1)
    return body


def start_server(home: Path, *arguments: str, port: int = 0, **settings: str) -> Server:
    """Start ``dashscribe serve`` with more arguments and variables, and wait until it is ready.

    ``port`` 0 takes a free one.
    """
    port = port or free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DASHSCRIBE_", "DASHSCOPE_"))}
    env = {
        "DASHSCRIBE_HOME": str(home),
        "DASHSCRIBE_API_KEY": KEY,
        "DASHSCRIBE_ENGINE": "standin",
        "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1/32",
        "DASHSCRIBE_WORKERS": "2",
    }
    program = Path(sys.executable).with_name("dashscribe")
    lay(settings.get("DASHSCRIBE_DATABASE_URL") or f"sqlite:///{home / 'dashscribe.db'}")
    log = home.with_suffix(".log").open("wb")
    process = subprocess.Popen(
        [program, "serve", "--port", str(port), *arguments],
        env=clean | env | settings,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, home.with_suffix(".log").read_text()
        try:
            if loopback.get(f"{url}/readyz", timeout=30).status_code == 200:
                return Server(url, KEY, home, process)
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"the server is not ready: {home.with_suffix('.log').read_text()}")


def stop_server(server: Server) -> None:
    server.process.terminate()
    try:
        server.process.wait(60)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise
