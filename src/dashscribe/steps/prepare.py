"""From a URL to windows: fetch the source once and for all, cut it, hand out windows as they are found.

The source's copy in the store is what every later attempt reads; of an upload it is another name of the same bytes. A
cut that is interrupted begins anew, under the next generation, and finds what the one before it had made.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dashscribe import files, order, recordings, windows
from dashscribe.catalog import find_model
from dashscribe.choice import passed_over
from dashscribe.db import reading
from dashscribe.engines import EngineInfo, find_engine
from dashscribe.errors import EngineUnavailableError
from dashscribe.errors.sources import (
    DurationTooLongError,
    FileTooLargeError,
    RecognitionError,
    RecordingGoneError,
    UploadGoneError,
)
from dashscribe.files import ClaimedFile
from dashscribe.hosts.protocol import CutEnd
from dashscribe.peaks import encode_peaks, peaks_key
from dashscribe.queue.slots import PutBack, Stage
from dashscribe.steps.bench import Bench
from dashscribe.types import Media, Window
from dashscribe.uploads import SCHEME, Upload

#: How often a cut that has to wait looks whether it may go on, in seconds.
LOOK_S = 0.5
#: How long a source waits to be fetched again when the disk became full meanwhile, in milliseconds.
DISK_WAIT_MS = 30_000


def fetch(bench: Bench, file: ClaimedFile) -> None:
    """Fetch a file's source to the store and see what it is."""
    info, notes = _choose(bench, file)
    if not file.source_key:
        file = _spool(bench, file)
    _check_copy(bench, file)
    with bench.store.path(file.source_key) as path, bench.looks:
        media = bench.hosts.probe(path, file.url)
    _check_duration(bench, file, media)
    if files.fetched(bench.engine, file, media, info.name, info.version, notes, queue=bench.queue_of(info)):
        bench.worker.ring(Stage.CUT)


def _check_duration(bench: Bench, file: ClaimedFile, media: Media) -> None:
    """Refuse a source that claims to be longer than the limit, as its cut would: no claim moves the order by more."""
    limit_ms = bench.settings.max_duration_s * 1000
    if media.duration_ms > limit_ms and order.channels_of(media, file.options):
        raise DurationTooLongError.of(media.duration_ms, limit_ms)


def _spool(bench: Bench, file: ClaimedFile) -> ClaimedFile:
    """Put the source into the store, under a key of this claim alone; the file that knows of it."""
    key = f"{file.prefix}/source-{file.claim}"
    with _source(bench, file) as path:
        stored = bench.store.put(key, path)
    for earlier in range(1, file.claim):  # what claims put that ended before they could say so
        bench.store.delete(f"{file.prefix}/source-{earlier}")
    if not files.spooled(bench.engine, file, key, stored):
        raise PutBack  # somebody else has the file; what was put goes with the task
    return replace(file, source_key=key, source_bytes=stored.size_bytes)


@contextmanager
def _source(bench: Bench, file: ClaimedFile) -> Generator[Path]:
    """The source on disk: the owner's upload as it was when the task was submitted, a recording, or a download."""
    if file.url.startswith(SCHEME):
        with bench.uploads.path(_upload(bench, file)) as path:
            yield path
        return
    if file.url.startswith(recordings.SCHEME):
        kept = recordings.kept_source(bench.engine, file.owner, file.url)
        _check_size(bench, kept.size_bytes)
        with _kept(bench, kept.key) as path:
            yield path
        return
    watch = _Watch(bench)
    with TemporaryDirectory(dir=bench.worker.scratch) as folder:
        with bench.telemetry.fetching():
            fetched = bench.fetch(file.url, Path(folder), settings=bench.settings, on_bytes=watch.see)
        yield fetched.path


def _upload(bench: Bench, file: ClaimedFile) -> Upload:
    if file.no_oss:
        raise UploadGoneError(
            "oss:// sources need the header X-DashScope-OssResourceResolve: enable (DASHSCRIBE_STRICT_OSS is set)."
        )
    upload = bench.uploads.find(file.owner, file.url, at_ms=file.submitted_ms)
    _check_size(bench, upload.size_bytes)
    return upload


def _check_size(bench: Bench, size_bytes: int) -> None:
    limit_bytes = bench.settings.max_file_bytes
    if size_bytes > limit_bytes:
        raise FileTooLargeError(
            f"the upload has {size_bytes} bytes; the limit is {limit_bytes} bytes (DASHSCRIBE_MAX_FILE_BYTES)"
        )


@contextmanager
def _kept(bench: Bench, key: str) -> Generator[Path]:
    """The kept source of another recording."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(bench.store.path(key))
        except FileNotFoundError as error:
            raise RecordingGoneError("The recording's sound is missing from the store.") from error
        yield path


def _check_copy(bench: Bench, file: ClaimedFile) -> None:
    if bench.store.size(file.source_key) != file.source_bytes:
        raise RecognitionError(
            f"The stored copy of the source is missing or damaged ({file.source_key}): submit again."
        )


class _Watch:
    """Calls a download off when the worker stops or the disk would become full."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._looked_s = float("-inf")

    def see(self, received_bytes: int, total_bytes: int | None) -> None:
        """As ``fetch`` calls it, with every piece."""
        self._bench.pause()
        if time.monotonic() - self._looked_s < 1.0:
            return
        self._looked_s = time.monotonic()
        if self._bench.worker.pressure.is_disk_low(max(0, (total_bytes or 0) - received_bytes)):
            raise PutBack(DISK_WAIT_MS)


