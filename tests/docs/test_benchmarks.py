"""Benchmarks that borrow from the tests still find there what they borrow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from blocks import CHECKOUT

BORROWING = sorted(
    path
    for path in (CHECKOUT / "benchmarks").glob("*.py")
    if '"tests"' in (text := path.read_text(encoding="utf-8")) and "ArgumentParser" in text
)


@pytest.mark.parametrize("benchmark", BORROWING, ids=lambda path: path.name)
def test_a_benchmark_that_borrows_from_the_tests_starts(benchmark: Path) -> None:
    done = subprocess.run([sys.executable, benchmark, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
