"""How fast tasks are taken while many wait and recognition keeps every core busy.

    python benchmarks/submit.py [--tasks 10000] [--clients 4] [--measure 1000]

Starts a server on loopback with the embedded engine, fills it with ``--tasks`` tasks of a real recording, waits until
recognition keeps the cores busy, and then times ``--measure`` further submits and as many queries. Goal: p99 of a
submit below 50 ms.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil

from common import SAMPLE, machine, table

KEY = "sk-benchmark"


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves the sample's folder without a line per request."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve_sample() -> str:
    """Serve the sample on loopback for as long as this process lives: its URL."""
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=str(SAMPLE.parent)))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{files.server_port}/{SAMPLE.name}"


def start_server(home: Path, **settings: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"DASHSCRIBE_HOME": str(home), "DASHSCRIBE_API_KEY": KEY, "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1/32"}
    variables |= settings
    command = [sys.executable, "-m", "dashscribe", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx.get(f"{base}/healthz").raise_for_status()
            return server, base
        except httpx.HTTPError:
            time.sleep(0.05)
    raise SystemExit("the server did not start")


def submit(client: httpx.Client, url: str) -> str:
    answer = client.post(
        "/api/v1/services/audio/asr/transcription",
        headers={"X-DashScope-Async": "enable"},
        json={"model": "fun-asr", "input": {"file_urls": [url]}, "parameters": {}},
    )
    answer.raise_for_status()
    return answer.json()["output"]["task_id"]


def timed_ms(call: partial[object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def quantiles(times: list[float]) -> tuple[str, ...]:
    cuts = statistics.quantiles(times, n=100)
    return tuple(f"{value:.1f}" for value in (cuts[49], cuts[94], cuts[98], max(times)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--measure", type=int, default=1_000)
    arguments = parser.parse_args()
    url = serve_sample()
    with tempfile.TemporaryDirectory() as home:
        server, base = start_server(Path(home))
        try:
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
                begin = time.perf_counter()
                with ThreadPoolExecutor(arguments.clients) as pool:
                    list(pool.map(lambda _: submit(client, url), range(arguments.tasks)))
                rate = arguments.tasks / (time.perf_counter() - begin)
                psutil.cpu_percent()
                submits = [timed_ms(partial(submit, client, url)) for _ in range(arguments.measure)]
                busy = psutil.cpu_percent()
                task_id = submit(client, url)
                query = partial(client.get, f"/api/v1/tasks/{task_id}")
                queries = [timed_ms(query) for _ in range(arguments.measure)]
        finally:
            server.terminate()
            server.wait(30)
    print(
        f"{machine()}; {arguments.tasks} tasks filled in at {rate:.0f}/s; processors {busy:.0f} % busy while measuring"
    )
    rows = [("submit", *quantiles(submits)), ("query", *quantiles(queries))]
    print(table(("ms", "p50", "p95", "p99 (goal 50)", "max"), rows))


if __name__ == "__main__":
    main()
