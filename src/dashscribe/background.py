"""A transcription in a thread of its own: awaited, or read sentence by sentence; it ends when nobody wants it any more.

The work is told to end where it reports its progress, which it does at least once a second; its children go with it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from dashscribe.types import Progress, Sentence, Transcript

OnProgress = Callable[[Progress], None]
OnSentence = Callable[[int, Sentence], None]
Work = Callable[[OnProgress, OnSentence], Transcript]


class _StoppedError(BaseException):
    """Nobody wants the work any more. No Exception, so that nothing takes it for a failure that can be booked."""


async def awaited(work: Work, on_progress: OnProgress | None, on_sentence: OnSentence | None) -> Transcript:
    """Do the work in a thread; both callbacks run in the event loop.

    When the caller is canceled, the work ends first, within about a second.
    """
    loop, stopped = asyncio.get_running_loop(), threading.Event()

    def report(progress: Progress) -> None:
        if stopped.is_set():
            raise _StoppedError
        if on_progress:
            loop.call_soon_threadsafe(on_progress, progress)

    def say(channel: int, sentence: Sentence) -> None:
        if on_sentence:
            loop.call_soon_threadsafe(on_sentence, channel, sentence)

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
    assert transcript is not None, "only a canceled caller stops the work"
    return transcript


class Stream(Iterator[Sentence], AsyncIterator[Sentence]):
    """The sentences of a transcription as they are settled, channel after channel: for ``for`` and ``async for``.

    What goes wrong is raised where the next sentence was expected. ``close`` ends the work; so does the end of a
    ``with`` block, and losing the stream.
    """

    def __init__(self, work: Work) -> None:
        """Begin the work."""
        self._coming: SimpleQueue[Sentence | Transcript | BaseException] = SimpleQueue()
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
        sentence = self._next()
        if sentence is None:
            raise StopIteration
        return sentence

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sentence:
        try:
            sentence = await asyncio.to_thread(self._next)
        except asyncio.CancelledError:
            self._stopped.set()  # the thread that waits gets an answer only when the work ends
            raise
        if sentence is None:
            raise StopAsyncIteration
        return sentence

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

    def _next(self) -> Sentence | None:
        """The next sentence; None at the end."""
        if self._ended:
            return None
        came = self._coming.get()
        if isinstance(came, Sentence):
            return came
        self._ended = True
        if isinstance(came, Transcript):
            self._transcript = came
        elif not isinstance(came, _StoppedError):
            raise came
        return None


def _carry_out(
    work: Work,
    coming: SimpleQueue[Sentence | Transcript | BaseException],
    stopped: threading.Event,
    last: list[Progress],
) -> None:
    """Do the work of a stream and put what comes of it into ``coming``, the end as the last."""

    def report(progress: Progress) -> None:
        last[0] = progress
        if stopped.is_set():
            raise _StoppedError

    try:
        coming.put(work(report, lambda _, sentence: coming.put(sentence)))
    except BaseException as error:  # whoever reads the stream is told
        coming.put(error)
