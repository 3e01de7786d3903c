"""A seeded tenth of the fault matrix on PostgreSQL and S3; ``tests/faults/kill_matrix.py`` is the whole of it."""

from pathlib import Path

import pytest
from arena import BUCKET
from kill_matrix import CASES, KILLS, SEED, Run

from calm import Calm
from object_store import ObjectStore
from postgres import Cluster

_NAMES = ["process", "store"]


@pytest.mark.slow
@pytest.mark.parametrize("name", _NAMES)
def test_nothing_is_lost_different_done_twice_or_unexplained(
    name: str, tmp_path: Path, calm: Calm, cluster: Cluster, object_store: ObjectStore
) -> None:
    case, _ = CASES[name]
    verdict = case(Run(tmp_path, SEED, KILLS, calm, cluster, object_store), BUCKET)
    assert verdict.is_good, (SEED, verdict)
    assert verdict.faults > 0
