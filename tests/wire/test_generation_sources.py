"""Where a synchronous call's recording may come from, and its limits: each with the error that the service gives."""

from __future__ import annotations

import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from generation_calls import EVERY_FAMILY, FLASH, GENERATE, QWEN3, call, data_uri, heard
from wire_origin import Origin
from wire_servers import Desk, Server, assert_refused, checked, open_desk

from dashscribe.wire import speech

PREFIX = "<400> InternalError.Algo.InvalidParameter: "
DOWNLOAD = "Failed to download multimodal content."
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """Silence of so many seconds, at 8 kHz."""

    def make(seconds: int) -> bytes:
        path = tmp_path_factory.mktemp("long") / "silence.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(16_000 * seconds))
        return path.read_bytes()

    return {seconds: make(seconds) for seconds in (179, 181, 299, 301)}


def send(http: httpx.Client, model: str, audio: str, **headers: str) -> httpx.Response:
    return http.post(GENERATE, json=call(model, audio), headers=headers)


# --- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", EVERY_FAMILY)
def test_url_is_fetched(http: httpx.Client, origin: Origin, model: str):
    assert heard(checked(send(http, model, origin("a.wav"))))


def test_url_and_data_uri_of_one_recording_say_the_same(http: httpx.Client, origin: Origin):
    uri = data_uri((origin.folder / "a.wav").read_bytes())
    assert heard(checked(send(http, QWEN3, origin("a.wav")))) == heard(checked(send(http, QWEN3, uri)))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("404/gone.wav", DOWNLOAD),
        ("403/secret.wav", DOWNLOAD),
        ("short/a.wav", DOWNLOAD),
        ("page.html", "Wrong Content-Type of multimodal url"),
        ("empty.wav", "The audio format is illegal and cannot be opened."),
    ],
)
@pytest.mark.parametrize("model", [QWEN3, FLASH])
def test_urls_that_give_no_recording(http: httpx.Client, origin: Origin, model: str, path: str, text: str):
    assert_refused(send(http, model, origin(path)), 400, "InvalidParameter", text)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://10.0.0.1/a.wav", DOWNLOAD),
        ("http://169.254.169.254/latest/meta-data", DOWNLOAD),
        ("http://127.0.0.1:1/a.wav", DOWNLOAD),
        ("http://nowhere.invalid/a.wav", DOWNLOAD),
        ("http://[::1/a.wav", "The provided URL does not appear to be valid."),
        ("https://?a.wav", "The provided URL does not appear to be valid."),
    ],
)
def test_urls_that_lead_nowhere(http: httpx.Client, url: str, text: str):
    assert_refused(send(http, QWEN3, url), 400, "InvalidParameter", text)


def test_download_that_takes_too_long_is_a_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Stalling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            released.wait(30)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    released = threading.Event()
    monkeypatch.setattr(speech, "FETCH_LIMIT_S", 0.5)
    stalling = ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    threading.Thread(target=stalling.serve_forever, daemon=True).start()
    with open_desk(tmp_path, fetch_allow="127.0.0.1") as desk:
        body = call(QWEN3, f"http://127.0.0.1:{stalling.server_port}/a.wav")
        text = "Download the media resource timed out during the data inspection process."
        assert_refused(desk.http.post(GENERATE, json=body), 400, "InvalidParameter", text)
    released.set()
    stalling.shutdown()
    stalling.server_close()


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "limit"), [(QWEN3, 300), (FLASH, 300), ("qwen-audio-3.1-asr-flash", 300), ("qwen-audio-asr", 180)]
)
def test_longest_recording(http: httpx.Client, long: dict[int, bytes], model: str, limit: int):
    assert send(http, model, data_uri(long[limit - 1])).status_code == 200
    response = send(http, model, data_uri(long[limit + 1]))
    body = assert_refused(response, 400, "InvalidParameter", f"{PREFIX}The audio is too long")
    assert f"{limit} s" in body["message"]


