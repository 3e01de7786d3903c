"""The one door from synchronous routes to the pipeline: who may go in, what is brought along, what comes out when.

Routes read requests and shape answers; whatever they share lies here. The work of a call runs in a thread of its own,
which ends within a second or two of its client's departure and gives its turn back itself, so that no route has to.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TypeVar

import anyio
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from dashscribe import pipeline, usage
from dashscribe.catalog import Model
from dashscribe.choice import choose_engine
from dashscribe.db import writing
from dashscribe.engines import EngineInfo
from dashscribe.errors import CallTimeoutError, TooLargeError
from dashscribe.errors.sources import (
    DataUriTooLargeError,
    DecodeError,
    FileTooLargeError,
    NoSpeechError,
    NotAudioError,
    NoWordsError,
    RefusedSourceError,
    SourceError,
    SourceUrlError,
    UploadGoneError,
)
from dashscribe.fetch import data_uri, fetch
from dashscribe.keys import Identity
from dashscribe.pipeline import Progress
from dashscribe.types import Options, Sentence, Transcript
from dashscribe.uploads import SCHEME as UPLOAD_SCHEME
from dashscribe.wire.body import MAX_RECORDING_BODY_BYTES, receive_into
from dashscribe.wire.metrics import route_of
from dashscribe.wire.parts import Parts, in_thread
from dashscribe.wire.turns import Turns
from dashscribe.wire.values import shortened

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Longest time of a call until its answer, or the first piece of it, in seconds: the service's own limit.
CALL_LIMIT_S = 300.0
#: Longest download for a call, in seconds; what takes longer is a matter for a task.
FETCH_LIMIT_S = 120.0
#: Longest silence of a stream, in seconds; proxies and clients give up on a minute of it.
HEARTBEAT_S = 15.0
#: How often a client's departure is looked for, in seconds.
LOOK_S = 1.0
#: Larger bodies than this are received on disk.
SPOOLED_BYTES = 256 * 1024
#: What a page or an interface answers with instead of a recording; other claims of origins are not believed.
_NO_SOUND = ("text/", "image/", "application/json", "application/xml")


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A recording to be fetched (http or https), or one that was uploaded (oss)."""

    url: str


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A recording that came with the request; whoever received it removes it. ``name`` stands for it in the result."""

    path: Path
    name: str


Source = RemoteSource | LocalSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A synchronous call that was read and found good; ``notes`` say what of it has no effect."""

    caller: Identity
    model: Model
    options: Options
    source: Source
    notes: tuple[str, ...] = ()


@asynccontextmanager
async def receiving(request: Request, parts: Parts, caller: Identity) -> AsyncGenerator[None]:
    """Around the receiving of a body. What can be known of its caller before is looked at: the body takes a place.

    Raises QuotaError, and BusyError while too many come in.
    """
    await in_thread(parts.queries, parts.keys.check_quota, caller)
    turns: Turns = request.app.state.turns
    with turns.receiving(caller.owner):
        yield


async def receive(request: Request, parts: Parts, caller: Identity, folder: Path, read: Callable[[bytes], T]) -> T:
    """What ``read``, called in a thread, makes of a body that may carry a recording.

    The body lies in ``folder`` until its turn to be parsed comes, so that memory does not grow with the calls. Raises
    the errors of ``receiving``, RefusedSourceError for a body beyond the limit, and what ``read`` raises.
    """
    async with receiving(request, parts, caller):
        with SpooledTemporaryFile(SPOOLED_BYTES, dir=str(folder)) as file:
            try:
                await receive_into(request, file, MAX_RECORDING_BODY_BYTES)
            except TooLargeError as error:  # nothing but a recording makes a body that large
                raise RefusedSourceError(error.detail, DataUriTooLargeError.sync_text) from error

            def read_file() -> T:
                file.seek(0)
                return read(file.read())

            return await in_thread(parts.bodies, read_file)


def find_source(text: str, folder: Path) -> Source:
    """The recording that a request names: an http(s) or oss:// URL, or a data URI, which is written to ``folder``.

    Nothing else is taken, least of all a path of this machine. Raises RefusedSourceError.
    """
    given = text.strip()
    if given.lower().startswith(("http://", "https://", UPLOAD_SCHEME)):
        return RemoteSource(given)
    with _refusals():
        if data_uri.is_data_uri(given):
            return LocalSource(data_uri.save(given, folder), data_uri.SCHEME)
        raise SourceUrlError(
            f"This is {shortened(given)!r}: give an http or https URL, a data URI (data:audio/wav;base64,…), or the "
            "oss:// URL of an upload. Local files are for the client to upload."
        )


