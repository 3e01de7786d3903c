"""A file that is written at one end and taken away at the other, for libraries that want a file to write to."""

from __future__ import annotations

from io import RawIOBase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Sink(RawIOBase):
    """Keeps what is written until it is taken; there is no way back in it."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Take note of some bytes."""
        before = len(self._data)
        self._data += data
        return len(self._data) - before

    def take(self) -> bytes:
        """What was written since the last call."""
        data = bytes(self._data)
        self._data.clear()
        return data
