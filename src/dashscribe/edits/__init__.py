"""What people make of transcripts: revisions beside the original, which is never touched.

A revision is a blob, written before the compare-and-set that makes it the current one: once an edit is answered, it is
on disk. Who asks with a revision that is not current any more changes nothing. Editing keeps a recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine, Select, exists, select, update

from dashscribe import files
from dashscribe.db import now_ms, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.edits.state import EditedTrack as EditedTrack
from dashscribe.edits.state import Edits as Edits
from dashscribe.edits.state import Fresh as Fresh
from dashscribe.edits.state import Place as Place
from dashscribe.edits.state import Placed as Placed
from dashscribe.edits.state import Replacement as Replacement
from dashscribe.edits.state import Said as Said
from dashscribe.edits.state import edited, unedited
from dashscribe.errors import DashscribeError, EditedMeanwhileError, NotFoundError, NoTranscriptError
from dashscribe.recordings import not_found, title_of
from dashscribe.store import Store
from dashscribe.types import Options, Shape, Transcript

_file, _task = tables.files, tables.tasks
#: What callers are told of the state of a recording without a transcript; every other one is RUNNING.
STATUS_OF = {FileState.WAITING: "PENDING", FileState.FAILED: "FAILED", FileState.CANCELED: "CANCELED"}
#: How often a blob is looked for again that was replaced between reading its row and reading it.
_LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the tables say of a recording and what was made of it."""

    id: int
    task_id: str
    number: int
    url: str
    title: str
    state: FileState
    model: str
    shape: Shape
    options: Options
    transcript_key: str
    edits_key: str
    revision: int

    @property
    def name(self) -> str:
        """What people call it."""
        return title_of(self.title, self.url)


@dataclass(frozen=True, slots=True)
class Version:
    """A transcript and the recording that it is of. ``is_edited`` says that somebody has changed it.

    ``newer_original``: a stage was done again since the first edit, so that the original says something else now.
    """

    row: Row
    edits: Edits
    is_edited: bool
    newer_original: bool = False


