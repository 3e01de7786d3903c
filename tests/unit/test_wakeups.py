"""Wake-ups between two processes of one database are heard; nothing else would tell, for the sweep comes soon after."""

import queue

import pytest

from dashscribe.db import open_database
from dashscribe.queue.wakeups import Wakeups
from postgres import Cluster


def test_a_wake_up_is_heard(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_database(cluster.new_database())
    heard: queue.Queue[str] = queue.Queue()
    listener, sender = Wakeups(engine, "worker", heard.put), Wakeups(engine, "server")
    listener.start()
    sender.start()
    try:
        word = ""
        for _ in range(150):  # what was sent before it listened is lost, and may be
            sender.ring("fetch")
            try:
                word = heard.get(timeout=0.2)
                break
            except queue.Empty:
                continue
        assert word == "fetch"
        assert "not heard" not in caplog.text
    finally:
        sender.stop()
        listener.stop()
        engine.dispose()
