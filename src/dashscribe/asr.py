"""One recording in, one object out, whichever interface the model belongs to; ``dashscribe asr`` calls this.

Options, files and the object are those of the public helper script for the cloud, so that what was written around that
goes on working. A call that may have been carried out is not blindly sent again: see ``_Caller``.
"""

from __future__ import annotations

import base64
import configparser
import mimetypes
import os
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeGuard, cast
from uuid import uuid4

import httpx
from dotenv import dotenv_values

from dashscribe.catalog import MODELS
from dashscribe.client import FINAL, TRIES, ApiError, Client, UnfinishedError, UnreachableError
from dashscribe.client.calls import read
from dashscribe.errors import ConfigError
from dashscribe.headers import retry_after_s

DEFAULT_MODEL = "qwen3-asr-flash"
POLL_INTERVAL_S = 8.0
MAX_WAITS = 45
#: The service's limit of a data URI, which holds four bytes for every three of the file.
MAX_DATA_URI_BYTES = 10 * 1024 * 1024
#: A synchronous answer takes as long as the recognition of up to five minutes of sound.
TIMEOUT = httpx.Timeout(180.0, connect=10.0)
CREDENTIALS = Path(".alibabacloud") / "credentials"

_NATIVE, _COMPATIBLE = "/api/v1", "/compatible-mode/v1"


class Normalized(TypedDict):
    """What every call comes to: the text, the task if there was one, its status, and the service's own answer.

    ``status`` is SUCCEEDED for a synchronous call. A task that was waited for has its result file in ``raw``, as
    ``transcription_result``.
    """

    text: str
    task_id: str | None
    status: str
    raw: dict[str, Any]


def transcribe(
    audio: str | Path,
    *,
    model: str = DEFAULT_MODEL,
    language_hints: Sequence[str] = (),
    sample_rate: int | None = None,
    vocabulary_id: str = "",
    disfluency_removal_enabled: bool = False,
    timestamp_granularities: Sequence[str] = (),
    asynchronous: bool = False,
    wait: bool = False,
    poll_interval: float = POLL_INTERVAL_S,
    max_waits: int = MAX_WAITS,
    base_url: str | None = None,
    api_key: str | None = None,
    on_task: Callable[[str], None] | None = None,
) -> Normalized:
    """Have a server transcribe a local file or a URL.

    Models that take tasks only are called asynchronously, others if ``asynchronous``; a local file is then uploaded.
    With ``wait`` a task is asked for every ``poll_interval`` seconds, ``max_waits`` times at most. ``on_task`` gets the
    task's id as soon as it is accepted. Address and key are looked up as ``environment`` and ``find_key`` say.

    Raises ConfigError before anything is sent, ApiError and UnreachableError for a call that failed, UnfinishedError
    after the last question. A task that failed is no exception: ``status`` tells.
    """
    given = {
        "language_hints": list(language_hints),
        "sample_rate": sample_rate,
        "vocabulary_id": vocabulary_id,
        "disfluency_removal_enabled": disfluency_removal_enabled,
        "timestamp_granularities": list(timestamp_granularities),
    }
    options = {name: value for name, value in given.items() if value}
    variables = environment()
    with _Caller(base_url or variables.get("DASHSCOPE_HTTP_BASE_URL"), api_key or find_key(variables)) as caller:
        if not (asynchronous or takes_tasks(model)):
            raw = caller.recognize(model, source_of(audio), options)
            return Normalized(text=text_of(raw), task_id=None, status="SUCCEEDED", raw=raw)
        raw = caller.hand_in(model, audio, options)
        task_id: str = raw["output"]["task_id"]
        if on_task:
            on_task(task_id)
        if wait:
            raw = caller.follow(task_id, poll_interval, max_waits)
    return Normalized(text=text_of(raw), task_id=task_id, status=raw["output"]["task_status"], raw=raw)


def takes_tasks(model: str) -> bool:
    """Whether a model is known to have no synchronous interface."""
    row = MODELS.get(model)
    return row is not None and row.interface == "async"


def environment() -> Mapping[str, str]:
    """The process's variables, then those of ``.env`` in the working folder and in the root of its repository.

    Raises ConfigError for a file that cannot be read.
    """
    here = Path.cwd()
    root = next((place for place in (here, *here.parents) if (place / ".git").exists()), here)
    maps: list[dict[str, str]] = []
    for file in dict.fromkeys((here / ".env", root / ".env")):
        try:
            values = dotenv_values(file, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} cannot be read: {error}") from error
        maps.append({name: value for name, value in values.items() if value is not None})
    return ChainMap(dict(os.environ), *maps)


