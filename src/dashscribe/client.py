"""A small client of the asynchronous interface, for a server of ours and for the cloud alike: submit, follow, fetch.

Calls that change nothing are repeated after a busy answer, a failing server or a broken connection. A submission is
repeated only where it certainly was not taken (429, no connection), because a second one would be a second task.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct, field
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from dashscribe.catalog import MODELS
from dashscribe.errors import ConfigError, DashscribeError

#: Where `dashscribe serve` listens unless told otherwise.
DEFAULT_BASE_URL = "http://127.0.0.1:8000/api/v1"
TRIES = 5
LONGEST_PAUSE_S = 30.0
#: Pauses between two questions about a task, in seconds: short tasks are noticed early, long ones cost little.
FIRST_POLL_S, LONGEST_POLL_S, POLL_GROWTH = 0.25, 5.0, 1.3
FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"})
#: The result JSON of a long recording takes a while to be written and read; everything else answers at once.
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_BACKOFF = wait_exponential(multiplier=0.5, max=8.0) + wait_random(0.0, 0.5)

_LOOPBACK: tuple[str, ...] = ("all://127.0.0.1", "all://localhost", "all://[::1]")

T = TypeVar("T")


class ApiError(DashscribeError):
    """The server refused a call: its HTTP status, its code and message, and the id under which it logged the call."""

    def __init__(
        self, detail: str, http_status: int = 0, api_code: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.args = (detail, http_status, api_code, retry_after_s)
        self.http_status = http_status
        self.api_code = api_code
        self.retry_after_s = retry_after_s


class UnreachableError(DashscribeError):
    """No answer from the server; ``sent`` tells whether the request may have arrived."""

    def __init__(self, detail: str, sent: bool = False) -> None:
        super().__init__(detail)
        self.args = (detail, sent)
        self.sent = sent


class RemoteFile(Struct, frozen=True, kw_only=True):
    """One file of a task: where its result lies, or why there is none. The ``file_url`` models tell no ``url``."""

    url: str = field(default="", name="file_url")
    status: str = field(default="", name="subtask_status")
    result_url: str = field(default="", name="transcription_url")
    code: str = ""
    message: str = ""


class RemoteTask(Struct, frozen=True, kw_only=True):
    """A task as its server tells it. Times are text in the server's zone; ``metrics`` counts files by fate."""

    id: str = field(name="task_id")
    status: str = field(name="task_status")
    submitted: str = field(default="", name="submit_time")
    ended: str = field(default="", name="end_time")
    results: tuple[RemoteFile, ...] = ()
    result: RemoteFile | None = None
    metrics: dict[str, int] = field(default_factory=dict[str, int], name="task_metrics")
    code: str = ""
    message: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """The files of an ended task, whichever shape the model answers in."""
        return (self.result,) if self.result else self.results


class Progress(Struct, frozen=True, kw_only=True):
    """How far a running task is, in milliseconds of sound: recognized, and known so far."""

    done_ms: int = 0
    total_ms: int = 0


class Extras(Struct, frozen=True, kw_only=True):
    """What only a server of ours tells of a task; everything is empty for the cloud's."""

    engine: str = ""
    queue_position: int | None = None
    progress: Progress = Progress()
    notes: tuple[str, ...] = ()


class TaskAnswer(Struct, frozen=True, kw_only=True):
    """The whole answer to a query: the task, what it used, and our own member."""

    task: RemoteTask = field(name="output")
    request_id: str = ""
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    extras: Extras = field(default=Extras(), name="dashscribe")


class ListedTask(Struct, frozen=True, kw_only=True):
    """One row of the list of tasks; instants are epoch milliseconds, 0 while unknown."""

    id: str = field(name="task_id")
    model: str = field(default="", name="model_name")
    status: str = ""
    submitted_ms: int = field(default=0, name="gmt_create")
    ended_ms: int = field(default=0, name="end_time")
    code: str = ""
    message: str = ""


class TaskList(Struct, frozen=True, kw_only=True):
    """A page of the list of tasks, the newest first; ``total`` counts all pages."""

    total: int = 0
    tasks: tuple[ListedTask, ...] = field(default=(), name="data")


class _Refusal(Struct, frozen=True, kw_only=True):
    """The service's error envelope."""

    code: str = ""
    message: str = ""
    request_id: str = ""


