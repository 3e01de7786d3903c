"""A little file server for the sounds, so that sources can be http URLs; it says whether anybody fetched from it."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any

from dashscribe.conformance.sounds import sounds


class Origin:
    """Serves ``/<sound>.wav``; ``/403/…`` is forbidden, ``/page.html`` is no sound, everything else is not found."""

    def __init__(self, host: str, port: int) -> None:
        """Listen at once; port 0 is any free one. Raises OSError."""
        self.fetched = threading.Event()
        fetched = self.fetched

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fetched.set()
                status, kind, body = _answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads a log of this server."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _answer(target: str) -> tuple[HTTPStatus, str, bytes]:
    path = PurePosixPath(target.partition("?")[0])
    if path.parts[1:2] == ("403",):
        return HTTPStatus.FORBIDDEN, "text/plain", b"forbidden"
    if path.name == "page.html":
        return HTTPStatus.OK, "text/html", b"<!doctype html><title>No sound</title>"
    sound = sounds().get(path.stem)
    if sound is None:
        return HTTPStatus.NOT_FOUND, "text/plain", b"not found"
    return HTTPStatus.OK, "audio/wav", sound
