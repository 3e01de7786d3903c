"""Tests that change the machine's network, and tests that a change would disturb, one after the other.

Chromium gives up every request under way when a network device comes or goes: ERR_NETWORK_CHANGED.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def network(*, changes: bool = False) -> Generator[None]:
    """Use the network together with others while nobody changes it; or change it while nobody uses it."""
    path = Path(tempfile.gettempdir()) / f"dashscribe-tests-network-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if changes else fcntl.LOCK_SH)
        yield
