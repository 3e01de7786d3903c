"""Tests that change the machine's network, and tests that a change would disturb, one after the other.

Chromium gives up every request under way when a network device comes or goes: ERR_NETWORK_CHANGED.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def undisturbed_network() -> Iterator[None]:
    """Nobody changes the network meanwhile."""
    with _held(fcntl.LOCK_SH):
        yield


@contextmanager
def changing_network() -> Iterator[None]:
    """Nobody is there whom it would disturb."""
    with _held(fcntl.LOCK_EX):
        yield


@contextmanager
def _held(how: int) -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / f"dashscribe-tests-network-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, how)
        yield
