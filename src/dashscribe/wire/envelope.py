"""The form of every answer: JSON with a request id, errors in the service's envelope or in OpenAI's, no tracebacks.

This is the one door where exceptions become HTTP. The id is made once per request and stands in the header
``x-request-id`` of whatever is answered, and in the body wherever the interface has a place for it. The path decides
which envelope an error takes; ``_OPENAI`` is the one table between the two.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscribe import log_fields
from dashscribe.db import is_trouble, said
from dashscribe.errors import (
    AccessDeniedError,
    CallTimeoutError,
    DashscribeError,
    DatabaseAwayError,
    EmptyModelError,
    EngineUnavailableError,
    IllegalInputError,
    InvalidApiKeyError,
    InvalidBodyError,
    InvalidParameterError,
    MethodNotSupportedError,
    ModelNotFoundError,
    NoRoomError,
    NotFoundError,
    NotReadyError,
    NotTranslatedError,
    QuotaError,
    RateLimitError,
    StoppingError,
    TooLargeError,
    UnsupportedModelError,
)
from dashscribe.errors.sources import RecognitionError, SourceError

log = logging.getLogger(__name__)

#: What a Host header may hold before it becomes part of a URL that is handed out.
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
#: Where 503 is never answered: a Java client would ask again without a pause.
_ASKS_FOR_TASKS = re.compile(r"/api/v1/tasks(/|$)")


def request_id(request: Request) -> str:
    """The id of this request, as in the header ``x-request-id`` of its answer."""
    return request.state.request_id


def answer(
    request: Request, members: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON answer: the request id, then ``members``."""
    return plain({"request_id": request_id(request), **members}, status=status, headers=headers)


