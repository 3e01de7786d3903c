"""How soon a streaming call says its first words: time to the first event against the time of the whole call.

    python benchmarks/first_event.py [--minutes 4] [--runs 3]

Starts a server on loopback with the embedded engine and sends it one recording, repeated clips of real speech, as a
data URI with ``X-DashScope-SSE: enable``. The first run also starts the children. Goal: below 0.25.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import time
from pathlib import Path

import httpx

from common import machine, table
from memory import make_long
from submit import KEY, start_server

ROUTE = "/api/v1/services/aigc/multimodal-generation/generation"
MODEL = "fun-asr-flash-2026-06-15"


def stream(base: str, recording: Path) -> tuple[float, float, int]:
    """Seconds until the first event and until the end of the stream, and how many events there were."""
    data = f"data:audio/ogg;base64,{base64.b64encode(recording.read_bytes()).decode()}"
    message = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": data}}]}
    body = {"model": MODEL, "input": {"messages": [message]}, "parameters": {"format": "ogg"}}
    headers = {"Authorization": f"Bearer {KEY}", "X-DashScope-SSE": "enable"}
    times: list[float] = []
    begin = time.perf_counter()
    with httpx.stream("POST", base + ROUTE, headers=headers, json=body, timeout=600) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {answer.read().decode()}")
        for line in answer.iter_lines():
            if line.startswith("data:"):
                times.append(time.perf_counter() - begin)
                last = json.loads(line.removeprefix("data:"))
    if "output" not in last:
        raise SystemExit(f"the stream ended with an error: {last}")
    return times[0], time.perf_counter() - begin, len(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        recording = make_long(Path(name), arguments.minutes / 60)
        server, base = start_server(Path(name) / "home", DASHSCRIBE_ENGINE="pocketsphinx")
        try:
            runs = [stream(base, recording) for _ in range(arguments.runs)]
        finally:
            server.terminate()
            server.wait(30)
    print(f"{machine()}; {arguments.minutes:g} minutes of speech")
    rows = [(f"run {i}", f"{a:.1f}", f"{b:.1f}", events, f"{a / b:.3f}") for i, (a, b, events) in enumerate(runs, 1)]
    print(table(("", "first event, s", "whole, s", "events", "ratio (goal 0.25)"), rows))


if __name__ == "__main__":
    main()
