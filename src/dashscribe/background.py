"""A transcription in a thread of its own: awaited, or read sentence by sentence; it ends when nobody wants it any more.

The work is told to end where it reports its progress, which it does at least once a second; its children go with it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from dashscribe.types import Progress, Sentence, Transcript

OnProgress = Callable[[Progress], None]
OnSentence = Callable[[int, Sentence], None]
Work = Callable[[OnProgress, OnSentence], Transcript]


class _StoppedError(BaseException):
    """Nobody wants the work any more. No Exception, so that nothing takes it for a failure that can be booked."""


class _InLoop:
    """Has callbacks run in the event loop that is running; what the first of them raises stops the work."""

    def __init__(self, stopped: threading.Event) -> None:
        self.raised: Exception | None = None
        self._loop, self._stopped = asyncio.get_running_loop(), stopped

    def call(self, callback: Callable[..., None] | None, *told: object) -> None:
        """Call back, from any thread."""
        if callback:
            self._loop.call_soon_threadsafe(self._call, callback, *told)

    def _call(self, callback: Callable[..., None], *told: object) -> None:
        if self.raised is not None:
            return
        try:
            callback(*told)
        except Exception as error:
            self.raised = error
            self._stopped.set()


async def awaited(work: Work, on_progress: OnProgress | None, on_sentence: OnSentence | None) -> Transcript:
    """Do the work in a thread; both callbacks run in the event loop, and what they raise ends the work and is raised.

    When the caller is canceled, the work ends first, within about a second.
    """
    stopped = threading.Event()
    loop = _InLoop(stopped)

    def report(progress: Progress) -> None:
        if stopped.is_set():
            raise _StoppedError
        loop.call(on_progress, progress)

    def say(channel: int, sentence: Sentence) -> None:
        loop.call(on_sentence, channel, sentence)

    def run() -> Transcript | None:
        try:
            return work(report, say)
        except _StoppedError:
            return None

    running = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        transcript = await asyncio.shield(running)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({running})
        raise
    if loop.raised is not None:
        raise loop.raised
    assert transcript is not None, "only a canceled caller and a callback stop the work"
    return transcript


class _Coming:
    """What comes of the work of a stream: sentences, each for one who takes it, then the end, which stays."""

    def __init__(self) -> None:
        self._came: deque[Sentence | Transcript | BaseException] = deque()
        self._changed = threading.Condition()
        self._asked: list[Callable[[], object]] = []

    def put(self, what: Sentence | Transcript | BaseException) -> None:
        """The next that came; nothing comes after anything else than a sentence."""
        with self._changed:
            self._came.append(what)
            self._changed.notify_all()
            asked, self._asked = self._asked, []
        for tell in asked:
            with suppress(RuntimeError):  # an event loop that is closed
                tell()

    def take(self) -> Sentence | Transcript | BaseException:
        """The next, waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self._came)
            return self._first()

    def take_or_ask(self, tell: Callable[[], object]) -> Sentence | Transcript | BaseException | None:
        """The next; None where it has not come yet, of which ``tell`` is called when it does, in any thread."""
        with self._changed:
            if self._came:
                return self._first()
            self._asked.append(tell)
            return None

    def forget(self, tell: Callable[[], object]) -> None:
        """Whoever asked does not wait any more."""
        with self._changed, suppress(ValueError):
            self._asked.remove(tell)

    def _first(self) -> Sentence | Transcript | BaseException:
        return self._came.popleft() if isinstance(self._came[0], Sentence) else self._came[0]


class Stream(Iterator[Sentence], AsyncIterator[Sentence]):
    """The sentences of a transcription as they are settled, channel after channel: for ``for`` and ``async for``.

    What goes wrong is raised where the next sentence was expected. ``close`` ends the work; so does the end of a
    ``with`` block, and losing the stream.
    """

    def __init__(self, work: Work) -> None:
        """Begin the work."""
        self._coming = _Coming()
        self._stopped = threading.Event()
        self._last: list[Progress] = [Progress()]
        self._transcript: Transcript | None = None
        self._ended = False
        # The thread must not hold the stream itself, or it could not be lost.
        self._thread = threading.Thread(
            target=_carry_out, args=(work, self._coming, self._stopped, self._last), name="stream", daemon=True
        )
        self._thread.start()
        weakref.finalize(self, self._stopped.set)

    @property
    def progress(self) -> Progress:
        """How far the work is."""
        return self._last[0]

    def result(self) -> Transcript:
        """The whole transcript, after whatever sentences were not taken. Raises what the work raised."""
        for _ in self:
            pass
        if self._transcript is None:
            raise RuntimeError("the stream was closed, or failed, before it had a result")
        return self._transcript

    def close(self) -> None:
        """End the work, if it is not through, and wait until its children are gone."""
        self._stopped.set()
        self._ended = True
        self._thread.join()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sentence:
        while not self._ended:
            if sentence := self._settled(self._coming.take()):
                return sentence
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sentence:
        # No thread waits here: who is canceled, by a time-out perhaps, leaves everything to whoever asks next.
        loop = asyncio.get_running_loop()
        while not self._ended:
            told = asyncio.Event()
            tell = partial(loop.call_soon_threadsafe, told.set)
            came = self._coming.take_or_ask(tell)
            if came is None:
                try:
                    await told.wait()
                finally:
                    self._coming.forget(tell)
            elif sentence := self._settled(came):
                return sentence
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """As ``close``, without holding up the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _settled(self, came: Sentence | Transcript | BaseException) -> Sentence | None:
        """What came as a sentence; None at the end, which is kept. Raises what went wrong, once."""
        if isinstance(came, Sentence):
            return came
        if isinstance(came, Transcript):
            self._transcript = came
        told, self._ended = self._ended, True
        if isinstance(came, BaseException) and not (told or isinstance(came, _StoppedError)):
            raise came
        return None


def _carry_out(work: Work, coming: _Coming, stopped: threading.Event, last: list[Progress]) -> None:
    """Do the work of a stream and put what comes of it into ``coming``, the end as the last."""

    def report(progress: Progress) -> None:
        last[0] = progress
        if stopped.is_set():
            raise _StoppedError

    try:
        coming.put(work(report, lambda _, sentence: coming.put(sentence)))
    except BaseException as error:  # whoever reads the stream is told
        coming.put(error)
