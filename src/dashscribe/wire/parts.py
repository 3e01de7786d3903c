"""What the routes are made of: the rooms below, handed in by whoever composes a server, and the door to threads.

Handlers are asynchronous and everything below is not, so every blocking call goes through a bounded set of threads.
Sets are separate by how long their calls take: long waits must never starve the queries that clients poll with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

import anyio
from anyio import to_thread
from fastapi import Request
from sqlalchemy import Engine

from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.fleet import Offers
from dashscribe.hosts import Hosts
from dashscribe.hotwords import HotwordBook
from dashscribe.keys import Keys
from dashscribe.store import Store
from dashscribe.tasks import TaskBook
from dashscribe.telemetry import Telemetry
from dashscribe.uploads import UploadBook
from dashscribe.wire.limits import RateLimits

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rooms below one application.

    ``secret`` signs result URLs and comes from the database, so that URLs outlive the process. ``wake`` tells workers
    that there is work, ``offers`` knows what those of a shared database can run. ``hosts`` recognize for synchronous
    calls. ``ready`` does a real check of this server and gives the reasons why it cannot work, by name; an empty
    mapping means ready.
    """

    settings: Settings
    database: Engine
    tasks: TaskBook
    keys: Keys
    store: Store
    uploads: UploadBook
    hotwords: HotwordBook
    hosts: Hosts
    limits: RateLimits
    secret: str
    wake: Callable[[], None]
    ready: Callable[[], Mapping[str, str]]
    offers: Offers | None = None
    telemetry: Telemetry = field(default_factory=Telemetry)
    # Sizes: a query takes a millisecond, a blob is read at the pace of the disk, readiness may decode a sound.
    queries: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(16))
    blobs: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(8))
    # What comes in goes out to the store, and a bucket may take minutes for it: results are not to wait for that.
    arriving: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(16))
    checks: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    scrapes: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    # A name server may take its time.
    names: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(4))
    # Parsing a body that carries a recording takes some 40 MB for a moment.
    bodies: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(4))

    @classmethod
    def over(cls, settings: Settings, database: Engine, store: Store, hosts: Hosts, **others: Any) -> Self:
        """The parts of an application over a database and a store; ``others`` are those that follow from neither."""
        return cls(
            settings=settings,
            database=database,
            tasks=TaskBook(database),
            keys=Keys(database, settings),
            store=store,
            uploads=UploadBook(database, store, settings),
            hotwords=HotwordBook(database),
            hosts=hosts,
            limits=RateLimits(settings),
            **others,
        )

    def workers_engines(self) -> list[EngineInfo] | None:
        """The engines that tasks are given to; None for those that are installed here, as while no worker was seen."""
        return list(self.offers.engines().values()) or None if self.offers else None


async def parts_of(request: Request) -> Parts:
    """The parts of the application that serves this request."""
    return request.app.state.parts


async def in_thread(threads: anyio.CapacityLimiter, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in one of ``threads``, waiting while all of them are busy."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=threads)
