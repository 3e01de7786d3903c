"""How many tasks a second one process takes, and how soon it answers with 10,000 of them queued.

    python benchmarks/submit_rate.py [--database sqlite|postgresql] [--queued 10000] [--measure 3000] [--clients 4]

The server answers HTTP alone (``--no-worker``), as an API process does; the clients, and PostgreSQL with fsync, share
its cores. Tasks are queued first. Then submits are sent as fast as they are taken, by clients that each wait for their
answer: what counts on a busy machine is the processor time that the server spends on one, and the rate that this
allows on a core of its own. Last, submits and queries are timed one at a time with nothing else going on, beside
``/healthz``, which touches nothing, and a bare write of 4 KB with fsync: what the machine itself takes. ``--rate 300``
sends at a steady rate instead, whatever answers come. Goals: 300 a second, p99 of a submit and of a query below 20 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from common import CHECKOUT, machine, table
from running import KEY, SUBMIT, Running, running
from submit import quantiles

HEADERS = {"Authorization": f"Bearer {KEY}", "X-DashScope-Async": "enable", "Content-Type": "application/json"}
BODY = json.dumps(
    {
        "model": "fun-asr",
        "input": {"file_urls": ["http://127.0.0.1:9/a.wav"]},
        "parameters": {"language_hints": ["en"]},
    }
)


class Client:
    """One kept connection; plain http.client, which costs the cores little."""

    def __init__(self, base: str) -> None:
        self._connection = http.client.HTTPConnection(base.removeprefix("http://"))

    def submit(self) -> str:
        """The id of a new task."""
        return self._call("POST", SUBMIT, BODY)["output"]["task_id"]

    def health(self) -> None:
        """Ask for nothing."""
        self._call("GET", "/healthz")

    def query(self, task_id: str) -> None:
        """Ask for a task."""
        self._call("GET", f"/api/v1/tasks/{task_id}")

    def _call(self, method: str, path: str, body: str | None = None) -> dict[str, dict[str, str]]:
        self._connection.request(method, path, body, HEADERS)
        answer = self._connection.getresponse()
        sent = answer.read()
        if answer.status != 200:
            raise SystemExit(sent.decode())
        return json.loads(sent)


def flood(base: str, count: int, clients: int) -> None:
    """So many submits, as fast as they are taken."""

    def some() -> None:
        client = Client(base)
        for _ in range(count // clients):
            client.submit()

    _together(some, clients)


def steady(base: str, count: int, clients: int, rate: float) -> list[float]:
    """Milliseconds from when each submit was due at a steady rate to its answer: waiting in line counts."""
    times: list[float] = []
    turn = iter(range(count))
    guard, begin_s = threading.Lock(), time.perf_counter()

    def some() -> None:
        client = Client(base)
        while True:
            with guard:
                number = next(turn, None)
            if number is None:
                return
            due_s = begin_s + number / rate
            time.sleep(max(0.0, due_s - time.perf_counter()))
            client.submit()
            times.append((time.perf_counter() - due_s) * 1000)

    _together(some, clients)
    return times


def _together(act: Callable[[], None], clients: int) -> None:
    threads = [threading.Thread(target=act) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cpu_ms(process: psutil.Process) -> float:
    """Processor time that a process has used."""
    times = process.cpu_times()
    return (times.user + times.system) * 1000


def sync(descriptor: int) -> None:
    """Write 4 KB, on disk when this returns."""
    os.write(descriptor, bytes(4096))
    os.fsync(descriptor)


def timed(call: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each call."""
    times: list[float] = []
    for _ in range(count):
        begin_s = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin_s) * 1000)
    return times


def measure(server: Running, options: argparse.Namespace) -> None:
    """Print the figures of one server."""
    flood(server.base, options.queued, options.clients)
    before_ms, begin_s = cpu_ms(server.process), time.perf_counter()
    if options.rate:
        late = steady(server.base, options.measure, options.clients, options.rate)
    else:
        flood(server.base, options.measure, options.clients)
        late = []
    wall_s = time.perf_counter() - begin_s
    each_ms = (cpu_ms(server.process) - before_ms) / options.measure
    client = Client(server.base)
    task_id = client.submit()
    calls = {"submit": client.submit, "query": lambda: client.query(task_id), "healthz": client.health}
    times = {name: timed(call, options.measure // 3) for name, call in calls.items()}
    with tempfile.NamedTemporaryFile() as file:
        times["fsync alone"] = timed(lambda: sync(file.fileno()), options.measure // 3)
    load = psutil.getloadavg()[0]
    print(
        f"{machine()}; {options.database}, {options.queued} queued, load {load:.0f}\n"
        f"{options.measure / wall_s:.0f} submits/s by the clock with {options.clients} clients; {each_ms:.2f} ms of "
        f"processor time each: {1000 / each_ms:.0f}/s on a core (goal 300)"
    )
    rows = [(name, *quantiles(found)) for name, found in times.items()]
    if late:
        rows.append((f"submit, {options.rate:g}/s", *quantiles(late)))
    print(table(("ms", "p50", "p95", "p99 (goal 20)", "max"), rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--measure", type=int, default=3_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="submits a second; default: as many as are taken")
    options = parser.parse_args()
    with ExitStack() as stack:
        settings: dict[str, str] = {}
        if options.database == "postgresql":
            sys.path.insert(0, str(CHECKOUT / "tests"))
            from postgres import Cluster

            cluster = Cluster(durable=True)
            stack.callback(cluster.remove)
            settings["DASHSCRIBE_DATABASE_URL"] = cluster.new_database()
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        home.mkdir()
        measure(stack.enter_context(running(home, "serve", "--no-worker", **settings)), options)


if __name__ == "__main__":
    main()
