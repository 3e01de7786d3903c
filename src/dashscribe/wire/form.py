"""The one reader of multipart/form-data: files go to disk piece by piece, fields to memory, all within bounds.

Owns the form of a body; what its fields mean is for the routes to say. Broken bytes are an InvalidBodyError, whatever
came; a file that was begun lies in the caller's folder and goes with it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from anyio import move_on_after, to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dashscribe.errors import InvalidBodyError, NoRoomError, TooLargeError
from dashscribe.wire.body import pieces_of
from dashscribe.wire.values import shortened

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

#: Bytes gathered before a thread parses and writes them: a thread for every network packet would cost more.
GATHERED_BYTES = 1024**2
#: What all fields together may take in memory, whatever a route allows a single one.
MAX_FIELDS_BYTES = 8 * 1024**2
#: What the headers of one part may take, its boundary included.
PART_OVERHEAD_BYTES = 8 * 1024
#: How much more is read, and thrown away, of a body that is too large: a client that is cut off in the middle of
#: sending does not get to read why.
COURTESY_BYTES, COURTESY_S = 32 * 1024**2, 10
#: The only form in which older clients (requests on urllib3 before 1.25) send a name that is not ASCII. RFC 7578 does
#: not allow it, which is why the parser leaves it out.
_EXTENDED_NAME = re.compile(rb";\s*filename\*=\"?[\w-]*'[^']*'([^;\"\s]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file part that lies on disk; ``name`` and ``content_type`` are the client's words, never to be trusted."""

    path: Path
    name: str
    content_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Form:
    """A whole form: ``fields`` in the order in which they came, names may repeat; ``files`` by the field's name."""

    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    files: dict[str, FormFile] = field(default_factory=dict[str, FormFile])

    def get(self, name: str, default: str = "") -> str:
        """The last value of a field, or the default."""
        return (self.all(name) or [default])[-1]

    def all(self, name: str) -> list[str]:
        """The values of a field in order."""
        return [value for given, value in self.fields if given == name]


async def read_form(
    request: Request,
    folder: Path,
    *,
    max_file_bytes: int,
    max_fields: int = 100,
    max_field_bytes: int = 64 * 1024,
    check_room: Callable[[], None] = lambda: None,
) -> Form:
    """Receive a form; its files, ``max_file_bytes`` together, are written into ``folder``.

    Files count among the ``max_fields``. ``check_room`` is called in a thread between writes, since others fill the
    disk, too; what it raises ends the reading. Raises TooLargeError when a bound is passed or announced to be, and
    InvalidBodyError for what is no form.
    """
    boundary = _boundary(request.headers.get("content-type", ""))
    most = max_file_bytes + MAX_FIELDS_BYTES + max_fields * PART_OVERHEAD_BYTES
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > most + COURTESY_BYTES:
        raise TooLargeError(f"The body has {announced} bytes; its files may have {max_file_bytes}.")
    reader = _Reader(boundary, folder, _Bounds(max_file_bytes, max_fields, max_field_bytes))
    pieces = pieces_of(request)
    try:
        await _feed(pieces, reader, most, check_room)
    except (TooLargeError, NoRoomError):
        await _discard(pieces)
        raise
    finally:
        reader.close()
    return reader.form


async def _feed(pieces: AsyncIterator[bytes], reader: _Reader, most: int, check_room: Callable[[], None]) -> None:
    def write(data: bytes) -> None:
        check_room()
        reader.write(data)

    received = 0
    gathered = bytearray()
    async for piece in pieces:
        received += len(piece)
        if received > most:
            raise TooLargeError(f"The body has more than {most} bytes.")
        gathered += piece
        if len(gathered) >= GATHERED_BYTES:
            await to_thread.run_sync(write, bytes(gathered))
            gathered.clear()
    await to_thread.run_sync(reader.write, bytes(gathered))
    reader.check_end()


