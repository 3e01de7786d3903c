"""Several servers and workers on one PostgreSQL: work is spread, taken over, handed back, and nothing is done twice."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from calm import Calm
from kill_harness import KEY, Plan, Site, Sources
from plain_http import loopback
from postgres import Cluster
from repetitions import Repetitions


@pytest.fixture(scope="module")
def sources(sample: Path) -> Iterator[Sources]:
    with Sources(sample).open() as opened:
        yield opened


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Site]:
    slow = {"DASHSCRIBE_STANDIN_DELAY_MS": "40"}
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, cluster.new_database(), servers=2, workers=2, **slow).open() as opened:
        yield opened


@pytest.fixture
def site(running: Site) -> Site:
    """One for all tests; what the test before has ended is up again."""
    ended = [process for process in (*running.servers, *running.workers) if not process.is_up]
    for process in ended:
        process.start()
    for process in ended:
        process.wait_ready()
    return running


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    server = Calm(tmp_path_factory.mktemp("calm") / "home")
    yield server
    server.stop()


def alone(calm: Calm, sources: Sources, *urls: str) -> list:
    """The results of one server on SQLite."""
    return calm.outcomes(Plan(sources, random.Random(), {"alone": list(urls)}))["alone"]


def windows_done_by(cluster: Cluster, site: Site) -> Counter[str]:
    """How many windows each worker has claimed last."""
    url = site.front.settings["DASHSCRIBE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        return Counter(row[0] for row in connection.execute("SELECT worker FROM windows").fetchall())


def wait_until(condition, seconds: float = 240.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_windows_of_one_file_are_spread_and_any_server_answers(
    site: Site, sources: Sources, cluster: Cluster, calm: Calm
) -> None:
    url = sources.add("spread.wav", 300.0)
    before = len(site.front.heard())
    task_id = site.servers[0].submit([url], "spread")
    seen: Counter[str] = Counter()

    def is_done() -> bool:
        seen.update(windows_done_by(cluster, site))
        return site.servers[1].query(task_id)["output"]["task_status"] == "SUCCEEDED"

    wait_until(is_done)
    assert len(seen - Counter({"": 10**6})) == 2, seen
    expected = alone(calm, sources, url)
    for server in site.servers:
        assert server.results(server.query(task_id)) == expected
    heard = site.front.heard()[before:]
    assert len(heard) == len(set(heard)) > 0
    # The same key at another server is the same task.
    assert site.servers[1].submit([url], "spread") == task_id


def test_work_of_a_dead_worker_is_taken_over(site: Site, sources: Sources, calm: Calm) -> None:
    urls = [sources.add("dead-a.wav", 200.0), sources.add("dead-b.wav", 20.0)]
    task_id = site.front.submit(urls, "dead")
    files = {(task_id, n): url for n, url in enumerate(urls)}
    wait_until(lambda: site.front.complete(sources, files))
    victim, other = site.workers
    repetitions = Repetitions(site.front, sources)
    repetitions.note(files)
    victim.kill()
    answer = site.front.wait([task_id], 60)[task_id]  # taken over and done within a minute
    assert other.process is not None
    assert other.process.poll() is None
    assert site.front.results(answer) == alone(calm, sources, *urls)
    repetitions.note(files)
    assert not repetitions.found


def test_worker_that_is_asked_to_stop_hands_its_windows_back(site: Site, sources: Sources, calm: Calm) -> None:
    url = sources.add("stopped.wav", 200.0)
    before = len(site.front.heard())
    task_id = site.front.submit([url], "stopped")
    wait_until(lambda: len(site.front.heard()) >= before + 3)
    site.workers[0].stop()
    answer = site.front.wait([task_id], 60)[task_id]
    assert site.front.results(answer) == alone(calm, sources, url)
    with psycopg.connect(site.front.settings["DASHSCRIBE_DATABASE_URL"]) as connection:
        query = "SELECT sum(interrupted) FROM files WHERE task_id = %s"
        assert connection.execute(query, [task_id]).fetchone() == (0,)


def test_worker_that_was_paused_for_longer_than_its_lease_spoils_nothing(
    site: Site, sources: Sources, calm: Calm
) -> None:
    url = sources.add("paused.wav", 120.0)
    before = len(site.front.heard())
    task_id = site.front.submit([url], "paused")
    wait_until(lambda: len(site.front.heard()) >= before + 2)
    sleeper = site.workers[0].process
    assert sleeper is not None
    sleeper.send_signal(signal.SIGSTOP)
    try:
        answer = site.front.wait([task_id], 240)[task_id]
    finally:
        sleeper.send_signal(signal.SIGCONT)
    first = site.front.results(answer)
    time.sleep(1.0)  # what it writes now comes too late
    assert site.front.results(site.front.query(task_id)) == first == alone(calm, sources, url)
    site.workers[1].stop()
    again = site.front.submit([sources.add("again.wav", 5.0)], "again")
    site.front.wait([again], 240)  # it is one of the workers again


def test_worker_tells_its_health(site: Site) -> None:
    base = f"http://127.0.0.1:{site.workers[0].port}"
    assert loopback.get(f"{base}/healthz").status_code == 200
    assert loopback.get(f"{base}/readyz", timeout=30).json()["status"] == "ready"
    assert "dashscribe_" in loopback.get(f"{base}/metrics").text
    refused = loopback.get(f"{base}/api/v1/tasks", headers={"Authorization": f"Bearer {KEY}"})
    assert refused.status_code == 404
