"""``dashscribe watch``: recordings that are dropped into a folder become texts, until it is told to end.

The folder is looked through every second or so, which works on every file system: shares over a network, containers
and other machines' mounts tell nobody of changes, and looking costs less than a twentieth of one core by design.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli import asking
from dashscribe.cli.remote import ApiKey
from dashscribe.cli.sources import Source

if TYPE_CHECKING:
    from dashscribe.cli.batch import Batch, Ended
    from dashscribe.cli.folder import Incoming, Memory
    from dashscribe.cli.report import Report
    from dashscribe.cli.screen import Screen
    from dashscribe.cli.work import Watcher, Work
    from dashscribe.types import Transcript

#: Shortest time between two looks, in seconds, and how much longer than a look itself it is at least.
LOOK_S, REST = 1.0, 20.0
#: How long after a fault that may pass a recording is tried again, in seconds; twice as long after each other one, at
#: most so long.
AGAIN_S, MOST_AGAIN_S = 30.0, 3600.0


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Where recordings are dropped, folders in it included.", exists=True, file_okay=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write results here; else beside the recordings.")
    ] = None,
    formats: asking.Formats = "txt",
    settle: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="A file is complete when it has not changed for so long.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="End when everything that lies there is done.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do what was done before, too.")] = False,
    model: asking.ModelName = "fun-asr",
    language: asking.Languages = "",
    channel: asking.Channels = "",
    diarize: asking.Diarize = False,
    speakers: asking.Speakers = None,
    itn: asking.Itn = False,
    refine_times: asking.RefineTimes = False,
    no_fillers: asking.NoFillers = False,
    hotwords: asking.HotwordFile = None,
    context: asking.Context = "",
    noise_threshold: asking.NoiseThreshold = None,
    denoise: asking.Denoise = False,
    captions: asking.Captions = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON about each recording.")] = False,
    quiet: asking.Quiet = False,
    verbose: asking.Verbose = False,
    base_url: asking.Server = None,
    api_key: ApiKey = None,
) -> None:
    """Transcribe recordings as they are dropped into a folder, once they are complete. Ctrl-C ends it.

    Hidden files, and files without the extension of sound or film, are left alone. What is done is remembered in the
    file .dashscribe-watch.json where the results are, so that a start goes on where the last one ended; a recording
    that changes is done again, one that is only renamed is not. One that is no recording is left until it changes, one
    that met a passing fault is tried again.

    Exit 130: ended by Ctrl-C. With --once 0: all done, 1: some failed.

    Example: dashscribe watch recordings/ -f txt,srt

    Example, by a server: dashscribe watch inbox/ -o texts --base-url https://asr.example.org

    Example, from cron: dashscribe watch inbox/ -o texts --once --quiet
    """
    from dashscribe import config
    from dashscribe.cli import unwind_when_killed
    from dashscribe.cli.batch import Batch
    from dashscribe.cli.captions import caption_style
    from dashscribe.cli.folder import Incoming, Memory
    from dashscribe.cli.report import Report
    from dashscribe.cli.screen import Screen
    from dashscribe.cli.transcribe import engine_line, working

    settings = config.load()
    options = asking.options(
        settings,
        remote=base_url is not None,
        model=model,
        language=language,
        channel=channel,
        diarize=diarize,
        speakers=speakers,
        itn=itn,
        refine_times=refine_times,
        no_fillers=no_fillers,
        hotwords=hotwords,
        context=context,
        noise_threshold=noise_threshold,
        denoise=denoise,
    )
    wanted = asking.formats_of(formats)
    style = caption_style(captions, None, None, None, wanted)
    engine = engine_line(options, settings, base_url)
    unwind_when_killed()
    with Memory(folder, out, wanted, forget=force) as memory, working(options, settings, base_url, api_key) as work:
        batch = Batch(_as_found(work, memory))
        screen = Screen(batch.sources, None, quiet=quiet, verbose=verbose)
        screen.note(engine)
        screen.note(f"watching {folder}; {memory.before}; Ctrl-C ends it")
        report = Report(batch.sources, wanted, memory.place, screen, as_json=as_json, ordered=False, style=style)
        incoming = Incoming(folder, settle)
        _Loop(batch, memory, incoming, report, screen).run(once=once)
    raise typer.Exit(1 if report.failed or incoming.closed else 0)


def _as_found(work: Work, memory: Memory) -> Work:
    """The same for recordings that are, when their turn comes, still what they were when they were found."""

    def transcribe(source: Source, watcher: Watcher) -> Transcript:
        memory.check(source)
        return work.transcribe(source, watcher)

    return replace(work, transcribe=transcribe)


class _Loop:
    """Looks for complete recordings, has them done, keeps what became of them."""

    def __init__(self, batch: Batch, memory: Memory, incoming: Incoming, report: Report, screen: Screen) -> None:
        self._batch, self._memory, self._incoming = batch, memory, incoming
        self._report, self._screen = report, screen
        #: Of recordings that met a passing fault: how often, and when they are tried again.
        self._again: dict[Path, tuple[int, float]] = {}

    def run(self, *, once: bool) -> None:
        """Go on until everything is done, or for ever; the batch and the screen are closed however it ends."""
        with closing(self._batch), self._screen:
            try:
                self._rounds(once=once)
            except (KeyboardInterrupt, SystemExit):
                self._report.interrupted(self._batch.open)
                raise

    def _rounds(self, *, once: bool) -> None:
        from dashscribe.cli.batch import Ended

        look_s = 0.0
        while True:
            now_s = time.monotonic()
            if now_s >= look_s:
                self._look(now_s)
                look_s = now_s + max(LOOK_S, REST * (time.monotonic() - now_s))
                if once and not (self._batch.open or self._incoming.unsettled):
                    return
            event = self._batch.next(max(0.0, look_s - time.monotonic()))
            if isinstance(event, Ended):
                self._end(event, once=once)
            elif event:
                self._report.take(event)

    def _look(self, now_s: float) -> None:
        told = self._incoming.closed
        found = list(self._incoming.look(now_s))
        for name, error in self._incoming.closed.items():
            if name not in told:
                self._screen.warn(f"{Source(name).label}: cannot be read: {error.strerror}; looked at again")
        for path, mark in found:  # first, since what has their old names may not get their results
            if before := self._memory.follow(path, mark):
                self._screen.note(f"{path}: done as {before}, whose results stay as they are")
        for path, mark in found:
            if self._again.get(path, (0, 0.0))[1] > now_s or not self._memory.wants(path, mark):
                continue
            if self._incoming.is_written(path):
                continue
            if there := self._memory.adopt(path, mark):
                self._screen.note(f"{path}: skipped, {', '.join(map(str, there))} is newer; --force does it again")
            else:
                self._batch.add(self._memory.begin(path, mark, len(self._batch.sources)))
        self._save()

    def _end(self, event: Ended, *, once: bool) -> None:
        if not self._is_about_what_is_there(event):
            self._memory.drop(event.index)
            self._screen.ended(event.index)
            return
        from dashscribe.errors.remote import ApiError

        self._report.take(event)
        error = self._report.errors.pop(event.index, None)
        if isinstance(error, ApiError) and error.http_status in (401, 403):
            raise error  # every other recording would be refused, too
        path = Path(self._batch.sources[event.index].name)
        if error is None or not (_may_pass(error) or not os.access(path, os.R_OK)):
            self._again.pop(path, None)
            self._memory.end(event.index, error)
            self._save()
            return
        self._memory.drop(event.index)
        tries, _ = self._again.get(path, (0, 0.0))
        pause_s = float("inf") if once else min(AGAIN_S * 2**tries, MOST_AGAIN_S)  # the next run has another try
        self._again[path] = tries + 1, time.monotonic() + pause_s
        if not once:
            self._screen.note(f"{path}: tried again in {pause_s:.0f} s")

    def _is_about_what_is_there(self, event: Ended) -> bool:
        """Whether what came out is of a recording as it lies there, or lay until it was removed.

        One that was renamed while it was read gets its results under the new name. One that was changed, or could no
        longer be read, is looked at anew: it is no failure.
        """
        from dashscribe.cli.folder import ChangedError

        source, failed = self._batch.sources[event.index], isinstance(event.result, Exception)
        path, there = Path(source.name), self._memory.found_again(event.index)
        if there == path and not isinstance(event.result, ChangedError):
            return True
        if there and not failed:
            self._batch.sources[event.index] = self._memory.rename(event.index, there)
            return True
        if not there and not failed and not path.exists():
            return True
        what = f"is {there} now" if there else "was changed" if path.exists() else "was removed"
        self._screen.note(f"{source.label}: {what} while it was read" + ("; it is done anew" if path.exists() else ""))
        return False

    def _save(self) -> None:
        self._screen.unsaved(self._memory.save())


def _may_pass(error: Exception) -> bool:
    """Whether the recording itself may be good: the server, the disk or a child process was at fault."""
    from dashscribe.errors import DashscribeError
    from dashscribe.errors.remote import ApiError, UnfinishedError, UnreachableError
    from dashscribe.errors.sources import SourceError, SourceNotFoundError

    if isinstance(error, ApiError):
        return error.http_status == 429 or error.http_status >= 500
    if isinstance(error, UnreachableError | UnfinishedError | SourceNotFoundError):
        return True
    if type(error) is DashscribeError:  # the results could not be written
        return True
    return not isinstance(error, SourceError) and (not isinstance(error, DashscribeError) or error.retryable)
