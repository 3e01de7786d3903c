"""Uploads in pieces: the tus protocol as its own client speaks it, broken connections, a killed server."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import anyio
import httpx
import pytest
from tusclient.client import TusClient
from wire_origin import Origin
from wire_servers import ASYNC, KEY, SUBMIT, Desk, Server, assert_refused, checked, open_desk, start_server, stop_server

from dashscribe.client import Client
from dashscribe.wire import body as bodies
from object_store import ObjectStore
from ports import free_port

UPLOADS = "/dashscribe/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}
CONTENT = bytes(random.Random(7).randbytes(300_000))
#: What of a connection that breaks need not count: it was on its way inside the server.
ON_THE_WAY_BYTES = 64 * 1024


def named(name: str, **more: str) -> str:
    told = {"filename": name} | more
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items())


def begun(desk: Desk, length: int = len(CONTENT), name: str = "a.wav") -> str:
    """Announce an upload and give the path of its address."""
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": named(name)}
    response = desk.http.post(UPLOADS, headers=headers)
    assert response.status_code == 201, response.text
    return urlsplit(response.headers["location"]).path


def patch(desk: Desk, address: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    return desk.http.patch(address, headers=PIECE | {"Upload-Offset": str(offset)} | headers, content=content)


def offset(desk: Desk, address: str) -> int:
    response = desk.http.head(address, headers=TUS)
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    return int(response.headers["upload-offset"])


def keys_of(desk: Desk) -> list[str]:
    """What lies in the desk's bucket, if it has one."""
    url = desk.parts.settings.store_url
    return ObjectStore(os.environ["AWS_ENDPOINT_URL"]).keys(url) if url else []


# --- the protocol -----------------------------------------------------------------------------------------------------


def test_server_tells_what_it_takes_without_a_key(desk: Desk):
    response = desk.http.options(UPLOADS, headers={"Authorization": ""})
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["tus-resumable"] == response.headers["tus-version"] == "1.0.0"
    assert response.headers["tus-extension"] == "creation,creation-with-upload,expiration,termination,checksum"
    assert response.headers["tus-max-size"] == str(2 * 1024**3)


@pytest.mark.parametrize(
    "name", ["a.wav", "会议 录音.mp3", "../../etc/passwd", "C:\\a\\b.wav", "a\0b\n.wav", "..", "", "长" * 300]
)
def test_upload_in_pieces_becomes_an_upload(desk: Desk, name: str):
    address = begun(desk, name=name)
    for start, end in ((0, 100_000), (100_000, 100_001), (100_001, len(CONTENT))):
        response = patch(desk, address, start, CONTENT[start:end])
        assert (response.status_code, response.headers["upload-offset"]) == (204, str(end))
        assert "upload-expires" in response.headers
    url = unquote(response.headers["dashscribe-upload-url"])
    last = url.rpartition("/")[2]
    assert last not in ("", ".", "..")
    assert last.isprintable()
    assert len(last.encode()) <= 255
    upload = desk.parts.uploads.find("default", url)
    assert (upload.sha256, upload.size_bytes) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    # Escaped, as it stands in the header, it means the same.
    assert desk.parts.uploads.find("default", response.headers["dashscribe-upload-url"]) == upload
    assert list((desk.parts.settings.home / "uploads").iterdir()) == []


def test_first_piece_may_come_with_the_announcement(each_desk: Desk):
    headers = PIECE | {"Upload-Length": str(len(CONTENT)), "Upload-Metadata": named("a.wav")}
    response = each_desk.http.post(UPLOADS, headers=headers, content=CONTENT[:1000])
    assert (response.status_code, response.headers["upload-offset"]) == (201, "1000")
    whole = each_desk.http.post(UPLOADS, headers=headers, content=CONTENT)
    assert whole.headers["dashscribe-upload-url"].startswith("oss://dashscope-instant/")


def test_empty_file_is_complete_at_once(each_desk: Desk):
    response = each_desk.http.post(UPLOADS, headers=TUS | {"Upload-Length": "0"})
    assert "dashscribe-upload-url" in response.headers


