"""Two servers that share a database and a bucket and nothing else, as behind a load balancer, and their worker."""

from __future__ import annotations

import hashlib
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from wire_origin import Origin
from wire_servers import ASYNC, SUBMIT, Server, checked, poll, start_server, stop_server

from object_store import ObjectStore
from plain_http import loopback

UPLOADS = "/dashscribe/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


@contextmanager
def two_servers(folder: Path, bucket: str) -> Iterator[tuple[Server, Server]]:
    """The first one works, the second one only answers; each has a home of its own."""
    shared = {"DASHSCRIBE_STORE_URL": bucket, "DASHSCRIBE_DATABASE_URL": f"sqlite:///{folder / 'shared.db'}"}
    working = start_server(folder / "one", **shared)
    try:
        answering = start_server(folder / "two", "--no-worker", **shared)
        try:
            yield working, answering
        finally:
            stop_server(answering)
    finally:
        stop_server(working)


class Balancer:
    """Sends each request to the next server."""

    def __init__(self, *servers: Server) -> None:
        self._clients = itertools.cycle([server.http() for server in servers])

    def __call__(self, method: str, path: str, **how: Any) -> httpx.Response:
        return next(self._clients).request(method, path, **how)


def test_uploads_and_tasks_go_through_any_server(tmp_path: Path, bucket: str, origin: Origin):
    content = (origin.folder / "b.wav").read_bytes()
    with two_servers(tmp_path, bucket) as servers:
        call = Balancer(*servers)
        address = urlsplit(
            call("POST", UPLOADS, headers=TUS | {"Upload-Length": str(len(content))}).headers["location"]
        ).path
        at = 0
        while at < len(content):
            piece = content[at : at + 40_000]
            answer = call("PATCH", address, headers=PIECE | {"Upload-Offset": str(at)}, content=piece)
            assert answer.status_code == 204, answer.text
            at = int(answer.headers["upload-offset"])
        upload = unquote(answer.headers["dashscribe-upload-url"])
        body = {"model": "fun-asr", "input": {"file_urls": [upload, f"{origin.url}/a.wav"]}}
        task_id = checked(call("POST", SUBMIT, json=body, headers=ASYNC))["output"]["task_id"]
        results = poll(lambda: checked(call("GET", f"/api/v1/tasks/{task_id}")))["output"]["results"]
        assert [result["subtask_status"] for result in results] == ["SUCCEEDED", "SUCCEEDED"]
        for result in results:
            url = result["transcription_url"]
            assert url.startswith(tuple(server.url for server in servers))  # ours, not the bucket's
            path = url.removeprefix(next(server.url for server in servers if url.startswith(server.url)))
            answers = [loopback.get(server.url + path) for server in servers]
            assert answers[0].json()["transcripts"][0]["sentences"]
            assert answers[0].content == answers[1].content
        store = ObjectStore(os.environ["AWS_ENDPOINT_URL"])
        until = time.monotonic() + 60
        while any("/windows" in key for key in store.keys(bucket)):  # they go a little after the end
            assert time.monotonic() < until
            time.sleep(0.1)
        keys = store.keys(bucket)
        assert {key.split("/")[0] for key in keys} == {"uploads", "tasks"}
        for server in servers:
            assert not (server.home / "store").exists()
            assert "Traceback" not in server.log.read_text()


def test_upload_goes_on_at_another_server_when_one_is_killed(tmp_path: Path, bucket: str, origin: Origin):
    content = (origin.folder / "b.wav").read_bytes()
    with ExitStack() as stack:
        one, two = stack.enter_context(two_servers(tmp_path, bucket))
        killed, other = stack.enter_context(two.http()), stack.enter_context(one.http())
        database = stack.enter_context(closing(sqlite3.connect(tmp_path / "shared.db", timeout=60)))
        address = urlsplit(
            killed.post(UPLOADS, headers=TUS | {"Upload-Length": str(len(content))}).headers["location"]
        ).path
        killed.patch(address, headers=PIECE | {"Upload-Offset": "0"}, content=content[:40_000])

        def endless() -> Iterator[bytes]:
            yield content[40_000:50_000]
            until = time.monotonic() + 60
            while not database.execute("SELECT locked_until_ms FROM uploads").fetchone()[0]:
                assert time.monotonic() < until, "the server does not take the piece"
                time.sleep(0.05)
            two.process.kill()
            two.process.wait()
            with database:  # its lease of 15 s would end while a slow machine gets as far as the next call
                database.execute("UPDATE uploads SET locked_until_ms = locked_until_ms + 600000")
            yield content[50_000:60_000]

        with pytest.raises(httpx.TransportError):
            killed.patch(address, headers=PIECE | {"Upload-Offset": "40000"}, content=endless())
        rest = {"headers": PIECE | {"Upload-Offset": "40000"}, "content": content[40_000:]}
        assert other.patch(address, **rest).status_code == 423
        with database:
            database.execute("UPDATE uploads SET locked_until_ms = 1")  # the lease of the dead one ends
        answer = other.patch(address, **rest)
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(content)))
        (upload,) = checked(other.get(UPLOADS))["uploads"]
        assert upload["complete"]
        stored = ObjectStore(os.environ["AWS_ENDPOINT_URL"]).read(f"{bucket}/uploads")
        assert hashlib.sha256(stored).digest() == hashlib.sha256(content).digest()
