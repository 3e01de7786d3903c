"""Transcripts to be read and edited: as JSON with words and times, by revisions, back to the original.

What is edited never shows in the service's own results: those stay what was recognized.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct

from dashscribe.edits import EditBook, EditedTrack, Place, Placed, Replacement, Said
from dashscribe.edits.aligning import tidy
from dashscribe.edits.comparing import compare
from dashscribe.errors import InvalidParameterError
from dashscribe.recordings import read_id
from dashscribe.types import MAX_SPEAKERS, Entry, Span
from dashscribe.wire import body, envelope, openapi_review
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import check_members, one_of, refusal, switch

#: Longest text of a sentence and name of a speaker in characters; most replacements in one call, sentences in one.
MAX_TEXT_CHARS, MAX_NAME_CHARS = 10_000, 100
MAX_REPLACEMENTS, MAX_SENTENCES = 1_000, 1_000
#: Where texts stand that take the place of no sentence.
PLACE = ("channel", "begin_ms", "end_ms")
#: What the ledger of an edited transcript says of a stretch whose sentences were taken out.
REMOVED = "removed"

VERSIONS = ("edited", "original")
VERSION = Query(description="edited, what people made of it, or original, what was recognized.")

router = APIRouter(prefix="/dashscribe/v1/recordings", tags=["review"])
Here = Annotated[Parts, Depends(parts_of)]


class WordView(Struct, frozen=True, omit_defaults=True):
    """A word as pages see it."""

    begin_ms: int
    end_ms: int
    text: str
    punctuation: str = ""
    confidence: float | None = None
    approximate: bool = False


class SentenceView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A sentence as pages see it."""

    id: str
    channel: int
    begin_ms: int
    end_ms: int
    text: str
    speaker: int | None = None
    language: str = ""
    emotion: str = ""
    events: tuple[str, ...] = ()
    edited: bool = False
    words: list[WordView] | None = None


class EntryView(Struct, frozen=True, omit_defaults=True):
    """A line of the ledger; ``fate`` may also be ``removed``."""

    channel: int
    begin_ms: int
    end_ms: int
    fate: str
    reason: str = ""


@router.get(
    "/{recording_id}/transcript", summary="A transcript with words and times", responses=openapi_review.TRANSCRIPT
)
async def read(
    request: Request,
    caller: Caller,
    parts: Here,
    recording_id: str,
    version: Annotated[str, VERSION] = "edited",
    words: Annotated[str, Query(description="true or false: whether sentences come with their words.")] = "true",
) -> Response:
    """Sentences in order of time, names of speakers, and what became of every millisecond."""
    place = read_id(recording_id)
    original, with_words = is_original(version), switch("words", words) is not False
    told = await in_thread(parts.blobs, _read, parts, caller.owner, place, original, with_words)
    return envelope.answer(request, told)


def is_original(version: JSON) -> bool:
    """Whether the original is wanted. Raises InvalidParameterError."""
    return one_of("version", version, VERSIONS) == "original"


def _read(parts: Parts, owner: str, place: tuple[str, int], original: bool, words: bool) -> dict[str, Any]:
    version = EditBook(parts.database, parts.store).read(owner, *place, original=original)
    edits = version.edits
    sentences = sorted(
        (view(track.channel, placed, words=words) for track in edits.tracks for placed in track.sentences),
        key=lambda sentence: (sentence.begin_ms, sentence.end_ms, sentence.channel),
    )
    told: dict[str, Any] = {"revision": version.row.revision, "edited": version.is_edited}
    if version.newer_original:
        told["newer_original"] = True
    told |= {"duration_ms": edits.media.duration_ms, "channels": [track.channel for track in edits.tracks]}
    told |= {"speakers": edits.speakers, "languages": list(dict.fromkeys(s.language for s in sentences if s.language))}
    # Here, in a thread: of a long recording this is what takes the time.
    told["sentences"] = msgspec.Raw(msgspec.json.encode(sentences))
    told["ledger"] = [entry for track in edits.tracks for entry in ledger_of(track)]
    return told | {"notes": list(edits.notes)}


