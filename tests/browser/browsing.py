"""A real browser, and what no page may ever do in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from network_changes import network

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: Every page that is opened without naming something.
PATHS = ("/library", "/new", "/hotwords", "/sensitive-words", "/keys", "/callbacks", "/models", "/queue")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium of the system; without one the test is skipped."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium fonts-noto-cjk)")
    with network(), sync_playwright() as playwright:
        # The tests may run as root in a container, where Chromium's own sandbox does not start.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """Somebody who looks at the pages of one server; ``problems`` fills with what must not happen."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list[str])
    #: Requests that came to nothing. Pages give some up themselves; told where a test fails.
    unanswered: list[str] = field(default_factory=list[str])

    def watch(self) -> None:
        """Note errors of scripts and in the console, and requests to other hosts."""
        self.page.on("requestfailed", lambda request: self.unanswered.append(f"{request.url}: {request.failure}"))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self._note(said.text))
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("request", lambda request: self._look_at(request.url))

    def _note(self, text: str) -> None:
        self.problems.append(text)

    def _look_at(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", "blob:", "data:")):
            self._note(f"a request to {url}")

    def open(self, path: str) -> None:
        """Go to a page and wait until it has loaded its data."""
        self.page.goto(f"{self.url}/#{path}")
        # The browser calls it the same page, so it does not tell when it is there: the next picture has at least the
        # gray lines of what is loading, and then they go.
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(self.page.locator("main .loading")).to_have_count(0, timeout=20_000)
        self.page.locator("main h1").wait_for()

    def sign_in(self, key: str) -> None:
        """Type the key in."""
        self.page.goto(f"{self.url}/")
        self.page.locator("input[type=password]").fill(key)
        self.page.keyboard.press("Enter")
        self.page.locator(".frame h1").wait_for()

    def unreachable(self) -> list[str]:
        """What axe finds wrong with the page that is shown, each with where."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['target']} {node.get('failureSummary', '')}" for one in found for node in one["nodes"]
        ]


#: Notes stay: what is read or pressed in one may be a while after it came.
NOTES_STAY = """(() => {
  const wait = window.setTimeout;
  window.setTimeout = (act, ms, ...more) => wait(act, ms === 6000 ? 120000 : ms, ...more);
})()"""


@contextmanager
def visiting(browser: Browser, url: str, key: str = "", **how: Any) -> Iterator[Visit]:
    """Somebody with a browser of their own, signed in if a key is given. At the end nothing wrong may have happened."""
    context = browser.new_context(**({"locale": "en-US", "reduced_motion": "reduce"} | how))
    context.set_default_timeout(20_000)
    context.add_init_script(NOTES_STAY)
    visit = Visit(context.new_page(), url)
    visit.watch()
    try:
        if key:
            visit.sign_in(key)
        yield visit
    except Exception as error:
        error.add_note("\n".join([visit.page.url, *visit.problems, *visit.unanswered]))
        raise
    finally:
        context.close()
    assert not visit.problems
