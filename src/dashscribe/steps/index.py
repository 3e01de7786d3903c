"""Brings the search index up to what recordings say now: after their end, after edits, after a stage done again.

A sweep over rows whose ``indexed`` is behind, so that nothing on the path of a task knows of the index, and what was
interrupted is made up for. Of many workers one goes round at a time. A recording whose transcript is gone is known by
its title only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Row, select, update

from dashscribe import search
from dashscribe.db import elected, reading, tables, writing
from dashscribe.recordings import title_of
from dashscribe.steps.bench import Bench
from dashscribe.store import Store

logger = logging.getLogger(__name__)

#: Recordings that one look finds.
BATCH = 50
#: Grams after which a transaction ends: half an hour of speech has so many, and others want to write.
WRITTEN_GRAMS = 5_000

_file = tables.files


class _Said(Struct):
    begin_ms: int
    end_ms: int
    text: str
    language: str = ""


class _Track(Struct):
    channel: int
    sentences: list[_Said]


class _Transcript(Struct):
    """Of ``types.Transcript`` what is found; the words, which are most of it, are skipped."""

    tracks: list[_Track]


class _Placed(Struct):
    sentence: _Said


class _EditedTrack(Struct):
    channel: int
    sentences: list[_Placed]


class _Edits(Struct):
    """The same of a transcript that was edited."""

    tracks: list[_EditedTrack]


def index(bench: Bench) -> None:
    """Bring everything up to date that is behind; called every second or so."""
    with reading(bench.engine) as connection:
        if connection.execute(select(_file.c.id).where(tables.BEHIND).limit(1)).first() is None:
            return
    with elected(bench.engine, "index") as is_mine:
        while is_mine and (rows := _behind(bench)):
            _bring_up(bench, rows)
            bench.pause()


def _behind(bench: Bench) -> list[Row[Any]]:
    names = ("id", "owner", "title", "url", "transcript_key", "edits_key", "revision", "indexed")
    query = select(*(_file.c[name] for name in names)).where(tables.BEHIND).order_by(_file.c.id).limit(BATCH)
    with reading(bench.engine) as connection:
        return list(connection.execute(query).all())


def _bring_up(bench: Bench, rows: list[Row[Any]]) -> None:
    """Index these recordings, in transactions that are short."""
    ready: list[tuple[Row[Any], search.Entry]] = []
    grams = 0
    for row in rows:
        entry = _entry(bench.store, row)
        ready.append((row, entry))
        grams += len(entry.grams)
        if grams >= WRITTEN_GRAMS:
            _write(bench, ready)
            ready, grams = [], 0
            bench.pause()
    if ready:
        _write(bench, ready)


def _entry(store: Store, row: Row[Any]) -> search.Entry:
    said = list(_said(store, row))
    lines = [search.Line(channel, one.begin_ms, one.end_ms, one.text) for channel, one in said]
    title = title_of(row.title, row.url)
    return search.prepare(row.id, row.owner, title, lines, (one.language for _, one in said))


def _said(store: Store, row: Row[Any]) -> Iterator[tuple[int, _Said]]:
    """The sentences as they are now, with their channels; none where they are gone or damaged."""
    key = row.edits_key or row.transcript_key
    if not key:
        return
    try:
        blob = store.read(key)
        if row.edits_key:
            for track in msgspec.json.decode(blob, type=_Edits).tracks:
                yield from ((track.channel, placed.sentence) for placed in track.sentences)
        else:
            for track in msgspec.json.decode(blob, type=_Transcript).tracks:
                yield from ((track.channel, sentence) for sentence in track.sentences)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        logger.warning("file %d is found by its title only: %s is missing or damaged: %s", row.id, key, error)


def _write(bench: Bench, ready: list[tuple[Row[Any], search.Entry]]) -> None:
    """Put entries into the index whose recordings have not changed since they were read."""
    with writing(bench.engine) as connection:
        for row, entry in ready:
            same = [
                _file.c[name] == getattr(row, name) for name in ("title", "transcript_key", "edits_key", "revision")
            ]
            same += [_file.c.id == row.id, _file.c.hidden.is_(False), _file.c.indexed == row.indexed]
            known = update(_file).where(*same).values(indexed=f"{row.transcript_key}#{row.revision}")
            if connection.execute(known).rowcount:
                search.write(connection, entry)
