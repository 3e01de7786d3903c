"""Working at a transcript in the browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def until(page: Any, what: Callable[[], bool]) -> None:
    """Wait until something holds. (The pages' policy refuses conditions that Playwright would evaluate in them.)"""
    for _ in range(300):
        if what():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it does not come to pass")


def row(page: Any, text: str) -> Any:
    return page.locator(".line.sentence", has_text=text)


def texts(page: Any) -> list[str]:
    return page.locator(".line.sentence .said").evaluate_all("all => all.map((one) => one.value ?? one.textContent)")


def saved(page: Any) -> None:
    page.get_by_text("Saved", exact=True).first.wait_for()


def edit(page: Any, text: str) -> Any:
    """Type in a sentence, by its button."""
    row(page, text).hover()
    row(page, text).locator(".act.edit").click()
    return page.locator("textarea.typing")
