"""A server that is killed again and again, the sources it fetches, and what can be seen of its work from outside."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
import wave
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import psutil

from dashscribe import decode
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Outcome
from laid_database import lay
from object_store import ObjectStore
from plain_http import loopback
from ports import free_port

KEY = "sk-kill-tests"
FINAL = {"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"}
#: What tells a recognized stretch of sound from any other: the checksum of its samples, its begin and end.
Heard = tuple[int, int, int]


# --- sources ----------------------------------------------------------------------------------------------------------


class Sources:
    """Sound files on a web server of their own; no two share a stretch of sound.

    A file may have a trick: ``hang`` stops half-way and says no more, ``short`` ends half-way the first time, ``lie``
    promises more than comes, always, and ``swap`` ends half-way through another file the first time.
    """

    def __init__(self, speech: Path, address: str = "127.0.0.1") -> None:
        decoder = decode.Decoder(speech, url="speech", channels=[0], stretch=None)
        self._speech = np.concatenate([block[0] for block in decoder])
        self._samples: dict[str, np.ndarray] = {}
        self._origins: dict[Heard, str] = {}
        files: dict[str, bytes] = {}
        tricks: dict[str, str] = {}
        asked: Counter[str] = Counter()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = files.get(self.path)
                asked[self.path] += 1
                trick = tricks.get(self.path, "")
                if trick in ("short", "swap") and asked[self.path] > 1:
                    trick = ""
                promised = len(data or b"") + (1000 if trick == "lie" else 0)
                if data and trick == "swap":
                    data = data[:44] + data[:43:-1]
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(promised))
                self.send_header("ETag", f'"{zlib.crc32(data or b"")}"')
                self.end_headers()
                sent = (data or b"")[: promised // 2 if trick in ("hang", "short", "swap") else None]
                with suppress(OSError):  # the server that asked may be dead
                    self.wfile.write(sent)
                    if trick == "hang":
                        self.connection.settimeout(30.0)
                        self.connection.recv(1)
                self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                pass

        self._files, self._tricks = files, tricks
        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://{address}:{self._server.server_port}"

    @contextmanager
    def open(self) -> Iterator[Sources]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()

    def add(self, name: str, seconds: float, trick: str = "") -> str:
        """A new file of so many seconds: speech, with a noise below hearing that makes it unlike all others."""
        self._tricks[f"/{name}"] = trick
        count = round(seconds * RATE_HZ)
        noise = np.random.default_rng(zlib.crc32(name.encode())).integers(-2, 3, count)
        samples = (np.resize(self._speech, count) + noise).clip(-32768, 32767).astype(np.int16)
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(RATE_HZ)
            writer.writeframes(samples.tobytes())
        self._files[f"/{name}"] = file.getvalue()
        url = f"{self.base}/{name}"
        self._samples[url] = samples
        return url

    def heard(self, url: str, begin_ms: int, end_ms: int) -> Heard:
        """How a recognized stretch of a file is told from all others."""
        stretch = self._samples[url][begin_ms * SAMPLES_PER_MS : end_ms * SAMPLES_PER_MS]
        return zlib.crc32(stretch.tobytes()), begin_ms, end_ms

    def url_of(self, heard: Heard) -> str:
        """The file that a recognized stretch is from."""
        if heard not in self._origins:
            _, begin_ms, end_ms = heard
            long_enough = (url for url, samples in self._samples.items() if end_ms * SAMPLES_PER_MS <= len(samples))
            self._origins[heard] = next(url for url in long_enough if self.heard(url, begin_ms, end_ms) == heard)
        return self._origins[heard]


# --- the server -------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Server:
    """``dashscribe serve`` on one home, started and killed as often as a test likes.

    ``settings`` are further variables. Several of them on one database and store make a ``Site``; their stand-in
    engines write one ``log``.
    """

    home: Path
    engine: str = "standin"
    delay_ms: float = 0.0
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("serve",)
    shared: Path | None = None
    bucket: ObjectStore | None = None
    program: tuple[str, ...] = ("-m", "dashscribe")
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where the stand-in engine says what it has recognized."""
        return (self.shared or self.home) / "heard.log"

    @property
    def begins(self) -> Path:
        """Where it says what it begins with."""
        return self.log.with_name("begun.log")

    def start(self) -> None:
        """Start the process; it need not be up yet."""
        self.home.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCRIBE_")}
        environment |= {
            "DASHSCRIBE_HOME": str(self.home),
            "DASHSCRIBE_API_KEY": KEY,
            "DASHSCRIBE_ENGINE": self.engine,
            "DASHSCRIBE_WORKERS": "2",
            "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1",
            "DASHSCRIBE_DISK_RESERVE_BYTES": "0",
            "DASHSCRIBE_STANDIN_DELAY_MS": str(self.delay_ms),
            "DASHSCRIBE_STANDIN_LOG": str(self.log),
            "DASHSCRIBE_STANDIN_BEGINS": str(self.begins),
            **self.settings,
        }
        if "DASHSCRIBE_DATABASE_URL" not in self.settings:
            lay(f"sqlite:///{self.home / 'dashscribe.db'}")  # no test kills a server in its very first start
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, *self.program, *self.command, "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env=environment,
            )

    def wait_ready(self, seconds: float = 240.0) -> None:
        """Wait until it answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, self.last_words()
            if self.prefix:
                return  # it lives in another network
            with suppress(httpx.TransportError):
                if self._http("GET", "/healthz").status_code == 200:
                    return
            time.sleep(0.03)
        raise AssertionError(f"the server does not answer after {seconds} s: {self.last_words()}")

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9, and make sure that nothing of it lives on."""
        assert self.process is not None
        pid = self.process.pid
        self.process.kill()
        self.process.wait(60)
        self._assert_no_children(pid)

    def children(self) -> list[psutil.Process]:
        """Its child processes that hold native code."""
        assert self.process is not None
        found: list[psutil.Process] = []
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if "dashscribe.hosts.child" in child.cmdline():
                        found.append(child)
        return found

    def stop(self) -> None:
        """SIGTERM, and make sure that it ends well within seconds."""
        assert self.process is not None
        pid = self.process.pid
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.last_words()
        self._assert_no_children(pid)

    def last_words(self) -> str:
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    @staticmethod
    def _assert_no_children(pid: int) -> None:
        # A child that has just been started learns of it only once its imports are done, at its low priority.
        until = time.monotonic() + 20.0
        while orphans := _children_of(pid):
            assert time.monotonic() < until, f"children of the dead server {pid} live on: {orphans}"
            time.sleep(0.02)

    # --- what clients do ---

    def submit(self, urls: Sequence[str], key: str) -> str:
        """Submit a task, again and again until it is accepted; the key keeps it from being made twice."""
        answer = self._http(
            "POST",
            "/api/v1/services/audio/asr/transcription",
            headers={"X-DashScope-Async": "enable", "Idempotency-Key": key},
            json={"model": "fun-asr", "input": {"file_urls": list(urls)}},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["output"]["task_id"]

    def query(self, task_id: str) -> dict[str, Any]:
        answer = self._http("GET", f"/api/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def count_tasks(self) -> int:
        """How many tasks there are."""
        return self._http("GET", "/api/v1/tasks").raise_for_status().json()["total"]

    def wait(self, task_ids: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
        """The final answers of these tasks."""
        until = time.monotonic() + seconds
        final: dict[str, dict[str, Any]] = {}
        for task_id in task_ids:  # one after the other: to ask for all of them again and again is most of the work
            while (answer := self.query(task_id))["output"]["task_status"] not in FINAL:
                assert time.monotonic() < until, (
                    f"not done after {seconds} s: {set(task_ids) - set(final)}; {self.last_words()}"
                )
                time.sleep(0.1)
            final[task_id] = answer
        return final

    def results(self, answer: dict[str, Any]) -> list[bytes | tuple[str, str]]:
        """What a task gives for each of its files: the bytes of the result, or the code and message."""
        assert answer["output"]["task_status"] == "SUCCEEDED", answer
        found: list[bytes | tuple[str, str]] = []
        for entry in answer["output"]["results"]:
            if entry["subtask_status"] == "SUCCEEDED":
                url = httpx.URL(entry["transcription_url"])
                found.append(self._http("GET", url.raw_path.decode()).raise_for_status().content)
            else:
                found.append((entry["code"], entry["message"]))
        return found

    def _http(self, method: str, path: str, headers: dict[str, str] | None = None, **how: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}", **(headers or {})}
        return loopback.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30.0, **how)

    # --- what can be seen from outside ---

    def complete(self, sources: Sources, urls: dict[tuple[str, int], str]) -> dict[Heard, frozenset[Heard]]:
        """The stretches of sound that need no more recognition, and all of their window; ``urls`` by task and file.

        Their window has a whole result in the store, or their file has; then nothing tells their window any more, and
        they stand alone.
        """
        found: dict[Heard, frozenset[Heard]] = {}
        ended: set[str] = set()
        for key in self._stored():
            _, task_id, number, *rest = key.split("/")
            url = urls.get((task_id, int(number)))
            if url is None or not key.endswith(".json"):
                continue  # whoever submitted it was not told so yet
            if rest[0] == "windows":
                try:
                    outcomes = msgspec.json.decode(self._blob(key), type=list[Outcome])
                except FileNotFoundError:
                    continue  # its file has ended meanwhile
                spans = (outcome.span for outcome in outcomes)
                window = frozenset(sources.heard(url, span.begin_ms, span.end_ms) for span in spans)
                found |= dict.fromkeys(window, window)
            elif rest[0].startswith("result-"):
                ended.add(url)
        alone = {heard: frozenset({heard}) for heard in self.heard() if sources.url_of(heard) in ended}
        return alone | found

    def _stored(self) -> list[str]:
        """The keys of all blobs of tasks."""
        if self.bucket:
            keys = self.bucket.keys(self.settings["DASHSCRIBE_STORE_URL"])
            return [key for key in keys if key.startswith("tasks/")]
        store = (self.shared or self.home) / "store"
        walk = os.walk(store / "tasks")  # unlike rglob it goes on where a folder vanishes meanwhile
        return [str(Path(folder, name).relative_to(store)) for folder, _, names in walk for name in names]

    def _blob(self, key: str) -> bytes:
        if self.bucket:
            return self.bucket.blob(self.settings["DASHSCRIBE_STORE_URL"], key)
        return ((self.shared or self.home) / "store" / key).read_bytes()

    def outcomes(self, answer: dict[str, Any]) -> list[bytes | tuple[str, str]]:
        """As ``results``, for a task that may have failed as a whole."""
        if answer["output"]["task_status"] == "SUCCEEDED":
            return self.results(answer)
        output = answer["output"]
        return [(output.get("code", ""), output.get("message", ""))] * output.get("task_metrics", {}).get("TOTAL", 1)

    def heard(self) -> list[Heard]:
        """All that the stand-in engine has recognized so far, repetitions included."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="ascii").splitlines()
        return [tuple(map(int, line.split())) for line in lines]  # type: ignore[misc]

    def begun(self) -> list[tuple[int, Heard]]:
        """All that the stand-in engine has begun to recognize so far, and in which process."""
        if not self.begins.exists():
            return []
        lines = (map(int, line.split()) for line in self.begins.read_text(encoding="ascii").splitlines())
        return [(process, (checksum, begin_ms, end_ms)) for process, checksum, begin_ms, end_ms in lines]


class Site:
    """Servers without workers, and workers, on one PostgreSQL and one store."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        servers: int,
        workers: int,
        program: tuple[str, ...] = ("-m", "dashscribe"),
        bucket: ObjectStore | None = None,
        **settings: str,
    ) -> None:
        self.folder, self.program, self.bucket = folder, program, bucket
        common = {"DASHSCRIBE_DATABASE_URL": database_url, "DASHSCRIBE_STORE_URL": f"file://{folder}/store"}
        if bucket:
            common |= {"DASHSCRIBE_STORE_URL": f"s3://{bucket.make_bucket()}/kept", **bucket.environment()}
        self._settings = common | {"DASHSCRIBE_LEASE_S": "6", **settings}
        self.servers = [self._new(f"server-{n}", ("serve", "--no-worker")) for n in range(servers)]
        self.workers = [self._new(f"worker-{n}", ("worker",)) for n in range(workers)]

    def _new(self, name: str, command: tuple[str, ...]) -> Server:
        settings = dict(self._settings)
        return Server(
            self.folder / name,
            command=command,
            shared=self.folder,
            settings=settings,
            program=self.program,
            bucket=self.bucket,
        )

    @property
    def front(self) -> Server:
        """The server that is asked."""
        return self.servers[0]

    @contextmanager
    def open(self) -> Iterator[Site]:
        """Start all of them, and stop those that still run at the end."""
        for process in (*self.servers, *self.workers):
            process.start()
        try:
            for process in (*self.servers, *self.workers):
                process.wait_ready()
            yield self
        finally:
            for process in (*self.servers, *self.workers):
                if process.process and process.process.poll() is None:
                    process.kill()


def _children_of(pid: int) -> list[str]:
    """Processes that say on their command line that they belong to this one; their real parent may be gone."""
    found: list[str] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            is_ours = "dashscribe.hosts.child" in line and ["--parent", str(pid)] in list(map(list, pairwise(line)))
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(line))
    return found


@dataclass
class Plan:
    """The tasks of one run: their keys and the files of each, drawn from a seed."""

    sources: Sources
    random: random.Random
    tasks: dict[str, list[str]] = field(default_factory=dict)

    def draw(self, count: int, seconds: tuple[float, float], *, gone: bool = False, tricks: Sequence[str] = ()) -> str:
        """A new task of so many files, each of a length from this range; ``gone`` adds one that does not exist."""
        key = f"task-{len(self.tasks)}"
        urls = [self.sources.add(f"{key}-{n}.wav", self.random.uniform(*seconds)) for n in range(count)]
        urls += [self.sources.add(f"{key}-{t}.wav", self.random.uniform(*seconds), trick=t) for t in tricks]
        if gone:
            urls.append(f"{self.sources.base}/{key}-gone.wav")
        self.tasks[key] = urls
        return key
