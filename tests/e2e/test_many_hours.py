"""A server that has done some tasks leaves nothing behind; ``benchmarks/many_hours.py`` does 200 of an hour each."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def test_nothing_is_left_over_of_tasks_that_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (Debian: apt-get install ffmpeg)")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import many_hours

    before, after = many_hours.measure(tmp_path, tasks=6, hours=0.01, warm=3, at_once=2)
    assert after["tasks"] == 6
    # How many of the children that two tasks can use (two decode, the slots and an express one hear) three tasks have
    # started is chance.
    more = max(0.0, after["children"] - before["children"])
    before["all MiB"] += more * max(after["media MiB"], after["asr MiB"])
    before["children"] = max(before["children"], 2 + (os.cpu_count() or 1) + 1)
    # A server this young still grows by what it does for the first time: memory is for the long run to judge.
    assert many_hours.grown(before, after, goal=1.25) == []
    for name in ("common", "running", "many_hours"):
        sys.modules.pop(name, None)
