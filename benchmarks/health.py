"""How fast a server says that it is well while all its recognition is busy.

    python benchmarks/health.py [--measure 2000]

Starts a server on loopback three times: idle; with every slot taken by the stand-in engine, which waits and computes
nothing; with every slot and core taken by the embedded engine. Each time it asks ``GET /healthz`` and for one task,
over one kept connection. Goal: a few milliseconds whatever recognition does; the ratios to the idle server tell what
that costs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import httpx
import psutil

from common import machine, table
from submit import KEY, quantiles, serve_sample, start_server, submit, timed_ms

#: What the server is started with, and how many tasks keep its slots busy for as long as the measurement takes.
LOADS: dict[str, tuple[int, dict[str, str]]] = {
    "idle": (0, {"DASHSCRIBE_ENGINE": "standin"}),
    "slots busy": (40, {"DASHSCRIBE_ENGINE": "standin", "DASHSCRIBE_STANDIN_DELAY_MS": "600000"}),
    "cores busy": (200, {"DASHSCRIBE_ENGINE": "pocketsphinx"}),
}
SLOTS = os.cpu_count() or 1


def wait_until_busy(client: httpx.Client) -> None:
    """Until every slot recognizes and all tasks are prepared, so that nothing but recognition goes on."""
    for _ in range(120):
        time.sleep(1.0)
        counts = {
            status: client.get("/api/v1/tasks", params={"status": status}).json()["total"]
            for status in ("PENDING", "RUNNING")
        }
        if counts["PENDING"] == 0 and counts["RUNNING"] >= SLOTS:
            time.sleep(3.0)  # the last of them is still being cut
            return
    raise SystemExit(f"recognition did not begin, or preparing did not end: {counts}")


def measure(load: str, url: str, count: int) -> tuple[dict[str, list[float]], float]:
    """Milliseconds of each call by its name, and how busy the processors were meanwhile, in percent."""
    tasks, settings = LOADS[load]
    with tempfile.TemporaryDirectory() as home:
        server, base = start_server(Path(home), **settings)
        try:
            with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
                for _ in range(tasks):
                    submit(client, url)
                if tasks:
                    wait_until_busy(client)
                task_id = submit(client, url)
                calls = {"healthz": "/healthz", "task query": f"/api/v1/tasks/{task_id}"}
                psutil.cpu_percent()
                times = {
                    name: [timed_ms(partial(client.get, path)) for _ in range(count)] for name, path in calls.items()
                }
                return times, psutil.cpu_percent()
        finally:
            server.terminate()
            server.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=int, default=2_000)
    arguments = parser.parse_args()
    url = serve_sample()
    found = {load: measure(load, url, arguments.measure) for load in LOADS}
    print(machine())
    rows: list[tuple[object, ...]] = []
    for name in ("healthz", "task query"):
        idle = [float(value) for value in quantiles(found["idle"][0][name])]
        for load, (times, busy) in found.items():
            now = quantiles(times[name])
            ratios = [f"{float(now[at]) / idle[at]:.1f}" for at in (0, 2)]
            rows.append((f"{name}, {load}", f"{busy:.0f}", *now, *ratios))
    print(table(("ms", "cpu %", "p50", "p95", "p99", "max", "p50 / idle", "p99 / idle"), rows))


if __name__ == "__main__":
    main()
