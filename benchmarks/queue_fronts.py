"""What claims cost where much waits that must not be taken: rows only, plans looked at.

    python benchmarks/queue_fronts.py [--rows 100000]

Each case fills one table, claims with the program's own functions, takes the claim back, and prints the median for a
thousandth of the rows and for all of them; what counts is the ratio. Then every statement of the claim is explained by
the database: a scan of a whole table is named. Cases: windows of which none is express, asked for express ones; files
of one owner who may get nothing more; stages done again of such an owner; deliveries of a target that is busy, and of
one that is not.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, create_engine, event, insert, text

from common import CHECKOUT, machine, table
from queue_rows import MINE, median_ms
from queue_rows import fill as fill_windows

sys.path.insert(0, str(CHECKOUT / "tests"))
from dashscribe import files, redos, windows
from dashscribe.db import open_database, tables, writing
from dashscribe.db.tables import DeliveryState, FileState
from dashscribe.fleet import Member
from dashscribe.notify import deliveries

_LARGE = "windows|files|tasks|redos|callback_deliveries|callback_events"
BY = Member("w0", (MINE,))
OWNER = "crowd"


def add_many(engine: Engine, count: int, rows: Callable[[int], dict[str, object]], into: str) -> None:
    """So many rows of a table, in pieces."""
    target = tables.metadata.tables[into]
    with writing(engine) as connection:
        for begin in range(0, count, 5000):
            connection.execute(insert(target), [rows(number) for number in range(begin, min(begin + 5000, count))])


def task_row(number: int) -> dict[str, object]:
    row = {"id": f"c{number}", "owner": OWNER, "key_id": "0", "request_id": "r", "model": "fun-asr", "notes": "[]"}
    row |= {"shape": "file_urls", "options": '{"languages":[]}', "status": "PENDING", "tag_ms": number}
    return row | {"file_count": 1, "open_files": 1, "submitted_ms": 0}


def fill_files(engine: Engine, count: int) -> None:
    with writing(engine) as connection:
        connection.execute(insert(tables.owners).values(name=OWNER, tag_ms=0, weight=1))
    add_many(engine, count, task_row, "tasks")
    row = {"number": 0, "owner": OWNER, "url": "u", "state": FileState.WAITING}
    add_many(engine, count, lambda n: {**row, "task_id": f"c{n}", "tag_ms": n}, "files")


def fill_redos(engine: Engine, count: int) -> None:
    fill_files(engine, count)
    row = {"owner": OWNER, "stage": "punctuation", "state": "PENDING"}
    add_many(engine, count, lambda n: {**row, "file_id": n + 1, "asked_ms": n}, "redos")


def fill_deliveries(engine: Engine, count: int) -> None:
    target = {"id": "t", "owner": OWNER, "kind": "http", "url": "http://127.0.0.1:9/", "models": "[]"}
    target |= {"statuses": "[]", "policy": "BACKOFF_RETRY", "signature": "current"}
    with writing(engine) as connection:
        connection.execute(insert(tables.callback_targets).values(**target, **_defaults("callback_targets", target)))
    one = {"task_id": "c", "owner": OWNER, "body": "{}"}
    one |= _defaults("callback_events", one)
    add_many(engine, count, lambda n: {**one, "id": f"e{n}"}, "callback_events")
    row = {"target_id": "t", "state": DeliveryState.WAITING}
    row |= _defaults("callback_deliveries", row)
    add_many(engine, count, lambda n: {**row, "event_id": f"e{n}", "due_ms": n}, "callback_deliveries")


def _defaults(name: str, given: dict[str, Any]) -> dict[str, object]:
    """Something for each column that wants a value and has none of its own."""
    wanted = [
        column
        for column in tables.metadata.tables[name].columns
        if not column.nullable and column.default is None and column.server_default is None and not column.primary_key
    ]
    return {c.name: "" if c.type.python_type is str else c.type.python_type() for c in wanted if c.name not in given}


def express(engine: Engine) -> None:
    assert windows.claim(engine, BY, express_only=True) is None


def crowd_of_files(engine: Engine) -> None:
    assert files.claim(engine, FileState.WAITING, BY, busy_owners=(OWNER,)) is None


def crowd_of_redos(engine: Engine) -> None:
    assert redos.claim(engine, (OWNER,), BY) is None


def busy_target(engine: Engine) -> None:
    assert deliveries.claim(engine, ("t",), BY) is None


def free_target(engine: Engine) -> None:
    claimed = deliveries.claim(engine, (), BY)
    assert claimed is not None
    deliveries.release(engine, claimed)


def fill_without_express(engine: Engine, count: int) -> None:
    fill_windows(engine, 0, count, 10)
    with writing(engine) as connection:
        connection.execute(text("UPDATE windows SET express = false"))


CASES: dict[str, tuple[Callable[[Engine, int], None], Callable[[Engine], None]]] = {
    "express window, none waits": (fill_without_express, express),
    "file of a crowd that may get none": (fill_files, crowd_of_files),
    "stage of a crowd that may get none": (fill_redos, crowd_of_redos),
    "delivery, the target is busy": (fill_deliveries, busy_target),
    "delivery": (fill_deliveries, free_target),
}


def scans(engine: Engine, act: Callable[[Engine], None]) -> list[str]:
    """Whole tables that the statements of a claim go through."""
    seen: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "WITH")):
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    act(engine)
    event.remove(engine, "before_cursor_execute", note)
    words, found = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN", []
    with engine.connect() as connection:
        for statement, parameters in seen:
            plan = connection.exec_driver_sql(f"{words} {statement}", parameters).all()
            lines = [" ".join(map(str, row)) for row in plan]
            found += [line.strip() for line in lines if re.search(rf"(Seq Scan on|SCAN) ({_LARGE})\b(?!.*USING)", line)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    from postgres import Cluster

    print(machine())
    few = max(100, options.rows // 1000)
    rows: list[tuple[object, ...]] = []
    plans: list[str] = []
    cluster = Cluster(durable=True)
    with tempfile.TemporaryDirectory() as folder:
        for product in ("SQLite", "PostgreSQL"):
            for case, (fill, act) in CASES.items():
                found: list[float] = []
                for count in (few, options.rows):
                    url = f"sqlite:///{folder}/{len(rows)}-{count}.db"
                    engine = open_database(cluster.new_database() if product == "PostgreSQL" else url)
                    fill(engine, count)
                    with create_engine(engine.url, isolation_level="AUTOCOMMIT").connect() as connection:
                        connection.execute(text("ANALYZE"))
                    found.append(median_ms(lambda: act(engine), 50))  # noqa: B023
                    if count == options.rows:
                        plans += [f"{product}, {case}: {line}" for line in scans(engine, act)]
                    engine.dispose()
                ratio = found[1] / found[0]
                rows.append((f"{product}: {case}", *(f"{ms:.2f}" for ms in found), f"{ratio:.1f}"))
    cluster.remove()
    print(table(("median ms", f"{few:,} rows", f"{options.rows:,} rows", "ratio"), rows))
    print("\n".join(plans) or "no statement goes through a whole table")


if __name__ == "__main__":
    main()