class EditBook:
    """The edits of one installation."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine, self._store = engine, store

    def recording(self, owner: str, task_id: str, number: int) -> Row:
        """An owner's recording, whatever its state. Raises NotFoundError."""
        with reading(self._engine) as connection:
            found = connection.execute(_of_owner(owner, task_id, number)).mappings().one_or_none()
        if found is None:
            raise not_found(f"{task_id}.{number}")
        same = ("id", "task_id", "number", "url", "title", "state", "model", "shape")
        same += ("transcript_key", "edits_key", "revision")
        options = msgspec.json.decode(found["options"], type=Options)
        return Row(**{name: found[name] for name in same}, options=options)

    def row(self, owner: str, task_id: str, number: int) -> Row:
        """The same of one that has a transcript. Raises NotFoundError, NoTranscriptError for one without."""
        row = self.recording(owner, task_id, number)
        if row.state != FileState.SUCCEEDED:
            raise NoTranscriptError(f"The recording is {STATUS_OF.get(row.state, 'RUNNING')}.")
        if not row.transcript_key:
            raise NoTranscriptError("It was not kept beyond DASHSCRIBE_RETENTION: transcribe the recording again.")
        return row

    def read(self, owner: str, task_id: str, number: int, *, original: bool = False) -> Version:
        """The current revision of a transcript, or the original. Raises NotFoundError, NoTranscriptError."""
        for _ in range(_LOOKS):
            row = self.row(owner, task_id, number)
            try:
                return self._version(row, original=original)
            except FileNotFoundError:
                continue  # it was replaced between the two steps
        raise NoTranscriptError("It is missing from the store: transcribe the recording again.")

    def _version(self, row: Row, *, original: bool) -> Version:
        if row.edits_key and not original:
            edits = read_edits(self._store, row.edits_key)
            return Version(row, edits, is_edited=True, newer_original=edits.base != row.transcript_key)
        transcript = msgspec.json.decode(self._store.read(row.transcript_key), type=Transcript)
        return Version(row, unedited(transcript, row.transcript_key, row.revision), is_edited=False)

    def edit(
        self,
        owner: str,
        task_id: str,
        number: int,
        *,
        revision: int,
        replacements: Sequence[Replacement],
        names: Mapping[int, str],
    ) -> tuple[Edits, list[Fresh]]:
        """Make the next revision of a transcript: on disk when this returns, with what stands for each replacement.

        Raises NotFoundError, NoTranscriptError, EditedMeanwhileError where ``revision`` is not the current one, and
        InvalidParameterError for replacements that do not fit it.
        """
        version = self.read(owner, task_id, number)
        if version.row.revision != revision:
            raise _meanwhile(revision, version.row.revision)
        edits, fresh = edited(version.edits, replacements, names, revision + 1)
        blob = msgspec.json.encode(edits)
        # By its content: of two who edit the same revision at once, the loser must not replace what the winner wrote.
        digest = hashlib.sha256(blob).hexdigest()[:16]
        key = f"{files.prefix_of(task_id, number)}/edits-{edits.revision}-{digest}.json"
        self._store.put(key, blob)
        if not self._make_current(version.row, key):
            raise self._lost(owner, version.row, key)
        self._forget(version.row.edits_key)
        return edits, fresh

    def _lost(self, owner: str, row: Row, key: str) -> DashscribeError:
        """Why an edit did not become the current one, whose blob is taken back."""
        try:
            now = self.row(owner, row.task_id, row.number)
        except (NotFoundError, NoTranscriptError) as error:  # deleted meanwhile: nothing else would clear this up
            self._forget(key)
            return error
        if now.edits_key != key:
            self._forget(key)
        return _meanwhile(row.revision, now.revision)

    def _make_current(self, row: Row, key: str) -> bool:
        same = (_file.c.id == row.id, _file.c.revision == row.revision, _file.c.transcript_key == row.transcript_key)
        there = exists().where(_task.c.id == row.task_id, _task.c.removed.is_(False))
        values = {"edits_key": key, "revision": row.revision + 1, "edited_ms": now_ms(), "kept": True}
        with writing(self._engine, urgent=True) as connection:
            # The file first, by a statement of its own: expiry decides about its task while it holds this row.
            connection.execute(select(_file.c.id).where(_file.c.id == row.id).with_for_update())
            changed = update(_file).where(*same, _file.c.hidden.is_(False), there).values(values)
            return connection.execute(changed).rowcount == 1

    def discard(self, owner: str, task_id: str, number: int) -> int:
        """Go back to the original: the revision that this is. Raises NotFoundError, NoTranscriptError."""
        while True:
            row = self.row(owner, task_id, number)
            if not row.edits_key:
                return row.revision
            same = (_file.c.id == row.id, _file.c.revision == row.revision, _file.c.edits_key == row.edits_key)
            values = {"edits_key": "", "revision": row.revision + 1, "edited_ms": None}
            with writing(self._engine, urgent=True) as connection:
                changed = connection.execute(update(_file).where(*same).values(values)).rowcount
            if changed:
                self._forget(row.edits_key)
                return row.revision + 1

    def _forget(self, key: str) -> None:
        """Delete a revision that is not current, or never was; what stays goes with the recording."""
        if key:
            with suppress(OSError):  # what became of the edit itself is to be answered
                self._store.delete(key)


def read_edits(store: Store, key: str) -> Edits:
    """The revision under a key; raises FileNotFoundError."""
    return msgspec.json.decode(store.read(key), type=Edits)


def _of_owner(owner: str, task_id: str, number: int) -> Select[tuple[object, ...]]:
    """The row of a recording that its owner sees."""
    return (
        select(_file, _task.c.model, _task.c.shape, _task.c.options)
        .join(_task, _task.c.id == _file.c.task_id)
        .where(_task.c.id == task_id, _file.c.number == number, _task.c.owner == owner)
        .where(_task.c.removed.is_(False), _file.c.hidden.is_(False))
    )


def _meanwhile(given: int, current: int) -> EditedMeanwhileError:
    return EditedMeanwhileError(f"revision was {given}; the current one is {current}: read the transcript again.")
