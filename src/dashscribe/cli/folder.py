"""A watched folder: which recordings in it are complete, where their results go, what became of them before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from dashscribe.cli.record import Mark, write_record
from dashscribe.cli.sources import Source, media_below
from dashscribe.errors import ConfigError, DashscribeError

#: What is remembered lies in a file of this name, beside the results.
MEMORY = ".dashscribe-watch.json"


class Done(Struct, frozen=True):
    """What became of a recording: the name of its results, and what was wrong with it if it failed."""

    mark: Mark
    name: str
    error: str = ""


class Incoming:
    """Tells which recordings of a folder are complete: they hold something and have not changed for ``settle_s``."""

    def __init__(self, folder: Path, settle_s: float) -> None:
        self._folder, self._settle_s = folder, settle_s
        self._seen: dict[Path, tuple[Mark, float]] = {}
        #: How many were not complete at the last look; of empty ones nobody knows whether they ever will be.
        self.unsettled = 0

    def look(self, now_s: float) -> Iterator[tuple[Path, Mark]]:
        """The complete recordings. Raises DashscribeError when the folder is gone."""
        if not self._folder.is_dir():
            raise DashscribeError(f"{self._folder} is gone; nothing can be watched there")
        seen, self._seen, self.unsettled = self._seen, {}, 0
        for name in media_below(self._folder):
            path = Path(name)
            try:
                mark = Mark.of(path)
            except OSError:  # moved away again
                continue
            before, since_s = seen.get(path, (None, now_s))
            self._seen[path] = (mark, since_s if mark == before else now_s)
            if mark.size and now_s - self._seen[path][1] >= self._settle_s:
                yield path, mark
            elif mark.size:
                self.unsettled += 1


class Memory:
    """What was done in a folder, kept on the disk; a context manager, which at most one program has at a time.

    ``out`` is where results go, in folders like those of the recordings; without it they go beside them. ``forget``
    leaves only the names that results have.
    """

    def __init__(self, folder: Path, out: Path | None, formats: tuple[str, ...], *, forget: bool) -> None:
        self._folder, self._out, self._formats, self._forget = folder, out, formats, forget
        self._file = (out or folder) / MEMORY
        self._done: dict[str, Done] = {}
        #: Of each folder the names of results, without regard to case, and the recordings that have them.
        self._taken: dict[str, dict[str, str]] = {}
        self._names: dict[str, str] = {}
        self._at_work: dict[int, tuple[Path, Mark]] = {}
        self._lock = -1

    @property
    def count(self) -> int:
        """How many recordings were done."""
        return len(self._done)

    def __enter__(self) -> Self:
        """Read it. Raises ConfigError where it cannot be read or another program has it."""
        place = self._file.parent
        try:
            place.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another `dashscribe watch` writes its results to {place}") from error
        except OSError as error:
            raise ConfigError(f"{place} cannot be used for results: {error.strerror}") from error
        for key, done in self._read().items():
            self._call(key, done.name)
            if not self._forget:
                self._done[key] = done
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def wants(self, path: Path, mark: Mark) -> bool:
        """Whether a recording is to be done: it is new or has changed, and is not at work."""
        done = self._done.get(self._key(path))
        return (done is None or done.mark != mark) and all(path != busy for busy, _ in self._at_work.values())

    def adopt(self, path: Path, mark: Mark) -> list[Path]:
        """The results of a recording that nobody remembers but that are there and newer: it counts as done."""
        key = self._key(path)
        if self._forget or key in self._done or self._is_taken(key, path.stem):
            return []
        paths = [self._results(path) / f"{path.stem}.{name}" for name in self._formats]
        try:
            if any(there.stat().st_mtime_ns < mark.changed_ns for there in paths):
                return []
        except OSError:
            return []
        self._call(key, path.stem)
        self._keep(key, Done(mark, path.stem))
        return paths

    def begin(self, path: Path, mark: Mark, index: int) -> Source:
        """The recording as the source with that number."""
        self._call(self._key(path), self._name(path))
        self._at_work[index] = (path, mark)
        return Source(str(path))

    def place(self, index: int) -> tuple[Path, str]:
        """The folder and the name for the results of a source that is at work."""
        path, _ = self._at_work[index]
        folder = self._results(path)
        folder.mkdir(parents=True, exist_ok=True)
        return folder, self._names[self._key(path)]

    def end(self, index: int, error: Exception | None) -> None:
        """Keep what became of a source."""
        path, mark = self._at_work.pop(index)
        key = self._key(path)
        self._keep(key, Done(mark, self._names[key], str(error) if error else ""))

    def drop(self, index: int) -> Path:
        """Keep nothing of a source, which is to be tried again."""
        return self._at_work.pop(index)[0]

    def _read(self) -> dict[str, Done]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Done])
        except FileNotFoundError:
            return {}
        except (msgspec.MsgspecError, OSError) as error:
            if self._forget:
                return {}
            raise ConfigError(f"{self._file} cannot be read: {error}; remove it, or --force replaces it") from error

    def _keep(self, key: str, done: Done) -> None:
        self._done[key] = done
        write_record(self._file, self._done)

    def _key(self, path: Path) -> str:
        """The recording's place in the folder, as text."""
        return os.fsencode(path.relative_to(self._folder)).decode(errors="backslashreplace")

    def _results(self, path: Path) -> Path:
        """The folder for the results of a recording."""
        return (self._out or self._folder) / path.parent.relative_to(self._folder)

    def _name(self, path: Path) -> str:
        """The name of before; else one that no other recording has and that replaces no file of somebody else's."""
        key = self._key(path)
        if key in self._names:
            return self._names[key]
        folder, number, name = self._results(path), 2, path.stem
        while self._is_taken(key, name) or any((folder / f"{name}.{kind}").exists() for kind in self._formats):
            if name == path.stem:
                name = path.name
            else:
                name, number = f"{path.name}-{number}", number + 1
        return name

    def _call(self, key: str, name: str) -> None:
        self._names[key] = name
        self._taken.setdefault(key.rpartition("/")[0], {})[name.casefold()] = key

    def _is_taken(self, key: str, name: str) -> bool:
        """Whether another recording of the same folder has the name."""
        return self._taken.get(key.rpartition("/")[0], {}).get(name.casefold(), key) != key
