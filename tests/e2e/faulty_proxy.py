"""A server with a planted fault: a proxy before a true one that changes one thing, streams included."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

#: Headers that concern one connection, or that the proxy writes anew.
HOP = {"connection", "content-length", "transfer-encoding", "keep-alive", "date", "server"}


@dataclass
class Answer:
    """What the true server answered to a request; a fault changes it in place. ``body`` is None for what is no JSON."""

    method: str
    path: str
    has_key: bool
    status: int
    body: Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, the form that must notice it, and the field that must be named.

    ``line`` changes a line of a stream, or drops it (None).
    """

    name: str
    form: str
    field: str
    answer: Callable[[Answer], None] = lambda answer: None
    line: Callable[[bytes], bytes | None] = lambda line: line


@contextmanager
def faulty(true_url: str, fault: Fault) -> Iterator[str]:
    """The address of a server that is like the one at ``true_url`` but for the fault."""
    with httpx.Client(base_url=true_url, timeout=60, trust_env=False) as upstream:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Proxy, upstream, fault))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()


class Proxy(BaseHTTPRequestHandler):
    """Forwards one connection's requests, and answers with the fault in them."""

    protocol_version = "HTTP/1.1"

    def __init__(self, upstream: httpx.Client, fault: Fault, *connection: Any) -> None:
        self.upstream, self.fault = upstream, fault
        super().__init__(*connection)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def forward(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # The Host header goes on as it came, so that URLs which the server mints lead through here.
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        request = self.upstream.build_request(self.command, self.path, headers=headers, content=content)
        answer = self.upstream.send(request, stream=True)
        with suppress(OSError):  # the client may have gone
            if "event-stream" in answer.headers.get("content-type", ""):
                self.stream(answer)
            else:
                self.whole(answer)
        answer.close()

    do_GET = do_POST = do_DELETE = forward

    def stream(self, answer: httpx.Response) -> None:
        self.head(answer, answer.status_code)
        self.send_header("Connection", "close")
        self.end_headers()
        rest = b""
        for chunk in answer.iter_bytes():
            *lines, rest = (rest + chunk).split(b"\n")
            changed = [self.fault.line(line) for line in lines]
            self.wfile.write(b"".join(line + b"\n" for line in changed if line is not None))
        self.close_connection = True

    def whole(self, answer: httpx.Response) -> None:
        content = answer.read()
        is_json = "json" in answer.headers.get("content-type", "")
        has_key = "Authorization" in self.headers
        told = Answer(self.command, self.path, has_key, answer.status_code, json.loads(content) if is_json else None)
        self.fault.answer(told)
        if is_json:
            content = json.dumps(told.body).encode()
        self.head(answer, told.status)
        if told.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def head(self, answer: httpx.Response, status: int) -> None:
        self.send_response(status)
        for name, value in answer.headers.items():
            if name not in HOP:
                self.send_header(name, value)
