"""Downloads one file of a model: goes on where an earlier try, or an earlier process, stopped, if it is still the same.

The bytes lie in ``<part>`` and what the server said of them in ``<part>.json``; both outlive Ctrl-C and kill -9. Only a
206 that carries the same validator goes on; whatever else comes begins anew. ``dashscribe.fetch`` is for sources that
strangers name; here a person chose the server, so proxies and private addresses are allowed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random

from dashscribe import headers
from dashscribe.errors import WeightsError
from dashscribe.weights.room import Room, disk_errors

#: Tries that may fail in a row; one that came WORTHWHILE_BYTES further than all before it does not count.
TRIES, WORTHWHILE_BYTES = 4, 1024**2
#: Longest wait for a connection, for the next byte on one, and between two tries, in seconds.
CONNECT_S, IDLE_S, LONGEST_PAUSE_S = 10.0, 60.0, 30.0
_BACKOFF = wait_exponential(multiplier=0.5, max=8.0) + wait_random(0.0, 0.5)
_PIECE_BYTES = 1024**2
_WEB_PAGE = (b"<!doctype", b"<html")

OnBytes = Callable[[int, int | None], None]


class _BrokenError(Exception):
    """A try failed in a way that another may not; carries what to raise when no try is left, and the wait asked for."""

    def __init__(self, final: WeightsError, pause_s: float | None = None) -> None:
        super().__init__(final)
        self.final, self.pause_s = final, pause_s


def open_client() -> httpx.Client:
    """A client for downloads: follows redirects, honors proxy settings, wants the bytes as they lie there."""
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(IDLE_S, connect=CONNECT_S),
        # A connection that is used again may just have been closed by the other side, which would cost a try.
        limits=httpx.Limits(max_keepalive_connections=0),
        headers={"User-Agent": "dashscribe", "Accept-Encoding": "identity"},
    )


def download(
    client: httpx.Client,
    url: str,
    part: Path,
    *,
    room: Room,
    spare_bytes: Callable[[int], int] = lambda size_bytes: 0,
    on_bytes: OnBytes = lambda done, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Download ``url`` into ``part`` and return its SHA-256; what an earlier call left there is gone on with.

    ``spare_bytes(size)`` is how much room a file of that size needs besides itself, asked for before it is downloaded.
    ``on_bytes(received, total or None)`` is called with every piece, and what it raises ends the download. Raises
    WeightsError naming the host, and NoRoomLeftError; both leave the part where it is.
    """
    with disk_errors("the download cannot be kept", part.parent):
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab+", buffering=0) as file:  # unbuffered: what came is in the file, whatever kills us
            transfer = _Transfer(client, url, part, file, room, spare_bytes, on_bytes)
            retrying = Retrying(
                retry=retry_if_exception_type(_BrokenError),
                wait=_pause_s,
                stop=transfer.is_hopeless,
                sleep=sleep,
                reraise=True,
            )
            try:
                return retrying(transfer.attempt)
            except _BrokenError as error:
                raise error.final from error.__cause__


def forget(part: Path) -> None:
    """Delete a part and what was noted of it."""
    for path in (part, _notes_of(part)):
        path.unlink(missing_ok=True)


