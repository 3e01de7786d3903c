"""A consumer of callbacks on loopback: answers by script, and checks signatures by code of its own.

``proved`` follows api-async section 8.2 alone and shares nothing with the library.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.event["id"]


class Consumer:
    """Answers requests with prepared statuses in turn, the last one for ever; ``on_event`` comes before the answer."""

    def __init__(self, *answers: int, port: int = 0) -> None:
        self.answers = list(answers or (200,))
        self.received: list[Received] = []
        self.on_event: Callable[[Received], None] = lambda event: None
        consumer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.path, headers, body, time.monotonic())
                consumer.received.append(received)
                status = consumer.answers.pop(0) if len(consumer.answers) > 1 else consumer.answers[0]
                consumer.on_event(received)
                if status == 0:  # break off without a word
                    self.close_connection = True
                    self.connection.close()
                    return
                try:
                    self.send_response(status)
                    if 300 <= status < 400:
                        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                    self.end_headers()
                    self.wfile.write(b"why: " + str(status).encode() * 400)
                except OSError:
                    pass  # whoever asked is gone

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/done?tenant=7"

    def wait(self, count: int, seconds: float = 20.0) -> list[Received]:
        """The requests, once there are so many."""
        until = time.monotonic() + seconds
        while len(self.received) < count:
            assert time.monotonic() < until, f"{len(self.received)} of {count} requests within {seconds} s"
            time.sleep(0.005)
        return list(self.received)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def proved(received: Received, url: str, certificate_pem: str) -> bool:
    """Whether a request is signed as documented; raises InvalidSignature where it is not."""
    names = ["timestamp", "hash-method", "version", "url", "token"]
    lines = [url]
    for name in names:
        header = f"x-eventbridge-{name}" if name == "hash-method" else f"x-eventbridge-signature-{name}"
        if header in received.headers:
            lines.append(f"{header}: {received.headers[header]}")
    signed = ("\n".join(lines) + "\n").encode() + received.body
    key = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    signature = base64.b64decode(received.headers["x-eventbridge-signature-v2"])
    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr, call-arg, arg-type]
    return True
