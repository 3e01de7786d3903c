"""What many tasks of many files cost a server: submits, queries, memory, scrapes, and when the last to come is served.

    python benchmarks/many_tasks.py [--tasks 100] [--files 100]

Starts a server on loopback with the stand-in engine (all else is the real program), submits ``--tasks`` tasks of
``--files`` files of one second by one owner, then one task of one file by another, and asks for tasks until all ended.
The queue's own cost beside 100,000 rows that wait is measured on a database of its own, in this process.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import wave
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import psutil
from sqlalchemy import Engine, insert

from common import machine, table
from dashscribe import files, windows
from dashscribe.db import open_database, tables, writing
from dashscribe.db.tables import FileState, Status, WindowState
from dashscribe.tasks import TaskBook
from dashscribe.telemetry.lookups import Rows
from fairness import make_clip, other_key
from submit import KEY, QuietFiles, quantiles, start_server, timed_ms

ROWS = 100_000


def submit(client: httpx.Client, urls: list[str]) -> str:
    answer = client.post(
        "/api/v1/services/audio/asr/transcription",
        headers={"X-DashScope-Async": "enable"},
        json={"model": "fun-asr", "input": {"file_urls": urls}, "parameters": {}},
    )
    answer.raise_for_status()
    return answer.json()["output"]["task_id"]


def ended(client: httpx.Client, task_id: str) -> bool:
    return client.get(f"/api/v1/tasks/{task_id}").json()["output"]["task_status"] not in ("PENDING", "RUNNING")


def run(folder: Path, url: str, tasks: int, count: int) -> list[tuple[object, ...]]:
    """Rows of a table about one server."""
    home = folder / "home"
    server, base = start_server(home, DASHSCRIBE_ENGINE="standin")
    process, peak_mb = psutil.Process(server.pid), 0.0
    try:
        other = {"Authorization": f"Bearer {other_key(home)}"}
        with (
            httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client,
            httpx.Client(base_url=base, headers=other, timeout=60) as late,
        ):
            ids: list[str] = []
            before_mb = process.memory_info().rss / 2**20
            begin = time.perf_counter()
            submits = [timed_ms(partial(lambda: ids.append(submit(client, [url] * count)))) for _ in range(tasks)]
            one, one_s, queries = submit(late, [url]), 0.0, list[float]()
            asked = time.perf_counter()
            while not ended(client, ids[-1]) or not one_s:
                queries.append(timed_ms(partial(client.get, f"/api/v1/tasks/{ids[len(queries) % len(ids)]}")))
                if not one_s and ended(late, one):
                    one_s = time.perf_counter() - asked
                peak_mb = max(peak_mb, process.memory_info().rss / 2**20)
                time.sleep(0.05)
            while not all(ended(client, task_id) for task_id in ids):
                time.sleep(0.2)
            all_s = time.perf_counter() - begin
    finally:
        server.terminate()
        server.wait(30)
    return [
        ("submit, ms", *quantiles(submits)),
        ("query, ms", *quantiles(queries)),
        (f"{tasks * count} files, s", f"{all_s:.0f}", "", "", ""),
        ("the other owner's task, s", f"{one_s:.1f}", "", "", ""),
        ("server before / at most, MB", f"{before_mb:.0f} / {peak_mb:.0f}", "", "", ""),
    ]


def fill(engine: Engine, rows: int) -> str:
    """Tasks of a file each that wait, and as many windows of one file that is being recognized; the last task's id."""
    task = {"owner": "a", "key_id": "1", "request_id": "r", "model": "fun-asr", "shape": "file_urls", "notes": "[]"}
    task |= {"options": "{}", "file_count": 1, "open_files": 1}
    audio = {"spans": "[]", "speech_ms": 30_000, "audio_key": "k", "audio_bytes": 1, "audio_sha256": ""}
    numbers = range(rows)
    with writing(engine) as connection:
        waiting = [
            {**task, "id": f"t{at}", "status": Status.PENDING, "tag_ms": at, "submitted_ms": at + 1} for at in numbers
        ]
        connection.execute(insert(tables.tasks), waiting)
        connection.execute(
            insert(tables.files),
            [
                {"task_id": f"t{at}", "number": 0, "owner": "a", "url": "u", "state": FileState.WAITING, "tag_ms": at}
                for at in numbers
            ],
        )
        connection.execute(
            insert(tables.windows),
            [
                {"file_id": 1, "channel": 0, "number": at, "generation": 1, "state": WindowState.READY, "tag_ms": at}
                | audio
                for at in numbers
            ],
        )
    return f"t{rows - 1}"


def looks(folder: Path) -> list[tuple[object, ...]]:
    """Milliseconds of what is asked again and again, beside few rows and many."""
    found: list[tuple[object, ...]] = []
    for rows in (ROWS // 100, ROWS):
        engine = open_database(f"sqlite:///{folder}/{rows}.db")
        last, book = fill(engine, rows), TaskBook(engine)
        asked = {
            "claim of a window": partial(windows.claim, engine),
            "brim of windows": partial(windows.brim, engine, 7_200_000),
            "brim of files": partial(files.brims, engine, 200),
            "last task's place in the queue": partial(book.get, "a", last),
            "an owner's open files": partial(book.open_files, "a"),
            "a scrape": lambda engine=engine: list(Rows(engine, owners=False)()),
        }
        for what, ask in asked.items():
            found.append((f"{what}, {rows} rows", *quantiles([timed_ms(partial(_call, ask)) for _ in range(30)])))
    return sorted(found, key=lambda row: list(asked).index(str(row[0]).rsplit(", ", 1)[0]))


def _call(ask: object) -> None:
    try:
        ask()  # type: ignore[operator]
    except Exception as error:  # options of made-up tasks cannot be read, which is after the query
        if "Object missing" not in str(error) and "msgspec" not in type(error).__module__:
            raise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--files", type=int, default=100)
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = looks(folder)
        clip = make_clip(folder)
        with wave.open(str(clip), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(np.random.default_rng(6).integers(-9000, 9000, 16_000, dtype=np.int16).tobytes())
        origin = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=name))
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{origin.server_port}/{clip.name}"
        if arguments.tasks:
            rows += run(folder, url, arguments.tasks, arguments.files)
    print(table(("", "p50", "p95", "p99", "max"), rows))


if __name__ == "__main__":
    main()
