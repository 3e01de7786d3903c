"""A server that answers by script, for tests of what talks to one."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

URL = "https://media.example.net/a.wav"
SUBMITTED = (200, {"request_id": "r-1", "output": {"task_id": "t-1", "task_status": "PENDING"}})


def task(status: str, **output: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"request_id": "r-2", "output": {"task_id": "t-1", "task_status": status, **output}}


class Script:
    """Answers requests with prepared answers in turn, the last one for ever; notes what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                is_json = "json" in headers.get("content-type", "")
                script.seen.append((self.command, self.path, headers, json.loads(body) if is_json else body or None))
                status, answer, *more = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
                if status == 0:  # break the connection without a word
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_HEAD = do_PATCH = do_DELETE = do_OPTIONS = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}/api/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
