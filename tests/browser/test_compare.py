"""Two transcripts side by side in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from browsing import Visit
from fake_recordings import ID, ORIGIN, TASK, Fake, said, short_transcript
from playwright.sync_api import expect

OTHER = f"{TASK}.1"


def pair(kind: str, left: str, right: str, begin_ms: int) -> dict[str, Any]:
    def words(text: str) -> list[dict[str, Any]]:
        spelled = said(text, begin_ms, begin_ms + 2000)
        return [one | {"text": one["text"] + one["punctuation"]} for one in spelled]

    return {"kind": kind, "channel": 0, "left": words(left), "right": words(right)}


@pytest.fixture
def fake() -> Fake:
    made = Fake()
    made.add(short_transcript())
    made.add(short_transcript(), OTHER, model="fun-asr")
    made.compared = {
        "pairs": [
            pair("same", "Sales grew by", "Sales grew by", 1000),
            pair("replaced", "four", "fourteen <b>per</b>", 3000),
            pair("same", "percent.", "percent.", 5000),
            pair("deleted", "Really.", "", 7000),
            pair("same", "And so on.", "And so on.", 9000),
        ],
        "figures": {"words": 9, "other_words": 9, "replaced": 1, "inserted": 1, "deleted": 1, "changed": 3},
    }
    return made


#: Presses n twice in the instant in which the differences come.
PRESSES = """() => {
    const watch = new MutationObserver(() => {
      if (!document.querySelector('.line.pair')) return;
      watch.disconnect();
      const press = () => document.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }));
      press();
      queueMicrotask(() => queueMicrotask(press));
    });
    watch.observe(document.body, { childList: true, subtree: true });
  }"""


@pytest.fixture
def start() -> str:
    return f"/compare/{ID}/{OTHER}"


def test_what_differs_is_marked_on_both_sides(visit: Callable[..., Any]) -> None:
    page = visit()
    page.locator(".line.pair").first.wait_for()
    expect(page.locator("[data-side=left]")).to_have_text(["Sales grew by four percent. Really. And so on."])
    expect(page.locator("del")).to_have_text(["four", "Really."])
    expect(page.locator("ins")).to_have_text(["fourteen <b>per</b>"])
    expect(page.get_by_text("3 of 9 words differ (33%), in 2 places")).to_be_visible()


def test_differences_are_gone_through(visit: Callable[..., Any]) -> None:
    page = visit()
    page.locator(".line.pair").first.wait_for()
    page.keyboard.press("n")
    expect(page.locator(".is-now")).to_have_text(["four", "fourteen <b>per</b>"])
    page.get_by_role("button", name="Next difference").click()
    expect(page.locator(".is-now")).to_have_text(["Really."])
    expect(page.get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("p")
    expect(page.get_by_text("1 of 2")).to_be_visible()


def test_keys_count_from_the_instant_the_differences_are_shown(visit: Callable[..., Any]) -> None:
    page = visit("/library")
    page.get_by_role("link", name="Weekly meeting").first.wait_for()
    page.evaluate(PRESSES)
    page.evaluate(f"location.hash = '#/compare/{ID}/{OTHER}'")
    expect(page.get_by_text("2 of 2")).to_be_visible()


def test_a_click_plays_that_side(visit: Callable[..., Any]) -> None:
    page = visit()
    page.locator("[data-side=right]").get_by_text("fourteen").click()
    page.locator(".side-head").nth(1).get_by_role("button", name="Pause").wait_for()
    page.locator("[data-side=right] .word.now").wait_for()
    page.locator("[data-side=left]").get_by_text("Really").click()
    page.locator(".side-head").nth(0).get_by_role("button", name="Pause").wait_for()
    expect(page.locator(".side-head").nth(1).get_by_role("button", name="Play")).to_be_visible()


def test_another_model_leads_here_and_waits(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit(f"/recordings/{ID}")
    page.get_by_role("button", name="Another model").click()
    page.get_by_label("Model", exact=True).select_option("fun-asr")
    page.get_by_role("dialog").get_by_role("button", name="Transcribe again").click()
    page.wait_for_url(re.compile(f"#/compare/{ID}/11111111"))
    page.get_by_text("The second transcription is not done yet.").wait_for()
    fake.recordings["11111111-2f44-4c1e-9d0b-6a5b4c3d2e1f.0"]["status"] = "SUCCEEDED"
    page.locator(".line.pair").first.wait_for(timeout=20_000)


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 390)])
def test_accessible(visit: Callable[..., Any], language: str, theme: str, width: int) -> None:
    page = visit(language=language, theme=theme, size=(width, 800))
    page.locator(".line.pair").first.wait_for()
    page.keyboard.press("n")
    expect(page.locator(".is-now").first).to_be_visible()
    assert Visit(page, ORIGIN).unreachable() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
