"""Files before they get their name, in a folder per process; what a killed process leaves is told from living ones'."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


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

    def look_anew(self) -> None:
        """Have another folder for the next draft if this process's own is gone: the disk was taken away meanwhile."""
        with self._guard:
            if self._mine is not None and not self._mine.is_dir():
                self._mine = None

    def _own(self) -> Path:
        with self._guard:
            if self._mine is None:
                make_folder(self._folder)
                mine = self._folder / uuid.uuid4().hex
                # Locked under another name first: what ends in .lock and is not locked belongs to nobody.
                fresh = mine.with_suffix(".new")
                self._lock = fresh.open("wb")
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                fresh.rename(mine.with_suffix(".lock"))
                mine.mkdir()
                self._mine = mine
            return self._mine


def make_folder(folder: Path) -> None:
    """Make a folder and its parents so that their names, too, outlive a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
