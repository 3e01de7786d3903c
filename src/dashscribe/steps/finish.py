"""From the outcomes of all windows to the result: join, enrich, prove, render, store, end the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from dashscribe import files, pipeline, windows
from dashscribe.catalog import find_model
from dashscribe.choice import lacks
from dashscribe.engines import engines
from dashscribe.errors.sources import SourceError
from dashscribe.files import ClaimedFile
from dashscribe.queue.slots import Stage
from dashscribe.render import transcription_json
from dashscribe.steps.bench import Bench
from dashscribe.steps.encoding import blocks, encoded
from dashscribe.steps.heard import Heard, Keys, every_first_key, first_keys, writes_numbers
from dashscribe.steps.recognize import read_outcomes, read_voices
from dashscribe.steps.spool import Spool
from dashscribe.store import Stored
from dashscribe.types import Keep, Outcome, Transcript, Voices, Window
from dashscribe.windows import ClosedWindow


def finish(bench: Bench, file: ClaimedFile) -> None:
    """Make a file's result out of its windows; those whose results are lost are recognized again first."""
    assert file.cut is not None, "a file is joined after it has been cut"
    with Spool(bench.worker.scratch) as spool:
        _finish(bench, file, spool.keep)


def _finish(bench: Bench, file: ClaimedFile, keep: Keep) -> None:
    closed = windows.of_file(bench.engine, file)
    outcomes, lost = _gather(bench, closed, keep)
    voices, deaf = _voices(bench, file, closed, keep)
    lost += [window for window in deaf if window not in lost]
    if lost:
        windows.reopen(bench.engine, file, lost)
        bench.worker.ring(Stage.RECOGNIZE)
        return
    heard = Heard(
        outcomes=outcomes,
        voices=voices,
        notes=_notes(bench, file),
        speaker_count=file.options.speaker_count,
        punctuated=bench.hosts.punctuator() is not None,
        numbered=writes_numbers(bench, file),
    )
    transcript = heard.transcript(file, heard.enrichment(bench, file.options), keep)
    code = ""
    try:
        pipeline.refuse_empty(transcript)
    except SourceError as error:
        code, message = error.code_for(file.shape), error.message_for(file.shape)
        ended = files.failed(bench.engine, file, code, message, notes=transcript.notes, ledger=_sums(transcript))
    else:
        ended = _succeed(bench, file, heard, transcript)
    if not ended:
        return  # the claim has passed on: whoever holds the file now needs its windows
    bench.telemetry.file_ended("failed" if code else "succeeded", code)
    bench.worker.ring(Stage.DELIVER)
    bench.store.delete_prefix(file.windows_prefix)
    for key in every_first_key(file.prefix, file.generation, file.claim - 1):  # of those who were killed meanwhile
        bench.store.delete(key)


def _notes(bench: Bench, file: ClaimedFile) -> list[str]:
    """The notes of task and file, and what the engine did not heed; one that is gone meanwhile has nothing to tell."""
    info = engines(bench.settings).get(file.engine)
    found = lacks(info, file.options, asked_itn=not find_model(file.model).itn) if info else ()
    return list(dict.fromkeys((*file.task_notes, *file.notes, *found)))


def _gather(
    bench: Bench, closed: Sequence[ClosedWindow], keep: Keep
) -> tuple[dict[int, Sequence[Outcome]], list[ClosedWindow]]:
    """The outcomes by channel, and the windows whose results are missing or damaged."""
    lost: list[ClosedWindow] = []

    def outcomes(some: Iterable[ClosedWindow]) -> Iterator[Outcome]:
        for window in some:
            if window.reason:
                heard = pipeline.give_up(Window(window.channel, window.number, window.spans, b""), window.reason)
            else:
                heard = read_outcomes(bench.store, window.result_key, window.spans, window.result_bytes)
            if heard is None:
                lost.append(window)
            else:
                yield from heard

    return {channel: keep(Outcome, outcomes(some)) for channel, some in _by_channel(closed)}, lost


def _voices(
    bench: Bench, file: ClaimedFile, closed: Sequence[ClosedWindow], keep: Keep
) -> tuple[dict[int, Sequence[Voices]], list[ClosedWindow]]:
    """Who was heard, by channel, and the windows of which that is not known, or only by other models than now."""
    deaf: list[ClosedWindow] = []
    if not pipeline.listens(file.options):
        return {}, deaf
    version = bench.hosts.voices_version()

    def voices(some: Iterable[ClosedWindow]) -> Iterator[Voices]:
        for window in some:
            heard = read_voices(bench.store, windows.voices_key(window.audio_key, version))
            if heard is not None:
                yield heard
            elif not window.reason:
                deaf.append(window)

    found = {channel: keep(Voices, voices(some)) for channel, some in _by_channel(closed)}
    return {channel: some for channel, some in found.items() if some}, deaf


def _by_channel(closed: Sequence[ClosedWindow]) -> Iterator[tuple[int, Iterator[ClosedWindow]]]:
    """The windows of each channel; they are in order already."""
    return groupby(closed, key=attrgetter("channel"))


def _succeed(bench: Bench, file: ClaimedFile, heard: Heard, transcript: Transcript) -> bool:
    """Store the result and end the file; False if the claim has passed on, and then nothing is left of it."""
    assert file.cut is not None
    keys = first_keys(file.prefix, file.claim)
    ended = files.succeeded(
        bench.engine,
        file,
        result_key=keys.result,
        result=store_result(bench, file, keys, heard, transcript),
        transcript_key=keys.transcript,
        heard_key=keys.heard,
        duration_ms=(file.cut.end_ms - file.cut.begin_ms) * len(file.cut.channels),
        notes=transcript.notes,
        failed_stages=transcript.failed_stages,
    )
    if not ended:  # no row names these, nor ever will
        take_back(bench, keys)
    return ended


def store_result(bench: Bench, file: ClaimedFile, keys: Keys, heard: Heard, transcript: Transcript) -> Stored:
    """Store what was heard, the transcript as we know it, and the result as the service words it, which is returned."""
    bench.store.put(keys.heard, blocks(encoded(heard)))
    bench.store.put(keys.transcript, blocks(encoded(transcript)))
    pieces = transcription_json.pieces(
        transcript, shape=file.shape, words=file.options.words, language=next(iter(file.options.languages), "")
    )
    return bench.store.put(keys.result, blocks(piece.encode() for piece in pieces))


def take_back(bench: Bench, keys: Keys) -> None:
    """Delete what ``store_result`` has stored, where it came too late."""
    for key in keys.all:
        bench.store.delete(key)


def _sums(transcript: Transcript) -> dict[str, int]:
    """Milliseconds by fate, over all channels."""
    sums: Counter[str] = Counter()
    for track in transcript.tracks:
        for entry in track.ledger:
            sums[entry.fate] += entry.end_ms - entry.begin_ms
    return dict(sums)
