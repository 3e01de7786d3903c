"""Hotword lists: kept per owner, durable, in the two generations of the service (vocabularies and phrase lists).

Owns the lists and the rules about them; what a list does to recognition is engines' and enrichers' matter. A task
carries the words that its list held when it was submitted.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from dashscribe.catalog import MODELS, Model, find_model
from dashscribe.db import as_datetime, now_ms, reading, serialize, tables, writing
from dashscribe.errors import InvalidParameterError, ListQuotaError, NotFoundError, ResourceNotExistError
from dashscribe.types import Hotword, is_unspaced

#: Lists of one kind that an owner may have.
MAX_LISTS = 10
#: A vocabulary's words: characters where one of them is not ASCII, else pieces between spaces.
MAX_CHARS, MAX_PIECES = 15, 7
#: A phrase list's words: characters where all are Chinese, else pieces between spaces.
MAX_PHRASE_CHARS, MAX_PHRASE_PIECES = 10, 5
#: The weight beyond the usual 1 to 5 that the newest models know.
SUPER_WEIGHT = 50

_lists = tables.hotword_lists


class Kind(StrEnum):
    """The generations of lists, each with identifiers, limits and routes of its own."""

    VOCABULARY = "vocabulary"
    PHRASES = "phrases"


#: The parameter by which a model takes a list of a kind: models without it take none.
_TAKEN_AS = {Kind.VOCABULARY: "vocabulary_id", Kind.PHRASES: "resources"}
_MODEL_MEMBER = {Kind.VOCABULARY: "target_model", Kind.PHRASES: "model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HotwordList:
    """One list. ``job_id`` names the call that wrote a phrase list last, empty for vocabularies."""

    id: str
    target_model: str
    job_id: str
    words: tuple[Hotword, ...]
    created_at: datetime
    modified_at: datetime


class HotwordBook:
    """The hotword lists of one installation."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self,
        owner: str,
        kind: Kind,
        model: Model,
        words: Sequence[Hotword],
        *,
        prefix: str = "",
        zone: tzinfo = UTC,
    ) -> HotwordList:
        """Keep a new list. ``prefix`` is a vocabulary's; a phrase list's id holds the minute of ``zone``.

        Raises InvalidParameterError for what breaks a rule and ListQuotaError beyond ``MAX_LISTS``.
        """
        _check_model(kind, model)
        if kind is Kind.VOCABULARY:
            check_prefix(prefix)
        check_words(kind, model, words)
        created_ms = now_ms()
        with writing(self._engine, urgent=True) as connection:
            serialize(connection, "hotword lists", owner)
            mine = select(func.count()).where(_lists.c.owner == owner, _lists.c.kind == kind)
            if connection.execute(mine).scalar_one() >= MAX_LISTS:
                raise ListQuotaError(f"An owner may have {MAX_LISTS} lists of this kind; delete one, or update it.")
            list_id, job_id = _new_id(connection, kind, model, prefix, as_datetime(created_ms).astimezone(zone))
            new = insert(_lists).values(
                id=list_id,
                owner=owner,
                kind=kind,
                target_model=model.name,
                prefix=prefix,
                job_id=job_id,
                words=msgspec.json.encode(words).decode(),
                created_ms=created_ms,
                modified_ms=created_ms,
            )
            return _hotword_list(connection.execute(new.returning(_lists)).one())

    def list(
        self, owner: str, kind: Kind, *, prefix: str = "", skip: int = 0, count: int = MAX_LISTS
    ) -> tuple[int, tuple[HotwordList, ...]]:
        """How many lists the owner has, of that prefix if one is given, and a part of them, the newest first."""
        wanted = [_lists.c.owner == owner, _lists.c.kind == kind]
        if prefix:
            wanted.append(_lists.c.prefix == prefix)
        page = select(_lists).where(*wanted).order_by(_lists.c.created_ms.desc(), _lists.c.id)
        with reading(self._engine) as connection:
            total = connection.execute(select(func.count()).select_from(_lists).where(*wanted)).scalar_one()
            rows = connection.execute(page.offset(skip).limit(count)).all()
        return total, tuple(map(_hotword_list, rows))

    def find(self, owner: str, kind: Kind, list_id: str) -> HotwordList:
        """One list; raises ResourceNotExistError for an id that the owner does not have."""
        with reading(self._engine) as connection:
            row = connection.execute(select(_lists).where(*_is(owner, kind, list_id))).one_or_none()
        if row is None:
            raise _unknown(list_id)
        return _hotword_list(row)

    def update(
        self, owner: str, kind: Kind, list_id: str, words: Sequence[Hotword], *, zone: tzinfo = UTC
    ) -> HotwordList:
        """Replace all words of a list, under the rules and errors of ``create`` and ``find``."""
        check_words(kind, find_model(self.find(owner, kind, list_id).target_model), words)
        modified_ms = now_ms()
        changes = {
            "words": msgspec.json.encode(words).decode(),
            "job_id": _job_id(as_datetime(modified_ms).astimezone(zone)) if kind is Kind.PHRASES else "",
            "modified_ms": modified_ms,
        }
        change = update(_lists).where(*_is(owner, kind, list_id)).values(changes).returning(_lists)
        with writing(self._engine, urgent=True) as connection:
            row = connection.execute(change).one_or_none()
        if row is None:
            raise _unknown(list_id)
        return _hotword_list(row)

    def delete(self, owner: str, kind: Kind, list_id: str) -> None:
        """Forget a list; tasks that named it keep its words. Raises ResourceNotExistError."""
        with writing(self._engine, urgent=True) as connection:
            if not connection.execute(delete(_lists).where(*_is(owner, kind, list_id))).rowcount:
                raise _unknown(list_id)

    def resolve(
        self, owner: str, list_id: str, model: Model, languages: Sequence[str]
    ) -> tuple[tuple[Hotword, ...], str]:
        """The words of a list that count for a call, and a note where the list, or some of it, does not count.

        A list made for another model gives no words, words of other languages than the hints are left out. Raises
        NotFoundError for an id that the owner does not have.
        """
        with reading(self._engine) as connection:
            query = select(_lists).where(_lists.c.owner == owner, _lists.c.id == list_id)
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no hotword list {list_id[:100]!r} of this owner.")
        found = _hotword_list(row)
        if found.target_model != model.name:
            return (), f"hotword list {list_id} had no effect: it was made for {found.target_model}, not {model.name}"
        words = tuple(w for w in found.words if not (w.language and languages) or w.language in languages)
        left = len(found.words) - len(words)
        note = f"hotword list {list_id}: {left} words of other languages than {', '.join(languages)} had no effect"
        return words, note if left else ""