def test_state_is_told_as_json(each_desk: Desk):
    address = begun(each_desk, name="会议.wav")
    patch(each_desk, address, 0, CONTENT[:5])
    told = checked(each_desk.http.get(address))
    assert set(told) == {"request_id", "address", "name", "size", "offset", "complete", "expires_at"}
    assert (told["name"], told["size"], told["offset"], told["complete"]) == ("会议.wav", len(CONTENT), 5, False)
    patch(each_desk, address, 5, CONTENT[5:])
    told = checked(each_desk.http.get(address))
    assert told["complete"]
    assert told["url"] == "oss://" + unquote(address).removeprefix(UPLOADS + "/")
    (listed,) = checked(each_desk.http.get(UPLOADS))["uploads"]
    assert {**listed, "request_id": told["request_id"]} == told
    assert each_desk.http.head(address, headers=TUS).headers["upload-metadata"] == named("会议.wav")


def test_list_has_pages_newest_first(desk: Desk):
    for number in range(3):
        begun(desk, name=f"{number}.wav")
        time.sleep(0.003)
    listed = checked(desk.http.get(UPLOADS, params={"page_size": 2, "page_no": 1}))
    assert (listed["total"], [upload["name"] for upload in listed["uploads"]]) == (3, ["2.wav", "1.wav"])
    assert_refused(desk.http.get(UPLOADS, params={"page_size": "x"}), 400, "InvalidParameter", "")


def test_removed_upload_is_gone(each_desk: Desk):
    for content in (CONTENT, CONTENT[:10]):
        address = begun(each_desk)
        patch(each_desk, address, 0, content)
        assert each_desk.http.delete(address, headers=TUS).status_code == 204
        for response in (each_desk.http.head(address, headers=TUS), patch(each_desk, address, 0, b"x")):
            assert response.status_code == 404
            assert "upload-offset" not in response.headers
        assert each_desk.http.delete(address, headers=TUS).status_code == 404
    left = [path for path in each_desk.parts.settings.home.rglob("*uploads*/*") if path.is_file()]
    assert left + keys_of(each_desk) == []


def test_upload_that_a_task_needs_is_not_removed(each_desk: Desk):
    address = begun(each_desk)
    url = unquote(patch(each_desk, address, 0, CONTENT).headers["dashscribe-upload-url"])
    task_id = each_desk.task(input={"file_urls": [quote(url, safe=":/")]})
    assert each_desk.http.delete(address, headers=TUS).status_code == 409
    each_desk.http.post(f"/api/v1/tasks/{task_id}/cancel")
    assert each_desk.http.delete(address, headers=TUS).status_code == 204


def test_method_may_stand_in_a_header(desk: Desk):
    address = begun(desk)
    headers = PIECE | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert desk.http.post(address, headers=headers, content=b"x" * 10).headers["upload-offset"] == "10"
    assert desk.http.post(address, headers=TUS | {"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert_refused(desk.http.post(address, headers=TUS), 400, "InvalidParameter", "")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_checksum_that_does_not_match_takes_the_piece_back(each_desk: Desk, algorithm: str):
    address = begun(each_desk)
    digest = base64.b64encode(hashlib.new(algorithm, CONTENT).digest()).decode()
    damaged = patch(each_desk, address, 0, b"x" + CONTENT[1:], **{"Upload-Checksum": f"{algorithm} {digest}"})
    assert damaged.status_code == 460
    assert offset(each_desk, address) == 0
    good = patch(each_desk, address, 0, CONTENT, **{"Upload-Checksum": f"{algorithm} {digest}"})
    upload = each_desk.parts.uploads.find("default", unquote(good.headers["dashscribe-upload-url"]))
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 412),
        ({"Tus-Resumable": "0.2.2"}, 412),
        (TUS, 400),
        (TUS | {"Upload-Length": "-1"}, 400),
        (TUS | {"Upload-Length": "1e3"}, 400),
        (TUS | {"Upload-Length": "9" * 30}, 400),
        (TUS | {"Upload-Length": str(2 * 1024**3 + 1)}, 413),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "filename not-base64!"}, 400),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "filename /w=="}, 400),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "filename ü".encode("latin-1")}, 400),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": named("a", model="no-such-model")}, 404),
        (TUS | {"Upload-Length": "5", "Authorization": "Bearer wrong"}, 401),
    ],
)
def test_bad_announcement(desk: Desk, headers: dict[str, str], status: int):
    response = desk.http.post(UPLOADS, headers=headers)
    assert response.status_code == status
    assert set(checked(response)) == {"request_id", "code", "message"}
    assert response.headers["tus-resumable"] == "1.0.0"
    assert ("tus-version" in response.headers) == (status == 412)
    assert checked(desk.http.get(UPLOADS))["total"] == 0


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Upload-Offset": "5"}, b"x", 409),
        ({"Upload-Offset": ""}, b"x", 400),
        ({"Upload-Offset": "0", "Content-Type": "text/plain"}, b"x", 415),
        ({"Upload-Offset": "0", "Tus-Resumable": "2"}, b"x", 412),
        ({"Upload-Offset": "0"}, b"x" * 11, 413),
        ({"Upload-Offset": "0", "Upload-Checksum": "crc32 AAAA"}, b"x", 400),
        ({"Upload-Offset": "0", "Upload-Checksum": "sha1 ???"}, b"x", 400),
        ({"Upload-Offset": "0", "Upload-Checksum": "sha1 ü".encode("latin-1")}, b"x", 400),
    ],
)
def test_bad_piece_changes_nothing(desk: Desk, headers: dict[str, str], content: bytes, status: int):
    address = begun(desk, length=10)
    assert desk.http.patch(address, headers=PIECE | headers, content=content).status_code == status
    assert offset(desk, address) == 0


