"""The library in a browser: its pages, what is searched for, and where a hit leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from fake_recordings import ID, SHORT, TASK, Fake
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


#: Between the last key and the filter no time passes in which the words could be taken.
TYPED_AND_SET = """() => {
  const [words] = document.querySelectorAll('input[type=search]');
  const status = document.querySelector('option[value=FAILED]').parentElement;
  words.value = 'budget';
  words.dispatchEvent(new Event('input', { bubbles: true }));
  status.value = 'FAILED';
  status.dispatchEvent(new Event('change', { bubbles: true }));
}"""


def test_a_filter_that_is_set_while_words_are_typed_stays(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit("/library")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Status").wait_for()
    page.evaluate(TYPED_AND_SET)
    expect(page).to_have_url("http://pages.test/#/library?status=FAILED&q=budget")


@pytest.mark.parametrize(
    ("query", "at", "wanted", "count"),
    [
        ("we had planned", 17000, "we had planned", "2 of 2"),
        ("planned sales", 9000, "sales", "1 of 1"),
        ('"little more" planned', 17000, "little more", "1 of 1"),
        ('"morning and welcome"', 1000, "morning", "1 of 1"),
        ("more NUMBERS", 17000, "more", "2 of 2"),
        ("budget four", None, "four", "1 of 1"),
    ],
)
def test_a_hit_opens_with_what_of_the_words_stands_there(
    visit: Callable[..., Any], query: str, at: int | None, wanted: str, count: str
) -> None:
    page = visit(f"/recordings/{ID}?q={quote(query)}" + (f"&t={at}" if at else ""))
    expect(page.get_by_label("Find in the transcript")).to_have_value(wanted)
    expect(page.locator(".find .count")).to_have_text(count)


def test_a_recording_that_is_found_by_its_title_opens_without_a_search(visit: Callable[..., Any]) -> None:
    page = visit(f"/recordings/{ID}?q=Quarterly%20budget")
    page.locator(".line.sentence", has_text=SHORT[0]).wait_for()
    expect(page.locator(".find")).to_have_count(0)


def test_what_has_no_text_is_not_exported(visit: Callable[..., Any], fake: Fake) -> None:
    fake.add(None, f"{TASK}.1", status="FAILED", title="Broken", code="X", message="why")
    page = visit("/library")
    page.get_by_role("checkbox", name="Broken").check()
    export = page.get_by_role("button", name="Export")
    expect(export).to_be_disabled()
    page.get_by_role("checkbox", name="Weekly meeting").check()
    expect(export).to_be_enabled()


def test_a_conflict_is_not_told_as_somebody_elses_change(visit: Callable[..., Any]) -> None:
    page = visit("/library")
    refused = {"request_id": "r", "code": "Conflict", "message": "The recording is RUNNING."}
    page.route("**/recordings/export", lambda route: route.fulfill(status=409, json=refused))
    page.get_by_role("checkbox", name="Weekly meeting").check()
    page.get_by_role("button", name="Export").click()
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    told = page.get_by_role("dialog").get_by_role("alert")
    expect(told).to_contain_text("The recording is RUNNING.")
    expect(told.get_by_text("As things stand, this cannot be done.")).to_be_visible()
