"""One call to a server, and what an answer means: errors told in one line, repeated where that is safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import Struct
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from dashscribe.errors import ConfigError
from dashscribe.errors.remote import ApiError, UnreachableError
from dashscribe.headers import retry_after_s

#: Where `dashscribe serve` listens unless told otherwise.
DEFAULT_BASE_URL = "http://127.0.0.1:8000/api/v1"
TRIES = 5
LONGEST_PAUSE_S = 30.0
#: The result JSON of a long recording takes a while to be written and read; everything else answers at once.
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_BACKOFF = wait_exponential(multiplier=0.5, max=8.0) + wait_random(0.0, 0.5)

_LOOPBACK: tuple[str, ...] = ("all://127.0.0.1", "all://localhost", "all://[::1]")

T = TypeVar("T")


class _Refusal(Struct, frozen=True, kw_only=True):
    """The service's error envelope."""

    code: str = ""
    message: str = ""
    request_id: str = ""


class Calls:
    """The calls to one server with one key."""

    def __init__(self, base_url: str, key: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base_url = _base(base_url)
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("the API key holds characters that no key has; see --api-key or DASHSCOPE_API_KEY")
        self._sleep = sleep
        self._key = key
        # A proxy of the environment is no way to this machine itself.
        self._http = httpx.Client(timeout=TIMEOUT, follow_redirects=True, mounts=dict.fromkeys(_LOOPBACK))

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool = False,
        with_key: bool = True,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """A good answer. ``path`` is relative to the base URL, or a URL; ``repeatable``: twice does no harm."""

        def attempt() -> httpx.Response:
            return self.once(method, path, with_key=with_key, headers=headers, json=json, params=params)

        return self.retrying(attempt, TRIES, lambda error: _may_repeat(error, repeatable))

    def once(
        self,
        method: str,
        path: str,
        *,
        with_key: bool = True,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        content: Iterable[bytes] | None = None,
        data: Mapping[str, str] | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """A good answer at the first try. Raises ApiError, UnreachableError."""
        url = path if "://" in path else self.base_url + path
        sent = {"Authorization": f"Bearer {self._key}"} if with_key and self._key else {}
        sent |= headers or {}
        try:
            response = self._http.request(
                method, url, headers=sent, json=json, params=params, content=content, data=data, files=files
            )
        except (httpx.RequestError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(
                f"{url.partition('?')[0]} does not answer: {reason}; is the server running? "
                "Another server is named by --base-url or DASHSCOPE_HTTP_BASE_URL",
                sent=not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)),
            ) from error
        if not response.is_success:
            raise _refusal(response)
        return response

    def pause(self, tries: int) -> None:
        """Wait before another try after so many of them."""
        self._sleep(min(8.0, 0.25 * 2**tries))

    def retrying(self, attempt: Callable[[], T], tries: int, may_repeat: Callable[[BaseException], bool]) -> T:
        """Attempt with growing pauses, or those that the server asks for, until it succeeds or must not be repeated."""
        retrying = Retrying(
            retry=retry_if_exception(may_repeat),
            stop=stop_after_attempt(tries),
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
    after_s = retry_after_s(response.headers.get("retry-after", ""))
    return ApiError(detail, response.status_code, told.code, after_s)


def read(data: bytes, form: type[T]) -> T:
    """An answer in the form that is expected. Raises ApiError for anything else."""
    try:
        return msgspec.json.decode(data, type=form, strict=False)
    except msgspec.MsgspecError as error:
        raise ApiError(f"the server's answer cannot be read: {error}: {data[:200]!r}") from error
