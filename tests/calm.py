"""What the tests that disturb servers compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kill_harness import Plan, Server


class Calm:
    """A server to which nothing happens, for all the plans of a run: what it makes of their files is what is wanted."""

    def __init__(self, home: Path, engine: str = "standin", **settings: str) -> None:
        self._server = Server(home, engine, settings=settings)
        self._plans = 0

    def outcomes(self, plan: Plan) -> dict[str, list[Any]]:
        """What it makes of every task, as ``Server.outcomes``."""
        if not self._server.is_up:
            self._server.start()
            self._server.wait_ready()
        self._plans += 1  # each has its own task-0
        ids = {key: self._server.submit(urls, f"{self._plans}-{key}") for key, urls in plan.tasks.items()}
        answers = self._server.wait(list(ids.values()), 300)
        return {key: self._server.outcomes(answers[task_id]) for key, task_id in ids.items()}

    def stop(self) -> None:
        """Stop the server in good order, if it was needed."""
        if self._server.is_up:
            self._server.stop()
