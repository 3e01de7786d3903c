"""A small client of the asynchronous interface, for a server of ours and for the cloud alike: upload, submit, follow.

``Client.transcribe`` does all of it for one recording and gives what ``dashscribe.transcribe`` gives.

Calls that change nothing are repeated after a busy answer, a failing server or a broken connection. A submission is
repeated only where it certainly was not taken (429, no connection), because a second one would be a second task.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import quote

from msgspec import Struct, field

from dashscribe.background import awaited
from dashscribe.catalog import MODELS
from dashscribe.client import sending, whole
from dashscribe.client.calls import DEFAULT_BASE_URL, LONGEST_PAUSE_S, TRIES, Calls, read
from dashscribe.errors.remote import ApiError, UnfinishedError, UnreachableError
from dashscribe.wishes import Wishes, options_of

if TYPE_CHECKING:
    from dashscribe.background import OnProgress, OnSentence
    from dashscribe.types import Transcript

__all__ = [
    "DEFAULT_BASE_URL",
    "FINAL",
    "LONGEST_PAUSE_S",
    "TRIES",
    "ApiError",
    "Client",
    "ListedTask",
    "RemoteFile",
    "RemoteKey",
    "RemoteRedo",
    "RemoteTask",
    "TaskAnswer",
    "TaskList",
    "UnfinishedError",
    "UnreachableError",
]

#: Pauses between two questions about a task, in seconds: short tasks are noticed early, long ones cost little.
FIRST_POLL_S, LONGEST_POLL_S, POLL_GROWTH = 0.25, 5.0, 1.3
FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"})


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


class RemoteRedo(Struct, frozen=True, kw_only=True):
    """A stage of one file that was last asked to be done again; ``message`` says why it failed."""

    file: int
    stage: str
    state: str
    progress: Progress = Progress()
    message: str = ""

    @property
    def is_final(self) -> bool:
        """Whether it is through, for good or ill."""
        return self.state in FINAL


class AboutFile(Struct, frozen=True, kw_only=True):
    """What a server of ours tells of one file beside its result: of one without text, milliseconds by fate."""

    notes: tuple[str, ...] = ()
    ledger: dict[str, int] = field(default_factory=dict[str, int])


class Extras(Struct, frozen=True, kw_only=True):
    """What only a server of ours tells of a task; everything is empty for the cloud's."""

    engine: str = ""
    queue_position: int | None = None
    progress: Progress = Progress()
    notes: tuple[str, ...] = ()
    redo: tuple[RemoteRedo, ...] = ()
    retry_of: str = ""
    files: tuple[AboutFile, ...] = ()


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


class RemoteKey(Struct, frozen=True, kw_only=True):
    """A key of one's owner without its secret, of which ``hint`` is the end; instants are epoch milliseconds.

    ``quota_s`` is its sound per month in seconds, None for no limit; ``used_ms`` what it used of this month.
    """

    id: str
    name: str = ""
    hint: str = ""
    created_ms: int = field(default=0, name="created_at")
    revoked_ms: int | None = field(default=None, name="revoked_at")
    quota_s: int | None = field(default=None, name="quota_seconds")
    used_ms: int = 0


