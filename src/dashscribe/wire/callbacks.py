"""Callbacks for finished tasks, on paths of our own: targets, what became of deliveries, and the certificates.

Owners see their own targets and what was sent to them. Targets of the whole server belong to the operator: a permanent
key of the owner ``default``. Temporary keys change no target: what they set up would outlive them. Certificates are for
everybody, since consumers check signatures with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe.db import as_datetime
from dashscribe.db.tables import DeliveryState
from dashscribe.errors import AccessDeniedError, InvalidParameterError, NotFoundError
from dashscribe.keys import DEFAULT_OWNER, Identity
from dashscribe.notify import deliveries, events, targets
from dashscribe.notify.deliveries import Delivery
from dashscribe.notify.signing import SigningKeys
from dashscribe.notify.targets import EVERYBODY, Kind, Policy, Scheme, Target, TargetBook
from dashscribe.wire import body, envelope, openapi
from dashscribe.wire.body import JSON
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import check_members, number, refusal

MAX_PAGE_SIZE = 100
_FINGERPRINT = re.compile(r"([0-9a-f]{64})\.pem")

router = APIRouter(prefix="/dashscribe/v1/callbacks", tags=["callbacks"])
Here = Annotated[Parts, Depends(parts_of)]
E = TypeVar("E", bound=StrEnum)


# --- targets ----------------------------------------------------------------------------------------------------------


@router.get("/targets", summary="List callback targets", responses=openapi.TARGETS)
async def list_targets(request: Request, caller: Caller, parts: Here) -> Response:
    """The caller's targets, and for the operator those of the whole server, the oldest first."""
    book = TargetBook(parts.database)
    found = await in_thread(parts.queries, book.list, caller.owner, operates=caller.operates)
    return envelope.answer(request, {"targets": [_target(target) for target in found]})


@router.post(
    "/targets",
    status_code=201,
    summary="Add a callback target",
    openapi_extra={"requestBody": openapi.NEW_TARGET_BODY},
    responses=openapi.TARGET_ADDED,
)
async def add_target(request: Request, caller: Caller, parts: Here) -> Response:
    """It is told of every task of the caller that ends from now on; with ``server_wide``, of everybody's."""
    _check_permanent(caller)
    members = body.parse_object(await body.receive(request))
    server_wide = members.pop("server_wide", False)
    if not isinstance(server_wide, bool):
        raise refusal("server_wide", server_wide, "give true or false")
    if server_wide and not caller.operates:
        raise AccessDeniedError(f"Targets of the whole server are for permanent keys of the owner {DEFAULT_OWNER}.")
    given = read_members(members)
    if not given.get("url"):
        raise InvalidParameterError("url: give the URL that events go to.", "url")
    target = Target(owner=EVERYBODY if server_wide else caller.owner, **given)
    added = await in_thread(parts.names, _add, parts, target)
    return envelope.answer(request, _target(added), status=201)


def _check_permanent(caller: Identity) -> None:
    if caller.temporary:
        raise AccessDeniedError("A temporary key adds, changes and removes no callback target; send a permanent one.")


def _add(parts: Parts, target: Target) -> Target:
    targets.judge(targets.checked(target), parts.settings.fetch_allow)
    return TargetBook(parts.database).add(target)


@router.get("/targets/{target_id}", summary="Show a callback target", responses=openapi.TARGET)
async def get_target(request: Request, caller: Caller, parts: Here, target_id: str) -> Response:
    """One target, without its token."""
    book = TargetBook(parts.database)
    found = await in_thread(parts.queries, book.get, caller.owner, target_id, operates=caller.operates)
    return envelope.answer(request, _target(found))


@router.patch(
    "/targets/{target_id}",
    summary="Change a callback target",
    openapi_extra={"requestBody": openapi.TARGET_BODY},
    responses=openapi.TARGET_CHANGED,
)
async def change_target(request: Request, caller: Caller, parts: Here, target_id: str) -> Response:
    """Sets the members that are given. While it is ``paused``, events wait; they are sent once it is not any more.

    A token that is kept does not go to another ``url``: give ``token``, too, the same or another or an empty one.
    """
    _check_permanent(caller)
    given = read_members(body.parse_object(await body.receive(request)))
    changed = await in_thread(parts.names, _change, parts, caller, target_id, given)
    parts.wake()
    return envelope.answer(request, _target(changed))


def _change(parts: Parts, caller: Identity, target_id: str, given: dict[str, Any]) -> Target:
    if "url" in given:
        targets.judge(targets.checked(Target(owner=caller.owner, url=given["url"])), parts.settings.fetch_allow)
    return TargetBook(parts.database).change(caller.owner, target_id, given, operates=caller.operates)


