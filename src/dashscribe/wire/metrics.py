"""``GET /metrics`` for Prometheus: who may read it, and the counting of every request around all routes.

What is told belongs to the operator: programs on the server's own machine may read it, others show a key of the owner
``default``. No route of a client's is slowed by it: the text is made in a thread of its own, once a second at most.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscribe.errors import (
    AccessDeniedError,
    BusyError,
    DiskLowError,
    NoRoomError,
    NotFoundError,
    QueueFullError,
    QuotaError,
    RateLimitError,
)
from dashscribe.keys import DEFAULT_OWNER
from dashscribe.telemetry import Telemetry, lookups
from dashscribe.telemetry.lookups import Found, Scrape
from dashscribe.telemetry.metrics import CALLS_LIMIT, CALLS_NOW
from dashscribe.wire.guard import bearer, identify
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.turns import Turns

#: Why a request is refused for want of something, in the words of the metric; the first that fits counts.
_REFUSALS = (
    (BusyError, "admission"),
    (QueueFullError, "queue"),
    (DiskLowError, "disk"),
    (QuotaError, "quota"),
    (RateLimitError, "rate_limit"),
    (NoRoomError, "disk"),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Headers that a proxy adds: who stands behind it is not on this machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

router = APIRouter(tags=["health"])


async def admit(
    request: Request,
    parts: Annotated[Parts, Depends(parts_of)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> None:
    """Let those in who may read the metrics. Raises NotFoundError, InvalidApiKeyError, AccessDeniedError."""
    who = parts.settings.metrics
    if who == "off":
        raise NotFoundError("Metrics are switched off (DASHSCRIBE_METRICS).")
    if who == "open" or (who == "local" and credentials is None and _is_local(request)):
        return
    identity = await identify(request, parts, credentials)
    if not identity.operates:
        raise AccessDeniedError(f"Metrics are for permanent keys of the owner {DEFAULT_OWNER}.")


@router.get(
    "/metrics",
    summary="What the server counts, for Prometheus",
    dependencies=[Depends(admit)],
    response_class=Response,
    responses={
        200: {"description": "Text format 0.0.4", "content": {"text/plain": {}}},
        401: {"description": "InvalidApiKey: asked for from elsewhere without a key"},
        403: {"description": "AccessDenied: a key of another owner, or a temporary one"},
        404: {"description": "NotFound: switched off"},
    },
)
async def metrics(request: Request, parts: Annotated[Parts, Depends(parts_of)]) -> Response:
    """Counters of this process, and what its database, child processes and disk say just now."""
    scrape: Scrape = request.app.state.scrape
    return Response(await in_thread(parts.scrapes, scrape.text), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks, by this machine's name.

    The name keeps out a page in somebody's browser whose own host name was made to lead here.
    """
    client = request.client.host if request.client else ""
    name = re.sub(r":[0-9]*$", "", request.headers.get("host", "")).strip("[]")
    forwarded = any(header in request.headers for header in _FORWARDED)
    return not forwarded and _is_loopback(client) and (name == "localhost" or _is_loopback(name))


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def method_of(scope: Mapping[str, Any]) -> str:
    """The method of a request; ``other`` for one that a client made up."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def route_of(scope: Mapping[str, Any]) -> str:
    """The pattern of the route that a request took, without a slash at its end; ``other`` where there is none."""
    path = getattr(scope.get("route"), "path", "")
    return path.rstrip("/") or ("/" if path else "other")


class Counting:
    """Around the whole application: counts every answer once it is sent to its end, and why requests were refused."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or pass on a life-cycle message)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s, status = time.monotonic(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._telemetry.answered(method_of(scope), route_of(scope), status, time.monotonic() - begun_s)
            error = scope.get("state", {}).get("error")
            if reason := next((reason for kind, reason in _REFUSALS if isinstance(error, kind)), ""):
                self._telemetry.refused(reason)


def install(app: FastAPI, parts: Parts) -> None:
    """Count the requests of an application, and make it able to tell everything."""
    settings = parts.settings
    app.add_middleware(Counting, telemetry=parts.telemetry)
    finders: list[Callable[[], Found]] = [
        lookups.Rows(parts.database, owners=settings.metrics_owners),
        partial(lookups.of_hosts, parts.hosts),
        partial(_of_turns, app.state.turns),
        partial(lookups.of_disk, parts.store.free_bytes, settings.disk_reserve_bytes),
        lookups.of_build,
    ]
    app.state.scrape = Scrape(parts.telemetry.registry, finders)


def _of_turns(turns: Turns) -> Found:
    yield CALLS_NOW, {("working",): turns.at_work, ("waiting",): turns.waiting}
    yield CALLS_LIMIT, {(): turns.most}
