"""Corrections that meet what is not as usual: an empty transcript, somebody else's removal, another step in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fake_recordings import ID, SHORT, Fake, transcript_of
from playwright.sync_api import expect
from reviewing import becomes, edit, row, saved, texts


def test_keys_for_a_sentence_do_nothing_where_there_is_none(visit: Callable[..., Any], fake: Fake) -> None:
    fake.add(transcript_of([], 8000))
    page = visit()
    page.locator(".nothing").wait_for()
    page.locator(".scroller").focus()
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").get_by_role("button", name="Close").click()
    page.locator(".scroller").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".scroller")).not_to_be_focused()


def test_a_name_is_kept_though_its_sentence_is_removed_meanwhile(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    fake.holds = True
    edit(page, SHORT[0]).fill("Good evening.")
    becomes(page, lambda: len(fake.held), 1)
    row(page, "Sales").locator(".act.speaker").click()
    theirs = fake.transcripts[ID]
    theirs["revision"] = 7
    del theirs["sentences"][2]
    fake.let_go()
    becomes(page, lambda: len(texts(page)), len(SHORT) - 1)
    page.get_by_label("Name of this speaker").fill("Anna")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    becomes(page, lambda: theirs["speakers"], {"1": "Anna"})
    saved(page)


def test_a_split_that_is_undone_while_it_is_saved_is_undone(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    before = [(one["text"], one["begin_ms"], one["end_ms"]) for one in fake.transcripts[ID]["sentences"]]
    field = edit(page, SHORT[0])
    field.evaluate("(area) => { const at = area.value.indexOf(' ', 6); area.setSelectionRange(at, at); }")
    fake.holds = True
    page.keyboard.press("Enter")
    becomes(page, lambda: len(fake.held), 1)
    page.keyboard.press("Control+z")
    expect(page.locator(".line.sentence")).to_have_count(len(SHORT))
    fake.let_go()
    becomes(page, lambda: len(fake.saved), 2)
    saved(page)
    now = [(one["text"], one["begin_ms"], one["end_ms"]) for one in fake.transcripts[ID]["sentences"]]
    assert [len(one["ids"]) for one in fake.saved[1]["replace"]] == [2]
    assert now == before


def replace_all(page: Any, wanted: str, by: str) -> None:
    page.keyboard.press("Control+f")
    page.get_by_label("Find in the transcript").fill(wanted)
    page.get_by_label("Replace by").fill(by)
    page.get_by_role("button", name="Replace all").click()


def test_undo_is_offered_as_long_as_it_undoes_the_replacement(visit: Callable[..., Any]) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    toast = page.locator(".toast")
    replace_all(page, "we had planned", "they had hoped")
    expect(toast).to_contain_text("Undo")
    edit(page, "Sales").fill("Sales fell.")
    expect(toast).to_have_count(0)
    page.keyboard.press("Escape")
    replace_all(page, "numbers", "figures")
    toast.get_by_role("button", name="Undo").click()
    becomes(
        page,
        lambda: [text for text in texts(page) if "s of last" in text or "Sales" in text],
        [SHORT[1], "Sales fell."],
    )
    replace_all(page, "numbers", "numbers")  # nothing is replaced, so there is nothing to undo
    replace_all(page, "numbers", "figures")
    expect(toast).to_have_count(1)
    page.evaluate("() => { location.hash = '#/nowhere'; }")
    page.get_by_text("There is no such page").wait_for()
    expect(toast).to_have_count(0)


def test_replacing_one_by_one_goes_on_behind_a_text_that_holds_the_old_one(visit: Callable[..., Any]) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    page.keyboard.press("Control+f")
    page.get_by_label("Find in the transcript").fill("planned")
    page.get_by_label("Replace by").fill("planned and planned")
    replace, count = page.get_by_role("button", name="Replace", exact=True), page.locator(".find .count")
    replace.click()
    expect(count).to_have_text("3 of 3")
    replace.click()
    expect(count).to_have_text("1 of 4")
    doubled = [text.replace("planned", "planned and planned") for text in SHORT]
    assert texts(page) == doubled
    page.get_by_label("Replace by").fill("")
    replace.click()
    expect(count).to_have_text("1 of 3")
    becomes(page, lambda: texts(page)[3], "Was that more than we had  and planned for?")
