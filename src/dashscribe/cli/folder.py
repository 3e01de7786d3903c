"""A watched folder: which recordings in it are complete, where their results go, what became of them before."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from dashscribe.cli.record import Mark, read_record, write_record
from dashscribe.cli.results import short
from dashscribe.cli.sources import Source, media_below
from dashscribe.errors import ConfigError, DashscribeError

#: What is remembered lies in a file of this name, beside the results.
MEMORY = ".dashscribe-watch.json"


class Done(Struct, frozen=True):
    """What became of a recording: the name of its results, and what was wrong with it if it failed.

    ``inode`` tells it from others of the same size and time when it is renamed; ``was`` is what it was called when its
    results were written, empty if that is what it is called. ``formats`` are those of its results, empty where nobody
    wrote them down.
    """

    mark: Mark
    name: str
    error: str = ""
    inode: int = 0
    was: str = ""
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _AtWork:
    """A recording that is being read: as it was found complete."""

    path: Path
    mark: Mark
    inode: int

    def is_at(self, path: Path) -> bool:
        """Whether it, unchanged, is what lies there."""
        with suppress(OSError):
            return Mark.of(path) == self.mark and _inode(path) == self.inode
        return False


class ChangedError(Exception):
    """A recording is no longer what was found complete: it was changed, renamed or removed before it was read."""


class Incoming:
    """Tells which recordings of a folder are complete.

    They hold something, have not changed for ``settle_s``, and no program of this machine has them open to write, as
    far as the file system tells.
    """

    def __init__(self, folder: Path, settle_s: float) -> None:
        self._folder, self._settle_s = folder, settle_s
        self._seen: dict[Path, tuple[Mark, float]] = {}
        #: How many were not complete at the last look; of empty ones nobody knows whether they ever will be.
        self.unsettled = 0
        #: What could not be read at the last look, and why.
        self.closed: dict[str, OSError] = {}

    def look(self, now_s: float) -> Iterator[tuple[Path, Mark]]:
        """Those that may be complete: ``is_written`` tells the rest. Raises DashscribeError when the folder is gone."""
        if not self._folder.is_dir():
            raise DashscribeError(f"{self._folder} is gone; nothing can be watched there")
        seen, self._seen, self.unsettled, self.closed = self._seen, {}, 0, {}
        for name in media_below(self._folder, self.closed.__setitem__):
            path = Path(name)
            try:
                mark = Mark.of(path)
            except PermissionError as error:
                self.closed[name] = error
                continue
            except OSError:  # moved away again
                continue
            before, since_s = seen.get(path, (None, now_s))
            self._seen[path] = (mark, since_s if mark == before else now_s)
            if mark.size and now_s - self._seen[path][1] >= self._settle_s:
                yield path, mark
            elif mark.size:
                self.unsettled += 1

    def is_written(self, path: Path) -> bool:
        """Whether a program has the file open to write, so that it is not complete yet."""
        written = _is_open_to_write(path)
        self.unsettled += written
        return written


def _is_open_to_write(path: Path) -> bool:
    """Whether a program here has the file open to write; False where the system does not tell, as on network shares.

    A lease to read is granted only while nobody may write. It is given back at once, so that whoever opens the file in
    that moment hardly waits; the signal that would tell us of it is not wanted.
    """
    if not hasattr(fcntl, "F_SETLEASE"):  # no Linux
        return False
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


class Memory:
    """What was done in a folder, kept on the disk; a context manager, which at most one program has at a time.

    ``out`` is where results go, in folders like those of the recordings; without it they go beside them. ``forget``
    leaves only the names that results have.
    """

    def __init__(self, folder: Path, out: Path | None, formats: tuple[str, ...], *, forget: bool) -> None:
        self._folder, self._out, self._formats, self._forget = folder, out, formats, forget
        self._file = (out or folder) / MEMORY
        self._done: dict[str, Done] = {}
        #: Whose the results of a folder and name are, without regard to case, and what the next ones are to be called.
        self._taken: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._by_inode: dict[int, str] = {}
        #: What is being read, by its number, and the same by path and by inode.
        self._at_work: dict[int, _AtWork] = {}
        self._paths: dict[Path, _AtWork] = {}
        self._inodes: dict[int, _AtWork] = {}
        self._unsaved = False
        self._lock = -1

    @property
    def before(self) -> str:
        """How many recordings were done before, and what of the formats they lack, for people."""
        lacks = [set(self._formats) - set(done.formats) for done in self._done.values() if done.formats]
        count, names = sum(map(bool, lacks)), ", ".join(sorted(set[str]().union(*lacks)))
        without = f", {count} of them without {names} (--force does all again)" if count else ""
        return f"{len(self._done)} done before{without}"

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
            self._remember(key, done)
        if self._forget:
            self._done, self._by_inode = {}, {}
        self._unsaved = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def wants(self, path: Path, mark: Mark) -> bool:
        """Whether a recording is to be done: new or changed, and not at work, under another name either."""
        done = self._done.get(self._key(path))
        if done and done.mark == mark:
            return False
        renamed = self._inodes.get(_inode(path))
        return path not in self._paths and not (renamed and renamed.is_at(path) and not renamed.is_at(renamed.path))

    def follow(self, path: Path, mark: Mark) -> str:
        """The name that a recording had when it was done, if it was only renamed since: it counts as done."""
        key = self._key(path)
        if (known := self._done.get(key)) and known.mark == mark:
            return ""
        inode = _inode(path)
        before = self._by_inode.get(inode, key)
        done = self._done.get(before)
        if before == key or not done or done.mark != mark or done.error or _inode(self._folder / before) == inode:
            return ""
        was = done.was or before
        del self._done[before]
        self._names.pop(before, None)
        self._remember(key, replace(done, was="" if was == key else was))
        return was

    def adopt(self, path: Path, mark: Mark) -> list[Path]:
        """The results of a recording that nobody remembers but that are there and newer: it counts as done."""
        key, stem = self._key(path), short(path.stem)
        if self._forget or key in self._done or self._is_taken(key, stem):
            return []
        paths = [self._results(path) / f"{stem}.{name}" for name in self._formats]
        try:
            if any(there.stat().st_mtime_ns < mark.changed_ns for there in paths):
                return []
        except OSError:
            return []
        self._remember(key, Done(mark, stem, inode=_inode(path), formats=self._formats))
        return paths

    def begin(self, path: Path, mark: Mark, index: int) -> Source:
        """The recording as the source with that number."""
        key, name = self._key(path), self._name(path)
        self._claim(key, name)
        self._names[key] = name
        work = _AtWork(path, mark, _inode(path))
        self._at_work[index] = self._paths[path] = self._inodes[work.inode] = work
        return Source(str(path))

    def check(self, source: Source) -> None:
        """Raise ChangedError unless a recording that is to be read now is what was found; for any thread."""
        path = Path(source.name)
        work = self._paths.get(path)
        if not (work and work.is_at(path)):
            raise ChangedError

    def found_again(self, index: int) -> Path | None:
        """Where the recording with that number lies now, unchanged; None where it has changed or is gone."""
        work = self._at_work[index]
        if work.is_at(work.path):
            return work.path
        others = (Path(name) for name in media_below(self._folder))
        return next((path for path in others if path not in self._paths and work.is_at(path)), None)

    def rename(self, index: int, path: Path) -> Source:
        """A recording that is at work has another name now: it and its results are called so."""
        return self.begin(path, self._stop(index).mark, index)

    def place(self, index: int) -> tuple[Path, str]:
        """The folder and the name for the results of a source that is at work."""
        path = self._at_work[index].path
        folder = self._results(path)
        folder.mkdir(parents=True, exist_ok=True)
        return folder, self._names[self._key(path)]

    def end(self, index: int, error: Exception | None) -> None:
        """What became of a source."""
        work = self._stop(index)
        key = self._key(work.path)
        failed = str(error) if error else ""
        formats = () if error else self._formats
        self._remember(key, Done(work.mark, self._names[key], failed, work.inode, formats=formats))

    def drop(self, index: int) -> Path:
        """Keep nothing of a source, which is to be tried again."""
        return self._stop(index).path

    def _stop(self, index: int) -> _AtWork:
        work = self._at_work.pop(index)
        self._paths.pop(work.path, None)
        self._inodes.pop(work.inode, None)
        return work

    def save(self) -> OSError | None:
        """Put on the disk what is not there yet; the reason where that fails, after which the next time does it."""
        try:
            if self._unsaved:
                write_record(self._file, self._done)
        except OSError as error:
            return error
        self._unsaved = False
        return None

    def _read(self) -> dict[str, Done]:
        try:
            return read_record(self._file, Done)
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            if self._forget:
                return {}
            raise ConfigError(f"{self._file} cannot be read: {error}; remove it, or --force replaces it") from error

    def _remember(self, key: str, done: Done) -> None:
        self._done[key], self._unsaved = done, True
        self._claim(done.was or key, done.name, owner=key)
        if not done.was:
            self._names[key] = done.name
        if done.inode:
            self._by_inode[done.inode] = key

    def _key(self, path: Path) -> str:
        """The recording's place in the folder, as text."""
        return str(path.relative_to(self._folder))

    def _results(self, path: Path) -> Path:
        """The folder for the results of a recording."""
        return (self._out or self._folder) / path.parent.relative_to(self._folder)

    def _name(self, path: Path) -> str:
        """The name of before; else one that no other recording has and that replaces no file of somebody else's."""
        key = self._key(path)
        if key in self._names:
            return self._names[key]
        folder, whole = self._results(path), short(path.name)

        def is_free(name: str) -> bool:
            there = any((folder / f"{name}.{kind}").exists() for kind in self._formats)
            return not (there or self._is_taken(key, name))

        numbered = (f"{whole}-{number}" for number in count(2))
        return next(filter(is_free, chain((short(path.stem), whole), numbered)))

    def _claim(self, key: str, name: str, *, owner: str = "") -> None:
        """The results of that name, in the folder of that recording, are the owner's, else the recording's own."""
        self._taken[key.rpartition("/")[0], name.casefold()] = owner or key

    def _is_taken(self, key: str, name: str) -> bool:
        """Whether another recording has results of the name in the folder of this one."""
        return self._taken.get((key.rpartition("/")[0], name.casefold()), key) != key


def _inode(path: Path) -> int:
    """The number by which a file is known whatever it is called; 0 where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0