def test_piece_that_does_not_say_how_long_it_is_is_stopped_at_the_end_of_the_upload(each_desk: Desk):
    address = begun(each_desk, length=10)
    headers = PIECE | {"Upload-Offset": "0"}
    assert each_desk.http.patch(address, headers=headers, content=iter([b"x" * 8] * 100)).status_code == 413
    assert offset(each_desk, address) == 0


def test_upload_of_another_owner_can_neither_be_seen_nor_changed(desk: Desk):
    address = begun(desk)
    patch(desk, address, 0, CONTENT[:10])
    _, secret = desk.parts.keys.create("alice")
    foreign = {"Authorization": f"Bearer {secret}"}
    for response in (
        desk.http.get(address, headers=foreign),
        desk.http.head(address, headers=TUS | foreign),
        desk.http.delete(address, headers=TUS | foreign),
        patch(desk, address, 10, CONTENT[10:], **foreign),
    ):
        assert response.status_code == 404
    assert offset(desk, address) == 10
    assert patch(desk, address, 10, CONTENT[10:]).status_code == 204


@pytest.mark.parametrize("path", ["x", "..%2F..%2Fetc%2Fpasswd", "dashscope-instant/" + "x" * 3000, "%00", "海"])
def test_address_that_nobody_gave(desk: Desk, path: str):
    for response in (desk.http.get(f"{UPLOADS}/{path}"), patch(desk, f"{UPLOADS}/{path}", 0, b"x")):
        assert response.status_code == 404


def test_full_disk_takes_no_more(tmp_path: Path):
    with open_desk(tmp_path, disk_reserve_bytes=10**18) as desk:
        assert desk.http.post(UPLOADS, headers=TUS | {"Upload-Length": "5"}).status_code == 507


# --- connections that break -------------------------------------------------------------------------------------------


class Half:
    """A request that is sent as far as a test wants."""

    def __init__(self, server: Server, address: str, offset: int, length: int, **headers: str) -> None:
        parts = urlsplit(address)
        self.connection = socket.create_connection((parts.hostname or "", parts.port or 0), 60)
        sent = {**PIECE, "Upload-Offset": str(offset), "Content-Length": str(length),
                "Authorization": f"Bearer {server.key}", "Host": parts.netloc, **headers}  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self.connection.sendall(f"PATCH {parts.path} HTTP/1.1\r\n{head}\r\n".encode())

    def send(self, content: bytes) -> None:
        self.connection.sendall(content)

    def close(self) -> None:
        self.connection.close()


def announced(http: httpx.Client, length: int, name: str = "a.wav") -> str:
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": named(name)}
    return http.post(UPLOADS, headers=headers).headers["location"]


def reached(http: httpx.Client, address: str, wanted: int, within_s: float = 60) -> int:
    """The offset of an upload, once it is at least that far."""
    until = time.monotonic() + within_s
    while (at := int(http.head(address, headers=TUS).headers["upload-offset"])) < wanted:
        assert time.monotonic() < until, f"the upload stands at {at}"
        time.sleep(0.05)
    return at


