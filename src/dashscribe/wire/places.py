"""Places for what comes in: so many at once in all, half of them for one owner; beyond that, 429.

What is received takes memory or disk for as long as its client takes to send it. Nobody can shut out the others by
bodies that never end, and all of them together take no more than there are places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from dashscribe.errors import BusyError

#: What a client that was turned away is told to wait, in seconds.
RETRY_AFTER_S = 2


class Places:
    """So many places for ``what`` comes in. For the event loop only; how many are ``taken`` may be read anywhere."""

    def __init__(self, most: int, what: str) -> None:
        self.most, self._what = most, what
        self.taken = 0
        self._taken_of: Counter[str] = Counter()

    def refuse_full(self, owner: str) -> None:
        """Raise BusyError where all places are taken, or half of them by this owner."""
        own = self._taken_of[owner]
        if own >= self.most // 2:
            raise BusyError(
                f"{own} {self._what} of owner {owner} come in or wait here, and no more may.", RETRY_AFTER_S
            )
        if self.taken >= self.most:
            raise BusyError(f"{self.taken} {self._what} come in or wait here, and no more may.", RETRY_AFTER_S)

    @contextmanager
    def hold(self, owner: str) -> Generator[None]:
        """A place of this owner's, whether there is one or not: that is for ``refuse_full`` to say."""
        self.taken += 1
        self._taken_of[owner] += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._taken_of[owner] -= 1
            if not self._taken_of[owner]:
                del self._taken_of[owner]

    @contextmanager
    def take(self, owner: str) -> Generator[None]:
        """A place of this owner's. Raises BusyError where there is none."""
        self.refuse_full(owner)
        with self.hold(owner):
            yield


class Held:
    """Around every route: ``request.state.held`` ends with the request, and gives back what was taken for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or pass on a life-cycle message)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with ExitStack() as held:
            scope.setdefault("state", {})["held"] = held
            await self._app(scope, receive, send)
