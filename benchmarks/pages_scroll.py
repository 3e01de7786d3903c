"""How smoothly the page of a three-hour recording scrolls: the time between frames, with the processor slowed down.

    python benchmarks/pages_scroll.py [--sentences 2500] [--words 12] [--slowdown 4]

Opens the page in a headless Chromium with a made transcript (no server), turns the wheel from top to bottom and back,
drags to places far apart, and plays with the text following. Chromium slows its main thread by ``--slowdown``. A frame
counts by the time since the one before it; the page itself measures, with requestAnimationFrame and with the long tasks
that the browser reports.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

from common import machine, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))

from browsing import open_browser
from fake_recordings import ID, ORIGIN, Fake, sentence, silence, transcript_of

WATCH = """() => {
  window.frames = []; window.long = [];
  const tasks = new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration)));
  tasks.observe({ type: 'longtask' });
  let before = performance.now();
  const look = (now) => { window.frames.push(now - before); before = now; requestAnimationFrame(look); };
  requestAnimationFrame(look);
}"""
COMMON = ("the", "a", "of", "and", "to", "in", "we", "you", "that", "was", "for", "they", "have", "this", "what")


def made(sentences: int, words: int) -> dict[str, Any]:
    """A transcript of sentences of a few seconds, three speakers, some words uncertain."""
    chance = random.Random(7)
    made: list[dict[str, Any]] = []
    for number in range(sentences):
        length = chance.randint(words // 2, words + words // 2)
        text = " ".join(chance.choice(COMMON) for _ in range(length)).capitalize() + "."
        begin_ms = number * 4300
        made.append(sentence(number, text, begin_ms, begin_ms + 4000, speaker=number // 3 % 3))
        for word in made[-1]["words"]:
            word["confidence"] = round(chance.random(), 2)
    return transcript_of(made, sentences * 4300)


def figures(page: Any) -> tuple[int, float, float, int, float]:
    """Frames, their 99th percentile and the longest in ms, tasks above 50 ms and the longest, since the last time."""
    frames = sorted(page.evaluate("frames.splice(0)"))
    long = page.evaluate("long.splice(0)")
    return len(frames), frames[int(len(frames) * 0.99)], frames[-1], len(long), max(long, default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=2500)
    parser.add_argument("--words", type=int, default=12)
    parser.add_argument("--slowdown", type=float, default=4)
    asked = parser.parse_args()
    transcript = made(asked.sentences, asked.words)
    count = sum(len(one["words"]) for one in transcript["sentences"])
    fake = Fake(sound=silence(60))
    fake.add(transcript)
    rows: list[tuple[object, ...]] = []
    with open_browser() as browser:
        page: Any = browser.new_page(viewport={"width": 1280, "height": 800})
        fake.install(page)
        page.goto(f"{ORIGIN}/#/recordings/{ID}")
        page.locator(".line.sentence").first.wait_for()
        page.wait_for_timeout(1000)
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": asked.slowdown})
        page.evaluate(WATCH)
        page.wait_for_timeout(1000)

        def note(what: str) -> None:
            frames, most, longest, tasks, task = figures(page)
            rows.append((what, frames, f"{most:.0f} ms", f"{longest:.0f} ms", tasks, f"{task:.0f} ms"))

        note("nothing happens")
        page.locator(".scroller").hover()
        for turn in (240, -240):
            for _ in range(120):
                page.mouse.wheel(0, turn)
                page.wait_for_timeout(16)
            note("wheel down" if turn > 0 else "wheel up")
        page.evaluate(
            """() => new Promise((done) => {
              const scroller = document.querySelector('.scroller');
              const height = scroller.scrollHeight;
              let step = 0;
              const go = () => {
                scroller.scrollTop = (step % 2 ? step : 100 - step) / 100 * height;
                step += 1;
                if (step <= 100) requestAnimationFrame(go); else done();
              };
              go();
            })"""
        )
        note("from end to end, a jump a frame")
        page.get_by_role("button", name="Follow", exact=True).click()
        page.keyboard.press("Home")
        page.get_by_role("button", name="Play from 0:00").click()
        page.keyboard.press("k")
        page.wait_for_timeout(8000)
        note("playing and following")
        page.keyboard.press("k")
        page.locator(".scroller").focus()
        page.keyboard.press("Enter")
        page.keyboard.type("typed words and more words ", delay=30)
        page.wait_for_timeout(2500)
        note("typing and saving")
    print(f"{asked.sentences} sentences, {count} words, processor slowed {asked.slowdown:g} times; {machine()}")
    print(table(("what", "frames", "99 % below", "longest", "tasks > 50 ms", "longest task"), rows))


if __name__ == "__main__":
    main()
