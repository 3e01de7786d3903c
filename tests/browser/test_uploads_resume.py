"""An upload outlives a reload of its page and the death of the server, and becomes one recording."""

from __future__ import annotations

import signal
import wave
from pathlib import Path

import numpy as np
from browsing import visiting
from playwright.sync_api import Browser, Page, expect
from wire_servers import poll, start_server, stop_server

from ports import free_port

#: What the line lets through while it is slow, in bytes per second.
SLOW = 300_000
#: The same while nothing is to go on.
HARDLY = 30_000

#: Whether it is kept that a recording is to be transcribed; waits for what is being written.
ORDERED = """() => new Promise((told) => {
  const asking = indexedDB.open('dashscribe', 1);
  asking.onsuccess = () => {
    const all = asking.result.transaction(['uploads']).objectStore('uploads').getAll();
    all.onsuccess = () => { asking.result.close(); told(all.result.some(({ order }) => order)); };
  };
})"""


def write_recording(path: Path, seconds: int) -> None:
    """Noise that comes and goes, as WAV."""
    draws = np.random.default_rng(7)
    samples = draws.integers(-9000, 9000, seconds * 16_000, dtype=np.int16)
    samples[::2] //= 3
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())


def set_line(page: Page, bytes_per_s: int) -> None:
    """Make the browser's line slow, or -1: as it is."""
    devtools = page.context.new_cdp_session(page)
    how = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s}
    devtools.send("Network.emulateNetworkConditions", how)


def sent(page: Page) -> float:
    """How much of the file is said to be sent, 0 to 1."""
    bar = page.get_by_role("progressbar", name="Upload of")
    return float(bar.evaluate("bar => bar.value / bar.max")) if bar.count() else 0.0


def wait_until_sent(page: Page, share: float) -> None:
    page.wait_for_function(
        "share => { const bar = document.querySelector('progress'); return bar && bar.value / bar.max >= share; }",
        arg=share,
    )


def test_upload_goes_on_after_a_reload_and_a_killed_server(browser: Browser, tmp_path: Path):
    file = tmp_path / "long talk.wav"
    write_recording(file, 120)
    port = free_port()
    server = start_server(tmp_path / "home", port=port)
    with visiting(browser, server.url, server.key) as visit:
        page = visit.page
        visit.open("/new")
        set_line(page, SLOW)
        page.locator("input[type=file]").set_input_files(file)
        wait_until_sent(page, 0.2)
        set_line(page, HARDLY)  # so that it is not done before it is reloaded, killed
        page.get_by_role("button", name="Transcribe 1 recording").click()
        assert page.evaluate(ORDERED)
        page.reload()
        set_line(page, SLOW)
        wait_until_sent(page, 0.3)
        set_line(page, HARDLY)
        assert sent(page) >= 0.3, "it went on where it was"

        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server = start_server(tmp_path / "home", port=port)
        set_line(page, -1)
        page.get_by_role("link", name="long talk.wav").wait_for(timeout=60_000)
        expect(page.locator(".uploads .note.bad")).to_have_count(0)
        visit.problems.clear()  # that the server was away stands in the console
        with server.http() as http:
            listed = http.get("/dashscribe/v1/recordings").json()
            assert [one["title"] for one in listed["recordings"]] == ["long talk.wav"]
            task_id = listed["recordings"][0]["task_id"]
            done = poll(lambda: http.get(f"/api/v1/tasks/{task_id}").json())
            assert done["output"]["results"][0]["subtask_status"] == "SUCCEEDED"
            recording = http.get(f"/dashscribe/v1/recordings/{task_id}.0").json()
            assert recording["duration_ms"] == 120_000, "no byte is lost or sent twice"
    stop_server(server)
