"""Downloads against a local server that misbehaves on purpose: what arrives is whole, what cannot says why."""

import gzip
import hashlib
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dashscribe import fetch as module
from dashscribe.config import Settings, load
from dashscribe.errors.sources import (
    ContentLengthError,
    DownloadFailedError,
    FileTooLargeError,
    SourceAddressError,
    SourceForbiddenError,
    SourceNotFoundError,
    SourceServerError,
    SourceUrlError,
)
from dashscribe.fetch import Fetched, Probe, fetch, head
from dashscribe.fetch import origin as requests

BODY = random.Random(7).randbytes(3_000_000)
ETAG = {"ETag": '"v1"', "Content-Type": "audio/wav"}


class Origin:
    """A server whose paths are functions; remembers the requests it got."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.paths: dict[str, Callable[[Any], None]] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.stop = threading.Event()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                self.close_connection = True
                origin.paths.get(self.path.partition("?")[0], lambda h: answer(h, 404))(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda request, client_address: None  # clients hang up on purpose here
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def gets(self, path: str) -> list[dict[str, str]]:
        return [headers for method, seen, headers in self.seen if method == "GET" and seen.partition("?")[0] == path]

    def close(self) -> None:
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()


def answer(
    handler: Any, status: int, headers: dict[str, str] | None = None, body: bytes = b"", length: int | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def serving(body: bytes = BODY, headers: dict[str, str] = ETAG) -> Callable[[Any], None]:
    return lambda handler: answer(handler, 200, headers, body)


def breaking(
    cuts: list[int], body: bytes = BODY, headers: dict[str, str] = ETAG, ranges: bool = True
) -> Callable[[Any], None]:
    """Sends only so many bytes on each request in turn, all on later ones; honors Range and If-Range if ``ranges``."""

    def handle(handler: Any) -> None:
        begin, wanted = 0, handler.headers.get("Range")
        if ranges and wanted and handler.headers.get("If-Range") in headers.values():
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            span = {"Content-Range": f"bytes {begin}-{len(body) - 1}/{len(body)}"}
            handler.send_response(206)
        else:
            span = {}
            handler.send_response(200)
        for name, value in {**headers, **span, "Content-Length": str(len(body) - begin)}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[begin:][: cuts.pop(0)] if cuts else body[begin:])

    return handle


@pytest.fixture
def origin() -> Iterator[Origin]:
    server = Origin()
    yield server
    server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(home=tmp_path / "home", fetch_allow="127.0.0.1", max_file_bytes=10_000_000, fetch_timeout_s=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


class Pauses(list[float]):
    """Takes the place of sleeping: notes how long it would have been."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def get(settings: Settings, folder: Path, pauses: Pauses) -> Callable[..., Fetched]:
    def run(url: str, **changes: Any) -> Fetched:
        options = {name: changes.pop(name) for name in ("on_bytes", "resolver", "trust_host") if name in changes}
        return fetch(url, folder, settings=settings.model_copy(update=changes), sleep=pauses, **options)

    return run


def is_whole(fetched: Fetched, body: bytes = BODY) -> bool:
    return (
        fetched.path.read_bytes() == body
        and fetched.size_bytes == len(body)
        and fetched.sha256 == hashlib.sha256(body).hexdigest()
    )


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_file_arrives_whole_with_its_size_checksum_and_type(
    origin: Origin, get: Callable[..., Fetched], folder: Path
) -> None:
    origin.paths["/a.wav"] = serving()
    calls: list[tuple[int, int | None]] = []
    fetched = get(origin.url("/a.wav"), on_bytes=lambda done, total: calls.append((done, total)))
    assert is_whole(fetched)
    assert fetched.path.parent == folder
    assert (fetched.status, fetched.content_type, fetched.final_url) == (200, "audio/wav", origin.url("/a.wav"))
    assert calls[-1][1] == len(BODY)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_web_page_arrives_with_its_type(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"<html>", {"Content-Type": "text/html"})
    assert get(origin.url("/a.wav")).content_type == "text/html"


