"""Damaged containers as sources of a live server: each ends in sound or a documented code, and all stays well.

``FUZZ_FILES=2000 FUZZ_SEED=7 pytest -n 0 -s tests/wire/test_fuzzed_sources.py`` is the full run; the suite makes an
eightieth.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from wire_origin import Origin
from wire_servers import checked, poll, start_server, stop_server

from dashscribe.config import usable_cores
from dashscribe.queue.worker import CUT_SLOTS
from media_files import RECIPES, MediaMaker, media
from mutations import mutants

__all__ = ["media"]  # the fixture

FILES = int(os.environ.get("FUZZ_FILES", "25"))
SEED = int(os.environ.get("FUZZ_SEED", "7"))
PER_TASK = 50
#: What a file of a task may end with, by the interface's own table, where nothing is wrong but the file.
CODES = {"DECODE_ERROR", "SUCCESS_WITH_NO_VALID_FRAGMENT", "NO_VALID_AUDIO_ERROR", "AUDIO_DURATION_TOO_LONG"}
#: What a file ends with whose decoding ended the child three times, or found its limits.
CRASHED = "InternalError.Algo"
GROWTH_BYTES = 48 * 1024**2


@pytest.mark.slow
def test_server_outlives_damaged_sources_and_books_each_with_its_code(media: MediaMaker, tmp_path: Path) -> None:
    healthy = {name: media(name).read_bytes() for name in RECIPES}
    (tmp_path / "origin").mkdir()
    outcomes, after_first = Counter[str](), (0, 0, 0)
    server = start_server(tmp_path / "home")
    us = psutil.Process(server.process.pid)
    try:
        with Origin(tmp_path / "origin") as origin, server.http() as http:
            names = list(mutants(healthy, FILES, SEED))
            for begin in range(0, FILES, PER_TASK):
                for name, data in names[begin : begin + PER_TASK]:
                    (origin.folder / name).write_bytes(data)
                urls = [origin(name) for name, _ in names[begin : begin + PER_TASK]]
                task_id = server.submit("paraformer-v2", *urls)
                body = poll(lambda: checked(http.get(f"/api/v1/tasks/{task_id}")), within_s=900)  # noqa: B023
                outcomes += Counter(fate(row) for row in body["output"]["results"])
                for name, _ in names[begin : begin + PER_TASK]:
                    (origin.folder / name).unlink()
                if not begin:
                    after_first = us.memory_info().rss, us.num_fds(), us.num_threads()
            assert http.get("/healthz").status_code == 200
            assert http.get("/readyz").status_code == 200
            healthy_task = server.wait(server.submit("paraformer-v2", origin("a.wav")))
        at_end = us.memory_info().rss, us.num_fds(), us.num_threads()
        sys.stdout.write(
            f"\n{FILES} files, seed {SEED}: {dict(outcomes.most_common())}\nserver: memory "
            f"{after_first[0] >> 20} to {at_end[0] >> 20} MiB, descriptors, threads {after_first[1:]} to {at_end[1:]}\n"
        )
        assert healthy_task["output"]["task_status"] == "SUCCEEDED"
        assert outcomes.total() == FILES
        assert outcomes.pop(CRASHED, 0) <= FILES // 500
        assert set(outcomes) <= CODES | {"SUCCEEDED"}, outcomes
        assert at_end[0] < after_first[0] + GROWTH_BYTES
        assert at_end[1] <= after_first[1] + 24  # children and connections more or less
        assert at_end[2] <= after_first[2] + 12
        assert_nothing_left(tmp_path / "home", us)
    finally:
        stop_server(server)
    log = server.log.read_text()
    assert "Traceback" not in log, log[-3000:]


def fate(row: dict[str, Any]) -> str:
    """What became of a file."""
    return "SUCCEEDED" if row["subtask_status"] == "SUCCEEDED" else row["code"]


def assert_nothing_left(home: Path, server: psutil.Process) -> None:
    """No file that is being worked on, and no more children than there can have been callers at once, by kind.

    Those that decode: for the slots that cut, patient ones for long files and others, for the one of short tasks, and
    to see whether the server is ready. Those that recognize: a slot for each core and the express one. Those that write
    numbers: the two slots that finish.
    """
    deadline = time.monotonic() + 30
    while left := list((home / "scratch").iterdir()):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    most = {"media": 2 * CUT_SLOTS + 2, "asr": usable_cores() + 1, "text": 2}
    roles = Counter[str]()
    for child in server.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends just now, or has ended
            line = child.cmdline()
            roles += Counter(line[at + 1] for at, word in enumerate(line) if word == "--role")
    assert roles
    assert not roles - Counter(most)