def test_what_came_before_a_break_counts(server: Server):
    begin = server.log.stat().st_size
    with server.http() as http:
        address = announced(http, len(CONTENT))
        half = Half(server, address, 0, len(CONTENT))
        half.send(CONTENT[:200_000])
        half.close()
        until, status = time.monotonic() + 60, 0
        while status in (0, 409, 423):  # what came may be counted in two steps
            assert time.monotonic() < until, status
            at = reached(http, address, 200_000 - ON_THE_WAY_BYTES)
            assert at <= 200_000
            response = http.patch(address, headers=PIECE | {"Upload-Offset": str(at)}, content=CONTENT[at:])
            status = response.status_code
        assert (response.status_code, response.headers["upload-offset"]) == (204, str(len(CONTENT)))
    assert b"Traceback" not in server.log.read_bytes()[begin:]


def test_broken_piece_with_a_checksum_does_not_count(server: Server):
    with server.http() as http:
        address = announced(http, len(CONTENT))
        half = Half(server, address, 0, len(CONTENT), **{"Upload-Checksum": "sha1 AAAA"})
        half.send(CONTENT[:200_000])
        half.close()
        response = _until_free(http, address, 0, CONTENT)
        assert response.headers["upload-offset"] == str(len(CONTENT))


def test_two_requests_cannot_add_at_once(server: Server):
    with server.http() as http:
        address = announced(http, len(CONTENT))
        first = Half(server, address, 0, len(CONTENT))
        first.send(CONTENT[:1000])
        sent, until = 1000, time.monotonic() + 60
        while (at := reached(http, address, 0)) < 1000:
            assert time.monotonic() < until, at
            time.sleep(0.3)
            first.send(CONTENT[sent : sent + 1])  # what came a second ago is durable with one of these
            sent += 1
        response = http.patch(address, headers=PIECE | {"Upload-Offset": str(at)}, content=CONTENT[at:])
        assert_refused(response, 423, "Conflict", "")
        first.send(CONTENT[sent:])
        assert first.connection.recv(65536).startswith(b"HTTP/1.1 204")
        first.close()
        assert checked(http.get(address))["complete"]


def _until_free(http: httpx.Client, address: str, at: int, content: bytes) -> httpx.Response:
    for _ in range(600):
        response = http.patch(address, headers=PIECE | {"Upload-Offset": str(at)}, content=content[at:])
        if response.status_code != 423:
            break
        time.sleep(0.05)
    return response


def test_silent_connection_does_not_keep_the_upload_for_ever(each_desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "IDLE_S", 0.1)
    address = begun(each_desk)

    # The test client would read the whole body before it calls, so that this one calls by itself.
    sent = threading.Event()

    async def receive() -> dict[str, Any]:
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": CONTENT[:1000], "more_body": True}
        await anyio.sleep(60)
        raise AssertionError("the server waits for ever")

    status = _call(each_desk, address, receive)
    assert status == 400
    assert offset(each_desk, address) == 1000


def _call(desk: Desk, address: str, receive: Any) -> int:
    """Call the application with a body of one's own making: the status of its answer."""
    headers = PIECE | {"Upload-Offset": "0", "Authorization": f"Bearer {KEY}"}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PATCH", "scheme": "http",
        "path": unquote(address), "raw_path": address.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    anyio.run(desk.app, scope, receive, send)
    return statuses[0]


# --- clients, and a killed server -------------------------------------------------------------------------------------


def test_clients_of_the_protocol_upload(server: Server, origin: Origin):
    client = TusClient(f"{server.url}{UPLOADS}", headers={"Authorization": f"Bearer {server.key}"})
    for checksum in (False, True):
        uploader = client.uploader(
            str(origin.folder / "a.wav"), chunk_size=50_000, metadata={"filename": "会议.wav"}, upload_checksum=checksum
        )
        uploader.upload()
        url = unquote(uploader.request.response_headers["dashscribe-upload-url"])
        answer = server.wait(server.submit("fun-asr", url))
        assert answer["output"]["results"][0]["subtask_status"] == "SUCCEEDED"


def test_client_of_the_protocol_goes_on_in_another_session(server: Server, origin: Origin):
    client = TusClient(f"{server.url}{UPLOADS}", headers={"Authorization": f"Bearer {server.key}"})
    path = origin.folder / "b.wav"
    first = client.uploader(str(path), chunk_size=40_000)
    first.upload_chunk()
    second = client.uploader(str(path), chunk_size=1_000_000, url=first.url)
    assert second.offset == 40_000
    second.upload()
    with server.http() as http:
        assert checked(http.get(first.url))["size"] == path.stat().st_size


