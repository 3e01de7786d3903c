"""Several inputs at once: each in a thread of its own, what happens to them as one stream of events.

The main thread reads the events and alone writes to the terminal and to files, so that Ctrl-C finds nothing half done.
How many recognitions run at once is bounded in ``Hosts``; the threads here only keep its slots busy.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from dashscribe.cli.sources import Source
from dashscribe.cli.work import StoppedError, Work
from dashscribe.types import Progress, Sentence, Transcript


@dataclass(frozen=True, slots=True)
class Copied:
    """So many bytes of a download, an upload or a pipe are through; ``total_bytes`` is None where nobody knows."""

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


class Batch:
    """The work on ``sources``, to which more may be added; all but ``close`` is for the main thread."""

    def __init__(self, work: Work, sources: Iterable[Source] = ()) -> None:
        """Begin with the sources."""
        self.sources: list[Source] = []
        #: How many have not ended, as far as events were taken.
        self.open = 0
        self._work = work
        self._waiting: deque[int] = deque()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()  # of the two above, which the threads share
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._stopped = work.stopped
        for source in sources:
            self.add(source)

    def add(self, source: Source) -> int:
        """One more source: its index in all events."""
        index = len(self.sources)
        self.sources.append(source)
        self.open += 1
        with self._lock:
            self._waiting.append(index)
            if len(self._threads) < self._work.at_once:
                thread = threading.Thread(target=self._run, name=f"input-{index}", daemon=True)
                self._threads.add(thread)
                thread.start()
        return index

    def events(self) -> Iterator[Event]:
        """What happens, until every source has ended."""
        while self.open:
            if event := self.next(None):
                yield event

    def next(self, timeout_s: float | None) -> Event | None:
        """The next event; None where none comes in time."""
        try:
            event = self._events.get(timeout=timeout_s)
        except Empty:
            return None
        self.open -= isinstance(event, Ended)
        return event

    def close(self) -> None:
        """Stop all of it; wait only as long as the work has something to take back."""
        self._stopped.set()
        end_s = time.monotonic() + self._work.leave_s
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopped.is_set() or not self._waiting:
                    self._threads.remove(threading.current_thread())
                    return
                index = self._waiting.popleft()
            began_s = time.monotonic()
            try:
                result = self._work.transcribe(self.sources[index], _Watched(self, index))
            except StoppedError:
                return
            except Exception as error:  # one input that fails must not take the others along
                result = error
            self._events.put(Ended(index, result, time.monotonic() - began_s))

    def put(self, event: Event) -> None:
        """Tell of an event, from the thread of its source, which ends there when all is to stop."""
        if self._stopped.is_set():
            raise StoppedError
        self._events.put(event)


class _Watched:
    """Tells the batch what happens to one of its sources."""

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch, self._index = batch, index

    def copied(self, received_bytes: int, total_bytes: int | None) -> None:
        self._batch.put(Copied(self._index, received_bytes, total_bytes))

    def moved(self, progress: Progress) -> None:
        self._batch.put(Moved(self._index, progress))

    def said(self, sentence: Sentence) -> None:
        self._batch.put(Said(self._index, sentence))
