"""Recordings as browsers play them: the source itself where all of them do, else a copy, made once.

A copy is an MP3 beside the source. It is made by a media child when somebody first wants to hear the recording, one at
a time in each process, and lies under a key of its own: two who make it at once make the same.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Engine, select

from dashscribe import files
from dashscribe.db import reading, tables
from dashscribe.errors import DashscribeError, NotFoundError, NotReadyError
from dashscribe.hosts.protocol import CutEnd, Position
from dashscribe.opening import ID3_HEADER_BYTES, id3_bytes, opened
from dashscribe.recordings import not_found, title_of
from dashscribe.store import Store
from dashscribe.types import Media
from dashscribe.uploads import UploadBook

if TYPE_CHECKING:
    from dashscribe.hosts import Hosts

#: What Chromium, Firefox and Safari all play and find any moment in, by container and codec, with its media type.
PLAYED = {
    ("wav", "pcm_s16le"): "audio/wav",
    ("wav", "pcm_s24le"): "audio/wav",
    ("wav", "pcm_u8"): "audio/wav",
    ("mp3", "mp3"): "audio/mpeg",
    ("m4a", "aac"): "audio/mp4",
    ("mp4", "aac"): "audio/mp4",
    ("flac", "flac"): "audio/flac",
}
COPY_TYPE = "audio/mpeg"
#: What names of files end with, by media type.
EXTENSIONS = {"audio/wav": "wav", COPY_TYPE: "mp3", "audio/mp4": "m4a", "audio/flac": "flac"}
#: Beyond these, some of them play nothing, or only some of the channels.
MOST_CHANNELS, MOST_RATE_HZ = 2, 48_000
#: For how long a copy that could not be made is not tried again, in seconds.
FAILED_S = 60.0
#: What a client is told to wait while nothing is known of how long it will take, and at most, in seconds.
RETRY_S, MOST_RETRY_S = 2, 30

logger = logging.getLogger(__name__)

_file, _task = tables.files, tables.tasks


def copy_key(file_prefix: str) -> str:
    """Where the copy of a file for browsers lies, if one was made."""
    return f"{file_prefix}/sound.mp3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The stored source of a recording, and what people call it."""

    name: str
    task_id: str
    number: int
    key: str
    media: Media
    is_damaged: bool

    @property
    def copy_key(self) -> str:
        """Where the copy for browsers lies, if one was made."""
        return copy_key(files.prefix_of(self.task_id, self.number))


@dataclass(frozen=True, slots=True)
class Sound:
    """What to send: the blob's key and type."""

    key: str
    media_type: str


@dataclass(slots=True)
class _Making:
    """A copy that is being made, or could not be; ``done_ms`` of its sound are encoded."""

    begun_s: float
    done_ms: int = 0
    error: DashscribeError | None = None
    ended_s: float = 0.0


