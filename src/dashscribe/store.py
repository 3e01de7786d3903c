"""Blobs under keys in a local folder: a put is whole and on disk when it returns, or nothing of it is seen.

Who may read a blob and how long it lives is decided elsewhere. Plain files rather than obstore, whose local store never
calls fsync and leaves its half-written files beside the blobs, under names that cannot be told from theirs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from dashscribe.errors import ConfigError

#: One part of a key: no separator, no leading dot (which would admit ".."), nothing that shells or URLs read specially.
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
#: Longest key, well under what file systems and object stores take.
MAX_KEY_CHARS = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put wrote."""

    size_bytes: int
    sha256: str


class Store:
    """The blobs in one folder; several processes may share it."""

    def __init__(self, url: str) -> None:
        """Open ``file:///PATH``; the folder is made with the first put."""
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ConfigError(f"store_url={url!r}: give file:///PATH; other stores are not supported yet")
        self._root = Path(unquote(parts.path))
        self._drafts = Drafts(self._root / ".drafts")

    def put(self, key: str, data: bytes | Path) -> Stored:
        """Write a blob, replacing one of the same key in one step. A file is linked or copied and must not change."""
        target = self._locate(key)
        with self._drafts.draft() as draft:
            stored = _link(data, draft) if isinstance(data, Path) else _write(data, draft)
            _make_folder(target.parent)
            draft.replace(target)
        _sync(target.parent)
        return stored

    def read(self, key: str) -> bytes:
        """A blob's bytes; raises FileNotFoundError."""
        return self._locate(key).read_bytes()

    @contextmanager
    def path(self, key: str) -> Generator[Path]:
        """A local file with the blob's bytes, to be read only, for as long as the block lasts; FileNotFoundError."""
        path = self._locate(key)
        if not path.is_file():
            raise FileNotFoundError(f"the store holds no {key!r}")
        yield path

    def size(self, key: str) -> int | None:
        """A blob's size in bytes, None when there is none."""
        try:
            return self._locate(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        return self.size(key) is not None

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        self._locate(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose key begins with ``prefix`` and a slash."""
        shutil.rmtree(self._locate(prefix), ignore_errors=True)

    def free_bytes(self) -> int:
        """How much the store can still take."""
        return shutil.disk_usage(self._nearest()).free

    def check_writable(self) -> None:
        """Write a file that has no name and leaves nothing behind; raises OSError where that cannot be done."""
        with TemporaryFile(dir=self._nearest()) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())

    def _nearest(self) -> Path:
        """The store's folder, or the closest one above it that exists."""
        folder = self._root
        while not folder.exists():
            folder = folder.parent
        return folder

    def clean(self) -> None:
        """Remove half-written blobs of processes that are gone."""
        self._drafts.clean()

    def _locate(self, key: str) -> Path:
        if len(key) > MAX_KEY_CHARS or not all(_PART.fullmatch(part) for part in key.split("/")):
            raise ValueError(f"{key[:100]!r} is no store key: parts of A-Z a-z 0-9 . _ - joined by single slashes")
        return self._root / key


class Drafts:
    """Where blobs are written before they get their name: a folder per process, locked for as long as it lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine: Path | None = None
        self._lock: BinaryIO | None = None
        self._guard = threading.Lock()

    @contextmanager
    def draft(self) -> Generator[Path]:
        """A path for one new file; removed at the end unless it was moved away."""
        path = self._own() / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove the folders of processes that hold their lock no more."""
        for lock in self._folder.glob("*.lock"):
            with suppress(OSError), lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()

    def _own(self) -> Path:
        with self._guard:
            if self._mine is None:
                _make_folder(self._folder)
                mine = self._folder / uuid.uuid4().hex
                # Locked under another name first: what ends in .lock and is not locked belongs to nobody.
                fresh = mine.with_suffix(".new")
                self._lock = fresh.open("wb")
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                fresh.rename(mine.with_suffix(".lock"))
                mine.mkdir()
                self._mine = mine
            return self._mine


def _write(data: bytes, path: Path) -> Stored:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Stored(len(data), hashlib.sha256(data).hexdigest())


def _link(source: Path, path: Path) -> Stored:
    """Give a file on the same file system a second name, which costs nothing; else copy it."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        return Stored(file.tell(), digest.hexdigest())


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents so that their names, too, outlive a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
