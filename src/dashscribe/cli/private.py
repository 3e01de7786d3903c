"""The home is for its user only: what lies there are keys, recordings and what was said in them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def make_home(home: Path) -> None:
    """Make the home if need be; one that is there keeps its rights, since it may be shared on purpose."""
    with suppress(OSError):  # whoever needs it says what it is needed for
        home.mkdir(parents=True, exist_ok=True, mode=0o700)


def keep_private(home: Path) -> None:
    """Make the home, and have what this process writes from now on be for its user, wherever it lies."""
    make_home(home)
    os.umask(0o077)