class Sounds:
    """The sounds of one installation, and the copies that this process makes."""

    def __init__(self, engine: Engine, store: Store, uploads: UploadBook, hosts: Hosts) -> None:
        self._engine, self._store, self._uploads, self._hosts = engine, store, uploads, hosts
        self._making: dict[str, _Making] = {}
        self._guard = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "dashscribe-sounds")

    def source(self, task_id: str, number: int, owner: str | None = None) -> Source:
        """A recording's source, whoever the owner is if none is given: for URLs whose signature is the permission.

        Raises NotFoundError where there is none, or none any more.
        """
        query = (
            select(_file.c.source_key, _file.c.media, _file.c.cut, _file.c.title, _file.c.url)
            .join(_task, _task.c.id == _file.c.task_id)
            .where(_task.c.id == task_id, _file.c.number == number, _task.c.removed.is_(False))
            .where(_file.c.hidden.is_(False))
        )
        with reading(self._engine) as connection:
            row = connection.execute(query if owner is None else query.where(_task.c.owner == owner)).one_or_none()
        if row is None:
            raise not_found(f"{task_id}.{number}")
        if not row.source_key or not row.media:
            raise NotFoundError("The recording has no sound here: it is not fetched yet, or is not kept any more.")
        media = msgspec.json.decode(row.media, type=Media)
        lost = bool(row.cut) and bool(msgspec.json.decode(row.cut, type=CutEnd).lost)
        name = title_of(row.title, row.url)
        return Source(name=name, task_id=task_id, number=number, key=row.source_key, media=media, is_damaged=lost)

    def sound(self, source: Source) -> Sound:
        """What plays the recording everywhere. Raises NotReadyError while it is being made, which this begins.

        Raises what went wrong with making it, for a while, and FileNotFoundError where the source is gone.
        """
        if media_type := self._played(source):
            return Sound(source.key, media_type)
        if self._store.exists(source.copy_key):
            return Sound(source.copy_key, COPY_TYPE)
        making = self._begin(source)
        if making.error:
            raise making.error
        raise NotReadyError(
            f"A copy that browsers play is being made: {making.done_ms} of {source.media.duration_ms} ms are done.",
            _retry_after_s(making, source.media.duration_ms),
        )

    def _played(self, source: Source) -> str:
        """The media type of a source that is played as it is; empty for others."""
        media = source.media
        media_type = PLAYED.get((media.container, media.codec), "")
        # Where sound was lost ours is silent, so that times hold; a player would leave it out.
        if media.channel_count > MOST_CHANNELS or media.rate_hz > MOST_RATE_HZ or source.is_damaged:
            return ""
        if media.container == "mp3":
            with self._store.path(source.key) as path:
                return "" if _varies(path) else media_type
        return media_type

    def _begin(self, source: Source) -> _Making:
        """What is known of the copy, whose making is begun unless it is under way or failed a short while ago."""
        with self._guard:
            now_s = time.monotonic()
            for key in [key for key, one in self._making.items() if one.error and now_s - one.ended_s > FAILED_S]:
                del self._making[key]
            making = self._making.get(source.copy_key)
            if making is None:
                making = self._making[source.copy_key] = _Making(now_s)
                self._thread.submit(self._make, source, making)
            return making

    def _make(self, source: Source, making: _Making) -> None:
        try:
            self._copy(source, making)
        except DashscribeError as error:
            making.error = error
        except Exception as error:  # the store or the database, as a rule: it must not seem to go on for ever
            logger.exception("no copy of %s for browsers", source.key)
            making.error = DashscribeError(f"The copy for browsers cannot be made: {type(error).__name__}.")
        making.ended_s = time.monotonic()
        if making.error is None:
            with self._guard:
                self._making.pop(source.copy_key, None)

    def _copy(self, source: Source, making: _Making) -> None:
        if self._store.exists(source.copy_key):  # it was made just now, by this process or another one
            return
        self._uploads.check_room()
        mix = source.media.channel_count > MOST_CHANNELS
        with self._store.path(source.key) as path, self._uploads.folder() as folder:
            copy = folder / "sound.mp3"
            with copy.open("wb") as file:
                for piece in self._hosts.encode(path, url=source.media.url, mix=mix):
                    if isinstance(piece, Position):
                        making.done_ms = piece.position_ms
                    else:
                        file.write(piece)
            self._store.put(source.copy_key, copy)
        try:
            self.source(source.task_id, source.number)
        except NotFoundError:  # it was deleted meanwhile, perhaps before the copy was there to be deleted
            self._store.delete(source.copy_key)
            raise


def _varies(path: Path) -> bool:
    """Whether an MP3 says that its bit rate varies: browsers guess where a moment in such a file lies."""
    with opened(path) as file:
        begin = id3_bytes(os.pread(file, ID3_HEADER_BYTES, 0))
        head = os.pread(file, 4096, begin)
    return b"Xing" in head or b"VBRI" in head


def _retry_after_s(making: _Making, duration_ms: int) -> int:
    """When it is worth asking again, by how fast it went so far."""
    if not making.done_ms:
        return RETRY_S
    left_s = (time.monotonic() - making.begun_s) * max(0, duration_ms - making.done_ms) / making.done_ms
    return max(1, min(MOST_RETRY_S, round(left_s)))
