"""The form of every answer: JSON with a request id, errors in the service's envelope, no nulls, no tracebacks.

This is the one door where exceptions become HTTP. The id is made once per request and stands in the body and in the
header ``x-request-id`` of whatever is answered.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscribe.errors import (
    DashscribeError,
    InvalidBodyError,
    InvalidParameterError,
    MethodNotSupportedError,
    NotFoundError,
    RateLimitError,
)

log = logging.getLogger(__name__)

#: What a Host header may hold before it becomes part of a URL that is handed out.
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def request_id(request: Request) -> str:
    """The id of this request, as in the header ``x-request-id`` of its answer."""
    return request.state.request_id


def answer(
    request: Request, members: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer: the request id, then ``members``."""
    body = msgspec.json.encode({"request_id": request_id(request), **members})
    return Response(body, status, dict(headers or {}), "application/json")


def base_url(request: Request, public_url: str) -> str:
    """What minted URLs begin with, without a slash at the end: the configured base, else the request's own Host."""
    if public_url:
        return public_url.rstrip("/")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        # An HTTP/1.0 client, or a header that would make another URL than it seems to: the address that it reached.
        name, port = request.scope.get("server") or ("127.0.0.1", 80)
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"{request.url.scheme}://{host}{request.scope.get('root_path', '')}"


async def refuse(request: Request, error: Exception) -> Response:
    """The envelope of a DashscribeError; those that are our own fault are logged."""
    assert isinstance(error, DashscribeError), "registered for this class only"
    if error.status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    retry = {"retry-after": str(error.retry_after_s)} if isinstance(error, RateLimitError) else {}
    return answer(request, {"code": error.code, "message": error.message}, status=error.status, headers=retry)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this class only"
    if error.status_code == 405:
        return await refuse(request, MethodNotSupportedError(request.method))
    if error.status_code == 404:
        return await refuse(request, NotFoundError(f"There is no path {request.url.path[:200]!r}."))
    return await refuse(request, InvalidBodyError(str(error.detail)))


async def _refuse_arguments(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this class only"
    first = error.errors()[0]
    return await refuse(request, InvalidParameterError(str(first["msg"]), str(first["loc"][-1])))


async def _hung_up(request: Request, error: Exception) -> Response:
    """Nobody is there to read this; it keeps a client's departure out of the log of our faults."""
    del error
    return answer(request, {"code": "ClientDisconnect", "message": "The client hung up."}, status=400)


class RequestIds:
    """Gives every request its id and turns what nothing else caught into an InternalError envelope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or pass on a life-cycle message)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = str(uuid4())
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)["x-request-id"] = scope["state"]["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("%s %s: unexpected error", scope["method"], scope["path"])
            if begun:
                raise
            envelope = {"code": DashscribeError.code, "message": DashscribeError.text}
            await answer(Request(scope), envelope, status=500)(scope, receive, send_with_id)


def install(app: FastAPI) -> None:
    """Make every answer of ``app`` take this form."""
    app.add_middleware(RequestIds)
    app.add_exception_handler(DashscribeError, refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(RequestValidationError, _refuse_arguments)
    app.add_exception_handler(ClientDisconnect, _hung_up)
