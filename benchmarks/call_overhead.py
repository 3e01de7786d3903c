"""What a synchronous call costs beyond recognition: receiving, fetching, decoding, finding speech, answering.

    python benchmarks/call_overhead.py [--calls 200]

Starts a server on loopback with the stand-in engine, which takes a fixed time for each piece of speech, and calls it
with the first seconds of the sample, one call after another. Goal: median overhead below 60 ms.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import tempfile
import threading
import time
import wave
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np

from common import SAMPLE, machine, table
from dashscribe.decode import Decoder
from dashscribe.types import RATE_HZ, Span
from submit import KEY, QuietFiles, start_server

ROUTE = "/api/v1/services/aigc/multimodal-generation/generation"
CLIP_MS = 5_000
#: What the stand-in engine takes for a piece.
PIECE_MS = 50
#: Calls that start the children and fill the caches.
WARM_UP = 10


def make_clip(folder: Path) -> Path:
    """The first seconds of the sample as a WAV file."""
    decoder = Decoder(SAMPLE, url=SAMPLE.name, channels=(0,), stretch=Span(0, CLIP_MS))
    with wave.open(str(folder / "clip.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate(list(decoder), axis=1)[0].tobytes())
    return folder / "clip.wav"


def overheads(client: httpx.Client, audio: str, log: Path, calls: int, *, stream: bool) -> list[float]:
    """Milliseconds of each call beyond the engine's own."""
    body = {
        "model": "qwen3-asr-flash",
        "input": {"messages": [{"role": "user", "content": [{"audio": audio}]}]},
        "parameters": {},
    }
    headers = {"X-DashScope-SSE": "enable" if stream else "disable"}
    times: list[float] = []
    for number in range(calls + WARM_UP):
        pieces = log.read_text().count("\n") if log.exists() else 0
        begin = time.perf_counter()
        client.post(ROUTE, json=body, headers=headers).raise_for_status()
        spent = (time.perf_counter() - begin) * 1000
        pieces = log.read_text().count("\n") - pieces
        if number >= WARM_UP:
            times.append(spent - pieces * PIECE_MS)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, log = make_clip(folder), folder / "log"
        files = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=name))
        threading.Thread(target=files.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{files.server_port}/{clip.name}"
        uri = f"data:audio/wav;base64,{base64.b64encode(clip.read_bytes()).decode()}"
        server, base = start_server(
            folder / "home",
            DASHSCRIBE_ENGINE="standin",
            DASHSCRIBE_STANDIN_CALL_MS=str(PIECE_MS),
            DASHSCRIBE_STANDIN_LOG=str(log),
        )
        try:
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
                rows = [
                    (what, *summary(overheads(client, audio, log, arguments.calls, stream=stream)))
                    for what, audio, stream in (
                        ("data URI", uri, False),
                        ("data URI, stream", uri, True),
                        ("URL", url, False),
                    )
                ]
        finally:
            server.terminate()
            server.wait(30)
    print(f"{machine()}; {arguments.calls} calls each with {CLIP_MS / 1000:g} s of speech, one after another")
    print(table(("overhead, ms", "median (goal 60)", "p95"), rows))


def summary(times: list[float]) -> tuple[str, str]:
    return f"{statistics.median(times):.1f}", f"{statistics.quantiles(times, n=20)[18]:.1f}"


if __name__ == "__main__":
    main()
