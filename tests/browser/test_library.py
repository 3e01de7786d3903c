"""The library in a browser: its pages, what is searched for, and where a hit leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fake_recordings import TASK, Fake
from playwright.sync_api import expect


def test_after_the_last_page_is_emptied_the_one_before_is_shown(visit: Callable[..., Any], fake: Fake) -> None:
    for number in range(1, 21):
        fake.add(None, f"{TASK}.{number}", title=f"Recording {number}")
    page = visit("/library?page=2")
    page.get_by_role("checkbox", name="Recording 20").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".recording")).to_have_count(20)
    expect(page.get_by_role("checkbox", name="20 recordings")).not_to_be_checked()
    expect(page).to_have_url("http://pages.test/#/library")
