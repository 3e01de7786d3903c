"""Transcripts as files: one as it is downloaded, many as a ZIP that is packed while it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from dashscribe.edits import EditBook, Version
from dashscribe.errors import NotFoundError, NoTranscriptError
from dashscribe.recordings import read_id
from dashscribe.render import PRESETS, docx, find_style, markdown, srt, text, transcription_json, tsv, vtt
from dashscribe.render.paragraphs import Page
from dashscribe.sink import Sink
from dashscribe.types import Transcript
from dashscribe.wire import body, openapi_review
from dashscribe.wire.body import JSON
from dashscribe.wire.file_names import disposition, file_name, unique
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.transcripts import VERSION, is_original
from dashscribe.wire.values import check_members, one_of, refusal, switch

#: Most recordings in one ZIP, and what tells in it, without its extension, which ones are not.
MAX_RECORDINGS, LEFT_OUT = 500, "left-out"

FormatName = Literal["txt", "md", "srt", "vtt", "docx", "tsv", "json"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
MEDIA_TYPES: Mapping[FormatName, str] = {
    "txt": "text/plain; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "json": "application/json; charset=utf-8",
}

router = APIRouter(prefix="/dashscribe/v1/recordings", tags=["review"])
Here = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True, slots=True)
class Look:
    """How files are to look; None leaves it to the format. ``captions`` is for srt and vtt, ``times`` for documents."""

    original: bool = False
    speakers: bool | None = None
    captions: str = "default"
    times: bool | None = None


@router.get("/{recording_id}/export", summary="Download a transcript", responses=openapi_review.EXPORTED)
async def export(
    caller: Caller,
    parts: Here,
    recording_id: str,
    wanted: Annotated[str, Query(alias="format", description=f"One of {', '.join(FORMATS)}; default txt.")] = "txt",
    version: Annotated[str, VERSION] = "edited",
    speakers: Annotated[str, Query(description="true or false: who speaks; default: where that is known.")] = "",
    captions: Annotated[str, Query(description=f"For srt and vtt: {', '.join(PRESETS)}.")] = "default",
    times: Annotated[str, Query(description="true or false, for txt, md and docx; default: not in txt.")] = "",
) -> Response:
    """A file with the recording's name; ``json`` is the service's result, with what was edited in it."""
    place = read_id(recording_id)
    format_name = one_of("format", wanted, FORMATS)
    look = Look(
        original=is_original(version),
        speakers=switch("speakers", speakers),
        captions=one_of("captions", captions, tuple(PRESETS)),
        times=switch("times", times),
    )
    found, pieces = await in_thread(parts.blobs, _export, parts, caller.owner, place, format_name, look)
    headers = {"content-disposition": disposition(f"{file_name(found.row.name)}.{format_name}")}
    return StreamingResponse(pieces, 200, headers, MEDIA_TYPES[format_name])


def _export(
    parts: Parts, owner: str, place: tuple[str, int], wanted: FormatName, look: Look
) -> tuple[Version, Iterator[bytes]]:
    found = EditBook(parts.database, parts.store).read(owner, *place, original=look.original)
    return found, render(found, wanted, look)


def render(version: Version, wanted: FormatName, look: Look) -> Iterator[bytes]:
    """The file, piece by piece; all but JSON is made at once."""
    transcript, names = version.edits.transcript(), version.edits.speakers
    speakers: bool | Mapping[int, str] | None = look.speakers
    if speakers is not False and names:
        speakers = names
    if wanted == "json":
        return _json(version, transcript)
    if wanted in ("srt", "vtt"):
        style = find_style(look.captions)
        if not (look.speakers is None and style.speakers is False):
            style = replace(style, speakers=speakers)
        return iter([(srt if wanted == "srt" else vtt).render(transcript, style).encode()])
    page = Page(title=version.row.name, speakers=speakers, times=look.times)
    if wanted == "docx":
        return iter([docx.render(transcript, page)])
    documents: dict[str, Callable[[Transcript, Page], str]]
    documents = {"txt": text.render, "md": markdown.render, "tsv": tsv.render}
    return iter([documents[wanted](transcript, page).encode()])


def _json(version: Version, transcript: Transcript) -> Iterator[bytes]:
    row, more = version.row, dict[str, Any]()
    if version.is_edited:
        more["edited"] = {"revision": row.revision, "speaker_names": version.edits.speakers}
    language = next(iter(row.options.languages), "")
    pieces = transcription_json.pieces(
        transcript, shape=row.shape, words=row.options.words, language=language, more=more
    )
    return (piece.encode() for piece in pieces)


# --- many -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Order:
    """What the body of a call asks for."""

    places: tuple[tuple[str, int], ...]
    formats: tuple[FormatName, ...]
    look: Look


@router.post(
    "/export",
    summary="Download many transcripts",
    openapi_extra={"requestBody": openapi_review.EXPORT_BODY},
    responses=openapi_review.EXPORTED_MANY,
)
async def export_many(request: Request, caller: Caller, parts: Here) -> Response:
    """A ZIP with a file per recording and format. Those without a transcript are named in ``left-out.txt``."""
    order = read_order(body.parse_object(await body.receive(request)))
    book = EditBook(parts.database, parts.store)
    await in_thread(parts.blobs, _check_order, book, caller.owner, order)
    name = time.strftime("transcripts-%Y-%m-%d.zip")
    headers = {"content-disposition": disposition(name)}
    return StreamingResponse(
        zipped(book, caller.owner, order.places, order.formats, order.look), 200, headers, "application/zip"
    )


def read_order(members: Mapping[str, JSON]) -> _Order:
    """The body of a call. Raises InvalidParameterError, NotFoundError."""
    check_members(members, ("ids", "formats", "version", "speakers", "captions", "times"))
    ids, formats = members.get("ids"), members.get("formats", ["txt"])
    if not isinstance(ids, list) or not 0 < len(ids) <= MAX_RECORDINGS or not all(isinstance(i, str) for i in ids):
        raise refusal("ids", ids, f"give an array of 1 to {MAX_RECORDINGS} ids of recordings")
    if not isinstance(formats, list) or not formats or any(name not in FORMATS for name in formats):
        raise refusal("formats", formats, f"give an array of {', '.join(FORMATS)}")
    captions = one_of("captions", members.get("captions", "default"), tuple(PRESETS))
    flags: dict[str, bool | None] = {}
    for name in ("speakers", "times"):
        value = members.get(name)
        if value is not None and not isinstance(value, bool):
            raise refusal(name, value, "give true or false")
        flags[name] = value
    original = is_original(members.get("version", "edited"))
    look = Look(original=original, captions=captions, **flags)
    places = tuple(dict.fromkeys(read_id(str(one)) for one in ids))
    return _Order(places, tuple(name for name in FORMATS if name in formats), look)


def _check_order(book: EditBook, owner: str, order: _Order) -> None:
    """Refuse ids that are not the owner's, and a ZIP with nothing in it, as long as that can be said."""
    reasons: list[NoTranscriptError] = []
    for place in order.places:
        try:
            book.row(owner, *place)
        except NoTranscriptError as error:
            reasons.append(error)
    if len(reasons) == len(order.places):
        raise reasons[0]


def zipped(
    book: EditBook, owner: str, places: Sequence[tuple[str, int]], formats: Sequence[FormatName], look: Look
) -> Iterator[bytes]:
    """The bytes of the ZIP, of which one file at a time is in memory."""
    sink, taken, left_out = Sink(), {LEFT_OUT}, list[str]()
    # Nobody can go back in what was sent: sizes follow the files (data descriptors).
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:
        for task_id, number in places:
            try:
                version = book.read(owner, task_id, number, original=look.original)
            except (NotFoundError, NoTranscriptError) as error:
                left_out.append(f"{task_id}.{number}: {error.message}\n")
                continue
            name = unique(file_name(version.row.name), taken)
            for wanted in formats:
                info = ZipInfo(f"{name}.{wanted}", time.localtime()[:6])
                info.compress_type = ZIP_STORED if wanted == "docx" else ZIP_DEFLATED
                with archive.open(info, "w") as file:
                    for piece in render(version, wanted, look):
                        file.write(piece)
                        yield sink.take()
        if left_out:
            archive.writestr(f"{LEFT_OUT}.txt", "".join(left_out))
    yield sink.take()
