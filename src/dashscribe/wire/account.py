"""What an owner has here, on paths of our own: who is asking, keys, usage, the queue, saved sensitive words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe import library, usage
from dashscribe.catalog import LANGUAGES
from dashscribe.db import as_ms
from dashscribe.errors import AccessDeniedError, ConflictError, NotFoundError
from dashscribe.keys import SETTINGS_KEY_ID, Identity, Key
from dashscribe.queue.overview import Load, Overview, WorkerLoad, overview
from dashscribe.saved_words import MAX_WORD_CHARS, SavedWords
from dashscribe.types import Censor
from dashscribe.wire import body, envelope, library_docs
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import check_members, filter_of, refusal

#: Days of usage that are told at once, and without being asked for.
MAX_DAYS, DAYS = 366, 30
#: The first one that can be asked about, so that every count of days before it is one.
FIRST_YEAR = 2000
#: Working keys of one owner, characters of a key's name, and seconds of a quota: 30 years of sound.
MAX_KEYS, MAX_NAME_CHARS, MAX_QUOTA_S = 100, 100, 10**9
#: What the key is called that the settings name.
SETTINGS_KEY_NAME = "DASHSCRIBE_API_KEY"

router = APIRouter(prefix="/dashscribe/v1", tags=["account"])
Here = Annotated[Parts, Depends(parts_of)]


# --- who is asking ----------------------------------------------------------------------------------------------------


@router.get("/me", summary="Who is asking", responses=library_docs.ME)
async def me(request: Request, caller: Caller, parts: Here) -> Response:
    """The owner and the key behind a call, and what holds for them on this server."""
    key = await in_thread(parts.queries, _key_of, parts, caller)
    told: dict[str, Any] = {"owner": caller.owner, "key_id": caller.key_id, "key_name": _name(caller.key_id, key)}
    told |= {"temporary": caller.temporary, "operates": caller.operates, "version": version("dashscribe")}
    told |= {"retention_ms": library.lives_ms(parts.settings), "max_upload_bytes": parts.settings.max_file_bytes}
    told |= {"max_duration_ms": parts.settings.max_duration_s * 1000, "time_zone": parts.settings.time_zone}
    told["may_manage_keys"] = _may_manage(caller, key)
    if key and key.quota_s is not None:
        told |= {"quota_ms": key.quota_s * 1000, "quota_used_ms": key.used_ms}
    return envelope.answer(request, told | {"languages": sorted(LANGUAGES)})


def _key_of(parts: Parts, caller: Identity) -> Key | None:
    """The caller's key, or the one that lent it; None for the one in the settings."""
    return next((key for key in parts.keys.list(caller.owner) if key.id == caller.key_id), None)


def _name(key_id: str, key: Key | None) -> str:
    return SETTINGS_KEY_NAME if key_id == SETTINGS_KEY_ID else key.name if key else ""


# --- keys -------------------------------------------------------------------------------------------------------------


@router.get("/keys", summary="List keys", responses=library_docs.KEYS)
async def list_keys(request: Request, caller: Caller, parts: Here) -> Response:
    """The owner's keys, the oldest first, with what each used of this month; the keys themselves are stored nowhere."""
    found = await in_thread(parts.queries, parts.keys.list, caller.owner)
    return envelope.answer(request, {"keys": [_key(key) for key in found]})


@router.post(
    "/keys",
    status_code=201,
    summary="Make a key",
    openapi_extra={"requestBody": library_docs.KEY_BODY},
    responses=library_docs.KEY_MADE,
)
async def make_key(request: Request, caller: Caller, parts: Here) -> Response:
    """Another key of the same owner, shown this once. Temporary keys and keys with a quota make none."""
    name, quota_s = _key_wanted(body.parse_object(await body.receive(request)))
    key_id, secret = await in_thread(parts.queries, _make_key, parts, caller, name, quota_s)
    told: dict[str, Any] = {"id": key_id, "key": secret, "name": name}
    return envelope.answer(request, told | ({"quota_seconds": quota_s} if quota_s is not None else {}), status=201)


