"""The page of one recording with the whole program behind it: sound, edits, exports, another model."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit, visiting
from playwright.sync_api import Browser, expect
from pointing import click_word
from reviewing import becomes, until
from wire_servers import Server, checked, poll, start_server, stop_server

V1 = "/dashscribe/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("review") / "home")
    yield running
    stop_server(running)


@pytest.fixture
def recording(server: Server, sample: Path) -> str:
    """The id of a transcribed recording."""
    with server.http() as http:
        size = {"upload-length": str(sample.stat().st_size), "content-type": "application/offset+octet-stream"}
        begun = http.post(f"{V1}/uploads", headers={"tus-resumable": "1.0.0"} | size, content=sample.read_bytes())
        task_id = server.submit("fun-asr", begun.headers["dashscribe-upload-url"])
        poll(lambda: checked(http.get(f"/api/v1/tasks/{task_id}")))
    return f"{task_id}.0"


@pytest.fixture
def visit(browser: Browser, server: Server, recording: str) -> Iterator[Visit]:
    with visiting(browser, server.url, server.key) as visitor:
        visitor.open(f"/recordings/{recording}")
        visitor.page.locator(".line.sentence").first.wait_for()
        yield visitor


def transcript(server: Server, recording: str) -> dict[str, Any]:
    with server.http() as http:
        return checked(http.get(f"{V1}/recordings/{recording}/transcript"))


def begin_typing(page: Any) -> Any:
    page.locator(".line.sentence").first.hover()
    page.locator(".act.edit").first.click()
    return page.locator("textarea.typing")


def test_a_word_is_heard_and_the_text_follows(visit: Visit):
    page = visit.page
    first = page.locator(".line.sentence").first
    click_word(first, first.locator(".said").inner_text().split()[3])
    expect(page.locator(".word.now")).to_have_count(1)
    before = page.locator(".player time").inner_text()
    page.keyboard.press("k")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator(".player time")).not_to_have_text(before)
    page.keyboard.press("k")


def test_edits_survive_a_reload_and_stand_in_exports(visit: Visit, server: Server, recording: str, tmp_path: Path):
    page = visit.page
    text = begin_typing(page).input_value()
    page.keyboard.press("Home")
    page.keyboard.type("Listen: ")
    page.keyboard.press("Escape")
    page.locator(".act.speaker").first.click()
    page.get_by_label("Name of this speaker").fill("林肯")
    page.keyboard.press("Enter")
    becomes(page, lambda: transcript(server, recording).get("speakers"), {"0": "林肯"})
    page.reload()
    expect(page.locator(".line.sentence .said").first).to_have_text(f"Listen: {text}")
    expect(page.locator(".speaker .name").first).to_have_text("林肯")
    for form in ("txt", "docx"):
        page.locator("header .button.primary").click()
        page.locator(f".format:has([value={form}])").click()
        with page.expect_download() as told:
            page.get_by_role("button", name="Download").click()
        path = tmp_path / told.value.suggested_filename
        told.value.save_as(path)
        content = zipfile.ZipFile(path).read("word/document.xml") if form == "docx" else path.read_bytes()
        assert "Listen: " in content.decode()
        assert "林肯" in content.decode()


def test_a_recording_is_renamed_where_its_title_stands(visit: Visit, server: Server, recording: str):
    page = visit.page
    title = page.get_by_role("heading", level=1)
    before = title.inner_text()
    change = page.get_by_role("button", name="Change the title")
    field = page.get_by_role("textbox", name="Title")
    change.click()
    field.fill("Nobody calls it so")
    page.keyboard.press("Escape")
    expect(title).to_have_text(before)
    expect(change).to_be_focused()
    page.keyboard.press("Enter")
    field.fill("盖茨堡 address")
    page.keyboard.press("Enter")
    expect(title).to_have_text("盖茨堡 address")
    expect(change).to_be_focused()
    with server.http() as http:

        def found() -> list[str]:
            answer = checked(http.get(f"{V1}/recordings", params={"q": "茨堡"}))
            return [one["title"] for one in answer["recordings"]]

        becomes(page, found, ["盖茨堡 address"])
    visit.open("/library?q=茨堡")
    expect(page.get_by_role("link", name="盖茨堡 address")).to_be_visible()


def test_a_split_is_undone_after_it_was_saved(visit: Visit, server: Server, recording: str):
    page = visit.page
    before = [one["text"] for one in transcript(server, recording)["sentences"]]
    field = begin_typing(page)
    field.evaluate("(area) => { const at = area.value.indexOf(' ', 12); area.setSelectionRange(at, at); }")
    page.keyboard.press("Enter")
    becomes(page, lambda: len(transcript(server, recording)["sentences"]), len(before) + 1)
    page.keyboard.press("Control+z")
    becomes(page, lambda: [one["text"] for one in transcript(server, recording)["sentences"]], before)
    expect(page.locator(".line.sentence")).to_have_count(len(before))


def test_another_model_is_compared_side_by_side(visit: Visit):
    page = visit.page
    page.get_by_role("button", name="Another model").click()
    page.get_by_role("dialog").get_by_role("button", name="Transcribe again").click()
    page.locator(".line.pair").first.wait_for(timeout=60_000)
    expect(page.locator(".side-head")).to_have_count(2)
    assert visit.unreachable() == []


def test_two_windows_edit_the_same_transcript(visit: Visit, browser: Browser, server: Server, recording: str):
    with visiting(browser, server.url, server.key) as other:
        other.open(f"/recordings/{recording}")
        begin_typing(other.page).fill("Theirs.")
        other.page.keyboard.press("Escape")
        becomes(other.page, lambda: transcript(server, recording)["sentences"][0]["text"], "Theirs.")
    begin_typing(visit.page).fill("Ours.")
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_text("found no place")).to_be_visible()
    expect(visit.page.locator(".lost li")).to_have_text("Ours.")
    until(visit.page, lambda: any("409" in one for one in visit.problems))  # the console tells of the conflict
    visit.problems[:] = [one for one in visit.problems if "409" not in one]
    assert transcript(server, recording)["sentences"][0]["text"] == "Theirs."


def test_the_only_sentence_is_there_again_after_undo(visit: Visit, server: Server, recording: str):
    page = visit.page
    told = transcript(server, recording)
    whole = {"ids": [one["id"] for one in told["sentences"]], "with": [{"text": "All of it."}]}
    with server.http() as http:
        http.patch(
            f"{V1}/recordings/{recording}/transcript", json={"revision": 0, "replace": [whole]}
        ).raise_for_status()
    before = transcript(server, recording)["sentences"]
    page.reload()
    page.locator(".line.sentence").first.wait_for()
    begin_typing(page).fill("")
    page.keyboard.press("Escape")
    becomes(page, lambda: transcript(server, recording)["sentences"], [])
    for _ in range(2):  # the row, then its text
        page.keyboard.press("Control+z")

    def told_of(sentences: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(one["channel"], one["begin_ms"], one["end_ms"], one["text"]) for one in sentences]

    becomes(page, lambda: told_of(transcript(server, recording)["sentences"]), told_of(before))
