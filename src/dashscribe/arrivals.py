"""What came so far of uploads that are not whole, and who may add to them.

On one machine that is a file of the home per upload, locked by whoever adds to it. Where several machines may be asked
to go on with one, or the store is elsewhere, it is pieces in the store, and a lease in the upload's row: the database's
clock ends it, so that clocks of machines need not agree, and a writer who was stopped for longer than his lease and
wakes up changes nothing, because his claim is no longer the row's.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from dashscribe.db import DatabaseClock, now_ms, reading, tables, writing
from dashscribe.errors import UploadBusyError
from dashscribe.errors.sources import UploadGoneError
from dashscribe.object_keys import digest
from dashscribe.store import CHUNK_BYTES, Drafts, Store

#: How long a lease lasts, and how often those that are held are renewed, in milliseconds: a process that dies blocks
#: its uploads for no longer than the first, and one that misses two rounds still has them.
LEASE_MS, RENEW_MS = 15_000, 5_000

_upload, _piece = tables.uploads, tables.upload_pieces


class Inbox(Protocol):
    """What came of one upload, in the hands of its one writer."""

    #: Bytes, and seconds, after which it is worth while to save.
    save_bytes: int
    save_s: float

    def go_on(self, received: int) -> None:
        """Forget what was never saved behind the first so many bytes. Raises UploadGoneError if they are lost."""
        ...

    def write(self, data: bytes) -> None:
        """Take bytes, which are not safe yet."""
        ...

    def save(self, received: int) -> None:
        """Make all that came durable, which is so many bytes now. Raises UploadGoneError, UploadBusyError."""
        ...

    def content(self) -> Path | Iterable[bytes]:
        """All that was saved. Raises UploadGoneError, perhaps only at the end, if that is not there."""
        ...


class Arrivals(Protocol):
    """Where the parts of uploads lie."""

    def open(self, key: str) -> AbstractContextManager[Inbox]:
        """An upload's, for one writer at a time. Raises UploadBusyError while somebody else has it."""
        ...

    def hold(self, key: str) -> AbstractContextManager[object]:
        """Have an upload to oneself of which nothing comes in pieces. Raises UploadBusyError."""
        ...

    def needs_bytes(self, length: int) -> int:
        """How much of this machine's disk an upload of so many bytes needs."""
        ...

    def remove(self, key: str) -> None:
        """Forget what came of an upload."""
        ...


def open_arrivals(engine: Engine, store: Store, home: Path) -> Arrivals:
    """Files in the home where they are all there is: with a store and a database of this machine."""
    if store.is_remote or engine.dialect.name != "sqlite":
        return Pieces(engine, store, Drafts(home / "receiving"))
    return Files(engine, home / "uploads")


# --- files of this machine ------------------------------------------------------------------------------------------


