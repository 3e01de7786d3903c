"""One stage of a finished file again, with today's models, lists and settings; the rest comes from what was kept.

Nothing is recognized again. Only telling speakers apart needs the sound: the stored copy of the source is cut as it was
before and listened to, window by window. The old result stays until the new one is complete, and for good if the stage
fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, groupby
from operator import itemgetter

import msgspec
from msgspec import Struct

from dashscribe import pipeline, redos, windows
from dashscribe.db import said
from dashscribe.engines import engines
from dashscribe.enrich import StageName
from dashscribe.errors import DashscribeError, EngineUnavailableError, StageError
from dashscribe.errors.sources import SourceError
from dashscribe.pipeline import MAX_FAILURES
from dashscribe.queue.slots import PutBack
from dashscribe.redos import ClaimedRedo
from dashscribe.steps import booking
from dashscribe.steps.bench import Bench
from dashscribe.steps.finish import store_result, take_back
from dashscribe.steps.heard import Heard, every_first_key, read_heard, redo_keys, redo_prefix
from dashscribe.steps.recognize import read_voices
from dashscribe.steps.spool import Spool
from dashscribe.types import Keep, Limits, Options, Transcript, Turn, Voices, Window

logger = logging.getLogger(__name__)

_GONE = "what was heard is not kept any more; retry without a stage, with all files, recognizes it anew"


def redo(bench: Bench, claimed: ClaimedRedo) -> None:
    """Do a stage again and put the new result in the place of the old one."""
    with Spool(bench.worker.scratch) as spool:
        _redo(bench, claimed, spool.keep)


def _redo(bench: Bench, claimed: ClaimedRedo, keep: Keep) -> None:
    file, stage = claimed.file, claimed.stage
    kept = read_heard(bench.store, claimed.heard_key, keep)
    if kept is None:
        raise StageError(_GONE)
    if stage is StageName.NUMBERS and not kept.numbered:
        raise StageError(f"there is nothing to do again: {file.engine} writes numbers as digits itself")
    before = _told(_read_told(bench, claimed)) if stage is StageName.SPEAKERS else set[int]()
    options = replace(file.options, speaker_count=claimed.speaker_count or kept.speaker_count)
    voices = kept.voices
    if stage is StageName.SPEAKERS and pipeline.listens(options):
        voices = _Listening(bench, claimed, options).voices(keep)
    heard = msgspec.structs.replace(kept, voices=voices, speaker_count=options.speaker_count, marks={}, numbers={})
    if stage is StageName.MARKS:
        heard = msgspec.structs.replace(heard, punctuated=bench.hosts.punctuator() is not None)
    enrichment = heard.enrichment(bench, options, _but_for(stage, kept))
    transcript = heard.transcript(file, enrichment, keep)
    pipeline.refuse_empty(transcript)
    if stage is StageName.SPEAKERS:
        _refuse_fewer_speakers(before, kept, heard, transcript)
    elif stage in enrichment.failed:
        raise StageError("; ".join(enrichment.failed[stage]))
    _replace(bench, claimed, heard, transcript)


def book(bench: Bench, claimed: ClaimedRedo, error: Exception) -> None:
    """Decide how a stage goes on that ended with an error."""
    what = f"{claimed.stage} of file {claimed.file.number} of task {claimed.file.task_id} again"
    final = isinstance(error, StageError | SourceError | EngineUnavailableError)
    if booking.costs_no_try(bench, error, what):
        redos.release(bench.engine, claimed, after_ms=booking.TROUBLE_MS)
    elif not final and claimed.failures + 1 < MAX_FAILURES:
        booking.log(what, error)
        redos.release(bench.engine, claimed, after_ms=booking.RETRY_MS << claimed.failures, failed_once=True)
    else:
        booking.log(what, error)
        reason = str(error) if isinstance(error, DashscribeError) else f"{type(error).__name__}: {said(error)}"
        if redos.failed(bench.engine, claimed, reason):
            _clear(bench, claimed, keep=(claimed.result_key, claimed.transcript_key, claimed.heard_key))


def _but_for(stage: StageName, kept: Heard) -> Heard:
    """What was kept, without the answers of the stage that is done again."""
    match stage:
        case StageName.MARKS:
            return msgspec.structs.replace(kept, marks={})
        case StageName.NUMBERS:
            return msgspec.structs.replace(kept, numbers={})
        case _:
            return kept


class _Listening:
    """All windows of a file again, for whose voice is heard in them; windows that were through are found again."""

    def __init__(self, bench: Bench, claimed: ClaimedRedo, options: Options) -> None:
        self._bench, self._claimed, self._options = bench, claimed, options
        self._version = bench.hosts.voices_version()

    def voices(self, keep: Keep) -> dict[int, Sequence[Voices]]:
        """The voices by channel, in order of time. Raises StageError where there is no sound any more."""
        bench, file = self._bench, self._claimed.file
        if not file.source_key or bench.store.size(file.source_key) != file.source_bytes:
            raise StageError("the stored copy of the source is gone, which speakers are heard in: submit it again")
        info = engines(bench.settings).get(file.engine)
        limits = info.limits if info else Limits()
        found: dict[tuple[int, int], Sequence[Voices]] = {}
        done_ms = 0
        with (
            bench.store.path(file.source_key) as path,
            closing(bench.hosts.cut(path, url=file.url, options=self._options, limits=limits)) as messages,
        ):
            for message in messages:
                bench.pause()  # comes behind the last window, too: children that end with the program are no reason
                if isinstance(message, Window):
                    found[message.channel, message.index] = keep(Voices, [self._heard(message)])
                    done_ms += message.speech_ms
                    if not redos.moved(bench.engine, self._claimed, done_ms):
                        raise PutBack  # somebody else has it
        self._check_version()
        channels = groupby(sorted(found), key=itemgetter(0))
        return {
            channel: keep(Voices, (voices for place in places for voices in found[place]))
            for channel, places in channels
        }

    def _heard(self, window: Window) -> Voices:
        """Who is heard in a window, kept for the case of an interruption."""
        bench = self._bench
        self._check_version()
        key = windows.voices_key(
            f"{redo_prefix(self._claimed.file.prefix)}/{window.channel}-{window.index}.flac", self._version
        )
        voices = read_voices(bench.store, key)
        if voices is None:
            voices = pipeline.listen(bench.hosts, window)
            if not voices.reason:
                bench.store.put(key, msgspec.json.encode(voices))
        return voices

    def _check_version(self) -> None:
        """Voiceprints of different models cannot be compared: begin again with those that are installed now."""
        if self._bench.hosts.voices_version() != self._version:
            raise PutBack


def _refuse_fewer_speakers(before: set[int], kept: Heard, heard: Heard, transcript: Transcript) -> None:
    """Raise StageError where nobody is told apart, or in fewer places than in the channels ``before``."""
    told = _told(transcript)
    if told and told >= before and _failures(heard.voices) <= _failures(kept.voices):
        return
    reasons = [note for note in transcript.notes if note.startswith("speakers are not told")]
    raise StageError("; ".join(reasons) or "speakers are told in fewer channels than before")


class _ToldTrack(Struct):
    channel: int
    turns: list[Turn]


class _Told(Struct):
    """What of a stored transcript says whose speakers are known."""

    tracks: list[_ToldTrack]


def _read_told(bench: Bench, claimed: ClaimedRedo) -> _Told:
    """Whose speakers are known in the result in place. Raises StageError where that is missing or damaged."""
    try:
        return msgspec.json.decode(bench.store.read(claimed.transcript_key), type=_Told)
    except (FileNotFoundError, msgspec.DecodeError) as error:  # the former is no trouble that would pass
        raise StageError(_GONE) from error


def _told(transcript: Transcript | _Told) -> set[int]:
    """The channels whose speakers are known."""
    return {track.channel for track in transcript.tracks if track.turns}


def _failures(voices: Mapping[int, Sequence[Voices]]) -> int:
    """In how many windows it could not be told who speaks."""
    return sum(bool(window.reason) for channel in voices.values() for window in channel)


def _replace(bench: Bench, claimed: ClaimedRedo, heard: Heard, transcript: Transcript) -> None:
    """Store the new result and let it answer from now on."""
    keys = redo_keys(claimed.file.prefix, claimed.file.generation, claimed.claim)
    replaced = redos.done(
        bench.engine,
        claimed,
        result_key=keys.result,
        result=store_result(bench, claimed.file, keys, heard, transcript),
        transcript_key=keys.transcript,
        heard_key=keys.heard,
        notes=transcript.notes,
        failed_stages=transcript.failed_stages,
    )
    if not replaced:
        take_back(bench, keys)
        raise StageError(_GONE)
    _clear(bench, claimed, keep=keys.all)


def _clear(bench: Bench, claimed: ClaimedRedo, keep: Iterable[str]) -> None:
    """Delete what this and earlier claims have put into the store, but for the result that answers."""
    file, keep = claimed.file, set(keep)
    done = (redo_keys(file.prefix, file.generation, version).all for version in range(1, claimed.claim + 1))
    for key in (*every_first_key(file.prefix, file.generation, file.claim), *chain.from_iterable(done)):
        if key not in keep:
            bench.store.delete(key)
    bench.store.delete_prefix(redo_prefix(file.prefix))
