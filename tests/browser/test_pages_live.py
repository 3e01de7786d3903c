"""What people do in the pages, from signing in to finding what was said."""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PATHS, Visit, visiting
from playwright.sync_api import Browser, Page, expect
from reviewing import becomes, until
from wire_servers import Server, checked, poll, start_server, stop_server

from plain_http import client, loopback

V1 = "/dashscribe/v1"
#: Text that would run if any page took it for markup.
HOSTILE = '<img src=x onerror="window.ran = 1"><script>window.ran = 1</script>'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("pages") / "home")
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def recording(server: Server, sample: Path) -> dict[str, str]:
    """A transcribed recording with a hostile title: its id, and a word that is said in it."""
    with server.http() as http:
        begun = http.post(
            f"{V1}/uploads",
            headers={
                "tus-resumable": "1.0.0",
                "upload-length": str(sample.stat().st_size),
                "content-type": "application/offset+octet-stream",
            },
            content=sample.read_bytes(),
        )
        url = begun.headers["dashscribe-upload-url"]
        task_id = server.submit("fun-asr", url)
        poll(lambda: checked(http.get(f"/api/v1/tasks/{task_id}")))
        changed = http.patch(f"{V1}/recordings/{task_id}.0", json={"title": HOSTILE, "kept": True})
        assert changed.status_code == 200, changed.text
        done = checked(http.get(f"/api/v1/tasks/{task_id}"))
        text = loopback.get(done["output"]["results"][0]["transcription_url"]).json()["transcripts"][0]["text"]
    word = re.findall(r"\w+", text)[0].lower()
    wait_until_found(server, word, f"{task_id}.0")
    return {"id": f"{task_id}.0", "word": word}


def wait_until_found(server: Server, word: str, recording_id: str) -> None:
    """Wait until the search knows what is said in a recording."""
    deadline = time.monotonic() + 30
    with server.http() as http:
        while recording_id not in [
            one["id"] for one in checked(http.get(f"{V1}/recordings", params={"q": word}))["recordings"]
        ]:
            assert time.monotonic() < deadline, f"{word} is not found"
            time.sleep(0.3)


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    with visiting(browser, server.url, server.key) as visitor:
        yield visitor


def test_sign_in_refuses_a_wrong_key_and_keeps_a_right_one(browser: Browser, server: Server):
    with visiting(browser, server.url) as visit:
        page = visit.page
        page.goto(server.url)
        page.get_by_label("API key").fill("sk-wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("The server does not know this key")).to_be_visible()
        until(page, lambda: visit.problems)  # the refusal stands in the console
        visit.problems.clear()
        assert visit.unreachable() == []
        page.get_by_label("API key").fill(server.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Library", level=1)).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Library", level=1)).to_be_visible()
        assert page.evaluate("localStorage.getItem('dashscribe.key')") is None, "only a wish to stay keeps it"
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        becomes(page, lambda: page.evaluate("sessionStorage.length"), 0)


def upload(visit: Visit, sample: Path, name: str) -> None:
    """Choose a recording of that name for a new transcription, and see it arrive."""
    visit.open("/new")
    visit.page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "audio/flac", "buffer": sample.read_bytes()}]
    )
    expect(visit.page.get_by_text("Uploaded")).to_be_visible()


def test_from_a_file_to_its_words(visit: Visit, server: Server, sample: Path):
    page = visit.page
    upload(visit, sample, "开场 白.flac")
    page.get_by_role("button", name="Transcribe 1 recording").click()
    page.get_by_role("link", name="开场 白.flac").wait_for()
    visit.open("/library")
    entry = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="开场 白.flac"))
    expect(entry.get_by_text("fun-asr")).to_be_visible()
    expect(entry.get_by_text("kept")).to_be_visible()  # what the pages submit stays
    with server.http() as http:
        (found,) = checked(http.get(f"{V1}/recordings", params={"q": "开场"}))["recordings"]
        task = server.wait(found["task_id"])
        text = loopback.get(task["output"]["results"][0]["transcription_url"]).json()["transcripts"][0]["text"]
    word = re.findall(r"\w+", text)[3]
    wait_until_found(server, word, found["id"])
    page.get_by_role("searchbox").fill(word)
    hit = entry.locator(".hits a").first
    expect(hit.locator("mark").first).to_have_text(word, ignore_case=True)
    hit.click()
    expect(page).to_have_url(re.compile(rf"#/recordings/{re.escape(found['id'])}\?t=\d+&q={word}"))


def keep_preset(page: Page) -> None:
    page.get_by_role("button", name="Save as a preset").click()
    page.get_by_label("Name").fill("private preset")
    page.keyboard.press("Enter")


