"""How a folder is told to be the store that a database knows, and not the empty place where that one is to be mounted.

The folder holds a file with an id, made at the first use, and the database remembers the id. Only where a blob is
missing, and before the first put of a process, is it looked for: a store that is not mounted must not seem to have lost
its blobs, and nothing must be put where the mount is going to hide it.
"""

from __future__ import annotations

import errno
import os
import shlex
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dashscribe.store.blobs import StoreError
from dashscribe.store.drafts import Drafts, sync_folder

#: Its name. It is no key, so that no blob is put in its place, and begins with no dot, so that ``cp STORE/*`` takes it.
NAME = "+store-id"


class Memory(Protocol):
    """What a database knows of its store."""

    def recall(self) -> str | None:
        """The id of its store, None while it knows none."""
        ...

    def remember(self, store_id: str) -> str:
        """Keep the id unless there is one: the one that is kept, the same for all that use the database."""
        ...

    def some_keys(self) -> Iterable[str]:
        """Keys of some blobs that it names, none where it names none."""
        ...


class Marker:
    """The file with the id, in the folder ``root``."""

    def __init__(self, root: Path, drafts: Drafts) -> None:
        self._root, self._drafts = root, drafts
        self._path = root / NAME
        self._known: str | None = None

    def check(self, memory: Memory) -> None:
        """Raise StoreError unless this is the store that the database knows; the first that it sees becomes that.

        One that held blobs before there were markers is told by one of them.
        """
        if self._known is None:
            self._known = memory.recall()
        if self._known is None:
            self._known = memory.remember(self._read() or self._make(memory))
        self.expect(self._known)

    def expect(self, store_id: str) -> None:
        """Raise StoreError unless the folder holds this id."""
        found = self._read()
        if found != store_id:
            why = f"the file {NAME} there names another one" if found else f"there is no {NAME} in it"
            raise self._stranger(f"{self._root} is not the store that this database knows, as {why}", store_id)

    def _read(self) -> str | None:
        try:
            return self._path.read_text("utf-8", errors="replace").strip() or None
        except FileNotFoundError:
            return None

    def _make(self, memory: Memory) -> str:
        """Mark the folder: the id that it has then, whoever was faster. Raises StoreError for one that lacks blobs."""
        store_id = uuid.uuid4().hex
        keys = list(memory.some_keys())
        if keys and not any((self._root / key).is_file() for key in keys):
            raise self._stranger(f"{self._root} holds none of the files that this database names", store_id)
        with self._drafts.draft() as draft:
            _write(draft, store_id)
            try:
                self._path.hardlink_to(draft)
            except FileExistsError:
                pass  # somebody else was as fast
            except OSError:  # there are no links here
                with suppress(FileExistsError):
                    _write(self._path, store_id)
        sync_folder(self._root)
        found = self._read()
        if found is None:
            raise StoreError(errno.EIO, f"{self._path} is empty: remove it")
        return found

    def _stranger(self, reason: str, store_id: str) -> StoreError:
        root, path = shlex.quote(str(self._root)), shlex.quote(str(self._path))
        return StoreError(
            errno.ENODEV,
            f"{reason}: is it mounted, does DASHSCRIBE_STORE_URL lead to it? If its files are lost for good, or all "
            "there but for that one, say as the server's user that it is the store with "
            f"`mkdir -p {root} && echo {store_id} > {path}`",
        )


def _write(path: Path, store_id: str) -> None:
    with path.open("xb") as file:
        file.write(f"{store_id}\n".encode())
        file.flush()
        os.fsync(file.fileno())