def _notes_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _pause_s(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asked for, else growing, both bounded."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.pause_s if isinstance(error, _BrokenError) else None
    return _BACKOFF(state) if asked_s is None else min(asked_s, LONGEST_PAUSE_S)


class _Transfer:
    """One file on its way, over as many tries as it takes."""

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        part: Path,
        file: BinaryIO,
        room: Room,
        spare_bytes: Callable[[int], int],
        on_bytes: OnBytes,
    ) -> None:
        self._client, self._url, self._file, self._room = client, url, file, room
        self._notes = _notes_of(part)
        self._spare_bytes, self._on_bytes = spare_bytes, on_bytes
        self._host = httpx.URL(url).host
        self._fruitless = self._furthest = self._size = 0
        self._digest = hashlib.sha256()
        self._validator, self._total = self._noted()
        if self._validator:
            self._read_again()
        else:
            self._restart()

    def is_hopeless(self, state: RetryCallState) -> bool:
        """Whether as many tries in a row as are allowed came no further."""
        del state
        return self._fruitless >= TRIES

    def attempt(self) -> str:
        """Download what is missing. Raises _BrokenError when another try may help."""
        self._fruitless += 1
        if self._size and self._size == self._total:
            return self._digest.hexdigest()  # a process was killed between the last byte and its use
        resumed = bool(self._size and self._validator)
        wanted = {"Range": f"bytes={self._size}-", "If-Range": self._validator} if resumed else {}
        try:
            with self._client.stream("GET", self._url, headers=wanted) as answer:
                self._begin(answer, resumed=resumed)
                for piece in answer.iter_raw():
                    self._take(piece)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise _BrokenError(WeightsError(f"the connection to {self._host} failed: {reason}")) from error
        if self._total is not None and self._size != self._total:
            raise _BrokenError(WeightsError(f"{self._host} sent {self._size:,} of {self._total:,} bytes"))
        return self._digest.hexdigest()

    # --- what is there already ----------------------------------------------------------------------------------------

    def _noted(self) -> tuple[str, int | None]:
        """The validator and the size that the server told when the part was begun; no validator: begin anew."""
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            total = notes["total"]
            same = notes["url"] == self._url and (total is None or isinstance(total, int))
            validator = str(notes["validator"])  # an older version noted what cannot be sent back, too
            return (validator, total) if same and validator.isascii() else ("", None)
        except (OSError, ValueError, KeyError, TypeError):
            return "", None

    def _read_again(self) -> None:
        """Bring the checksum up to what was received before."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            self._digest.update(piece)
            self._size += len(piece)
        if self._total is not None and self._size > self._total:
            self._restart()

    def _restart(self) -> None:
        self._file.truncate(0)
        self._digest, self._size = hashlib.sha256(), 0
        self._validator, self._total = "", None

    # --- what comes ---------------------------------------------------------------------------------------------------

    def _begin(self, answer: httpx.Response, *, resumed: bool) -> None:
        """Decide whether the body goes on where the last try stopped or begins anew; look at its size and type."""
        if answer.status_code == 416 or (answer.status_code == 206 and not (resumed and self._goes_on(answer))):
            self._restart()
            raise _BrokenError(
                WeightsError(f"{self._host} answered {answer.status_code} with another range than asked")
            )
        _check_status(answer)
        if answer.status_code != 206:
            self._restart()
            self._validator = headers.validator(answer.headers)
            self._total = headers.number(answer.headers.get("content-length", ""))
            notes = {"url": self._url, "validator": self._validator, "total": self._total}
            self._notes.write_text(json.dumps(notes), encoding="utf-8")
        if self._total is not None:
            self._room.need(
                self._total - self._size + self._spare_bytes(self._total), f"the download from {self._host}"
            )
        self._on_bytes(self._size, self._total)

    def _goes_on(self, answer: httpx.Response) -> bool:
        """Whether a 206 carries the same file from where the last try stopped."""
        begin, total = headers.content_range(answer.headers.get("content-range", "")) or (None, None)
        if begin != self._size:
            return False
        same_size = None in (self._total, total) or total == self._total
        return same_size and headers.validator(answer.headers) in ("", self._validator)

    def _take(self, piece: bytes) -> None:
        if not self._size and piece.lstrip()[:9].lower().startswith(_WEB_PAGE):
            raise WeightsError(
                f"{self._host} sent a web page instead of a model: a login or a captive portal is in the way, or the "
                "URL is that of a page, not of the file"
            )
        rest = memoryview(piece)
        while rest:  # a disk that is nearly full takes a part of it before it refuses
            rest = rest[self._file.write(rest) :]
        self._digest.update(piece)
        self._size += len(piece)
        self._room.took(len(piece), f"what {self._host} sends")
        if self._size >= self._furthest + WORTHWHILE_BYTES:
            self._furthest, self._fruitless = self._size, 0
        self._on_bytes(self._size, self._total)


def _check_status(answer: httpx.Response) -> None:
    """Return for a status with a body to use. Raises _BrokenError for one that may pass, WeightsError for others."""
    if answer.url.scheme == "http" and any(step.url.scheme == "https" for step in answer.history):
        raise WeightsError(f"{answer.history[0].url.host} redirects from https to http, to {answer.url.host}")
    if answer.status_code in (200, 203, 206):
        return
    error = WeightsError(f"{answer.url.host} answered {answer.status_code} {answer.reason_phrase}".rstrip())
    if answer.status_code >= 500 or answer.status_code in (408, 425, 429):
        raise _BrokenError(error, headers.retry_after_s(answer.headers.get("retry-after", "")))
    raise error