def test_a_language_asks_for_another_suggestion(visit: Visit):
    page = visit.page
    visit.open("/new")
    # What is spoken decides which model is suggested, and whether there is one; the engine of the tests takes all.
    page.route("**/suggestion?*languages=zh*", lambda route: route.fulfill(json={"models": [], "ruled_out": []}))
    with page.expect_request(re.compile("suggestion.*languages=zh")):
        page.get_by_label("Language spoken").select_option("zh")
    expect(page.get_by_text("No model that runs here can do this.")).to_be_visible()
    with page.expect_request(re.compile("suggestion.*languages=en")):
        page.get_by_label("Language spoken").select_option("en")
    expect(page.get_by_label("Model", exact=True)).to_contain_text("Suggested: ")


def test_who_signs_out_leaves_nothing_for_the_next(visit: Visit, server: Server, sample: Path):
    page = visit.page
    upload(visit, sample, "private.flac")
    keep_preset(page)
    expect(page.get_by_label("Preset")).to_have_value("private preset")
    page.get_by_role("button", name="Remove this preset").click()
    expect(page.get_by_text("The preset “private preset” is removed.")).to_be_visible()
    keep_preset(page)

    page.get_by_role("button", name="Sign out").click()
    question = page.get_by_role("dialog", name="Sign out now?")
    question.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("private.flac")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    question.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    becomes(page, lambda: page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]"), [])
    expect(page).to_have_url(re.compile("#/$"))  # where one was is one's own

    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    page.locator(".frame h1").wait_for()
    # Not awaited: what is told goes by itself after a while, and must not have come with the frame.
    assert page.locator("dialog").count() == page.locator(".toast").count() == 0
    visit.open("/new")
    expect(page.get_by_text("private")).to_have_count(0)
    page.reload()
    page.locator("main h1").wait_for()
    page.wait_for_timeout(300)  # what was on its way would be taken up by now
    expect(page.get_by_text("private")).to_have_count(0)


def test_what_is_selected_is_exported(visit: Visit, recording: dict[str, str]):
    page = visit.page
    visit.open(f"/library?q={recording['word']}")
    page.get_by_label(f"Select {HOSTILE}").check()
    page.get_by_role("button", name="Export").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Text (.txt)")).to_be_checked()
    dialog.get_by_label("Subtitles (.srt)").check()
    with page.expect_download() as saving:
        dialog.get_by_role("button", name="Export").click()
    with zipfile.ZipFile(saving.value.path()) as archive:
        assert sorted(Path(name).suffix for name in archive.namelist()) == [".srt", ".txt"]
        assert all(recording["word"] in archive.read(name).decode().lower() for name in archive.namelist())
    expect(dialog).to_have_count(0)


def test_what_is_selected_is_deleted(visit: Visit, server: Server):
    with server.http() as http:
        ids = [f"{server.submit('fun-asr', 'http://127.0.0.1:9/none.wav')}.0" for _ in range(2)]
        for recording_id in ids:
            server.wait(recording_id.removesuffix(".0"))
    page = visit.page
    visit.open("/library?status=FAILED")
    boxes = page.get_by_label("Select none.wav")
    expect(boxes).to_have_count(2)
    for box in boxes.all():
        box.check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("2 recordings deleted.")).to_be_visible()
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    with server.http() as http:
        for recording_id in ids:
            assert http.get(f"{V1}/recordings/{recording_id}").status_code == 404


#: Ways to look at the pages, by the language that they are shown in.
LOOKS = {"en": {}, "zh-Hans": {"locale": "zh-CN", "color_scheme": "dark", "viewport": {"width": 390, "height": 844}}}


@pytest.mark.parametrize("language", LOOKS)
def test_every_page_in_both_languages_and_both_themes(
    browser: Browser, server: Server, recording: dict[str, str], language: str
):
    with visiting(browser, server.url, server.key, **LOOKS[language]) as visit:
        for path in PATHS:
            visit.open(path)
            expect(visit.page.locator("html")).to_have_attribute("lang", language)
            assert visit.page.locator(".note.bad").all_inner_texts() == [], path
            assert visit.unreachable() == [], path
            shown = visit.page.locator("body").inner_text()
            assert not re.findall(r"\b(?:nav|library|new|keys|usage|state|error|action)\.\w+", shown), (path, shown)
            wide = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"a phone must not scroll sideways: {path}"
            assert visit.problems == [], path


def test_hostile_text_is_only_text(visit: Visit, server: Server, recording: dict[str, str]):
    words = {"target_model": "fun-asr", "prefix": "bad", "vocabulary": [{"text": "<b>bad</b>", "weight": 4}]}
    with server.http() as http:
        made = http.post(
            "/api/v1/services/audio/asr/customization",
            json={"model": "speech-biasing", "input": {"action": "create_vocabulary", **words}},
        )
        assert made.status_code == 200, made.text
        target = {"url": "http://127.0.0.1:9/", "name": HOSTILE, "paused": True}
        for path, body in (("keys", {"name": HOSTILE}), ("callbacks/targets", target)):
            assert http.post(f"{V1}/{path}", json=body).status_code == 201
        assert http.put(f"{V1}/sensitive-words", json={"masked": [HOSTILE]}).status_code == 200
    page = visit.page
    for path in (*PATHS, f"/library?q={recording['word']}", "/%3Cimg%20src%3Dx%3E"):
        visit.open(path)
        assert page.locator("main img, main script").count() == 0, path
    for path in ("/library", "/keys", "/callbacks"):
        visit.open(path)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
    visit.open("/hotwords")
    expect(page.get_by_text("<b>bad</b>")).to_be_visible()
    assert page.evaluate("window.ran") is None


