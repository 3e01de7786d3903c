"""Blobs as plain files in a folder, on disk when a put returns.

Plain files rather than obstore, whose local store never calls fsync and leaves its half-written files beside the blobs,
under names that cannot be told from theirs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import unquote_to_bytes, urlsplit

from dashscribe.errors import ConfigError
from dashscribe.store.blobs import CHUNK_BYTES, Stored, check_key
from dashscribe.store.drafts import Drafts, make_folder, sync_folder


class Folder:
    """The blobs in one folder; several processes may share it."""

    is_remote = False

    def __init__(self, url: str) -> None:
        """Open ``file:///PATH``; the folder is made with the first put."""
        parts = urlsplit(url)
        self._url = url
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ConfigError(f"store_url={url!r}: give file:///PATH or s3://BUCKET/PREFIX")
        if "?" in url or "#" in url:
            raise ConfigError(f"store_url={url!r}: write %3F for ? and %23 for # in a path")
        self.root = Path(os.fsdecode(unquote_to_bytes(parts.path)))
        self._drafts = Drafts(self.root / ".drafts")

    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> Stored:
        """Write a blob, replacing one of the same key in one step. A file is linked or copied and must not change."""
        target = self._locate(key)
        with self._drafts.draft() as draft:
            stored = _link(data, draft) if isinstance(data, Path) else _write(data, draft)
            make_folder(target.parent)
            draft.replace(target)
        sync_folder(target.parent)
        return stored

    def read(self, key: str) -> bytes:
        """A blob's bytes; raises FileNotFoundError."""
        return self._locate(key).read_bytes()

    def chunks(self, key: str) -> Iterator[bytes]:
        """A blob's bytes, little by little; raises FileNotFoundError."""
        with self._locate(key).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def path(self, key: str) -> Generator[Path]:
        """A local file with the blob's bytes, to be read only, for as long as the block lasts; FileNotFoundError."""
        path = self._locate(key)
        if not path.is_file():
            raise FileNotFoundError(f"the store holds no {key!r}")
        yield path

    def size(self, key: str) -> int | None:
        """A blob's size in bytes, None when there is none."""
        try:
            return self._locate(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        return self.size(key) is not None

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        self._locate(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose key begins with ``prefix`` and a slash."""
        shutil.rmtree(self._locate(prefix), ignore_errors=True)

    def free_bytes(self) -> int:
        """How much the store can still take."""
        return shutil.disk_usage(self._nearest()).free

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
