"""Where results go: names that do not clash, files that are whole or absent, text on standard output in order."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from dashscribe.cli.sources import Source
from dashscribe.errors import DashscribeError
from dashscribe.render import CaptionStyle, render
from dashscribe.types import Transcript

#: Longest name of a result without number and extension: file systems take 255 bytes.
NAME_BYTES = 240


def names(sources: Sequence[Source], before: Sequence[str] = (), others: Collection[str] = ()) -> list[str]:
    """A file name without extension for each source, no two alike on any file system.

    ``a.mp3`` gives ``a``; beside ``a.wav`` each keeps its extension; beside another ``a.mp3`` they are numbered. One
    that had a name ``before`` keeps it, empty for none; names of ``others`` are left to them. Long names are cut.
    """
    kept = before or [""] * len(sources)
    suffixes: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        suffixes[source.stem.casefold()].append(source.suffix.casefold())
    result: list[str] = []
    taken = {name.casefold() for name in (*kept, *others)}
    for source, had in zip(sources, kept, strict=True):
        if had:
            result.append(had)
            continue
        alike = suffixes[source.stem.casefold()]
        wanted = short(source.stem + (source.suffix if 1 < len(alike) == len(set(alike)) else ""))
        name, number = wanted, 2
        while name.casefold() in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name.casefold())
        result.append(name)
    return result


def short(name: str) -> str:
    """As much of a name as leaves room for a number and an extension."""
    data = os.fsencode(name)
    return name if len(data) <= NAME_BYTES else data[:NAME_BYTES].decode(errors="ignore")


def write(folder: Path, name: str, formats: Sequence[str], transcript: Transcript, style: CaptionStyle) -> list[Path]:
    """Write ``name.FORMAT`` for each format; an earlier file of that name is replaced. Raises DashscribeError."""
    paths = [folder / f"{name}.{format_name}" for format_name in formats]
    try:
        for path, format_name in zip(paths, formats, strict=True):
            put(path, render(transcript, format_name, style).encode())
    except OSError as error:
        raise DashscribeError(f"{name}: cannot be written to {folder}: {error.strerror}") from error
    return paths


def put(path: Path, data: bytes) -> None:
    """Put a file in its place in one step, so that no reader and no crash ever sees half of it. Raises OSError."""
    part = path.with_name(f".dashscribe-{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:  # anew: where others may write, it could be a link to somewhere else
            file.write(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class InOrder:
    """Passes text on in the order of the inputs: of the first unfinished one at once, of later ones in their turn."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._held: dict[int, list[str]] = defaultdict(list)
        self._ended: set[int] = set()
        self._current = 0
        self._write = write

    def add(self, index: int, text: str) -> None:
        """More text of an input."""
        if index == self._current:
            self._write(text)
        else:
            self._held[index].append(text)

    def end(self, index: int) -> None:
        """No more text of an input will come."""
        self._ended.add(index)
        while self._current in self._ended:
            self._ended.remove(self._current)
            self._current += 1
            if held := self._held.pop(self._current, None):
                self._write("".join(held))

    def give_up(self) -> None:
        """Pass on what is held of inputs that ended, since those before them never will."""
        for index in sorted(self._ended):
            self._write("".join(self._held.pop(index, ())))
        self._ended.clear()