def cut(bench: Bench, file: ClaimedFile) -> None:
    """Decode a file, find its speech and hand out its windows."""
    _check_copy(bench, file)
    info, notes = _engine(bench, file)
    queue = bench.queue_of(info)
    if (info.name, info.version, queue) != (file.engine, file.engine_version, file.queue):
        files.pin_engine(bench.engine, file, info.name, info.version, notes, queue=queue)
        file = replace(file, engine=info.name, engine_version=info.version, notes=notes, queue=queue)
    cutting = _Cutting(bench, file)
    peaks: dict[int, bytes] = {}
    with (
        bench.store.path(file.source_key) as path,
        closing(
            bench.hosts.cut(
                path,
                url=file.url,
                options=file.options,
                limits=info.limits,
                express=file.express,
                on_peaks=peaks.__setitem__,
            )
        ) as messages,
    ):
        for message in messages:
            bench.pause()
            cutting.check_engine()
            match message:
                case Window():
                    cutting.hand_out(message)
                case CutEnd():
                    bench.store.put(peaks_key(file.prefix), encode_peaks(message.begin_ms, peaks))
                    cutting.end(message)
                case _:
                    pass  # a Media that was known before, or a sign of life


def _engine(bench: Bench, file: ClaimedFile) -> tuple[EngineInfo, tuple[str, ...]]:
    """The engine that the file was fetched for; the best of the others where it is down or no longer installed."""
    if file.engine not in bench.hosts.down():
        with suppress(EngineUnavailableError):
            return find_engine(file.engine, bench.settings), file.notes
    return _choose(bench, file)


def _choose(bench: Bench, file: ClaimedFile) -> tuple[EngineInfo, tuple[str, ...]]:
    """The best engine for the file that is not down, and what the result will say of better ones that are."""
    down, model, languages = bench.hosts.down(), find_model(file.model), file.options.languages
    info = bench.choose(model, languages, down)
    notes = (*file.notes, *passed_over(model, languages, bench.settings, info, down))
    return info, tuple(dict.fromkeys(notes))


class _Cutting:
    """One cut of one file, and what earlier ones have left of it."""

    def __init__(self, bench: Bench, file: ClaimedFile) -> None:
        self._bench = bench
        self._file = file
        self._left_over = windows.left_over(bench.engine, file) if file.generation > 1 else {}

    def hand_out(self, window: Window) -> None:
        """Make a window ready to be recognized, once there is room for it."""
        bench, file = self._bench, self._file
        express = file.express and window.spans[-1].end_ms <= order.EXPRESS_MS  # a container may have lied
        row = self._same(window)
        tag_ms = row.tag_ms if row else self._tag_ms(window, express)
        self._wait_for_room(None if express else tag_ms)
        if row is not None:
            handed_out = windows.keep(bench.engine, file, window, row, tag_ms, express)
        else:
            key = windows.audio_key(file, window)
            audio = bench.store.put(key, window.audio)
            queues = bench.worker.member.queues
            handed_out = windows.add(bench.engine, file, window, key, audio, tag_ms, express, queues)
        if not handed_out:
            raise PutBack  # somebody else has the file
        bench.worker.ring(Stage.RECOGNIZE)

    def _tag_ms(self, window: Window, express: bool) -> int:
        with reading(self._bench.engine) as connection:
            owner, queues = self._file.owner, self._bench.worker.member.queues
            return order.window_tag(connection, owner, window.speech_ms, queues, express=express)

    def check_engine(self) -> None:
        """Raise PutBack once the engine is down and another one can go on: the next cut is for that one.

        Windows of an engine that is down stay, so that a long file would wait for room for ever.
        """
        if self._bench.can_replace(self._file.engine, self._file.options):
            raise PutBack

    def end(self, cut: CutEnd) -> None:
        """All windows are out."""
        if files.cut_ended(self._bench.engine, self._file, cut):
            self._bench.worker.ring(Stage.FINISH)

    def _wait_for_room(self, tag_ms: int | None) -> None:
        worker = self._bench.worker
        pressure = worker.pressure
        while pressure.is_disk_low() or (
            tag_ms is not None and (brim := pressure.cut_brim(worker.member)) is not None and tag_ms >= brim
        ):
            self._bench.pause(LOOK_S)
            self.check_engine()

    def _same(self, window: Window) -> windows.CutWindow | None:
        """What an earlier cut has left of this very window, sound and all."""
        row = self._left_over.get((window.channel, window.index))
        if row is None or row.spans != window.spans:
            return None
        if row.audio_sha256 != hashlib.sha256(window.audio).hexdigest():
            return None
        return row if self._bench.store.size(row.audio_key) == row.audio_bytes else None
