"""What a claim and a sweep cost, however many windows and workers there are: rows only, nothing is recognized.

    python benchmarks/queue_rows.py                    1,000 to 1,000,000 windows, 1,000 workers, both databases
    python benchmarks/queue_rows.py --windows 100000

PostgreSQL is started for the run with Debian's programs, fsync and all. Figures are medians in milliseconds; what
counts is that they stay as the rows grow by a thousand.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, insert, text

from dashscribe import files, fleet, redos, windows
from dashscribe.db import clock_ms, open_database, tables, writing
from dashscribe.db.tables import FileState, WindowState
from dashscribe.fleet import Member
from dashscribe.types import Options

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

#: Half of all windows are for an engine that the claiming worker does not have, and come first.
MINE, FOREIGN = "mine@1+bare", "foreign@1+bare"
PER_FILE = 1000
REPEATS = 100


def fill(engine: Engine, have: int, want: int, workers: int) -> None:
    """Grow the tables to so many windows, ready to be claimed."""
    files_before, files_after = -(-have // PER_FILE), -(-want // PER_FILE)
    options = '{"languages":[]}'
    with writing(engine) as connection:
        if not have:
            connection.execute(insert(tables.owners).values(name="o", tag_ms=0, weight=1))
            now = clock_ms(connection)
            row = {"host": "h", "pid": 1, "version": "0", "slots": 2, "engines": "{}", "lease_ms": 10**9}
            row |= {"queues": f'["{MINE}"]', "started_ms": now, "seen_ms": now}
            connection.execute(insert(tables.workers), [{**row, "id": f"w{n}"} for n in range(workers)])
            row |= {"id": "other", "queues": f'["{FOREIGN}"]'}
            connection.execute(insert(tables.workers).values(**row))
        for number in range(files_before, files_after):
            task = {"id": f"t{number}", "owner": "o", "key_id": "0", "request_id": "r", "model": "fun-asr"}
            task |= {"shape": "file_urls", "options": options, "notes": "[]", "status": "RUNNING", "tag_ms": number}
            connection.execute(insert(tables.tasks).values(**task, file_count=1, open_files=1, submitted_ms=0))
            queue = FOREIGN if number % 2 else MINE
            row = {"id": number + 1, "task_id": f"t{number}", "number": 0, "owner": "o", "url": "u", "queue": queue}
            row |= {"state": FileState.RECOGNIZING, "tag_ms": number, "open": PER_FILE}
            connection.execute(insert(tables.files).values(**row))
        # Windows of the other engine are due before all of ours.
        serial = "generate_series" if engine.dialect.name == "postgresql" else None
        columns = (
            "(file_id, channel, number, generation, state, tag_ms, due_ms, express, claim, failures, interrupted, "
            "spans, speech_ms, audio_key, audio_bytes, audio_sha256, result_key, result_bytes, reason, queue)"
        )
        values = (
            f"SELECT n / {PER_FILE} + 1, 0, n % {PER_FILE}, 1, 'ready', n + (1 - (n / {PER_FILE}) % 2) * 100000000, 0, "
            "n % 100 = 7 AND n < 10000, 0, 0, 0, '[]', 30000, 'a', 1, '', '', 0, '', "
            f"CASE (n / {PER_FILE}) % 2 WHEN 1 THEN '{FOREIGN}' ELSE '{MINE}' END "
        )
        if serial:
            source = f"FROM generate_series({have}, {want - 1}) AS n"
        else:
            source = (
                f"FROM (WITH RECURSIVE c(n) AS (SELECT {have} UNION ALL SELECT n + 1 FROM c WHERE n < {want - 1}) "
                "SELECT n FROM c)"
            )
        connection.execute(text(f"INSERT INTO windows {columns} {values} {source}"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def median_ms(act: Callable[[], object], repeats: int = REPEATS) -> float:
    times: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measure(engine: Engine, workers: int) -> dict[str, float]:
    """Medians of what workers do over and over."""
    dice = random.Random(1)
    limit_ms = 7200_000 * workers

    def member() -> Member:
        return Member(f"w{dice.randrange(workers)}", (MINE,))

    def claim(express: bool) -> None:
        claimed = windows.claim(engine, member(), express_only=express)
        assert claimed is not None

    def look() -> None:
        files.due(engine)
        windows.due(engine)
        redos.is_due(engine)

    def after_others() -> None:
        for room in (files, windows, redos):
            assert room.recover(engine) == 0
        assert fleet.release_unserved(engine) == 0

    figures = {
        "claim": median_ms(lambda: claim(False)),
        "express claim": median_ms(lambda: claim(True), 3),
        "sweep": median_ms(look),
    }
    if engine.dialect.name == "postgresql":
        figures["look after others"] = median_ms(after_others, 20)
        figures["back-pressure"] = median_ms(lambda: windows.brim(engine, limit_ms), 5)
    else:
        figures["back-pressure"] = median_ms(lambda: windows.brim(engine, 7200_000), 5)
    return figures


def run(name: str, engine: Engine, sizes: list[int], workers: int) -> None:
    have = 0
    first: dict[str, float] = {}
    for size in sizes:
        fill(engine, have, size, workers)
        have = size
        figures = measure(engine, workers)
        first = first or figures
        line = "  ".join(f"{what} {ms:.2f} (x{ms / first[what]:.1f})" for what, ms in figures.items())
        print(f"{name:<11}{size:>9,} windows  {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1000)
    options = parser.parse_args()
    sizes = [size for size in (1000, 10_000, 100_000, 1_000_000) if size <= options.windows]
    assert WindowState.READY.value == "ready"
    assert Options()
    from postgres import Cluster

    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(durable=True)
        try:
            engine = open_database(cluster.new_database())
            run("PostgreSQL", engine, sizes, options.workers)
            engine.dispose()
        finally:
            cluster.remove()
        run("SQLite", open_database(f"sqlite:///{folder}/a.db"), [s for s in sizes if s <= 100_000], options.workers)


if __name__ == "__main__":
    main()
