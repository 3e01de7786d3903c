"""Brings a source from http or https to a file: bounded in size and time, resumed where it broke off, never trusted.

Which addresses may be reached is ``address.py``'s matter, how a request is made ``origin.py``'s; what the bytes are is
decoding's. A download goes on after a break only where the origin proves that the file is still the same.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpcore
import httpx
from tenacity import RetryCallState

from dashscribe.config import Settings
from dashscribe.errors.sources import ContentLengthError, DownloadFailedError, FileTooLargeError
from dashscribe.fetch.address import Guard, Resolver, resolve
from dashscribe.fetch.origin import Answer, BrokenError, Session, host_of, source_url, with_retries
from dashscribe.headers import content_range

#: Tries that may fail in a row; one that came WORTHWHILE_BYTES further than all before it does not count.
TRIES, WORTHWHILE_BYTES = 4, 1024**2
#: Longest answer to ``head`` in seconds.
HEAD_S = 30.0
_INFLATED_BYTES = 256 * 1024
_ZLIB_OR_GZIP = 32 + 15  # tell the header by what is there; 15 bits of window

OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A source on disk. ``final_url`` is where the redirects ended, ``content_type`` the origin's claim or empty."""

    path: Path
    size_bytes: int
    sha256: str
    status: int
    final_url: str
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What an origin says of a source without its bytes; ``size_bytes`` is None where it does not tell."""

    status: int
    size_bytes: int | None
    final_url: str
    content_type: str


def fetch(
    url: str,
    directory: Path,
    *,
    settings: Settings,
    on_bytes: OnBytes | None = None,
    trust_host: bool = False,
    max_bytes: int | None = None,
    timeout_s: float | None = None,
    resolver: Resolver = resolve,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Download ``url`` into a new file in ``directory``, which the caller removes; on any error nothing is left behind.

    ``on_bytes(received, total or None)`` is called with every piece and about once a second while none comes; what it
    raises ends the fetch. ``trust_host`` exempts the URL's own host from the guard, for a URL that a person at this
    machine typed; where it redirects to is still checked. ``max_bytes`` and ``timeout_s`` narrow the settings' limits.
    Raises SourceError's children, naming host and remedy.
    """
    target = source_url(url)
    guard = Guard(settings.fetch_allow, resolver, trusted=host_of(target) if trust_host else "")
    most_bytes = min(settings.max_file_bytes, max_bytes or settings.max_file_bytes)
    limit_s = min(settings.fetch_timeout_s, timeout_s or settings.fetch_timeout_s)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix="source-")
    try:
        with os.fdopen(descriptor, "wb") as file, Session(guard, limit_s, sleep) as session:
            download = _Download(session, target, file, most_bytes, on_bytes)
            answer = with_retries(download.attempt, session.pause, stop=download.is_hopeless)
            return Fetched(
                path=Path(name),
                size_bytes=download.size_bytes,
                sha256=download.digest.hexdigest(),
                status=answer.status,
                final_url=str(answer.url),
                content_type=answer.headers.get("content-type", ""),
            )
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def head(
    url: str,
    settings: Settings,
    *,
    trust_host: bool = False,
    resolver: Resolver = resolve,
    sleep: Callable[[float], None] = time.sleep,
) -> Probe:
    """Ask for a source without downloading it: HEAD, and where that is refused a GET that stops at the body.

    ``trust_host`` and the errors are those of ``fetch``.
    """
    target = source_url(url)
    guard = Guard(settings.fetch_allow, resolver, trusted=host_of(target) if trust_host else "")
    with Session(guard, min(HEAD_S, settings.fetch_timeout_s), sleep) as session:

        def attempt() -> Probe:
            with session.open("HEAD", target) as answer:
                if answer.status == 200:
                    return _probe(answer)
            with session.open("GET", target) as answer:
                answer.check()
                return _probe(answer)

        return with_retries(attempt, session.pause, stop=lambda state: state.attempt_number >= TRIES)


def _probe(answer: Answer) -> Probe:
    return Probe(
        status=answer.status,
        size_bytes=None if answer.encoding else answer.length_bytes,
        final_url=str(answer.url),
        content_type=answer.headers.get("content-type", ""),
    )


