"""Files that clients hand in: received whole or in pieces, kept for 48 hours under an oss:// URL of their owner's.

Owns the rows and blobs of uploads; HTTP is the wire's matter. A client's name for a file stands in the URL only: blobs
lie under keys of our own making. What a task names is pinned when it is submitted, until its last file has ended.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    case,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dashscribe.arrivals import Inbox, is_held, open_arrivals
from dashscribe.config import Settings
from dashscribe.db import as_datetime, now_ms, reading, secret, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors import ConflictError, NoRoomError, UploadBusyError
from dashscribe.errors.sources import UploadGoneError
from dashscribe.object_keys import SCHEME as SCHEME
from dashscribe.object_keys import digest, keys_of, new_folder, safe_name
from dashscribe.store import Drafts, Store

#: How long an upload can be used after it was received, in milliseconds.
LIFETIME_MS = 48 * 3600 * 1000
#: How long one that is not whole waits for its next byte, in milliseconds.
PATIENCE_MS = 24 * 3600 * 1000
#: How long expiry keeps away from what a submit has named, in milliseconds; what waiting files name stays anyway.
PIN_MS = 3600 * 1000
#: Uploads per transaction of an expiry.
BATCH = 100

_upload, _file, _task = tables.uploads, tables.files, tables.tasks
_ENDED = (FileState.SUCCEEDED, FileState.FAILED, FileState.CANCELED)
_OPEN_STATES = tuple(state for state in FileState if state not in _ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A complete upload; ``key`` is what follows oss:// in its URL."""

    key: str
    owner: str
    model: str
    name: str
    size_bytes: int
    sha256: str
    created_at: datetime

    @property
    def url(self) -> str:
        """What a request names."""
        return SCHEME + self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How much of an upload is durably here: ``received`` of ``length`` bytes; gone after ``expires_at``."""

    key: str
    name: str
    model: str
    length: int
    received: int
    complete: bool
    expires_at: datetime

    @property
    def url(self) -> str:
        """What a request names once the upload is complete."""
        return SCHEME + self.key


class UploadBook:
    """The uploads of one installation."""

    def __init__(self, engine: Engine, store: Store, settings: Settings) -> None:
        self._engine, self._store, self._settings = engine, store, settings
        self._arrivals = open_arrivals(engine, store, settings.home)
        self._drafts = Drafts(settings.home / "receiving")

    def new_folder(self, owner: str) -> str:
        """The beginning of keys for this owner that nobody has had."""
        return new_folder(secret(self._engine, "upload-owners"), owner)

    # --- whole files ---

    def keep(self, owner: str, name: str, file: Path, *, model: str = "") -> Upload:
        """Take over a whole file, which is linked or copied and must not change. On disk when this returns.

        Raises NoRoomError.
        """
        return self.keep_as(f"{self.new_folder(owner)}/{safe_name(name)}", owner, file, model=model)

    def keep_as(self, key: str, owner: str, file: Path, *, model: str = "") -> Upload:
        """Take over a whole file under this key. Raises ConflictError for one in use, UploadBusyError, NoRoomError.

        A key under which a process was putting a file that was killed is not in use.
        """
        self.check_room()
        row, now = {"key": key, "owner": owner, "model": model, "name": key.rpartition("/")[2]}, now_ms()
        with suppress(IntegrityError), writing(self._engine, urgent=True) as connection:
            connection.execute(insert(_upload).values(**row, created_ms=now, used_ms=now))
        self._check_whole(key, owner)  # first: what comes in pieces is not to be held
        with self._arrivals.hold(key):
            self._check_whole(key, owner)
            return self._put(key, file)

    def _check_whole(self, key: str, owner: str) -> None:
        """Raise ConflictError unless this is an upload that comes whole and has not come."""
        waiting = (_upload.c.complete.is_(False), _upload.c.length.is_(None))
        if self._row(_upload.c.key == key, _upload.c.owner == owner, *waiting) is None:
            raise ConflictError(f"An upload named {key!r} exists already.")

    def _put(self, key: str, file: Path) -> Upload:
        """Settle a whole file, or leave nothing of it. For whoever has the upload to himself."""
        try:
            return self._settle(key, file)
        except Exception:
            # Where that fails, too, the next one with this key, or expiry, makes up for it.
            with suppress(OSError, SQLAlchemyError):
                if self._row(_upload.c.key == key, _upload.c.complete) is None:
                    self._store.delete(_blob_key(key))
                    self._forget(_upload.c.key == key, _upload.c.complete.is_(False))
            raise

    def find(self, owner: str, url: str, *, at_ms: int | None = None) -> Upload:
        """The owner's upload behind an oss:// URL. Raises UploadGoneError for an unknown, expired or foreign one.

        ``at_ms`` is the instant at which it must have been good, in epoch milliseconds; now, if it is not given.
        """
        good = _is_good(now_ms() if at_ms is None else at_ms)
        row = self._row(_upload.c.owner == owner, _upload.c.key.in_(keys_of(url)), good)
        if row is None:
            raise UploadGoneError(
                f"The owner of this API key has no upload {url[:300]!r}, or none any more: uploads live for 48 hours."
            )
        return _whole(row)

    @contextmanager
    def path(self, upload: Upload) -> Generator[Path]:
        """A local file with the upload's bytes, to be read only, for as long as the block lasts; UploadGoneError."""
        with ExitStack() as stack:
            try:
                path = stack.enter_context(self._store.path(_blob_key(upload.key)))
            except FileNotFoundError as error:
                raise UploadGoneError("The upload is missing from the store: upload it again.") from error
            yield path

    @contextmanager
    def folder(self) -> Generator[Path]:
        """A folder for what one request brings along; removed at its end, also at the end of a killed process."""
        with self._drafts.draft() as folder:
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def check_room(self, more_bytes: int = 0) -> None:
        """Raise NoRoomError when the disk cannot take so many more bytes and keep its reserve."""
        if self.room_bytes() < more_bytes:
            raise NoRoomError(
                f"The server keeps {self._settings.disk_reserve_bytes} bytes of its disk free "
                "(DASHSCRIBE_DISK_RESERVE_BYTES): try again later."
            )

    def room_bytes(self) -> int:
        """How many bytes may come in before the disk is at its reserve; negative beyond it."""
        return self._store.free_bytes() - self._settings.disk_reserve_bytes

    # --- what is there ---

    def receipt(self, owner: str, key: str) -> Receipt | None:
        """How far an upload is; None where the owner has none of this key. One that is all here becomes complete."""
        mine = (_upload.c.owner == owner, _upload.c.key == key, _is_there(now_ms()))
        row = self._row(*mine)
        if row is not None and not row["complete"] and row["received"] == row["length"]:
            with suppress(UploadBusyError, UploadGoneError), self.resume(owner, key) as arrival:
                arrival.settle()
            row = self._row(*mine)
        return None if row is None else _receipt(row)

    def receipts(self, owner: str, *, limit: int, offset: int = 0) -> tuple[int, Sequence[Receipt]]:
        """How many uploads the owner has, and some of them, the newest first."""
        mine = (_upload.c.owner == owner, _is_there(now_ms()))
        page = select(_upload).where(*mine).order_by(_upload.c.created_ms.desc(), _upload.c.key)
        with reading(self._engine) as connection:
            total = connection.execute(select(func.count()).select_from(_upload).where(*mine)).scalar_one()
            rows = connection.execute(page.limit(limit).offset(offset)).mappings().all()
        return total, [_receipt(row) for row in rows]

    def remove(self, owner: str, key: str) -> bool:
        """Delete an upload, whole or not; False where there is none. Raises ConflictError while a task needs it."""
        mine = (_upload.c.owner == owner, _upload.c.key == key, _upload.c.removed.is_(False))
        with writing(self._engine, urgent=True) as connection:
            if not connection.execute(update(_upload).where(*mine).values(removed=True)).rowcount:
                return False
            if key in _named(connection, [owner]):
                raise ConflictError(f"A task that has not ended needs the upload {key!r}.")
        self._delete([key])
        return True

    # --- in pieces ---

    def begin(self, owner: str, name: str, length: int, *, model: str = "") -> Receipt:
        """Expect an upload of so many bytes: it can be resumed from now on, whatever happens to the server."""
        self.check_room(self._arrivals.needs_bytes(length))
        key = f"{self.new_folder(owner)}/{safe_name(name)}"
        now = now_ms()
        row = {"key": key, "owner": owner, "model": model, "name": key.rpartition("/")[2], "length": length}
        with writing(self._engine, urgent=True) as connection:
            connection.execute(insert(_upload).values(**row, created_ms=now, used_ms=now))
        receipt = self.receipt(owner, key)  # an empty one is complete at once
        assert receipt is not None, "it was made just now"
        return receipt

    @contextmanager
    def resume(self, owner: str, key: str) -> Generator[Arrival]:
        """The upload, to be added to by nobody else meanwhile. Raises UploadGoneError, UploadBusyError."""
        mine = (_upload.c.owner == owner, _upload.c.key == key)
        self._unfinished(*mine)
        with self._arrivals.open(key) as inbox:
            try:
                receipt = self._unfinished(*mine)  # as the one who had the lock before left it
                if not receipt.complete:
                    inbox.go_on(receipt.received)
                yield Arrival(receipt, inbox, self.check_room, lambda: self._settle(key, inbox.content()))
            finally:
                row = self._row(*mine)
                if row is None or row["complete"]:
                    with suppress(OSError):  # what stays goes with the upload
                        self._arrivals.remove(key)

    def _unfinished(self, *mine: ColumnElement[bool]) -> Receipt:
        row = self._row(*mine, _is_there(now_ms()))
        if row is None:
            raise UploadGoneError("The owner of this API key has no such upload, or none any more.")
        return _receipt(row)

    # --- the end ---

    def clean(self) -> None:
        """Remove what processes were receiving that are gone."""
        self._drafts.clean()

    def expire(self, now: int, pause: Callable[[], None]) -> None:
        """Remove what is past its time at this instant, in epoch milliseconds; ``pause`` is called now and then."""
        self.clean()
        unused_ms = case((_upload.c.complete, PIN_MS), else_=PATIENCE_MS)
        past = (_upload.c.used_ms + unused_ms <= now) & not_(_is_good(now))
        while keys := self._mark_removed(past):
            self._delete(keys)
            pause()

    def _mark_removed(self, past: ColumnElement[bool]) -> Sequence[str]:
        """Hide some uploads that are past their time and that no waiting file names, and find those left hidden."""
        over_or_hidden = or_(past, _upload.c.removed & ~is_held())
        with reading(self._engine) as connection:
            if connection.execute(select(_upload.c.key).where(over_or_hidden).limit(1)).first() is None:
                return []
        with writing(self._engine) as connection:
            over = connection.execute(select(_upload.c.key, _upload.c.owner).where(past)).all()
            named = _named(connection, {upload.owner for upload in over})
            keys = [upload.key for upload in over if upload.key not in named][:BATCH]
            # Once more, for a submit that named one of them meanwhile.
            connection.execute(update(_upload).where(_upload.c.key.in_(keys), past).values(removed=True))
            removed = select(_upload.c.key).where(_upload.c.removed, ~is_held())
            return connection.execute(removed.limit(BATCH)).scalars().all()

    def _delete(self, keys: Sequence[str]) -> None:
        """Delete what was marked: blobs first, so that a crash in between is made up for by the next round."""
        for key in keys:
            self._store.delete(_blob_key(key))
            self._arrivals.remove(key)
        # Somebody who still adds to one may put one more piece, before he notices: that one's row stays for a round.
        self._forget(_upload.c.key.in_(keys), _upload.c.removed, ~is_held())

    def _forget(self, *conditions: ColumnElement[bool]) -> None:
        with writing(self._engine) as connection:
            connection.execute(delete(_upload).where(*conditions))

    def _settle(self, key: str, content: Path | Iterable[bytes]) -> Upload:
        """Put the whole file into the store and say so."""
        try:
            stored = self._store.put(_blob_key(key), content)
        except UploadGoneError:
            row = self._row(_upload.c.key == key, _upload.c.complete)
            if row is None:
                raise
            return _whole(row)  # somebody else was faster
        values = {"length": stored.size_bytes, "received": stored.size_bytes, "sha256": stored.sha256}
        waiting = (_upload.c.key == key, _upload.c.complete.is_(False), _upload.c.removed.is_(False))
        with writing(self._engine, urgent=True) as connection:
            connection.execute(
                update(_upload).where(*waiting).values(**values, complete=True, created_ms=now_ms(), used_ms=now_ms())
            )
            row = connection.execute(select(_upload).where(_upload.c.key == key)).mappings().one_or_none()
        if row is None or row["removed"]:
            self._store.delete(_blob_key(key))
            raise UploadGoneError("The upload was removed while it was received.")
        return _whole(row)

    def _row(self, *conditions: ColumnElement[bool]) -> RowMapping | None:
        with reading(self._engine) as connection:
            found = connection.execute(select(_upload).where(_upload.c.removed.is_(False), *conditions).limit(1))
            return found.mappings().first()


