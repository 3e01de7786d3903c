"""Traces by OpenTelemetry, behind the extra ``otel``: on where the standard variables name who collects them.

Without those variables nothing is imported and a span costs less than a microsecond. Its variables are read by the
library itself, by their standard names (``OTEL_…``), which is why they are no settings of ours.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from dashscribe.redact import redact

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

logger = logging.getLogger(__name__)

#: Any of these says that there is somebody to send to.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

Value = str | int | float | bool


class Tell(Protocol):
    """Tells more of a span while it lasts: attributes, another name, or what went wrong."""

    def __call__(
        self, attributes: Mapping[str, Value] | None = None, *, name: str = "", error: BaseException | str | None = None
    ) -> None:
        """Each is optional."""
        ...


class Traces(Protocol):
    """What spans are opened with, by any thread."""

    def span(
        self, name: str, attributes: Mapping[str, Value], *, parent: str = "", server: bool = False
    ) -> AbstractContextManager[Tell]:
        """A span around a block; ``parent`` is a W3C traceparent, without one the span around the caller."""
        ...

    def traceparent(self) -> str:
        """The W3C traceparent of the span around the caller; empty where there is none."""
        ...

    def close(self) -> None:
        """Send what has not been sent; returns after a few seconds at most."""
        ...


def _say_nothing(
    attributes: Mapping[str, Value] | None = None, *, name: str = "", error: BaseException | str | None = None
) -> None:
    del attributes, name, error


class NoTraces:
    """Nobody collects traces."""

    _nothing = nullcontext[Tell](_say_nothing)

    def span(
        self, name: str, attributes: Mapping[str, Value], *, parent: str = "", server: bool = False
    ) -> AbstractContextManager[Tell]:
        """No span."""
        del name, attributes, parent, server
        return self._nothing

    def traceparent(self) -> str:
        """None."""
        return ""

    def close(self) -> None:
        """Nothing to send."""


class OtelTraces:
    """Spans of the OpenTelemetry SDK, sent in batches by a thread of its own."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("dashscribe", version("dashscribe"))
        self._w3c = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, Value], *, parent: str = "", server: bool = False
    ) -> Generator[Tell]:
        """A span around the block. What is raised goes through; whoever opened the span tells if that is an error."""
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            name,
            self._w3c.extract({"traceparent": parent}) if parent else None,
            SpanKind.SERVER if server else SpanKind.INTERNAL,
            dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield partial(_tell, span)

    def traceparent(self) -> str:
        """Of the span around the caller."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Send the rest."""
        self._provider.shutdown()


def _tell(
    span: Span,
    attributes: Mapping[str, Value] | None = None,
    *,
    name: str = "",
    error: BaseException | str | None = None,
) -> None:
    from opentelemetry.trace import StatusCode

    if name:
        span.update_name(name)
    span.set_attributes(dict(attributes or {}))
    if error is not None:
        span.set_status(StatusCode.ERROR, redact(str(error)))
    if isinstance(error, BaseException):
        # Not by ``record_exception``, which would tell of URLs with their passwords and signatures.
        kind = type(error)
        told = {"type": f"{kind.__module__}.{kind.__qualname__}", "message": str(error)}
        told["stacktrace"] = "".join(traceback.format_exception(error))
        span.add_event("exception", {f"exception.{name}": redact(text) for name, text in told.items()})


def open_traces() -> Traces:
    """What the standard variables ask for: an exporter over HTTP, or nothing."""
    if not any(map(os.environ.get, ENDPOINTS)) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTraces()
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return NoTraces()
    try:
        return OtelTraces(_provider())
    except ImportError:
        logger.warning("no traces are sent: OTEL_EXPORTER_OTLP_ENDPOINT needs pip install 'dashscribe[otel]'")
        return NoTraces()


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about: dict[str, str] = {} if named else {"service.name": "dashscribe"}
    resource = Resource.create({**about, "service.version": version("dashscribe")})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
