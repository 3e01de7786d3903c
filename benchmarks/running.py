"""What benchmarks of the whole program share: servers, an origin, and what their processes have in memory.

A process' own memory is what nobody shares with it (USS); that of all together is what each has a part in (PSS), so
that libraries in several processes count once. Both are read from ``/proc/PID/smaps_rollup``.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil

from common import CHECKOUT, recordings

KEY = "sk-benchmark"
MODELS = CHECKOUT / "tests" / "models"
SUBMIT = "/api/v1/services/audio/asr/transcription"
_FINAL = ("SUCCEEDED", "FAILED", "CANCELED")


def environment(home: Path, **settings: str) -> dict[str, str]:
    """What a program gets that is to use this home and nothing of whoever runs the benchmark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCRIBE_")}
    ours = {"DASHSCRIBE_HOME": str(home), "DASHSCRIBE_API_KEY": KEY, "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1/32"}
    return kept | ours | settings


def install(home: Path, *names: str | Path) -> None:
    """Install small models of the tests by their names, others by their folders."""
    for name in names:
        command = [sys.executable, "-m", "dashscribe", "models", "add", MODELS / name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(home))


@dataclass
class Running:
    """A server or worker that runs."""

    process: psutil.Popen
    base: str
    started_s: float  # from the command to the first answer that it is ready

    def client(self) -> httpx.Client:
        """A client with the key."""
        return httpx.Client(base_url=self.base, headers={"Authorization": f"Bearer {KEY}"}, timeout=600)


@contextmanager
def running(
    home: Path, command: str = "serve", *arguments: str, cores: str = "", ready: str = "/healthz", **settings: str
) -> Generator[Running]:
    """``dashscribe serve`` or ``worker`` on a port of the loopback until the block ends; ``cores`` as for taskset."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pinned = ["taskset", "-c", cores] if cores else []
    line = [*pinned, sys.executable, "-m", "dashscribe", command, "--port", str(port), *arguments]
    begin_s = time.perf_counter()
    with (home.parent / f"{command}-{port}.log").open("wb") as log:
        process = psutil.Popen(line, env=environment(home, **settings), stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        _wait(process, base + ready)
        yield Running(process, base, time.perf_counter() - begin_s)
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: psutil.Popen, url: str) -> None:
    while process.poll() is None:
        try:
            if httpx.get(url, timeout=30).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    raise SystemExit("the server did not start")


def submit(client: httpx.Client, url: str, **parameters: object) -> str:
    """The id of a new task for one URL."""
    body = {"model": "fun-asr", "input": {"file_urls": [url]}, "parameters": parameters}
    answer = client.post(SUBMIT, headers={"X-DashScope-Async": "enable"}, json=body)
    answer.raise_for_status()
    return answer.json()["output"]["task_id"]


def await_task(client: httpx.Client, task_id: str, every_s: float = 0.1) -> dict[str, object]:
    """What a task says at its end, which must be good."""
    while True:
        output = client.get(f"/api/v1/tasks/{task_id}").json()["output"]
        if output["task_status"] in _FINAL:
            if output["task_status"] != "SUCCEEDED":
                raise SystemExit(f"the task did not succeed: {output}")
            return output
        time.sleep(every_s)


class _Files(SimpleHTTPRequestHandler):
    rate_bytes_s: float = 0.0

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        """Send at the rate, if one is set."""
        if not self.rate_bytes_s:
            super().copyfile(source, outputfile)
            return
        begin_s, sent = time.monotonic(), 0
        while piece := source.read(65_536):
            outputfile.write(piece)
            sent += len(piece)
            time.sleep(max(0.0, begin_s + sent / self.rate_bytes_s - time.monotonic()))


@contextmanager
def origin(folder: Path, rate_bytes_s: float = 0.0) -> Generator[str]:
    """A folder on loopback, as fast as it goes or at a rate per request: the URL of its root."""
    handler = type("Files", (_Files,), {"rate_bytes_s": rate_bytes_s})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def make_long(folder: Path, hours: float, sources: Sequence[Path] = ()) -> Path:
    """A mono Opus file of recordings in turn, just below ``hours``: joined packets decode to a little more."""
    parts = folder / "parts.txt"
    if not parts.exists():
        for i, source in enumerate(sources or recordings()):
            target = folder / f"{i:03}.ogg"
            encode = ["-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", "24k", target]
            subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", source, *encode], check=True)
        parts.write_text("".join(f"file '{file}'\n" for file in sorted(folder.glob("???.ogg"))), encoding="utf-8")
    target = folder / f"{hours:g}h.ogg"
    repeat = ["-f", "concat", "-safe", "0", "-stream_loop", "-1", "-i", parts, "-t", str(hours * 3580), "-c", "copy"]
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *repeat, target], check=True)
    return target


# --- memory ---------------------------------------------------------------------------------------------------------


def family(root: psutil.Process) -> Iterator[psutil.Process]:
    """A process and all that came from it."""
    yield root
    try:
        yield from root.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def role_of(process: psutil.Process, root: psutil.Process) -> str:
    """``server`` for the root, else what the child is for: media, asr, text, speaker."""
    if process.pid == root.pid:
        return "server"
    try:
        line = process.cmdline()
    except psutil.Error:
        return "other"
    return line[line.index("--role") + 1] if "--role" in line else "other"


def memory_mib(pid: int) -> tuple[float, float]:
    """A process' own memory and its part of what is shared: USS and PSS in MiB; zeros for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0, 0.0
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    own = kib.get("Private_Clean", 0) + kib.get("Private_Dirty", 0)
    return own / 1024, kib.get("Pss", 0) / 1024


@dataclass
class Peaks:
    """The most that processes had in memory, in MiB: each role's largest (USS), and all together (PSS)."""

    own: dict[str, float] = field(default_factory=dict)
    together: float = 0.0


@contextmanager
def watching(root: psutil.Process, every_s: float = 0.2) -> Generator[Peaks]:
    """Peaks of a process and its children while the block lasts."""
    peaks, over = Peaks(), threading.Event()

    def look() -> None:
        while not over.wait(every_s):
            together = 0.0
            for process in list(family(root)):
                own, part = memory_mib(process.pid)
                role = role_of(process, root)
                peaks.own[role] = max(peaks.own.get(role, 0.0), own)
                together += part
            peaks.together = max(peaks.together, together)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