async def transcribe(request: Request, parts: Parts, call: Call) -> Transcript:
    """The transcript of a call. A client that hangs up ends the work: ClientDisconnect.

    Raises the errors of ``stream`` and CallTimeoutError after ``CALL_LIMIT_S``. A recording without speech is none.
    """
    with anyio.move_on_after(CALL_LIMIT_S):
        async with aclosing(stream(request, parts, call, sentences=False)) as items:
            async for item in items:
                if isinstance(item, Transcript):
                    return item
    raise CallTimeoutError(
        f"Nothing came of it within {CALL_LIMIT_S:g} s; a task, as fun-asr takes them, has no such limit."
    )


async def stream(
    request: Request, parts: Parts, call: Call, *, sentences: bool = True
) -> AsyncGenerator[Sentence | Transcript | None]:
    """Each sentence as soon as it is settled, None after ``HEARTBEAT_S`` without one, last the transcript.

    Without ``sentences`` nothing is told before the end, so that another engine can still take over until then.
    Raises RateLimitError and QuotaError, ModelNotFoundError, RefusedSourceError, NoRoomError for a source that the disk
    cannot take, RecognitionError where every part failed, ClientDisconnect when nobody is left to hear it. Closing the
    generator ends the work.
    """
    route = route_of(request.scope)
    async with aclosing(_stream(request, parts, call, sentences=sentences)) as items:
        with parts.telemetry.calling(route, call.model.name) as progress:
            try:
                async for item in items:
                    if isinstance(item, Transcript):
                        progress.done()
                    elif item is not None:
                        progress.sentence()
                    yield item
            except ClientDisconnect:
                progress.hung_up = True
                raise
            except asyncio.CancelledError:  # of a stream by its client's departure, of others by their limit
                progress.hung_up = sentences
                raise


async def _stream(
    request: Request, parts: Parts, call: Call, *, sentences: bool
) -> AsyncGenerator[Sentence | Transcript | None]:
    parts.limits.call(call.caller.owner, call.model)
    await in_thread(parts.queries, parts.keys.check_quota, call.caller)
    engine = choose_engine(call.model, call.options.languages, parts.settings, parts.hosts.down())
    resolve = request.headers.get("x-dashscope-ossresourceresolve", "").strip().lower() == "enable"
    turns: Turns = request.app.state.turns
    await turns.take(request, call.caller.owner)
    work = _Work(parts, call, engine, may_resolve=resolve or not parts.settings.strict_oss, tells=sentences)
    work.begin(turns)
    try:
        quiet_s = 0.0
        while True:
            item = await work.next(LOOK_S)
            if item is None:
                if await request.is_disconnected():
                    raise ClientDisconnect
                quiet_s += LOOK_S
                if quiet_s < HEARTBEAT_S:
                    continue
            quiet_s = 0.0
            yield item
            if isinstance(item, Transcript):
                return
    finally:
        work.stop()


