"""The page of one recording in a browser: listening, editing, saving, finding, exporting, with the keyboard alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from browsing import Visit
from fake_recordings import ID, ORIGIN, SHORT, Fake, sentence, transcript_of
from playwright.sync_api import expect
from pointing import click_word
from reviewing import at_rest, becomes, edit, row, saved, texts, until

HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>{{7*7}} ${window.ran=1} javascript:alert(1)'

#: A recording whose speakers were not told apart, in words that no page may depend on.
FAILED_STAGE = {
    "notes": ["nobody was told apart: no model", "the language was not given"],
    "failed_stages": [{"stage": "speakers", "reasons": ["nobody was told apart: no model"]}],
}


def typed_in(page: Any, text: str) -> None:
    """The sentence of this text gets the focus."""
    becomes(page, lambda: page.evaluate("document.activeElement.value"), text)


def test_sentences_speakers_pauses_and_failures_are_shown(visit: Callable[..., Any]) -> None:
    page = visit()
    becomes(page, lambda: texts(page), list(SHORT))
    expect(page.locator(".speaker .name").first).to_have_text("Speaker 1")
    expect(page.locator(".stretch.pause")).to_contain_text("8 s without speech")
    expect(page.locator(".stretch.failure")).to_contain_text("the engine ended three times")


def test_a_click_on_a_word_plays_from_there_and_the_text_follows(visit: Callable[..., Any]) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    click_word(row(page, "Sales"), "four")
    expect(page.locator(".word.now")).to_have_text("four")
    expect(page.locator("time").first).to_have_text("0:11")
    page.keyboard.press("k")
    later = re.compile("Was that|A little|Then let us")
    page.locator(".line[aria-current]", has_text=later).wait_for()
    expect(page.locator(".line[aria-current]")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()


def test_the_speed_is_that_of_the_sound(visit: Callable[..., Any]) -> None:
    page = visit()
    page.get_by_label("Speed").select_option("2")
    page.locator(".scroller").focus()
    page.keyboard.press(">")
    page.keyboard.press("<")
    expect(page.get_by_label("Speed")).to_have_value("1.75")


#: Presses play, once, in the instant in which the address of the sound is there.
PRESSES = """() => {
    const { json } = Response.prototype;
    Response.prototype.json = async function () {
      const told = await json.call(this);
      if (this.url.endsWith('/sound')) {
        Response.prototype.json = json;
        document.querySelector('.play').click();
      }
      return told;
    };
  }"""


def test_play_that_is_pressed_as_the_sound_comes_plays(visit: Callable[..., Any]) -> None:
    page = visit("/library")
    page.get_by_role("link", name="Weekly meeting").wait_for()
    page.evaluate(PRESSES)
    page.get_by_role("link", name="Weekly meeting").click()
    expect(page.locator(".player time")).to_have_text(re.compile("^0:(?!00)"))


def test_an_address_that_has_ended_is_asked_for_again_and_the_sound_goes_on(
    visit: Callable[..., Any], fake: Fake
) -> None:
    page = visit("/library")
    refused: list[str] = []

    def answer(route: Any) -> None:
        if refused:
            route.fallback()
            return
        refused.append(route.request.url)
        route.fulfill(status=403)

    page.route("**/sound/*", answer)
    page.get_by_role("link", name="Weekly meeting").wait_for()
    page.evaluate(PRESSES)
    page.get_by_role("link", name="Weekly meeting").click()
    expect(page.locator(".player time")).to_have_text(re.compile("^0:(?!00)"))
    assert len(refused) == 1
    assert [path for method, path, _, _ in fake.calls].count(f"/recordings/{ID}/sound") == 2


def test_enter_splits_and_backspace_joins_where_the_caret_is(visit: Callable[..., Any]) -> None:
    page = visit()
    field = edit(page, SHORT[1])
    field.evaluate("(area) => area.setSelectionRange(13, 13)")
    page.keyboard.press("Enter")
    typed_in(page, "with the numbers of last month.")
    becomes(page, lambda: texts(page)[1:3], ["Let us begin", "with the numbers of last month."])
    saved(page)
    page.keyboard.press("Backspace")
    becomes(page, lambda: page.evaluate("document.activeElement.selectionStart"), 13)
    becomes(page, lambda: texts(page)[1], SHORT[1])


def test_a_speaker_is_named_everywhere_and_a_sentence_given_to_another(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    row(page, SHORT[0]).locator(".act.speaker").click()
    page.get_by_label("Name of this speaker").fill("王教授")
    page.keyboard.press("Enter")
    names = page.locator(".line:not(.continues) .speaker .name")
    expect(names).to_have_text(["王教授", "Speaker 2", "王教授", "Speaker 2", "王教授"])
    row(page, "Sales").locator(".act.speaker").click()
    page.get_by_label("This sentence is said by").select_option("0")
    page.get_by_role("button", name="Save").click()
    saved(page)
    expect(names).to_have_count(3)
    assert fake.transcripts[ID]["speakers"] == {"0": "王教授"}
    assert [one["speaker"] for one in fake.transcripts[ID]["sentences"]] == [0, 0, 0, 0, 1, 0]


def test_undo_and_redo_by_keys(visit: Callable[..., Any]) -> None:
    page = visit()
    edit(page, SHORT[2]).fill("Nothing grew.")
    page.keyboard.press("Control+z")
    expect(page.locator("textarea.typing")).to_have_value(SHORT[2])
    page.keyboard.press("Control+y")
    expect(page.locator("textarea.typing")).to_have_value("Nothing grew.")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo").click()
    becomes(page, lambda: texts(page), list(SHORT))


def test_find_and_replace(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    page.keyboard.press("Control+f")
    page.get_by_label("Find in the transcript").fill("we had planned")
    expect(page.locator(".find .count")).to_have_text("1 of 2")
    page.keyboard.press("Enter")
    expect(page.locator(".find .count")).to_have_text("2 of 2")
    page.get_by_label("Replace by").fill("they had hoped")
    page.get_by_role("button", name="Replace all").click()
    hoped = ["Was that more than they had hoped for?", "A little more than they had hoped."]
    becomes(page, lambda: [text for text in texts(page) if "they had hoped" in text], hoped)
    page.get_by_role("status").get_by_role("button", name="Undo").click()
    becomes(page, lambda: texts(page), list(SHORT))
    page.keyboard.press("Escape")


def test_everything_by_keys(visit: Callable[..., Any]) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    page.locator(".scroller").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("k")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    # Back to the beginning, however much of it was heard meanwhile.
    for _ in range(6):
        page.keyboard.press("j")
    expect(page.locator("time").first).to_have_text("0:00")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".line[aria-current] .said")).to_have_text(SHORT[1])
    page.keyboard.press("ArrowRight")
    expect(page.locator("time").first).to_have_text("0:10")
    page.keyboard.press("Tab")
    typed_in(page, SHORT[2])
    page.keyboard.press("Tab")
    typed_in(page, SHORT[3])
    page.keyboard.press("Shift+Tab")
    typed_in(page, SHORT[2])
    page.keyboard.press("Home")
    page.keyboard.type("Well, ")
    page.keyboard.press("Control+s")
    page.keyboard.press("Escape")
    expect(page.locator(".scroller")).to_be_focused()
    becomes(page, lambda: texts(page)[2], "Well, Sales grew by four percent.")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".scroller")).to_be_focused()
    page.keyboard.press("s")
    page.get_by_role("dialog", name="Who speaks here?").wait_for()


def test_an_input_method_has_its_keys_to_itself(visit: Callable[..., Any]) -> None:
    page = visit()
    edit(page, SHORT[2])
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6})
    for name in ("Enter", "Backspace", "Escape", "Tab"):
        page.locator("textarea.typing").dispatch_event("keydown", {"key": name, "isComposing": True, "bubbles": True})
    assert len(texts(page)) == len(SHORT)
    session.send("Input.insertText", {"text": "你好"})
    page.keyboard.press("Escape")
    becomes(page, lambda: texts(page)[2], "你好" + SHORT[2])


def test_each_export_dialog_remembers_its_own_choice(visit: Callable[..., Any]) -> None:
    page = visit()
    page.get_by_role("button", name="Export").click()
    page.locator(".format:has([value=srt])").click()
    page.get_by_label("With speakers").uncheck()
    with page.expect_download():
        page.get_by_role("button", name="Download").click()
    page.evaluate("() => { location.hash = '#/library'; }")
    page.get_by_label("Select Weekly meeting").check()
    page.get_by_role("button", name="Export").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Text (.txt)")).to_be_checked()
    expect(dialog.get_by_role("checkbox", checked=True)).to_have_count(1)
    dialog.get_by_label("Markdown (.md)").check()
    with page.expect_download():
        dialog.get_by_role("button", name="Export").click()
    page.get_by_role("link", name="Weekly meeting").click()
    page.locator(".work").wait_for()
    page.get_by_role("button", name="Export").click()
    expect(page.locator("[value=srt]")).to_be_checked()
    expect(page.get_by_label("With speakers")).not_to_be_checked()
    page.evaluate("() => { location.hash = '#/library'; }")
    page.get_by_label("Select Weekly meeting").check()
    page.get_by_role("button", name="Export").click()
    expect(dialog.get_by_role("checkbox", checked=True)).to_have_count(2)


def test_the_original_is_shown_and_comes_back(visit: Callable[..., Any], fake: Fake) -> None:
    page = visit()
    edit(page, SHORT[2]).fill("Edited.")
    page.keyboard.press("Escape")
    saved(page)
    page.get_by_role("button", name="Show the original").click()
    row(page, SHORT[2]).wait_for()
    expect(page.locator(".act.edit")).to_have_count(0)
    page.get_by_role("button", name="Discard all edits").click()
    page.get_by_role("button", name="Discard edits").click()
    page.get_by_text("This is what was recognized").wait_for(state="detached")
    becomes(page, lambda: texts(page), list(SHORT))
    assert fake.transcripts[ID]["edited"] is False


def test_export(visit: Callable[..., Any]) -> None:
    page = visit()
    for form in ("txt", "md", "srt", "vtt", "docx", "tsv", "json"):
        page.get_by_role("button", name="Export").click()
        page.locator(f".format:has([value={form}])").click()
        with page.expect_download() as told:
            page.get_by_role("button", name="Download").click()
        assert told.value.suggested_filename == f"Weekly meeting.{form}"
        assert json.loads(told.value.path().read_text())["format"] == form
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_uncertain_words_are_marked_on_demand(visit: Callable[..., Any]) -> None:
    page = visit()
    row(page, SHORT[0]).wait_for()
    assert page.locator(".unsure").count() == 0
    page.get_by_label("Uncertain words").select_option("0.4")
    expect(page.locator(".unsure")).to_have_text(["by"])


def test_hostile_text_runs_nothing(visit: Callable[..., Any], fake: Fake) -> None:
    fake.recordings.clear()
    hostile = transcript_of(
        [sentence(0, HOSTILE, 0, 4000, speaker=0), sentence(1, "\u202e" + HOSTILE, 5000, 9000)], 10_000
    )
    hostile["speakers"] = {"0": HOSTILE}
    hostile["ledger"] = [{"channel": 0, "begin_ms": 4000, "end_ms": 5000, "fate": "failed", "reason": HOSTILE}]
    fake.add(hostile, title=HOSTILE, notes=[HOSTILE], model=HOSTILE)
    page = visit(f"/recordings/{ID}?q={'%3Cimg'}")
    becomes(page, lambda: texts(page)[:1], [HOSTILE])
    page.locator(".act.speaker").first.click()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    # The focus comes back after the dialog is gone, and must not leave the text then.
    expect(page.locator(".act.speaker").first).to_be_focused()
    page.locator(".line.sentence p.said").first.dblclick(position={"x": 4, "y": 10})
    expect(page.locator("textarea.typing")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.type(HOSTILE)
    page.keyboard.press("Escape")
    saved(page)
    assert page.evaluate("window.ran") is None
    assert page.locator(".work img, .work script, h1 img").count() == 0


def test_only_rows_in_view_are_in_the_page(visit: Callable[..., Any], fake: Fake) -> None:
    many = [
        sentence(at, f"Sentence {at} of a long recording.", at * 4000, at * 4000 + 3900, speaker=at % 3)
        for at in range(2500)
    ]
    fake.recordings.clear()
    fake.add(transcript_of(many, 10_000_000))
    page = visit()
    row(page, "Sentence 0 of").wait_for()
    assert page.locator(".line").count() < 80
    page.locator(".scroller").evaluate("(one) => { one.scrollTop = one.scrollHeight; }")
    row(page, "Sentence 2499 of").wait_for()
    assert page.locator(".line").count() < 80
    expect(row(page, "Sentence 2499 of")).to_have_attribute("aria-posinset", "2500")
    page.keyboard.press("Control+f")
    page.get_by_label("Find in the transcript").fill("Sentence 1234 ")
    row(page, "Sentence 1234 of").wait_for()
    edit(page, "Sentence 1234 of")
    page.locator(".scroller").evaluate("(one) => { one.scrollTop = 0; }")
    row(page, "Sentence 0 of").wait_for()
    expect(page.locator("textarea.typing")).to_have_value("Sentence 1234 of a long recording.")


def test_who_scrolls_away_is_not_pulled_back(visit: Callable[..., Any], fake: Fake) -> None:
    many = [sentence(at, f"Sentence {at} is short.", at * 1000, at * 1000 + 900) for at in range(59)]
    fake.recordings.clear()
    fake.add(transcript_of(many, 59_000))
    page = visit(size=(1280, 560))
    row(page, "Sentence 0 is").wait_for()
    page.keyboard.press("k")
    page.locator(".scroller").hover()
    page.mouse.wheel(0, 900)
    page.get_by_role("button", name="Follow", exact=True).wait_for()

    def top() -> float:
        # Of a frame that was painted: a browser that gets no time paints none, however long one waits.
        return page.locator(".scroller").evaluate(
            "(one) => new Promise((told) =>"
            " requestAnimationFrame(() => requestAnimationFrame(() => told(one.scrollTop))))"
        )

    until(page, lambda: top() > 0)
    stays = at_rest(page, top)  # a turn of the wheel moves it for a while
    heard = page.locator("time").first.inner_text()
    for _ in range(3):  # each second is another sentence
        expect(page.locator("time").first).not_to_have_text(heard)
        heard = page.locator("time").first.inner_text()
    assert top() == stays
    page.get_by_role("button", name="Follow", exact=True).click()
    page.locator(".line[aria-current]").wait_for()


def test_a_running_recording_opens_when_it_is_done(visit: Callable[..., Any], fake: Fake) -> None:
    recording = fake.recordings[ID]
    recording |= {"status": "RUNNING", "progress": {"done_ms": 10_000, "total_ms": 40_000}}
    page = visit()
    page.get_by_text("0:10 of 0:40 recognized (25%)").wait_for()
    recording |= {"status": "SUCCEEDED"}
    row(page, SHORT[0]).wait_for(timeout=20_000)


def test_a_failed_recording_says_why_and_what_to_do(visit: Callable[..., Any], fake: Fake) -> None:
    fake.recordings[ID] |= {"status": "FAILED", "code": "FILE_404_NOT_FOUND", "message": "404 at origin"}
    page = visit()
    page.get_by_text("There is nothing at this address any more.").wait_for()
    expect(page.get_by_text("404 at origin")).to_be_visible()
    page.get_by_role("button", name="Transcribe again").click()
    page.get_by_role("dialog").get_by_role("button", name="Transcribe again").click()
    page.wait_for_url(re.compile("#/recordings/11111111"))


def test_a_failed_stage_is_done_again_from_the_page(visit: Callable[..., Any], fake: Fake) -> None:
    fake.recordings[ID] |= FAILED_STAGE
    page = visit()
    page.get_by_text("This step failed: telling speakers apart").wait_for()
    expect(page.get_by_text("nobody was told apart")).to_have_count(1)
    expect(page.get_by_text("1 note on this result")).to_be_visible()
    expect(row(page, SHORT[0])).to_be_visible()

    def looked() -> int:
        return [(method, path) for method, path, _, _ in fake.calls].count(("GET", f"/recordings/{ID}"))

    before = looked()
    page.get_by_role("button", name="Do it again").click()
    becomes(page, looked, before + 1)  # once the answer is there, the recording is looked at anew
    asked = [(path, body) for method, path, _, body in fake.calls if method == "POST"]
    assert asked == [(f"/tasks/{ID[:-2]}/retry", {"stage": "speakers", "file": 0})]


def test_opening_keeps_a_recording(visit: Callable[..., Any], fake: Fake) -> None:
    fake.recordings[ID]["kept"] = False
    page = visit()
    row(page, SHORT[0]).wait_for()
    becomes(page, lambda: fake.recordings[ID]["kept"], True)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_accessible(visit: Callable[..., Any], fake: Fake, language: str, width: int, theme: str) -> None:
    fake.recordings[ID] |= FAILED_STAGE
    page = visit(size=(width, 800), language=language, theme=theme)
    unreachable = Visit(page, ORIGIN).unreachable
    row(page, SHORT[0]).wait_for()
    click_word(row(page, "Sales"), "four")
    page.keyboard.press("Control+f")
    page.locator(".find input").first.fill("planned")
    expect(page.locator(".line.has-match")).to_have_count(2)
    assert unreachable() == []
    page.keyboard.press("Escape")
    expect(page.locator(".find")).to_have_count(0)
    for name in ("s", "?"):
        page.locator(".scroller").focus()
        page.keyboard.press(name)
        page.locator("dialog[open]").wait_for()
        assert unreachable() == []
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(page.locator(".scroller")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("textarea.typing")).to_be_focused()
    assert unreachable() == []
    page.keyboard.press("Escape")
    expect(page.locator("textarea.typing")).to_have_count(0)
    page.locator("header .button.primary").click()
    page.locator("dialog[open]").wait_for()
    assert unreachable() == []


def test_nothing_is_wider_than_a_phone(visit: Callable[..., Any]) -> None:
    page = visit(size=(390, 800))
    row(page, SHORT[0]).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
