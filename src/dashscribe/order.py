"""The one order: a tag of virtual time, decided when work is inserted, by which everything is claimed.

An owner's tags run ahead by the sound that the owner has queued, divided by the owner's weight, so that owners share by
seconds of sound, not by number of files. Virtual time is where the order has got to: the lowest tag that waits. Who
comes with work begins there, however far the clock or other owners are. Files are tagged when they are submitted, by a
nominal length, and windows when they are cut, by the speech in them. What is claimed, and by whom, is decided
elsewhere.

The rule is that of self-clocked fair queueing (Golestani, 1994): while two owners have work that waits, what was heard
for each, divided by its weight, differs by no more than one window of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Case,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    case,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import BindParameter

from dashscribe.db import inserting, inserting_on, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, WindowState
from dashscribe.types import MAX_CHANNELS, Media, Options

#: What a file counts for until its length is known, in milliseconds.
NOMINAL_MS = 60_000
MAX_WEIGHT = 1000
#: A task with less sound than this is express.
EXPRESS_MS = 60_000
#: How far an owner's windows may be ahead in virtual time while its express ones still go before all that waits: more
#: than a long file is, for windows are cut two hours ahead at most; a flood of short tasks gets beyond it, and queues.
AHEAD_MS = 4 * 3600 * 1000
#: What a file counts for at most, whatever its container claims: a week in each channel.
MOST_MS = MAX_CHANNELS * 7 * 24 * 3600 * 1000

_owners = tables.owners


def weights(engine: Engine) -> dict[str, int]:
    """The weights of the owners that had work or got one; all others have 1."""
    with reading(engine) as connection:
        return {row.name: row.weight for row in connection.execute(select(_owners.c.name, _owners.c.weight))}


def set_weight(engine: Engine, owner: str, weight: int) -> None:
    """Let an owner have that share, 1 to ``MAX_WEIGHT``, of what is submitted and cut from now on."""
    with writing(engine) as connection:
        new = inserting(connection, _owners).values(name=owner, tag_ms=0, weight=weight)
        connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"weight": weight}))


def reserve(connection: Connection, owner: str, files: int, beginning_ms: int) -> list[int]:
    """Queue ``files`` files of unknown length behind the owner's other work: a tag for each, rising.

    ``beginning_ms`` is where virtual time begins if there has never been any work.
    """
    virtual_ms, sound_ms = files_now(connection, beginning_ms), files * NOMINAL_MS
    given = {"name": owner, "weight": 1, "tag_ms": virtual_ms + sound_ms}
    given |= {"virtual_ms": virtual_ms, "sound_ms": sound_ms}
    row = connection.execute(_reserving(connection.dialect.name), given).one()
    begin_ms = row.tag_ms - files * NOMINAL_MS // row.weight
    return [begin_ms + count * NOMINAL_MS // row.weight for count in range(1, files + 1)]


@cache
def _reserving(product: str) -> ReturningInsert[Any, Any]:
    # Built once: that takes longer than all else which a submission does about its place.
    virtual_ms, sound_ms = bindparam("virtual_ms", type_=BigInteger), bindparam("sound_ms", type_=BigInteger)
    later = {"tag_ms": _later(_owners.c.tag_ms, virtual_ms) + sound_ms // _owners.c.weight}
    new = inserting_on(product, _owners).on_conflict_do_update(index_elements=["name"], set_=later)
    return new.returning(_owners.c.tag_ms, _owners.c.weight)


def correct(connection: Connection, owner: str, sound_ms: int) -> None:
    """Count a file of the owner's by its length now that it is known, but for no more than ``MOST_MS``."""
    change_ms = min(sound_ms, MOST_MS) - NOMINAL_MS
    # The sign stays outside the division: databases differ in how they round below zero.
    share_ms = _share(abs(change_ms))
    corrected = update(_owners).where(_owners.c.name == owner)
    connection.execute(corrected.values(tag_ms=_owners.c.tag_ms + (share_ms if change_ms >= 0 else -share_ms)))


def _share(sound_ms: int) -> ColumnElement[int]:
    """By how much an owner's tag rises for so much sound."""
    # As it is, a number beside a column takes the column's type, and the weight's is too small for long sound.
    return literal(sound_ms, BigInteger) // _owners.c.weight


