"""Wake-ups between the processes of a shared database, over PostgreSQL's LISTEN and NOTIFY.

A wake-up is no job: one that is lost costs the time until the next sweep. They are sent beside the transactions that
they tell of, a few milliseconds after them and each kind at most once in that time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from psycopg import Connection

logger = logging.getLogger(__name__)

CHANNEL = "dashscribe"
#: For how long wake-ups are gathered before they are sent, in seconds.
GATHER_S = 0.01
#: How often the listener looks whether it should end, and how long it waits after trouble, in seconds.
LOOK_S, PAUSE_S = 1.0, 2.0
_NOTIFY = text("SELECT pg_notify(:channel, word) FROM unnest(CAST(:words AS text[])) AS word")


class Wakeups:
    """Sends and hears wake-ups until ``stop``; ``hear`` is None for a process that only sends."""

    def __init__(self, engine: Engine, name: str, hear: Callable[[str], None] | None = None) -> None:
        self._engine, self._name, self._hear = engine, name, hear
        self._words: set[str] = set()
        self._guard = threading.Lock()
        self._rung, self._stopping = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._send, name="dashscribe-notify", daemon=True)]
        if hear is not None:
            self._threads.append(threading.Thread(target=self._listen, name="dashscribe-listen", daemon=True))

    def start(self) -> None:
        """Begin to send and to hear."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End soon; what is gathered is still sent."""
        self._stopping.set()
        self.ring("stop")  # the listener hears it, too
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(LOOK_S + 1.0)

    def ring(self, word: str) -> None:
        """Tell the others; returns at once."""
        with self._guard:
            self._words.add(word)
        self._rung.set()

    def _send(self) -> None:
        alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        while True:
            self._rung.wait()
            stopping = self._stopping.wait(GATHER_S)
            self._rung.clear()
            with self._guard:
                words, self._words = self._words, set()
            # Others are told by their sweep if this fails.
            with suppress(SQLAlchemyError), alone.connect() as connection:
                connection.execute(_NOTIFY, {"channel": CHANNEL, "words": [f"{word} {self._name}" for word in words]})
            if stopping:
                return

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hear_until_trouble()
            except Exception as error:  # nothing may end the listening
                logger.warning("wake-ups are not heard, the sweep goes on: %s", error)
                self._stopping.wait(PAUSE_S)

    def _hear_until_trouble(self) -> None:
        # A connection outside the pool: it lives as long as the worker and never runs a transaction.
        pooled = self._engine.raw_connection()
        connection = cast("Connection", pooled.driver_connection)  # which a detached one no longer tells
        pooled.detach()
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            while not self._stopping.is_set():
                for heard in connection.notifies(timeout=LOOK_S, stop_after=1):
                    word, _, name = heard.payload.partition(" ")
                    if self._hear and name != self._name and word != "stop":
                        self._hear(word)
        finally:
            connection.close()
