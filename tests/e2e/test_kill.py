"""kill -9 at any moment: nothing that was accepted is lost, nothing that was recognized is recognized again.

``KILLS`` lengthens the run, ``KILL_SEED`` repeats one.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from calm import Calm
from kill_harness import Plan, Server, Sources
from repetitions import Repetitions

KILLS = int(os.environ.get("KILLS", "7"))
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


@pytest.fixture
def plan(sample: Path) -> Iterator[Plan]:
    print(f"KILL_SEED={SEED} KILLS={KILLS}")  # noqa: T201 (pytest shows it when a test fails)
    with Sources(sample).open() as sources:
        yield Plan(sources, random.Random(SEED))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    """A server to which nothing happens, for all these tests."""
    server = Calm(tmp_path_factory.mktemp("undisturbed") / "home")
    yield server
    server.stop()


class Killing:
    """A server that is killed at random moments while tasks are submitted to it."""

    def __init__(self, server: Server, plan: Plan) -> None:
        self.server, self.plan = server, plan
        self.ids: dict[str, str] = {}
        self.repetitions = Repetitions(server, plan.sources)

    def round(self, keys: list[str], up_s: float, *, wait_ready: bool = True, pieces: int = 0) -> None:
        """Start, submit, wait for so many pieces of sound and some time more, kill.

        Notes what was recognized though its result was there already.
        """
        seen = len(self.server.heard())
        self.server.start()
        if wait_ready or keys:
            self.server.wait_ready()
        for key in keys:
            self.ids[key] = self.server.submit(self.plan.tasks[key], key)
        until = time.monotonic() + 10.0  # all may be done already
        while len(self.server.heard()) < seen + pieces and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(up_s)
        self.server.kill()
        self.repetitions.note(self.urls)

    @property
    def urls(self) -> dict[tuple[str, int], str]:
        """The URL of each file by task id and number."""
        return {
            (task_id, number): url
            for key, task_id in self.ids.items()
            for number, url in enumerate(self.plan.tasks[key])
        }

    def finish(self, seconds: float) -> dict[str, list]:
        """Let the server end its work: the results of every task."""
        self.server.start()
        self.server.wait_ready()
        for key, task_id in self.ids.items():  # a client that never saw the answer asks again and gets the same task
            assert self.server.submit(self.plan.tasks[key], key) == task_id
        answers = self.server.wait(list(self.ids.values()), seconds)
        results = {key: self.server.results(answers[task_id]) for key, task_id in self.ids.items()}
        self.repetitions.note(self.urls)
        self.server.stop()
        return results


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_done_twice_when_the_server_is_killed_again_and_again(
    tmp_path: Path, plan: Plan, calm: Calm
) -> None:
    dice = plan.random
    rounds: dict[int, list[str]] = {}
    for number in range(0, KILLS - 2, 2):
        kind = number // 2 % 5
        if kind == 0 and number % 20 == 0:
            key = plan.draw(max(KILLS, 20), (1.0, 3.0))
        elif kind in (1, 3):
            key = plan.draw(3, (10.0, 90.0), gone=dice.random() < 0.5)
        else:
            key = plan.draw(1, (60.0, 240.0))
        rounds[number] = [key]
    expected = calm.outcomes(plan)
    killing = Killing(Server(tmp_path / "killed", delay_ms=20), plan)
    for number in range(KILLS):
        keys = rounds.get(number, [])
        if not keys and dice.random() < 0.3:
            killing.round([], dice.uniform(0.0, 1.5), wait_ready=False)  # while it starts
        elif number % 3:
            killing.round(keys, dice.uniform(0.0, 0.5), pieces=dice.randrange(1, 20))
        else:
            killing.round(keys, dice.uniform(0.0, 2.0))
    assert set(killing.ids) == set(plan.tasks)
    results = killing.finish(240)
    for key in plan.tasks:
        for url, got, wanted in zip(plan.tasks[key], results[key], expected[key], strict=True):
            assert got == wanted, url
    assert killing.repetitions.found == set()
    assert len(killing.repetitions.complete) > KILLS  # the kills came while there was work


@pytest.mark.slow
def test_nothing_is_lost_with_a_native_engine(tmp_path: Path, plan: Plan) -> None:
    in_full, short = ((1, (40.0, 60.0)), (3, (5.0, 12.0))), ((1, (15.0, 20.0)), (1, (4.0, 7.0)))
    for count, seconds in in_full if KILLS >= 100 else short:
        plan.draw(count, seconds)
    few = {} if KILLS >= 100 else {"DASHSCRIBE_WORKERS": "1"}  # each loads the engine anew
    native = Calm(tmp_path / "undisturbed", engine="pocketsphinx", **few)
    expected = native.outcomes(plan)
    native.stop()
    killing = Killing(Server(tmp_path / "killed", "pocketsphinx", settings=few), plan)
    killing.round(list(plan.tasks), plan.random.uniform(0.5, 3.0))
    for _ in range(min(4, 1 + KILLS // 10)):
        killing.round([], plan.random.uniform(1.0, 5.0))
    assert killing.finish(240) == expected


def test_task_is_kept_once_its_id_was_given_out(tmp_path: Path, plan: Plan, calm: Calm) -> None:
    """The server is killed in the very moment in which the answer has arrived."""
    keys = [plan.draw(1, (2.0, 3.0)) for _ in range(3)]
    expected = calm.outcomes(plan)
    killing = Killing(Server(tmp_path / "killed"), plan)
    for key in keys:
        killing.round([key], 0.0)
    assert killing.finish(240) == expected


@pytest.mark.slow
def test_submission_whose_answer_was_lost_is_made_once(tmp_path: Path, plan: Plan) -> None:
    """A client submits while the server is killed, and repeats with the same key what was not answered."""
    keys = [plan.draw(1, (1.0, 1.5)) for _ in range(60 if KILLS >= 100 else 40)]
    server = Server(tmp_path / "killed")
    ids: dict[str, str] = {}
    lost = 0

    def submit_all() -> None:
        nonlocal lost
        for key in keys:
            while key not in ids:
                try:
                    ids[key] = server.submit(plan.tasks[key], key)
                except httpx.TransportError:
                    lost += 1
                    time.sleep(0.01)

    server.start()
    server.wait_ready()
    client = threading.Thread(target=submit_all, daemon=True)
    client.start()
    for _ in range(3):
        time.sleep(plan.random.uniform(0.05, 0.3))
        server.kill()
        server.start()
        server.wait_ready()
    client.join(240)
    assert len(set(ids.values())) == len(keys)
    assert lost > 0
    assert server.count_tasks() == len(keys)
    server.wait(list(ids.values()), 240)
    server.stop()
