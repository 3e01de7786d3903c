"""From what the results in a folder were made, so that a run that was interrupted can go on where it was.

A result counts for a recording only if it was made from that very file, as it is now, with the same wishes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import msgspec
from msgspec import Struct

from dashscribe.cli.results import put
from dashscribe.cli.sources import Source

#: What is remembered lies in a file of this name, beside the results.
RECORD = ".dashscribe-done.json"

T = TypeVar("T", bound=Struct)


class Mark(Struct, frozen=True):
    """By what a file is known again: its size and when it was last changed."""

    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The mark of a file as it is now. Raises OSError."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns)


def write_record(file: Path, entries: Mapping[str, Struct]) -> None:
    """Put JSON into the place of a file in one step, a line for each entry. Raises OSError.

    Names of files may hold bytes that are no UTF-8, as lone surrogates, for which JSON has escapes.
    """
    lines = (f"{_json(name)}: {_json(msgspec.to_builtins(entry))}" for name, entry in entries.items())
    put(file, ("{\n" + ",\n".join(lines) + "\n}\n").encode(errors="backslashreplace"))


def read_record(file: Path, form: type[T]) -> dict[str, T]:
    """The entries of such a file. Raises OSError, and ValueError for one that is broken."""
    try:
        return msgspec.convert(json.loads(file.read_bytes()), type=dict[str, form])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class Origin(Struct, frozen=True):
    """From what a result was made, and with which wishes, as a digest."""

    source: str
    mark: Mark
    wishes: str


class Record:
    """The origins of the results in ``folder``, by name, for a run with these ``wishes`` in ``formats``."""

    def __init__(self, folder: Path, formats: Sequence[str], wishes: object) -> None:
        self._folder, self._formats = folder, formats
        self._wishes = hashlib.sha256(repr(wishes).encode(errors="surrogatepass")).hexdigest()[:16]
        self._known: dict[str, Origin] = {}
        # One that is missing or broken only means that everything is done again.
        with suppress(OSError, ValueError):
            self._known = read_record(folder / RECORD, Origin)

    def origin(self, source: Source) -> Origin | None:
        """The source as it is now; None for what is no file here, such as a URL, which nobody could know again."""
        path = Path(source.name)
        with suppress(OSError):
            if source.is_file:
                return Origin(ascii(str(path.resolve())), Mark.of(path), self._wishes)
        return None

    def results(self, name: str, origin: Origin | None) -> list[Path]:
        """The results of that name if they are all there, were made from that and are newer; else none."""
        paths = [self._folder / f"{name}.{format_name}" for format_name in self._formats]
        if origin is None or self._known.get(name) != origin:
            return []
        with suppress(OSError):
            if all(path.stat().st_mtime_ns >= origin.mark.changed_ns for path in paths):
                return paths
        return []

    def keep(self, name: str, origin: Origin | None) -> OSError | None:
        """Results of that name were made from that; the reason where it cannot be written down."""
        if origin:
            self._known[name] = origin
        elif self._known.pop(name, None) is None:
            return None
        try:
            write_record(self._folder / RECORD, self._known)
        except OSError as error:
            return error
        return None