def test_languages_and_themes_are_switched_and_remembered(visit: Visit):
    page = visit.page
    visit.open("/queue")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("任务队列")
    page.get_by_role("button", name="外观：跟随系统").click()
    page.get_by_role("button", name="外观：浅色").click()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("任务队列")
    becomes(page, lambda: page.evaluate("getComputedStyle(document.documentElement).colorScheme"), "dark")


def test_keys_are_made_shown_once_and_ended(visit: Visit, server: Server):
    page = visit.page
    visit.open("/keys")
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("nightly import")
    dialog.get_by_label("Hours per month").fill("0.5")
    dialog.get_by_role("button", name="Make the key").click()
    made = dialog.locator("code").inner_text()
    with client(server.url, headers={"Authorization": f"Bearer {made}"}, timeout=60) as http:
        assert checked(http.get(f"{V1}/me"))["quota_ms"] == 1_800_000
        page.keyboard.press("Escape")
        row = page.get_by_role("row").filter(has_text="nightly import")
        expect(row).to_contain_text("30 min")
        row.get_by_role("button", name="Delete the key").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)
        assert http.get(f"{V1}/me").status_code == 401


def test_words_are_saved_as_they_are_typed(visit: Visit, server: Server):
    page = visit.page
    visit.open("/hotwords")
    page.get_by_role("button", name="New list").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Short name").fill("harbor")
    dialog.get_by_label("Words").fill("Kestrel Bridge, 5, en\n海拉尔\n")
    dialog.get_by_role("button", name="Save").click()
    card = page.get_by_role("article").filter(has_text="vocab-harbor")
    expect(card).to_contain_text("2 words")
    with server.http() as http:
        listed = {"action": "query_vocabulary", "vocabulary_id": card.get_by_role("heading").inner_text()}
        told = http.post("/api/v1/services/audio/asr/customization", json={"model": "speech-biasing", "input": listed})
    words = checked(told)["output"]["vocabulary"]
    assert words == [{"text": "Kestrel Bridge", "weight": 5, "lang": "en"}, {"text": "海拉尔", "weight": 4}]
    card.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Words").fill("x, 77")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("its weight was 77")
    until(page, lambda: visit.problems)  # the refusal stands in the console
    visit.problems.clear()
    dialog.get_by_role("button", name="Cancel").click()

    visit.open("/sensitive-words")
    page.get_by_label("Left out").fill("开始\n测试\n开始")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The list is saved.")).to_be_visible()
    with server.http() as http:
        assert checked(http.get(f"{V1}/sensitive-words"))["removed"] == ["开始", "测试"]


def test_callbacks_are_added_tested_and_seen(visit: Visit):
    page = visit.page
    visit.open("/callbacks")
    page.get_by_role("button", name="New target").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("http://127.0.0.1:9/asr-done")
    dialog.get_by_label("Failed").check()
    dialog.get_by_role("button", name="Save").click()
    card = page.get_by_role("article").filter(has_text="http://127.0.0.1:9/asr-done")
    expect(card).to_contain_text("Failed")
    card.get_by_role("button", name="Send a test").click()
    row = page.get_by_role("row").filter(has_text="http://127.0.0.1:9/asr-done")
    expect(row).to_contain_text("Test")
    expect(row).to_contain_text(re.compile("Dropped|Given up"), timeout=30_000)
    row.get_by_role("button", name="Message").click()
    event = json.loads(page.get_by_role("dialog").locator("pre").first.inner_text())
    assert event["type"] == "dashscribe:System:CallbackTest"


def test_everything_can_be_done_with_keys_alone(visit: Visit):
    page = visit.page
    visit.open("/queue")
    page.reload()
    page.locator("main h1").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    names: list[str] = []
    while page.evaluate("document.activeElement !== document.body"):
        names.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent").strip())
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"one does not see where one is: {names[-1]}"
        assert len(names) < 40, "the last element leads back to the browser"
        page.keyboard.press("Tab")
    assert {"Library", "New transcription", "Hotwords", "Queue", "Sign out"} <= set(names)
    page.get_by_role("link", name="Hotwords").press("Enter")
    expect(page.get_by_role("heading", name="Hotwords")).to_be_focused()
    page.get_by_role("button", name="New list").first.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="New list").first).to_be_focused()
