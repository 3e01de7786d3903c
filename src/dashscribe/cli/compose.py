"""Puts the rooms together into one process, which answers HTTP, does the work, or both."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dashscribe.cli.private import keep_private
from dashscribe.cli.usable import unusable
from dashscribe.db import is_shared, open_database, secret
from dashscribe.fleet import Offers
from dashscribe.heap import give_back_large_blocks
from dashscribe.hosts import Hosts
from dashscribe.queue.slots import Stage
from dashscribe.queue.wakeups import Wakeups
from dashscribe.readiness import Readiness
from dashscribe.signed_urls import SECRET
from dashscribe.steps import open_worker
from dashscribe.store import Store, open_store
from dashscribe.store.memory import DatabaseMemory
from dashscribe.telemetry import Telemetry
from dashscribe.telemetry.tracing import open_traces
from dashscribe.wire.parts import Parts

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dashscribe.config import Settings
    from dashscribe.queue.worker import Worker

logger = logging.getLogger(__name__)


def compose(settings: Settings, stack: ExitStack, *, with_worker: bool) -> tuple[Parts, Worker | None]:
    """The parts of a process and its worker, which is at work when this returns; ``stack`` takes them apart again.

    Raises ConfigError for a setting that cannot be used: it is to be told now, not with the first task.
    """
    give_back_large_blocks()
    for error in unusable(settings):
        raise error
    keep_private(settings.home)
    database = open_database(settings.resolved_database_url, settings.database_connections)
    stack.callback(database.dispose)
    store = open_store(settings, DatabaseMemory(database))
    _tell_if_away(store)
    traces = open_traces()
    stack.callback(traces.close)
    telemetry = Telemetry(traces)
    hosts = stack.enter_context(Hosts(settings, slots=settings.workers, express_slots=1, observer=telemetry))
    worker = open_worker(database, store, hosts, settings, telemetry=telemetry) if with_worker else None
    if worker:
        worker.start()
        stack.callback(worker.stop)
    parts = Parts.over(
        settings,
        database,
        store,
        hosts,
        secret=secret(database, SECRET),
        wake=worker.wake if worker else _waking(database, stack),
        ready=Readiness(database, store, hosts, settings),
        offers=Offers(database) if is_shared(database) else None,
        telemetry=telemetry,
    )
    # What a kill has left half received, by whichever process of this home: one without a worker has nobody else.
    store.clean()
    parts.uploads.clean()
    return parts, worker


def _tell_if_away(store: Store) -> None:
    """Say so where the store is not there, which is no reason not to start: work waits for it."""
    try:
        store.check_known()
    except OSError as error:
        logger.warning("work waits for the store: %s", error.strerror or error)


def _waking(database: Engine, stack: ExitStack) -> Callable[[], None]:
    """What tells workers elsewhere that there is work; with SQLite their sweep finds it within a second."""
    if not is_shared(database):
        return lambda: None
    wakeups = Wakeups(database, f"server-{uuid.uuid4()}")
    wakeups.start()
    stack.callback(wakeups.stop)

    def wake() -> None:
        wakeups.ring(Stage.FETCH)
        wakeups.ring(Stage.REDO)
        wakeups.ring(Stage.DELIVER)

    return wake
