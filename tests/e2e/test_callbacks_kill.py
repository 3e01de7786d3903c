"""kill -9 between the end of a task and its delivery: every event arrives, under one id, however often."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from kill_harness import KEY, Server, Sources
from ports import free_port

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from callback_consumer import Consumer, Received

from dashscribe.callbacks import verify
from plain_http import loopback


@pytest.fixture
def sources(sample: Path) -> Iterator[Sources]:
    with Sources(sample).open() as opened:
        yield opened


def call(server: Server, method: str, path: str, **how: object) -> dict:
    url = f"http://127.0.0.1:{server.port}/dashscribe/v1/callbacks/{path}"
    headers = {"Authorization": f"Bearer {KEY}"}
    return loopback.request(method, url, headers=headers, timeout=30, **how).raise_for_status().json()  # type: ignore[arg-type]


def wait_delivered(server: Server, count: int, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while True:
        states = [one["state"] for one in call(server, "GET", "deliveries?limit=100")["deliveries"]]
        if states == ["delivered"] * count:
            return
        assert time.monotonic() < until, (states, server.last_words())
        time.sleep(0.1)


def restart(server: Server) -> None:
    server.kill()
    server.start()
    server.wait_ready()


def test_event_is_not_lost_to_a_kill_before_while_or_after_it_is_sent(tmp_path: Path, sources: Sources) -> None:
    server, consumer, late = Server(tmp_path / "home"), Consumer(503, 200, port=free_port()), Consumer(port=free_port())
    server.start()
    server.wait_ready()
    call(server, "POST", "targets", json={"url": consumer.url, "policy": "EXPONENTIAL_DECAY_RETRY"})
    paused = call(server, "POST", "targets", json={"url": late.url, "paused": True})["id"]

    # Stored and not sent, for one target; refused and waiting for its next try, for the other.
    tasks = [server.submit([sources.add("0.wav", 0.5)], "key-0")]
    consumer.wait(1, 60)
    restart(server)
    assert late.received == []
    call(server, "PATCH", f"targets/{paused}", json={"paused": False})
    wait_delivered(server, 2)
    assert len(consumer.received) >= 2

    # Sent, not answered: the server dies with the event in a consumer's hands.
    victim, killed = server.process, threading.Event()
    assert victim is not None

    def kill(received: Received) -> None:
        consumer.on_event = lambda received: None
        victim.kill()
        killed.set()

    consumer.on_event = kill
    seen = len(consumer.received)
    tasks.append(server.submit([sources.add("1.wav", 5.0)], "key-1"))
    consumer.wait(seen + 1, 60)
    assert killed.wait(60)
    restart(server)
    wait_delivered(server, 4)
    assert len(consumer.received) >= seen + 2

    events: dict[str, set[str]] = defaultdict(set)
    for one in (*consumer.received, *late.received):
        events[one.event["data"]["task_id"]].add(one.id)
    assert {task: len(ids) for task, ids in events.items()} == dict.fromkeys(tasks, 1)
    assert all(one.event["data"]["task_status"] == "SUCCEEDED" for one in consumer.received)
    # What came last is signed so that the shipped verifier, with the server's own certificates, takes it.
    base = f"http://127.0.0.1:{server.port}"
    last = consumer.received[-1]
    proved = verify(consumer.url, last.headers, last.body, server=base)
    assert proved.task_id in tasks
    url = proved.body["data"]["output_result"]["output"]["results"][0]["transcription_url"]
    assert url.startswith(f"{base}/results/")
    assert loopback.get(url).json()["transcripts"]
    server.stop()
    consumer.close()
    late.close()