def view(channel: int, placed: Placed, *, words: bool = True) -> SentenceView:
    """A sentence of a channel as pages see it."""
    sentence = placed.sentence
    same = ("begin_ms", "end_ms", "text", "speaker", "language", "emotion", "events")
    return SentenceView(
        id=placed.id,
        channel=channel,
        edited=placed.edited,
        words=[
            WordView(w.begin_ms, w.end_ms, w.text, w.punctuation, w.confidence, w.approximate) for w in sentence.words
        ]
        if words
        else None,
        **{name: getattr(sentence, name) for name in same},
    )


def ledger_of(track: EditedTrack) -> Iterator[EntryView]:
    """The ledger of a channel, in which stretches whose sentences were taken out are ``removed``."""
    at = 0  # both are in order
    for entry in track.ledger:
        begin_ms = entry.begin_ms
        while at < len(track.removed) and track.removed[at].begin_ms < entry.end_ms:
            span = track.removed[at]
            from_ms, until_ms = max(span.begin_ms, begin_ms), min(span.end_ms, entry.end_ms)
            if begin_ms < from_ms:
                yield _entry(track.channel, entry, begin_ms, from_ms)
            if from_ms < until_ms:
                yield EntryView(track.channel, from_ms, until_ms, REMOVED)
                begin_ms = until_ms
            if span.end_ms > entry.end_ms:
                break  # it goes on in the next one
            at += 1
        if begin_ms < entry.end_ms:
            yield _entry(track.channel, entry, begin_ms, entry.end_ms)


def _entry(channel: int, entry: Entry, begin_ms: int, end_ms: int) -> EntryView:
    return EntryView(channel, begin_ms, end_ms, entry.fate.value, entry.reason)


# --- edits ------------------------------------------------------------------------------------------------------------


@router.patch(
    "/{recording_id}/transcript",
    summary="Edit a transcript",
    openapi_extra={"requestBody": openapi_review.EDIT_BODY},
    responses=openapi_review.EDITED,
)
async def edit(request: Request, caller: Caller, parts: Here, recording_id: str) -> Response:
    """Puts texts in the place of sentences and names speakers, as one revision: on disk when this answers.

    The recording is kept from now on.
    """
    place = read_id(recording_id)
    members = body.parse_object(await body.receive(request))
    told = await in_thread(parts.blobs, _edit, parts, caller.owner, place, members)
    return envelope.answer(request, told)


def _edit(parts: Parts, owner: str, place: tuple[str, int], members: dict[str, JSON]) -> dict[str, Any]:
    check_members(members, ("revision", "replace", "speakers"))
    revision = members.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 0:
        raise refusal("revision", revision, "give the revision that you have read")
    replacements, names = read_replacements(members.get("replace")), read_names(members.get("speakers"))
    if not replacements and not names:
        raise InvalidParameterError("Nothing is to be changed: give replace or speakers.", "replace")
    edits, fresh = EditBook(parts.database, parts.store).edit(
        owner, *place, revision=revision, replacements=replacements, names=names
    )
    replaced = [
        {"ids": list(one.ids), "with": [view(mine.channel, placed) for placed in mine.placed]}
        for one, mine in zip(replacements, fresh, strict=True)
    ]
    return {"revision": edits.revision, "replaced": replaced, "speakers": edits.speakers}


def read_replacements(value: JSON) -> list[Replacement]:
    """The member ``replace`` of an edit. Raises InvalidParameterError."""
    wanted = f"give an array of at most {MAX_REPLACEMENTS} objects with ids and with"
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_REPLACEMENTS:
        raise refusal("replace", value, wanted)
    return [_replacement(f"replace[{number}]", one) for number, one in enumerate(value)]


def _replacement(name: str, value: JSON) -> Replacement:
    if not isinstance(value, dict) or set(value) - {"ids", "with", *PLACE}:
        raise refusal(name, value, "give an object with ids and with")
    ids = value.get("ids")
    place = _place(name, value) if ids == [] and set(value) & set(PLACE) else None
    if not isinstance(ids, list) or not (place or 0 < len(ids) <= MAX_SENTENCES):
        raise refusal(f"{name}.ids", ids, f"give an array of 1 to {MAX_SENTENCES} ids of sentences")
    if ids and set(value) & set(PLACE):
        raise refusal(name, value, f"give {', '.join(PLACE)} only where ids is empty")
    said = value.get("with", [])
    if not isinstance(said, list) or len(said) > MAX_SENTENCES:
        raise refusal(f"{name}.with", said, f"give an array of at most {MAX_SENTENCES} objects with text and speaker")
    known = [sentence_id for sentence_id in ids if isinstance(sentence_id, str)]
    if len(known) < len(ids):
        raise refusal(f"{name}.ids", ids, "give ids as strings")
    texts = tuple(_said(f"{name}.with[{number}]", one) for number, one in enumerate(said))
    if place and not (texts and all(one.text for one in texts)):
        raise refusal(f"{name}.with", said, "give texts: there is no sentence to take out")
    return Replacement(tuple(known), texts, place)


