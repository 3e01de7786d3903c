"""One HTTP endpoint: a request and its answer, bounded in time and size, repeated where another try may help.

What goes wrong is sorted here. A refusal of this one request is the piece's own trouble (``PieceError``). Everything
else says that the endpoint is of no use at present (``EngineDownError``): not reached, too busy, failing, or answering
what is no transcript.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import msgspec
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from dashscribe.config import Settings
from dashscribe.errors import EngineDownError, EngineUnavailableError
from dashscribe.headers import retry_after_s

#: Tries of one request, the first one included.
TRIES = 3
#: Longest wait for a connection in seconds: an endpoint is near, or it is down.
CONNECT_S = 5.0
#: Largest answer, and how much is read of one that is an error, in bytes. Half a minute of speech with a time for each
#: word is below 20 KB.
MAX_ANSWER_BYTES, MAX_ERROR_BYTES = 4 * 1024**2, 16 * 1024
#: How much of an answer a message quotes, in characters.
QUOTE_CHARS = 160
#: Statuses that another try may change; 5xx are more of them.
_PASSING = frozenset({408, 425, 429})
#: Statuses about who asks, and about where.
_FORBIDDEN, _ABSENT = frozenset({401, 402, 403}), frozenset({404, 405, 410})
#: A proxy of the environment is no way to this machine itself.
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
_BACKOFF = wait_exponential(multiplier=0.5, max=8.0) + wait_random(0.0, 0.25)

T = TypeVar("T")


class PieceError(Exception):
    """What is wrong with one piece alone, or with the answer to it; others may go well."""


class RefusedError(PieceError):
    """The endpoint does not take this request; it may take one of another form."""


class _PassingError(Exception):
    """A try failed in a way that another may not; ``pause_s`` is the wait that the endpoint asked for."""

    def __init__(self, detail: str, pause_s: float | None = None) -> None:
        super().__init__(detail)
        self.pause_s = pause_s


class Endpoint:
    """The endpoint that the settings name. Not thread-safe."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._url = settings.openai_url
        self._limit_s = settings.openai_timeout_s
        self._sleep = sleep
        self._key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
        if not (self._key.isascii() and self._key.isprintable()):
            raise EngineUnavailableError("DASHSCRIBE_OPENAI_API_KEY holds characters that no key has: set it anew")
        headers = {"User-Agent": "dashscribe", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._http = httpx.Client(headers=headers, follow_redirects=False, mounts=dict.fromkeys(_LOOPBACK))

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(self, path: str, body: dict[str, Any], shape: type[T], until_s: float) -> T:
        """Post ``body``, which are httpx's own arguments, and read the answer as ``shape``.

        All tries end at ``until_s`` of the monotonic clock. Raises PieceError, RefusedError and EngineDownError.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            wait=_pause_s,
            stop=stop_after_attempt(TRIES) | stop_before_delay(max(0.0, until_s - time.monotonic())),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, path, body, shape, until_s)
        except _PassingError as error:
            tries = retrying.statistics.get("attempt_number", 1)
            raise EngineDownError(f"{error} ({tries} {'try' if tries == 1 else 'tries'})") from error

    def _once(self, path: str, body: dict[str, Any], shape: type[T], until_s: float) -> T:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise self._too_slow()
        timeout = httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))
        try:
            with self._http.stream("POST", self._url + path, timeout=timeout, **body) as response:
                content = self._read(response, until_s)
        except httpx.ConnectTimeout as error:
            raise _PassingError(f"{self._url} cannot be reached within {min(CONNECT_S, left_s):.3g} s") from error
        except httpx.TimeoutException as error:
            raise self._too_slow() from error
        except httpx.ConnectError as error:
            raise _PassingError(f"{self._url} cannot be reached: {self._clean(str(error))}") from error
        except httpx.RequestError as error:
            reason = self._clean(str(error)) or type(error).__name__
            raise _PassingError(f"{self._url} broke off before its answer was complete: {reason}") from error
        self._judge(response, content)
        return self._parse(response, content, shape)

    def _too_slow(self) -> _PassingError:
        return _PassingError(f"{self._url} gave no answer within {self._limit_s:g} s (DASHSCRIBE_OPENAI_TIMEOUT_S)")

    def _read(self, response: httpx.Response, until_s: float) -> bytes:
        """The body of an answer, of an error only its begin."""
        limit_bytes = MAX_ANSWER_BYTES if response.is_success else MAX_ERROR_BYTES
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > limit_bytes:
                if response.is_success:
                    raise PieceError(
                        f"{self._url} answered with more than {limit_bytes} bytes: no piece has that much to say"
                    )
                break
            if time.monotonic() > until_s:  # a time-out of the library begins anew with every byte
                raise self._too_slow()
        return bytes(content)

    def _judge(self, response: httpx.Response, content: bytes) -> None:
        """Return for a success; else raise what the status means."""
        status = response.status_code
        if response.is_success:
            return
        said = f"{self._url} answered {status}{self._told(response, content)}"
        if status in _PASSING or status >= 500:
            raise _PassingError(said, retry_after_s(response.headers.get("retry-after", "")))
        if 300 <= status < 400:
            place = self._clean(response.headers.get("location", "")) or "nowhere"
            raise EngineDownError(
                f"{self._url} answered {status}, a redirect to {place}, and sound is sent to no other address than the "
                "one in DASHSCRIBE_OPENAI_URL: put the final one there"
            )
        if status in _FORBIDDEN:
            raise EngineDownError(f"{said}; see DASHSCRIBE_OPENAI_API_KEY")
        if status in _ABSENT:
            raise EngineDownError(
                f"{said}; see DASHSCRIBE_OPENAI_URL, DASHSCRIBE_OPENAI_MODEL and DASHSCRIBE_OPENAI_INTERFACE"
            )
        raise RefusedError(said)

    def _parse(self, response: httpx.Response, content: bytes, shape: type[T]) -> T:
        where = f"{self._url} answered {response.status_code}"
        if not content.strip():
            raise _PassingError(f"{where} with nothing")
        try:
            return msgspec.json.decode(content, type=shape)
        except msgspec.ValidationError as error:
            raise _PassingError(
                f"{where} with JSON that is no transcript ({error}){self._told(response, content)}"
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            kind = self._clean(response.headers.get("content-type", "").partition(";")[0]) or "something"
            raise _PassingError(f"{where} with {kind} that is no JSON{self._told(response, content)}") from error

    def _told(self, response: httpx.Response, content: bytes) -> str:
        """What an answer says, to be put behind its status; empty for nothing."""
        del response
        text = _message(content) or self._clean(content[: 4 * QUOTE_CHARS].decode("utf-8", "replace"))
        text = self._clean(text)
        return f": {text}" if text else ""

    def _clean(self, text: str) -> str:
        """Foreign text for a message: one line, short, and without the key, which some endpoints repeat."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
        return text if len(text) <= QUOTE_CHARS else f"{text[:QUOTE_CHARS]}…"


class _Inner(msgspec.Struct):
    message: str = ""


class _Error(msgspec.Struct):
    """OpenAI's error envelope, and what else is common: the service's, FastAPI's."""

    error: _Inner | str | None = None
    message: str | None = None
    detail: str | None = None


def _message(content: bytes) -> str:
    """The message of an error in one of the usual envelopes; empty for anything else."""
    try:
        told = msgspec.json.decode(content, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    inner = told.error.message if isinstance(told.error, _Inner) else told.error
    return inner or told.message or told.detail or ""


def _pause_s(state: RetryCallState) -> float:
    """Seconds until the next try: what the endpoint asked for, else growing."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.pause_s if isinstance(error, _PassingError) else None
    return _BACKOFF(state) if asked_s is None else asked_s