async def _discard(pieces: AsyncIterator[bytes]) -> None:
    """Read what a refused client still sends, up to a bound of bytes and of time."""
    discarded = 0
    with move_on_after(COURTESY_S):
        async for piece in pieces:
            discarded += len(piece)
            if discarded > COURTESY_BYTES:
                return


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise InvalidBodyError(f"Send multipart/form-data; the Content-Type was {shortened(content_type)!r}.")
    if not options.get(b"boundary"):
        raise InvalidBodyError("The Content-Type multipart/form-data names no boundary.")
    return options[b"boundary"]


@dataclass(frozen=True, slots=True)
class _Bounds:
    file_bytes: int
    parts: int
    field_bytes: int


@dataclass(slots=True)
class _Part:
    """The part that is being read: the bytes of a field are kept in ``value``, those of a file go to ``file``."""

    headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    name: str = ""
    file_name: str = ""
    path: Path = Path()
    file: BinaryIO | None = None
    size_bytes: int = 0
    value: bytearray = field(default_factory=bytearray)


class _Reader:
    """Takes a body in pieces of any length. It blocks, since a file's bytes go to the disk at once."""

    def __init__(self, boundary: bytes, folder: Path, bounds: _Bounds) -> None:
        self.form = Form()
        self._folder, self._bounds = folder, bounds
        self._part = _Part()
        self._header_name, self._header_value = bytearray(), bytearray()
        self._parts = self._file_bytes = self._field_bytes = 0
        self._whole = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._take(data[start:end]),
            "on_part_end": self._keep,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise InvalidBodyError(f"The boundary cannot be used: {error}.") from error

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidBodyError(f"The form cannot be read: {error}.") from error

    def check_end(self) -> None:
        if not self._whole:
            raise InvalidBodyError("The form ends before its closing boundary.")

    def close(self) -> None:
        if self._part.file:
            self._part.file.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._bounds.parts:
            raise InvalidBodyError(f"The form has more than {self._bounds.parts} fields.")
        self._part = _Part()

    def _end_header(self) -> None:
        self._part.headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _open(self) -> None:
        part = self._part
        disposition = part.headers.get(b"content-disposition", b"")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidBodyError(f"Part {self._parts} of the form has no Content-Disposition with a name.")
        part.name = _text(options[b"name"], "the name of a field")
        file_name = _file_name(disposition, options)
        if file_name is None:
            return
        if part.name in self.form.files:
            raise InvalidBodyError(f"The form has more than one file {shortened(part.name)!r}.")
        part.file_name = file_name
        part.path = self._folder / f"part-{self._parts}"
        part.file = part.path.open("xb")

    def _take(self, data: bytes) -> None:
        part = self._part
        part.size_bytes += len(data)
        if part.file:
            self._file_bytes += len(data)
            if self._file_bytes > self._bounds.file_bytes:
                raise TooLargeError(f"The file has more than {self._bounds.file_bytes} bytes.")
            part.file.write(data)
            return
        if part.size_bytes > self._bounds.field_bytes:
            raise TooLargeError(f"The field {shortened(part.name)!r} has more than {self._bounds.field_bytes} bytes.")
        self._field_bytes += len(data)
        if self._field_bytes > MAX_FIELDS_BYTES:
            raise TooLargeError(f"The fields have more than {MAX_FIELDS_BYTES} bytes together.")
        part.value += data

    def _keep(self) -> None:
        part = self._part
        if not part.file:
            self.form.fields.append((part.name, _text(bytes(part.value), f"the field {shortened(part.name)!r}")))
            return
        part.file.close()
        content_type = part.headers.get(b"content-type", b"").decode(errors="replace")
        self.form.files[part.name] = FormFile(part.path, part.file_name, content_type, part.size_bytes)

    def _end(self) -> None:
        self._whole = True


def _file_name(disposition: bytes, options: Mapping[bytes, bytes]) -> str | None:
    """The name of a file; None for a field."""
    if b"filename" in options:
        return options[b"filename"].decode(errors="replace")
    extended = _EXTENDED_NAME.search(disposition)
    return unquote(extended[1].decode(errors="replace")) if extended else None


def _text(data: bytes, what: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidBodyError(f"In the form, {what} is not UTF-8: {error.reason} at byte {error.start}.") from error
    if "\0" in text:
        raise InvalidBodyError(f"In the form, {what} holds a NUL character.")
    return text