def give_back(connection: Connection, ended: Iterable[tuple[str, FileState]]) -> None:
    """Count nothing for those of these files that were never fetched: by owner, and the state that each ended in.

    Called once they do not wait any more, and last in a transaction: whoever fetches has a file before its owner.
    """
    unfetched = Counter(owner for owner, state in ended if state in (FileState.WAITING, FileState.FETCHING))
    virtual_ms = files_now(connection) if unfetched else 0
    for owner, count in sorted(unfetched.items()):  # in order, as all who want several owners
        left_ms = _owners.c.tag_ms - _share(count * NOMINAL_MS)
        given_back = update(_owners).where(_owners.c.name == owner, _owners.c.tag_ms > virtual_ms)
        connection.execute(given_back.values(tag_ms=_later(left_ms, virtual_ms)))


def window_tag(
    connection: Connection, owner: str, speech_ms: int, queues: Sequence[str] | None = None, *, express: bool = False
) -> int:
    """The tag of a window with so much speech, behind the owner's other ones; of an express one, now.

    ``queues`` are those of the worker that cuts it, None for all there are. Virtual time is counted among them: what
    waits for a slow engine elsewhere would hold it back, and whoever came new would have a long start on all who are
    at work here.
    """
    virtual_ms = _windows_now(connection, queues)
    row = connection.execute(select(_owners.c.window_tag_ms, _owners.c.weight).where(_owners.c.name == owner)).one()
    tag_ms = max(row.window_tag_ms, virtual_ms) + speech_ms // row.weight
    return max(virtual_ms, tag_ms - AHEAD_MS) if express else tag_ms


def charge(connection: Connection, owner: str, speech_ms: int, queues: Sequence[str] | None = None) -> None:
    """Count a window with so much speech that was handed out; ``queues`` as for its tag."""
    begin_ms = _later(_owners.c.window_tag_ms, _windows_now(connection, queues))
    charged = update(_owners).where(_owners.c.name == owner)
    connection.execute(charged.values(window_tag_ms=begin_ms + _share(speech_ms)))


def _windows_now(connection: Connection, queues: Sequence[str] | None) -> int:
    # Begun at the clock, as older programs tagged everything: what they left, or still write, stays comparable.
    return _now(connection, _first_windows(None if queues is None else tuple(queues)), now_ms())


@lru_cache(maxsize=64)
def _first_windows(queues: tuple[str, ...] | None) -> Select[Any]:
    # Queue by queue: with an index over queue and tag each is one look, however many wait in the others.
    queue = tables.windows.c.queue
    among = [true()] if queues is None else [queue == name for name in ("", *queues)]
    return _first(tables.windows, (WindowState.READY, WindowState.CLAIMED), _owners.c.window_tag_ms, among)


def files_now(connection: Connection, beginning_ms: int = 0) -> int:
    """Where the order of files has got to."""
    return _now(connection, _first_files(), beginning_ms)


@cache
def _first_files() -> Select[Any]:
    return _first(tables.files, (FileState.WAITING, FileState.FETCHED), _owners.c.tag_ms, (true(),))


def _first(
    table: Table, states: Iterable[StrEnum], ahead: Column[int], among: Iterable[ColumnElement[bool]]
) -> Select[Any]:
    """The lowest tag in each state ``among`` each of these; last, the highest of any owner.

    Express work says nothing about it: it is tagged by it.
    """
    heads = [
        select(table.c.tag_ms)
        .where(table.c.state == state, table.c.express.is_(False), some)
        .order_by(table.c.tag_ms)
        .limit(1)
        .scalar_subquery()
        for state in states
        for some in among
    ]
    return select(*heads, select(func.max(ahead)).scalar_subquery())


def _now(connection: Connection, first: Select[Any], beginning_ms: int) -> int:
    """The lowest tag that waits; where nothing does, all owners are equal, and begin with the one furthest ahead."""
    *found, furthest_ms = connection.execute(first).one()
    waiting = [tag_ms for tag_ms in found if tag_ms is not None]
    return min(waiting) if waiting else furthest_ms or beginning_ms


def _later(column: ColumnElement[int], virtual_ms: int | BindParameter[int]) -> Case[int]:
    return case((column > virtual_ms, column), else_=virtual_ms)


def sound_of(media: Media, options: Options) -> int:
    """How much sound of a file is worked on, by its container's claim; 0 while that is unknown, or nothing is."""
    return max(0, media.duration_ms) * channels_of(media, options)


def channels_of(media: Media, options: Options) -> int:
    """How many of the channels that were asked for a file has."""
    return 1 if options.mix else sum(0 <= channel < media.channel_count for channel in set(options.channels))


def is_express(duration_ms: int, files: int) -> bool:
    """Whether a task of ``files`` files, one of which has this length, counts as short; 0 is an unknown length."""
    return 0 < duration_ms * files < EXPRESS_MS
