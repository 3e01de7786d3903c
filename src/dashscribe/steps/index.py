"""Brings the search index up to what recordings say now: after their end, after edits, after a stage done again.

A sweep over rows whose ``indexed`` is behind, so that nothing on the path of a task knows of the index, and what was
interrupted is made up for. Of many workers one goes round at a time. A recording whose transcript is gone or damaged is
known by its title only; one that cannot be read or written now is tried again later, and keeps no other one waiting.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Engine, Row, select, update
from sqlalchemy.exc import DatabaseError

from dashscribe import search
from dashscribe.db import elected, reading, tables, writing
from dashscribe.recordings import title_of
from dashscribe.steps.bench import Bench
from dashscribe.store import Store

logger = logging.getLogger(__name__)

#: Recordings that one look finds, and that one sweep looks at: the next one begins with those that ended meanwhile.
BATCH, MOST = 50, 200
#: Characters after which a transaction ends: half an hour of speech has so many, and others want to write.
WRITTEN_CHARS = 20_000
#: How long one waits that could not be read, doubled with each try up to the second, in seconds.
LATER_S, LATEST_S = 30.0, 600.0
#: If so many in a row cannot be read, it is the store or the database that is away.
MOST_FAILED = 5

_file = tables.files


#: The words of a sentence, a list of flat objects. Within strings every quote has a backslash before it, so that
#: nothing that was said can be taken for this.
_WORDS = re.compile(rb'"words":\[(?:[^]"]++|"(?:[^"\\]++|\\.)*+")*+\]')
_NO_WORDS = b'"words":[]'


class _Said(Struct):
    begin_ms: int
    end_ms: int
    text: str
    language: str = ""


class _Track(Struct):
    channel: int
    sentences: list[_Said]


class _Transcript(Struct):
    """Of ``types.Transcript`` what is found."""

    tracks: list[_Track]


class _Placed(Struct):
    sentence: _Said


class _EditedTrack(Struct):
    channel: int
    sentences: list[_Placed]


class _Edits(Struct):
    """The same of a transcript that was edited."""

    tracks: list[_EditedTrack]


class Indexing:
    """The sweep of one worker, and what it will try again later; ``monotonic`` is a clock in seconds."""

    def __init__(self, bench: Bench, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bench, self._monotonic = bench, monotonic
        # When, and how long that was to wait, by what was read: a recording that has changed since does not wait.
        self._later: dict[Row[Any], tuple[float, float]] = {}
        self._failed = 0  # in a row

    def sweep(self) -> None:
        """Bring up to date what is behind, the newest first; called every second or so.

        Raises OSError or DatabaseError where nothing can be done now.
        """
        engine = self._bench.engine
        self._failed, long_ago = 0, self._monotonic() - LATEST_S
        self._later = {row: later for row, later in self._later.items() if later[0] > long_ago}
        if not _behind(engine, None, 1):
            return
        with elected(engine, "index") as is_mine:
            looked_at, below = 0, None
            while is_mine and looked_at < MOST and (rows := _behind(engine, below, BATCH)):
                below = rows[-1].id
                due = [row for row in rows if self._is_due(row)]
                looked_at += len(due)
                self._bring_up(due)
                self._bench.pause()

    def _is_due(self, row: Row[Any]) -> bool:
        when_s, _ = self._later.get(row, (0.0, 0.0))
        return self._monotonic() >= when_s

    def _bring_up(self, rows: list[Row[Any]]) -> None:
        """Index these recordings, in transactions that are short."""
        ready: list[tuple[Row[Any], search.Entry]] = []
        try:
            for row in rows:
                try:
                    ready.append((row, _entry(self._bench.store, row)))
                except OSError as error:
                    self._put_off(row, error)
                if sum(len(entry.folded) for _, entry in ready) >= WRITTEN_CHARS:
                    some, ready = ready, []
                    self._write(some)
                    self._bench.pause()
        finally:
            if ready:
                self._write(ready)

    def _write(self, ready: list[tuple[Row[Any], search.Entry]]) -> None:
        try:
            _write(self._bench.engine, ready)
        except DatabaseError as error:
            if len(ready) == 1:
                self._put_off(ready[0][0], error)
                return
            for one in ready:  # it may be that the database does not take one of them
                self._write([one])
        else:
            self._failed = 0
            for row, _ in ready:
                self._later.pop(row, None)

    def _put_off(self, row: Row[Any], error: OSError | DatabaseError) -> None:
        """Let others go first. Raises the error where they fare no better."""
        _, waited_s = self._later.get(row, (0.0, 0.0))
        wait_s = min(LATEST_S, 2 * waited_s or LATER_S)
        self._later[row] = self._monotonic() + wait_s, wait_s
        logger.warning("file %d cannot be indexed, and waits %.0f s: %s", row.id, wait_s, error)
        self._failed += 1
        if self._failed == MOST_FAILED:
            raise error


def _behind(engine: Engine, below: int | None, limit: int) -> list[Row[Any]]:
    """Some that are to be indexed, the newest first."""
    names = ("id", "owner", "title", "url", "transcript_key", "edits_key", "revision", "indexed")
    query = select(*(_file.c[name] for name in names)).where(tables.BEHIND)
    if below is not None:
        query = query.where(_file.c.id < below)
    with reading(engine) as connection:
        return list(connection.execute(query.order_by(_file.c.id.desc()).limit(limit)).all())


def _entry(store: Store, row: Row[Any]) -> search.Entry:
    """What the index is to hold of a recording. Raises OSError where the store does not tell."""
    title, key = title_of(row.title, row.url), row.edits_key or row.transcript_key
    try:
        said = list(_said(_without_words(store.chunks(key)), is_edited=bool(row.edits_key))) if key else []
        said.sort(key=lambda one: one[1].begin_ms)  # over all channels
        lines = [search.Line(channel, one.begin_ms, one.end_ms, one.text) for channel, one in said]
        return search.prepare(row.id, row.owner, title, lines, (one.language for _, one in said))
    except (FileNotFoundError, ValueError, OverflowError, RecursionError) as error:  # as JSON can be broken
        logger.warning("file %d is found by its title only: %s is missing or damaged: %s", row.id, key, error)
        return search.prepare(row.id, row.owner, title, [])


def _without_words(chunks: Iterable[bytes]) -> bytearray:
    """A stored transcript without the words of its sentences, which are most of it: never are all of them in memory."""
    lean, rest = bytearray(), b""
    for chunk in chunks:
        seen = _WORDS.sub(_NO_WORDS, rest + chunk)
        at = seen.rfind(_NO_WORDS[:-1])
        # What the next chunk may go on with: a list that has not ended, or the begin of one.
        kept = at if at >= 0 and not seen.startswith(_NO_WORDS, at) else max(0, at, len(seen) - len(_NO_WORDS))
        lean += seen[:kept]
        rest = seen[kept:]
    return lean + rest


def _said(blob: bytes | bytearray, *, is_edited: bool) -> Iterator[tuple[int, _Said]]:
    """The sentences of a stored transcript or of its edits, with their channels."""
    if is_edited:
        for track in msgspec.json.decode(blob, type=_Edits).tracks:
            yield from ((track.channel, placed.sentence) for placed in track.sentences)
    else:
        for track in msgspec.json.decode(blob, type=_Transcript).tracks:
            yield from ((track.channel, sentence) for sentence in track.sentences)


def _write(engine: Engine, ready: list[tuple[Row[Any], search.Entry]]) -> None:
    """Put entries into the index whose recordings have not changed since they were read."""
    with writing(engine) as connection:
        for row, entry in sorted(ready, key=lambda one: one[0].id):  # rows are locked in one order
            same = [
                _file.c[name] == getattr(row, name) for name in ("title", "transcript_key", "edits_key", "revision")
            ]
            same += [_file.c.id == row.id, _file.c.hidden.is_(False), _file.c.indexed == row.indexed]
            known = update(_file).where(*same).values(indexed=f"{row.transcript_key}#{row.revision}")
            if connection.execute(known).rowcount:
                search.write(connection, entry)
