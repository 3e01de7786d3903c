"""Working at a transcript in the browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: How long something may take to come.
PATIENCE_S = 20


def becomes(page: Any, look: Callable[[], Any], wanted: Any) -> None:
    """Look again and again until what is found is what is wanted, no more and no less.

    (The pages' policy refuses conditions that Playwright would evaluate in them.)
    """
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def until(page: Any, what: Callable[[], object]) -> None:
    """Wait until something holds."""
    becomes(page, lambda: bool(what()), True)


def at_rest(page: Any, look: Callable[[], Any]) -> Any:
    """What is found once it has stayed the same for half a second."""
    deadline = time.monotonic() + PATIENCE_S
    found, same = look(), 0
    while same < 5:
        assert time.monotonic() < deadline, f"it does not come to rest: {found!r}"
        page.wait_for_timeout(100)
        before, found = found, look()
        same = same + 1 if found == before else 0
    return found


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
