"""How much there is to do, of one owner and of all, on both databases."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from durable import Home, cut_by_hand, shorten_waits, speech

from dashscribe import windows
from dashscribe.queue.overview import overview

A, B = "http://x/a", "http://x/b"


def test_overview_tells_loads_engines_and_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    home = Home(tmp_path, {A: speech(3), B: speech(1)})
    cut_by_hand(home, A, owner="alice")
    home.submit(B)
    assert windows.claim(home.engine) is not None
    found = overview(home.engine, home.settings, "alice")
    assert (found.own.waiting, found.own.running, found.own.speech_ms_waiting) == (0, 1, 90_000)
    assert found.own.oldest_wait_ms is None
    assert (found.everybody.waiting, found.everybody.running) == (1, 1)
    assert found.everybody.oldest_wait_ms is not None
    (engine,) = found.engines
    assert (engine.engine, engine.waiting, engine.running) == ("standin", 2, 1)


def test_workers_tell_how_busy_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    home = Home(tmp_path, {A: speech(1)})
    inside, go_on = threading.Event(), threading.Event()

    def wait(sound: str) -> None:
        inside.set()
        go_on.wait(20)

    home.hosts.on_recognize = wait
    task = home.submit(A)
    home.worker.start()
    home.worker.wake()
    assert inside.wait(20)
    until = time.monotonic() + 20
    while True:  # the slot that cut the file is busy for a moment longer
        (worker,) = overview(home.engine, home.settings, "default").workers
        if worker.busy == 1 or time.monotonic() > until:
            break
        time.sleep(0.02)
    assert (worker.busy, worker.slots) == (1, 2)
    assert "standin" in worker.engines
    go_on.set()
    home.wait(task)
