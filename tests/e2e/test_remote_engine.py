"""A second server as the engine of the first: the whole way of the sound, and what happens when the second one dies."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fault_engines
import httpx
import numpy as np
import psutil
import pytest

from dashscribe import config, pipeline
from dashscribe.decode import Decoder, encode_flac
from dashscribe.engines import ENGINES
from dashscribe.errors import EngineDownError
from dashscribe.hosts import Hosts
from dashscribe.testing import VOCABULARY
from dashscribe.types import Options, Outcome, Span, Transcript, Window
from laid_database import lay
from plain_http import client, loopback
from ports import free_port

KEY = "sk-of-the-near-server"
FAR_KEY = "sk-of-the-far-server"


@dataclass
class Program:
    """``dashscribe serve`` with these settings, started as often as a test likes, on one port."""

    home: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Program:
        self.home.mkdir(parents=True, exist_ok=True)
        lay(f"sqlite:///{self.home / 'dashscribe.db'}")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCRIBE_")}
        here = {"DASHSCRIBE_HOME": str(self.home), "DASHSCRIBE_WORKERS": "2", "DASHSCRIBE_DISK_RESERVE_BYTES": "0"}
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashscribe", "serve", "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env=clean | here | self.settings,
            )
        return self

    def wait_ready(self) -> None:
        wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with suppress(httpx.TransportError):
            return loopback.get(f"{self.url}/healthz", timeout=30).status_code == 200
        return False

    @property
    def log(self) -> str:
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(with_signal)
            self.process.wait(30)
            self.process = None

    def http(self) -> httpx.Client:
        return client(self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

    def transcribed(self, wav: bytes, **fields: str) -> httpx.Response:
        """What a synchronous call brings."""
        with self.http() as http:
            files = {"file": ("a.wav", wav, "audio/wav")}
            return http.post("/v1/audio/transcriptions", data={"model": "fun-asr", **fields}, files=files)

    def submit(self, url: str) -> str:
        body = {"model": "fun-asr", "input": {"file_urls": [url]}}
        with self.http() as http:
            path, headers = "/api/v1/services/audio/asr/transcription", {"X-DashScope-Async": "enable"}
            return http.post(path, json=body, headers=headers).raise_for_status().json()["output"]["task_id"]

    def result(self, task_id: str) -> dict[str, Any]:
        """The result of a task with one file, once it is there."""
        with self.http() as http:

            def task() -> dict[str, Any]:
                return http.get(f"/api/v1/tasks/{task_id}").raise_for_status().json()["output"]

            wait_until(lambda: task()["task_status"] not in ("PENDING", "RUNNING"))
            (subtask,) = task()["results"]
            assert subtask["subtask_status"] == "SUCCEEDED", subtask
            return http.get(httpx.URL(subtask["transcription_url"]).raw_path.decode()).raise_for_status().json()


def wait_until(holds: Callable[[], bool], seconds: float = 240.0) -> None:
    until_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.05)


def far_program(home: Path, **settings: str) -> Program:
    """The server that recognizes: made-up words, a second of sound at a time."""
    standin = {"DASHSCRIBE_ENGINE": "standin", "DASHSCRIBE_API_KEY": FAR_KEY}
    return Program(home, standin | {"DASHSCRIBE_STANDIN_LOG": str(home / "heard")} | settings)


def pointing_at(far: Program) -> dict[str, str]:
    """What makes the far server an engine."""
    return {
        "DASHSCRIBE_OPENAI_URL": f"{far.url}/v1",
        "DASHSCRIBE_OPENAI_API_KEY": FAR_KEY,
        "DASHSCRIBE_OPENAI_MODEL": "fun-asr",
        "DASHSCRIBE_OPENAI_PAUSE_S": "0.5",
    }


def near_program(home: Path, far: Program) -> Program:
    """The server that clients know."""
    return Program(home, pointing_at(far) | {"DASHSCRIBE_API_KEY": KEY, "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1/32"})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Program]]:
    """The near and the far server, both up."""
    folder = tmp_path_factory.mktemp("pair")
    far = far_program(folder / "far").start()
    near = near_program(folder / "near", far).start()
    far.wait_ready()
    near.wait_ready()
    yield near, far
    near.stop()
    far.stop()


def spoken(sample: Path, begin_ms: int, end_ms: int) -> bytes:
    """A part of the project's sample as a WAV file."""
    (sound,) = np.concatenate(list(Decoder(sample, url="", channels=(0,), stretch=Span(begin_ms, end_ms))), axis=1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(sound.astype("<i2").tobytes())
    return buffer.getvalue()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on a web server."""
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=files.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{files.server_port}"
    files.shutdown()
    files.server_close()


def words_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for track in result["transcripts"] for sentence in track["sentences"] for word in sentence["words"]]


def heard_by(far: Program) -> list[str]:
    log = far.home / "heard"
    return log.read_text(encoding="ascii").splitlines() if log.exists() else []


# --- the far server is up ---------------------------------------------------------------------------------------------


def test_command_line_synchronous_call_and_task_get_the_text_of_the_far_server(
    pair: tuple[Program, Program], tmp_path: Path, sample: Path
) -> None:
    near, far = pair
    wav = spoken(sample, 0, 6_000)
    (tmp_path / "a.wav").write_bytes(wav)
    environment = {**os.environ, **pointing_at(far)}
    command = [sys.executable, "-m", "dashscribe", "transcribe", "-f", "json", str(tmp_path / "a.wav")]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    by_command = json.loads(told.stdout)
    with served(tmp_path) as base:
        by_task = near.result(near.submit(f"{base}/a.wav"))
    by_call = near.transcribed(wav, response_format="verbose_json", **{"timestamp_granularities[]": "word"})

    words = words_of(by_command)
    assert words == words_of(by_task)
    assert [(round(w["start"] * 1000), round(w["end"] * 1000)) for w in by_call.json()["words"]] == [
        (w["begin_time"], w["end_time"]) for w in words
    ]
    assert len(words) > 4
    assert {word["text"].strip().lower() for word in words} <= set(VOCABULARY)
    assert all(word["end_time"] - word["begin_time"] == 500 for word in words), "the far server's own times"
    assert by_call.headers["x-dashscribe-engine"] == "openai"
    for result in (by_command, by_task, by_call.json()):
        assert result["dashscribe"]["engine"] == "openai"
        assert not any("approximate" in note or "took the place" in note for note in result["dashscribe"]["notes"])
    assert f"engine openai: fun-asr at {far.url}/v1" in told.stderr
    assert FAR_KEY not in told.stderr + near.log


def test_a_wrong_key_is_told_and_no_process_shows_the_right_one(
    pair: tuple[Program, Program], tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, far = pair
    for name, value in pointing_at(far).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "a.wav").write_bytes(spoken(sample, 0, 3_000))
    settings = config.load()
    with Hosts(settings, slots=1) as hosts:
        assert transcribed(hosts, tmp_path / "a.wav").engine == "openai"
        children = [child for child in psutil.Process().children() if "dashscribe.hosts.child" in child.cmdline()]
        assert len(children) == 2, "for the sound, and for the engine"
        for child in children:
            assert FAR_KEY not in f"{child.cmdline()} {child.environ()}"
    monkeypatch.setenv("DASHSCRIBE_OPENAI_API_KEY", "sk-wrong")
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "openai")
    with Hosts(config.load(), slots=1) as hosts, pytest.raises(EngineDownError) as caught:
        transcribed(hosts, tmp_path / "a.wav")
    assert str(caught.value).startswith(f"{far.url}/v1 answered 401: Incorrect API key provided")
    assert "DASHSCRIBE_OPENAI_API_KEY" in str(caught.value)


def transcribed(hosts: Hosts, path: Path) -> Transcript:
    return pipeline.transcribe(path, Options(), settings=config.load(), hosts=hosts)


def test_no_more_calls_go_out_at_once_than_the_settings_allow_and_other_engines_have_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = fault_engines.engine_infos()
    monkeypatch.setitem(ENGINES, "fault", replace(infos["fault"], remote=True))
    monkeypatch.setitem(ENGINES, "fault-two", infos["fault-two"])
    one = Window(0, 0, (Span(0, 500),), encode_flac(np.ones(8_000, np.int16)))

    def ask(engine: str) -> list[Outcome]:
        return list(hosts.recognize(engine, one, Options(context=f"meet {tmp_path}")))

    def at_work() -> int:
        return len(list(tmp_path.glob("at-*")))

    with Hosts(config.load(openai_concurrency=1), slots=3) as hosts, ThreadPoolExecutor(3) as threads:
        remote = [threads.submit(ask, "fault") for _ in range(2)]
        wait_until(lambda: at_work() == 1)
        local = threads.submit(ask, "fault-two")
        wait_until(lambda: at_work() == 2)
        time.sleep(0.5)
        assert at_work() == 2
        (tmp_path / "door-0").touch()
        assert len({call.result(30)[0].sentences[0].text for call in remote}) == 1, "one child after the other"
        assert local.result(30)


# --- the far server dies ----------------------------------------------------------------------------------------------


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Program, Program]]:
    """Servers of a test's own; the far one holds every piece but the first while the file ``hold`` exists."""
    far = far_program(tmp_path / "far", DASHSCRIBE_STANDIN_HOLD=str(tmp_path / "hold")).start()
    near = near_program(tmp_path / "near", far).start()
    far.wait_ready()
    near.wait_ready()
    yield near, far
    near.stop()
    far.stop()


def test_a_task_whose_endpoint_is_killed_halfway_goes_on_with_the_next_engine_and_says_so(
    mortal: tuple[Program, Program], tmp_path: Path, sample: Path
) -> None:
    near, far = mortal
    quiet = np.zeros(16_000 * 3, np.int16).tobytes()
    (tmp_path / "www").mkdir()
    write_wav(
        tmp_path / "www" / "a.wav", frames_of(spoken(sample, 0, 3_500)) + quiet + frames_of(spoken(sample, 0, 3_500))
    )
    (tmp_path / "hold").touch()
    with served(tmp_path / "www") as base:
        task_id = near.submit(f"{base}/a.wav")
        wait_until(lambda: len(heard_by(far)) == 1)
        far.stop(signal.SIGKILL)
        result = near.result(task_id)
    ours = result["dashscribe"]
    assert ours["engine"] == "pocketsphinx"
    note = ours["notes"][0]
    assert note.startswith(f"pocketsphinx took the place of openai, which is down: {far.url}/v1 cannot be reached: ")
    assert ours["warnings"] == []
    assert result["transcripts"][0]["text"].lower().count("four score and seven years ago") == 2
    assert not any(word["text"].strip().lower() in VOCABULARY for word in words_of(result))
    assert "the engine openai is left alone for 0.5 s" in near.log


def frames_of(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as file:
        return file.readframes(file.getnframes())


def write_wav(path: Path, frames: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(frames)


def test_without_another_engine_a_call_is_refused_and_told_what_is_down(tmp_path: Path, sample: Path) -> None:
    far = far_program(tmp_path / "far")  # never started
    near = near_program(tmp_path / "near", far)
    near.settings["DASHSCRIBE_ENGINE"] = "openai"
    near.start().wait_ready()
    try:
        answers = [near.transcribed(spoken(sample, 0, 2_500)) for _ in range(2)]
    finally:
        near.stop()
    for answer in answers:
        assert answer.status_code == 503
        error = answer.json()["error"]
        assert error["code"] == "ModelUnavailable"
        assert f"{far.url}/v1 cannot be reached: [Errno 111] Connection refused (3 tries)" in error["message"]


def test_calls_go_to_the_next_engine_while_the_endpoint_is_down_and_back_when_it_is_up(
    mortal: tuple[Program, Program], sample: Path
) -> None:
    near, far = mortal
    wav = spoken(sample, 0, 2_500)
    assert near.transcribed(wav).headers["x-dashscribe-engine"] == "openai"
    far.stop(signal.SIGKILL)
    answer = near.transcribed(wav)
    assert answer.headers["x-dashscribe-engine"] == answer.json()["dashscribe"]["engine"] == "pocketsphinx"
    assert f"openai, which is down: {far.url}/v1 cannot be reached" in answer.json()["dashscribe"]["notes"][0]
    assert near.log.count("is left alone") == 1
    far.start().wait_ready()
    # The pause may still last, or be doubled by a trial while the far server was starting.
    wait_until(lambda: near.transcribed(wav).headers["x-dashscribe-engine"] == "openai")
    assert "the engine openai answers again" in near.log
    assert not any("took the place" in note for note in near.transcribed(wav).json()["dashscribe"]["notes"])