def _check_model(kind: Kind, model: Model) -> None:
    if _TAKEN_AS[kind] not in model.parameters:
        able = ", ".join(row.name for row in MODELS.values() if _TAKEN_AS[kind] in row.parameters)
        raise InvalidParameterError(f"{model.name} takes no lists of this kind; {able} do.", _MODEL_MEMBER[kind])


def check_prefix(prefix: str) -> None:
    """Raise InvalidParameterError for what cannot be the prefix of a vocabulary."""
    if not re.fullmatch(r"[a-z0-9]{1,10}", prefix):
        raise InvalidParameterError(
            f"prefix was {prefix[:100]!r}; give 1 to 10 digits and lower-case letters a to z.", "prefix"
        )


def check_words(kind: Kind, model: Model, words: Sequence[Hotword]) -> None:
    """Raise InvalidParameterError, naming the word, for what may not be in a list of this kind for this model."""
    member = "vocabulary" if kind is Kind.VOCABULARY else "phrase_list"
    if not 1 <= len(words) <= model.max_hotwords:
        raise InvalidParameterError(
            f"{member} held {len(words)} words; give 1 to {model.max_hotwords} for {model.name}.", member
        )
    for number, word in enumerate(words):
        fault = _phrase_fault(word) if kind is Kind.PHRASES else _word_fault(word, model)
        if fault:
            where = f"{member}[{number}] ({word.text[:40]!r})"
            raise InvalidParameterError(f"{where}: {fault}.", member)
    greatest = sum(word.weight == SUPER_WEIGHT for word in words)
    if greatest > model.max_super_hotwords:
        raise InvalidParameterError(
            f"{member} held {greatest} words of weight {SUPER_WEIGHT}; give at most {model.max_super_hotwords}.", member
        )


