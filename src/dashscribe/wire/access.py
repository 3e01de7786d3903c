"""Around every request: one line of the log at its end, and a span where traces are collected.

The line tells the route's pattern, never the path with what clients put into it. What answers all day whether the
server is well (``/healthz``, ``/readyz``, ``/metrics``) has a line only where it is not.
"""

from __future__ import annotations

import logging
import time

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscribe import log_fields
from dashscribe.telemetry import Telemetry
from dashscribe.wire.metrics import method_of, route_of
from dashscribe.wire.parts import Parts

log = logging.getLogger(__name__)

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Access:
    """Around the whole application, outside of whatever counts and answers."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, *, logs: bool) -> None:
        self._app, self._telemetry, self._logs = app, telemetry, logs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or pass on a life-cycle message)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s, status, method = time.monotonic(), 500, method_of(scope)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = Headers(scope=scope).get("traceparent", "")
        with self._telemetry.traces.span(method, {"http.request.method": method}, parent=parent, server=True) as tell:
            try:
                await self._app(scope, receive, watched)
            finally:
                route, state = route_of(scope), scope.get("state", {})
                about = {name: state[name] for name in ("request_id", "owner") if name in state}
                attributes = {"http.route": route, "http.response.status_code": status}
                attributes |= {f"dashscribe.{name}": value for name, value in about.items()}
                tell(attributes, name=f"{method} {route}", error=f"status {status}" if status >= 500 else None)
                if self._logs and (route not in _QUIET or status >= 400):
                    spent_ms = (time.monotonic() - begun_s) * 1000
                    fields = {"method": method, "route": route, "status": status, "ms": round(spent_ms)}
                    with log_fields.about(**fields, **about):
                        log.info("%s %s %d in %.1f ms", method, route, status, spent_ms)


def install(app: FastAPI, parts: Parts) -> None:
    """Log and trace the requests of an application; to be installed last, so that it is outermost."""
    app.add_middleware(Access, telemetry=parts.telemetry, logs=parts.settings.access_log)
