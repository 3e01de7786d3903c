"""kill -9 while a stage is done again: the old result answers until the new one is there, and nothing is lost."""

import os
import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from kill_harness import KEY, Server, Sources
from plain_http import loopback

SEED = random.SystemRandom().randrange(1, 10**9)


@pytest.fixture
def sources(sample: Path) -> Any:
    with Sources(sample).open() as opened:
        yield opened


def call(server: Server, method: str, path: str, **how: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}", "X-DashScope-Async": "enable"}
    url = f"http://127.0.0.1:{server.port}{path}"
    return loopback.request(method, url, headers=headers, timeout=30.0, **how).raise_for_status()


def settled(server: Server, task_id: str) -> None:
    """Wait until the stage has been done again."""
    until = time.monotonic() + 60
    while (redo := server.query(task_id)["dashscribe"]["redo"][0])["state"] != "SUCCEEDED":
        assert redo["state"] in ("PENDING", "RUNNING"), redo
        assert time.monotonic() < until, server.last_words()
        time.sleep(0.1)


def stored(server: Server) -> list[Path]:
    """What lies in the store of tasks."""
    walk = os.walk(server.home / "store" / "tasks")  # unlike rglob it goes on where a folder vanishes meanwhile
    return [Path(folder, name) for folder, _, names in walk for name in names]


def test_stage_that_is_killed_again_and_again_ends_as_if_undisturbed(tmp_path: Path, sources: Sources) -> None:
    dice = random.Random(SEED)
    print(f"SEED={SEED}")  # noqa: T201 (pytest shows it when a test fails)
    server = Server(tmp_path / "home")
    server.start()
    server.wait_ready()
    body = {
        "model": "fun-asr",
        "input": {"file_urls": [sources.add("long.wav", 300.0)]},
        "parameters": {"diarization_enabled": True, "speaker_count": 2},
    }
    task_id = call(server, "POST", "/api/v1/services/audio/asr/transcription", json=body).json()["output"]["task_id"]
    answer = server.wait([task_id], 120)[task_id]
    (wanted,) = server.results(answer)
    heard = len(server.heard())
    while any("windows" in path.parts for path in stored(server)):  # they go a moment after their task has ended
        time.sleep(0.05)
    cut_short = 0
    for _ in range(6):
        call(server, "POST", f"/dashscribe/v1/tasks/{task_id}/retry", json={"stage": "speakers"})
        time.sleep(dice.uniform(0.0, 1.5))
        server.kill()
        server.start()
        server.wait_ready()
        now = server.query(task_id)
        assert now["output"] | {"results": 0} == answer["output"] | {"results": 0}
        assert server.results(now) == [wanted]
        cut_short += now["dashscribe"]["redo"][0]["state"] != "SUCCEEDED"
    settled(server, task_id)
    assert cut_short > 0  # the kills came while there was work
    assert server.results(server.query(task_id)) == [wanted]
    # What a kill between the new result and the end of the old one has left goes with the next time.
    call(server, "POST", f"/dashscribe/v1/tasks/{task_id}/retry", json={"stage": "speakers"})
    settled(server, task_id)
    assert server.results(server.query(task_id)) == [wanted]
    assert len(server.heard()) == heard
    server.stop()
    left = sorted(path.name.split("-")[0] for path in stored(server))
    assert left == ["heard", "peaks.msgpack", "result", "source", "transcript"]
