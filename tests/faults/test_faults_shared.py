"""A seeded tenth of the fault matrix on PostgreSQL; ``python tests/faults/kill_matrix.py`` is the whole of it."""

from pathlib import Path

import pytest
from arena import SHARED
from kill_matrix import CASES, KILLS, SEED, Run

from calm import Calm
from postgres import Cluster

#: What depends on the database; the rest is as with SQLite.
_NAMES = ["process", "change", "database", "connections", "store", "network"]


@pytest.mark.slow
@pytest.mark.parametrize("name", _NAMES)
def test_nothing_is_lost_different_done_twice_or_unexplained(
    name: str, tmp_path: Path, calm: Calm, cluster: Cluster
) -> None:
    case, _ = CASES[name]
    verdict = case(Run(tmp_path, SEED, KILLS, calm, cluster), SHARED)
    if verdict.remarks and verdict.remarks[0].startswith("skipped"):
        pytest.skip(verdict.remarks[0])
    assert verdict.is_good, (SEED, verdict)
    assert verdict.faults > 0