def _place(name: str, value: dict[str, JSON]) -> Place:
    """The free stretch of a channel in which texts are to stand."""
    numbers: list[int] = []
    for member in PLACE:
        number = value.get(member)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise refusal(f"{name}.{member}", number, "give an integer from 0 on")
        numbers.append(number)
    channel, begin_ms, end_ms = numbers
    if begin_ms >= end_ms:
        raise refusal(f"{name}.end_ms", end_ms, f"give one behind begin_ms, which is {begin_ms}")
    return Place(channel, Span(begin_ms, end_ms))


def _said(name: str, value: JSON) -> Said:
    if not isinstance(value, dict) or set(value) - {"text", "speaker"}:
        raise refusal(name, value, "give an object with text and, if it changes, speaker")
    text, speaker = value.get("text"), value.get("speaker")
    if not isinstance(text, str):
        raise refusal(f"{name}.text", text, "give a string; an empty one takes the sentence out")
    if len(text) > MAX_TEXT_CHARS:
        raise refusal(f"{name}.text", text, f"give at most {MAX_TEXT_CHARS} characters, these are {len(text)}")
    if speaker is None:
        return Said(tidy(text))
    if not isinstance(speaker, int) or isinstance(speaker, bool) or not 0 <= speaker < MAX_SPEAKERS:
        raise refusal(f"{name}.speaker", speaker, f"give an integer from 0 to {MAX_SPEAKERS - 1}")
    return Said(tidy(text), speaker)


def read_names(value: JSON) -> dict[int, str]:
    """The member ``speakers`` of an edit: names by number. Raises InvalidParameterError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refusal("speakers", value, 'give an object from number to name, such as {"0": "Anna"}')
    names: dict[int, str] = {}
    for number, name in value.items():
        if not number.isascii() or not number.isdecimal() or not int(number[:4]) < MAX_SPEAKERS or len(number) > 3:
            raise refusal("speakers", number, f"name speakers by their numbers, 0 to {MAX_SPEAKERS - 1}")
        if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
            raise refusal(f"speakers.{number}", name, f"give a string of at most {MAX_NAME_CHARS} characters")
        names[int(number)] = tidy(name)
    return names


@router.delete("/{recording_id}/edits", summary="Go back to the original", responses=openapi_review.DISCARDED)
async def discard(request: Request, caller: Caller, parts: Here, recording_id: str) -> Response:
    """Forgets all edits of a transcript and all names of speakers."""
    place = read_id(recording_id)
    book = EditBook(parts.database, parts.store)
    revision = await in_thread(parts.blobs, book.discard, caller.owner, *place)
    return envelope.answer(request, {"revision": revision})


# --- two at once ------------------------------------------------------------------------------------------------------


@router.get("/{recording_id}/compare", summary="Two transcripts, word by word", responses=openapi_review.COMPARED)
async def compared(
    request: Request,
    caller: Caller,
    parts: Here,
    recording_id: str,
    other_id: Annotated[str, Query(alias="with", description="The id of another recording.")],
    version: Annotated[str, VERSION] = "edited",
) -> Response:
    """What they share and where they differ, words with spaces as words, Chinese by character; marks do not count."""
    places = read_id(recording_id), read_id(other_id)
    told = await in_thread(parts.blobs, _compared, parts, caller.owner, places, is_original(version))
    return envelope.answer(request, told)


def _compared(parts: Parts, owner: str, places: Iterable[tuple[str, int]], original: bool) -> dict[str, Any]:
    book = EditBook(parts.database, parts.store)
    left, right = (book.read(owner, *place, original=original).edits.transcript() for place in places)
    pairs, figures = compare(left, right)
    return {"pairs": msgspec.Raw(msgspec.json.encode(pairs)), "figures": figures}
