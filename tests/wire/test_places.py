"""Large bodies come in at a bounded number of places, half of them one owner's; others are refused unread."""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from test_upload_routes import credential, credential_of, refused
from wire_servers import ASYNC, KEY, SUBMIT, Desk, Server, assert_refused, checked, in_pieces, open_desk

from dashscribe.config import Settings
from dashscribe.db import open_database, secret
from dashscribe.keys import Keys
from dashscribe.wire import async_tasks, policies
from dashscribe.wire.body import LARGE_BODIES, SMALL_BYTES
from dashscribe.wire.places import Places

TEXT = "Requests rate limit exceeded, please try again later."
TASK = "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f"
FORM = "/oss-upload/{ticket}"
#: What stands for the parts of a path.
PLACES = {"task_id": TASK, "recording_id": f"{TASK}.0", "target_id": "1"}
#: Routes whose bodies have places elsewhere (turns), or are written piece by piece and held nowhere (tus).
ELSEWHERE = re.compile(r"/v1/(chat|audio)/|multimodal-generation|/dashscribe/v1/uploads")
LARGE = {"content-length": str(SMALL_BYTES + 1)}
#: How soon a server on a busy machine has looked at what it was sent.
SOON_S = 120.0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


def routes(desk: Desk) -> list[tuple[str, str]]:
    """Method and path of all that read a body and hold it."""
    paths: dict[str, dict[str, Any]] = desk.http.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method, told in methods.items()
        if "requestBody" in told and not ELSEWHERE.search(path)
    ]


def at(desk: Desk, path: str) -> str:
    """The path to something that there may be."""
    if path == FORM:
        return urlsplit(credential(desk.http)["upload_host"]).path
    return path.format(**PLACES)


async def call(
    desk: Desk, method: str, path: str, receive: Callable[[], Any], length: dict[str, str], key: str = KEY
) -> httpx.Response:
    """Send a request whose body comes as ``receive`` has it, and says of its length what is told."""
    headers = {"authorization": f"Bearer {key}", "content_type": "multipart/form-data; boundary=x", **length}
    if path == SUBMIT:
        headers["x_dashscope_async"] = "enable"
    return await in_pieces(desk, method, path, receive, **headers)


async def never() -> Any:
    """Whoever asks for the body has taken it in."""
    raise AssertionError("the body was asked for")


async def nonsense() -> Any:
    return {"type": "http.request", "body": b"no good", "more_body": False}


