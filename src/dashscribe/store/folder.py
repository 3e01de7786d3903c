"""Blobs as plain files in a folder, on disk when a put returns.

Plain files rather than obstore, whose local store never calls fsync and leaves its half-written files beside the blobs,
under names that cannot be told from theirs.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from dashscribe.errors import ConfigError
from dashscribe.store.blobs import CHUNK_BYTES, Stored, check_key
from dashscribe.store.drafts import Drafts, make_folder, sync_folder
from dashscribe.store.marker import Marker, Memory

#: How often a folder is removed anew in which something is put meanwhile, and the pauses between, in seconds.
REMOVALS, REMOVAL_PAUSE_S = 10, 0.01

T = TypeVar("T")


class Folder:
    """The blobs in one folder; several processes may share it."""

    is_remote = False

    def __init__(self, url: str, memory: Memory | None = None) -> None:
        """Open ``file:///PATH``; the folder is made with the first put.

        ``memory`` is what the database knows of its store; without one, whatever lies there is the store.
        """
        parts = urlsplit(url)
        self._url = url
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ConfigError(f"store_url={url!r}: give file:///PATH or s3://BUCKET/PREFIX")
        if "?" in url or "#" in url:
            raise ConfigError(f"store_url={url!r}: write %3F for ? and %23 for # in a path")
        self.root = Path(os.fsdecode(unquote_to_bytes(parts.path)))
        self._drafts = Drafts(self.root / ".drafts")
        self.marker = Marker(self.root, self._drafts)
        self._memory = memory
        self._is_known = False

    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> Stored:
        """Write a blob, replacing one of the same key in one step. A file is linked or copied and must not change."""
        target = self._locate(key)
        if not self._is_known:
            self.check_known()
        try:
            with self._drafts.draft() as draft:
                stored = _link(data, draft) if isinstance(data, Path) else _write(data, draft)
                make_folder(target.parent)
                draft.replace(target)
        except FileNotFoundError:  # perhaps because the disk was taken away
            self._is_known = False
            self._drafts.look_anew()
            self.check_known()
            raise
        sync_folder(target.parent)
        return stored

    def read(self, key: str) -> bytes:
        """A blob's bytes; raises FileNotFoundError."""
        return self._surely(self._locate(key).read_bytes)

    def chunks(self, key: str) -> Iterator[bytes]:
        """A blob's bytes, little by little; raises FileNotFoundError."""
        path = self._locate(key)
        with self._surely(lambda: path.open("rb")) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def path(self, key: str) -> Generator[Path]:
        """A local file with the blob's bytes, to be read only, for as long as the block lasts; FileNotFoundError."""
        path = self._locate(key)

        def look() -> None:
            if not stat.S_ISREG(path.stat().st_mode):
                raise FileNotFoundError(f"the store holds no {key!r}")

        self._surely(look)
        yield path

    def size(self, key: str) -> int | None:
        """A blob's size in bytes, None when there is none."""
        try:
            return self._surely(self._locate(key).stat).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        return self.size(key) is not None

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self._surely(self._locate(key).unlink)

    def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose key begins with ``prefix`` and a slash; raises OSError if one of them may be left."""
        folder = self._locate(prefix)
        for number in range(REMOVALS):
            time.sleep(REMOVAL_PAUSE_S * number)
            try:
                _clear(folder)
            except NotADirectoryError:
                return  # it is a blob: nothing begins with its key and a slash
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            self.check_known()  # what was not there, or vanished: perhaps all of the disk was taken away
            if not _is_there(folder):
                return
        if _holds_blobs(folder):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))

    def free_bytes(self) -> int:
        """How much the store can still take."""
        return shutil.disk_usage(self._nearest()).free

    def check_known(self) -> None:
        """Raise StoreError if this is not the store that the database knows; the first that it sees becomes that."""
        if self._memory is not None:
            self.marker.check(self._memory)
        self._is_known = True

    def _surely(self, look: Callable[[], T]) -> T:
        """What there is to see. What is not there is looked for once more when this is known to be the store."""
        try:
            return look()
        except FileNotFoundError:
            self.check_known()
        return look()

    def check_writable(self) -> None:
        """Write a file that has no name and leaves nothing behind; raises OSError where that cannot be done."""
        with TemporaryFile(dir=self._nearest()) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())

    def _nearest(self) -> Path:
        """The store's folder, or the closest one above it that exists."""
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return folder

    def clean(self) -> None:
        """Remove half-written blobs of processes that are gone."""
        self._drafts.clean()

    def where(self) -> str:
        """Where it is."""
        return self._url

    def _locate(self, key: str) -> Path:
        return self.root / check_key(key)


def _clear(folder: Path) -> None:
    """Remove a folder with all that is in it; what is not there any more is as good as removed."""
    with suppress(FileNotFoundError):
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
        for path, is_folder in found:
            if is_folder:
                _clear(path)
            else:
                with suppress(FileNotFoundError):
                    path.unlink()
        folder.rmdir()


def _is_there(folder: Path) -> bool:
    try:
        folder.lstat()
    except FileNotFoundError:
        return False
    return True


def _holds_blobs(folder: Path) -> bool:
    """Whether there is more in a folder than what NFS keeps of files that somebody still reads."""

    def fail(error: OSError) -> None:
        raise error

    return any(not name.startswith(".nfs") for _, _, names in os.walk(folder, onerror=fail) for name in names)


def _write(data: bytes | Iterable[bytes], path: Path) -> Stored:
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for chunk in [data] if isinstance(data, bytes) else data:
            file.write(chunk)
            digest.update(chunk)
        file.flush()
        os.fsync(file.fileno())
        return Stored(file.tell(), digest.hexdigest())


def _link(source: Path, path: Path) -> Stored:
    """Give a file on the same file system a second name, which costs nothing; else copy it."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        return Stored(file.tell(), digest.hexdigest())
