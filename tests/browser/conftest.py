"""The pages in Chromium, with the whole program behind them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import open_browser
from fake_recordings import ID, ORIGIN, Fake, short_transcript
from playwright.sync_api import Browser, expect

sys.path.append(str(Path(__file__).parents[1] / "wire"))  # the servers of the tests of the wire

# A page on a busy machine may need a while for what it shows at once on an idle one.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a module: while it is open, nothing else can run a loop of asyncio in this process."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def fake() -> Fake:
    made = Fake()
    made.add(short_transcript())
    return made


@pytest.fixture
def start() -> str:
    """The page that the tests of a module open."""
    return f"/recordings/{ID}"


@pytest.fixture
def visit(browser: Any, fake: Fake, start: str) -> Iterator[Callable[..., Any]]:
    """Open a page of the stand-in; errors of its scripts fail the test."""
    opened: list[Any] = []
    errors: list[str] = []

    def go(path: str = start, *, size: tuple[int, int] = (1280, 800), **how: str) -> Any:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("pageerror", lambda error: errors.append(str(error.stack or error)))
        page.on("console", lambda told: errors.append(told.text) if "Content Security Policy" in told.text else None)
        opened.append(page)
        fake.install(page, **how)
        page.goto(f"{ORIGIN}/#{path}")
        return page

    yield go
    for page in opened:
        page.close()
    assert errors == []