@pytest.mark.parametrize("model", EVERY_FAMILY)
def test_largest_recording_behind_a_url(http: httpx.Client, origin: Origin, model: str):
    with wave.open(str(origin.folder / "large.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(11 * 1024**2))
    response = send(http, model, origin("large.wav"))
    if model == "qwen-audio-3.1-asr-flash":
        assert response.status_code == 200
    else:
        assert_refused(response, 400, "InvalidParameter", f"{PREFIX}Multimodal file size is too large")


def test_source_for_which_the_disk_has_no_room_is_not_fetched(tmp_path: Path, origin: Origin):
    with open_desk(tmp_path, fetch_allow="127.0.0.1/32", disk_reserve_bytes=10**18) as desk:
        response = send(desk.http, QWEN3, origin("a.wav"))
        body = assert_refused(response, 507, "InternalError.FileUpload", "The file cannot be stored.")
        assert "DASHSCRIBE_DISK_RESERVE_BYTES" in body["message"]


# --- uploads --------------------------------------------------------------------------------------------------------


def kept(desk: Desk, file: Path, owner: str = "default") -> str:
    return desk.parts.uploads.keep(owner, file.name, file).url


@pytest.mark.parametrize("headers", [{}, RESOLVE])
def test_upload_of_ones_own_is_read(tmp_path: Path, origin: Origin, headers: dict[str, str]):
    with open_desk(tmp_path) as desk:
        url = kept(desk, origin.folder / "a.wav")
        assert heard(checked(send(desk.http, QWEN3, url, **headers)))


def test_upload_without_the_header_is_refused_where_that_is_set(tmp_path: Path, origin: Origin):
    with open_desk(tmp_path, strict_oss=True) as desk:
        url = kept(desk, origin.folder / "a.wav")
        assert_refused(send(desk.http, QWEN3, url), 400, "InvalidParameter", DOWNLOAD)
        assert send(desk.http, QWEN3, url, **RESOLVE).status_code == 200


def test_uploads_that_are_none_or_somebody_elses_are_refused(tmp_path: Path, origin: Origin):
    with open_desk(tmp_path) as desk:
        for url in ("oss://a/b.wav", "oss://", kept(desk, origin.folder / "a.wav", "somebody else")):
            assert_refused(send(desk.http, QWEN3, url, **RESOLVE), 400, "InvalidParameter", DOWNLOAD)


def test_upload_beyond_the_limit_of_the_model_is_refused(tmp_path: Path):
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(10 * 1024**2 + 1))
    with open_desk(tmp_path / "home") as desk:
        text = f"{PREFIX}Multimodal file size is too large"
        assert_refused(send(desk.http, QWEN3, kept(desk, large)), 400, "InvalidParameter", text)


# --- rates and quota ------------------------------------------------------------------------------------------------


def test_rate_limits_count_calls(tmp_path: Path):
    with open_desk(tmp_path, rate_limits="qwen3-asr-flash=2/minute") as desk:
        for _ in range(2):
            assert send(desk.http, QWEN3, "http://10.0.0.1/a.wav").status_code == 400
        response = send(desk.http, QWEN3, "http://10.0.0.1/a.wav")
        assert_refused(response, 429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
        assert int(response.headers["retry-after"]) >= 1
        assert send(desk.http, FLASH, "http://10.0.0.1/a.wav").status_code == 400


def test_key_whose_quota_is_used_up_is_refused(tmp_path: Path, origin: Origin):
    with open_desk(tmp_path) as desk:
        _, key = desk.parts.keys.create(quota_s=3)
        uri = data_uri((origin.folder / "a.wav").read_bytes())
        bearer = {"Authorization": f"Bearer {key}"}
        assert send(desk.http, QWEN3, uri, **bearer).status_code == 200
        deadline = time.monotonic() + 20
        while (response := send(desk.http, QWEN3, uri, **bearer)).status_code == 200:
            assert time.monotonic() < deadline
        text = "Allocated quota exceeded, please increase your quota limit."
        assert_refused(response, 429, "Throttling.AllocationQuota", text)
        for path in (GENERATE, "/v1/chat/completions", "/v1/audio/transcriptions"):  # told before a body is looked at
            assert desk.http.post(path, content=b"no body at all", headers=bearer).status_code == 429


@pytest.mark.parametrize("headers", [{}, {"X-DashScope-SSE": "enable"}])
def test_model_for_which_no_engine_can_stand_is_not_found(tmp_path: Path, headers: dict[str, str]):
    with open_desk(tmp_path) as desk:
        unforced = desk.parts.settings.model_copy(update={"engine": ""})
        desk.app.state.parts = replace(desk.parts, settings=unforced)
        body = call(QWEN3, "http://10.0.0.1/a.wav", asr_options={"language": "zh"})
        response = desk.http.post(GENERATE, json=body, headers=headers)
        assert_refused(response, 404, "ModelNotFound", "Model can not be found.")
