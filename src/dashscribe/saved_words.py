"""Sensitive words that an owner keeps for later calls: which of them are masked, which are removed."""

from __future__ import annotations

import msgspec
from sqlalchemy import Engine, select

from dashscribe.db import inserting, now_ms, reading, tables, writing
from dashscribe.errors import InvalidParameterError
from dashscribe.types import Censor

#: Most words of both lists together, and characters of one.
MAX_WORDS, MAX_WORD_CHARS = 5000, 100

_words = tables.sensitive_words


class SavedWords:
    """The lists of one installation, one for each owner."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, owner: str) -> Censor:
        """An owner's list; without any words where none was saved."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_words).where(_words.c.owner == owner)).mappings().one_or_none()
        if row is None:
            return Censor()
        lists = {name: msgspec.json.decode(row[name], type=tuple[str, ...]) for name in ("masked", "removed")}
        return Censor(**lists, system=row["system"])

    def put(self, owner: str, words: Censor) -> None:
        """Put a list in the place of the owner's. Raises InvalidParameterError for one that is too long."""
        count = len(words.masked) + len(words.removed)
        if count > MAX_WORDS:
            raise InvalidParameterError(f"There are {count} words; give at most {MAX_WORDS}.", "masked")
        values = {name: msgspec.json.encode(getattr(words, name)).decode() for name in ("masked", "removed")}
        row = {**values, "system": words.system, "modified_ms": now_ms()}
        with writing(self._engine, urgent=True) as connection:
            new = inserting(connection, _words).values(owner=owner, **row)
            connection.execute(new.on_conflict_do_update(index_elements=["owner"], set_=row))
