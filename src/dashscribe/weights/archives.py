"""Archives of models (tar, plain or compressed, and zip), unpacked as if an enemy had made them.

What an archive is, its first bytes tell. Files and folders are taken, links only to files of the same archive; names
that lead out, devices, and more files or bytes than any model has are refused before they reach the disk. One set of
checks for tar and zip rather than tarfile's own filter, which Python 3.11 has only from its fourth patch on.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal, Protocol, cast

from dashscribe.errors import WeightsError
from dashscribe.weights.room import Room, disk_errors, mb

Kind = Literal["tar", "tar.bz2", "tar.gz", "tar.xz", "zip"]

#: Most that an archive may unpack to, in bytes, and in how many files; the largest models have 4 GB in 200 files.
MAX_UNPACKED_BYTES, MAX_FILES = 32 * 1024**3, 10_000
#: Weights shrink to a half at best, lists of tokens to a fifth; what unpacks to more than this is a bomb.
MAX_RATIO, SMALL_BYTES = 50, 256 * 1024**2
#: Longest piece that a reader of archives may ask for in one go, in bytes: headers are read whole into memory.
_MAX_READ_BYTES = 16 * 1024**2
_PIECE_BYTES = 1024**2
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"BZh", "tar.bz2"),
    (b"\x1f\x8b", "tar.gz"),
    (b"\xfd7zXZ\x00", "tar.xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty one
)
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
#: What the readers raise for bytes that are no such archive, or one that was damaged.
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError)

OnBytes = Callable[[int, int | None], None]


def kind(path: Path) -> Kind | None:
    """What archive a file is, by its first bytes; None for anything else. Raises WeightsError if it cannot be read."""
    with disk_errors("the file cannot be read", path), path.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return "tar" if head[_TAR_MAGIC_AT:] == _TAR_MAGIC else None


def unpack(
    path: Path, folder: Path, *, room: Room, label: str = "", on_bytes: OnBytes = lambda done, total: None
) -> Path:
    """Unpack into an empty folder; returns where the files lie, below the single top folder that most archives have.

    ``label`` names the archive in messages. ``on_bytes(read, size)`` counts bytes of the archive. Raises WeightsError
    for what is no archive, a damaged one, and one that holds what no model needs; NoRoomLeftError for a full disk.
    """
    label = label or str(path)
    name = kind(path)
    if name is None:
        raise WeightsError(f"{label}: this is no archive; known are .tar.bz2, .tar.gz, .tar.xz, .tar and .zip")
    size_bytes = path.stat().st_size
    unpacking = _Unpacking(folder, label, min(MAX_UNPACKED_BYTES, max(SMALL_BYTES, MAX_RATIO * size_bytes)), room)
    with disk_errors(f"{label} cannot be unpacked", folder):
        try:
            with path.open("rb") as file:
                members = _zip_members(file, label) if name == "zip" else _tar_members(file, name, label)
                with closing(members):
                    for member in members:
                        unpacking.take(member)
                        on_bytes(file.tell(), size_bytes)
                unpacking.link()
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk; bz2 and gzip tell of damage by an OSError without a number
            reason = str(error) or type(error).__name__
            raise WeightsError(f"{label}: the archive is damaged or cut short: {reason}") from error
    return _top(folder, label)


@dataclass(frozen=True, slots=True)
class _Member:
    """One thing in an archive: a folder if it has neither ``file`` nor ``target``, a link if it has a ``target``."""

    name: str
    size_bytes: int = 0
    file: IO[bytes] | None = None
    target: str = ""


class _Unpacking:
    """What has come out of one archive so far."""

    def __init__(self, folder: Path, label: str, limit_bytes: int, room: Room) -> None:
        self._folder, self._label, self._limit_bytes, self._room = folder, label, limit_bytes, room
        self._count = self._total_bytes = 0
        self._links: dict[PurePosixPath, PurePosixPath] = {}

    def take(self, member: _Member) -> None:
        """Write one member; links wait for the end."""
        self._count_in(member.size_bytes)  # by what it claims, before anything is read
        where = self._place(member.name)
        if where is None:
            return
        if member.target:
            self._links[where] = self._target(where, member.target)
        elif member.file is None:
            (self._folder / where).mkdir(parents=True, exist_ok=True)
        else:
            self._write(where, member.file, member.size_bytes)

    def link(self) -> None:
        """Make the links, to files only: no name can lead through one while files are written."""
        for where, target in self._links.items():
            path, source = self._folder / where, self._folder / target
            if source.is_symlink() or not source.is_file():
                raise self._refusal(f"holds the link {where} to {target}, which is no file in it")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(posixpath.relpath(str(target), str(where.parent)))

    def _write(self, where: PurePosixPath, source: IO[bytes], size_bytes: int) -> None:
        path = self._folder / where
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        try:
            with path.open("xb") as file:
                while piece := source.read(_PIECE_BYTES):
                    written += len(piece)
                    if written > size_bytes:
                        raise self._refusal(f"holds more of {where} than the {size_bytes:,} bytes that it announces")
                    file.write(piece)
                    self._room.took(len(piece), self._label)
        except FileExistsError as error:
            raise self._refusal(f"holds {where} twice") from error
        if written != size_bytes:
            raise EOFError(f"{where} has {written:,} of {size_bytes:,} bytes")

    def _count_in(self, size_bytes: int) -> None:
        self._count += 1
        if self._count > MAX_FILES:
            raise self._refusal(f"holds more than {MAX_FILES:,} files")
        self._total_bytes += size_bytes
        if self._total_bytes > self._limit_bytes:
            raise self._refusal(f"would unpack to more than {mb(self._limit_bytes)}")

    def _place(self, name: str) -> PurePosixPath | None:
        """Where a member goes; None for what is passed over: hidden files and what macOS adds."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise self._refusal(f"holds {name[:120]!r}, a name that leads out of it")
        if not name.isprintable():
            raise self._refusal(f"holds {name[:120]!r}, a name that is no proper text")
        if not parts or parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts):
            return None
        return PurePosixPath(*parts)

    def _target(self, where: PurePosixPath, target: str) -> PurePosixPath:
        """What a link of the archive leads to, from the archive's top."""
        place = self._place(posixpath.normpath(posixpath.join(str(where.parent), target)))
        if target.startswith("/") or place is None:
            raise self._refusal(f"holds the link {where} to {target[:120]!r}, which leads out of it")
        return place

    def _refusal(self, what: str) -> WeightsError:
        return WeightsError(f"{self._label}: this archive {what}; it is not unpacked")


