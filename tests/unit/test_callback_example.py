"""The example in examples/ takes what a server signs, once, and nothing else."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from dashscribe.db import open_database
from dashscribe.notify.signing import SigningKeys, signed_headers

EXAMPLE = Path(__file__).parents[2] / "examples" / "callback_consumer.py"


def serve(handler: type[BaseHTTPRequestHandler]) -> tuple[ThreadingHTTPServer, str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


def test_example_takes_an_event_once_and_refuses_what_is_not_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    specification = importlib.util.spec_from_file_location("callback_consumer_example", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    example: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    keys = SigningKeys(open_database(f"sqlite:///{tmp_path}/a.db"))
    certificate = (keys.certificate(keys.current().fingerprint) or "").encode()

    class Certificates(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(certificate)

        def log_message(self, *arguments: object) -> None:
            pass

    taken: list[str] = []
    monkeypatch.setattr(example, "handle", lambda event: taken.append(event.task_id))
    monkeypatch.setattr(example.Consumer, "log_message", lambda *arguments: None)
    (consumer, url), (server, base) = serve(example.Consumer), serve(Certificates)
    monkeypatch.setattr(example, "URL", f"{url}/asr-done")
    monkeypatch.setattr(example, "SERVER", base)
    body = json.dumps({"id": "e-1", "type": "t", "data": {"task_id": "t-1", "task_status": "SUCCEEDED"}}).encode()
    headers = signed_headers(keys.current(), base, f"{url}/asr-done", body)
    post = partial(httpx.post, f"{url}/asr-done", timeout=60)
    statuses = [post(content=body, headers=headers).status_code for _ in range(2)]
    statuses.append(post(content=body + b" ", headers=headers).status_code)
    statuses.append(post(content=body).status_code)
    assert statuses == [204, 204, 401, 401]
    assert taken == ["t-1"]
    for running in (consumer, server):
        running.shutdown()
        running.server_close()
