"""How many synchronous calls are at work at once, and how many wait for how long: beyond that, 429.

A call holds its turn from before its source is fetched until its thread has ended, so what calls take of memory and
disk is bounded, and a burst costs those who wait nothing but time. Of the places for those who wait, their bodies
coming in among them, an owner gets half: nobody can shut out the others, not even by bodies that never end.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from fastapi import Request
from starlette.requests import ClientDisconnect

from dashscribe.config import Settings
from dashscribe.errors import BusyError
from dashscribe.wire.places import RETRY_AFTER_S, Places

#: Calls that may wait for each one that is at work, the bodies of all of them lie on disk; of one owner half as many.
WAITING_PER_TURN = 16
#: How often the departure of a waiting client is looked for, in seconds.
LOOK_S = 1.0


class Turns:
    """The turns of one server, given in the order of asking. For the event loop only, but for ``threads``.

    How many calls are ``at_work`` and ``waiting``, bodies that come in among them, may be read from anywhere.
    """

    def __init__(self, settings: Settings) -> None:
        self.most = settings.calls or 2 * settings.workers
        self._wait_s = settings.call_wait_s
        self._free = asyncio.Semaphore(self.most)
        self.at_work = 0
        self.places = Places(WAITING_PER_TURN * self.most, "calls")
        self.threads = ThreadPoolExecutor(self.most, thread_name_prefix="call")

    @property
    def waiting(self) -> int:
        """How many calls wait or come in."""
        return self.places.taken

    def receiving(self, owner: str) -> AbstractContextManager[None]:
        """Around the receiving of a body: as many may come in as may wait. Raises BusyError beyond that."""
        return self.places.take(owner)

    async def take(self, request: Request, owner: str) -> None:
        """Wait for a turn. Raises BusyError when none comes in time, ClientDisconnect when the client left."""
        if self._free.locked():
            self.places.refuse_full(owner)
        with self.places.hold(owner):
            await self._wait(request)
        self.at_work += 1

    async def _wait(self, request: Request) -> None:
        asking = asyncio.ensure_future(self._free.acquire())
        try:
            left_s = self._wait_s
            while not (await asyncio.wait([asking], timeout=min(left_s, LOOK_S)))[0]:
                left_s -= LOOK_S
                if await request.is_disconnected():
                    raise ClientDisconnect
                if left_s <= 0:
                    raise BusyError(
                        f"{self.most} calls are at work here, and no turn came within {self._wait_s:g} s "
                        "(DASHSCRIBE_CALLS, DASHSCRIBE_CALL_WAIT_S).",
                        RETRY_AFTER_S,
                    )
        except BaseException:
            asking.cancel()
            if asking.done() and not asking.cancelled():
                self._free.release()
            raise

    def give_back(self) -> None:
        """End a turn."""
        self.at_work -= 1
        self._free.release()