@router.delete("/keys/{key_id}", summary="End a key", responses=library_docs.KEY_ENDED)
async def end_key(request: Request, caller: Caller, parts: Here, key_id: str) -> Response:
    """It works no more, nor do the temporary keys that it lent; what was made with it stays."""
    await in_thread(parts.queries, _end_key, parts, caller, key_id)
    return envelope.answer(request, {})


def _may_manage(caller: Identity, key: Key | None) -> bool:
    """Whether the caller may make and end keys: one with a quota would get around it."""
    return not caller.temporary and (key is None or key.quota_s is None)


def _check_manages(parts: Parts, caller: Identity) -> None:
    if not _may_manage(caller, _key_of(parts, caller)):
        raise AccessDeniedError("Keys are made and ended by a permanent key without a quota; send such a one.")


def _make_key(parts: Parts, caller: Identity, name: str, quota_s: int | None) -> tuple[str, str]:
    _check_manages(parts, caller)
    working = sum(key.revoked_at is None for key in parts.keys.list(caller.owner))
    if working >= MAX_KEYS:
        raise ConflictError(f"There are {working} keys that work; end some, {MAX_KEYS} are the most.")
    return parts.keys.create(caller.owner, name, quota_s)


def _end_key(parts: Parts, caller: Identity, key_id: str) -> None:
    _check_manages(parts, caller)
    if not parts.keys.revoke(key_id, caller.owner):
        raise NotFoundError(f"There is no key {key_id[:80]!r} that works, of this owner.")


def _key_wanted(members: dict[str, JSON]) -> tuple[str, int | None]:
    """Name and quota of a new key. Raises InvalidParameterError."""
    check_members(members, ("name", "quota_seconds"))
    name, quota_s = members.get("name", ""), members.get("quota_seconds")
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
        raise refusal("name", name, f"give a string of at most {MAX_NAME_CHARS} characters")
    if quota_s is not None and (
        not isinstance(quota_s, int) or isinstance(quota_s, bool) or not 0 <= quota_s <= MAX_QUOTA_S
    ):
        raise refusal("quota_seconds", quota_s, f"give whole seconds of sound per month, 0 to {MAX_QUOTA_S}")
    return " ".join(name.split()), quota_s


def _key(key: Key) -> dict[str, Any]:
    told: dict[str, Any] = {"id": key.id, "name": key.name, "hint": key.hint, "created_at": as_ms(key.created_at)}
    told["used_ms"] = key.used_ms
    about = {"revoked_at": as_ms(key.revoked_at) if key.revoked_at else None, "quota_seconds": key.quota_s}
    return told | {name: value for name, value in about.items() if value is not None}


# --- usage and the queue ----------------------------------------------------------------------------------------------


@router.get("/usage", summary="What was used, by day", responses=library_docs.USAGE)
async def used(
    request: Request,
    caller: Caller,
    parts: Here,
    since: Annotated[str, Query(description=f"First day (UTC), YYYY-MM-DD; default {DAYS} days ago.")] = "",
    until: Annotated[str, Query(description="Last day (UTC), included; default today.")] = "",
) -> Response:
    """Files and sound of the owner by day, key and model, the newest first; it outlives tasks and recordings."""
    last = _day("until", until) or datetime.now(UTC).date()
    first = _day("since", since) or last - timedelta(days=DAYS)
    if not 0 <= (last - first).days < MAX_DAYS:
        raise refusal("since", since, f"give a day up to {last.isoformat()}, at most {MAX_DAYS} days in all")
    days, keys = await in_thread(parts.queries, _used, parts, caller, first, last)
    told = [
        {"day": one.day, "key_id": one.key_id, "key_name": _name(one.key_id, keys.get(one.key_id))}
        | {"model": one.model, "files": one.files, "duration_ms": one.duration_ms}
        for one in days
    ]
    return envelope.answer(request, {"since": first.isoformat(), "until": last.isoformat(), "days": told})


def _used(parts: Parts, caller: Identity, first: date, last: date) -> tuple[list[usage.Used], dict[str, Key]]:
    keys = {key.id: key for key in parts.keys.list(caller.owner)}
    return usage.by_day(parts.database, caller.owner, first, last), keys


