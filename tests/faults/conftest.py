"""The server that every fault is compared with."""

from collections.abc import Iterator

import pytest
from arena import IMPATIENT, ORIGIN

from calm import Calm


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    """What nothing happens to; all cases of a file ask the same one."""
    server = Calm(tmp_path_factory.mktemp("undisturbed") / "home", **ORIGIN | IMPATIENT)
    yield server
    server.stop()