def full(desk: Desk, owner: str = "default") -> ExitStack:
    """As many bodies of an owner come in as may, forms among them."""
    stack = ExitStack()
    state = desk.app.state
    ticket = at(desk, FORM).rpartition("/")[2]
    whose = policies.admit(secret(desk.engine, "upload-policies"), ticket).whose
    for places, name in ((state.bodies, owner), (state.forms, whose)):
        for _ in range(places.most // 2):
            stack.enter_context(places.take(name))
    return stack


def refusals(desk: Desk) -> float:
    labels = {"reason": "admission"}
    return desk.parts.telemetry.registry.get_sample_value("dashscribe_refusals_total", labels) or 0.0


def test_every_route_that_holds_bodies_is_looked_at_here(desk: Desk):
    found = routes(desk)
    assert ("POST", SUBMIT) in found
    assert ("POST", FORM) in found
    assert len(found) >= 14


@pytest.mark.parametrize("length", [LARGE, {"content-length": str(10**12)}, {}, {"transfer-encoding": "chunked"},
                                    {"transfer-encoding": "chunked", "content-length": "1"}])  # fmt: skip
def test_large_body_beyond_the_places_is_refused_before_any_of_it_came(desk: Desk, length: dict[str, str]):
    with full(desk):
        before = refusals(desk)
        for method, path in routes(desk):
            answer = anyio.run(call, desk, method, at(desk, path), never, length)
            if path == FORM:
                refused(answer, 429, "SlowDown")
            else:
                said = assert_refused(answer, 429, "Throttling.RateQuota", TEXT)["message"]
                assert f"{LARGE_BODIES // 2} bodies of owner default come in" in said, path
            assert int(answer.headers["retry-after"]) >= 1
        assert refusals(desk) - before == len(routes(desk))


def test_small_body_is_received_however_many_large_ones_come_in(desk: Desk):
    with full(desk):
        for method, path in routes(desk):
            answer = anyio.run(call, desk, method, at(desk, path), nonsense, {"content-length": str(SMALL_BYTES)})
            assert answer.status_code in (400, 404), path


def test_large_body_of_another_owner_is_received(desk: Desk):
    _, key = desk.parts.keys.create("other")
    theirs = urlsplit(credential_of(desk, "other")["upload_host"]).path
    with full(desk):
        for method, path in routes(desk):
            if path != FORM:
                answer = anyio.run(call, desk, method, at(desk, path), nonsense, LARGE, key)
                assert answer.status_code in (400, 404), path
        refused(anyio.run(call, desk, "POST", theirs, nonsense, LARGE), 400, "MalformedPOSTRequest")


def test_stranger_is_refused_before_the_body_and_takes_no_place(desk: Desk):
    for method, path in routes(desk):
        if path == FORM:
            answer = anyio.run(call, desk, method, "/oss-upload/1-x", never, LARGE)
            assert answer.status_code == 403
        else:
            answer = anyio.run(call, desk, method, at(desk, path), never, LARGE, "sk-nobody")
            assert answer.status_code == 401
    assert (desk.app.state.bodies.taken, desk.app.state.forms.taken) == (0, 0)


@asynccontextmanager
async def half_open(desk: Desk, count: int, method: str, path: str) -> AsyncGenerator[None]:
    """So many requests whose bodies do not end, until the block does; then their clients hang up."""
    gone, begun = anyio.Event(), [0]

    def receiver() -> Callable[[], Any]:
        pieces = iter([{"type": "http.request", "body": b'{"model": ', "more_body": True}])

        async def receive() -> Any:
            if piece := next(pieces, None):
                begun[0] += 1
                return piece
            await gone.wait()
            return {"type": "http.disconnect"}

        return receive

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(call, desk, method, path, receiver(), LARGE)
        with anyio.fail_after(SOON_S):
            while begun[0] < count:
                await anyio.sleep(0.01)
        yield
        gone.set()


@pytest.mark.parametrize(("method", "path"), [("POST", SUBMIT), ("PUT", "/dashscribe/v1/sensitive-words"),
                                              ("POST", FORM)])  # fmt: skip
def test_places_are_given_back_when_clients_hang_up(desk: Desk, method: str, path: str):
    places: Places = desk.app.state.forms if path == FORM else desk.app.state.bodies
    address = at(desk, path)

    async def burst() -> None:
        most = places.most // 2
        async with half_open(desk, most, method, address):
            assert places.taken == most
            assert (await call(desk, method, address, never, LARGE)).status_code == 429
        assert places.taken == 0
        assert (await call(desk, method, address, nonsense, LARGE)).status_code == 400

    anyio.run(burst)


def test_bodies_that_are_all_here_are_never_too_many(desk: Desk):
    words = {"masked": ["word " + "x" * 60] * 1500}
    for _ in range(LARGE_BODIES + 1):
        answer = desk.http.put("/dashscribe/v1/sensitive-words", json=words)
        assert answer.status_code == 200
        desk.task(parameters={"text": "x" * SMALL_BYTES})
    assert desk.app.state.bodies.taken == 0


def test_body_keeps_its_place_while_it_waits_for_a_thread(desk: Desk):
    """What is there, and not yet worked on, takes memory as well."""
    places: Places = desk.app.state.bodies

    async def whole() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def burst() -> None:
        threads, taken = desk.parts.blobs, list[object]()
        while threads.available_tokens:
            taken.append(object())
            threads.acquire_on_behalf_of_nowait(taken[-1])
        async with anyio.create_task_group() as group:
            path = "/dashscribe/v1/recordings/{recording_id}/transcript"
            group.start_soon(call, desk, "PATCH", at(desk, path), whole, LARGE)
            with anyio.fail_after(SOON_S):
                while not threads.statistics().tasks_waiting:
                    await anyio.sleep(0.01)
            held.append(places.taken)
            for one in taken:
                threads.release_on_behalf_of(one)

    held: list[int] = []
    anyio.run(burst)
    assert (held, places.taken) == ([1], 0)


# --- where submits lie ------------------------------------------------------------------------------------------------


def recording_of(megabytes: float) -> dict[str, Any]:
    sound = "data:audio/wav;base64," + "A" * int(megabytes * 1024**2)
    return {"model": "qwen3-asr-flash-filetrans", "input_audio": {"data": sound}}


def test_large_submit_lies_in_the_home_while_it_comes_in(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    folders: list[Path] = []
    spooled = async_tasks.SpooledTemporaryFile

    def watched(max_size: int, dir: str | None) -> Any:
        if dir is not None:
            folders.append(Path(dir))
        return spooled(max_size, dir=dir)

    monkeypatch.setattr(async_tasks, "SpooledTemporaryFile", watched)
    assert checked(desk.http.post(SUBMIT, json=recording_of(2), headers=ASYNC))["output"]["task_id"]
    (folder,) = folders
    assert folder.is_relative_to(desk.parts.settings.home / "receiving")
    assert not folder.exists()


def test_large_submit_for_which_the_disk_has_no_room_is_refused_before_it_came(tmp_path: Path):
    with open_desk(tmp_path) as desk:
        key = {"Idempotency-Key": "once"}
        made = checked(desk.http.post(SUBMIT, json=recording_of(1.5), headers=ASYNC | key))["output"]["task_id"]
        free_bytes = desk.parts.settings.disk_reserve_bytes + 10 * 1024**2
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk.parts.store, "free_bytes", lambda: free_bytes)
            answer = anyio.run(call, desk, "POST", SUBMIT, never, {"content-length": str(16 * 1024**2)})
            assert_refused(answer, 429, "Throttling", "Requests throttling triggered.")
            assert int(answer.headers["retry-after"]) >= 1
            free_bytes = 0
            # A repeated call gets its task whatever the state of the disk.
            again = checked(desk.http.post(SUBMIT, json=recording_of(1.5), headers=ASYNC | key))
            assert again["output"]["task_id"] == made


# --- from outside -----------------------------------------------------------------------------------------------------


def test_slow_bodies_of_one_owner_keep_nobody_else_out(idle: Server):
    engine = open_database(f"sqlite:///{idle.home / 'dashscribe.db'}")
    _, other = Keys(engine, Settings(home=idle.home)).create("other")
    engine.dispose()
    host, port = idle.url.removeprefix("http://").split(":")
    head = f"Host: {host}\r\nAuthorization: Bearer {idle.key}\r\nX-DashScope-Async: enable\r\n"
    small = {"model": "fun-asr", "input": {"file_urls": ["https://media.example.net/a.wav"]}}
    large = small | {"parameters": {"text": "x" * 3_000_000}}  # more than fits into what lies on the line
    with ExitStack() as stack, idle.http() as http:
        for number in range(LARGE_BODIES):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=SOON_S))
            line = ("PUT /dashscribe/v1/sensitive-words", f"POST {SUBMIT}")[number % 2]
            connection.sendall(f"{line} HTTP/1.1\r\n{head}Content-Length: 16000000\r\n\r\n{{".encode())
        until = time.monotonic() + SOON_S
        while (answer := http.post(SUBMIT, json=large, headers=ASYNC)).status_code == 200:
            assert time.monotonic() < until, "bodies that come in are not bounded"
        assert_refused(answer, 429, "Throttling.RateQuota", TEXT)
        assert checked(http.post(SUBMIT, json=small, headers=ASYNC))["output"]["task_id"]
        theirs = http.post(SUBMIT, json=large, headers=ASYNC | {"Authorization": f"Bearer {other}"})
        assert checked(theirs)["output"]["task_id"]
    with idle.http() as http:
        while http.post(SUBMIT, json=large, headers=ASYNC).status_code != 200:
            assert time.monotonic() < until, "places are not given back"
