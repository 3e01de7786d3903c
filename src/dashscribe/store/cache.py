"""Local copies of blobs that lie elsewhere, for programs that read files, while there is room for them.

What was used longest ago goes first. Several processes may share the folder. A copy gets its name once it is whole and
on disk; whoever uses one holds a lock on it that ends with the process, and only what nobody holds is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dashscribe.store.drafts import Drafts, make_folder


class Cache:
    """Copies of up to ``limit_bytes`` in all, fewer where the disk has less than ``keep_free_bytes`` left.

    Copies in use count, but stay: one that is larger than the limit goes with its last user.
    """

    def __init__(self, folder: Path, limit_bytes: int, keep_free_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes, self._keep_free_bytes = limit_bytes, keep_free_bytes
        self._drafts = Drafts(folder / ".drafts")

    @contextmanager
    def file(self, name: str, size_bytes: int, fill: Callable[[BinaryIO], None]) -> Generator[Path]:
        """The copy of this name, which stands for one content, for as long as the block lasts; else ``fill`` writes it.

        Raises OSError for a full disk, and what ``fill`` raises.
        """
        path = self._folder / name
        copy = _hold(path, size_bytes) or self._make(path, size_bytes, fill)
        try:
            with copy:
                os.utime(path)
                yield path
        finally:
            self._trim()

    def adopt(self, name: str, file: Path) -> None:
        """Keep a file that is at hand as a copy, if that costs nothing; it must not change."""
        if self._limit_bytes == 0:
            return
        with suppress(OSError):  # on another disk, or there already: it will be fetched, or need not be
            make_folder(self._folder)
            with file.open("rb") as content:
                os.fsync(content.fileno())
            (self._folder / name).hardlink_to(file)
        self._trim()

    def free_bytes(self) -> int:
        """Free bytes of the disk; copies that nobody uses are given up before it is called low.

        Asked with every submission and every claim: no reason to look at each copy while there is room.
        """
        if (free_bytes := self._free()) >= self._keep_free_bytes:
            return free_bytes
        self._trim()
        return self._free()

    def clean(self) -> None:
        """Remove half-written copies of processes that are gone, and copies for which there is no room any more."""
        self._drafts.clean()
        self._trim()

    def _make(self, path: Path, size_bytes: int, fill: Callable[[BinaryIO], None]) -> BinaryIO:
        self._trim(size_bytes)
        with self._drafts.draft() as draft:
            with draft.open("xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            copy = draft.open("rb")
            try:
                fcntl.flock(copy, fcntl.LOCK_SH)
                while True:
                    try:
                        path.hardlink_to(draft)
                    except FileExistsError:  # somebody else was as fast
                        if other := _hold(path, size_bytes):
                            copy.close()
                            return other
                    else:
                        return copy
            except BaseException:
                copy.close()
                raise

    def _trim(self, more_bytes: int = 0) -> None:
        """Remove copies that nobody uses until so many bytes more fit."""
        copies = sorted(self._copies())
        total = sum(size for _, size, _ in copies) + more_bytes
        for _, size, path in copies:
            if total <= self._limit_bytes and self._free() - more_bytes >= self._keep_free_bytes:
                return
            if _remove(path):
                total -= size

    def _copies(self) -> Generator[tuple[float, int, Path]]:
        """When each copy was used last, its size, its path."""
        with suppress(FileNotFoundError):
            for entry in os.scandir(self._folder):
                with suppress(FileNotFoundError):
                    if entry.is_file():
                        found = entry.stat()
                        yield found.st_mtime, found.st_size, Path(entry.path)

    def _free(self) -> int:
        folder = self._folder
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _hold(path: Path, size_bytes: int) -> BinaryIO | None:
    """A copy, open and so safe from removal; None where there is none, or one that a crash cut short."""
    try:
        copy = path.open("rb")
    except FileNotFoundError:
        return None
    fcntl.flock(copy, fcntl.LOCK_SH)
    with suppress(FileNotFoundError):
        found = os.fstat(copy.fileno())
        if os.path.samestat(found, path.stat()):  # else it was removed between the two steps
            if found.st_size == size_bytes:
                return copy
            path.unlink()
    copy.close()
    return None


def _remove(path: Path) -> bool:
    """Remove a copy unless somebody holds it."""
    with suppress(OSError), path.open("rb") as copy:
        fcntl.flock(copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False
