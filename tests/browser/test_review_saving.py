"""What is typed at a transcript is saved, whatever happens meanwhile; and what is left of a page that one leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_recordings import ID, SHORT, Fake, sentence, transcript_of
from playwright.sync_api import Dialog, expect
from reviewing import at_rest, becomes, edit, row, saved, texts, until

#: Rests once and tells how many listeners that leaves at its signal.
RESTS = """async () => {
    const { rest } = await import(`${location.origin}/pages/js/api.js`);
    const { signal } = new AbortController();
    let listening = 0;
    for (const [name, step] of [['addEventListener', 1], ['removeEventListener', -1]]) {
      const own = signal[name].bind(signal);
      signal[name] = (...given) => { listening += step; own(...given); };
    }
    await rest(1, signal);
    return listening;
  }"""


def test_an_edit_is_saved_by_itself_and_survives_a_reload(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    field = edit(page, "Sales grew")
    field.fill("Sales grew by five percent.")
    page.keyboard.press("Escape")
    saved(page)
    assert fake.saved[0]["replace"] == [
        {"ids": ["0-2"], "with": [{"text": "Sales grew by five percent.", "speaker": 1}]}
    ]
    page.reload()
    expect(row(page, "five percent")).to_have_attribute("class", "line sentence edited")


def test_a_lost_network_loses_nothing(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    fake.offline = True
    edit(page, SHORT[2]).fill("Typed without a network.")
    page.keyboard.press("Escape")
    page.get_by_text("No connection.").wait_for()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.evaluate("() => setTimeout(() => location.reload(), 0)")
    becomes(page, lambda: asked, ["beforeunload"])
    fake.offline = False
    page.evaluate("() => window.dispatchEvent(new Event('online'))")
    saved(page)
    assert fake.transcripts[ID]["sentences"][2]["text"] == "Typed without a network."


def test_leaving_the_page_saves_first(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    edit(page, SHORT[2]).fill("On the way out.")
    page.evaluate("() => { location.hash = '#/nowhere'; }")
    page.get_by_text("There is no such page").wait_for()
    becomes(page, lambda: fake.transcripts[ID]["sentences"][2]["text"], "On the way out.")


def test_somebody_elses_edit_stays_and_ours_goes_on_top_while_we_type(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    theirs = fake.transcripts[ID]
    theirs["revision"] = 7
    theirs["sentences"][0]["text"] = "Theirs."
    edit(page, SHORT[2]).fill("Ou")
    page.get_by_text("Somebody else edited this transcript.").wait_for()
    page.keyboard.press("End")
    page.keyboard.type("rs.")
    page.keyboard.press("Escape")
    saved(page)
    assert [one["text"] for one in theirs["sentences"]][:3] == ["Theirs.", SHORT[1], "Ours."]
    becomes(page, lambda: texts(page)[:3], ["Theirs.", SHORT[1], "Ours."])


def test_what_is_typed_while_a_save_is_under_way_outlives_the_page(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    page.on("dialog", lambda dialog: dialog.accept())  # leave all the same
    fake.holds = True
    edit(page, SHORT[2]).fill("First.")
    becomes(page, lambda: len(fake.held), 1)
    page.locator("textarea.typing").fill("First. Second.")
    fake.held.clear()
    fake.holds = False  # for the page that comes: it saves at once what it finds
    page.reload()
    page.get_by_text("Changes that were not saved the last time are back.").wait_for()
    saved(page)
    assert fake.transcripts[ID]["sentences"][2]["text"] == "First. Second."
    becomes(page, lambda: "draft" in str(page.evaluate("Object.keys(localStorage)")), False)
    fake.holds = True
    page.locator(".scroller").focus()
    edit(page, "First. Second.").fill("Third.")
    becomes(page, lambda: len(fake.held), 1)
    page.locator("textarea.typing").fill("Third. Fourth.")
    fake.let_go()
    becomes(page, lambda: fake.transcripts[ID]["sentences"][2]["text"], "Third. Fourth.")


def test_a_save_whose_answer_is_lost_is_nobody_elses(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    fake.loses = True
    field = edit(page, SHORT[1])
    field.evaluate("(area) => area.setSelectionRange(13, 13)")
    page.keyboard.press("Enter")
    page.get_by_text("No connection.").wait_for()
    fake.loses = False
    page.evaluate("() => window.dispatchEvent(new Event('online'))")
    saved(page)
    becomes(page, lambda: texts(page)[1:3], ["Let us begin", "with the numbers of last month."])
    assert page.get_by_text("found no place").count() == 0


def test_who_leaves_without_a_network_finds_their_text_again(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    fake.offline = True
    edit(page, SHORT[2]).fill("Written on a train.")
    page.evaluate("() => { location.hash = '#/nowhere'; }")
    page.get_by_text("There is no such page").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="Sign out now?").get_by_role("button", name="Cancel").click()
    fake.offline = False
    page.go_back()
    row(page, "Written on a train.").wait_for()
    becomes(page, lambda: fake.transcripts[ID]["sentences"][2]["text"], "Written on a train.")
    saved(page)


@pytest.mark.parametrize("others", [[], [sentence(0, "Over here.", 0, 2000)]], ids=["alone", "two channels"])
def test_the_only_sentence_of_a_channel_is_saved_again_when_it_is_back(
    visit: Callable[..., Any], fake: Fake, others: list[dict[str, Any]]
) -> None:
    fake.add(transcript_of([*others, sentence(0, "And out.", 3000, 5000, channel=1)], 8000))
    page = visit()
    edit(page, "And out.").fill("")
    page.keyboard.press("Escape")
    becomes(page, lambda: [one["text"] for one in fake.transcripts[ID]["sentences"]], [one["text"] for one in others])
    saved(page)
    fake.offline = True
    for _ in range(2):  # the row, then its text
        page.keyboard.press("Control+z")
    page.get_by_text("No connection.").wait_for()

    def leave(dialog: Dialog) -> None:
        fake.offline = False  # while the page stands still: it tries again by itself
        dialog.accept()

    page.on("dialog", leave)
    page.reload()
    page.get_by_text("Changes that were not saved the last time are back.").wait_for()
    until(page, lambda: len(fake.transcripts[ID]["sentences"]) > len(others))
    saved(page)
    back = fake.transcripts[ID]["sentences"][-1]
    assert (back["text"], back["channel"], back["begin_ms"], back["end_ms"]) == ("And out.", 1, 3000, 5000)
    edit(page, "And out.").fill("And out, again.")
    page.keyboard.press("Escape")
    becomes(page, lambda: fake.transcripts[ID]["sentences"][-1]["text"], "And out, again.")


def test_an_export_without_the_latest_changes_is_no_export(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    fake.offline = True
    edit(page, SHORT[2]).fill("Not saved.")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Download").click()
    page.get_by_text("Your latest changes could not be saved").wait_for()
    fake.offline = False


def test_pages_that_are_left_leave_nothing_behind(visit: Callable[..., Any], fake: Fake) -> None:
    fake.add(None, f"{ID[:-1]}1", status="RUNNING", title="Running")
    page = visit("/library")
    assert page.evaluate(RESTS) == 0, "a page that looks again and again would gather a listener each time"
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def counted() -> dict[str, float]:
        session.send("HeapProfiler.collectGarbage")
        told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return {name: told[name] for name in ("JSEventListeners", "Nodes")}

    def go_round() -> None:
        for path, shown in ((ID, ".line.sentence"), (f"{ID[:-1]}1", ".card progress")):
            page.evaluate("(path) => { location.hash = `#/recordings/${path}`; }", path)
            page.locator(shown).first.wait_for()
        page.evaluate("() => { location.hash = '#/library'; }")
        page.locator(".recording").first.wait_for()

    for _ in range(3):
        go_round()
    before = at_rest(page, counted)  # what a page leaves goes a little later than the page
    for _ in range(34):  # three pages each: a hundred
        go_round()
    after = at_rest(page, counted)
    grown = {name: after[name] - before[name] for name in before}
    assert all(more < 34 for more in grown.values()), grown
