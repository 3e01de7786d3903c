"""How a source on disk is opened: by whoever may, for a process that may open nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dashscribe.errors.sources import DecodeError, SourceNotFoundError

ID3_HEADER_BYTES = 10


def open_regular(path: Path) -> int:
    """A file descriptor for reading a regular file. Raises SourceNotFoundError, DecodeError for what is no file."""
    try:
        # What a pipe or a device does with a reader is up to whoever is at its other end: they are not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"There is no file {path.name!r}.") from error
    except (OSError, ValueError) as error:
        raise DecodeError(f"No readable file: {path.name!r} cannot be opened ({error}).") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DecodeError(f"No readable file: {path.name!r} is something else.")
    return descriptor


@contextmanager
def opened(path: Path) -> Generator[int]:
    """The descriptor of ``open_regular`` for the length of a block."""
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag that begins with ``head`` (10 bytes), 0 when it is none: ID3v2.4 section 3.1."""
    if len(head) < ID3_HEADER_BYTES or not head.startswith(b"ID3"):
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return size + ID3_HEADER_BYTES
