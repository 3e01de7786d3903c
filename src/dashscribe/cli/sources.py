"""What the inputs on a command line name, and how each becomes a file: shared by ``transcribe`` and ``probe``.

Owns folders, patterns, downloads and standard input; what the bytes are is decoding's matter. A file that is named is
taken whatever it is called; in folders the extension decides.
"""

from __future__ import annotations

import glob
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import typer

from dashscribe.errors.sources import FileTooLargeError, SourceNotFoundError

if TYPE_CHECKING:
    from dashscribe.config import Settings

#: What counts as sound or film in a folder: the containers of the service's models and what else is common.
EXTENSIONS = frozenset({
    "aac", "ac3", "aif", "aifc", "aiff", "amr", "ape", "au", "avi", "caf", "flac", "flv", "m4a", "m4b", "m4v", "mka",
    "mkv", "mov", "mp2", "mp3", "mp4", "mpeg", "mpg", "mpga", "oga", "ogg", "opus", "wav", "weba", "webm", "wma", "wmv",
    "3gp",
})  # fmt: skip
STDIN = "-"
_BLOCK_BYTES = 1024**2

OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One input: ``name`` is a path, a URL or ``-``; ``stem`` and ``suffix`` name files that are made from it."""

    name: str

    @property
    def label(self) -> str:
        """The name for people and results: no control characters, nothing that UTF-8 cannot hold."""
        return "".join(c if c.isprintable() else "\ufffd" for c in self.name)

    @property
    def is_url(self) -> bool:
        """Whether the source has to be downloaded."""
        return urlsplit(self.name).scheme.lower() in ("http", "https")

    @property
    def is_file(self) -> bool:
        """Whether the source is a regular file here."""
        return self.name != STDIN and not self.is_url and S_ISREG(_mode(Path(self.name)))

    @property
    def stem(self) -> str:
        """The name without folders and extension, fit for a file name."""
        return Path(self._file_name).stem

    @property
    def suffix(self) -> str:
        """The extension with its dot, or empty."""
        return Path(self._file_name).suffix

    @property
    def _file_name(self) -> str:
        if self.name == STDIN:
            return "stdin"
        if not self.is_url:
            return Path(self.name).name
        parts = urlsplit(self.name)
        last = unquote(parts.path).rstrip("/").rsplit("/", 1)[-1]
        return re.sub(r"[^\w.-]+", "_", last or parts.hostname or "url").lstrip(".") or "url"


def expand(inputs: Iterable[str]) -> list[Source]:
    """The sources behind the inputs, each once: folders by their media files, patterns by what they match, both sorted.

    What names nothing stays as it is, so that opening it says so. An empty input is wrong usage: as a path it would be
    the working folder, which a variable that is not set does not mean.
    """
    inputs = list(inputs)
    if "" in inputs:
        raise typer.BadParameter("an input is empty; the working folder is .", param_hint="INPUT")
    return [Source(name) for name in dict.fromkeys(name for text in inputs for name in _names(text))]


def _names(text: str) -> Iterator[str]:
    path = Path(text)
    if text == STDIN or Source(text).is_url or S_ISREG(_mode(path)):
        yield text
    elif S_ISDIR(_mode(path)):
        closed: list[str] = []
        yield from sorted(media_below(path, lambda folder, _: closed.append(folder)) + closed) or [text]
    else:
        matches = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []  # noqa: PTH207 (absolute too)
        for match in matches:
            yield from _names(match)
        if not matches:
            yield text


def _mode(path: Path) -> int:
    """What kind of file that is; 0 for none, and for what cannot be told."""
    with suppress(OSError):
        return path.stat().st_mode
    return 0


def media_below(folder: Path, closed: Callable[[str, OSError], object] = lambda folder, error: None) -> list[str]:
    """The media files of a folder and all folders below, hidden ones left out.

    ``closed`` is told of folders that cannot be read, and why; of those that have just gone away it is not.
    """

    def tell(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            closed(str(error.filename or folder), error)

    found: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=tell):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            str(Path(parent, name))
            for name in files
            if not name.startswith(".") and Path(name).suffix[1:].lower() in EXTENSIONS
        ]
    return sorted(found)


@contextmanager
def opened(source: Source, settings: Settings, folder: Path, on_bytes: OnBytes) -> Generator[Path]:
    """The source as a file: as it lies there, or, of a URL or pipe, a copy in ``folder`` that goes when the block ends.

    ``on_bytes(received, total or None)`` is called while a copy is made; what it raises ends that. Raises SourceError.
    """
    path = Path(source.name)
    if source.name == STDIN or source.is_url or S_ISFIFO(_mode(path)):
        with tempfile.TemporaryDirectory(dir=folder) as own:
            yield _copied(source, settings, Path(own), on_bytes)
        return
    try:
        if S_ISDIR(path.stat().st_mode):
            os.scandir(path).close()
            no_media = "no media files in this folder; a file that is named itself is taken whatever it is"
            raise SourceNotFoundError(no_media)
    except (FileNotFoundError, NotADirectoryError) as error:
        pattern = "; nothing matches this pattern" if glob.has_magic(source.name) else ""
        raise SourceNotFoundError(f"no such file{pattern}") from error
    except OSError as error:
        raise SourceNotFoundError(f"cannot be read: {error.strerror}") from error
    yield path


def _copied(source: Source, settings: Settings, folder: Path, on_bytes: OnBytes) -> Path:
    if source.is_url:
        from dashscribe.fetch import fetch

        return fetch(source.name, folder, settings=settings, on_bytes=on_bytes, trust_host=True).path
    path, received = folder / "pipe", 0
    # Unbuffered: a thread that waits in a buffered reader would keep the interpreter from ending after Ctrl-C.
    raw = io.FileIO(sys.stdin.fileno(), closefd=False) if source.name == STDIN else io.FileIO(source.name)
    with raw as pipe, path.open("wb") as copy:
        while block := pipe.read(_BLOCK_BYTES):
            received += copy.write(block)
            on_bytes(received, None)
            if received > settings.max_file_bytes:
                limit = f"the limit is {settings.max_file_bytes} (DASHSCRIBE_MAX_FILE_BYTES)"
                raise FileTooLargeError(f"more bytes came through the pipe than are taken; {limit}")
    return path
