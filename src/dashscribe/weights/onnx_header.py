"""The head of an ONNX file, read without its weights: metadata, inputs and outputs.

Runtimes end the process on a missing metadata key, so a file has to be looked at before one gets it. The ``onnx``
package and onnxruntime read the whole file for that, several times its size in memory, and fail above 2 GB; this reader
skips what it does not want by its announced length. The format is protocol buffers' wire encoding (protobuf.dev,
"Encoding"); field numbers are those of ``onnx.proto3``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dashscribe.errors import WeightsError

#: Longest field that is read into memory, in bytes: metadata holds mean vectors and token lists, never weights.
MAX_FIELD_BYTES = 64 * 1024**2
#: Fields of ModelProto, GraphProto, ValueInfoProto, TypeProto and its parts, StringStringEntryProto.
_GRAPH, _METADATA = 7, 14
_INPUT, _OUTPUT = 11, 12
_NAME, _TYPE, _TENSOR, _ELEMENT, _SHAPE, _DIM, _DIM_VALUE = 1, 2, 1, 1, 2, 1, 1
_KEY, _VALUE = 1, 2
#: How the text begins that stands for a large file in a clone without Git LFS.
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the graph: ``element`` numbers its TensorProto.DataType, sizes are 0 if dynamic."""

    name: str
    element: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a graph tells of itself; ``inputs`` leave out nothing, initializers that are listed as inputs included."""

    metadata: dict[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def read_header(path: Path) -> Header:
    """Read the head of an ONNX file in bounded memory.

    Raises WeightsError naming the file when it is missing, no ONNX file, or cut short.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise WeightsError(f"{path} is a pointer of Git LFS, not the file itself: run `git lfs pull` there")
            file.seek(0)
            header = _Reader(file, os.fstat(file.fileno()).st_size).header()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    except (ValueError, IndexError) as error:
        raise WeightsError(f"{path}: this is no ONNX file, or one that was cut short ({error})") from error
    if not header.inputs or not header.outputs:
        raise WeightsError(f"{path}: this is no ONNX model: it has no graph with inputs and outputs")
    return header


class _Reader:
    """Walks over the top level of a file and of its graph."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def header(self) -> Header:
        metadata: dict[str, str] = {}
        inputs: list[Port] = []
        outputs: list[Port] = []
        for field, length in self._fields(self._size):
            if field == _METADATA:
                entry = dict(_fields(self._read(length)))
                metadata[_text(entry.get(_KEY))] = _text(entry.get(_VALUE))
            elif field == _GRAPH:
                for inner, inner_length in self._fields(self._file.tell() + length):
                    if inner in (_INPUT, _OUTPUT):
                        (inputs if inner == _INPUT else outputs).append(_port(self._read(inner_length)))
                    else:
                        self._skip(inner_length)
            else:
                self._skip(length)
        return Header(metadata, tuple(inputs), tuple(outputs))

    def _fields(self, end: int) -> Iterator[tuple[int, int]]:
        """The number and the length of each length-delimited field up to ``end``; others are passed over.

        Whoever takes one must move the file to its end.
        """
        while self._file.tell() < end:
            key = self._varint()
            field, wire_type = key >> 3, key & 7
            if field == 0:
                raise ValueError("field number 0")
            if wire_type == 0:
                self._varint()
            elif wire_type in (1, 5):
                self._skip(8 if wire_type == 1 else 4)
            elif wire_type == 2:
                length = self._varint()
                if self._file.tell() + length > end:
                    raise ValueError(f"field {field} announces {length} bytes, more than there are")
                yield field, length
            else:
                raise ValueError(f"wire type {wire_type}")
        if self._file.tell() != end:
            raise ValueError("a field reaches beyond the message that it is in")

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                raise ValueError("end of file inside a number")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value
        raise ValueError("a number of more than ten bytes")

    def _read(self, length: int) -> bytes:
        if length > MAX_FIELD_BYTES:
            raise ValueError(f"a metadata field of {length} bytes")
        return self._file.read(length)

    def _skip(self, length: int) -> None:
        if self._file.tell() + length > self._size:
            raise ValueError(f"{length} bytes are announced, more than there are")
        self._file.seek(length, os.SEEK_CUR)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """All fields of a message that lies in memory: bytes of length-delimited ones, numbers of varints."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = 0
        for shift in range(0, 70, 7):
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number of more than ten bytes")

    while at < len(data):
        key = varint()
        field, wire_type = key >> 3, key & 7
        if wire_type == 0:
            yield field, varint()
        elif wire_type == 2:
            length = varint()
            if at + length > len(data):
                raise ValueError(f"field {field} announces {length} bytes, more than there are")
            yield field, data[at : at + length]
            at += length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")


def _port(data: bytes) -> Port:
    value = dict(_fields(data))
    tensor = dict(_fields(_bytes(dict(_fields(_bytes(value.get(_TYPE)))).get(_TENSOR))))
    dims = [dict(_fields(_bytes(dim))) for field, dim in _fields(_bytes(tensor.get(_SHAPE))) if field == _DIM]
    shape = tuple(int(dim.get(_DIM_VALUE, 0)) if isinstance(dim.get(_DIM_VALUE, 0), int) else 0 for dim in dims)
    element = tensor.get(_ELEMENT, 0)
    return Port(_text(value.get(_NAME)), element if isinstance(element, int) else 0, shape)


def _bytes(value: bytes | int | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: bytes | int | None) -> str:
    return _bytes(value).decode("utf-8", "replace")
