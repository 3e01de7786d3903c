"""Blobs in a bucket of S3, or of what speaks like it, through obstore.

Credentials, region and endpoint are the ``AWS_*`` variables that obstore reads. Nothing here is ever in memory as a
whole: blobs go out in parts and come in by ranges, each of which is retried by itself. Every failure is a StoreError
that names bucket, key and remedy and repeats nothing of what the server said but its code: an answer to a wrong
signature quotes the request's headers.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from dashscribe.errors import ConfigError
from dashscribe.store.blobs import CHUNK_BYTES, Stored, StoreError, check_key
from dashscribe.store.cache import Cache

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import BackoffConfig, ClientConfig, RetryConfig

#: Parts of one blob on their way at once: what a put holds in memory is so many chunks and one or two more.
PARTS_AT_ONCE = 2
#: S3's bound.
MOST_PARTS = 10_000
#: The largest blob that a slow bucket, too, copies within one request; S3 itself takes 5 GiB.
MOST_COPIED_BYTES = 1024**3
#: Longest request, its answer included, and longest attempt to connect.
REQUEST_S, CONNECT_S = 60, 5
#: A request is sent again after connection errors, time-outs, 429 and 5xx: so often, for so long, with such pauses.
RETRIES, RETRY_S = 5, 120
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
#: For how long a bucket that was there is taken to be there when it holds no blob of some key, in seconds.
TRUST_S = 10.0

#: What the names of buckets consist of (S3's rules, the looser old ones).
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}", re.ASCII)
_CODE = re.compile(r"(?:<Code>|\(code: )([A-Za-z0-9.]{1,60})[<)]")
_STATUS = re.compile(r"status code: (\d{3})\b")

_KEYS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN"
_POLICY = "the bucket's policy has to allow s3:GetObject, PutObject, DeleteObject, AbortMultipartUpload and ListBucket"
_REGION = "set AWS_REGION to the bucket's region"
_FULL = "free some of it, or raise its quota"
_LATER = "it is tried again"
#: By the server's code, else by the status: kind of failure, and what to do.
_REMEDIES: dict[str, tuple[int, str]] = {
    "NoSuchBucket": (errno.ENXIO, "create the bucket, or correct DASHSCRIBE_STORE_URL"),
    "InvalidBucketName": (errno.ENXIO, "correct DASHSCRIBE_STORE_URL"),
    "InvalidAccessKeyId": (errno.EACCES, _KEYS),
    "SignatureDoesNotMatch": (errno.EACCES, _KEYS),
    "ExpiredToken": (errno.EACCES, _KEYS),
    "InvalidToken": (errno.EACCES, _KEYS),
    "RequestTimeTooSkewed": (errno.EACCES, "the clocks here and there differ by more than it takes: use NTP"),
    "RequestExpired": (errno.EACCES, "the clocks here and there differ by more than it takes: use NTP"),
    "AuthorizationHeaderMalformed": (errno.EACCES, _REGION),
    "PermanentRedirect": (errno.EACCES, _REGION),
    "IllegalLocationConstraintException": (errno.EACCES, _REGION),
    "AccessDenied": (errno.EACCES, _POLICY),
    "QuotaExceeded": (errno.ENOSPC, _FULL),
    "InsufficientStorage": (errno.ENOSPC, _FULL),
    "SlowDown": (errno.EBUSY, _LATER),
    "301": (errno.EACCES, _REGION),
    "401": (errno.EACCES, _KEYS),
    "403": (errno.EACCES, f"{_KEYS}; {_POLICY}"),
    "429": (errno.EBUSY, _LATER),
    "503": (errno.EBUSY, _LATER),
    "507": (errno.ENOSPC, _FULL),
}

T = TypeVar("T")


class Bucket:
    """The blobs under one prefix of a bucket; any number of machines may share it."""

    is_remote = True

    def __init__(self, url: str, cache: Cache) -> None:
        """Open ``s3://BUCKET/PREFIX``; nothing is sent yet. ``cache`` holds what is read as a file.

        Raises ConfigError.
        """
        self._bucket, self._prefix = _parse(url)
        self._cache = cache
        self._seen_s = float("-inf")
        #: What each local copy that somebody reads now is a copy of.
        self._lent: dict[Path, tuple[str, ObjectMeta]] = {}
        pause: BackoffConfig = {
            "init_backoff": _seconds(FIRST_PAUSE_S),
            "max_backoff": _seconds(LONGEST_PAUSE_S),
            "base": 2,
        }
        retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": _seconds(RETRY_S), "backoff": pause}
        # Whether it is http or https is what the endpoint says, whoever gives one.
        client: ClientConfig = {
            "timeout": _seconds(REQUEST_S),
            "connect_timeout": _seconds(CONNECT_S),
            "allow_http": True,
        }
        try:
            self._s3 = S3Store(self._bucket, prefix=self._prefix or None, client_options=client, retry_config=retry)
        except (BaseError, ValueError):  # which may quote a variable
            raise ConfigError(f"store_url={url!r}: the AWS_* variables make no store of S3") from None

    def put(self, key: str, data: bytes | Path | Iterable[bytes]) -> Stored:
        """Write a blob, replacing one of the same key in one step."""
        source = _Source(data)
        origin = self._origin(data) if isinstance(data, Path) else None
        send = self._send if origin is None else partial(self._copy, origin)
        try:
            self._ask("put", key, lambda: send(check_key(key), source))
        except FileNotFoundError as error:
            raise source.error or self._explained("put", key, error) from None
        try:
            meta = self._head(key)
        except FileNotFoundError:
            raise self._trouble("put", key, "it is not there afterwards", errno.EIO, _LATER) from None
        if meta["size"] != source.size_bytes:
            raise self._trouble("put", key, f"it holds {meta['size']} of {source.size_bytes} bytes", errno.EIO, _LATER)
        if isinstance(data, Path):
            self._cache.adopt(self._name(key, meta), data)
        return source.stored()

    def read(self, key: str) -> bytes:
        """A blob's bytes; raises FileNotFoundError."""
        return b"".join(self.chunks(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        """A blob's bytes, little by little; raises FileNotFoundError."""
        whole, meta = self._ask("get", key, lambda: self._small(check_key(key)))
        if whole is None:
            yield from self._ranges(key, meta)
        else:
            yield whole

    @contextmanager
    def path(self, key: str) -> Generator[Path]:
        """A local copy of the blob, to be read only, for as long as the block lasts; FileNotFoundError."""
        meta = self._head(key)

        def fill(file: BinaryIO) -> None:
            for chunk in self._ranges(key, meta):
                file.write(chunk)

        with self._cache.file(self._name(key, meta), meta["size"], fill) as path:
            self._lent[path] = key, meta
            try:
                yield path
            finally:
                self._lent.pop(path, None)  # others may read it as well: all that they lose is the short way

    def size(self, key: str) -> int | None:
        """A blob's size in bytes, None when there is none."""
        try:
            return self._head(key)["size"]
        except FileNotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Whether the blob is there."""
        return self.size(key) is not None

    def delete(self, key: str) -> None:
        """Remove a blob; one that is not there is no error."""
        check_key(key)
        with suppress(FileNotFoundError):
            self._ask("delete", key, lambda: obstore.delete(self._s3, key))

    def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose key begins with ``prefix`` and a slash."""
        check_key(prefix)

        def remove() -> None:
            # Listed to the end first: what is removed meanwhile must not shift the pages.
            found = [meta["path"] for page in obstore.list(self._s3, prefix=prefix) for meta in page]
            if found:
                obstore.delete(self._s3, found)

        self._ask("delete", f"{prefix}/", remove)

    def free_bytes(self) -> int:
        """Free bytes of the disk of the home, where sources and uploads lie while they are worked on."""
        return self._cache.free_bytes()

    def check_known(self) -> None:
        """Nothing: whether the bucket is there is asked when it says that a key is not."""

    def check_writable(self) -> None:
        """Write, read and delete a small blob."""
        key = f"ready/{uuid.uuid4().hex}"
        self.put(key, b"ready")
        if self.read(key) != b"ready":
            raise self._trouble("get", key, "a blob that was just written reads differently", errno.EIO, _LATER)
        self.delete(key)

    def clean(self) -> None:
        """Remove what processes that are gone have left of their copies."""
        self._cache.clean()

    def where(self) -> str:
        """Bucket and prefix, endpoint, region: as obstore takes them from the environment, the first that is set."""
        endpoint = _first_set("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") or "https://*.amazonaws.com"
        region = _first_set("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1"
        return f"{self._url('')} at {_without_password(endpoint)}, region {region}"

    def _url(self, key: str) -> str:
        return "s3://" + "/".join(filter(None, (self._bucket, self._prefix, key)))

    # --- requests -------------------------------------------------------------------------------------------------

    def _send(self, key: str, source: _Source) -> None:
        chunks = iter(source)
        first, second = next(chunks, b""), next(chunks, None)
        if second is None:
            obstore.put(self._s3, key, first, use_multipart=False)
            return
        part_bytes = max(CHUNK_BYTES, -(-source.expected_bytes // MOST_PARTS))
        parts = chain((first, second), chunks)
        obstore.put(self._s3, key, parts, use_multipart=True, chunk_size=part_bytes, max_concurrency=PARTS_AT_ONCE)

    def _origin(self, file: Path) -> str | None:
        """The blob that a file is a copy of, if it still is and the bucket can copy it."""
        key, then = self._lent.get(file, ("", None))
        if then is None or then["size"] > MOST_COPIED_BYTES:
            return None
        with suppress(FileNotFoundError):
            now = self._head(key)
            if now["e_tag"] and (now["e_tag"], now["size"]) == (then["e_tag"], then["size"]):
                return key
        return None

    def _copy(self, origin: str, key: str, source: _Source) -> None:
        """Put what is a copy of another blob: the bucket does that by itself."""
        for _ in source:
            pass  # only digested
        obstore.copy(self._s3, origin, key)

    def _small(self, key: str) -> tuple[bytes | None, ObjectMeta]:
        """All of a blob that is no larger than a chunk; of others only what there is to know."""
        found = obstore.get(self._s3, key)
        return (bytes(found.bytes()) if found.meta["size"] <= CHUNK_BYTES else None), found.meta

    def _ranges(self, key: str, meta: ObjectMeta) -> Iterator[bytes]:
        """A blob's bytes by ranges, all of the same version."""
        for begin in range(0, meta["size"], CHUNK_BYTES):
            end = min(begin + CHUNK_BYTES, meta["size"])
            chunk = self._ask("get", key, partial(self._range, key, meta, begin, end))
            if len(chunk) != end - begin:
                raise self._trouble("get", key, f"{len(chunk)} of {end - begin} bytes came", errno.EIO, _LATER)
            yield chunk

    def _range(self, key: str, meta: ObjectMeta, begin: int, end: int) -> bytes:
        options: GetOptions = {"range": (begin, end)}
        if meta["e_tag"]:
            options["if_match"] = meta["e_tag"]
        return bytes(obstore.get(self._s3, key, options=options).bytes())

    def _head(self, key: str) -> ObjectMeta:
        return self._ask("head", key, lambda: obstore.head(self._s3, check_key(key)))

    def _name(self, key: str, meta: ObjectMeta) -> str:
        """A name for a copy of this version of a blob."""
        version = meta["e_tag"] or meta["last_modified"].isoformat()
        return hashlib.sha256(f"{self._url(key)}\n{version}\n{meta['size']}".encode()).hexdigest()

    # --- failures -------------------------------------------------------------------------------------------------

    def _ask(self, verb: str, key: str, act: Callable[[], T]) -> T:
        """Do one thing with the bucket. Raises FileNotFoundError for a key that it does not hold, else StoreError."""
        try:
            return act()
        except FileNotFoundError as error:
            code = _code(error)
            if code not in ("", "NoSuchKey"):
                raise self._explained(verb, key, error) from None
            if not code:
                self._check_bucket()
            raise FileNotFoundError(f"the store holds no {key!r}") from None
        except PreconditionError:
            raise self._trouble(verb, key, "the blob was replaced meanwhile", errno.ESTALE, _LATER) from None
        except BaseError as error:
            if _status(error) and not _code(error):  # answers to HEAD tell no reason
                self._check_bucket(anew=True)
            raise self._explained(verb, key, error) from None

    def _check_bucket(self, *, anew: bool = False) -> None:
        """Tell a bucket that is gone, which answers like one without the key, from a key that is."""
        if not anew and time.monotonic() - self._seen_s < TRUST_S:
            return
        try:
            for _ in obstore.list(self._s3, chunk_size=1):
                break
        except (BaseError, FileNotFoundError) as error:
            raise self._explained("list", "", error) from None
        self._seen_s = time.monotonic()

    def _explained(self, verb: str, key: str, error: Exception) -> StoreError:
        code, status = _code(error), _status(error)
        reason = " ".join(filter(None, (f"HTTP {status}" if status else "", code)))
        if not reason:
            reason, number, remedy = _unanswered(str(error))
        else:
            number, remedy = _REMEDIES.get(code) or _REMEDIES.get(status) or (errno.EIO, _LATER)
        return self._trouble(verb, key, reason, number, remedy)

    def _trouble(self, verb: str, key: str, reason: str, number: int, remedy: str) -> StoreError:
        return StoreError(number, f"{verb} {self._url(key)}: {reason}: {remedy}")


class _Source:
    """What is put, in chunks, counted and digested as it goes; read once."""

    def __init__(self, data: bytes | Path | Iterable[bytes]) -> None:
        self._data = data
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        #: Why there is no more of it, where that is no matter of the bucket's.
        self.error: OSError | None = None
        #: How much it will be at least.
        self.expected_bytes = data.stat().st_size if isinstance(data, Path) else 0

    def stored(self) -> Stored:
        return Stored(self.size_bytes, self._digest.hexdigest())

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks():
                self._digest.update(chunk)
                self.size_bytes += len(chunk)
                yield chunk
        except OSError as error:
            self.error = error
            raise

    def _chunks(self) -> Iterator[bytes]:
        if isinstance(self._data, Path):
            with self._data.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        elif isinstance(self._data, bytes):
            for begin in range(0, len(self._data), CHUNK_BYTES):
                yield self._data[begin : begin + CHUNK_BYTES]
        else:
            yield from _ahead(self._data)


def _ahead(data: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks, made in a thread of their own, one ahead.

    obstore iterates inside its runtime, where nothing else of it may be called; but chunks may come from a bucket, too.
    """
    chunks = iter(data)
    with ThreadPoolExecutor(1, "dashscribe-chunks") as thread:
        coming = thread.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = thread.submit(next, chunks, None)
            yield chunk


def _parse(url: str) -> tuple[str, str]:
    """Bucket and prefix. Raises ConfigError, which does not repeat what might be a password."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ConfigError(
            "store_url: give s3://BUCKET/PREFIX without name and password: they belong into AWS_* variables"
        )
    prefix = parts.path.strip("/")
    try:
        if not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
            raise ValueError
        if prefix:
            check_key(prefix)
    except ValueError:
        raise ConfigError(
            f"store_url={url!r}: give s3://BUCKET or s3://BUCKET/PREFIX, the prefix of A-Z a-z 0-9 . _ - and slashes"
        ) from None
    return parts.netloc, prefix


def _code(error: Exception) -> str:
    """The server's word for a failure, empty if it said none."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def _status(error: Exception) -> str:
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def _unanswered(text: str) -> tuple[str, int, str]:
    """What a failure without an answer means: the reason, its kind, the remedy. The words are those of obstore."""
    if "169.254." in text:
        return "there are no credentials", errno.EACCES, _KEYS
    if "kind: Connect" in text:
        return "it cannot be reached", errno.EHOSTUNREACH, "check AWS_ENDPOINT_URL and the network"
    if "kind: Timeout" in text or "TimedOut" in text:
        return "no answer in time", errno.ETIMEDOUT, _LATER
    if "HTTP error" in text:
        return "the connection broke off", errno.EIO, _LATER
    return "it failed", errno.EIO, _LATER


def _first_set(*names: str) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _seconds(value: float) -> timedelta:
    return timedelta(seconds=value)
