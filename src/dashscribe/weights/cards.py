"""Writes ``model.toml``: what a folder's files are, with their checksums. Written last, it makes a model of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dashscribe.errors import WeightsError
from dashscribe.weights import BATCH_KEYS, CARD, Installed
from dashscribe.weights.room import disk_errors
from dashscribe.weights.shelf import sync_folder, write_whole

_PIECE_BYTES = 1024**2

#: Told how many bytes were read, and of how many.
OnBytes = Callable[[int, int | None], None]


def files_of(folder: Path) -> Iterator[Path]:
    """The files below a folder in the order of their names; hidden ones and the card are no part of a model."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.relative_to(folder) != Path(CARD) and path.is_file():
                yield path


def checksum(path: Path, on_bytes: Callable[[int], None] = lambda count: None, *, sync: bool = False) -> str:
    """The SHA-256 of a file; ``on_bytes`` is told of each piece. ``sync`` puts the file on disk first."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            on_bytes(len(piece))
    return digest.hexdigest()


def checksums(folder: Path, on_bytes: OnBytes = lambda done, total: None) -> dict[str, str]:
    """The SHA-256 of a folder's files by name, all of which are on disk on return.

    Raises WeightsError for a name that is no text and so cannot stand in a card.
    """
    paths = list(files_of(folder))
    total_bytes, done_bytes = sum(path.stat().st_size for path in paths), 0

    def count(piece_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += piece_bytes
        on_bytes(done_bytes, total_bytes)

    sums: dict[str, str] = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if not name.isprintable():
            raise WeightsError(f"{folder} holds {name[:120]!r}, a name that is no proper text; rename the file")
        sums[name] = checksum(path, count, sync=True)
    for parent in {path.parent for path in paths} | {folder}:
        sync_folder(parent)
    return sums


def write_card(model: Installed, folder: Path | None = None) -> None:
    """Write a model's card, whole or not at all, into its folder or the given one. Raises WeightsError for the disk."""
    folder = folder or model.folder
    with disk_errors(f"{CARD} cannot be written", folder):
        write_whole(folder / CARD, card_text(model))


def card_text(model: Installed) -> str:
    """The card as TOML."""
    lines = [
        "# Written by dashscribe; `dashscribe models verify` compares the files with it.",
        f"family = {_string(model.family)}",
        f"languages = [{', '.join(map(_string, model.languages))}]",
        f"source = {_string(model.source)}",
        f"license = {_string(model.license)}",
        *(f"{BATCH_KEYS[provider]} = {batch}" for provider, batch in model.batches.items()),
        *_table("files", model.files),
        *_table("sha256", model.sums),
    ]
    return "\n".join(lines) + "\n"


def _table(name: str, values: Mapping[str, str]) -> list[str]:
    return ["", f"[{name}]", *(f"{_string(key)} = {_string(value)}" for key, value in values.items())]


def _string(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's, and only printable text gets here besides them."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
