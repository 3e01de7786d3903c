"""What is found out when somebody asks: rows of the database, children and slots, the disk.

Every query runs over an index and touches what has not ended; usage of past days is summed up once. A part that fails
is left out, the others are still told. The text is kept for a second, so that many who ask cost no more than one.
"""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from dashscribe import usage
from dashscribe.db import now_ms, reading, tables
from dashscribe.db.tables import FileState, Status, WindowState
from dashscribe.telemetry import metrics
from dashscribe.telemetry.metrics import Metric

if TYPE_CHECKING:
    from dashscribe.hosts import Hosts

logger = logging.getLogger(__name__)

#: How long a text is kept, in seconds.
FRESH_S = 1.0
#: What rows say is kept as much longer than it took to find out, once that took as many seconds: beside millions of
#: rows, looking takes a twentieth of one core, however often somebody asks.
KEPT_TIMES, KEPT_FROM_S = 20, 0.05

Values = Mapping[tuple[str, ...], float]
Found = Iterable[tuple[Metric, Values]]

_task, _file, _window = tables.tasks, tables.files, tables.windows
_OPEN_FILES = [s for s in FileState if s not in (FileState.SUCCEEDED, FileState.FAILED, FileState.CANCELED)]
_OPEN_WINDOWS = (WindowState.READY, WindowState.CLAIMED, WindowState.DONE, WindowState.GIVEN_UP, WindowState.STALE)
_NEXT = {FileState.WAITING: "fetch", FileState.FETCHED: "cut", FileState.JOINING: "finish"}


