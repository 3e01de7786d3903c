"""A proxy before an object store that does one thing wrong: answers with an error, cuts bodies, is slow.

Works on bytes, one request per connection, so that what is cut really is cut.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Fault:
    """What is wrong with a request, the ``number``-th (from 1) of those that ``concerns`` holds for."""

    concerns: Callable[[str], bool] = lambda line: True
    status: Callable[[int], int] = lambda number: 0  # answered instead of asking; 0 for none
    code: str = "SlowDown"
    cut_after: Callable[[int], int | None] = lambda number: None  # bytes of the answer, then the connection is closed
    cut_request_after: Callable[[int], int | None] = lambda number: None  # the same of what the client sends
    delay_s: Callable[[int], float] = lambda number: 0.0
    seen: list[str] = field(default_factory=list)  # the request lines it was asked about
    guard: threading.Lock = field(default_factory=threading.Lock)

    def number(self, line: str) -> int:
        """Which of the requests that it concerns this is, 0 if it does not."""
        with self.guard:
            if not self.concerns(line):
                return 0
            self.seen.append(line)
            return len(self.seen)


@contextmanager
def faulty_store(true_url: str, fault: Fault) -> Iterator[str]:
    """The address of a store that is like the one at ``true_url`` but for the fault."""
    upstream = (urlsplit(true_url).hostname, urlsplit(true_url).port)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    running = True

    def accept() -> None:
        while running:
            with suppress(OSError):
                client, _ = listener.accept()
                threading.Thread(target=_serve, args=(client, upstream, fault), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running = False
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(client: socket.socket, upstream: tuple[str | None, int | None], fault: Fault) -> None:
    with client, suppress(OSError):
        head, body = _head(client)
        if not head:
            return
        line = head.split(b"\r\n", 1)[0].decode()
        number = fault.number(line)
        if number:
            time.sleep(fault.delay_s(number))
            if status := fault.status(number):
                _answer(client, head, body, status, fault.code)
                return
        cut, cut_request = (fault.cut_after(number), fault.cut_request_after(number)) if number else (None, None)
        with socket.create_connection(upstream, 60) as server:
            kept = [row for row in head.split(b"\r\n") if not row.lower().startswith(b"connection:")]
            server.sendall(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
            sending = threading.Thread(target=_pipe, args=(client, server, cut_request), daemon=True)
            sending.start()
            _pipe(server, client, cut)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    got = b""
    while b"\r\n\r\n" not in got:
        more = client.recv(65536)
        if not more:
            return b"", b""
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body


def _answer(client: socket.socket, head: bytes, body: bytes, status: int, code: str) -> None:
    length = next((int(row[15:]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (more := client.recv(65536)):
        body += more
    text = f"<Error><Code>{code}</Code><Message>planted</Message></Error>".encode()
    client.sendall(
        b"HTTP/1.1 %d Planted\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (status, len(text), text)
    )


def _pipe(source: socket.socket, target: socket.socket, most: int | None) -> None:
    """Pass on what comes, up to so many bytes; then both are cut."""
    passed = 0
    with suppress(OSError):
        while more := source.recv(65536):
            if most is not None and passed + len(more) > most:
                target.sendall(more[: most - passed])
                for end in (source, target):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                return
            target.sendall(more)
            passed += len(more)
