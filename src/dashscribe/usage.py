"""Seconds of sound by day, owner, key and model: what was used, long after the tasks are gone.

Tasks book within the transaction that ends a file, synchronous calls before their answer. Nothing is priced here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import BigInteger, Connection, Engine, cast, func, select

from dashscribe.db import inserting, reading, tables

_usage = tables.usage
#: PostgreSQL adds whole numbers up to a decimal.
_sound_ms = cast(func.coalesce(func.sum(_usage.c.duration_ms), 0), BigInteger)


def book(connection: Connection, *, owner: str, key_id: str, model: str, duration_ms: int) -> None:
    """Add one file of this length, summed over its channels, to the figures of today (UTC)."""
    row = {"day": datetime.now(UTC).date().isoformat(), "owner": owner, "key_id": key_id, "model": model}
    one_more = {"files": _usage.c.files + 1, "duration_ms": _usage.c.duration_ms + duration_ms}
    new = inserting(connection, _usage).values(**row, files=1, duration_ms=duration_ms)
    connection.execute(new.on_conflict_do_update(index_elements=list(row), set_=one_more))


def used_ms(engine: Engine, key_id: str, since: date) -> int:
    """Milliseconds of sound that were worked on for a key from that day (UTC) on."""
    query = select(_sound_ms).where(_usage.c.key_id == key_id, _usage.c.day >= since.isoformat())
    with reading(engine) as connection:
        return connection.execute(query).scalar_one()


def used_by_key(engine: Engine, since: date) -> dict[str, int]:
    """The same for every key that used any, by its id."""
    query = select(_usage.c.key_id, _sound_ms).where(_usage.c.day >= since.isoformat())
    with reading(engine) as connection:
        return {key_id: used for key_id, used in connection.execute(query.group_by(_usage.c.key_id))}


@dataclass(frozen=True, slots=True)
class Used:
    """What was used on one day (UTC) with one key and model."""

    day: str
    key_id: str
    model: str
    files: int
    duration_ms: int


def by_day(engine: Engine, owner: str, since: date, until: date) -> list[Used]:
    """What an owner used on the days (UTC) from one to another, both included, the newest first."""
    mine = (_usage.c.owner == owner, _usage.c.day >= since.isoformat(), _usage.c.day <= until.isoformat())
    columns = (_usage.c.day, _usage.c.key_id, _usage.c.model, _usage.c.files, _usage.c.duration_ms)
    order = (_usage.c.day.desc(), _usage.c.key_id, _usage.c.model)
    with reading(engine) as connection:
        return [Used(*row) for row in connection.execute(select(*columns).where(*mine).order_by(*order))]


def totals(
    connection: Connection, since: str, until: str = "9"
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Files, and milliseconds of sound, by owner and model, of the days (UTC, YYYY-MM-DD) from one up to another."""
    query = (
        select(_usage.c.owner, _usage.c.model, func.sum(_usage.c.files), _sound_ms)
        .where(_usage.c.day >= since, _usage.c.day < until)
        .group_by(_usage.c.owner, _usage.c.model)
    )
    files, sound = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for owner, model, count, duration_ms in connection.execute(query):
        files[owner, model], sound[owner, model] = count, duration_ms
    return files, sound
