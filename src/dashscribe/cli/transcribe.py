"""``dashscribe transcribe``: files to text, on this machine or through a server.

Reads what is asked for, refuses what makes no sense before any work is done, and puts the parts together: ``work``
says who transcribes, ``batch`` does several at once, ``report`` tells.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli import asking, unwind_when_killed
from dashscribe.cli.captions import caption_style
from dashscribe.cli.remote import ApiKey
from dashscribe.cli.times import milliseconds
from dashscribe.types import Options, Span, Transcript

if TYPE_CHECKING:
    from dashscribe.cli.sources import Source
    from dashscribe.cli.work import Work
    from dashscribe.config import Settings


def transcribe(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Files, folders, patterns, http(s) URLs, - for stdin.")
    ],
    model: asking.ModelName = "fun-asr",
    language: asking.Languages = "",
    channel: asking.Channels = "",
    diarize: asking.Diarize = False,
    speakers: asking.Speakers = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Begin here: 90.5, 1:30, 1:02:03 or 1h2m3s.")] = "",
    duration: Annotated[str, typer.Option(metavar="TIME", help="Transcribe this much and stop.")] = "",
    itn: asking.Itn = False,
    refine_times: asking.RefineTimes = False,
    no_fillers: asking.NoFillers = False,
    hotwords: asking.HotwordFile = None,
    context: asking.Context = "",
    noise_threshold: asking.NoiseThreshold = None,
    denoise: asking.Denoise = False,
    formats: asking.Formats = "txt",
    captions: asking.Captions = "",
    caption_columns: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Columns of a caption line; a Han character takes two.")
    ] = None,
    caption_lines: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most lines of a caption.")] = None,
    caption_speakers: Annotated[
        bool | None,
        typer.Option(
            "--caption-speakers/--no-caption-speakers", help="Captions tell who speaks; without either, if several do."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write files here, not to stdout.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With -o: files whose results are there and newer, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON about each input.")] = False,
    quiet: asking.Quiet = False,
    verbose: asking.Verbose = False,
    base_url: asking.Server = None,
    api_key: ApiKey = None,
) -> None:
    """Transcribe files, folders, URLs or standard input. Text goes to stdout, progress to stderr.

    With -o a run that was interrupted goes on where it was: a file is skipped whose results are there and newer, made
    from it with the same options, as .dashscribe-done.json beside them tells. Another recording of the same name does
    not replace them: its results are numbered. With --base-url a server does the work.

    Exit 0: done, silence included. 1: some inputs failed. 2: wrong usage. 130: interrupted; what was finished is kept.

    Example: dashscribe transcribe talk.mp3 -f srt,txt -o subtitles

    Example, who speaks: dashscribe transcribe meeting.m4a --diarize --speakers 3

    Example, captions for a vertical video: dashscribe transcribe clip.mp4 -f srt --captions social -o subtitles

    Example, by a server: dashscribe transcribe talks/ -o texts --base-url https://asr.example.org
    """
    # Here, not above: these bring HTTP and settings along, four times what ``--help`` takes without them.
    from dashscribe import config
    from dashscribe.cli.batch import Batch, Ended
    from dashscribe.cli.record import Record
    from dashscribe.cli.report import Report
    from dashscribe.cli.results import names
    from dashscribe.cli.screen import Screen
    from dashscribe.cli.sources import STDIN, expand

    settings = config.load()
    options = asking.options(
        settings,
        remote=base_url is not None,
        stretch=_stretch(start, duration, settings.max_duration_s * 1000),
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
    engine = engine_line(options, settings, base_url)
    sources = expand(inputs)
    wanted = _formats(formats, sources, out, as_json=as_json)
    style = caption_style(captions, caption_columns, caption_lines, caption_speakers, wanted)
    if STDIN in inputs and sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal; pipe a file into it", param_hint="-")
    if out:
        out.mkdir(parents=True, exist_ok=True)
    record = Record(out, wanted, (options, style, engine)) if out else None
    origins = [record.origin(source) if record else None for source in sources]
    kept = record.names(sources, origins) if record else names(sources)
    done = [record.results(*pair) if record and not force else [] for pair in zip(kept, origins, strict=True)]
    left = [index for index, paths in enumerate(done) if not paths]
    screen = Screen([sources[index] for index in left], options.stretch, quiet=quiet, verbose=verbose)
    screen.note(engine)
    report = Report(
        [sources[index] for index in left],
        wanted,
        (lambda index: (out, kept[left[index]])) if out else None,
        screen,
        as_json=as_json,
        style=style,
    )
    for source, paths in zip(sources, done, strict=True):
        if paths:
            report.skip(source, paths)
    unwind_when_killed()
    with working(options, settings, base_url, api_key) as work, closing(Batch(work, report.sources)) as batch, screen:
        try:
            for event in batch.events():
                ends = record if isinstance(event, Ended) and isinstance(event.result, Transcript) else None
                if ends:
                    screen.unsaved(ends.forget(kept[left[event.index]]))
                report.take(event)
                if ends and event.index not in report.errors:
                    screen.unsaved(ends.keep(kept[left[event.index]], origins[left[event.index]]))
        except (KeyboardInterrupt, SystemExit):
            report.interrupted(batch.open)
            raise
    raise typer.Exit(1 if report.failed else 0)


def engine_line(options: Options, settings: Settings, base_url: str | None) -> str:
    """Who will do the work, for people. Raises ModelNotFoundError where nothing here can."""
    if base_url is not None:
        return f"server {base_url}: model {options.model}"
    from dashscribe.catalog import find_model
    from dashscribe.choice import choose_engine

    engine = choose_engine(find_model(options.model), options.languages, settings)
    return f"engine {engine.name}: {engine.summary}"


@contextmanager
def working(options: Options, settings: Settings, base_url: str | None, api_key: str | None) -> Generator[Work]:
    """Whoever does the work, ready to do it."""
    from dashscribe.cli import work

    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="dashscribe-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made))
        if base_url is not None:
            from dashscribe.cli.remote import client

            stopped = threading.Event()
            server = stack.enter_context(client(base_url, api_key, partial(work.pause, stopped)))
            yield work.there(options, settings=settings, client=server, folder=folder, stopped=stopped)
            return
        from dashscribe.enrich.censor import check_list
        from dashscribe.hosts import Hosts

        check_list(settings.sensitive_words)
        hosts = stack.enter_context(Hosts(settings, slots=settings.workers))
        yield work.here(options, settings=settings, hosts=hosts, folder=folder)


def _stretch(start: str, duration: str, longest_ms: int) -> Span | None:
    if not start and not duration:
        return None
    begin_ms = _time(start, "--start") if start else 0
    length_ms = _time(duration, "--duration") if duration else longest_ms
    if not length_ms:
        raise typer.BadParameter("nothing would be left to transcribe", param_hint="--duration")
    return Span(begin_ms, begin_ms + length_ms)


def _time(text: str, option: str) -> int:
    try:
        return milliseconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _formats(text: str, sources: Sequence[Source], out: Path | None, *, as_json: bool) -> tuple[str, ...]:
    """The formats, if there is room for them where they would go.

    Standard output takes one; of several inputs only text, under headings, and JSON, a line each.
    """
    chosen = asking.formats_of(text)
    if out:
        return chosen
    if as_json and chosen != ("txt",):
        raise typer.BadParameter("with --json, other formats than txt need a folder: -o DIR", param_hint="--format")
    if len(chosen) != 1:
        raise typer.BadParameter("several formats need a folder: -o DIR", param_hint="--format")
    if len(sources) > 1 and chosen[0] not in ("txt", "json"):
        raise typer.BadParameter(f"{chosen[0]} of several inputs needs a folder: -o DIR", param_hint="--format")
    return chosen