def test_empty_file_arrives(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"")
    assert is_whole(get(origin.url("/a.wav")), b"")


def test_body_of_unknown_length_arrives(origin: Origin, get: Callable[..., Fetched]) -> None:
    def chunked(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(BODY), 700_000):
            piece = BODY[at : at + 700_000]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    origin.paths["/a.wav"] = chunked
    assert is_whole(get(origin.url("/a.wav")))


def test_host_name_that_is_no_proper_idn_is_asked_for_as_it_is(origin: Origin, get: Callable[..., Fetched]) -> None:
    with pytest.raises(SourceNotFoundError, match="xn--a answered 404"):
        get(origin.url("/a.wav", "xn--a"), resolver=lambda host, port: ["127.0.0.1"])


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/a b.wav", "/a%20b.wav"),
        ("/a%20b.wav", "/a%20b.wav"),
        ("/a%2Fb.wav", "/a%2Fb.wav"),
        ("/你好.wav", "/%E4%BD%A0%E5%A5%BD.wav"),
        ("/%E4%BD%A0好 1.wav", "/%E4%BD%A0%E5%A5%BD%201.wav"),
        ("/100%.wav", "/100%25.wav"),
        ("/a+b.wav?sig=x%2By+z%3D&t=ü", "/a+b.wav?sig=x%2By+z%3D&t=%C3%BC"),
        ("/a.wav#part", "/a.wav"),
    ],
)
def test_url_is_percent_encoded_where_it_is_not_yet(
    path: str, seen: str, origin: Origin, get: Callable[..., Fetched]
) -> None:
    origin.paths[seen.partition("?")[0]] = serving(b"x")
    get(origin.url(path))
    assert origin.seen[-1][1] == seen


def test_international_host_name_is_asked_for_in_its_ascii_form(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"x")
    get(origin.url("/a.wav", "bücher.example"), resolver=lambda host, port: ["127.0.0.1"])
    assert origin.seen[-1][2]["host"] == f"xn--bcher-kva.example:{origin.port}"


def test_user_and_password_of_the_url_are_sent_but_not_reported(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"x")
    fetched = get(f"http://me:p%40ss@127.0.0.1:{origin.port}/a.wav")
    assert origin.seen[-1][2]["authorization"] == "Basic bWU6cEBzcw=="
    assert fetched.final_url == origin.url("/a.wav")


def test_proxy_of_the_environment_is_ignored(
    origin: Origin, get: Callable[..., Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    origin.paths["/a.wav"] = serving(b"x")
    assert is_whole(get(origin.url("/a.wav")), b"x")


# --- compressed though not asked for ---------------------------------------------------------------------------------


def test_compressed_body_is_unpacked(origin: Origin, get: Callable[..., Fetched]) -> None:
    packed = gzip.compress(BODY[:1_000_000]) + gzip.compress(BODY[1_000_000:])  # two members are one file
    origin.paths["/a.wav"] = serving(packed, {"Content-Encoding": "gzip"})
    assert is_whole(get(origin.url("/a.wav")))
    assert origin.seen[-1][2]["accept-encoding"] == "identity"


def test_compressed_bomb_is_refused_at_the_limit(origin: Origin, get: Callable[..., Fetched], folder: Path) -> None:
    origin.paths["/a.wav"] = serving(gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"})
    largest: list[int] = []
    with pytest.raises(FileTooLargeError, match="DASHSCRIBE_MAX_FILE_BYTES"):
        get(origin.url("/a.wav"), on_bytes=lambda done, total: largest.append(done))
    assert max(largest) <= 10_000_000
    assert not list(folder.iterdir())


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd"])
def test_other_encodings_are_refused(encoding: str, origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"x", {"Content-Encoding": encoding})
    with pytest.raises(DownloadFailedError, match="Content-Encoding"):
        get(origin.url("/a.wav"))


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(BODY)[:-500]])
def test_damaged_compression_is_an_error(
    body: bytes, origin: Origin, get: Callable[..., Fetched], folder: Path
) -> None:
    origin.paths["/a.wav"] = serving(body, {"Content-Encoding": "gzip"})
    with pytest.raises(DownloadFailedError, match="gzip"):
        get(origin.url("/a.wav"))
    assert not list(folder.iterdir())


# --- statuses and tries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "tries"),
    [
        (401, SourceForbiddenError, 1),
        (403, SourceForbiddenError, 1),
        (404, SourceNotFoundError, 1),
        (410, SourceNotFoundError, 1),
        (400, DownloadFailedError, 1),
        (405, DownloadFailedError, 1),
        (204, DownloadFailedError, 1),
        (304, DownloadFailedError, 1),
        (429, DownloadFailedError, module.TRIES),
        (500, SourceServerError, module.TRIES),
        (503, SourceServerError, module.TRIES),
    ],
)
def test_status_decides_the_error_and_whether_it_is_tried_again(
    status: int, error: type[Exception], tries: int, origin: Origin, get: Callable[..., Fetched], folder: Path
) -> None:
    origin.paths["/a.wav"] = lambda handler: answer(handler, status)
    with pytest.raises(DownloadFailedError, match=f"127.0.0.1 answered {status}") as caught:
        get(origin.url("/a.wav"))
    assert type(caught.value) is error
    assert len(origin.gets("/a.wav")) == tries
    assert not list(folder.iterdir())


