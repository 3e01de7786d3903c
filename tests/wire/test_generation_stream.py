"""Streams of events: their bytes, what each family says in them, errors on the way, and what happens around them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from failing_parts import installed_engine
from generation_calls import EVERY_FAMILY, FLASH, GENERATE, QWEN3, STREAM, call, data_uri, events, heard, sounds, stream
from wire_origin import Origin
from wire_servers import Desk, Server, assert_refused, checked, open_desk, start_server, stop_server

from dashscribe.config import Settings
from dashscribe.db import open_database
from dashscribe.errors import DashscribeError
from dashscribe.errors.sources import RecognitionError
from dashscribe.keys import Keys
from dashscribe.types import Sentence, Word
from dashscribe.wire import speech, sse
from dashscribe.wire.turns import WAITING_PER_TURN

#: Far longer than what is waited for takes, even on a crowded machine.
SOON_S = 60.0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def two(sound: dict[str, bytes]) -> str:
    return data_uri(sound["two"])


# --- the form -------------------------------------------------------------------------------------------------------


def test_an_event_has_the_services_form_to_the_byte():
    members = {"output": {"text": "a\u2028b\u2029c\u0085d\ne 字"}, "request_id": "r"}
    assert sse.result(3, members) == (
        b"id:3\nevent:result\n:HTTP_STATUS/200\n"
        b'data:{"output":{"text":"a\\u2028b\\u2029c\\u0085d\\ne \xe5\xad\x97"},"request_id":"r"}\n\n'
    )
    told = sse.one_line(members)
    assert len(told.decode().splitlines()) == 1
    assert json.loads(told) == members


def test_an_error_event_carries_its_status_twice():
    assert sse.failure(4, 500, {"code": "InternalError", "message": "m"}) == (
        b'id:4\nevent:error\n:HTTP_STATUS/500\nstatus:500\ndata:{"code":"InternalError","message":"m"}\n\n'
    )


@pytest.mark.parametrize("model", EVERY_FAMILY)
def test_streams_are_sent_as_they_come(desk: Desk, two: str, model: str):
    response = desk.http.post(GENERATE, json=call(model, two), headers=STREAM | {"Accept": "text/event-stream"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-dashscribe-engine"] == "standin"
    assert "[DONE]" not in response.text
    assert events(response.text)


@pytest.mark.parametrize("model", EVERY_FAMILY)
@pytest.mark.parametrize("name", ["one", "two", "none"])
def test_last_event_says_what_the_plain_answer_says(desk: Desk, sound: dict[str, bytes], model: str, name: str):
    body = call(model, data_uri(sound[name]))
    told = stream(desk.http, body)
    plain = checked(desk.http.post(GENERATE, json=body))
    assert told[-1].data | {"request_id": ""} == plain | {"request_id": ""}
    assert all("dashscribe" not in event.data for event in told[:-1])


# --- Qwen3: choices -------------------------------------------------------------------------------------------------


def choice(event: Any) -> tuple[str, str]:
    """The reason to end and the text."""
    (only,) = event.data["output"]["choices"]
    assert only["message"]["role"] == "assistant"
    return only["finish_reason"], only["message"]["content"][0]["text"]


@pytest.mark.parametrize("parameters", [{}, {"incremental_output": False}])
def test_cumulative_events_carry_all_text_so_far(desk: Desk, two: str, parameters: dict[str, Any]):
    told = [choice(event) for event in stream(desk.http, call(QWEN3, two, **parameters))]
    assert [reason for reason, _ in told] == ["null", "null", "stop"]
    first, both, last = (text for _, text in told)
    assert first and both == last
    assert both.startswith(f"{first} ")


def test_incremental_events_carry_only_what_is_new(desk: Desk, two: str):
    told = [choice(event) for event in stream(desk.http, call(QWEN3, two, incremental_output=True))]
    assert [reason for reason, _ in told] == ["null", "null", "stop"]
    assert told[-1][1] == ""
    assert "".join(text for _, text in told) == heard(checked(desk.http.post(GENERATE, json=call(QWEN3, two))))


def test_annotations_and_growing_usage_are_on_every_event(desk: Desk, two: str):
    told = stream(desk.http, call(QWEN3, two))
    for event in told:
        assert event.data["output"]["choices"][0]["message"]["annotations"][0]["type"] == "audio_info"
        assert event.data["usage"]["input_tokens_details"] == {"text_tokens": 0}
    for what in ("seconds", "input_tokens", "output_tokens"):
        used = [event.data["usage"][what] for event in told]
        assert used == sorted(used)
        assert used[0] < used[-1]


# --- the input-audio family: sentences ------------------------------------------------------------------------------


def test_each_sentence_is_opened_and_closed_once(desk: Desk, two: str):
    told = [event.data for event in stream(desk.http, call(FLASH, two))]
    states = [(data["output"]["sentence"]["sentence_id"], data["output"]["sentence"]["sentence_end"]) for data in told]
    assert states == [(1, False), (1, True), (2, False), (2, True)]
    texts = [data["output"]["text"] for data in told]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]
    assert texts[2].startswith(f"{texts[0]} ")
    for data, (_, closed) in zip(told, states, strict=True):
        sentence = data["output"]["sentence"]
        assert ("end_time" in sentence) == ("usage" in data) == closed
        assert {word["fixed"] for word in sentence["words"]} == {closed}
        assert not {"choices", "annotations"} & set(data["output"])
    assert [data["usage"]["duration"] for data in told if "usage" in data] == [3, 9]


def test_silence_is_one_event(desk: Desk, sound: dict[str, bytes]):
    for model in EVERY_FAMILY:
        (only,) = stream(desk.http, call(model, data_uri(sound["none"])))
        assert heard(only.data) == ""


# --- errors and heartbeats ------------------------------------------------------------------------------------------


class Scripted:
    """Stands in for the pipeline behind the door: each step is a sentence to tell, something to do or an error."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps

    def __call__(self, path: Path, options: Any, *, on_sentence: Callable[..., None], **_: Any) -> Any:
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
            else:
                on_sentence(0, step)


