"""Many tasks of many files queue without harm: all end, whoever comes last gets a share, no query looks at all rows.

The suite runs 6 tasks of 25 files; ``DASHSCRIBE_MANY_TASKS=100 pytest tests/unit/test_many_tasks.py`` runs 100 tasks
of 100 files, in some minutes.
"""

import os
import random
import threading
from pathlib import Path

import pytest
from durable import Home, shorten_waits, speech
from sqlalchemy import event, func, select

from dashscribe import files, order, windows
from dashscribe.db import reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.tasks import Status

TASKS = int(os.environ.get("DASHSCRIBE_MANY_TASKS", "6"))
FILES = 25 if TASKS <= 10 else 100
#: Tables whose rows grow with the work; a plan that scans one of them costs more with every task.
GROWING = ("tasks", "files", "windows")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.mark.slow
def test_all_end_and_the_last_to_come_is_not_the_last_to_be_served(tmp_path: Path) -> None:
    chance = random.Random(6)
    urls = [f"http://alice/{number}" for number in range(FILES)]
    theirs = [f"http://bob/{number}" for number in range(10)]
    home = Home(tmp_path, {url: speech(1, chance.randint(60_000, 90_000)) for url in (*urls, *theirs)})
    heard: list[str] = []
    many = [home.submit(*urls, owner="alice") for _ in range(TASKS - 1)]
    one = home.submit(*theirs, owner="bob")
    left, are_cut = set(theirs), threading.Event()
    home.hosts.on_cut = lambda url, number: (left.discard(url), left or are_cut.set())
    home.hosts.on_recognize = lambda sound: (are_cut.wait(120), heard.append(sound))
    home.worker.start()
    try:
        home.worker.wake()
        assert home.wait(one, 120).status is Status.SUCCEEDED
        # Bob's ten files beside the share that alice had meanwhile, and what was under way.
        assert max(place for place, sound in enumerate(heard) if sound.startswith("http://bob/")) < 60
        for task in many:
            assert home.wait(task, 60 * TASKS).status is Status.SUCCEEDED
    finally:
        home.worker.stop()
    with reading(home.engine) as connection:
        states = connection.execute(select(tables.files.c.state, func.count()).group_by(tables.files.c.state)).all()
    assert [tuple(row) for row in states] == [(FileState.SUCCEEDED, FILES * (TASKS - 1) + 10)]


@pytest.mark.one_machine
def test_no_query_of_the_queue_looks_at_all_rows(tmp_path: Path) -> None:
    home = Home(tmp_path, {"http://x/a": speech(2)}, max_owner_files=10**6)
    task = home.submit("http://x/a", "http://x/a")
    statements: list[tuple[str, object]] = []
    event.listen(
        home.engine,
        "before_cursor_execute",
        lambda c, cursor, statement, parameters, *rest: statements.append((statement, parameters)),
    )
    for state in (FileState.WAITING, FileState.FETCHED, FileState.JOINING):
        files.claim(home.engine, state, busy_owners=["bob"], before_tag_ms=10**15)
        files.claim(home.engine, state, express_only=True)
    files.brims(home.engine, 200)
    files.due(home.engine)
    windows.claim(home.engine)
    windows.claim(home.engine, express_only=True)
    windows.brim(home.engine, 7_200_000)
    windows.due(home.engine)
    home.book.get("default", task.id)
    home.book.open_files("default")
    home.book.open_files()
    home.submit("http://x/a", key="k")
    with writing(home.engine) as connection:
        order.window_tag(connection, "default", 1000)
        order.charge(connection, "default", 1000)
    asked = [one for one in statements if one[0].lstrip().startswith(("SELECT", "UPDATE"))]
    assert len(asked) > 20
    with home.engine.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for step in plan:
                words = step[3].split()
                scans = words[0] == "SCAN" and words[1] in GROWING
                assert not scans or "ix_tasks_open" in step[3], (step[3], statement)