def test_server_that_recovers_is_tried_again_after_growing_pauses(
    origin: Origin, get: Callable[..., Fetched], pauses: Pauses
) -> None:
    statuses = [500, 502, 503]
    origin.paths["/a.wav"] = lambda handler: answer(handler, statuses.pop(0)) if statuses else serving()(handler)
    assert is_whole(get(origin.url("/a.wav")))
    assert 1.5 < sum(pauses) < 10


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("3600", 30, 30),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
        ("Thu, 01 Jan 1970 00:00:00 -0000", 0, 0),
        ("Fri, 01 Jan 2100 00:00:00", 30, 30),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 30, 30),
        ("Fri, 01 Jan 2100 00:00:00 +9999999999999999999", 0.5, 1),
        ("9" * 5000, 30, 30),
        ("soon", 0.5, 1),
    ],
)
def test_retry_after_is_honored_within_bounds(
    asked: str, least: float, most: float, origin: Origin, get: Callable[..., Fetched], pauses: Pauses
) -> None:
    first = [429]
    origin.paths["/a.wav"] = lambda handler: (
        answer(handler, first.pop(), {"Retry-After": asked}) if first else serving(b"x")(handler)
    )
    get(origin.url("/a.wav"))
    assert least <= sum(pauses) <= most


def test_refused_connection_is_tried_again_and_named(get: Callable[..., Fetched], pauses: Pauses) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DownloadFailedError, match=r"127\.0\.0\.1 failed: .*refused"):
        get(f"http://127.0.0.1:{port}/a.wav")
    assert len(pauses) >= module.TRIES - 1


