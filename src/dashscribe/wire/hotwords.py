"""The customization interface: vocabularies, the hotword lists of the second generation, all through one POST.

Owns the form of calls and answers; the rules about lists are ``dashscribe.hotwords``'. Answers always hold ``output``,
if only ``{}``: the Java client reads it unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Header, Request, Response

from dashscribe.catalog import Model, find_model
from dashscribe.errors import (
    AsynchronousCallError,
    EmptyInputError,
    EmptyModelError,
    IllegalInputError,
    InvalidParameterError,
    ModelNotFoundError,
)
from dashscribe.hotwords import HotwordBook, HotwordList, Kind, check_prefix
from dashscribe.types import Hotword
from dashscribe.wire import body, envelope
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import refusal, shortened

#: The one model of this interface; it names the interface, not what recognizes.
SPEECH_BIASING = "speech-biasing"
MAX_NUMBER = 10**9

router = APIRouter(prefix="/api/v1", tags=["hotwords"])

_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "input"],
                "properties": {"model": {"const": SPEECH_BIASING}, "input": {"type": "object"}},
            },
            "example": {
                "model": SPEECH_BIASING,
                "input": {
                    "action": "create_vocabulary",
                    "target_model": "fun-asr",
                    "prefix": "harbor",
                    "vocabulary": [{"text": "Kestrel Bridge", "weight": 4, "lang": "en"}],
                },
            },
        }
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "A member breaks a rule, no such list, or too many lists"},
    401: {"description": "InvalidApiKey"},
    403: {"description": "AccessDenied: this interface is synchronous"},
    404: {"description": "ModelNotFound: model is not speech-biasing"},
    429: {"description": "Throttling.RateQuota"},
}


@router.post(
    "/services/audio/asr/customization",
    summary="Create, list, read, replace or delete hotword lists",
    openapi_extra={"requestBody": _BODY},
    responses=_RESPONSES,
)
@router.post("/services/audio/asr/customization/", include_in_schema=False)
async def customize(
    request: Request,
    caller: Caller,
    parts: Annotated[Parts, Depends(parts_of)],
    x_dashscope_async: Annotated[str, Header(description="Must not be `enable`.")] = "",
) -> Response:
    """Does what ``input.action`` says: ``create_``, ``list_``, ``query_``, ``update_`` or ``delete_vocabulary``."""
    if x_dashscope_async.strip().lower() == "enable":
        raise AsynchronousCallError("Leave out the header X-DashScope-Async.")
    parts.limits.ask(caller.owner, "hotwords")
    sent = await body.receive(request)
    return envelope.answer(request, await in_thread(parts.queries, _customize, parts, caller.owner, sent))


def _customize(parts: Parts, owner: str, sent: bytes) -> dict[str, Any]:
    """The answer to a call, but for its request id."""
    members = body.parse_object(sent)
    call = _read_call(members, owner, parts)
    name = call.text("action", "give the name of an action")
    action = _ACTIONS.get(name)
    if action is None:
        raise refusal("action", name, f"give one of {', '.join(_ACTIONS)}")
    output = action(call)
    call.note("input", set(call.members) - call.read)
    answer: dict[str, Any] = {"output": output, "usage": {"count": 1}}
    return answer | {"dashscribe": {"notes": call.notes}} if call.notes else answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """The members of ``input``, whose they are, and which of them an action has read."""

    owner: str
    book: HotwordBook
    zone: ZoneInfo
    members: Mapping[str, JSON]
    read: set[str] = field(default_factory=set[str])
    notes: list[str] = field(default_factory=list[str])

    def note(self, place: str, names: set[str]) -> None:
        """Remember that members had no effect."""
        if names:
            self.notes.append(f"members of {place} had no effect: {shortened(', '.join(sorted(names)))}")

    def take(self, name: str) -> JSON:
        """A member as it came; None where it is missing."""
        self.read.add(name)
        return self.members.get(name)

    def text(self, name: str, allowed: str) -> str:
        """A member that must be a string with something in it."""
        value = self.take(name)
        if not isinstance(value, str) or not value:
            raise refusal(name, value, allowed)
        return value

    def number(self, name: str, default: int, low: int) -> int:
        """A whole number from ``low`` on."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= MAX_NUMBER:
            raise refusal(name, value, f"give a whole number from {low} to {MAX_NUMBER}")
        return value

    def list_id(self) -> str:
        """Which list."""
        return self.text("vocabulary_id", "give the id that create_vocabulary answered")

    def clock(self, instant: datetime) -> str:
        """An instant as the wire has it: whole seconds, without a zone."""
        return f"{instant.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def about(self, found: HotwordList) -> dict[str, str]:
        """What both kinds of reading tell of a list."""
        return {
            "gmt_create": self.clock(found.created_at),
            "gmt_modified": self.clock(found.modified_at),
            "status": "OK",
        }


