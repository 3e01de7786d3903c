"""Clients that stop in the middle of a body, or as good as stop: nobody waits for them for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from generation_calls import GENERATE, QWEN3, call, data_uri, heard, sounds
from wire_servers import SUBMIT, Desk, checked, in_pieces, open_desk

from dashscribe.wire import body

FORM = "multipart/form-data; boundary=edge"
BEGUN_FORM = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
BEGUN = {
    GENERATE: b'{"model": "qwen3-asr-flash", "input": ',
    "/compatible-mode/v1/chat/completions": b'{"model": "qwen3-asr-flash", "messages": ',
    SUBMIT: b'{"model": "fun-asr", "input": ',
    "/v1/audio/transcriptions": BEGUN_FORM,
    "/oss-upload": BEGUN_FORM,
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("desk"), calls=1) as opened:
        yield opened


def _path(desk: Desk, path: str) -> str:
    if path != "/oss-upload":
        return path
    told = desk.http.get("/api/v1/uploads", params={"action": "getPolicy", "model": "fun-asr"})
    address = checked(told)["data"]["upload_host"]
    return address[address.index(path) :]


async def _call(desk: Desk, path: str, receive: Any) -> int:
    """Call the application with a body of one's own making: the status of its answer."""
    kind = FORM if BEGUN.get(path, BEGUN_FORM) == BEGUN_FORM else "application/json"
    task = {"x_dashscope_async": "enable"} if path == SUBMIT else {}
    return (await in_pieces(desk, "POST", path, receive, content_type=kind, **task)).status_code


@pytest.mark.parametrize("path", BEGUN)
def test_a_body_that_stops_is_given_up(desk: Desk, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(body, "IDLE_S", 0.1)
    sent: list[None] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            sent.append(None)
            return {"type": "http.request", "body": BEGUN[path], "more_body": True}
        await anyio.sleep(60)
        raise AssertionError("the server waits for ever")

    assert anyio.run(_call, desk, _path(desk, path), receive) == 400


@pytest.mark.parametrize("path", BEGUN)
def test_a_body_that_drips_is_given_up(desk: Desk, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(body, "IDLE_S", 0.5)
    came = 0

    async def receive() -> dict[str, Any]:
        nonlocal came
        came += 1
        assert came < 1000, "the server waits for ever"
        await anyio.sleep(0.02)
        return {"type": "http.request", "body": BEGUN[path] if came == 1 else b" ", "more_body": True}

    assert anyio.run(_call, desk, _path(desk, path), receive) == 400


def test_bodies_that_stop_take_no_turn_from_others_for_ever(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(body, "IDLE_S", 0.3)
    sound = data_uri(sounds(tmp_path_factory.mktemp("sounds"))["one"])

    async def stalled() -> None:
        begun = iter([{"type": "http.request", "body": BEGUN[GENERATE], "more_body": True}])

        async def receive() -> Any:
            if message := next(begun, None):
                return message
            await anyio.sleep(60)
            raise AssertionError("the server waits for ever")

        assert await _call(desk, GENERATE, receive) in (400, 429)

    async def burst() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(stalled)

    anyio.run(burst)
    assert heard(checked(desk.http.post(GENERATE, json=call(QWEN3, sound))))
