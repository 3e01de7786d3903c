"""JSON of what is large, block by block, so that the text of a long file is never in memory beside the file itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

#: What a block holds at least, in bytes.
BLOCK_BYTES = 64 * 1024


def blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of at least ``BLOCK_BYTES``, but for the last one."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def encoded(value: object, depth: int = 4) -> Iterator[bytes]:
    """What ``msgspec.json.encode`` gives, in pieces: this many levels of objects and lists are opened."""
    if not depth or isinstance(value, str | bytes):
        yield msgspec.json.encode(value)
    elif isinstance(value, Sequence):
        yield from _list(value, depth - 1)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, dict):
        yield from _object(value, depth - 1)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, msgspec.Struct):
        yield from _object({name: getattr(value, name) for name in value.__struct_fields__}, depth - 1)
    elif dataclasses.is_dataclass(value):
        yield from _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth - 1)
    else:
        yield msgspec.json.encode(value)


def _list(items: Iterable[object], depth: int) -> Iterator[bytes]:
    yield b"["
    for number, item in enumerate(items):
        if number:
            yield b","
        yield from encoded(item, depth)
    yield b"]"


def _object(members: dict[Any, object], depth: int) -> Iterator[bytes]:
    yield b"{"
    for number, (name, member) in enumerate(members.items()):
        yield (b"," if number else b"") + msgspec.json.encode(str(name)) + b":"
        yield from encoded(member, depth)
    yield b"}"
