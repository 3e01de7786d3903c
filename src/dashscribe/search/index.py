"""The search index: which recordings hold which words, and their sentences, so that hits need no look into the store.

One row per recording on both databases, its text folded. SQLite's FTS5 looks up where in it each piece stands, and with
that phrases. PostgreSQL's GIN index looks up grams; what they do not prove (words that follow each other) is proved by
the text. An owner is a piece and a gram like others: a search costs the same however much others have.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    text,
)

from dashscribe.db import is_shared, tables
from dashscribe.search.folding import SEPARATOR, Term, folded_line, grams, pieces

#: Of a private plane of Unicode, so that no text holds it.
_OWNER = "\ue000"

#: How PostgreSQL may read a table other than by the bitmaps of a GIN index.
_OTHER_WAYS = ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan")

_texts, _file = tables.search_texts, tables.files


class Line(msgspec.Struct, array_like=True, frozen=True):
    """A sentence as it is kept for hits; times on the recording's clock."""

    channel: int
    begin_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of one recording, ready to be written."""

    file_id: int
    folded: str
    sentences: bytes
    languages: str
    grams: frozenset[str] = field(repr=False)


def prepare(file_id: int, owner: str, title: str, lines: Sequence[Line], languages: Iterable[str] = ()) -> Entry:
    """The entry of a recording; ``languages`` is what its sentences are in, one per sentence where it is known.

    It takes some 60 ms per hour of speech, outside of any transaction.
    """
    folded = list[str]()
    found = {_owner_gram(owner)}
    for line in (title, *(line.text for line in lines)):
        cut = pieces(line)
        folded.append(folded_line(cut))
        found.update(grams(cut))
    folded[0] = SEPARATOR + _owner_gram(owner) + folded[0]
    spoken = Counter(language for language in languages if language)
    return Entry(
        file_id=file_id,
        folded="\n".join(folded),
        sentences=zlib.compress(msgspec.json.encode(lines)),
        languages=msgspec.json.encode([language for language, _ in spoken.most_common()]).decode(),
        grams=frozenset(found),
    )


def write(connection: Connection, entry: Entry) -> None:
    """Put a recording into the index, in the place of what was there of it."""
    remove(connection, [entry.file_id])
    same = {name: getattr(entry, name) for name in ("file_id", "folded", "sentences", "languages")}
    connection.execute(insert(_texts).values(same))
    if is_shared(connection.engine):
        into = text("INSERT INTO search_grams (file_id, grams) VALUES (:file_id, :grams)")
        connection.execute(into, {"file_id": entry.file_id, "grams": list(entry.grams)})


def remove(connection: Connection, file_ids: Collection[int]) -> None:
    """Forget recordings; what they are looked up by goes along, by a trigger or with the row that it refers to."""
    connection.execute(delete(_texts).where(_texts.c.file_id.in_(file_ids)))


# --- finding ----------------------------------------------------------------------------------------------------------


def holds(connection: Connection, owner: str, terms: Sequence[Term]) -> ColumnElement[bool]:
    """What is true of the owner's files that hold every one of these terms, in title or text, not of any other."""
    if not is_shared(connection.engine):
        phrases = (_owner_gram(owner), *(term.line.strip(SEPARATOR) for term in terms))
        query = text("SELECT rowid AS file_id FROM search_words WHERE search_words MATCH :phrases")
        matching = query.bindparams(phrases=" AND ".join(f'"{phrase}"' for phrase in phrases))
        return _file.c.id.in_(select(matching.columns(column("file_id", BigInteger)).subquery().c.file_id))
    found = _looked_up(connection, [_owner_gram(owner), *(gram for term in terms for gram in term.grams)])
    unproven = [term for term in terms if not term.is_gram]
    return _file.c.id == _any_of(_proved(connection, found, unproven) if unproven else found)


def _looked_up(connection: Connection, wanted: Sequence[str]) -> Sequence[int]:
    """The files that have all these grams, by the index: PostgreSQL has to be made to go by it.

    It knows nothing of how long it takes to unpack the grams of a row: where a word is a common one, or there are
    several, it would rather look at all rows.
    """
    for setting in _OTHER_WAYS:
        connection.execute(text(f"SET LOCAL {setting} = off"))
    query = text("SELECT file_id FROM search_grams WHERE grams @> CAST(:grams AS TEXT[])")
    found = connection.execute(query, {"grams": list(dict.fromkeys(wanted))}).scalars().all()
    for setting in _OTHER_WAYS:
        connection.execute(text(f"SET LOCAL {setting} = DEFAULT"))
    return found


def _proved(connection: Connection, file_ids: Sequence[int], terms: Sequence[Term]) -> Sequence[int]:
    """Those of these files whose texts hold the terms as they stand.

    By a statement of its own, so that no others are looked at: how long a text takes to search PostgreSQL does not know
    either.
    """
    query = select(_texts.c.file_id).where(_texts.c.file_id == _any_of(file_ids))
    proofs = (func.strpos(_texts.c.folded, term.line) > 0 for term in terms)
    return connection.execute(query.where(*proofs)).scalars().all()


def _any_of(file_ids: Sequence[int]) -> ColumnElement[int]:
    return func.any(bindparam(None, file_ids, ARRAY(BigInteger)))


def _owner_gram(owner: str) -> str:
    return _OWNER + hashlib.blake2b(owner.encode(errors="surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Kept:
    """What the index holds of one recording: its folded lines, the title's first, and its sentences."""

    folded: Sequence[str]
    sentences: Sequence[msgspec.Raw]

    def line(self, number: int) -> Line:
        """A sentence by its number; few of them are ever shown."""
        return msgspec.json.decode(self.sentences[number], type=Line)


def kept(connection: Connection, file_ids: Collection[int]) -> Mapping[int, Kept]:
    """What there is of these files, by id."""
    query = select(_texts.c.file_id, _texts.c.folded, _texts.c.sentences).where(_texts.c.file_id.in_(file_ids))
    return {
        file_id: Kept(folded.split("\n"), msgspec.json.decode(zlib.decompress(sentences), type=list[msgspec.Raw]))
        for file_id, folded, sentences in connection.execute(query)
    }


def languages(connection: Connection, file_ids: Collection[int]) -> dict[int, list[str]]:
    """What was spoken in these files, as far as their transcripts tell; the most spoken first."""
    query = select(_texts.c.file_id, _texts.c.languages).where(_texts.c.file_id.in_(file_ids))
    return {file_id: msgspec.json.decode(codes, type=list[str]) for file_id, codes in connection.execute(query)}