def find_key(variables: Mapping[str, str]) -> str:
    """The API key: a variable, or the profile of the credentials file in the home folder. Raises ConfigError."""
    for name in ("DASHSCOPE_API_KEY", "DASHSCRIBE_API_KEY"):
        if key := variables.get(name, "").strip():
            return key
    file = Path.home() / CREDENTIALS
    profile = variables.get("ALIBABA_CLOUD_PROFILE") or variables.get("ALICLOUD_PROFILE") or "default"
    # Names are compared without regard to case; a secret may hold percent signs.
    profiles = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        profiles.read(file, encoding="utf-8-sig")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    key = profiles.get(profile, "dashscope_api_key", fallback="").strip()
    if not key:
        raise ConfigError(
            f"no API key: give --api-key, set DASHSCOPE_API_KEY, or put dashscope_api_key into [{profile}] of {file}"
        )
    return key


class _Caller(Client):
    """The client of tasks with the two ways to have one recording transcribed.

    A busy answer (429) and a connection that never stood are always tried again. A failing server (5xx) and a broken
    connection may have done the work already: a synchronous call is repeated even so, unless it ran out of time, since
    it leaves nothing behind; a submission only to a server of ours, where its ``Idempotency-Key`` gives the same task.
    """

    def __init__(self, base_url: str | None, api_key: str) -> None:
        super().__init__(base_url, api_key, sleep=time.sleep)
        root = self.base_url
        for suffix in (_NATIVE, _COMPATIBLE):
            root = root.removesuffix(suffix)
        self._root = root
        self.base_url = root + _NATIVE
        self._http.timeout = TIMEOUT
        self._http.event_hooks = {"response": [_refuse]}

    def recognize(self, model: str, source: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Transcribe within one call of the compatible interface."""
        content = [{"type": "input_audio", "input_audio": {"data": source}}]
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}], "stream": False}
        if options:
            body["asr_options"] = options
        url = f"{self._root}{_COMPATIBLE}/chat/completions"
        return self._post(url, body, _resolving(source), lambda error: not _out_of_time(error))

    def hand_in(self, model: str, audio: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Submit a task of one recording."""
        row = MODELS.get(model)
        source = str(audio) if _is_url(audio) else self.upload(_existing(audio), model)
        body = {
            "model": model,
            "input": {"file_urls": [source]} if row and row.input_key == "file_urls" else {"file_url": source},
            "parameters": _parameters(model, options),
        }
        headers = {"X-DashScope-Async": "enable", "Idempotency-Key": str(uuid4()), **_resolving(source)}
        url = f"{self.base_url}/services/audio/asr/transcription"
        try:
            answer = self._post(url, body, headers, lambda _: self._is_ours())
        except (ApiError, UnreachableError) as error:
            if not _is_lost(error):
                raise
            raise ApiError(f"{error}; a task may have been made all the same, see `dashscribe tasks ls`") from error
        if not all(isinstance(_at(answer, "output", name), str) for name in ("task_id", "task_status")):
            raise ApiError(f"the server's answer names no task: {str(answer)[:200]}")
        return answer

    def follow(self, task_id: str, interval_s: float, max_waits: int) -> dict[str, Any]:
        """Ask for a task until it has ended: the last answer, with the result file of a success."""
        for turn in range(max_waits):
            if turn:
                self._sleep(interval_s)
            answer = read(self.task_json(task_id), dict[str, Any])
            status = _at(answer, "output", "task_status")
            if status in FINAL:
                url = next(_result_urls(answer), None)
                return answer | {"transcription_result": self.result(url)} if url else answer
        raise UnfinishedError(f"task {task_id} not finished after {max_waits} polls")

    def _is_ours(self) -> bool:
        """Whether the server keeps an ``Idempotency-Key``; asked with patience, as it may be starting again."""
        try:
            answer = self.call("GET", f"{self._root}/healthz", repeatable=True, with_key=False)
            return read(answer.content, dict[str, Any]).get("service") == "dashscribe"
        except (ApiError, UnreachableError):
            return False

    def _post(
        self, url: str, body: object, headers: Mapping[str, str], may_repeat: Callable[[BaseException], bool]
    ) -> dict[str, Any]:
        """The answer to a call; ``may_repeat`` decides about errors after which it may have been carried out."""
        answer = self.retrying(
            lambda: self.once("POST", url, json=body, headers=headers),
            TRIES,
            lambda error: _not_taken(error) or (_is_lost(error) and may_repeat(error)),
        )
        return read(answer.content, dict[str, Any])


def _refuse(response: httpx.Response) -> None:
    """Raise any error as the helper tells it: status and body, which two interfaces fill differently."""
    if response.is_error:
        body = response.read().decode(errors="replace").strip()
        raise ApiError(
            f"HTTP {response.status_code}: {body[:1000]}",
            response.status_code,
            retry_after_s=retry_after_s(response.headers.get("retry-after", "")),
        )


def _not_taken(error: BaseException) -> bool:
    if isinstance(error, UnreachableError):
        return not error.sent
    return isinstance(error, ApiError) and error.http_status == 429


def _is_lost(error: BaseException) -> bool:
    """Whether nobody knows what became of the call."""
    if isinstance(error, UnreachableError):
        return error.sent
    return isinstance(error, ApiError) and error.http_status >= 500


def _out_of_time(error: BaseException) -> bool:
    return isinstance(error.__cause__, httpx.TimeoutException)


def _parameters(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as parameters of a task: the same names, but for a model that takes one language by another."""
    row = MODELS.get(model)
    hints = options.get("language_hints", ())
    if row and row.language_parameter == "language" and len(hints) == 1:
        return {name: value for name, value in options.items() if name != "language_hints"} | {"language": hints[0]}
    return dict(options)


def _is_url(audio: str | Path) -> TypeGuard[str]:
    return isinstance(audio, str) and audio.lower().startswith(("http://", "https://", "oss://"))


def _existing(audio: str | Path) -> Path:
    path = Path(audio)
    if not path.is_file():
        raise ConfigError(f"{audio}: no such file; give a file that exists, or an http or https URL")
    return path


def source_of(audio: str | Path) -> str:
    """What a synchronous call names: a URL as it is, a file as a data URI. Raises ConfigError for a file too large."""
    if _is_url(audio):
        return audio
    path = _existing(audio)
    kind = mimetypes.guess_type(path.name)[0] or ""
    prefix = f"data:{kind if kind.startswith(('audio/', 'video/')) else 'audio/wav'};base64,"
    size = path.stat().st_size
    if len(prefix) + 4 * -(-size // 3) > MAX_DATA_URI_BYTES:
        raise ConfigError(
            f"{path} has {size} bytes: a synchronous call takes at most 10 MB in base64, which are "
            f"{MAX_DATA_URI_BYTES * 3 // 4 // 1024} KiB of a file. Use an asynchronous model (--async with --model "
            "qwen3-asr-flash-filetrans), or `dashscribe tasks submit`; both upload the file first"
        )
    return prefix + base64.b64encode(path.read_bytes()).decode()


def _resolving(source: str) -> dict[str, str]:
    """The header without which the service leaves the URL of an upload alone."""
    return {"X-DashScope-OssResourceResolve": "enable"} if source.lower().startswith("oss://") else {}


def _result_urls(answer: dict[str, Any]) -> Iterator[str]:
    files: list[Any] = [_at(answer, "output", "result"), *(_at(answer, "output", "results") or ())]
    for file in files:
        url = _at(file, "transcription_url")
        if isinstance(url, str):
            yield url


def text_of(raw: dict[str, Any]) -> str:
    """The transcript in an answer of any shape, looked for in the helper's order; empty where there is none."""
    content = _at(raw, "choices", 0, "message", "content")
    if isinstance(content, str):
        return content
    for path in (("transcription_result", "transcripts"), ("output", "transcription"), ("output", "results")):
        found = _at(raw, *path)
        parts = cast("list[Any]", found) if isinstance(found, list) else [found]
        inside = ("transcription", "text") if path[-1] == "results" else ("text",)
        texts = [text for part in parts if isinstance(text := _at(part, *inside), str)]
        if texts:
            return "\n".join(texts)
    return next(_texts(raw), "")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, the outer ones first."""
    if isinstance(value, dict):
        if isinstance(text := _at(value, "text"), str) and text:
            yield text
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _texts(inner)


def _at(value: Any, *path: str | int) -> Any:
    """What lies at a path inside a JSON value; None where the path breaks off."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