async def begun(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same items, once the first of them is there: an error before it is raised before any answer has begun."""
    first = await anext(items)

    async def go_on() -> AsyncGenerator[T]:
        async with aclosing(items):
            yield first
            async for item in items:
                yield item

    return go_on()


class _HungUpError(Exception):
    """Ends work that nobody waits for any more."""


class _Work:
    """One call at work in a thread; what it finds comes out of a queue in the event loop, in order."""

    def __init__(self, parts: Parts, call: Call, engine: EngineInfo, *, may_resolve: bool, tells: bool) -> None:
        self._parts, self._call, self._engine = parts, call, engine
        self._may_resolve, self._tells = may_resolve, tells
        self._loop = asyncio.get_running_loop()
        self._found: asyncio.Queue[Sentence | Transcript | BaseException] = asyncio.Queue()
        self._stopped = threading.Event()

    def begin(self, turns: Turns) -> None:
        """Start the thread, which holds the turn that was taken until it ends."""
        # What the request is about goes along into its thread, for the log and for traces.
        ended = self._loop.run_in_executor(turns.threads, copy_context().run, self._run)

        def end(done: asyncio.Future[None]) -> None:
            turns.give_back()
            if error := done.exception():
                self._found.put_nowait(error)

        ended.add_done_callback(end)

    def stop(self) -> None:
        """Let the thread end soon; nothing more is wanted of it."""
        self._stopped.set()

    async def next(self, within_s: float) -> Sentence | Transcript | None:
        """What was found next, None when nothing was within that time; raises what ended the work."""
        try:
            item = await asyncio.wait_for(self._found.get(), within_s)
        except TimeoutError:
            return None
        if isinstance(item, BaseException):
            raise item
        return item

    def _run(self) -> None:
        call = self._call
        with _refusals(), self._file() as path:
            transcript = pipeline.transcribe(
                path,
                call.options,
                settings=self._parts.settings,
                hosts=self._parts.hosts,
                url=call.source.name if isinstance(call.source, LocalSource) else call.source.url,
                engine=self._engine,
                express=True,
                max_duration_ms=call.model.max_duration_ms or None,
                notes=call.notes,
                on_progress=self._check,
                on_sentence=(lambda _, sentence: self._tell(sentence)) if self._tells else None,
            )
            with suppress(NoSpeechError, NoWordsError):
                pipeline.refuse_empty(transcript)
        self._book(transcript)
        self._tell(transcript)

    def _book(self, transcript: Transcript) -> None:
        """Count what was used, before the answer: whoever has it and asks again meets the figure."""
        call = self._call
        try:
            with writing(self._parts.database, urgent=True) as connection:
                usage.book(
                    connection,
                    owner=call.caller.owner,
                    key_id=call.caller.key_id,
                    model=call.model.name,
                    duration_ms=transcript.media.duration_ms,
                )
        except SQLAlchemyError as error:  # no reason to keep the text from its owner
            logger.error("the usage of a call could not be booked: %s", error, exc_info=error)

    @contextmanager
    def _file(self) -> Generator[Path]:
        """The recording as a file on this machine."""
        source, uploads = self._call.source, self._parts.uploads
        if isinstance(source, LocalSource):
            yield source.path
        elif source.url.lower().startswith(UPLOAD_SCHEME):
            if not self._may_resolve:
                raise UploadGoneError(
                    "oss:// sources need the header X-DashScope-OssResourceResolve: enable (DASHSCRIBE_STRICT_OSS)."
                )
            upload = uploads.find(self._call.caller.owner, source.url)
            if upload.size_bytes > self._call.model.max_bytes:
                raise FileTooLargeError(
                    f"the upload has {upload.size_bytes} bytes; the limit is {self._call.model.max_bytes} bytes"
                )
            with uploads.path(upload) as path:
                yield path
        else:
            with uploads.folder() as folder:
                yield from self._fetch(source.url, folder)

    def _fetch(self, url: str, folder: Path) -> Generator[Path]:
        with self._parts.telemetry.fetching():
            fetched = fetch(
                url,
                folder,
                settings=self._parts.settings,
                on_bytes=self._check_fetch,
                max_bytes=self._call.model.max_bytes,
                timeout_s=FETCH_LIMIT_S,
            )
        try:
            yield fetched.path
        except DecodeError as error:
            if fetched.content_type.lower().startswith(_NO_SOUND):
                raise NotAudioError(f"The origin calls it {fetched.content_type!r}. {error.detail}") from error
            raise

    def _check(self, *about: Progress | int | None) -> None:
        """Called about once a second by whatever works; what it raises ends the work."""
        del about
        if self._stopped.is_set():
            raise _HungUpError

    def _check_fetch(self, *about: int | None) -> None:
        self._check(*about)
        self._parts.uploads.check_room()

    def _tell(self, item: Sentence | Transcript) -> None:
        self._check()
        self._loop.call_soon_threadsafe(self._found.put_nowait, item)


@contextmanager
def _refusals() -> Generator[None]:
    """What is wrong with a source, as synchronous calls are told."""
    try:
        yield
    except SourceError as error:
        if isinstance(error, RefusedSourceError) or not error.sync_text:
            raise
        raise RefusedSourceError(error.detail, error.sync_text) from error
