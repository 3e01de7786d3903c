"""Recordings as sources: what is kept of one is transcribed again, under a URL that only its owner's tasks resolve."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import Engine, select

from dashscribe.db import reading, tables
from dashscribe.errors.sources import RecordingGoneError

#: What the URL of a recording as a source begins with. Its id follows, then, for people, its name.
SCHEME = "recording://"
_URL = re.compile(r"recording://([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,5})(/.*)?")

_file, _task = tables.files, tables.tasks


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
    found = _URL.fullmatch(url)
    row = None
    if found:
        query = (
            select(_file.c.source_key, _file.c.source_bytes)
            .join(_task, _task.c.id == _file.c.task_id)
            .where(_task.c.id == found[1], _file.c.number == int(found[2]), _task.c.owner == owner)
            .where(_task.c.removed.is_(False), _file.c.hidden.is_(False))
        )
        with reading(engine) as connection:
            row = connection.execute(query).one_or_none()
    if row is None or not row.source_key:
        raise RecordingGoneError(f"The owner of this API key has no recording {url[:120]!r}, or its sound is not kept.")
    return KeptSource(row.source_key, row.source_bytes)