def _read_call(members: dict[str, JSON], owner: str, parts: Parts) -> _Call:
    model, given = members.get("model"), members.get("input")
    if model in (None, ""):
        raise EmptyModelError(f"Give {SPEECH_BIASING}.")
    if model != SPEECH_BIASING:
        raise ModelNotFoundError(f"The name was {shortened(str(model))!r}; this interface takes {SPEECH_BIASING}.")
    if given is None:
        raise EmptyInputError
    if not isinstance(given, dict):
        raise IllegalInputError('input must be an object, such as {"action": "list_vocabulary"}.')
    call = _Call(owner=owner, book=parts.hotwords, zone=ZoneInfo(parts.settings.time_zone), members=given)
    parameters = members.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise refusal("parameters", parameters, "give an object, or leave it out")
    call.note("parameters", set(parameters or ()))
    call.note("the body", set(members) - {"model", "input", "parameters"})
    return call


def _create(call: _Call) -> dict[str, Any]:
    model = _target_model(call.text("target_model", "give the name of the model that is to use the list"))
    prefix = call.text("prefix", "give 1 to 10 digits and lower-case letters")
    words = _words(call)
    return {"vocabulary_id": call.book.create(call.owner, Kind.VOCABULARY, model, words, prefix=prefix).id}


def _target_model(name: str) -> Model:
    """The row of a name that is a member like others: an unknown one is an invalid parameter here."""
    try:
        return find_model(name)
    except ModelNotFoundError as error:
        raise InvalidParameterError(error.detail, "target_model") from error


def _list(call: _Call) -> dict[str, Any]:
    prefix = "" if call.take("prefix") in (None, "") else call.text("prefix", "give the prefix of lists")
    if prefix:
        check_prefix(prefix)
    page, size = call.number("page_index", 0, 0), call.number("page_size", 10, 1)
    _, lists = call.book.list(call.owner, Kind.VOCABULARY, prefix=prefix, skip=page * size, count=size)
    return {"vocabulary_list": [{"vocabulary_id": found.id, **call.about(found)} for found in lists]}


def _query(call: _Call) -> dict[str, Any]:
    found = call.book.find(call.owner, Kind.VOCABULARY, call.list_id())
    words = [
        {"text": word.text, "weight": word.weight, **({"lang": word.language} if word.language else {})}
        for word in found.words
    ]
    return {**call.about(found), "target_model": found.target_model, "vocabulary": words}


def _update(call: _Call) -> dict[str, Any]:
    call.book.update(call.owner, Kind.VOCABULARY, call.list_id(), _words(call))
    return {}


def _delete(call: _Call) -> dict[str, Any]:
    call.book.delete(call.owner, Kind.VOCABULARY, call.list_id())
    return {}


_ACTIONS: dict[str, Callable[[_Call], dict[str, Any]]] = {
    "create_vocabulary": _create,
    "list_vocabulary": _list,
    "query_vocabulary": _query,
    "update_vocabulary": _update,
    "delete_vocabulary": _delete,
}


def _words(call: _Call) -> tuple[Hotword, ...]:
    """The words of ``vocabulary``, types checked; a word without ``weight`` has the usual one, 4."""
    given = call.take("vocabulary")
    if not isinstance(given, list):
        raise refusal("vocabulary", given, 'give an array of objects such as {"text": "Kestrel", "weight": 4}')
    words: list[Hotword] = []
    unread: set[str] = set()
    for number, item in enumerate(given):
        where = f"vocabulary[{number}]"
        if not isinstance(item, dict):
            raise refusal(where, item, 'give an object such as {"text": "Kestrel", "weight": 4}')
        text, weight, language = item.get("text"), item.get("weight"), item.get("lang")
        if not isinstance(text, str):
            raise refusal(f"{where}.text", text, "give a string")
        if weight is not None and (not isinstance(weight, int) or isinstance(weight, bool)):
            raise refusal(f"{where}.weight", weight, "give a whole number, 4 as a rule")
        if language is not None and not isinstance(language, str):
            raise refusal(f"{where}.lang", language, "give a language code as a string, or leave it out")
        words.append(Hotword(text, 4 if weight is None else weight, language or ""))
        unread |= set(item) - {"text", "weight", "lang"}
    call.note("vocabulary", unread)
    return tuple(words)