class _Download:
    """One source on its way to ``file``, over as many tries as it takes."""

    def __init__(
        self, session: Session, url: httpx.URL, file: BinaryIO, limit_bytes: int, on_bytes: OnBytes | None
    ) -> None:
        self._session = session
        self._url = url
        self._file = file
        self._limit_bytes = limit_bytes
        self._fruitless = 0
        self._furthest = 0
        self._restart()
        if on_bytes:
            session.on_pulse = lambda: on_bytes(self.size_bytes, self._total)

    def is_hopeless(self, state: RetryCallState) -> bool:
        """Whether as many tries in a row as are allowed came no further."""
        del state
        return self._fruitless >= TRIES

    def attempt(self) -> Answer:
        """Download what is missing. Raises BrokenError when another try may help."""
        self._fruitless += 1
        wanted = (
            {"Range": f"bytes={self.size_bytes}-", "If-Range": self._validator}
            if self.size_bytes and self._validator
            else {}
        )
        with self._session.open("GET", self._url, wanted) as answer:
            self._begin(answer, resumed=bool(wanted))
            self._receive(answer)
        return answer

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self._total: int | None = None
        self._validator = ""

    def _begin(self, answer: Answer, *, resumed: bool) -> None:
        """Decide whether the body goes on where the last try stopped or begins anew, and check its announced size."""
        if answer.status == 416 or (answer.status == 206 and not (resumed and self._goes_on(answer))):
            self._restart()
            detail = f"{host_of(answer.url)} answered {answer.status} with a range that was not asked for"
            raise BrokenError(DownloadFailedError(detail))
        answer.check()
        if answer.status != 206:
            self._restart()
            self._validator = "" if answer.encoding else answer.validator
            self._total = None if answer.encoding else answer.length_bytes
        if self.size_bytes + (answer.length_bytes or 0) > self._limit_bytes:
            raise self._too_large(f"announces {self.size_bytes + (answer.length_bytes or 0)} bytes")

    def _goes_on(self, answer: Answer) -> bool:
        """Whether a 206 carries the same file from where the last try stopped."""
        begin, total = content_range(answer.headers.get("content-range", "")) or (None, None)
        if begin != self.size_bytes or answer.encoding:
            return False
        same_size = None in (self._total, total) or total == self._total
        return same_size and answer.validator in ("", self._validator)

    def _receive(self, answer: Answer) -> None:
        try:
            for piece in _decoded(answer.body, answer.encoding):
                self.size_bytes += len(piece)
                if self.size_bytes > self._limit_bytes:
                    raise self._too_large("sends more")
                self._file.write(piece)
                self.digest.update(piece)
                if self.size_bytes >= self._furthest + WORTHWHILE_BYTES:
                    self._furthest, self._fruitless = self.size_bytes, 0
        except httpcore.RemoteProtocolError as error:  # the connection was closed properly, but too early
            raise self._incomplete(answer) from error
        if self._total is not None and self.size_bytes != self._total:
            raise self._incomplete(answer)

    def _incomplete(self, answer: Answer) -> BrokenError:
        announced = "all of its body" if self._total is None else f"{self._total} bytes"
        return BrokenError(
            ContentLengthError(f"{host_of(answer.url)} sent {self.size_bytes} bytes instead of {announced}")
        )

    def _too_large(self, what: str) -> FileTooLargeError:
        return FileTooLargeError(
            f"{host_of(self._url)} {what}; the limit is {self._limit_bytes} bytes "
            "(DASHSCRIBE_MAX_FILE_BYTES; less for most synchronous models)"
        )


def _decoded(body: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Undo a gzip or deflate encoding that came though none was asked for, in pieces of bounded size."""
    if not encoding:
        yield from body
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise DownloadFailedError(f"the origin sends Content-Encoding {encoding!r} though none was asked for")
    inflater = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    try:
        for piece in body:
            while piece:
                if inflater.eof:  # gzip may consist of several members
                    inflater = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
                yield inflater.decompress(piece, _INFLATED_BYTES)
                piece = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise DownloadFailedError(f"the origin's {encoding} encoding is damaged: {error}") from error
    if not inflater.eof:
        raise BrokenError(ContentLengthError(f"the origin's {encoding} encoding ends early"))
