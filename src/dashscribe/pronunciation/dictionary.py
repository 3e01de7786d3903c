"""How English words are pronounced that the dictionary of the embedded engine has: CMUdict, read as it lies there."""

from __future__ import annotations

import functools
import re
from importlib.util import find_spec
from pathlib import Path

#: Ways to say a word that count: the dictionary lists the usual ones first.
MOST_SAYINGS = 3


@functools.cache
def sayings(word: str) -> tuple[tuple[str, ...], ...]:
    """The ways to say an English word in lower case, as phones of the ARPAbet without stress; empty if unknown.

    They are those of CMUdict as the wheel of pocketsphinx carries it (BSD-2-Clause), read without importing that.
    """
    blocks = _blocks()
    text, key = _dictionary(), word.encode()
    if key[:2] not in blocks:
        return ()
    begin, end = blocks[key[:2]]
    found: list[tuple[str, ...]] = []
    # The others follow the first as "word(2)"; lines begin behind a line break, the first one of the block too.
    for form in (key, *(b"%s(%d)" % (key, number) for number in range(2, MOST_SAYINGS + 1))):
        at = text.find(b"\n" + form + b" ", begin, end)
        if at < 0:
            break
        at += len(form) + 2
        found.append(tuple(text[at : text.index(b"\n", at)].decode().split()))
    return tuple(found)


@functools.cache
def _dictionary() -> bytes:
    folder = package_folder("pocketsphinx")
    path = folder / "model" / "en-us" / "cmudict-en-us.dict" if folder else None
    return b"\n" + path.read_bytes() + b"\n" if path and path.is_file() else b"\n"


@functools.cache
def _blocks() -> dict[bytes, tuple[int, int]]:
    """Where in the dictionary the lines with these first two letters begin and end: they stand together there."""
    starts = [(line[1], line.start()) for line in re.finditer(rb"\n(..)(?:(?!\n\1)[^\n]*\n(?=\1))*", _dictionary())]
    ends = [start for _, start in starts[1:]] + [len(_dictionary())]
    return {letters: (start, end) for (letters, start), end in zip(starts, ends, strict=True)}


def package_folder(package: str) -> Path | None:
    """Where an installed package lies; it is not imported for that."""
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