class Arrival:
    """An upload that is being added to, at ``offset``; what was not saved counts as never received."""

    def __init__(
        self, receipt: Receipt, inbox: Inbox, check_room: Callable[[], None], settle: Callable[[], object]
    ) -> None:
        self.receipt = receipt
        self.offset = receipt.received
        self._inbox, self._check_room, self._settle = inbox, check_room, settle
        self._saved, self._saved_s = receipt.received, time.monotonic()

    def write(self, data: bytes, *, may_save: bool) -> None:
        """Add bytes, which must fit into the length, and save now and then, if that may be done before the end."""
        self._inbox.write(data)
        self.offset += len(data)
        much = self.offset - self._saved >= self._inbox.save_bytes
        if may_save and (much or time.monotonic() - self._saved_s >= self._inbox.save_s):
            self.save()

    def save(self) -> None:
        """Make durable what came. Raises NoRoomError, UploadGoneError, UploadBusyError."""
        if self.offset == self._saved:
            return
        self._check_room()
        self._inbox.save(self.offset)
        self._saved, self._saved_s = self.offset, time.monotonic()

    def settle(self) -> None:
        """Make the upload complete if all of it is saved."""
        if self._saved == self.receipt.length and not self.receipt.complete:
            self._settle()


def pin(connection: Connection, owner: str, urls: Sequence[str], now: int) -> None:
    """Note within a submit's transaction that it names these sources: expiry keeps away from the uploads among them."""
    keys = [key for url in urls if url.startswith(SCHEME) for key in keys_of(url)]
    if keys:
        mine = (_upload.c.owner == owner, _upload.c.key.in_(keys), _upload.c.removed.is_(False))
        connection.execute(update(_upload).where(*mine).values(used_ms=now))