class KeyList(Struct, frozen=True, kw_only=True):
    """The keys of an owner."""

    keys: tuple[RemoteKey, ...]


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key."""

    id: str
    secret: str = field(name="key")


class Client(Calls):
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
        server = base_url or os.environ.get("DASHSCOPE_HTTP_BASE_URL") or DEFAULT_BASE_URL
        key = api_key or os.environ.get("DASHSCOPE_API_KEY") or os.environ.get("DASHSCRIBE_API_KEY") or ""
        super().__init__(server, key, sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def transcribe(
        self,
        source: str | Path,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float = float("inf"),
        **wishes: Unpack[Wishes],
    ) -> Transcript:
        """Have the server transcribe a local file, which is uploaded, or an http(s) or oss URL; wait for the result.

        What may be asked for is what ``dashscribe.transcribe`` takes; what the server or the model does not heed stands
        in the notes of the transcript. ``on_progress`` sees the upload, then the task; what it raises ends the waiting,
        and cancels the task where it still waits.

        Raises SourceError for a source that cannot be had or read, InvalidParameterError for what a server cannot do,
        ApiError for a refused call or a task that failed, UnreachableError for a server that does not answer, and
        UnfinishedError for a task that has not ended in ``timeout_s`` seconds.
        """
        return whole.transcribe(self, source, options_of(**wishes), on_progress=on_progress, timeout_s=timeout_s)

    async def atranscribe(
        self,
        source: str | Path,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float = float("inf"),
        **wishes: Unpack[Wishes],
    ) -> Transcript:
        """As ``transcribe``, awaited: the waiting is done in a thread, ``on_progress`` runs in the event loop."""
        options = options_of(**wishes)

        def work(report: OnProgress, say: OnSentence) -> Transcript:
            return whole.transcribe(self, source, options, on_progress=report, timeout_s=timeout_s)

        return await awaited(work, on_progress, None)

    def upload(self, path: Path, model: str = "fun-asr", on_bytes: Callable[[int, int], None] | None = None) -> str:
        """Hand in a local file: its oss:// URL, good for 48 hours; ``on_bytes(sent, total)`` sees how far it is.

        Goes on where it broke off with a server of ours; the cloud takes each file as a whole, for one ``model``.
        """
        return sending.send(self, path, model, on_bytes or (lambda sent, total: None))

    def submit(self, model: str, urls: Sequence[str], parameters: Mapping[str, Any] | None = None) -> RemoteTask:
        """Hand in URLs, those of uploads among them; the task that comes back is waiting.

        ``parameters`` are the model's, by wire name.
        """
        row = MODELS.get(model)
        source: dict[str, Any] = {"file_urls": list(urls)}
        if row and row.input_key == "file_url" and len(urls) == 1:
            source = {"file_url": urls[0]}
        body = {"model": model, "input": source, "parameters": dict(parameters or {})}
        headers = {"X-DashScope-Async": "enable"}
        if any(url.startswith("oss://") for url in urls):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        data = self._call("POST", "/services/audio/asr/transcription", json=body, headers=headers)
        return read(data, TaskAnswer).task

    def task(self, task_id: str) -> TaskAnswer:
        """Ask for a task; one that is unknown, expired or another owner's has the status UNKNOWN."""
        return read(self.task_json(task_id), TaskAnswer)

    def task_json(self, task_id: str) -> bytes:
        """The answer of ``task`` as it came."""
        return self._call("GET", f"/tasks/{quote(task_id, safe='')}", repeatable=True)

    def wait(
        self,
        task_id: str,
        on_update: Callable[[TaskAnswer], None] | None = None,
        timeout_s: float = float("inf"),
    ) -> TaskAnswer:
        """Ask until the task has ended, with growing pauses; ``on_update`` sees each answer. Raises UnfinishedError."""
        end_s = time.monotonic() + timeout_s
        pause_s = FIRST_POLL_S
        while True:
            answer = self.task(task_id)
            if on_update:
                on_update(answer)
            if answer.task.is_final:
                return answer
            if time.monotonic() + pause_s > end_s:
                raise UnfinishedError(f"task {task_id} is still {answer.task.status} after {timeout_s:g} s")
            self._sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, LONGEST_POLL_S)

    def retry(
        self,
        task_id: str,
        stage: str = "",
        *,
        file: int | None = None,
        speaker_count: int | None = None,
        every: bool = False,
    ) -> TaskAnswer:
        """Have a stage of a task done again, for one ``file`` or all, or its files that failed (or ``every``) anew.

        The answer is that task with what was queued, or the new task. Only a server of ours can: ApiError.
        """
        wanted = {"stage": stage, "file": file, "speaker_count": speaker_count, "all": every or None}
        body = {name: value for name, value in wanted.items() if value not in (None, "")}
        # The same stage again joins what is under way; a second new task would be done beside the first.
        path = f"tasks/{quote(task_id, safe='')}/retry"
        return read(self._call_ours("POST", path, json=body, repeatable=bool(stage)), TaskAnswer)

    def wait_for_redo(
        self, task_id: str, files: Collection[int], on_update: Callable[[TaskAnswer], None] | None = None
    ) -> TaskAnswer:
        """Ask until no stage of these files is under way any more, or the task is gone; as ``wait``."""
        pause_s = FIRST_POLL_S
        while True:
            answer = self.task(task_id)
            if on_update:
                on_update(answer)
            if all(redo.is_final for redo in answer.extras.redo if redo.file in files):
                return answer
            self._sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, LONGEST_POLL_S)

    def is_ours(self) -> bool:
        """Whether the server is a dashscribe, as far as it tells."""
        try:
            told = self._call("GET", f"{self.base_url.removesuffix('/api/v1')}/healthz", with_key=False)
            return read(told, dict[str, Any]).get("service") == "dashscribe"
        except (ApiError, UnreachableError):
            return False

    def list(self, *, status: str = "", model: str = "", page: int = 1, page_size: int = 10) -> TaskList:
        """The tasks of the last 24 hours, the newest first."""
        wanted = {"status": status, "model_name": model, "page_no": page, "page_size": page_size}
        query = {name: value for name, value in wanted.items() if value}
        return read(self._call("GET", "/tasks/", params=query, repeatable=True), TaskList)

    def cancel(self, task_id: str) -> None:
        """Cancel a waiting task; ApiError for one that runs, has ended or is unknown."""
        self._call("POST", f"/tasks/{quote(task_id, safe='')}/cancel")

    def customize(self, action: str, **members: Any) -> dict[str, Any]:
        """What an action on hotword lists, such as ``query_vocabulary``, gives; ``members`` are its input."""
        body = {"model": "speech-biasing", "input": {"action": action, **members}}
        repeatable = not action.startswith(("create_", "delete_"))
        data = self._call("POST", "/services/audio/asr/customization", json=body, repeatable=repeatable)
        return read(data, dict[str, Any]).get("output") or {}

    def lend(self, seconds: int) -> dict[str, Any]:
        """A temporary key that works like this one for 1 to 1800 seconds: ``token``, ``expires_at`` in Unix seconds."""
        return read(self._call("POST", "/tokens", params={"expire_in_seconds": seconds}), dict[str, Any])

    def callbacks(
        self, method: str, path: str, *, json: object = None, params: Mapping[str, str | int] | None = None
    ) -> dict[str, Any]:
        """What a call about callbacks gives, such as ``GET targets``. Only a server of ours has any: ApiError."""
        repeatable = method in ("GET", "PATCH")
        data = self._call_ours(method, f"callbacks/{path}", json=json, params=params, repeatable=repeatable)
        return read(data, dict[str, Any])

    def me(self) -> dict[str, Any]:
        """Who is asking, such as ``owner`` and ``may_manage_keys``. Only a server of ours tells: ApiError."""
        return read(self._call_ours("GET", "me", repeatable=True), dict[str, Any])

    def keys(self) -> tuple[RemoteKey, ...]:
        """The keys of one's owner, the oldest first, revoked ones included. Only a server of ours has any: ApiError."""
        return read(self._call_ours("GET", "keys", repeatable=True), KeyList).keys

    def make_key(self, name: str = "", quota_s: int | None = None) -> tuple[str, str]:
        """Another key of one's owner, with ``quota_s`` seconds of sound a month: its id and the secret, told once."""
        body = {"name": name} | ({} if quota_s is None else {"quota_seconds": quota_s})
        made = read(self._call_ours("POST", "keys", json=body), MadeKey)
        return made.id, made.secret

    def end_key(self, key_id: str) -> None:
        """End a key of one's owner for good; ApiError with the status 404 for one that does not exist or has ended."""
        self._call_ours("DELETE", f"keys/{quote(key_id, safe='')}")

    def result(self, result_url: str) -> dict[str, Any]:
        """Download a result file; no key is sent, the URL is signed."""
        return read(self._call("GET", result_url, repeatable=True, with_key=False), dict[str, Any])

    def _call_ours(self, method: str, path: str, **how: Any) -> bytes:
        """The body of a good answer of a route that only a server of ours has. Raises ApiError, which says so."""
        try:
            return self._call(method, f"{self.base_url.removesuffix('/api/v1')}/dashscribe/v1/{path}", **how)
        except ApiError as error:
            passing = error.http_status in (401, 429) or (error.http_status >= 500 and error.http_status != 501)
            if passing or self.is_ours():
                raise
            told = (
                f"{self.base_url} is no dashscribe server, and the service itself knows nothing of the kind ({error})"
            )
            raise ApiError(told, error.http_status) from error

    def _call(self, method: str, path: str, **how: Any) -> bytes:
        """The body of a good answer; ``how`` is as for ``call``."""
        return self.call(method, path, **how).content