class Scrape:
    """The text of all metrics: those of a registry, then what ``lookups`` find."""

    def __init__(self, registry: CollectorRegistry, lookups: Iterable[Callable[[], Found]]) -> None:
        self._registry = registry
        self._lookups = tuple(lookups)
        self._guard = threading.Lock()
        self._text, self._at_s = b"", float("-inf")

    def text(self) -> bytes:
        """In Prometheus' text format 0.0.4; blocks for as long as the queries take."""
        with self._guard:
            if time.monotonic() - self._at_s > FRESH_S:
                self._text = generate_latest(self)  # pyright: ignore[reportArgumentType] (all it does is collect)
                self._at_s = time.monotonic()
            return self._text

    def collect(self) -> Iterator[Family]:
        """Every family with its samples, but for the instants of creation, which double the text and tell nothing."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
        for lookup in self._lookups:
            for metric, values in lookup():
                yield _family(metric, values)


def _family(metric: Metric, values: Values) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    # Usage has one label more where owners are told.
    labels = (*metric.labels, "owner") if any(len(key) > len(metric.labels) for key in values) else metric.labels
    family = kind(metric.name, metric.text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


class Rows:
    """What the database says; with ``owners``, usage is told apart by them, too. For one caller at a time."""

    def __init__(self, engine: Engine, *, owners: bool) -> None:
        self._engine = engine
        self._owners = owners
        self._kept: Found = ()
        self._kept_until_s = 0.0
        self._settle_nothing()

    def _settle_nothing(self) -> None:
        """Begin anew with the sums, by owner and model, of files and milliseconds of the days that are over."""
        self._settled_files, self._settled = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self._settled_until = ""

    def __call__(self) -> Found:
        """Everything, seen at one instant: now or, where looking takes long, a while ago."""
        begun_s = time.monotonic()
        if begun_s < self._kept_until_s:
            return self._kept
        try:
            with reading(self._engine) as connection:
                found = [*_queue(connection), *self._usage(connection)]
        except SQLAlchemyError as error:
            logger.warning("metrics go without the database: %s", error)
            return [(metrics.DATABASE_UP, {(): 0.0})]
        self._kept = [*found, (metrics.DATABASE_UP, {(): 1.0})]
        took_s = time.monotonic() - begun_s
        if took_s > KEPT_FROM_S:
            self._kept_until_s = begun_s + KEPT_TIMES * took_s
        return self._kept

    def _usage(self, connection: Connection) -> Found:
        """Sums since ever. Days before yesterday are final: bookings go to the day on which they are made."""
        yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
        if self._settled_until > yesterday:  # the clock was set back: days were taken for over that are not
            self._settle_nothing()
        if self._settled_until < yesterday:
            files, sound = usage.totals(connection, self._settled_until, yesterday)
            self._settled_files += files
            self._settled += sound
            self._settled_until = yesterday
        files, sound = usage.totals(connection, yesterday)
        files, sound = self._settled_files + files, self._settled + sound
        for metric, counts, unit in ((metrics.USAGE_AUDIO, sound, 1000), (metrics.USAGE_FILES, files, 1)):
            values: Counter[tuple[str, ...]] = Counter()
            for (owner, model), count in counts.items():
                values[(model, owner) if self._owners else (model,)] += count
            yield metric, {key: value / unit for key, value in values.items()}


def _queue(connection: Connection) -> Found:
    now = now_ms()
    waiting = (Status.PENDING, Status.RUNNING)
    oldest = func.min(_task.c.submitted_ms)
    tasks = connection.execute(
        select(_task.c.status, func.count(), oldest).where(_task.c.status.in_(waiting)).group_by(_task.c.status)
    ).all()
    yield metrics.TASKS, dict.fromkeys(((s.value,) for s in waiting), 0) | {(row[0].value,): row[1] for row in tasks}
    ages = {(row[0].value,): _seconds(now, row[2]) for row in tasks}
    yield metrics.OLDEST_TASK, dict.fromkeys(((s.value,) for s in waiting), 0.0) | ages
    for metric, table, states in ((metrics.FILES, _file, _OPEN_FILES), (metrics.WINDOWS, _window, _OPEN_WINDOWS)):
        rows = connection.execute(
            select(table.c.state, func.count()).where(table.c.state.in_(states)).group_by(table.c.state)
        )
        yield metric, dict.fromkeys(((s.value,) for s in states), 0) | {(row[0].value,): row[1] for row in rows}
    yield metrics.QUEUE_AGE, {(stage,): _seconds(now, at) for stage, at in _heads(connection)}
    cut = _file.c.state.in_((FileState.CUTTING, FileState.RECOGNIZING))
    left = select(func.coalesce(func.sum(_file.c.speech_ms - _file.c.recognized_ms), 0)).where(cut)
    yield metrics.WAITING_AUDIO, {(): connection.execute(left).scalar_one() / 1000}


def _heads(connection: Connection) -> Iterator[tuple[str, int | None]]:
    """When the task was submitted whose piece is next in each stage, along the one order; None where nothing waits."""
    submitted = select(_task.c.submitted_ms).join(_file, _file.c.task_id == _task.c.id)
    for state, stage in _NEXT.items():
        first = submitted.where(_file.c.state == state).order_by(_file.c.tag_ms).limit(1)
        yield stage, connection.execute(first).scalar()
    ready = submitted.join(_window, _window.c.file_id == _file.c.id).where(_window.c.state == WindowState.READY)
    yield "recognize", connection.execute(ready.order_by(_window.c.tag_ms).limit(1)).scalar()


def _seconds(now: int, since_ms: int | None) -> float:
    return max(0, now - since_ms) / 1000 if since_ms is not None else 0.0


def of_hosts(hosts: Hosts) -> Found:
    """Children, places and breakers of this process."""
    activity = hosts.activity()
    yield metrics.CHILDREN, activity.children
    slots: dict[tuple[str, ...], float] = {}
    for kind, places in activity.places.items():
        slots |= {(kind, "busy"): places.busy, (kind, "free"): places.free}
    yield metrics.SLOTS, slots
    yield metrics.SLOT_WAITERS, {(kind,): places.waiting for kind, places in activity.places.items()}
    yield metrics.ENGINE_DOWN, {(name,): float(is_down) for name, is_down in activity.breakers.items()}


def of_disk(free_bytes: Callable[[], int], reserve_bytes: int) -> Found:
    """The store's disk, which may be gone."""
    try:
        yield metrics.DISK_FREE, {(): free_bytes()}
    except OSError as error:
        logger.warning("metrics go without the disk: %s", error)
    yield metrics.DISK_RESERVE, {(): reserve_bytes}


def of_build() -> Found:
    """What is running."""
    yield metrics.BUILD_INFO, {(version("dashscribe"), platform.python_version(), tables.REVISION): 1.0}
