"""What recordings are called, and recordings as sources.

What is kept of one is transcribed again under a URL that only its owner's tasks resolve. Until a file that names it so
has fetched it, it is neither deleted nor does it expire.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import Connection, Engine, or_, select

from dashscribe.db import reading, tables
from dashscribe.db.tables import FileState
from dashscribe.errors import NotFoundError
from dashscribe.errors.sources import RecordingGoneError

#: What the URL of a recording as a source begins with. Its id follows, then, for people, its name.
SCHEME = "recording://"
#: Longest title in characters.
MAX_TITLE_CHARS = 300
_ID = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,5})")

#: Where a recording is: its task, and the place in that.
Place = tuple[str, int]

#: What a file is while it may have to fetch its source.
_UNFETCHED = (FileState.WAITING, FileState.FETCHING)

_file, _task = tables.files, tables.tasks


def split_id(recording_id: str) -> tuple[str, int] | None:
    """The task and the place in it that an id names; None for what is no id."""
    found = _ID.fullmatch(recording_id)
    return (found[1], int(found[2])) if found else None


def title_of(title: str, url: str) -> str:
    """What a recording is called: as somebody named it, else the last part of its URL, else the whole of it."""
    if title:
        return title
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    # An upload's name stands at the end of its URL, where ? and # are letters like others.
    path = url if parts.scheme == "oss" else parts.path
    last = unquote(path.rstrip("/").rpartition("/")[2])
    return " ".join(last.split())[:MAX_TITLE_CHARS] or parts.hostname or url


def not_found(recording_id: str) -> NotFoundError:
    """The error for an id that names nothing, any more or of this owner."""
    return NotFoundError(f"There is no recording {recording_id[:80]!r}, any more or of this key.")


def read_id(recording_id: str) -> tuple[str, int]:
    """The task and the place in it. Raises NotFoundError for what is no id."""
    found = split_id(recording_id)
    if found is None:
        raise not_found(recording_id)
    return found


def state_of(engine: Engine, task_id: str, number: int) -> FileState | None:
    """How far a recording is; None where it was deleted or is past its time: nobody reads what is stored for it."""
    query = (
        select(_file.c.state)
        .join(_task, _task.c.id == _file.c.task_id)
        .where(_file.c.task_id == task_id, _file.c.number == number)
        .where(_task.c.removed.is_(False), _file.c.hidden.is_(False))
    )
    with reading(engine) as connection:
        state = connection.execute(query).scalar()
    return None if state is None else FileState(state)


@dataclass(frozen=True, slots=True)
class KeptSource:
    """The blob of a source, and its size."""

    key: str
    size_bytes: int


def recording_url(task_id: str, number: int, name: str) -> str:
    """The URL that stands for what is kept of a recording."""
    return f"{SCHEME}{task_id}.{number}/{quote(name, safe='')}"


def named_by(url: str) -> Place | None:
    """The recording that a URL names; None for the URL of anything else."""
    return split_id(url.removeprefix(SCHEME).partition("/")[0]) if url.startswith(SCHEME) else None


def kept_source(engine: Engine, owner: str, url: str) -> KeptSource:
    """What is kept of the owner's recording behind a URL. Raises RecordingGoneError, for a foreign one as for none."""
    with reading(engine) as connection:
        return _kept_source(connection, owner, url)


def _kept_source(connection: Connection, owner: str, url: str) -> KeptSource:
    found = named_by(url)
    row = None
    if found:
        query = (
            select(_file.c.source_key, _file.c.source_bytes)
            .join(_task, _task.c.id == _file.c.task_id)
            .where(_task.c.id == found[0], _file.c.number == found[1], _task.c.owner == owner)
            .where(_task.c.removed.is_(False), _file.c.hidden.is_(False))
        )
        row = connection.execute(query).one_or_none()
    if row is None or not row.source_key:
        raise RecordingGoneError(f"The owner of this API key has no recording {url[:120]!r}, or its sound is not kept.")
    return KeptSource(row.source_key, row.source_bytes)


def awaited(connection: Connection, owner: str = "") -> dict[tuple[str, str, int], list[Place]]:
    """The recordings whose sound files have yet to fetch, by owner, task and place, with those files.

    Of one owner, or of all; a recording can be named by its owner only. Whoever is about to remove what is kept of one
    locks its row, as ``pin`` does, and then asks here, by a statement of its own. Found through tasks that have not
    ended: there is an index over those by owner, whatever others have in the queue.
    """
    open_tasks = select(_task.c.id).where(_task.c.ended_ms.is_(None))
    if owner:
        open_tasks = open_tasks.where(_task.c.owner == owner)
    # With another text than the column, since SQLite would rather go through all files of these states.
    unfetched = (_file.c.state + "").in_(_UNFETCHED) & (_file.c.source_key == "")
    naming = select(_file.c.owner, _file.c.url, _file.c.task_id, _file.c.number)
    naming = naming.where(_file.c.task_id.in_(open_tasks), unfetched)
    found: dict[tuple[str, str, int], list[Place]] = {}
    for row in connection.execute(naming.where(_file.c.url.startswith(SCHEME))):
        if named := named_by(row.url):
            found.setdefault((row.owner, *named), []).append((row.task_id, row.number))
    return found


def pin(connection: Connection, owner: str, urls: Sequence[str], *, must_be_kept: bool) -> None:
    """Within a submit's transaction: the recordings among its sources stay until the new files have fetched them.

    Whoever removes one at this moment holds its row: that one is waited for, and who comes later sees the new file. One
    that is gone fails its file later, or raises RecordingGoneError here if it ``must_be_kept``.
    """
    named = {url: place for url in urls if (place := named_by(url))}
    if not named:
        return
    rows = or_(*((_file.c.task_id == task_id) & (_file.c.number == number) for task_id, number in named.values()))
    # In order, as all who want several files.
    connection.execute(select(_file.c.id).where(_file.c.owner == owner, rows).order_by(_file.c.id).with_for_update())
    for url in named if must_be_kept else ():
        _kept_source(connection, owner, url)
