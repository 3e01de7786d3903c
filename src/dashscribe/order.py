"""The one order: a tag of virtual time, decided when work is inserted, by which everything is claimed.

An owner's tag runs ahead of the clock by the sound that the owner has queued, so that owners share by seconds of sound,
not by number of files; express work is tagged now. What is claimed, and by whom, is decided elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, case, update
from sqlalchemy.sql.dml import ReturningInsert

from dashscribe.db import inserting_on, tables

#: What a file counts for until its length is known, in milliseconds.
NOMINAL_MS = 60_000
#: A task with less sound than this is express.
EXPRESS_MS = 60_000


def reserve(connection: Connection, owner: str, files: int, now_ms: int) -> list[int]:
    """Queue ``files`` files of unknown length behind the owner's other work: a tag for each, rising."""
    sound_ms = files * NOMINAL_MS
    given = {"name": owner, "weight": 1, "tag_ms": now_ms + sound_ms, "now_ms": now_ms, "sound_ms": sound_ms}
    row = connection.execute(_reserving(connection.dialect.name), given).one()
    begin_ms = row.tag_ms - files * NOMINAL_MS // row.weight
    return [begin_ms + count * NOMINAL_MS // row.weight for count in range(1, files + 1)]


@cache
def _reserving(product: str) -> ReturningInsert[Any, Any]:
    # Built once: that takes longer than all else which a submission does about its place.
    owners = tables.owners
    now_ms, sound_ms = bindparam("now_ms", type_=BigInteger), bindparam("sound_ms", type_=BigInteger)
    ahead_ms = case((owners.c.tag_ms > now_ms, owners.c.tag_ms), else_=now_ms)
    later = {"tag_ms": ahead_ms + sound_ms // owners.c.weight}
    new = inserting_on(product, owners).on_conflict_do_update(index_elements=["name"], set_=later)
    return new.returning(owners.c.tag_ms, owners.c.weight)


def correct(connection: Connection, owner: str, sound_ms: int) -> None:
    """Count a file of the owner's by its length now that it is known."""
    owners = tables.owners
    # The sign stays outside the division: databases differ in how they round below zero.
    change_ms = abs(sound_ms - NOMINAL_MS) // owners.c.weight
    change_ms = change_ms if sound_ms >= NOMINAL_MS else -change_ms
    connection.execute(update(owners).where(owners.c.name == owner).values(tag_ms=owners.c.tag_ms + change_ms))


def window_tag(file_tag_ms: int, weight: int, sound_ms: int) -> int:
    """The tag of a window up to whose end ``sound_ms`` of its file's speech have been cut."""
    return file_tag_ms - NOMINAL_MS // weight + sound_ms // weight


def is_express(duration_ms: int, files: int) -> bool:
    """Whether a task of ``files`` files, one of which has this length, counts as short; 0 is an unknown length."""
    return 0 < duration_ms * files < EXPRESS_MS
