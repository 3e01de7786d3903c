"""Whether a server that has done much work is larger than one that has done little: 200 tasks of one hour each.

    python benchmarks/many_hours.py [--tasks 200] [--hours 1] [--warm 20] [--at-once 2] [--goal 1.05]

The server, its steps, children, database and store are the real ones; only the engine is the stand-in, so that an hour
takes seconds. Each task is fetched from loopback, cut, recognized window by window, finished, and its result is read.
After the warm-up and at the end the server and its children are looked at while nothing runs. The command fails if the
server's own memory or that of all processes has grown by more than the goal, or if anything else is left over.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from common import machine, table
from running import Running, await_task, family, make_long, memory_mib, origin, role_of, running, submit

#: What may not grow between warm-up and end, with nothing running, by more than so much: connections to clients and to
#: the database, and threads that serve them, come and go. Rows and blobs of tasks are kept for a day.
PASSING = ("scratch files", "windows", "blobs of windows")
LEFT_OVER = {"descriptors": 6, "threads": 4, "children": 0, "scratch files": 0, "windows": 0, "blobs of windows": 0}


def look(server: Running, home: Path) -> dict[str, float]:
    """What there is of a server that rests."""
    root = server.process
    processes = list(family(root))
    sizes = {process.pid: memory_mib(process.pid) for process in processes}
    found = {"server MiB": sizes[root.pid][0], "all MiB": sum(part for _, part in sizes.values())}
    for role in ("media", "asr"):
        found[f"{role} MiB"] = max((sizes[p.pid][0] for p in processes if role_of(p, root) == role), default=0.0)
    with sqlite3.connect(f"file:{home}/dashscribe.db?mode=ro", uri=True) as connection:
        tasks, windows = connection.execute(
            "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM windows)"
        ).fetchone()
    return found | {
        "descriptors": root.num_fds(),
        "threads": root.num_threads(),
        "children": len(processes) - 1,
        "scratch files": sum(path.is_file() for path in (home / "scratch").rglob("*")),
        "tasks": tasks,
        "windows": windows,
        "blobs of windows": sum(path.is_file() for path in (home / "store").glob("tasks/*/*/windows/**/*")),
        "log of the database MiB": (home / "dashscribe.db-wal").stat().st_size / 2**20,
    }


def measure(
    folder: Path,
    *,
    tasks: int,
    hours: float,
    warm: int,
    at_once: int,
    tell: Callable[[str], object] = lambda line: None,
) -> tuple[dict[str, float], dict[str, float]]:
    """A server after the warm-up and after all tasks, with nothing running either time."""
    home = folder / "home"
    home.mkdir()
    source = make_long(folder, hours)
    began_s, ended = time.monotonic(), 0
    settings = {"DASHSCRIBE_ENGINE": "standin", "DASHSCRIBE_DISK_RESERVE_BYTES": "0"}
    with origin(folder) as base, running(home, **settings) as server, server.client() as client:

        def one(number: int) -> None:
            nonlocal ended
            output = await_task(client, submit(client, f"{base}/{source.name}"), 0.3)
            (result,) = output["results"]  # type: ignore[misc]
            answer = httpx.get(result["transcription_url"], timeout=60)
            assert answer.json()["transcripts"]
            ended += 1
            if ended % 10 == 0:
                own, _ = memory_mib(server.process.pid)
                tell(f"{ended} tasks in {time.monotonic() - began_s:.0f} s, server {own:.1f} MiB")

        def some(count: int) -> dict[str, float]:
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(one, range(count)))
            time.sleep(3.0)  # the last commits, and connections that end
            until_s = time.monotonic() + 60  # what is thrown away after a task has ended
            while any((found := look(server, home))[name] for name in PASSING) and time.monotonic() < until_s:
                time.sleep(0.5)
            return found

        return some(warm), some(tasks - warm)


def grown(before: dict[str, float], after: dict[str, float], goal: float) -> list[str]:
    """What is larger than it may be."""
    found = [name for name in ("server MiB", "all MiB") if after[name] > goal * before[name]]
    return found + [name for name, slack in LEFT_OVER.items() if after[name] > before[name] + slack]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--warm", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--goal", type=float, default=1.05)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = {"tasks": options.tasks, "hours": options.hours, "warm": options.warm, "at_once": options.at_once}
        before, after = measure(Path(folder), **given, tell=lambda line: print(line, file=sys.stderr, flush=True))
    print(f"{machine()}; {options.tasks} tasks of {options.hours:g} h; load {psutil.getloadavg()[0]:.0f}")
    rows = [
        (name, f"{value:.1f}", f"{after[name]:.1f}", f"{after[name] / value:.3f}" if value else "-")
        for name, value in before.items()
    ]
    print(table(("at rest", f"after {options.warm}", f"after {options.tasks}", "ratio"), rows))
    if found := grown(before, after, options.goal):
        raise SystemExit(f"grown: {', '.join(found)}")


if __name__ == "__main__":
    main()
