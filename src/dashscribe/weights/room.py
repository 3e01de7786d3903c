"""Room on the disk: asked for before work that needs much, watched while it is taken, told plainly when it is gone."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dashscribe.errors import WeightsError

#: How much may be written between two looks at the disk, in bytes.
LOOK_BYTES = 64 * 1024**2
#: EFBIG: a limit on the size of files, as `ulimit -f` sets it.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoomLeftError(WeightsError):
    """The disk is too full, or would be; another mirror would not help."""


class Room:
    """What the disk of ``folder`` may still take: all but ``reserve_bytes``."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder, self._reserve_bytes = folder, reserve_bytes
        self._unseen_bytes = 0

    def need(self, size_bytes: int, what: str) -> None:
        """Raise NoRoomLeftError unless so many bytes fit beside the reserve."""
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes - size_bytes < self._reserve_bytes:
            raise NoRoomLeftError(
                f"{what} needs {mb(size_bytes)} in {self._folder}, where {mb(free_bytes)} are free and "
                f"{mb(self._reserve_bytes)} are to stay free (DASHSCRIBE_DISK_RESERVE_BYTES): make room, or set "
                "DASHSCRIBE_MODELS_DIR to a larger disk"
            )

    def took(self, size_bytes: int, what: str) -> None:
        """Count what was written; raise NoRoomLeftError when the reserve is reached."""
        self._unseen_bytes += size_bytes
        if self._unseen_bytes >= LOOK_BYTES:
            self._unseen_bytes = 0
            self.need(0, what)


@contextmanager
def disk_errors(what: str, folder: Path) -> Generator[None]:
    """Turn what the file system refuses into a WeightsError that names ``what`` was done, and where."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoomLeftError(
                f"{what}: {error.strerror} in {folder}; make room and run the command again, or set "
                "DASHSCRIBE_MODELS_DIR to a larger disk"
            ) from error
        raise WeightsError(f"{what}: {error.filename or folder}: {error.strerror or error}") from error


def mb(size_bytes: int) -> str:
    """A size as people read it: 0.3 MB, 163 MB, 1,020 MB."""
    return f"{size_bytes / 1e6:,.{0 if size_bytes >= 10e6 else 1}f} MB"
