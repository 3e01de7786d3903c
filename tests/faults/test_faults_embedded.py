"""A seeded tenth of the fault matrix on SQLite; ``python tests/faults/kill_matrix.py`` is the whole of it."""

from pathlib import Path

import pytest
from arena import EMBEDDED
from kill_matrix import CASES, KILLS, SEED, Run

from calm import Calm

#: Children that are killed have tests of their own.
_NAMES = [name for name, (_, backends) in CASES.items() if EMBEDDED in backends and name != "child"]


@pytest.mark.slow
@pytest.mark.parametrize("name", _NAMES)
def test_nothing_is_lost_different_done_twice_or_unexplained(name: str, tmp_path: Path, calm: Calm) -> None:
    case, _ = CASES[name]
    verdict = case(Run(tmp_path, SEED, KILLS, calm, None), EMBEDDED)
    if verdict.remarks and verdict.remarks[0].startswith("skipped"):
        pytest.skip(verdict.remarks[0])
    assert verdict.is_good, (SEED, verdict)
    assert verdict.faults > 0
