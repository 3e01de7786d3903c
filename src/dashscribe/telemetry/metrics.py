"""Every metric that a server tells, as rows: name, kind, labels, meaning. docs/observability.md shows this very table.

No label holds what a client made up: names of models, engines, routes and codes are finite sets of ours, and neither
URLs nor file names nor keys are among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

#: Seconds of work, from a short clip to a 12-hour file.
WORK_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
#: Seconds of an answer to a client; queries take milliseconds, synchronous calls up to their limit of 300 s.
ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: Seconds of work per second of sound; 1 is as fast as the sound goes by.
RATIO = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row. ``name`` as it is told, with the ``_total`` of a counter; ``buckets`` are a histogram's upper bounds."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    text: str
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=f"dashscribe_{name}", kind="counter", labels=labels, text=text)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=f"dashscribe_{name}", kind="gauge", labels=labels, text=text)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name=f"dashscribe_{name}", kind="histogram", labels=labels, text=text, buckets=buckets)


# --- counted while it happens, by this process since its start --------------------------------------------------------

STAGE_SECONDS = _histogram(
    "stage_seconds",
    "Wall time of a stage without waiting for a slot: fetch (a download), cut (a file), recognize (an engine's call), "
    "listen (a window), finish (a file of a task). Tasks and synchronous calls together.",
    WORK_S,
    "stage",
    "engine",
)
STAGE_AUDIO = _counter(
    "stage_audio_seconds_total",
    "Sound that went through a stage, in seconds over all channels: cut counts what was decoded, recognize and listen "
    "count speech.",
    "stage",
    "engine",
)
REAL_TIME_FACTOR = _histogram(
    "real_time_factor", "Wall time of an engine's call per second of the speech in it.", RATIO, "engine"
)
STEPS = _counter(
    "steps_total",
    "Steps of tasks by how they ended: done, put_back (to be done later), source (which is at fault), engine_down, "
    "host (a child died, hung or failed), machine (database or disk), other (a bug).",
    "step",
    "outcome",
)
FILES_ENDED = _counter(
    "files_ended_total",
    "Files of tasks that ended, by outcome (succeeded, failed, canceled) and by the code that the client is told.",
    "outcome",
    "code",
)
WINDOWS_ENDED = _counter(
    "windows_ended_total",
    "Windows of tasks that were closed: done, or given_up after three failures or the end of twenty workers over it.",
    "outcome",
)
FETCHES = _counter(
    "fetches_total", "Downloads of sources by outcome: ok, aborted, or the class of what went wrong.", "outcome"
)
CHILD_START_SECONDS = _histogram(
    "child_start_seconds",
    "Time from the start of a child process until its model was loaded; the count is that of starts. Media children "
    "have no model and come up within their first work.",
    WORK_S,
    "role",
    "engine",
)
CHILD_ENDS = _counter(
    "child_ends_total",
    "Child processes that ended: died, timed_out, failed (its model did not load), worn_out (age or memory), idle, "
    "stopped (its caller left, or the program closes).",
    "role",
    "engine",
    "reason",
)
HTTP_REQUESTS = _counter("http_requests_total", "Requests answered, by route and status.", "method", "route", "status")
HTTP_SECONDS = _histogram(
    "http_request_seconds", "Time from a request's head to the end of its answer.", ANSWER_S, "route"
)
CALLS = _counter(
    "calls_total",
    "Synchronous calls by the status that came of them: of HTTP, 499 where the client hung up or a stream was cut "
    "short, canceled where the limit of 300 s or the server's end cut others short.",
    "route",
    "model",
    "status",
)
CALL_SECONDS = _histogram(
    "call_seconds", "Time of a synchronous call once it was read, its wait for a turn included.", ANSWER_S, "model"
)
FIRST_SENTENCE_SECONDS = _histogram(
    "call_first_sentence_seconds", "The same up to the first sentence of a stream.", ANSWER_S, "model"
)
REFUSALS = _counter(
    "refusals_total",
    "Requests refused for want of something: rate_limit, quota, admission (too many calls at once), queue (too many "
    "files wait), disk.",
    "reason",
)
CALLBACKS = _counter(
    "callback_tries_total",
    "Tries to deliver an event by what came of them: delivered, retried (later, by the target's policy), dead (given "
    "up and kept), dropped (given up).",
    "outcome",
)
CALLBACK_SECONDS = _histogram(
    "callback_seconds", "Time from the end of a task until a target took its event, retries included.", ANSWER_S
)

COUNTED = (
    *(STAGE_SECONDS, STAGE_AUDIO, REAL_TIME_FACTOR, STEPS, FILES_ENDED, WINDOWS_ENDED, FETCHES, CHILD_START_SECONDS),
    *(CHILD_ENDS, HTTP_REQUESTS, HTTP_SECONDS, CALLS, CALL_SECONDS, FIRST_SENTENCE_SECONDS, REFUSALS),
    *(CALLBACKS, CALLBACK_SECONDS),
)

# --- looked up when somebody asks -------------------------------------------------------------------------------------

TASKS = _gauge("tasks", "Tasks that have not ended, by status.", "status")
OLDEST_TASK = _gauge("oldest_task_seconds", "Age of the oldest task of a status; 0 for none.", "status")
FILES = _gauge("files", "Files that have not ended, by state.", "state")
WINDOWS = _gauge("windows", "Windows of files that have not ended, by state.", "state")
QUEUE_AGE = _gauge(
    "queue_age_seconds",
    "How long ago the task was submitted whose piece is next in a stage; 0 where nothing waits.",
    "stage",
)
WAITING_AUDIO = _gauge("waiting_audio_seconds", "Speech that is cut and not recognized yet.")
USAGE_AUDIO = _counter(
    "usage_audio_seconds_total", "Sound that was worked on, over all channels, since the database was made.", "model"
)
USAGE_FILES = _counter("usage_files_total", "Files and calls that this was.", "model")
DATABASE_UP = _gauge("database_up", "1 if the database answered just now; without it all from tasks on is missing.")
CHILDREN = _gauge("children", "Child processes by what they do.", "role", "engine", "state")
SLOTS = _gauge(
    "slots",
    "Places of recognition: batch, express (kept free for short work), remote (asks an endpoint); busy or free.",
    "kind",
    "state",
)
SLOT_WAITERS = _gauge("slot_waiters", "Pieces of work that wait for such a place.", "kind")
ENGINE_DOWN = _gauge(
    "engine_down", "1 while an engine that asks an endpoint is left alone because that does not answer.", "engine"
)
CALLS_NOW = _gauge("calls_in_progress", "Synchronous calls, at work or waiting for a turn.", "state")
CALLS_LIMIT = _gauge("calls_limit", "Most synchronous calls at work at once.")
DISK_FREE = _gauge("disk_free_bytes", "Free on the disk of the store, with s3:// of the home.")
DISK_RESERVE = _gauge(
    "disk_reserve_bytes", "Below this much free disk, preparing pauses, and tasks and uploads are refused."
)
BUILD_INFO = _gauge("build_info", "1, with what is running.", "version", "python", "schema")

LOOKED_UP = (
    *(TASKS, OLDEST_TASK, FILES, WINDOWS, QUEUE_AGE, WAITING_AUDIO, USAGE_AUDIO, USAGE_FILES, DATABASE_UP, CHILDREN),
    *(SLOTS, SLOT_WAITERS, ENGINE_DOWN, CALLS_NOW, CALLS_LIMIT, DISK_FREE, DISK_RESERVE, BUILD_INFO),
)

METRICS = (*COUNTED, *LOOKED_UP)


def table() -> str:
    """All of it as a Markdown table."""
    lines = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = " ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |")
    return "\n".join(lines)
