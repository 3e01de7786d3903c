"""Several inputs at once: each in a thread of its own, what happens to them as one stream of events.

The main thread reads the events and alone writes to the terminal and to files, so that Ctrl-C finds nothing half done.
How many recognitions run at once is bounded in ``Hosts``; the threads here only keep its slots busy.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from dashscribe import pipeline
from dashscribe.cli.sources import Source, opened
from dashscribe.config import Settings
from dashscribe.hosts import Hosts
from dashscribe.pipeline import Progress
from dashscribe.types import Options, Sentence, Transcript


@dataclass(frozen=True, slots=True)
class Copied:
    """So many bytes of a download or pipe have come; ``total_bytes`` is None where nobody knows."""

    index: int
    received_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class Moved:
    """Recognition came further."""

    index: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Said:
    """The next sentence of an input; several channels, and speakers, come with the end."""

    index: int
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Ended:
    """An input is through after ``elapsed_s``: its transcript, or what was wrong with it."""

    index: int
    result: Transcript | Exception
    elapsed_s: float


Event = Copied | Moved | Said | Ended


class _StoppedError(Exception):
    """The program is ending: whoever notices stops where it is."""


class Batch:
    """The work on ``sources``; ``options.channels`` empty means all channels of each. ``folder`` takes copies."""

    def __init__(
        self, sources: Sequence[Source], options: Options, *, settings: Settings, hosts: Hosts, folder: Path
    ) -> None:
        self._sources, self._options = sources, options
        self._settings, self._hosts, self._folder = settings, hosts, folder
        self._waiting = deque(range(len(sources)))
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._stopped = threading.Event()

    def events(self) -> Generator[Event]:
        """Start the work and yield what happens; closing the iterator stops all of it without waiting."""
        # One input more than there are slots, so that one is fetched and cut while the others are recognized.
        for number in range(min(self._hosts.slots + 1, len(self._sources))):
            threading.Thread(target=self._work, name=f"input-{number}", daemon=True).start()
        running = len(self._sources)
        try:
            while running:
                event = self._events.get()
                running -= isinstance(event, Ended)
                yield event
        finally:
            self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                index = self._waiting.popleft()
            except IndexError:
                return
            began_s = time.monotonic()
            try:
                result = self._transcribe(index)
            except _StoppedError:
                return
            except Exception as error:  # one input that fails must not take the others along
                result = error
            self._events.put(Ended(index, result, time.monotonic() - began_s))

    def _transcribe(self, index: int) -> Transcript:
        source = self._sources[index]

        def on_bytes(received: int, total: int | None) -> None:
            self._put(Copied(index, received, total))

        with opened(source, self._settings, self._folder, on_bytes) as path:
            options, notes = pipeline.settle_channels(self._options, path, source.label, self._hosts)
            streams = len(options.channels) == 1 and not options.diarize
            transcript = pipeline.transcribe(
                path,
                options,
                settings=self._settings,
                hosts=self._hosts,
                on_progress=lambda progress: self._put(Moved(index, progress)),
                notes=notes,
                on_sentence=(lambda _, said: self._put(Said(index, said))) if streams else None,
            )
        return replace(transcript, media=replace(transcript.media, url=source.label))

    def _put(self, event: Event) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        self._events.put(event)
