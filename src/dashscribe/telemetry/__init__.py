"""What a server counts while it works, and how that is told: one registry per server, so that none sees another's.

``metrics`` is the table of all there is, ``lookups`` what is found out when somebody asks. The rooms that count are
handed a ``Telemetry``; whoever may read it is the wire's matter. Nothing is sent anywhere, but for the spans of
``tracing`` where the operator names a collector.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from dashscribe.errors import DashscribeError
from dashscribe.errors.sources import SourceError
from dashscribe.telemetry import metrics
from dashscribe.telemetry.metrics import Metric
from dashscribe.telemetry.tracing import NoTraces, Traces

__all__ = ["Telemetry"]


class Telemetry:
    """The counters of one server. Thread-safe, and cheap enough to be called for every request and window."""

    def __init__(self, traces: Traces | None = None) -> None:
        self.traces = traces or NoTraces()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters = {m: self._counter(m) for m in metrics.COUNTED if m.kind == "counter"}
        self._histograms = {m: self._histogram(m) for m in metrics.COUNTED if m.kind == "histogram"}
        # A rate sees no first event of a series that begins with it.
        for reason in ("rate_limit", "quota", "admission", "queue", "disk"):
            self._count(metrics.REFUSALS, reason, by=0)
        for outcome in ("done", "given_up"):
            self._count(metrics.WINDOWS_ENDED, outcome, by=0)
        for outcome in ("delivered", "retried", "dead", "dropped"):
            self._count(metrics.CALLBACKS, outcome, by=0)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.text, metric.labels, registry=self.registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, metric.text, metric.labels, registry=self.registry, buckets=metric.buckets)

    def _count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        self._counters[metric].labels(*labels).inc(by)

    def _observe(self, metric: Metric, value: float, *labels: str) -> None:
        histogram = self._histograms[metric]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    # --- child processes: what ``hosts.observing.Observer`` asks for --------------------------------------------------

    def worked(self, stage: str, engine: str, audio_ms: int, seconds: float) -> None:
        """A stage went through so much sound in so many seconds; ``engine`` is empty where none took part."""
        self._observe(metrics.STAGE_SECONDS, seconds, stage, engine)
        self._count(metrics.STAGE_AUDIO, stage, engine, by=audio_ms / 1000)
        if engine and audio_ms:
            self._observe(metrics.REAL_TIME_FACTOR, seconds * 1000 / audio_ms, engine)

    def child_started(self, role: str, engine: str, seconds: float) -> None:
        """A child can work, so many seconds after its start."""
        self._observe(metrics.CHILD_START_SECONDS, seconds, role, engine)

    def child_ended(self, role: str, engine: str, reason: str) -> None:
        """A child is gone."""
        self._count(metrics.CHILD_ENDS, role, engine, reason)

    # --- sources and tasks --------------------------------------------------------------------------------------------

    @contextmanager
    def fetching(self) -> Generator[None]:
        """Around the download of one source."""
        begun_s = time.monotonic()
        with self.traces.span("download", {}) as tell:
            try:
                yield
            except SourceError as error:
                self._count(metrics.FETCHES, type(error).__name__)
                tell(error=error)
                raise
            except BaseException:  # the worker stops, the client hung up, the disk became full
                self._count(metrics.FETCHES, "aborted")
                raise
        self._count(metrics.FETCHES, "ok")
        self._observe(metrics.STAGE_SECONDS, time.monotonic() - begun_s, "fetch", "")

    def step_ended(self, step: str, outcome: str, seconds: float) -> None:
        """A step of a task ended; of finishing, the time is kept, that of the others lies with what they call."""
        self._count(metrics.STEPS, step, outcome)
        if step == "finish" and outcome == "done":
            self._observe(metrics.STAGE_SECONDS, seconds, "finish", "")

    def file_ended(self, outcome: str, code: str = "", files: int = 1) -> None:
        """Files of tasks ended; ``code`` is what their client is told."""
        self._count(metrics.FILES_ENDED, outcome, code, by=files)

    def window_ended(self, outcome: str) -> None:
        """A window of a task was closed."""
        self._count(metrics.WINDOWS_ENDED, outcome)

    def callback_tried(self, outcome: str) -> None:
        """There was a try to deliver an event."""
        self._count(metrics.CALLBACKS, outcome)

    def callback_delivered(self, seconds: float) -> None:
        """A target has an event, so long after it was stored."""
        self._observe(metrics.CALLBACK_SECONDS, seconds)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered to its end; ``route`` is the pattern, never the path."""
        self._count(metrics.HTTP_REQUESTS, method, route, str(status))
        self._observe(metrics.HTTP_SECONDS, seconds, route)

    def refused(self, reason: str) -> None:
        """A request was refused for want of something."""
        self._count(metrics.REFUSALS, reason)

    @contextmanager
    def calling(self, route: str, model: str) -> Generator[CallProgress]:
        """Around a synchronous call that was read; what it yields is told how far the call is."""
        begun_s = time.monotonic()
        progress = CallProgress()
        status = "canceled"
        try:
            yield progress
        except DashscribeError as error:
            status = str(error.status)
            raise
        except Exception:
            status = "500"
            raise
        except GeneratorExit:  # whoever reads went away
            status = "499"
            raise
        finally:
            if progress.done_s:
                status = "200"
            elif progress.hung_up:
                status = "499"
            self._count(metrics.CALLS, route, model, status)
            self._observe(metrics.CALL_SECONDS, (progress.done_s or time.monotonic()) - begun_s, model)
            if progress.first_s:
                self._observe(metrics.FIRST_SENTENCE_SECONDS, progress.first_s - begun_s, model)


class CallProgress:
    """When a call had its first sentence and its last word, on the monotonic clock; 0 while it has not."""

    def __init__(self) -> None:
        self.first_s = self.done_s = 0.0
        self.hung_up = False

    def sentence(self) -> None:
        """A sentence is on its way to the client."""
        self.first_s = self.first_s or time.monotonic()

    def done(self) -> None:
        """The transcript is there."""
        self.done_s = time.monotonic()