class Files:
    """A file per upload; the lock on it ends with the process that holds it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder

    @contextmanager
    def open(self, key: str) -> Generator[Inbox]:
        """An upload's file, made if need be."""
        path = self._folder / digest(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("ab") as file:
            if is_new:
                folder = os.open(path.parent, os.O_RDONLY)
                os.fsync(folder)  # the name, too, has to outlive a power cut
                os.close(folder)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UploadBusyError("Another request adds to this upload.") from error
            yield _FileInbox(self._engine, key, path, file)

    @contextmanager
    def hold(self, key: str) -> Generator[None]:
        """An upload's file, for its lock."""
        with self.open(key):
            try:
                yield
            finally:
                with suppress(OSError):  # what stays goes with the upload
                    self.remove(key)

    def needs_bytes(self, length: int) -> int:
        """All of it."""
        return length

    def remove(self, key: str) -> None:
        """Delete the file."""
        (self._folder / digest(key)).unlink(missing_ok=True)


class _FileInbox:
    save_bytes, save_s = 16 * 1024**2, 1.0

    def __init__(self, engine: Engine, key: str, path: Path, file: BinaryIO) -> None:
        self._engine, self._key, self._path, self._file = engine, key, path, file

    def go_on(self, received: int) -> None:
        if self._file.seek(0, os.SEEK_END) < received:
            raise UploadGoneError("What was received of this upload is lost: upload it again.")
        self._file.truncate(received)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def save(self, received: int) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        with writing(self._engine, urgent=True) as connection:
            _note(connection, self._key, received)

    def content(self) -> Path:
        return self._path


# --- pieces in the store --------------------------------------------------------------------------------------------


class Pieces:
    """A blob per piece that was saved, named by its place and its writer's claim; rows say which of them count."""

    def __init__(self, engine: Engine, store: Store, drafts: Drafts) -> None:
        self._engine, self._store, self._drafts = engine, store, drafts
        self._leases = Leases(engine)

    @contextmanager
    def open(self, key: str) -> Generator[Inbox]:
        """An upload's pieces, and a draft for the next one."""
        with self._leases.hold(key) as claim, self._drafts.draft() as draft, draft.open("w+b") as file:
            yield _PieceInbox(self._engine, self._store, key, claim, file)

    def hold(self, key: str) -> AbstractContextManager[object]:
        """The lease."""
        return self._leases.hold(key)

    def needs_bytes(self, length: int) -> int:
        """The draft of one piece."""
        return min(length, _PieceInbox.save_bytes)

    def remove(self, key: str) -> None:
        """Delete the pieces, also those that never counted."""
        with reading(self._engine) as connection:
            claim = connection.execute(select(_upload.c.claim).where(_upload.c.key == key)).scalar()
        if claim == 0:
            return  # nobody ever added to it
        self._store.delete_prefix(_pieces_of(key))
        with writing(self._engine) as connection:
            connection.execute(delete(_piece).where(_piece.c.upload == key))


class _PieceInbox:
    # Larger pieces than what comes at once, since each is a request and a row, and joined in the end; but one that a
    # bucket takes in one request, with what comes on top before anybody looks.
    save_bytes, save_s = CHUNK_BYTES - 1024**2, 10.0

    def __init__(self, engine: Engine, store: Store, key: str, claim: int, file: BinaryIO) -> None:
        self._engine, self._store, self._key, self._claim, self._file = engine, store, key, claim, file
        self._received = 0

    def go_on(self, received: int) -> None:
        self._received = received

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def save(self, received: int) -> None:
        """Blob first, then row: what a crash leaves in between lies under a claim that nobody has again."""
        self._file.flush()
        place = {"upload": self._key, "begin": self._received, "claim": self._claim}
        blob = _piece_key(self._key, self._received, self._claim)
        # Not as a file: a bucket would keep a copy of what nobody is going to read here.
        self._file.seek(0)
        small = received - self._received <= CHUNK_BYTES  # one with a checksum is saved as a whole, however large it is
        self._store.put(blob, self._file.read() if small else iter(lambda: self._file.read(1024**2), b""))
        try:
            with writing(self._engine, urgent=True) as connection:
                _note(connection, self._key, received, _upload.c.claim == self._claim)
                connection.execute(insert(_piece).values(**place))
        except (UploadGoneError, UploadBusyError):
            self._store.delete(blob)
            raise
        self._received = received
        self._file.seek(0)
        self._file.truncate()

    def content(self) -> Iterator[bytes]:
        query = select(_piece.c.begin, _piece.c.claim).where(_piece.c.upload == self._key).order_by(_piece.c.begin)
        with reading(self._engine) as connection:
            pieces = connection.execute(query).all()
        at = 0
        for begin, claim in pieces:
            if begin != at:
                break
            try:
                for chunk in self._store.chunks(_piece_key(self._key, begin, claim)):
                    at += len(chunk)
                    yield chunk
            except FileNotFoundError:
                break
        if at != self._received:  # lost, or removed by somebody who was faster to join them
            raise UploadGoneError("What was received of this upload is lost: upload it again.")


def _pieces_of(key: str) -> str:
    return f"arriving/{digest(key)}"


def _piece_key(key: str, begin: int, claim: int) -> str:
    return f"{_pieces_of(key)}/{begin}-{claim}"


def _note(connection: Connection, key: str, received: int, *mine: ColumnElement[bool]) -> None:
    """So many bytes of an upload are durable. Raises UploadGoneError if it is not expected any more."""
    there = (_upload.c.key == key, _upload.c.complete.is_(False), _upload.c.removed.is_(False))
    values = {"received": received, "used_ms": now_ms()}
    if connection.execute(update(_upload).where(*there, *mine).values(**values)).rowcount:
        return
    if mine and connection.execute(select(_upload.c.key).where(*there)).first():
        raise UploadBusyError("Another request has taken this upload over.")
    raise UploadGoneError("The upload was removed meanwhile.")


# --- leases ---------------------------------------------------------------------------------------------------------


def is_held() -> ColumnElement[bool]:
    """Whether somebody adds to an upload, or may still be at it."""
    return _upload.c.locked_until_ms > DatabaseClock()


class Leases:
    """The uploads that this process adds to. One thread renews them all for as long as there are any."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: set[tuple[str, int]] = set()  # keys and claims
        self._guard = threading.Lock()
        self._renewer: threading.Thread | None = None

    @contextmanager
    def hold(self, key: str) -> Generator[int]:
        """Have an upload to oneself: the claim under which to write. Raises UploadBusyError."""
        claim = self._take(key)
        with self._guard:
            self._held.add((key, claim))
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew, name="dashscribe-leases", daemon=True)
                self._renewer.start()
        try:
            yield claim
        finally:
            with self._guard:
                self._held.discard((key, claim))
            with suppress(SQLAlchemyError), writing(self._engine, urgent=True) as connection:  # it ends by itself, too
                mine = (_upload.c.key == key, _upload.c.claim == claim)
                connection.execute(update(_upload).where(*mine).values(locked_until_ms=0))

    def _take(self, key: str) -> int:
        free = (_upload.c.key == key, ~is_held())
        values = {"claim": _upload.c.claim + 1, "locked_until_ms": DatabaseClock() + LEASE_MS}
        with writing(self._engine, urgent=True) as connection:
            if not connection.execute(update(_upload).where(*free).values(**values)).rowcount:
                raise UploadBusyError("Another request adds to this upload.")
            return connection.execute(select(_upload.c.claim).where(_upload.c.key == key)).scalar_one()

    def _renew(self) -> None:
        while True:
            time.sleep(RENEW_MS / 1000)
            with self._guard:
                held = sorted(self._held)
                if not held:
                    self._renewer = None
                    return
            for key, claim in held:  # one by one, so as to wait for nobody with another row in hand
                # Not one that was given back since.
                mine = and_(_upload.c.key == key, _upload.c.claim == claim, _upload.c.locked_until_ms > 0)
                longer = update(_upload).where(mine).values(locked_until_ms=DatabaseClock() + LEASE_MS)
                with suppress(SQLAlchemyError), writing(self._engine, urgent=True) as connection:
                    connection.execute(longer)