def _blob_key(key: str) -> str:
    return f"uploads/{digest(key)}"


def _named(connection: Connection, owners: Collection[str]) -> set[str]:
    """The keys that files of these owners name which have not ended; an upload can be named by its owner only.

    Found through tasks that have not ended: there is an index over those by owner, whatever others have in the queue.
    """
    open_tasks = select(_task.c.id).where(_task.c.owner.in_(owners), _task.c.ended_ms.is_(None))
    naming = select(_file.c.url).where(
        _file.c.task_id.in_(open_tasks), _file.c.state.in_(_OPEN_STATES), _file.c.url.startswith(SCHEME)
    )
    return {key for url in connection.execute(naming).scalars() for key in keys_of(url)}


def _is_good(at_ms: int) -> ColumnElement[bool]:
    """Whether an upload can be used at an instant."""
    return _upload.c.complete & (_upload.c.created_ms > at_ms - LIFETIME_MS)


def _is_there(now: int) -> ColumnElement[bool]:
    """Whether its owner sees an upload: a good one, or one that goes on. What comes whole is not seen before."""
    goes_on = _upload.c.length.is_not(None) & (_upload.c.used_ms > now - PATIENCE_MS)
    return _upload.c.removed.is_(False) & or_(_is_good(now), not_(_upload.c.complete) & goes_on)


def _receipt(row: RowMapping) -> Receipt:
    same = {name: row[name] for name in ("key", "name", "model", "length", "received", "complete")}
    expires_ms = row["created_ms"] + LIFETIME_MS if row["complete"] else row["used_ms"] + PATIENCE_MS
    return Receipt(**same, expires_at=as_datetime(expires_ms))


def _whole(row: RowMapping) -> Upload:
    same = {name: row[name] for name in ("key", "owner", "model", "name", "sha256")}
    return Upload(**same, size_bytes=row["received"], created_at=as_datetime(row["created_ms"]))
