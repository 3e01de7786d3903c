"""What the database remembers of its store, for ``marker``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from sqlalchemy import Engine, or_, select

from dashscribe.db import reading, remember, remembered, tables

#: Under which name the database keeps the id; ``dashscribe doctor`` reads it by itself.
NAME = "store"
#: Of how many files the blobs are looked for, the newest first, where nobody knows a store's id yet.
LOOKED_FOR = 100


class DatabaseMemory:
    """That of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def recall(self) -> str | None:
        """The id of its store, None while it knows none."""
        return remembered(self._engine, NAME)

    def remember(self, store_id: str) -> str:
        """Keep the id unless there is one: the one that is kept."""
        return remember(self._engine, NAME, store_id)

    def some_keys(self) -> Iterable[str]:
        """Keys of blobs of recordings, none where there are no recordings with any."""
        file, task = tables.files, tables.tasks
        there = (file.c.hidden.is_(False), task.c.removed.is_(False))
        named = or_(file.c.source_key != "", file.c.result_key != "")
        query = select(file.c.source_key, file.c.result_key).join(task, task.c.id == file.c.task_id)
        query = query.where(*there, named).order_by(file.c.id.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(query.limit(LOOKED_FOR)).all()
        return list(filter(None, chain.from_iterable(rows)))
