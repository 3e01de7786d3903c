"""The pages in Chromium, with the whole program behind them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import open_browser
from playwright.sync_api import Browser

sys.path.append(str(Path(__file__).parents[1] / "wire"))  # the servers of the tests of the wire


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a module: while it is open, nothing else can run a loop of asyncio in this process."""
    with open_browser() as opened:
        yield opened