def plain(members: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer with exactly these members, in this order."""
    return Response(msgspec.json.encode(members), status, dict(headers or {}), "application/json")


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


@dataclass(frozen=True, slots=True)
class _OpenAIError:
    """How an error is told to OpenAI's clients; ``text`` and ``status`` replace the native ones where given."""

    code: str
    type: str = "invalid_request_error"
    text: str = ""
    status: int = 0


#: By class, a subclass without a row of its own takes its parent's. Codes and types: api-sync section 9.
_OPENAI: dict[type[DashscribeError], _OpenAIError] = {
    InvalidApiKeyError: _OpenAIError("invalid_api_key", text="Incorrect API key provided."),
    AccessDeniedError: _OpenAIError("access_denied"),
    EmptyModelError: _OpenAIError("invalid_request_error", text="you must provide a model parameter."),
    ModelNotFoundError: _OpenAIError(
        "model_not_found", text="The model {model} does not exist or you do not have access to it."
    ),
    UnsupportedModelError: _OpenAIError("model_not_supported"),
    IllegalInputError: _OpenAIError("invalid_request_error"),
    InvalidBodyError: _OpenAIError("invalid_request_error"),
    InvalidParameterError: _OpenAIError("invalid_parameter_error"),
    SourceError: _OpenAIError("invalid_parameter_error"),
    RecognitionError: _OpenAIError("internal_error", "internal_error"),
    CallTimeoutError: _OpenAIError("RequestTimeOut", "internal_error"),
    EngineUnavailableError: _OpenAIError("ModelUnavailable", "internal_error"),
    NotFoundError: _OpenAIError("not_found"),
    MethodNotSupportedError: _OpenAIError("method_not_allowed", status=405),
    TooLargeError: _OpenAIError("request_too_large", status=413),
    NotTranslatedError: _OpenAIError("not_implemented"),
    RateLimitError: _OpenAIError("limit_requests", "limit_requests"),
    QuotaError: _OpenAIError("insufficient_quota", "insufficient_quota"),
    DashscribeError: _OpenAIError("internal_error", "internal_error"),
}


def openai_error(error: DashscribeError, request_id: str) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the body of an error in OpenAI's envelope; a stream sends the body as one of its events."""
    told = next(_OPENAI[kind] for kind in type(error).__mro__ if kind in _OPENAI)
    text = told.text.format(model=error.model) if isinstance(error, ModelNotFoundError) else told.text
    message = f"{text} {error.detail}".strip() if text else error.message
    parameter = error.parameter if isinstance(error, InvalidParameterError) else ""
    described = {"message": message, "type": told.type, "param": parameter or None, "code": told.code}
    return told.status or error.status, {"error": described, "request_id": request_id}


def speaks_openai(request: Request) -> bool:
    """Whether a path belongs to the interfaces that OpenAI's clients call."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.startswith(("/v1/", "/compatible-mode/"))


async def refuse(request: Request, error: Exception) -> Response:
    """The envelope of a DashscribeError; those that are our own fault are logged."""
    assert isinstance(error, DashscribeError), "registered for this class only"
    if isinstance(error, NotReadyError):
        pass  # as it has to be, and asked for again and again
    elif isinstance(error, NoRoomError):
        log.warning("%s %s: %s", request.method, request.url.path, error)  # each call says so while the disk is full
    elif error.status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return _refusal(request, error)


def _refusal(request: Request, error: DashscribeError) -> Response:
    request.state.error = error  # for whoever counts
    later = isinstance(error, RateLimitError | NotReadyError | DatabaseAwayError | StoppingError)
    headers = {"retry-after": str(error.retry_after_s)} if later else {}
    if not speaks_openai(request):
        return answer(request, {"code": error.code, "message": error.message}, status=error.status, headers=headers)
    status, members = openai_error(error, request_id(request))
    if status == 429 or status >= 500:
        # OpenAI's clients try these again on their own, unless they are told that it is of no use.
        headers["x-should-retry"] = "true" if error.retryable else "false"
    return plain(members, status=status, headers=headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this class only"
    if error.status_code == 405:
        response = await refuse(request, MethodNotSupportedError(request.method))
        response.headers.update(error.headers or {})  # Allow, which 405 has to name
        return response
    if error.status_code == 404:
        return await refuse(request, NotFoundError(f"There is no path {request.url.path[:200]!r}."))
    return await refuse(request, InvalidBodyError(str(error.detail)))


async def _refuse_arguments(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this class only"
    first = error.errors()[0]
    return await refuse(request, InvalidParameterError(str(first["msg"]), str(first["loc"][-1])))


async def _no_database(request: Request, error: Exception) -> Response:
    """The database is away, or too busy: a line in the log for each request, as a traceback would tell no more.

    A session that it ended meanwhile, say for its silence, is no error of ours, whatever class the driver has for that.
    """
    if not is_trouble(error):
        raise error
    log.error("%s %s: the database does not answer: %s", request.method, request.url.path, said(error))
    response = _refusal(request, DatabaseAwayError("The database does not answer just now."))
    if _ASKS_FOR_TASKS.match(request.url.path):
        response.status_code = DashscribeError.status
    return response


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
        scope.setdefault("state", {})["request_id"] = request_id = str(uuid4())
        with log_fields.about(request_id=request_id):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)["x-request-id"] = scope["state"]["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the server stops, and has waited for this answer as long as it will
            log.warning("%s %s: cut short by the end of the server", scope["method"], scope["path"])
            if not begun:
                error = DashscribeError if _ASKS_FOR_TASKS.match(scope["path"]) else StoppingError
                await _refusal(Request(scope), error("The server is stopping."))(scope, receive, send_with_id)
        except Exception:
            log.exception("%s %s: unexpected error", scope["method"], scope["path"])
            if begun:
                raise
            await _refusal(Request(scope), DashscribeError())(scope, receive, send_with_id)


def install(app: FastAPI) -> None:
    """Make every answer of ``app`` take this form."""
    app.add_middleware(RequestIds)
    app.add_exception_handler(DashscribeError, refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(RequestValidationError, _refuse_arguments)
    app.add_exception_handler(ClientDisconnect, _hung_up)
    app.add_exception_handler(DBAPIError, _no_database)
    app.add_exception_handler(NoConnectionError, _no_database)
