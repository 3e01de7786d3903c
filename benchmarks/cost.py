"""What an hour of sound costs, stage by stage: processor seconds, bytes, rows. The table of the capacity page.

    python benchmarks/cost.py [--hours 1] [--files 2] [--engine sensevoice-small]

The server runs inside this process, so that its threads can be told apart by their names: those that fetch, cut (which
means here: take windows from the media child and store them), recognize (hand them to the engine's child and store what
it heard), finish. What children spend is told by their role. Processor time hardly depends on what else the machine
does. The engine's own share is that of the small model of the tests, which is no measure for a real one: measure yours
with ``dashscribe bench`` and put it in its place.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psutil
from fastapi.testclient import TestClient
from sqlalchemy import text

from common import machine, table
from running import KEY, await_task, install, make_long, origin, role_of, submit

SMALL = ("segmentation-small", "speaker-embedding-small")
#: Who does what, in the order in which a file goes through it; threads of the server by the word in their name.
STAGES = {
    "fetch": "fetch: download, store, SHA-256",
    "media": "decode and find speech (media child)",
    "cut": "store windows (FLAC, rows)",
    "asr": "recognize (engine child)",
    "recognize": "hand out and store what was heard",
    "speaker": "voices (speaker child)",
    "text": "marks and numbers (text child)",
    "finish": "join, speakers, enrich, render",
    "sweep": "sweep",
    "server": "submit, query, all else",
}


def spent(root: psutil.Process) -> Counter[str]:
    """Processor seconds so far, by the names of ``STAGES``."""
    found: Counter[str] = Counter()
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for thread in root.threads():
        name = names.get(thread.id, "")
        who = next((stage for stage in STAGES if stage in name), "server")
        if name == "MainThread" or re.search("process_request|serve_forever", name):
            continue  # this benchmark, and its origin
        found[who] += thread.user_time + thread.system_time
    for child in root.children(recursive=True):
        times = child.cpu_times()
        found[role_of(child, root)] += times.user + times.system
    return found


def status(client: TestClient, task: str) -> str:
    """What a task is at."""
    return client.get(f"/api/v1/tasks/{task}").json()["output"]["task_status"]


def measure(folder: Path, hours: float, count: int, engine: str, *, speakers: bool) -> dict[str, float]:
    """Processor seconds per hour of sound by stage, and what else an hour needs."""
    from dashscribe.cli.compose import compose
    from dashscribe.config import load
    from dashscribe.wire.app import create_app

    home = folder / f"home-{speakers}"
    home.mkdir()
    if engine not in ("standin", "pocketsphinx"):
        install(home, engine, *SMALL)
    os.environ |= {"DASHSCRIBE_HOME": str(home), "DASHSCRIBE_API_KEY": KEY, "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1/32"}
    source = make_long(folder, hours)
    me = psutil.Process()
    with ExitStack() as stack:
        parts, _ = compose(load(engine=engine, workers=1), stack, with_worker=True)
        base = stack.enter_context(origin(folder))
        client = stack.enter_context(TestClient(create_app(parts), headers={"Authorization": f"Bearer {KEY}"}))
        short = make_long(folder, 0.02)
        wanted = {"diarization_enabled": True} if speakers else {}
        await_task(client, submit(client, f"{base}/{short.name}", **wanted))  # children are up from here on
        before = spent(me)
        tasks = [submit(client, f"{base}/{source.name}", **wanted) for _ in range(count)]
        most: Counter[str] = Counter()
        done: set[str] = set()
        while len(done) < count:
            time.sleep(0.5)
            stored = {p: p.stat().st_size for p in (home / "store").rglob("*") if p.is_file()}
            most["windows stored, MB"] = max(
                most["windows stored, MB"], sum(size for path, size in stored.items() if "windows" in path.parts)
            )
            with parts.database.connect() as connection:
                rows = connection.execute(text("SELECT count(*) FROM windows")).scalar_one()
            most["rows of windows"] = max(most["rows of windows"], rows)
            done = {task for task in tasks if status(client, task) not in ("PENDING", "RUNNING")}
        used = spent(me)
        used.subtract(before)
        kept = sum(p.stat().st_size for p in (home / "store").rglob("*") if p.is_file() and tasks[0] in p.parts)
        source_bytes = source.stat().st_size
    total = hours * count
    return {stage: used[stage] / total for stage in STAGES} | {
        "windows stored at once, MB": most["windows stored, MB"] / total / 1e6,
        "kept besides the source, MB": (kept - source_bytes) / hours / 1e6,
        "rows of windows at once": most["rows of windows"] / total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--files", type=int, default=2)
    parser.add_argument("--engine", default="sensevoice-small")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, told = (
            measure(folder, options.hours, options.files, options.engine, speakers=speakers)
            for speakers in (False, True)
        )
    load_average = psutil.getloadavg()[0]
    print(f"{machine()}; {options.files} files of {options.hours:g} h, {options.engine}; load {load_average:.0f}")
    rows = [(STAGES.get(what, what), f"{plain[what]:.2f}", f"{told[what]:.2f}") for what in plain]
    rows.insert(len(STAGES), ("all", *(f"{sum(found[stage] for stage in STAGES):.2f}" for found in (plain, told))))
    print(table(("per hour of sound, processor seconds", "plain", "with speakers"), rows))


if __name__ == "__main__":
    main()