def test_upload_and_its_task_survive_kill_9(tmp_path: Path, origin: Origin):
    home = tmp_path / "home"
    content = (origin.folder / "b.wav").read_bytes()
    server = start_server(home)
    with server.http() as http:
        address = announced(http, len(content))
        http.patch(address, headers=PIECE | {"Upload-Offset": "0"}, content=content[:30_000])
        half = Half(server, address, 30_000, len(content) - 30_000)
        half.send(content[30_000:60_000])
        sent, until = 60_000, time.monotonic() + 60
        while reached(http, address, 0) < 60_000:
            assert time.monotonic() < until
            time.sleep(0.3)
            half.send(content[sent : sent + 1])  # what came a second ago is durable with one of these
            sent += 1
    server.process.kill()
    server.process.wait()
    half.close()
    server = start_server(home)
    with server.http() as http:
        path = urlsplit(address).path
        at = int(http.head(path, headers=TUS).headers["upload-offset"])
        assert 60_000 <= at <= sent
        response = http.patch(path, headers=PIECE | {"Upload-Offset": str(at)}, content=content[at:])
        url = unquote(response.headers["dashscribe-upload-url"])
        body = {"model": "fun-asr", "input": {"file_urls": [url]}}
        task_id = checked(http.post(SUBMIT, json=body, headers=ASYNC))["output"]["task_id"]
    server.process.kill()
    server.process.wait()
    server = start_server(home)
    try:
        (result,) = server.wait(task_id)["output"]["results"]
        assert result["subtask_status"] == "SUCCEEDED"
        stored = server.home / "store" / "tasks" / task_id / "0"
        assert next(stored.glob("source-*")).read_bytes() == content
    finally:
        stop_server(server)


def test_our_client_uploads_through_a_server_that_is_killed(tmp_path: Path):
    """The server is killed while a large file comes in; the client goes on with the next one by itself."""
    file = tmp_path / "large.bin"
    file.write_bytes(random.Random(3).randbytes(1_000_000) * 60)
    home = tmp_path / "home"
    port = free_port()
    server = start_server(home, port=port)
    restarted: list[Server] = []
    starting = threading.Thread(target=lambda: restarted.append(start_server(home, port=port)))
    seen: list[int] = []

    def watch(sent: int, total: int) -> None:
        seen.append(sent)
        if sent > total // 2 and server.process.poll() is None:
            server.process.kill()
            server.process.wait()
            starting.start()

    try:
        with Client(server.url, KEY) as client:
            url = client.upload(file, on_bytes=watch)
            starting.join(180)
            with restarted[0].http() as http:
                (upload,) = checked(http.get(UPLOADS))["uploads"]
        assert (upload["url"], upload["size"], upload["complete"]) == (url, 60_000_000, True)
        stored = next((home / "store" / "uploads").iterdir())
        assert hashlib.sha256(stored.read_bytes()).digest() == hashlib.sha256(file.read_bytes()).digest()
        assert seen[-1] == 60_000_000
        assert server.process.returncode == -signal.SIGKILL
        assert seen != sorted(seen)  # it had to go back
    finally:
        for running in restarted:
            stop_server(running)


def test_nobody_waits_for_a_store_that_takes_its_time_with_uploads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may come in at once are on their way into a slow bucket: everything else still answers."""
    put, hold, reached = desk.parts.store.put, threading.Event(), threading.Semaphore(0)

    def slow(key: str, data: Any) -> object:
        reached.release()
        assert hold.wait(60)
        return put(key, data)

    monkeypatch.setattr(desk.parts.store, "put", slow)
    at_once = int(desk.parts.arriving.total_tokens)
    addresses = [begun(desk, 4) for _ in range(at_once // 2)]
    carried = {"model": "qwen3-asr-flash-filetrans", "input_audio": {"data": "data:audio/wav;base64,UklGRg=="}}
    with ThreadPoolExecutor(at_once + 1) as clients:
        calls = [clients.submit(patch, desk, address, 0, b"RIFF") for address in addresses]
        calls += [clients.submit(desk.submit, carried) for _ in range(at_once - len(calls))]
        for _ in calls:
            assert reached.acquire(timeout=60)
        try:
            asked = clients.submit(desk.http.get, begun(desk))
            assert asked.result(60).status_code == 200
        finally:
            hold.set()
        assert {call.result(60).status_code for call in calls} == {204, 200}