@router.delete("/targets/{target_id}", summary="Remove a callback target", responses=openapi.TARGET_REMOVED)
async def remove_target(request: Request, caller: Caller, parts: Here, target_id: str) -> Response:
    """Nothing is sent to it any more; what waited for it is dropped."""
    _check_permanent(caller)
    book = TargetBook(parts.database)
    await in_thread(parts.queries, book.remove, caller.owner, target_id, operates=caller.operates)
    return envelope.answer(request, {})


@router.post("/targets/{target_id}/test", status_code=202, summary="Send a test event", responses=openapi.TESTED)
async def test_target(request: Request, caller: Caller, parts: Here, target_id: str) -> Response:
    """An event of the type dashscribe:System:CallbackTest, tried once, paused or not; its delivery tells all."""
    base_url = envelope.base_url(request, parts.settings.public_url)
    told = await in_thread(parts.queries, _test, parts, caller, target_id, base_url)
    parts.wake()
    return envelope.answer(request, _delivery(told), status=202)


def _test(parts: Parts, caller: Identity, target_id: str, base_url: str) -> Delivery:
    operates = caller.operates
    target = TargetBook(parts.database).get(caller.owner, target_id, operates=operates)
    delivery_id = events.store_test(parts.database, target, base_url, parts.settings.time_zone)
    return deliveries.find(parts.database, caller.owner, delivery_id, operates=operates)


def read_members(members: Mapping[str, JSON]) -> dict[str, Any]:
    """The members of a target that a body sets, each of its type. Raises InvalidParameterError."""
    check_members(members, _READERS, "a target")
    return {name: _READERS[name](name, value) for name, value in members.items()}


def _text(name: str, value: JSON) -> str:
    if not isinstance(value, str):
        raise refusal(name, value, "give a string")
    return value.strip()


def _flag(name: str, value: JSON) -> bool:
    if not isinstance(value, bool):
        raise refusal(name, value, "give true or false")
    return value


def _texts(name: str, value: JSON) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise refusal(name, value, "give an array of strings")
    return tuple(dict.fromkeys(_text(name, item) for item in value))


def _one_of(words: type[E]) -> Callable[[str, JSON], E]:
    def read(name: str, value: JSON) -> E:
        if value not in [word.value for word in words]:
            raise refusal(name, value, f"give one of {', '.join(word.value for word in words)}")
        return words(str(value))

    return read


#: Members of a target that a call may set, and how each is read.
_READERS: dict[str, Callable[[str, JSON], object]] = {
    "url": _text,
    "name": _text,
    "models": _texts,
    "statuses": _texts,
    "token": _text,
    "policy": _one_of(Policy),
    "signature": _one_of(Scheme),
    "dead_letters": _flag,
    "paused": _flag,
}


def _target(target: Target) -> dict[str, Any]:
    """A target as it is told: of its token only the end."""
    told: dict[str, Any] = {"id": target.id, "owner": target.owner, "server_wide": target.owner == EVERYBODY}
    told |= {name: getattr(target, name) for name in ("url", "name", "paused", "dead_letters", "failures")}
    told |= {"kind": target.kind.value, "policy": target.policy.value, "signature": target.signature.value}
    told |= {"models": list(target.models), "statuses": list(target.statuses)}
    told |= {"fixed": target.origin == "settings", "created_at": _instant(target.created_ms)}
    if target.kind is Kind.ROCKETMQ:
        told |= {"signature": "none", "unproven": True}
    return told | ({"token_hint": target.token_hint} if target.token else {})


# --- deliveries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The query of a list, as it came."""

    target_id: Annotated[str, Query()] = ""
    task_id: Annotated[str, Query()] = ""
    state: Annotated[str, Query(description=", ".join(DeliveryState))] = ""
    before: Annotated[str, Query(description="Go on with a list: below this number.")] = ""
    limit: Annotated[str, Query(description=f"1 to {MAX_PAGE_SIZE}; default 20.")] = ""


@router.get("/deliveries", summary="List deliveries", responses=openapi.DELIVERIES)
async def list_deliveries(
    request: Request, caller: Caller, parts: Here, wanted: Annotated[Wanted, Depends()]
) -> Response:
    """What was, is or will be sent to the caller's targets, the newest first."""
    if wanted.state and wanted.state not in set(DeliveryState):
        raise refusal("state", wanted.state, f"give one of {', '.join(DeliveryState)}")
    found = await in_thread(
        parts.queries,
        deliveries.listed,
        parts.database,
        caller.owner,
        operates=caller.operates,
        target_id=wanted.target_id,
        task_id=wanted.task_id,
        state=DeliveryState(wanted.state) if wanted.state else None,
        before=number("before", wanted.before, 0, 1, 10**15),
        limit=number("limit", wanted.limit, 20, 1, MAX_PAGE_SIZE),
    )
    return envelope.answer(request, {"deliveries": [_delivery(delivery) for delivery in found]})


