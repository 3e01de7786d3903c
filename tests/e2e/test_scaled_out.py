"""Several servers and workers on one PostgreSQL: work is spread, taken over, handed back, and nothing is done twice."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kill_harness import KEY, Server, Site, Sources
from plain_http import loopback
from postgres import Cluster


@pytest.fixture
def sources(sample: Path) -> Iterator[Sources]:
    with Sources(sample).open() as opened:
        yield opened


@pytest.fixture
def site(tmp_path: Path, cluster: Cluster) -> Iterator[Site]:
    slow = {"DASHSCRIBE_STANDIN_DELAY_MS": "40"}
    with Site(tmp_path / "site", cluster.new_database(), servers=2, workers=2, **slow).open() as opened:
        yield opened


def alone(folder: Path, urls: list[str]) -> list:
    """The results of one server on SQLite."""
    server = Server(folder)
    server.start()
    server.wait_ready()
    task_id = server.submit(urls, "alone")
    results = server.results(server.wait([task_id], 60)[task_id])
    server.stop()
    return results


def windows_done_by(cluster: Cluster, site: Site) -> Counter[str]:
    """How many windows each worker has claimed last."""
    url = site.front.settings["DASHSCRIBE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        return Counter(row[0] for row in connection.execute("SELECT worker FROM windows").fetchall())


def wait_until(condition, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_windows_of_one_file_are_spread_and_any_server_answers(
    site: Site, sources: Sources, cluster: Cluster, tmp_path: Path
) -> None:
    url = sources.add("long.wav", 300.0)
    task_id = site.servers[0].submit([url], "k")
    seen: Counter[str] = Counter()

    def is_done() -> bool:
        seen.update(windows_done_by(cluster, site))
        return site.servers[1].query(task_id)["output"]["task_status"] == "SUCCEEDED"

    wait_until(is_done)
    assert len(seen - Counter({"": 10**6})) == 2, seen
    expected = alone(tmp_path / "alone", [url])
    for server in site.servers:
        assert server.results(server.query(task_id)) == expected
    heard = site.front.heard()
    assert len(heard) == len(set(heard))
    # The same key at another server is the same task.
    assert site.servers[1].submit([url], "k") == task_id


def test_work_of_a_dead_worker_is_taken_over(site: Site, sources: Sources, tmp_path: Path) -> None:
    urls = [sources.add("a.wav", 240.0), sources.add("b.wav", 20.0)]
    task_id = site.front.submit(urls, "k")
    wait_until(lambda: len(site.front.heard()) >= 3)
    victim, other = site.workers
    complete = site.front.complete(sources, {(task_id, n): url for n, url in enumerate(urls)})
    seen = len(site.front.heard())
    victim.kill()
    answer = site.front.wait([task_id], 60)[task_id]
    assert other.process is not None
    assert other.process.poll() is None
    assert site.front.results(answer) == alone(tmp_path / "alone", urls)
    assert not complete & set(site.front.heard()[seen:])


def test_worker_that_is_asked_to_stop_hands_its_windows_back(site: Site, sources: Sources, tmp_path: Path) -> None:
    url = sources.add("a.wav", 240.0)
    task_id = site.front.submit([url], "k")
    wait_until(lambda: len(site.front.heard()) >= 3)
    site.workers[0].stop()
    began = time.monotonic()
    answer = site.front.wait([task_id], 60)[task_id]
    assert site.front.results(answer) == alone(tmp_path / "alone", [url])
    assert time.monotonic() - began < 60
    with psycopg.connect(site.front.settings["DASHSCRIBE_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT sum(interrupted) FROM files").fetchone() == (0,)


def test_worker_that_was_paused_for_longer_than_its_lease_spoils_nothing(
    site: Site, sources: Sources, tmp_path: Path
) -> None:
    url = sources.add("a.wav", 120.0)
    task_id = site.front.submit([url], "k")
    wait_until(lambda: len(site.front.heard()) >= 2)
    sleeper = site.workers[0].process
    assert sleeper is not None
    sleeper.send_signal(signal.SIGSTOP)
    try:
        answer = site.front.wait([task_id], 60)[task_id]
    finally:
        sleeper.send_signal(signal.SIGCONT)
    first = site.front.results(answer)
    time.sleep(1.0)  # what it writes now comes too late
    assert site.front.results(site.front.query(task_id)) == first == alone(tmp_path / "alone", [url])
    site.workers[1].stop()
    again = site.front.submit([sources.add("c.wav", 5.0)], "k2")
    site.front.wait([again], 60)  # it is one of the workers again


def test_worker_tells_its_health(site: Site) -> None:
    base = f"http://127.0.0.1:{site.workers[0].port}"
    assert loopback.get(f"{base}/healthz").status_code == 200
    assert loopback.get(f"{base}/readyz", timeout=30).json()["status"] == "ready"
    assert "dashscribe_" in loopback.get(f"{base}/metrics").text
    refused = loopback.get(f"{base}/api/v1/tasks", headers={"Authorization": f"Bearer {KEY}"})
    assert refused.status_code == 404