class Client:
    """Talks to one server with one key; close it, or use it as a context manager.

    ``base_url`` and ``api_key`` default to ``DASHSCOPE_HTTP_BASE_URL`` and ``DASHSCOPE_API_KEY`` (or
    ``DASHSCRIBE_API_KEY``), as the official clients have them; the address defaults to this machine.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = _base(base_url or os.environ.get("DASHSCOPE_HTTP_BASE_URL") or DEFAULT_BASE_URL)
        self._key = api_key or os.environ.get("DASHSCOPE_API_KEY") or os.environ.get("DASHSCRIBE_API_KEY") or ""
        if not (self._key.isascii() and self._key.isprintable()):
            raise ConfigError("the API key holds characters that no key has; see --api-key or DASHSCOPE_API_KEY")
        self._sleep = sleep
        # A proxy of the environment is no way to this machine itself.
        self._http = httpx.Client(timeout=TIMEOUT, follow_redirects=True, mounts=dict.fromkeys(_LOOPBACK))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def submit(self, model: str, urls: Sequence[str], parameters: Mapping[str, Any] | None = None) -> RemoteTask:
        """Hand in URLs of audio; the task that comes back is waiting. ``parameters`` are the model's, by wire name."""
        row = MODELS.get(model)
        source: dict[str, Any] = {"file_urls": list(urls)}
        if row and row.input_key == "file_url" and len(urls) == 1:
            source = {"file_url": urls[0]}
        body = {"model": model, "input": source, "parameters": dict(parameters or {})}
        data = self._call(
            "POST", "/services/audio/asr/transcription", json=body, headers={"X-DashScope-Async": "enable"}
        )
        return _read(data, TaskAnswer).task

    def task(self, task_id: str) -> TaskAnswer:
        """Ask for a task; one that is unknown, expired or another owner's has the status UNKNOWN."""
        return _read(self.task_json(task_id), TaskAnswer)

    def task_json(self, task_id: str) -> bytes:
        """The answer of ``task`` as it came."""
        return self._call("GET", f"/tasks/{quote(task_id, safe='')}", repeatable=True)

    def wait(
        self,
        task_id: str,
        on_update: Callable[[TaskAnswer], None] | None = None,
        timeout_s: float = float("inf"),
    ) -> TaskAnswer:
        """Ask until the task has ended, with growing pauses; ``on_update`` sees every answer. Raises TimeoutError."""
        end_s = time.monotonic() + timeout_s
        pause_s = FIRST_POLL_S
        while True:
            answer = self.task(task_id)
            if on_update:
                on_update(answer)
            if answer.task.is_final:
                return answer
            if time.monotonic() + pause_s > end_s:
                raise TimeoutError(f"task {task_id} is still {answer.task.status} after {timeout_s:g} s")
            self._sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, LONGEST_POLL_S)

    def list(self, *, status: str = "", model: str = "", page: int = 1, page_size: int = 10) -> TaskList:
        """The tasks of the last 24 hours, the newest first."""
        wanted = {"status": status, "model_name": model, "page_no": page, "page_size": page_size}
        query = {name: value for name, value in wanted.items() if value}
        return _read(self._call("GET", "/tasks/", params=query, repeatable=True), TaskList)

    def cancel(self, task_id: str) -> None:
        """Cancel a waiting task; ApiError for one that runs, has ended or is unknown."""
        self._call("POST", f"/tasks/{quote(task_id, safe='')}/cancel")

    def result(self, result_url: str) -> dict[str, Any]:
        """Download a result file; no key is sent, the URL is signed."""
        return _read(self._call("GET", result_url, repeatable=True, with_key=False), dict[str, Any])

    def _call(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool = False,
        with_key: bool = True,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
    ) -> bytes:
        """The body of a good answer. ``path`` is relative to the base URL, or a URL."""
        url = path if "://" in path else self.base_url + path
        key = {"Authorization": f"Bearer {self._key}"} if with_key and self._key else {}

        def attempt() -> bytes:
            try:
                response = self._http.request(method, url, headers={**key, **(headers or {})}, json=json, params=params)
            except (httpx.RequestError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
                raise UnreachableError(
                    f"{url.partition('?')[0]} does not answer: {reason}; is the server running? "
                    "Another server is named by --base-url or DASHSCOPE_HTTP_BASE_URL",
                    sent=not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)),
                ) from error
            if not response.is_success:
                raise _refusal(response)
            return response.content

        retrying = Retrying(
            retry=retry_if_exception(lambda error: _may_repeat(error, repeatable)),
            stop=stop_after_attempt(TRIES),
            wait=_pause_s,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(attempt)


def _base(url: str) -> str:
    """The base URL without a slash at its end; one that names a server only gets the service's path."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"the base URL {url!r} cannot be read: {error}") from error
    if base.scheme not in ("http", "https") or not base.host:
        raise ConfigError(f"the base URL {url!r} is no http or https URL such as {DEFAULT_BASE_URL}")
    return str(base if base.path.strip("/") else base.copy_with(path="/api/v1")).rstrip("/")


def _may_repeat(error: BaseException, repeatable: bool) -> bool:
    if isinstance(error, UnreachableError):
        return repeatable or not error.sent
    if isinstance(error, ApiError):
        return error.http_status == 429 or (repeatable and error.http_status >= 500)
    return False


def _pause_s(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asked for, else growing, both bounded."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, ApiError) else None
    return _BACKOFF(state) if asked_s is None else min(asked_s, LONGEST_PAUSE_S)


def _refusal(response: httpx.Response) -> ApiError:
    """What an answer other than 2xx says, in the service's envelope or any other words."""
    told = _Refusal(message=response.text.strip()[:300])
    with suppress(msgspec.MsgspecError):
        told = msgspec.json.decode(response.content, type=_Refusal, strict=False)
    label = f"{told.code} (HTTP {response.status_code})" if told.code else f"HTTP {response.status_code}"
    request_id = told.request_id or response.headers.get("x-request-id", "")
    detail = f"{label}: {told.message}" + (f" [request {request_id}]" if request_id else "")
    if response.status_code == 401:
        detail += "; the key is named by --api-key or DASHSCOPE_API_KEY"
    after = response.headers.get("retry-after", "")
    return ApiError(detail, response.status_code, told.code, float(after) if after.isdecimal() else None)


def _read(data: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=form, strict=False)
    except msgspec.MsgspecError as error:
        raise ApiError(f"the server's answer cannot be read: {error}: {data[:200]!r}") from error
