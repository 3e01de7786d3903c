"""Long lists on disk instead of in memory: what a step goes through more than once, however long the source is.

Twelve hours of words take 25 MB as objects, the voiceprints of as long as much again, and each stage makes new ones.
Here they lie in one file without a name, which is gone when the step has ended, also if the process is killed.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import IO, Generic, TypeVar, overload

import msgspec

#: How many values are written and read at once: the most that there are in memory of a list.
BLOCK = 64

T = TypeVar("T")


class Spool(AbstractContextManager["Spool"]):
    """The file for all lists of one step. Only one thread may use it."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (closed by __exit__)
        self._end = 0

    def __exit__(self, *error: object) -> None:
        """Give the room back; nothing that was kept can be read any more."""
        self._file.close()

    def keep(self, kind: type[T], values: Iterable[T], /) -> Sequence[T]:
        """The same values, of a kind that msgspec knows. Raises OSError where the disk does not take them."""
        rest, places, count = iter(values), list[tuple[int, int]](), 0
        while block := list(islice(rest, BLOCK)):
            places.append(self._write(msgspec.msgpack.encode(block)))
            count += len(block)
        return _Kept(self._file, msgspec.msgpack.Decoder(list[kind]), places, count)

    def _write(self, data: bytes) -> tuple[int, int]:
        begin, view = self._end, memoryview(data)
        while view:
            written = os.pwrite(self._file.fileno(), view, self._end)
            self._end, view = self._end + written, view[written:]
        return begin, len(data)


class _Kept(Sequence[T], Generic[T]):
    """A list in a spool, of which a block at a time is in memory; ``places`` are where blocks begin and how long.

    Reading raises ValueError once the spool is closed, and OSError where the file has lost what was written.
    """

    def __init__(
        self, file: IO[bytes], decoder: msgspec.msgpack.Decoder[list[T]], places: Sequence[tuple[int, int]], count: int
    ) -> None:
        self._file, self._decoder, self._places, self._count = file, decoder, places, count

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._places)):
            yield from self._block(number)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._count))]
        at = range(self._count)[index]  # from the end, too; raises IndexError
        return self._block(at // BLOCK)[at % BLOCK]

    def _block(self, number: int) -> list[T]:
        begin, size = self._places[number]
        # The file itself is asked for its number: of one that is closed, another step's may have the same by now.
        data = os.pread(self._file.fileno(), size, begin)
        while len(data) < size:
            if not (more := os.pread(self._file.fileno(), size - len(data), begin + len(data))):
                raise OSError(errno.EIO, f"what a step kept ends after {begin + len(data)} bytes")
            data += more
        return self._decoder.decode(data)