def test_answer_that_is_no_http_is_a_download_failure(get: Callable[..., Fetched]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            for _ in range(module.TRIES):
                connection, _ = server.accept()
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                connection.close()

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        with pytest.raises(DownloadFailedError, match=r"the connection to 127\.0\.0\.1 failed"):
            get(f"http://127.0.0.1:{server.getsockname()[1]}/a.wav")
        thread.join(5)


# --- broken off and resumed ------------------------------------------------------------------------------------------


def test_broken_download_goes_on_where_it_stopped(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = breaking([1_000_000, 500_000])
    fetched = get(origin.url("/a.wav"))
    assert is_whole(fetched)
    assert fetched.status == 206
    requests = origin.gets("/a.wav")
    assert [r.get("range") for r in requests] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert {r.get("if-range") for r in requests[1:]} == {'"v1"'}


def test_last_modified_serves_where_there_is_no_strong_tag(origin: Origin, get: Callable[..., Fetched]) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    origin.paths["/a.wav"] = breaking([1_000_000], headers={"ETag": 'W/"v1"', "Last-Modified": date})
    assert is_whole(get(origin.url("/a.wav")))
    assert origin.gets("/a.wav")[1]["if-range"] == date


def test_file_without_a_validator_begins_anew(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = breaking([1_000_000], headers={})
    assert is_whole(get(origin.url("/a.wav")))
    assert [r.get("range") for r in origin.gets("/a.wav")] == [None, None]


def test_tag_that_cannot_be_sent_back_is_none(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = breaking([1_000_000], headers={"ETag": '"v\xe9"'})
    assert is_whole(get(origin.url("/a.wav")))
    assert [r.get("range") for r in origin.gets("/a.wav")] == [None, None]


def test_origin_that_ignores_ranges_is_read_from_the_beginning(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = breaking([1_000_000, 2_000_000], ranges=False)
    fetched = get(origin.url("/a.wav"))
    assert is_whole(fetched)
    assert fetched.status == 200


def test_file_that_changed_between_the_tries_is_not_mixed(origin: Origin, get: Callable[..., Fetched]) -> None:
    new = BODY[::-1]

    def handle(handler: Any) -> None:
        if len(origin.gets("/a.wav")) == 1:
            breaking([1_000_000])(handler)
        else:
            breaking([], body=new, headers={"ETag": '"v2"'})(handler)

    origin.paths["/a.wav"] = handle
    assert is_whole(get(origin.url("/a.wav")), new)


@pytest.mark.parametrize(
    "span",
    [
        "bytes 0-1999999/3000000",
        "bytes 1000001-2999999/3000000",
        "bytes 1000000-2999999/2999999",
        f"bytes {'1' * 5000}-{'2' * 5000}/{'3' * 5000}",
        "nonsense",
        "",
    ],
)
def test_range_that_was_not_asked_for_is_not_appended(span: str, origin: Origin, get: Callable[..., Fetched]) -> None:
    def handle(handler: Any) -> None:
        if handler.headers.get("Range"):
            answer(handler, 206, {"Content-Range": span, **ETAG}, bytes(2_000_000))
        else:
            breaking([1_000_000] if len(origin.gets("/a.wav")) == 1 else [])(handler)

    origin.paths["/a.wav"] = handle
    assert is_whole(get(origin.url("/a.wav")))


def test_range_with_another_tag_is_not_appended(origin: Origin, get: Callable[..., Fetched]) -> None:
    def handle(handler: Any) -> None:
        if handler.headers.get("Range"):
            span = {"Content-Range": "bytes 1000000-2999999/3000000", "ETag": '"v2"'}
            answer(handler, 206, span, bytes(2_000_000))
        else:
            breaking([1_000_000] if len(origin.gets("/a.wav")) == 1 else [])(handler)

    origin.paths["/a.wav"] = handle
    assert is_whole(get(origin.url("/a.wav")))


def test_range_beyond_the_end_begins_anew(origin: Origin, get: Callable[..., Fetched]) -> None:
    def handle(handler: Any) -> None:
        if handler.headers.get("Range"):
            answer(handler, 416)
        else:
            breaking([1_000_000] if len(origin.gets("/a.wav")) == 1 else [])(handler)

    origin.paths["/a.wav"] = handle
    assert is_whole(get(origin.url("/a.wav")))


def test_tries_that_come_further_do_not_count(origin: Origin, get: Callable[..., Fetched]) -> None:
    body = random.Random(8).randbytes(9_000_000)
    origin.paths["/a.wav"] = breaking([1_100_000] * 7, body=body)
    assert is_whole(get(origin.url("/a.wav")), body)
    assert len(origin.gets("/a.wav")) > module.TRIES


def test_length_that_is_never_reached_is_an_error_of_its_own(
    origin: Origin, get: Callable[..., Fetched], folder: Path
) -> None:
    origin.paths["/a.wav"] = lambda handler: answer(handler, 200, {}, BODY[:1000], length=2000)
    with pytest.raises(ContentLengthError, match="1000 bytes instead of 2000 bytes"):
        get(origin.url("/a.wav"))
    assert len(origin.gets("/a.wav")) == module.TRIES
    assert not list(folder.iterdir())


def test_chunked_body_that_breaks_off_is_not_taken_for_whole(origin: Origin, get: Callable[..., Fetched]) -> None:
    def handle(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3e8\r\n" + BODY[:1000] + b"\r\n")

    origin.paths["/a.wav"] = handle
    with pytest.raises(ContentLengthError):
        get(origin.url("/a.wav"))


# --- limits ----------------------------------------------------------------------------------------------------------


def test_announced_size_over_the_limit_is_refused_at_once(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = lambda handler: answer(handler, 200, {}, b"x", length=5_000)
    with pytest.raises(FileTooLargeError, match="announces 5000 bytes; the limit is 4999"):
        get(origin.url("/a.wav"), max_file_bytes=4_999)
    assert len(origin.gets("/a.wav")) == 1


def test_file_of_exactly_the_limit_is_taken(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"x" * 5_000)
    assert get(origin.url("/a.wav"), max_file_bytes=5_000).size_bytes == 5_000


def test_endless_body_is_refused_at_the_limit(origin: Origin, get: Callable[..., Fetched], folder: Path) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not origin.stop.is_set():
            handler.wfile.write(bytes(65536))

    origin.paths["/a.wav"] = endless
    with pytest.raises(FileTooLargeError):
        get(origin.url("/a.wav"), max_file_bytes=1_000_000)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "prefix", [b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "]
)
def test_slow_drip_ends_with_the_time_for_the_whole_download(
    prefix: bytes, get: Callable[..., Fetched], folder: Path
) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(prefix)
                while not over.wait(0.05):
                    connection.sendall(b"a")

        threading.Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(DownloadFailedError, match=r"longer than 0\.5 s .*DASHSCRIBE_FETCH_TIMEOUT_S"):
            get(f"http://127.0.0.1:{server.getsockname()[1]}/a.wav", fetch_timeout_s=0.5)
        over.set()
    assert time.monotonic() - begun < 10
    assert not list(folder.iterdir())


def test_silent_origin_is_given_up_after_the_idle_limit(
    origin: Origin, get: Callable[..., Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "IDLE_S", 0.2)
    origin.paths["/a.wav"] = lambda handler: origin.stop.wait(10)
    with pytest.raises(DownloadFailedError, match="timed out"):
        get(origin.url("/a.wav"))
    until = time.monotonic() + 20
    while len(origin.gets("/a.wav")) < module.TRIES and time.monotonic() < until:
        time.sleep(0.01)  # a thread of its own notes each
    assert len(origin.gets("/a.wav")) == module.TRIES


class CalledOffError(Exception):
    """What the caller's observer raises."""


def test_observer_that_raises_ends_the_download_and_leaves_nothing(
    origin: Origin, get: Callable[..., Fetched], folder: Path
) -> None:
    def call_off(done: int, total: int | None) -> None:
        if done > 100_000:
            raise CalledOffError

    origin.paths["/a.wav"] = serving()
    with pytest.raises(CalledOffError):
        get(origin.url("/a.wav"), on_bytes=call_off)
    assert not list(folder.iterdir())


def test_observer_is_asked_while_nothing_comes(origin: Origin, get: Callable[..., Fetched]) -> None:
    waiting = threading.Event()

    def call_off(done: int, total: int | None) -> None:
        if waiting.is_set():
            raise CalledOffError

    def silent(handler: Any) -> None:
        waiting.set()
        origin.stop.wait(20)

    origin.paths["/a.wav"] = silent
    begun = time.monotonic()
    with pytest.raises(CalledOffError):
        get(origin.url("/a.wav"), on_bytes=call_off)
    assert time.monotonic() - begun < 10


# --- where it leads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "C:\\audio\\a.wav",
        "C:/audio/a.wav",
        "\\\\server\\share\\a.wav",
        "a.wav",
        "",
        "   ",
        "data:audio/wav;base64,UklGRg==",
        "ftp://127.0.0.1/a.wav",
        "oss://bucket/a.wav",
        "gopher://127.0.0.1:70/_x",
        "http://",
        "http:///a.wav",
        "https:a.wav",
        "//127.0.0.1/a.wav",
        "http://[::1/a.wav",
        "http://host:99999/a.wav",
        "http://host:port/a.wav",
        "http://a b/c.wav",
        "http://host/\x00.wav",
        "http://host/a.wav\r\nX-Injected: 1",
        "http://" + "a" * 70_000,
    ],
)
def test_what_is_no_http_url_is_refused_unopened(url: str, get: Callable[..., Fetched], folder: Path) -> None:
    with pytest.raises(SourceUrlError) as caught:
        get(url)
    assert len(caught.value.detail) < 300
    assert not list(folder.iterdir())


def test_inside_address_is_refused_unless_exempt(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = serving(b"x")
    with pytest.raises(SourceAddressError, match=r"127\.0\.0\.1"):
        get(origin.url("/a.wav"), fetch_allow="")
    assert origin.seen == []


def test_redirects_are_followed_to_the_end(origin: Origin, get: Callable[..., Fetched]) -> None:
    for n, status in enumerate((301, 302, 303, 307, 308)):
        location = f"{n + 1}?a b" if n % 2 else origin.url(f"/{n + 1}")
        origin.paths[f"/{n}"] = lambda h, s=status, to=location: answer(h, s, {"Location": to}, b"moved")
    origin.paths["/5"] = serving()
    fetched = get(origin.url("/0"))
    assert is_whole(fetched)
    assert fetched.final_url == origin.url("/5")


def test_redirect_to_another_port_is_followed_without_the_password(origin: Origin, get: Callable[..., Fetched]) -> None:
    other = Origin()
    other.paths["/a.wav"] = serving(b"x")
    origin.paths["/a.wav"] = lambda handler: answer(handler, 302, {"Location": other.url("/a.wav")})
    get(f"http://me:secret@127.0.0.1:{origin.port}/a.wav")
    other.close()
    assert "authorization" not in other.gets("/a.wav")[0]


def test_redirect_loop_is_an_error(origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = lambda handler: answer(handler, 302, {"Location": "/a.wav"})
    with pytest.raises(DownloadFailedError, match="more than 5 redirects"):
        get(origin.url("/a.wav"))
    assert len(origin.gets("/a.wav")) == requests.MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "data:,x", "http://host:99999/", "//[", "oss://b/k"]
)
def test_redirect_to_no_http_url_is_refused(location: str, origin: Origin, get: Callable[..., Fetched]) -> None:
    origin.paths["/a.wav"] = lambda handler: answer(handler, 302, {"Location": location})
    with pytest.raises(SourceUrlError):
        get(origin.url("/a.wav"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_redirect_from_an_allowed_host_to_an_inside_address_is_refused(
    host: str, origin: Origin, get: Callable[..., Fetched]
) -> None:
    inside = Origin()
    origin.paths["/a.wav"] = lambda handler: answer(handler, 302, {"Location": inside.url("/secret", host)})
    with pytest.raises(SourceAddressError):
        get(
            origin.url("/a.wav", "media.example"),
            fetch_allow="media.example",
            resolver=lambda name, port: ["127.0.0.1"],
        )
    inside.close()
    assert inside.seen == []


def test_connection_goes_to_the_address_that_was_checked_though_the_name_changes_it(
    get: Callable[..., Fetched], folder: Path
) -> None:
    inside = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    outside = Origin("127.0.0.2", inside.server_port)  # plays the public server: the only address that is allowed
    reached: list[object] = []
    inside.verify_request = lambda request, client: bool(reached.append(client))
    threading.Thread(target=inside.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    answers = ["127.0.0.2", "127.0.0.1", "127.0.0.1"]
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return [answers[len(asked) - 1]]

    outside.paths["/a.wav"] = serving()
    outside.paths["/broken.wav"] = breaking([1_000_000])
    try:
        options = {"fetch_allow": "127.0.0.2", "resolver": rebinding}
        assert is_whole(get(outside.url("/a.wav", "rebind.example"), **options))
        assert asked == ["rebind.example"]
        asked.clear()
        with pytest.raises(SourceAddressError, match=r"rebind\.example leads to 127\.0\.0\.1"):
            get(outside.url("/broken.wav", "rebind.example"), **options)
        assert len(asked) == 2
        assert reached == []
    finally:
        outside.close()
        inside.shutdown()
        inside.server_close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate for media.example that is trusted here, with its key beside it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate = tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=media.example", "-addext", "subjectAltName=DNS:media.example",
         "-keyout", tmp_path / "key.pem", "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


def test_https_checks_the_name_of_the_host_not_of_the_address(
    authority: Path, origin: Origin, get: Callable[..., Fetched]
) -> None:
    names: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_name("key.pem"))
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    origin.server.socket = context.wrap_socket(origin.server.socket, server_side=True)
    origin.paths["/a.wav"] = serving()

    def local(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    assert is_whole(get(f"https://media.example:{origin.port}/a.wav", resolver=local))
    assert names == ["media.example"]
    with pytest.raises(DownloadFailedError, match="CERTIFICATE_VERIFY_FAILED"):
        get(f"https://other.example:{origin.port}/a.wav", resolver=local)


def test_host_that_a_person_typed_is_trusted_but_not_where_it_leads(
    origin: Origin, get: Callable[..., Fetched]
) -> None:
    origin.paths["/a.wav"] = serving(b"x")
    origin.paths["/away"] = lambda handler: answer(handler, 302, {"Location": origin.url("/a.wav", "127.0.0.9")})
    assert is_whole(get(origin.url("/a.wav"), fetch_allow="", trust_host=True), b"x")
    with pytest.raises(SourceAddressError, match=r"127\.0\.0\.9"):
        get(origin.url("/away"), fetch_allow="", trust_host=True)


# --- asking without downloading --------------------------------------------------------------------------------------


def test_head_tells_size_type_and_final_url(origin: Origin, settings: Settings) -> None:
    origin.paths["/old"] = lambda handler: answer(handler, 302, {"Location": "/a.wav"})
    origin.paths["/a.wav"] = serving()
    assert head(origin.url("/old"), settings) == Probe(
        status=200, size_bytes=len(BODY), final_url=origin.url("/a.wav"), content_type="audio/wav"
    )
    assert [method for method, _, _ in origin.seen] == ["HEAD", "HEAD"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_head_that_is_refused_becomes_a_get_that_stops_at_the_body(
    status: int, origin: Origin, settings: Settings
) -> None:
    sent: list[int] = []

    def handle(handler: Any) -> None:
        if handler.command == "HEAD":
            answer(handler, status)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        while not origin.stop.is_set():
            handler.wfile.write(bytes(65536))
            sent.append(65536)

    origin.paths["/a.wav"] = handle
    assert head(origin.url("/a.wav"), settings).size_bytes == 10**12
    assert sum(sent) < 100_000_000


def test_head_of_what_is_gone_is_an_error(origin: Origin, settings: Settings) -> None:
    with pytest.raises(SourceNotFoundError, match="answered 404"):
        head(origin.url("/gone"), settings)


def test_head_passes_the_guard(origin: Origin, settings: Settings) -> None:
    with pytest.raises(SourceAddressError):
        head(origin.url("/a.wav"), settings.model_copy(update={"fetch_allow": ""}))
    assert origin.seen == []