def _day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if day.year < FIRST_YEAR:
        raise refusal(name, text, f"give a day as YYYY-MM-DD, from {FIRST_YEAR} on")
    return day


@router.get("/queue", summary="How much there is to do", responses=library_docs.QUEUE)
async def queue(request: Request, caller: Caller, parts: Here) -> Response:
    """What waits and is worked on, of the owner and in all, who works on it, and for which engines windows wait."""
    found = await in_thread(parts.queries, overview, parts.database, parts.settings, caller.owner)
    return envelope.answer(request, _overview(found, operates=caller.operates))


def _overview(found: Overview, *, operates: bool) -> dict[str, Any]:
    told = _load(found.everybody) | {"own": _load(found.own)}
    told["workers"] = [_worker(worker, operates=operates) for worker in found.workers]
    told["queues"] = [
        {"engine": one.engine, "windows_waiting": one.waiting, "windows_running": one.running} for one in found.engines
    ]
    return told


def _load(load: Load) -> dict[str, Any]:
    told = {"waiting": load.waiting, "running": load.running, "speech_ms_waiting": load.speech_ms_waiting}
    return told | ({"oldest_wait_ms": load.oldest_wait_ms} if load.oldest_wait_ms is not None else {})


def _worker(worker: WorkerLoad, *, operates: bool) -> dict[str, Any]:
    """A worker; the name of its machine is for the operator only."""
    told: dict[str, Any] = {"id": worker.id, "version": worker.version, "slots": worker.slots, "busy": worker.busy}
    if not operates:
        del told["id"]
    told |= {"host": worker.host} if operates else {}
    told |= {"seen_at": worker.seen_ms} if worker.seen_ms is not None else {}
    return told | {"engines": list(worker.engines)}


# --- sensitive words --------------------------------------------------------------------------------------------------


@router.get("/sensitive-words", summary="The saved sensitive words", responses=library_docs.WORDS)
async def get_words(request: Request, caller: Caller, parts: Here) -> Response:
    """The owner's list, and ``special_word_filter`` with it, as a call sends it that is to heed the list."""
    found = await in_thread(parts.queries, SavedWords(parts.database).get, caller.owner)
    return envelope.answer(request, _words(found))


@router.put(
    "/sensitive-words",
    summary="Save sensitive words",
    openapi_extra={"requestBody": library_docs.WORDS_BODY},
    responses=library_docs.WORDS_SAVED,
)
async def put_words(request: Request, caller: Caller, parts: Here) -> Response:
    """Puts a list in the place of the owner's; tasks that were submitted before keep theirs."""
    wanted = _words_wanted(body.parse_object(await body.receive(request)))
    await in_thread(parts.queries, SavedWords(parts.database).put, caller.owner, wanted)
    return envelope.answer(request, _words(wanted))


def _words(words: Censor) -> dict[str, Any]:
    told = {"masked": list(words.masked), "removed": list(words.removed), "system": words.system}
    return told | {"special_word_filter": filter_of(words)}


def _words_wanted(members: dict[str, JSON]) -> Censor:
    check_members(members, ("masked", "removed", "system"))
    system = members.get("system", True)
    if not isinstance(system, bool):
        raise refusal("system", system, "give true or false")
    return Censor(masked=_listed(members, "masked"), removed=_listed(members, "removed"), system=system)


def _listed(members: dict[str, JSON], name: str) -> tuple[str, ...]:
    """The words under a name, each once; missing means none."""
    given = members.get(name, [])
    if not isinstance(given, list):
        raise refusal(name, given, "give an array of words")
    words: list[str] = []
    for word in given:
        if not isinstance(word, str) or len(word) > MAX_WORD_CHARS or not any(map(str.isalnum, word)):
            allowed = f"give words of at most {MAX_WORD_CHARS} characters with a letter or a digit in each"
            raise refusal(name, word, allowed)
        words.append(word.strip())
    return tuple(dict.fromkeys(words))
