"""What every store does, which keys there are, and how a store fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: One part of a key: no separator, no leading dot (which would admit ".."), nothing that shells or URLs read specially.
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
#: Longest key, well under what file systems and object stores take.
MAX_KEY_CHARS = 500
#: How much of a blob is read or sent at once, in bytes: the most that a store holds of it in memory, some times over.
#: S3 wants parts of 5 MiB or more, and no more than 10,000 of them: 50 GB where nobody knows beforehand how much comes.
CHUNK_BYTES = 5 * 1024**2


class StoreError(OSError):
    """A store does not do what it should: ``StoreError(errno, message)``; the message ends with ``: `` and a remedy."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put wrote."""

    size_bytes: int
    sha256: str


class Store(Protocol):
    """Blobs under keys. Methods raise ValueError for what is no key, OSError for trouble with the store."""

    #: Whether other machines reach it, as they do not reach this one's disk.
    is_remote: bool

    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> Stored:
        """Write a blob, replacing one of the same key in one step. A file may be linked and must not change."""
        ...

    def read(self, key: str) -> bytes:
        """A blob's bytes; raises FileNotFoundError."""
        ...

    def chunks(self, key: str) -> Iterator[bytes]:
        """A blob's bytes, little by little; raises FileNotFoundError."""
        ...

    def path(self, key: str) -> AbstractContextManager[Path]:
        """A local file with the blob's bytes, to be read only, for as long as the block lasts; FileNotFoundError.

        A file that was opened meanwhile can be read to its end.
        """
        ...

    def size(self, key: str) -> int | None:
        """A blob's size in bytes, None when there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        ...

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose key begins with ``prefix`` and a slash; raises OSError if one of them may be left."""
        ...

    def free_bytes(self) -> int:
        """Free bytes of the disk that fills up here: a folder's own.

        What a bucket still takes, nobody can ask: there it is the disk of the home, on which everything lies that comes
        in or is worked on, and a full bucket is noticed when it refuses a put.
        """
        ...

    def check_known(self) -> None:
        """Raise StoreError if this is not the store that the database knows; the first that it sees becomes that.

        Only of a folder is that a question: a bucket has its own way to tell that it is away.
        """
        ...

    def check_writable(self) -> None:
        """Write something and leave nothing behind; raises OSError where that cannot be done."""
        ...

    def clean(self) -> None:
        """Remove what processes that are gone have left half-written on this machine."""
        ...

    def where(self) -> str:
        """Where it is, in words, without secrets."""
        ...


def check_key(key: str) -> str:
    """The key itself; raises ValueError for one that is none."""
    if len(key) > MAX_KEY_CHARS or not all(_PART.fullmatch(part) for part in key.split("/")):
        raise ValueError(f"{key[:100]!r} is no store key: parts of A-Z a-z 0-9 . _ - joined by single slashes")
    return key
