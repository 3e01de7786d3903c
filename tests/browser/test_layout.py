"""What long names, long numbers and narrow screens do to the pages: nothing is cut off, nothing is torn apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fake_recordings import SHORT, Fake
from playwright.sync_api import expect
from reviewing import becomes, row

#: For each head of a sentence: how much wider it is than its room, and whether its time takes several lines.
HEADS = """all => all.map((who) => {
  const time = who.querySelector('.seek');
  const range = document.createRange();
  range.selectNodeContents(time);
  return [who.scrollWidth - who.clientWidth, new Set([...range.getClientRects()].map(({ top }) => top)).size > 1];
})"""


@pytest.mark.parametrize("width", [1280, 390])
def test_a_long_name_leaves_the_time_on_its_line(visit: Callable[..., Any], fake: Fake, width: int) -> None:
    (transcript,) = fake.transcripts.values()
    transcript["speakers"] = {
        "0": "Abraham Lincoln",
        "1": "Wolfgang Amadeus Mozart of Salzburg and Vienna, the composer",
    }
    for one in transcript["sentences"]:
        one["begin_ms"], one["end_ms"] = one["begin_ms"] + 36_000_000, one["end_ms"] + 36_000_000
    page = visit(size=(width, 800))
    row(page, SHORT[0]).wait_for()
    heads = page.locator(".line.sentence .who")
    becomes(page, lambda: heads.evaluate_all(HEADS), [[0, False]] * len(SHORT))


def test_the_buttons_of_a_search_stay_together_on_a_phone(visit: Callable[..., Any]) -> None:
    page = visit(size=(390, 800))
    row(page, SHORT[0]).wait_for()
    page.keyboard.press("Control+f")
    page.get_by_label("Find in the transcript").fill("planned")
    expect(page.locator(".find .count")).to_have_text("1 of 2")
    before, after = (page.get_by_role("button", name=f"{name} match").bounding_box() for name in ("Previous", "Next"))
    assert before["y"] == after["y"]
    assert before["x"] < after["x"]


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 390), ("zh", 1280)])
def test_the_numbers_beside_a_chart_are_whole(visit: Callable[..., Any], fake: Fake, language: str, width: int) -> None:
    today = datetime.now(UTC).date().isoformat()
    used = {"day": today, "model": "fun-asr", "key_id": "k", "key_name": "fake", "files": 1, "duration_ms": 110_000}
    fake.others = {"/usage": {"days": [used]}, "/keys": {"keys": []}}
    page = visit("/keys", size=(width, 800), language=language)
    ticks = page.locator(".chart text.tick")
    expect(ticks.filter(has_text="30")).to_have_count(2)
    begins = "all => Math.min(...all.map((one) => one.getBBox().x))"
    becomes(page, lambda: ticks.evaluate_all(begins) >= 0, True)
