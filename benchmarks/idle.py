"""How soon a server is ready, and what it costs while nothing happens.

    python benchmarks/idle.py [--seconds 60] [--starts 5]

Each kind of process is started several times in a home that has been used before: the time from the command to the
first answer of ``/healthz``, against the time that Python takes to start and import the routes alone, and the processor
time of the start, which a busy machine does not stretch as much. Then it rests: processor seconds per minute of the
process and its children, once with nothing ever done, and once after a task, when children still wait for the next one.
``/readyz`` recognizes half a second of sound, so that its first answer includes the start of a child. Goals: ready
within 2 s, close to no processor time at rest.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from common import CHECKOUT, SAMPLE, machine, table
from running import await_task, family, install, origin, running, submit

SMALL = ("sensevoice-small", "punctuation-tiny", "segmentation-small", "speaker-embedding-small")


@dataclass
class Kind:
    """A kind of process: what is started, on which database, with which models; ``works`` if it takes tasks."""

    name: str
    command: tuple[str, ...]
    shared: bool = False
    models: tuple[str, ...] = ()
    works: bool = False


KINDS = (
    Kind("serve, embedded", ("serve",), works=True),
    Kind("serve, embedded, small models", ("serve",), models=SMALL, works=True),
    Kind("serve --no-worker, SQLite", ("serve", "--no-worker")),
    Kind("serve --no-worker, PostgreSQL", ("serve", "--no-worker"), shared=True),
    Kind("worker, PostgreSQL", ("worker",), shared=True),
)


def cpu_s(root: psutil.Process) -> float:
    """Processor seconds of a process and all that came from it and lives."""
    total = 0.0
    for process in list(family(root)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def imports_s() -> float:
    """How long Python takes to start and import what a server is made of."""
    begin_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import dashscribe.wire.app, dashscribe.cli.compose"], check=True)
    return time.perf_counter() - begin_s


def measure(kind: Kind, folder: Path, database: str, seconds: float, starts: int) -> tuple[str, ...]:
    """A row of the table."""
    home = folder / "home"
    home.mkdir(parents=True)
    settings = {"DASHSCRIBE_ENGINE": "standin"} if not kind.models else {}
    if kind.shared:
        settings["DASHSCRIBE_DATABASE_URL"] = database
    install(home, *kind.models)
    with running(home, *kind.command, **settings):
        pass  # the schema is made once
    ready: list[float] = []
    spent: list[float] = []
    for _ in range(starts):
        with running(home, *kind.command, **settings) as server:
            ready.append(server.started_s)
            spent.append(cpu_s(server.process))
    with running(home, *kind.command, ready="/readyz", **settings) as server:
        checked_s = server.started_s
    resting = []
    with running(home, *kind.command, **settings) as server:
        resting.append(rest(server.process, seconds))
        if kind.works:
            with origin(SAMPLE.parent) as base, server.client() as client:
                await_task(client, submit(client, f"{base}/{SAMPLE.name}"))
            resting.append(rest(server.process, seconds))
    cells = (statistics.median(ready), statistics.median(spent), checked_s)
    return (kind.name, *(f"{value:.2f}" for value in (*cells, *resting)), *([] if kind.works else ["-"]))


def rest(process: psutil.Process, seconds: float) -> float:
    """Processor seconds per minute of a process that is left alone."""
    time.sleep(3.0)
    before_s = cpu_s(process)
    time.sleep(seconds)
    return (cpu_s(process) - before_s) * 60 / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each process is left alone")
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        sys.path.insert(0, str(CHECKOUT / "tests"))
        from postgres import Cluster

        cluster = Cluster(durable=True)
        stack.callback(cluster.remove)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        alone_s = statistics.median(imports_s() for _ in range(options.starts))
        rows = [
            measure(kind, folder / str(number), cluster.new_database(), options.seconds, options.starts)
            for number, kind in enumerate(KINDS)
        ]
    print(f"{machine()}; load {psutil.getloadavg()[0]:.0f}; Python and the imports alone take {alone_s:.2f} s")
    heads = ("", "ready s (goal 2)", "cpu s", "/readyz s", "rest, cpu s/min", "after a task")
    print(table(heads, rows))


if __name__ == "__main__":
    main()
