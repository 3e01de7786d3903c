"""Children that last from one command to the next, for test files that run many commands in this process.

A command that transcribes half a second of sound takes 0.04 s, and a whole second to start the children for it. Here
they are put aside when the command's ``Pool`` is closed, and the next command that wants the like goes on with them.
Nothing is proved by that of how children end: that a command leaves none behind is asserted with real processes
(``test_transcribe_cli``, ``test_watch_cli``), of ``Hosts`` in ``test_hosts`` and of the library in
``test_python_library``, none of which meet what is put aside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashscribe.hosts import Pool
from dashscribe.hosts.parent import Host, Kind, _environment  # pyright: ignore[reportPrivateUsage]

#: Engines that do nothing with the settings they are opened with; no other child without a model reads them either.
PLAIN_ENGINES = ("", "pocketsphinx", "standin")
#: Most children that are put aside; one of the embedded engine holds 100 MB.
MOST = 8

Likeness = tuple[Kind, Path, tuple[tuple[str, str], ...]]


def _likeness(kind: Kind) -> Likeness:
    """What a new child of that kind would be given now: one that was given the same stands in for it.

    Of our own variables it heeds those of the stand-in engine only; settings reach it in a message.
    """
    heeded = (
        (name, value)
        for name, value in _environment(kind).items()
        if name != "PYTEST_CURRENT_TEST" and (name.startswith("DASHSCRIBE_STANDIN_") or not name.startswith("DASHSC"))
    )
    return kind, Path.cwd(), tuple(sorted(heeded))


def _may_last(host: Host) -> bool:
    """Whether a child would serve other settings as well: it has no model and no secret, and reads no settings."""
    kind = host.kind
    bound = (kind.models, kind.weights, kind.annotator, kind.tagger, kind.secret)
    return kind.engine in PLAIN_ENGINES and not any(bound) and host.alive


class Shelf:
    """Where children lie between two commands, those put there last on top. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[tuple[Likeness, Host]] = []
        self._given: dict[Host, Likeness] = {}
        self._most = MOST

    def note(self, host: Host) -> None:
        """Remember what a child was given, if it has just been started."""
        if host not in self._given:
            self._given[host] = _likeness(host.kind)

    def put(self, host: Host) -> None:
        """Put one aside; where there are too many, the one that was not wanted for longest is ended."""
        with self._lock:
            self._children.append((self._given[host], host))
        self._end_surplus()

    def take(self, kind: Kind) -> Host | None:
        """One of that kind that was given what a new one would be given now."""
        wanted = _likeness(kind)
        with self._lock:
            for at in reversed(range(len(self._children))):
                if self._children[at][0] == wanted:
                    return self._children.pop(at)[1]
        return None

    def close(self) -> None:
        """End all that lie here, and whatever is put here from now on."""
        self._most = 0
        self._end_surplus()

    def _end_surplus(self) -> None:
        with self._lock:
            count = max(0, len(self._children) - self._most)
            surplus, self._children = self._children[:count], self._children[count:]
        for _, host in surplus:
            host.end()


@pytest.fixture(scope="module")
def lasting_children() -> Iterator[None]:
    """The children of each command that is run in this process serve the next one; all end with the file."""
    shelf = Shelf()

    class Lasting(Pool):
        def _resting_of(self, kind: Kind) -> Host | None:
            host = super()._resting_of(kind) or shelf.take(kind)
            if host is not None:
                with self._changed:
                    self._busy.add(host)
            return host

        def _take(self, kind: Kind, stop: threading.Event | None) -> Host:
            host = super()._take(kind, stop)
            shelf.note(host)
            return host

        def close(self) -> None:
            with self._changed:
                kept = [rest for rest in self._resting if _may_last(rest.host)]
                self._resting = [rest for rest in self._resting if rest not in kept]
            super().close()
            for rest in kept:
                shelf.put(rest.host)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashscribe.hosts.Pool", Lasting)
        yield
    shelf.close()