SENTENCE = Sentence(begin_ms=0, end_ms=900, text="Hello.", words=(Word(0, 900, "Hello", "."),))


@pytest.mark.parametrize("model", EVERY_FAMILY)
@pytest.mark.parametrize(
    ("error", "status", "code", "text"),
    [
        (RecognitionError("torn"), 500, "InternalError.Algo", "inference internal error. torn"),
        (DashscribeError("x"), 500, "InternalError", DashscribeError.text),
        (ValueError("x"), 500, "InternalError", DashscribeError.text),
    ],
)
def test_error_after_the_first_event_is_the_last_event(
    desk: Desk,
    two: str,
    model: str,
    error: Exception,
    status: int,
    code: str,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(speech.pipeline, "transcribe", Scripted(SENTENCE, error))
    response = desk.http.post(GENERATE, json=call(model, two), headers=STREAM)
    assert response.status_code == 200
    *_, last = events(response.text)
    assert last.lines[1:4] == ["event:error", f":HTTP_STATUS/{status}", f"status:{status}"]
    assert set(last.data) == {"code", "message", "request_id"}
    assert last.data["code"] == code
    assert last.data["message"].startswith(text)
    assert last.data["request_id"] == response.headers["x-request-id"]


def test_error_before_the_first_event_is_plain_json(desk: Desk, two: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speech.pipeline, "transcribe", Scripted(RecognitionError("torn")))
    response = desk.http.post(GENERATE, json=call(QWEN3, two), headers=STREAM)
    assert_refused(response, 500, "InternalError.Algo", "inference internal error. torn")


def test_silent_work_sends_heartbeats(desk: Desk, two: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speech, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(speech, "LOOK_S", 0.1)
    silent, plain = threading.Semaphore(0), speech.stream

    async def watched(*args: Any, **how: Any) -> AsyncGenerator[Any]:
        async with aclosing(plain(*args, **how)) as items:
            async for item in items:
                if item is None:
                    silent.release()
                yield item

    def heartbeat() -> None:
        assert silent.acquire(timeout=SOON_S)

    monkeypatch.setattr(speech, "stream", watched)
    script = Scripted(heartbeat, SENTENCE, heartbeat, RecognitionError("torn"))
    monkeypatch.setattr(speech.pipeline, "transcribe", script)
    response = desk.http.post(GENERATE, json=call(QWEN3, two), headers=STREAM)
    assert response.text.startswith(":keep-alive\n\n")
    assert "\n\n:keep-alive\n\n" in response.text
    assert [event.name for event in events(response.text)] == ["result", "error"]


def test_a_call_that_takes_too_long_is_told_so(desk: Desk, two: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speech, "CALL_LIMIT_S", 0.2)
    over = threading.Event()
    script = Scripted(lambda: over.wait(SOON_S), RecognitionError("torn"))
    monkeypatch.setattr(speech.pipeline, "transcribe", script)
    response = desk.http.post(GENERATE, json=call(QWEN3, two))
    over.set()
    assert_refused(response, 500, "RequestTimeOut", "Request timed out, please try again later.")
    labels = {"route": GENERATE, "model": QWEN3, "status": "canceled"}
    assert desk.parts.telemetry.registry.get_sample_value("dashscribe_calls_total", labels) == 1


# --- live: held engines, hang-ups, bursts ---------------------------------------------------------------------------


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """While this file is there, the engine lets one piece pass and holds all others."""
    file = tmp_path / "hold"
    file.touch()
    return file


@pytest.fixture
def small(tmp_path: Path, hold: Path) -> Iterator[Server]:
    """A server that works on one call at a time and lets others wait for two seconds."""
    running = start_server(
        tmp_path / "home",
        DASHSCRIBE_STANDIN_HOLD=str(hold),
        DASHSCRIBE_WORKERS="1",
        DASHSCRIBE_CALLS="1",
        DASHSCRIBE_CALL_WAIT_S="2",
    )
    yield running
    stop_server(running)
    assert "Traceback" not in running.log.read_text()


def hung_up(server: Server, body: dict[str, Any], headers: dict[str, str], *, after: bytes = b"") -> None:
    """Send a call and hang up: once ``after`` came, or else when the server is at work on it."""
    sent = json.dumps(body).encode()
    host, port = server.url.removeprefix("http://").split(":")
    lines = {"Host": host, "Authorization": f"Bearer {server.key}", "Content-Length": str(len(sent)), **headers}
    with socket.create_connection((host, int(port)), timeout=SOON_S) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(f"POST {GENERATE} HTTP/1.1\r\n{head}\r\n".encode() + sent)
        came = b""
        while after and after not in came:
            came += (piece := connection.recv(65536))
            assert piece, f"the server hung up after {came!r}"
        if not after:
            with server.http() as http:
                metric(http, 'dashscribe_calls_in_progress{state="working"} 1.0')


def metric(http: httpx.Client, line: str) -> None:
    """Wait until the metrics have this line; they are told anew every second."""
    deadline = time.monotonic() + SOON_S
    while line not in http.get("/metrics").text:
        assert time.monotonic() < deadline, f"not told: {line}"
        time.sleep(0.1)


@pytest.mark.parametrize("model", [QWEN3, FLASH])
def test_first_event_comes_while_the_engine_is_still_at_work(small: Server, hold: Path, two: str, model: str):
    late = threading.Event()
    release = threading.Timer(SOON_S, lambda: (late.set(), hold.unlink()))
    release.start()
    with small.http() as http, http.stream("POST", GENERATE, json=call(model, two), headers=STREAM) as response:
        came = ""
        for text in response.iter_text():
            came += text
            if "\n\n" in came and hold.exists():
                assert '"stop"' not in came
                release.cancel()
                hold.unlink()
    assert not late.is_set(), "the first event came only when the engine was let go"
    assert len(events(came)) == len(stream_ids(came))


def stream_ids(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("id:")]


@pytest.mark.parametrize(("headers", "after"), [({}, b""), (STREAM, b"id:1\n")], ids=["plain", "stream"])
def test_a_client_that_hangs_up_frees_its_turn(
    small: Server, two: str, sound: dict[str, bytes], headers: dict[str, str], after: bytes
):
    hung_up(small, call(QWEN3, two), headers, after=after)
    # The engine is held all the while: only a process that was begun anew lets this one piece pass.
    with small.http() as http:
        deadline = time.monotonic() + SOON_S
        while (response := http.post(GENERATE, json=call(QWEN3, data_uri(sound["one"])))).status_code == 429:
            assert time.monotonic() < deadline, "the turn was not given back"
        assert heard(checked(response))
        metric(http, f'dashscribe_calls_total{{model="{QWEN3}",route="{GENERATE}",status="499"}} 1.0')


def test_a_burst_waits_for_its_turn_and_is_then_turned_away(small: Server, hold: Path, two: str):
    def send(_: int) -> httpx.Response:
        with small.http() as http:
            return http.post(GENERATE, json=call(QWEN3, two))

    with ThreadPoolExecutor(4) as pool, small.http() as http:
        calls = [pool.submit(send, number) for number in range(4)]
        deadline = time.monotonic() + SOON_S
        while sum(one.done() for one in calls) < 3:  # the one at work is held
            assert http.get("/api/v1/tasks/none").status_code == 200  # polls are not held up by calls that wait
            assert time.monotonic() < deadline, "those who wait are not turned away"
            time.sleep(0.1)
        hold.unlink()
        answers = [one.result() for one in calls]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 3
    for answer in refused:
        assert_refused(answer, 429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
        assert int(answer.headers["retry-after"]) >= 1
    assert [heard(checked(answer)) for answer in answers if answer.status_code == 200]


def test_bodies_that_never_end_keep_nobody_else_out(small: Server, hold: Path, two: str):
    hold.unlink()
    engine = open_database(f"sqlite:///{small.home / 'dashscribe.db'}")
    _, other = Keys(engine, Settings(home=small.home)).create("other")
    engine.dispose()
    host, port = small.url.removeprefix("http://").split(":")
    head = f"Host: {host}\r\nAuthorization: Bearer {small.key}\r\nContent-Length: 1000\r\n\r\n{{"
    with ExitStack() as stack, small.http() as http:
        for number in range(WAITING_PER_TURN):  # one turn: as many places, half of them for one owner
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=SOON_S))
            path = GENERATE if number % 2 else "/v1/audio/transcriptions"
            kind = "Content-Type: multipart/form-data; boundary=x\r\n"
            connection.sendall(f"POST {path} HTTP/1.1\r\n{kind}{head}".encode())
        # No call before the half are taken: with one of them it would have the bodies that come meanwhile turned away.
        metric(http, f'dashscribe_calls_in_progress{{state="waiting"}} {WAITING_PER_TURN // 2}.0')
        refused = http.post(GENERATE, json=call(QWEN3, two))
        assert_refused(refused, 429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
        assert f"{WAITING_PER_TURN // 2} calls of owner default come in or wait here" in refused.json()["message"]
        told = http.post(GENERATE, json=call(QWEN3, two), headers={"Authorization": f"Bearer {other}"})
        assert heard(checked(told))


def test_engine_that_fails_at_everything_is_an_internal_error(tmp_path: Path, origin: Origin):
    running = start_server(tmp_path / "home", PYTHONPATH=installed_engine(tmp_path), DASHSCRIBE_ENGINE="broken")
    try:
        with running.http() as http:
            for model in EVERY_FAMILY:
                for headers in ({}, STREAM):
                    response = http.post(GENERATE, json=call(model, origin("a.wav")), headers=headers)
                    body = assert_refused(response, 500, "InternalError.Algo", "inference internal error.")
                    assert "the weights are torn" in body["message"]
    finally:
        stop_server(running)


def test_server_that_stops_ends_the_calls_under_way_first(tmp_path: Path, hold: Path, two: str):
    running = start_server(tmp_path / "home", DASHSCRIBE_STANDIN_HOLD=str(hold), DASHSCRIBE_STOP_GRACE_S="120")
    host, port = running.url.removeprefix("http://").split(":")
    with running.http() as http, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(http.post, GENERATE, json=call(QWEN3, two))
        metric(http, 'dashscribe_calls_in_progress{state="working"} 1.0')
        running.process.terminate()
        until = time.monotonic() + SOON_S
        with pytest.raises(ConnectionRefusedError):  # whoever comes now goes elsewhere
            while time.monotonic() < until:
                socket.create_connection((host, int(port)), timeout=SOON_S).close()
        time.sleep(3)  # longer than a stop waits unasked
        assert not waiting.done()
        hold.unlink()
        assert heard(checked(waiting.result(SOON_S)))
    assert running.process.wait(SOON_S) == 0


def test_server_that_stops_tells_those_who_wait(small: Server, two: str):
    with small.http() as http, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(http.post, GENERATE, json=call(QWEN3, two))
        metric(http, 'dashscribe_calls_in_progress{state="working"} 1.0')
        small.process.terminate()
        answer = waiting.result(SOON_S)
    body = assert_refused(answer, 503, "InternalError", DashscribeError.text)
    assert answer.headers["retry-after"] == "1"
    assert body["message"].endswith("The server is stopping.")
    assert small.process.wait(SOON_S) == 0
