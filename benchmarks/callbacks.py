"""How long it takes from the end of a task until its callback has arrived.

    python benchmarks/callbacks.py [--tasks 100]

Starts a server on loopback with the stand-in engine and a consumer that answers at once, submits ``--tasks`` tasks one
after the other, and compares the consumer's clock with the end of the task as the event tells it. Then all of them at
once, while a second target never answers in time. Goal: a median below 1 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from common import machine, table
from submit import KEY, serve_sample, start_server, submit


class Consumer:
    """Notes when events come; ``hang`` keeps whoever sends one waiting for longer than it waits."""

    def __init__(self, *, hang: bool) -> None:
        self.delays_ms: dict[str, float] = {}
        consumer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                now = time.time()
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hang:
                    time.sleep(15)
                    return
                ended = datetime.fromisoformat(event["time"]).timestamp()
                consumer.delays_ms.setdefault(event["data"]["task_id"], (now - ended) * 1000)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/done"

    def wait(self, task_ids: list[str]) -> list[float]:
        """The delays in milliseconds, once all are there."""
        until = time.monotonic() + 600
        while missing := [task_id for task_id in task_ids if task_id not in self.delays_ms]:
            if time.monotonic() > until:
                raise SystemExit(f"{len(missing)} of {len(task_ids)} callbacks never came")
            time.sleep(0.002)
        return [self.delays_ms[task_id] for task_id in task_ids]


def quantiles(delays_ms: list[float]) -> tuple[str, ...]:
    cuts = statistics.quantiles(delays_ms, n=100)
    return tuple(f"{value:.0f}" for value in (cuts[49], cuts[94], max(delays_ms)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100)
    tasks = parser.parse_args().tasks
    url, quick, slow = serve_sample(), Consumer(hang=False), Consumer(hang=True)
    with tempfile.TemporaryDirectory() as home:
        server, base = start_server(Path(home), DASHSCRIBE_ENGINE="standin", DASHSCRIBE_CALLBACK_URL=quick.url)
        try:
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
                alone = [delay for _ in range(tasks) for delay in quick.wait([submit(client, url)])]
                client.post("/dashscribe/v1/callbacks/targets", json={"url": slow.url}).raise_for_status()
                beside = quick.wait([submit(client, url) for _ in range(tasks)])
        finally:
            server.terminate()
            server.wait(30)
    print(machine())
    rows = [("one after the other", *quantiles(alone)), ("at once, beside one that hangs", *quantiles(beside))]
    print(table((f"ms, {tasks} tasks", "p50 (goal 1000)", "p95", "max"), rows))


if __name__ == "__main__":
    main()
