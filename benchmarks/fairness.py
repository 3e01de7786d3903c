"""What a long file costs those who come with a short one meanwhile.

    python benchmarks/fairness.py [--hours 12] [--calls 20] [--rounds 3]

Starts a server on loopback with the embedded engine, all cores as its slots, and asks in turn for a clip of 10 s by a
synchronous call and by a task that is queried every 20 ms until its end: first idle, then while a file of ``--hours``
by another owner is being cut and recognized. The machine's own noise is in both, so read the ratios. Goal: 2.0 at p95.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np

from call_overhead import ROUTE
from common import SAMPLE, machine, table
from dashscribe.decode import Decoder
from dashscribe.types import RATE_HZ, Span
from memory import make_long
from submit import KEY, QuietFiles, start_server, submit

CLIP_MS = 10_000
#: Calls that start the children and load the model for express work.
WARM_UP = 3


def make_clip(folder: Path) -> Path:
    """The first seconds of the sample as a WAV file."""
    decoder = Decoder(SAMPLE, url=SAMPLE.name, channels=(0,), stretch=Span(0, CLIP_MS))
    with wave.open(str(folder / "clip.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate(list(decoder), axis=1)[0].tobytes())
    return folder / "clip.wav"


def call_s(client: httpx.Client, audio: str) -> float:
    """Seconds of a synchronous call."""
    content = [{"role": "user", "content": [{"audio": audio}]}]
    body = {
        "model": "qwen3-asr-flash",
        "input": {"messages": content},
        "parameters": {"asr_options": {"language": "en"}},
    }
    begin = time.perf_counter()
    client.post(ROUTE, json=body).raise_for_status()
    return time.perf_counter() - begin


def task_s(client: httpx.Client, url: str) -> float:
    """Seconds from the submission of a task to its end."""
    begin = time.perf_counter()
    path = f"/api/v1/tasks/{submit(client, url)}"
    while (status := client.get(path).json()["output"]["task_status"]) in ("PENDING", "RUNNING"):
        time.sleep(0.02)
    assert status == "SUCCEEDED", status
    return time.perf_counter() - begin


def measure(client: httpx.Client, audio: str, url: str, calls: int) -> dict[str, list[float]]:
    """Seconds of each, one after the other."""
    times: dict[str, list[float]] = {"synchronous call": [], "short task": []}
    for _ in range(calls):
        times["synchronous call"].append(call_s(client, audio))
        times["short task"].append(task_s(client, url))
    return times


def other_key(home: Path) -> str:
    command = [sys.executable, "-m", "dashscribe", "keys", "create", "--owner", "other", "--json"]
    made = subprocess.run(command, env=os.environ | {"DASHSCRIBE_HOME": str(home)}, capture_output=True, check=True)
    return json.loads(made.stdout)["secret"]


def measure_round(folder: Path, base_url: str, clip: Path, long: Path, calls: int) -> dict[str, dict[str, list[float]]]:
    """Times without and with the long file, on a server of its own."""
    audio = f"data:audio/wav;base64,{base64.b64encode(clip.read_bytes()).decode()}"
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as home:
        server, base = start_server(Path(home), DASHSCRIBE_ENGINE="pocketsphinx")
        try:
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=120) as client:
                measure(client, audio, f"{base_url}/{clip.name}", WARM_UP)
                found["idle"] = measure(client, audio, f"{base_url}/{clip.name}", calls)
                with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {other_key(Path(home))}"}) as other:
                    task_id = submit(other, f"{base_url}/{long.name}")
                    while not progress(other, task_id):
                        time.sleep(0.2)
                    found["loaded"] = measure(client, audio, f"{base_url}/{clip.name}", calls)
                    assert other.get(f"/api/v1/tasks/{task_id}").json()["output"]["task_status"] == "RUNNING"
        finally:
            server.terminate()
            server.wait(30)
    return found


def progress(client: httpx.Client, task_id: str) -> int:
    """Milliseconds of the task's sound that are recognized."""
    told = client.get(f"/api/v1/tasks/{task_id}").json().get("dashscribe", {})
    return told.get("progress", {}).get("done_ms", 0)


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, long = make_clip(folder), make_long(folder, arguments.hours)
        files = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=name))
        threading.Thread(target=files.serve_forever, daemon=True).start()
        base_url = f"http://127.0.0.1:{files.server_port}"
        print(
            f"{machine()}; {arguments.calls} of each, a clip of {CLIP_MS / 1000:g} s beside {arguments.hours:g} hours"
        )
        for number in range(1, arguments.rounds + 1):
            found = measure_round(folder, base_url, clip, long, arguments.calls)
            rows: list[tuple[object, ...]] = []
            for what, idle in found["idle"].items():
                loaded = found["loaded"][what]
                medians = statistics.median(idle), statistics.median(loaded)
                highs = p95(idle), p95(loaded)
                figures = (*medians, medians[1] / medians[0], *highs, highs[1] / highs[0])
                rows.append((f"{number}: {what}", *(f"{value:.2f}" for value in figures)))
            header = ("s", "idle p50", "loaded p50", "ratio", "idle p95", "loaded p95", "ratio (goal 2)")
            print(table(header, rows), flush=True)


if __name__ == "__main__":
    main()
