"""What recordings are called, and recordings as sources.

What is kept of one is transcribed again under a URL that only its owner's tasks resolve.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import Engine, select

from dashscribe.db import reading, tables
from dashscribe.db.tables import FileState
from dashscribe.errors import NotFoundError
from dashscribe.errors.sources import RecordingGoneError

#: What the URL of a recording as a source begins with. Its id follows, then, for people, its name.
SCHEME = "recording://"
#: Longest title in characters.
MAX_TITLE_CHARS = 300
_ID = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,5})")

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


def kept_source(engine: Engine, owner: str, url: str) -> KeptSource:
    """What is kept of the owner's recording behind a URL. Raises RecordingGoneError, for a foreign one as for none."""
    found = split_id(url.removeprefix(SCHEME).partition("/")[0])
    row = None
    if found:
        query = (
            select(_file.c.source_key, _file.c.source_bytes)
            .join(_task, _task.c.id == _file.c.task_id)
            .where(_task.c.id == found[0], _file.c.number == found[1], _task.c.owner == owner)
            .where(_task.c.removed.is_(False), _file.c.hidden.is_(False))
        )
        with reading(engine) as connection:
            row = connection.execute(query).one_or_none()
    if row is None or not row.source_key:
        raise RecordingGoneError(f"The owner of this API key has no recording {url[:120]!r}, or its sound is not kept.")
    return KeptSource(row.source_key, row.source_bytes)
