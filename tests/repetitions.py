"""Whether anything is recognized again that was complete."""

from __future__ import annotations

from collections.abc import Mapping

from kill_harness import Heard, Server, Sources


class Repetitions:
    """What of the work of a server, or of all on its store, is begun although it was complete, seen again and again.

    Whoever took a window over may be in the middle of it when a result comes that was on its way: what it does then
    is no repetition, and nothing that begins while one looks is taken for one.
    """

    def __init__(self, server: Server, sources: Sources) -> None:
        self._server, self._sources = server, sources
        self.complete: dict[Heard, frozenset[Heard]] = {}
        self.found: set[Heard] = set()
        self._judged = 0  # lines of the log
        self._last: dict[int, tuple[Heard, bool]] = {}  # by process, and whether it was in time

    def note(self, urls: dict[tuple[str, int], str]) -> None:
        """Judge what has begun since the last time, and look what is complete now; ``urls`` by task and file."""
        self._judge(self.complete)
        for heard, window in self._server.complete(self._sources, urls).items():
            if len(window) > 1 or heard not in self.complete:  # it keeps its company when its file has ended
                self.complete[heard] = window
        self._judge({})

    def _judge(self, complete: Mapping[Heard, frozenset[Heard]]) -> None:
        begun = self._server.begun()
        for process, heard in begun[self._judged :]:
            before, was_in_time = self._last.get(process, (heard, False))
            goes_on = was_in_time and before in complete.get(heard, ()) and before[1] < heard[1]
            if heard in complete and not goes_on:
                self.found.add(heard)
            self._last[process] = heard, heard not in complete or goes_on
        self._judged = len(begun)