def _word_fault(word: Hotword, model: Model) -> str:
    """What is wrong with a word of a vocabulary, and what is allowed; empty for a good one."""
    pieces = len(word.text.split())
    if not pieces:
        return "its text was empty; give at least one character"
    if not word.text.isascii() and len(word.text) > MAX_CHARS:
        return f"its text had {len(word.text)} characters; give at most {MAX_CHARS} where one of them is not ASCII"
    if word.text.isascii() and pieces > MAX_PIECES:
        return f"its text had {pieces} pieces between spaces; give at most {MAX_PIECES}"
    allowed = f"1 to 5 or {SUPER_WEIGHT}" if model.max_super_hotwords else "1 to 5"
    if not 1 <= word.weight <= 5 and not (model.max_super_hotwords and word.weight == SUPER_WEIGHT):
        return f"its weight was {word.weight}; give {allowed}"
    if word.language and word.language not in model.hotword_languages:
        return f"its lang was {word.language[:40]!r}; give one of {', '.join(model.hotword_languages)}, or leave it out"
    return ""


def _phrase_fault(word: Hotword) -> str:
    """What is wrong with a word of a phrase list, and what is allowed; empty for a good one."""
    pieces = len(word.text.split())
    if not pieces:
        return "its text was empty; give at least one character"
    if all(map(is_unspaced, word.text)):
        if len(word.text) > MAX_PHRASE_CHARS:
            return f"it had {len(word.text)} characters; give at most {MAX_PHRASE_CHARS} Chinese ones"
    elif pieces > MAX_PHRASE_PIECES:
        return f"it had {pieces} words; give at most {MAX_PHRASE_PIECES}"
    if not (1 <= word.weight <= 5 or -6 <= word.weight <= -1):
        return f"its weight was {word.weight}; give 1 to 5 or -6 to -1"
    return ""


def _is(owner: str, kind: Kind, list_id: str) -> tuple[Any, ...]:
    return _lists.c.owner == owner, _lists.c.kind == kind, _lists.c.id == list_id


def _new_id(connection: Connection, kind: Kind, model: Model, prefix: str, at: datetime) -> tuple[str, str]:
    """An id that no list has, in the form of its generation, and the id of the job for a phrase list."""
    if kind is Kind.VOCABULARY:
        return f"vocab-{prefix}-{secrets.token_hex(16)}", ""
    while True:  # four digits and a minute are soon given twice
        job_id = _job_id(at)
        list_id = f"{model.name}-{job_id}"
        if connection.execute(select(_lists.c.id).where(_lists.c.id == list_id)).one_or_none() is None:
            return list_id, job_id


def _job_id(at: datetime) -> str:
    return f"ft-{at:%Y%m%d%H%M}-{secrets.token_hex(2)}"


def _hotword_list(row: Row[Any]) -> HotwordList:
    return HotwordList(
        id=row.id,
        target_model=row.target_model,
        job_id=row.job_id,
        words=msgspec.json.decode(row.words, type=tuple[Hotword, ...]),
        created_at=as_datetime(row.created_ms),
        modified_at=as_datetime(row.modified_ms),
    )


def _unknown(list_id: str) -> ResourceNotExistError:
    return ResourceNotExistError(f"There is no list {list_id[:100]!r} of this owner.")