@router.get("/deliveries/{delivery_id}", summary="Show a delivery", responses=openapi.DELIVERY)
async def get_delivery(request: Request, caller: Caller, parts: Here, delivery_id: str) -> Response:
    """One delivery, with the event as it is sent."""
    wanted, operates = _number(delivery_id), caller.operates
    found = await in_thread(parts.queries, deliveries.find, parts.database, caller.owner, wanted, operates=operates)
    return envelope.answer(request, _delivery(found) | {"event": msgspec.json.decode(found.body)})


@router.post("/deliveries/{delivery_id}/replay", status_code=202, summary="Send again", responses=openapi.REPLAYED)
async def replay(request: Request, caller: Caller, parts: Here, delivery_id: str) -> Response:
    """Sends an event anew that was delivered or given up: under its old id, with all tries of the policy."""
    wanted, operates = _number(delivery_id), caller.operates
    found = await in_thread(parts.queries, deliveries.replay, parts.database, caller.owner, wanted, operates=operates)
    parts.wake()
    return envelope.answer(request, _delivery(found), status=202)


def _number(delivery_id: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", delivery_id):
        raise NotFoundError(f"There is no delivery {delivery_id[:80]!r}.")
    return int(delivery_id)


def _delivery(delivery: Delivery) -> dict[str, Any]:
    told: dict[str, Any] = {"id": delivery.id, "state": delivery.state.value, "attempts": delivery.attempts}
    told |= {"target_id": delivery.target.id, "target_url": delivery.target.url, "event_id": delivery.event_id}
    told |= {"created_at": _instant(delivery.created_ms), "test": not delivery.task_id}
    if delivery.task_id:
        told |= {"task_id": delivery.task_id, "task_status": delivery.task_status, "model": delivery.model}
        told["owner"] = delivery.owner
    instants = {"tried_at": delivery.tried_ms, "next_try_at": delivery.due_ms}
    told |= {name: _instant(at) for name, at in instants.items() if at}
    about = {"http_status": delivery.http_status, "response": delivery.response, "error": delivery.error}
    return told | {name: value for name, value in about.items() if value}


def _instant(epoch_ms: int) -> str:
    return as_datetime(epoch_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- certificates -----------------------------------------------------------------------------------------------------


@router.get(
    "/certificates/{name}",
    summary="A certificate that callbacks are signed by",
    response_class=Response,
    responses={
        200: {"description": "X.509 as PEM", "content": {"application/x-pem-file": {}}},
        404: {"description": "NotFound: there is none of this fingerprint, any more"},
    },
)
async def certificate(request: Request, parts: Here, name: str) -> Response:
    """No key is needed. It never changes under its name; one that no longer signs is served for another week."""
    named = _FINGERPRINT.fullmatch(name)
    pem = None
    if named:
        pem = await in_thread(parts.queries, SigningKeys(parts.database).certificate, named[1])
    if pem is None:
        raise NotFoundError(f"There is no certificate {name[:80]!r}.")
    return Response(pem, 200, {"cache-control": "public, max-age=86400"}, "application/x-pem-file")


@router.get("/certificates", summary="List the certificates", responses=openapi.CERTIFICATES)
async def list_certificates(request: Request, caller: Caller, parts: Here) -> Response:
    """The certificates that are served, the newest, which signs, first."""
    found = await in_thread(parts.queries, SigningKeys(parts.database).list)
    told = [
        {"fingerprint": one.fingerprint, "created_at": _instant(one.created_ms)}
        | ({"retired_at": _instant(one.retired_ms)} if one.retired_ms else {})
        for one in found
    ]
    return envelope.answer(request, {"certificates": told})


@router.post("/rotate", summary="Sign with a new key from now on", responses=openapi.ROTATED)
async def rotate(request: Request, caller: Caller, parts: Here) -> Response:
    """The private part of the old key is deleted; its certificate is served for another week. For the operator."""
    if not caller.operates:
        raise AccessDeniedError(f"Signing keys are for permanent keys of the owner {DEFAULT_OWNER}.")
    fingerprint = await in_thread(parts.queries, SigningKeys(parts.database).rotate)
    return envelope.answer(request, {"fingerprint": fingerprint})
