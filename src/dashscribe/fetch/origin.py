"""Requests to the origin of a source: redirects followed by hand, statuses judged, failures sorted by worth of a retry.

Works on httpcore directly: every hop passes the guard of ``address.py`` where its connection is opened, and no proxy
setting can lead around it. What becomes of the body is ``fetch.py``'s matter.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import unquote_to_bytes

import httpcore
import httpx
import idna
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random

from dashscribe import headers
from dashscribe.errors.sources import (
    DownloadFailedError,
    DownloadTimeoutError,
    SourceError,
    SourceForbiddenError,
    SourceNotFoundError,
    SourceServerError,
    SourceUrlError,
)
from dashscribe.fetch.address import Guard, GuardedBackend

#: Longest wait for a connection, and for the next byte on one, in seconds.
CONNECT_S, IDLE_S = 10.0, 60.0
MAX_REDIRECTS = 5
#: Longest pause between two tries in seconds, whatever Retry-After asks for.
LONGEST_PAUSE_S = 30.0
_BACKOFF = wait_exponential(multiplier=0.5, max=8.0) + wait_random(0.0, 0.5)

T = TypeVar("T")


def source_url(url: str) -> httpx.URL:
    """Read a URL as a source: http or https with a host, anything unsafe percent-encoded. Raises SourceUrlError."""
    shown = url if len(url) <= 100 else url[:97] + "..."
    try:
        # A percent sign that begins no escape is a plain character of a file name; what is encoded stays as it is.
        parsed = httpx.URL(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", url.strip()))
    except (httpx.InvalidURL, idna.IDNAError, UnicodeError) as error:
        raise SourceUrlError(f"{shown!r} cannot be read as a URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.raw_host:
        raise SourceUrlError(f"{shown!r} is not fetched: give an http or https URL that this machine can reach")
    if b"%" in parsed.raw_host or not 0 < (parsed.port or 80) < 65536:
        raise SourceUrlError(f"{shown!r} is not fetched: its host or port is unusable")
    return parsed


def host_of(url: httpx.URL) -> str:
    """The host as it is asked for; ``url.host`` would fail for names that are no proper IDN and yet exist."""
    return url.raw_host.decode("ascii")


@lru_cache(maxsize=1)
def trusted_authorities(file: str, folder: str) -> ssl.SSLContext:
    """The authorities that are trusted, read once, since that takes 20 ms.

    httpx's context honors SSL_CERT_FILE and SSL_CERT_DIR, so that a site's own authority can be trusted.
    """
    del file, folder  # read by httpx itself; here they tell when to read again
    return httpx.create_ssl_context()


class BrokenError(Exception):
    """A try failed in a way that another may not; carries what to raise when no try is left, and the wait asked for."""

    def __init__(self, final: SourceError, pause_s: float | None = None) -> None:
        super().__init__(final)
        self.final = final
        self.pause_s = pause_s


def with_retries(
    attempt: Callable[[], T], pause: Callable[[float], None], *, stop: Callable[[RetryCallState], bool]
) -> T:
    """Repeat ``attempt`` while it raises BrokenError and ``stop`` allows; at last raise the error that it carries."""
    retrying = Retrying(retry=retry_if_exception_type(BrokenError), wait=_pause_s, stop=stop, sleep=pause, reraise=True)
    try:
        return retrying(attempt)
    except BrokenError as error:
        raise error.final from error.__cause__


def _pause_s(state: RetryCallState) -> float:
    """Seconds until the next try: what the origin asked for, else growing, both bounded."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.pause_s if isinstance(error, BrokenError) else None
    return _BACKOFF(state) if asked_s is None else min(asked_s, LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a response that is no redirect, and its body as it comes from the wire."""

    status: int
    headers: httpx.Headers
    url: httpx.URL
    body: Iterable[bytes]

    @property
    def encoding(self) -> str:
        """Content-Encoding; empty for none."""
        value = self.headers.get("content-encoding", "").strip().lower()
        return "" if value == "identity" else value

    @property
    def length_bytes(self) -> int | None:
        """Content-Length: of the encoded bytes, and of the range in a 206."""
        return headers.number(self.headers.get("content-length", ""))

    @property
    def validator(self) -> str:
        """What If-Range can name so that a changed file is not mixed with the old one; empty for nothing usable."""
        return headers.validator(self.headers)

    def check(self) -> None:
        """Return for a status with a body to use; else raise what it means."""
        if self.status in (200, 203, 206):
            return
        detail = f"{host_of(self.url)} answered {self.status} {httpx.codes.get_reason_phrase(self.status)}".rstrip()
        if self.status >= 500:
            raise BrokenError(SourceServerError(detail), self._retry_after_s())
        if self.status in (408, 425, 429):
            raise BrokenError(DownloadFailedError(detail), self._retry_after_s())
        if self.status in (401, 403):
            raise SourceForbiddenError(
                f"{detail}; the URL needs to be readable without a login, or its signature ran out"
            )
        if self.status in (404, 410):
            raise SourceNotFoundError(detail)
        raise DownloadFailedError(detail)

    def _retry_after_s(self) -> float | None:
        return headers.retry_after_s(self.headers.get("retry-after", ""))


class Session:
    """The requests of one fetch: they share the guard, the time that is left, and whoever may call it off."""

    def __init__(self, guard: Guard, limit_s: float, sleep: Callable[[float], None]) -> None:
        self._limit_s = limit_s
        self._end_s = time.monotonic() + limit_s
        self._sleep = sleep
        self.on_pulse: Callable[[], None] = lambda: None
        backend = GuardedBackend(guard, self.pulse)
        trust = trusted_authorities(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))
        self._pool = httpcore.ConnectionPool(ssl_context=trust, network_backend=backend)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def pulse(self) -> None:
        """Raise DownloadTimeoutError once the time for the whole fetch is over, or what the observer raises."""
        if time.monotonic() > self._end_s:
            raise DownloadTimeoutError(
                f"the download took longer than {self._limit_s:g} s in all "
                "(DASHSCRIBE_FETCH_TIMEOUT_S; less for synchronous calls)"
            )
        self.on_pulse()

    def pause(self, seconds: float) -> None:
        """Sleep between two tries, in slices, so that a stop is noticed within a second."""
        while seconds > 0:
            self.pulse()
            self._sleep(min(seconds, 1.0))
            seconds -= 1.0

    @contextmanager
    def open(self, method: str, url: httpx.URL, extra: dict[str, str] | None = None) -> Generator[Answer]:
        """Send a request and follow redirects; each hop has to be a source URL. Raises BrokenError for the network."""
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with self._send(method, url, extra or {}) as response:
                    told = httpx.Headers(response.headers)
                    if response.status not in (301, 302, 303, 307, 308) or "location" not in told:
                        clean = url.copy_with(userinfo=b"")
                        yield Answer(response.status, told, clean, response.iter_stream())
                        return
                url = self._next_hop(url, told["location"])
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            reason = str(error) or type(error).__name__
            kind = DownloadTimeoutError if isinstance(error, httpcore.TimeoutException) else DownloadFailedError
            raise BrokenError(kind(f"the connection to {host_of(url)} failed: {reason}")) from error
        raise DownloadFailedError(f"{host_of(url)}: more than {MAX_REDIRECTS} redirects")

    def _send(self, method: str, url: httpx.URL, extra: dict[str, str]) -> AbstractContextManager[httpcore.Response]:
        sent = [("Host", url.netloc.decode("ascii")), ("User-Agent", "dashscribe"), ("Accept", "*/*")]
        # Compressed audio gains nothing, and only plain bytes can be resumed.
        sent += [("Accept-Encoding", "identity"), *extra.items()]
        if url.userinfo:
            sent.append(("Authorization", f"Basic {base64.b64encode(unquote_to_bytes(url.userinfo)).decode()}"))
        return self._pool.stream(
            method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=sent,
            extensions={"timeout": {"connect": CONNECT_S, "read": IDLE_S, "write": IDLE_S, "pool": CONNECT_S}},
        )

    @staticmethod
    def _next_hop(url: httpx.URL, location: str) -> httpx.URL:
        try:
            return source_url(str(url.join(location)))
        except (httpx.InvalidURL, idna.IDNAError, UnicodeError) as error:
            raise SourceUrlError(f"{host_of(url)} redirects to {location[:100]!r}, which is no URL") from error
