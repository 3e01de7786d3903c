"""A server that starts before its disk is mounted: it says so, waits, and goes on by itself."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from kill_harness import Server, Sources
from plain_http import loopback

PATIENCE_S = 120.0


def within(seconds: float, look: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_server_that_starts_before_its_disk_is_mounted_goes_on_when_it_is(tmp_path: Path, sample: Path) -> None:
    store = tmp_path / "disk" / "store"
    server = Server(tmp_path / "home", delay_ms=2000.0, settings={"DASHSCRIBE_STORE_URL": store.as_uri()})

    def log() -> str:
        return (server.home / "server.log").read_text()

    def ready() -> httpx.Response:
        return loopback.get(f"http://127.0.0.1:{server.port}/readyz", timeout=30.0)

    with Sources(sample).open() as sources:
        server.start()
        server.wait_ready()
        begun = server.submit([sources.add("begun.wav", 90.0)], "begun")
        within(PATIENCE_S, lambda: bool(server.heard()))
        server.kill()
        store.rename(tmp_path / "not mounted")
        store.mkdir()
        try:
            server.start()
            server.wait_ready()
            late = server.submit([sources.add("late.wav", 5.0)], "late")
            within(PATIENCE_S, lambda: log().count("waits for the machine: StoreError") >= 3)
            assert "work waits for the store: " in log()
            told = ready()
            assert told.status_code == 503
            assert f"{store} is not the store that this database knows" in told.json()["reasons"]["store"]
            states = {server.query(one)["output"]["task_status"] for one in (begun, late)}
            assert states <= {"PENDING", "RUNNING"}
            assert not [path for path in store.rglob("*") if path.is_file()]
            store.rmdir()
            (tmp_path / "not mounted").rename(store)
            answers = server.wait([begun, late], PATIENCE_S)
            assert all(isinstance(result, bytes) for answer in answers.values() for result in server.results(answer))
            within(PATIENCE_S, lambda: ready().status_code == 200)
        finally:
            server.kill()