def _tar_members(file: BinaryIO, name: Kind, label: str) -> Generator[_Member]:
    """The members of a tar archive, each to be read before the next is asked for."""
    with ExitStack() as stack:
        plain = _Forward(file if name == "tar" else stack.enter_context(_decompressed(file, name)))
        # _Forward is all of a file that reading from front to back needs.
        archive = stack.enter_context(tarfile.TarFile(fileobj=cast("BinaryIO", plain), mode="r"))
        while (info := archive.next()) is not None:
            if info.issym():
                yield _Member(info.name, target=info.linkname)
            elif info.islnk():  # leads from the archive's top, not from where it lies
                yield _Member(info.name, target=posixpath.relpath(info.linkname, posixpath.dirname(info.name)))
            elif info.isdir():
                yield _Member(info.name)
            elif info.isreg():
                yield _Member(info.name, info.size, archive.extractfile(info))
            else:
                raise WeightsError(f"{label}: this archive holds the device or pipe {info.name[:120]!r}; refused")
        if plain.is_short:
            raise EOFError("the end of the archive is missing")
        while plain.read(_PIECE_BYTES):
            pass  # to the end, where the checksum is


def _decompressed(file: BinaryIO, name: Kind) -> bz2.BZ2File | gzip.GzipFile | lzma.LZMAFile:
    if name == "tar.bz2":
        return bz2.BZ2File(file)
    return gzip.GzipFile(fileobj=file) if name == "tar.gz" else lzma.LZMAFile(file)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Forward:
    """A file that is read from front to back, in pieces of bounded size, however much a header asks for.

    The reader of tar archives steps back by one byte before each header, to see that the file is not cut short there; a
    compressed file would have to begin anew for that, so the last byte is kept.
    """

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self._at: int = 0
        self._last = self._back = b""
        self.is_short = False  # whether less was there than was last asked for

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise ValueError(f"a header of {size} bytes")
        data, self._back = self._back[:size], self._back[size:]
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        self.is_short = len(data) < size
        self._at += len(data)
        self._last = data[-1:] or self._last
        return data

    def seek(self, position: int) -> int:
        if position == self._at - 1 and self._last and not self._back:
            self._back, self._at = self._last, position
        while self._at < position:
            if not self.read(min(_PIECE_BYTES, position - self._at)):
                raise EOFError("the archive ends inside a file")
        if self._at != position:
            raise ValueError("the archive is not in order")
        return position


def _zip_members(file: BinaryIO, label: str) -> Generator[_Member]:
    """The members of a zip archive, each to be read before the next is asked for."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise WeightsError(f"{label}: this archive is encrypted; unpack it and add the folder")
            if info.is_dir():
                yield _Member(info.filename)
                continue
            with archive.open(info) as source:
                if stat.S_ISLNK(info.external_attr >> 16):
                    yield _Member(info.filename, target=source.read(4096).decode())
                else:
                    yield _Member(info.filename, info.file_size, source)


def _top(folder: Path, label: str) -> Path:
    """The folder itself, or the only one in it. Raises WeightsError if there is nothing."""
    inside = list(folder.iterdir())
    if not inside:
        raise WeightsError(f"{label}: the archive is empty")
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink() else folder
