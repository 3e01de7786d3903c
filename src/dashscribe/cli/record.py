"""From what the results in a folder were made, so that a run that was interrupted can go on where it was.

A result counts for a recording only if it was made from that very file, as it is now, with the same wishes. Several
runs may write to one folder at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import msgspec
from msgspec import Struct

from dashscribe.cli.results import names, put
from dashscribe.cli.sources import Source

#: What is remembered lies in a file of this name, beside the results.
RECORD = ".dashscribe-done.json"

T = TypeVar("T", bound=Struct)
_JSON = json.JSONEncoder(ensure_ascii=False).encode


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
    lines = (f"{_JSON(name)}: {_JSON(msgspec.to_builtins(entry))}" for name, entry in entries.items())
    put(file, ("{\n" + ",\n".join(lines) + "\n}\n").encode(errors="backslashreplace"))


def read_record(file: Path, form: type[T]) -> dict[str, T]:
    """The entries of such a file. Raises OSError, and ValueError for one that is broken."""
    try:
        return msgspec.convert(json.loads(file.read_bytes()), type=dict[str, form])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


class Origin(Struct, frozen=True):
    """From what a result was made, and with which wishes, as a digest."""

    source: str
    mark: Mark
    wishes: str


class Record:
    """The origins of the results in ``folder``, by file name, for a run with these ``wishes`` in ``formats``."""

    def __init__(self, folder: Path, formats: Sequence[str], wishes: object) -> None:
        self._folder, self._file, self._formats = folder, folder / RECORD, formats
        self._wishes = hashlib.sha256(repr(wishes).encode(errors="surrogatepass")).hexdigest()[:16]
        self._known: dict[str, Origin] = {}
        #: By what the file of which that was the content is known again.
        self._version: tuple[int, int] | None = None
        self._read()

    def origin(self, source: Source) -> Origin | None:
        """The source as it is now; None for what is no file here, such as a URL, which nobody could know again."""
        path = Path(source.name)
        with suppress(OSError):
            if source.is_file:
                return Origin(str(path.resolve()), Mark.of(path), self._wishes)
        return None

    def names(self, sources: Sequence[Source], origins: Sequence[Origin | None]) -> list[str]:
        """A name for the results of each source: the one that it has here, or one that no other recording has here.

        Another recording that is gone has none any more.
        """
        had = {origin.source: Path(file).stem for file, origin in self._known.items()}
        before = [had.pop(origin.source, "") if origin else "" for origin in origins]
        there = [name for path, name in had.items() if os.path.exists(path)]  # noqa: PTH110 (never raises)
        return names(sources, before, there)

    def results(self, name: str, origin: Origin | None) -> list[Path]:
        """The results of that name if they are all there, were made from that and are newer; else none."""
        paths = [self._folder / file for file in self._files(name)]
        if origin is None or any(self._known.get(path.name) != origin for path in paths):
            return []
        with suppress(OSError):
            if all(path.stat().st_mtime_ns >= origin.mark.changed_ns for path in paths):
                return paths
        return []

    def forget(self, name: str) -> OSError | None:
        """Results of that name are about to be replaced; the reason where that cannot be written down."""
        return self._enter(name, None)

    def keep(self, name: str, origin: Origin | None) -> OSError | None:
        """Results of that name were made from that; the reason where that cannot be written down."""
        return self._enter(name, origin) if origin else None

    def _files(self, name: str) -> list[str]:
        return [f"{name}.{format_name}" for format_name in self._formats]

    def _enter(self, name: str, origin: Origin | None) -> OSError | None:
        """Put that down for the results of that name, and leave what others did as it is."""
        try:
            if not (origin or self._file.exists()):
                return None
            with self._alone():
                self._read()
                known = self._without(name, origin) | (dict.fromkeys(self._files(name), origin) if origin else {})
                if known != self._known:
                    self._known = known
                    write_record(self._file, self._known)
                    self._version = _version(self._file)
        except OSError as error:
            return error
        return None

    def _without(self, name: str, origin: Origin | None) -> dict[str, Origin]:
        """What stays when results of that name are replaced; the name is then that of one recording only."""
        made = self._files(name)
        return {
            file: known
            for file, known in self._known.items()
            if file not in made and (not origin or known.source == origin.source or Path(file).stem != name)
        }

    @contextmanager
    def _alone(self) -> Generator[None]:
        """While no other run changes the file, which is replaced with each change. Raises OSError."""
        while True:
            lock = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(lock), self._file.stat()):
                    yield
                    return
            finally:
                os.close(lock)

    def _read(self) -> None:
        """Read the file if it is another than the one read or written last."""
        # One that is missing or broken only means that everything is done again.
        with suppress(OSError, ValueError):
            version = _version(self._file)
            if version != self._version:
                self._known, self._version = {}, version
                self._known = read_record(self._file, Origin)


def _version(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_ino, stat.st_mtime_ns
