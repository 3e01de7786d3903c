"""Windows of several callers in one call of a child, for engines that decode many pieces at once.

Callers that wait for a slot hand in their windows; whoever gets the slot takes those of the others along, as far as
their requests are alike, and brings everybody their outcomes. Nobody pays for another's window: one that kills its
child kills it again when it is alone, and only then does that count. No result depends on who came along, because only
engines whose batches were found to change nothing are driven like this.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from dashscribe.hosts.parent import STOP_S, check_stop
from dashscribe.hosts.protocol import OutcomeReply, Recognize
from dashscribe.types import Outcome

#: Windows that one call takes: with 30 s of speech in each, eight pieces are always there, and mostly some thirty.
MOST_WINDOWS = 4


class Alone(Exception):  # noqa: N818 (no failure: the work is to be done again, without company)
    """The child died over several windows at once: this one is to be recognized by itself."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One window on its way. ``taken`` is set once somebody recognizes it; what came of it is in ``found``."""

    request: Recognize
    taken: threading.Event = field(default_factory=threading.Event)
    found: SimpleQueue[Outcome | BaseException | None] = field(
        default_factory=SimpleQueue[Outcome | BaseException | None]
    )

    def outcomes(self, stop: threading.Event | None) -> Iterator[Outcome]:
        """What is found, as it comes. Raises what ended the work, Alone among that, and HostError on ``stop``."""
        while True:
            try:
                item = self.found.get(timeout=STOP_S)
            except Empty:
                check_stop(stop)
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


class Gatherer:
    """The windows that wait for a slot, by what has to be alike for them to go together. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[Hashable, list[Ticket]] = {}

    @contextmanager
    def waiting(self, key: Hashable, ticket: Ticket) -> Generator[None]:
        """Be there to be taken along inside the block."""
        with self._guard:
            self._waiting.setdefault(key, []).append(ticket)
        try:
            yield
        finally:
            with self._guard:
                self._take(key, [ticket])

    def company(self, key: Hashable, ticket: Ticket) -> list[Ticket]:
        """The ticket and those that go with it, which are taken now; none if the ticket itself was taken before."""
        with self._guard:
            waiting = self._waiting.get(key, [])
            if ticket not in waiting:
                return []
            company = [ticket, *(other for other in waiting if other is not ticket)][:MOST_WINDOWS]
            self._take(key, company)
        return company

    def _take(self, key: Hashable, tickets: list[Ticket]) -> None:
        left = [ticket for ticket in self._waiting.get(key, []) if ticket not in tickets]
        if left:
            self._waiting[key] = left
        else:
            self._waiting.pop(key, None)
        for ticket in tickets:
            ticket.taken.set()


def alike(request: Recognize) -> Hashable:
    """What of a request an engine may heed: requests that are alike can be decoded together."""
    options = request.options
    return (
        options.languages,
        options.itn,
        options.words,
        options.refine_times,
        options.emotion,
        options.events,
        options.hotwords,
        options.context,
        options.speech_noise_threshold,
        request.batch,
        request.strict,
    )


def share(company: list[Ticket], replies: Iterator[OutcomeReply]) -> None:
    """Bring everybody their outcomes, by the place of their ticket; never raises, since errors go to everybody, too.

    An error over several windows tells nothing about any of them: each is to be tried alone.
    """
    try:
        for reply in replies:
            company[reply.place].found.put(reply.outcome)
    except BaseException as error:
        for ticket in company:
            ticket.found.put(Alone() if len(company) > 1 and isinstance(error, Exception) else error)
    else:
        for ticket in company:
            ticket.found.put(None)
