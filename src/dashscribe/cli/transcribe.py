"""``dashscribe transcribe``: files to text without a server.

Reads what is asked for, refuses what makes no sense before any work is done, and puts the parts together: ``batch``
works, ``report`` tells.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe import noise
from dashscribe.catalog import LANGUAGES, Model, find_model, options_for
from dashscribe.choice import choose_engine
from dashscribe.cli import unwind_when_killed
from dashscribe.cli.captions import caption_style
from dashscribe.cli.times import milliseconds
from dashscribe.errors import InvalidParameterError, ModelNotFoundError, WeightsError
from dashscribe.render import FORMATS, PRESETS
from dashscribe.types import MAX_CHANNELS, MAX_SPEAKERS, MIN_SPEAKERS, Options, Span

if TYPE_CHECKING:
    from dashscribe.cli.sources import Source
    from dashscribe.config import Settings


def transcribe(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Files, folders, patterns, http(s) URLs, - for stdin.")
    ],
    model: Annotated[str, typer.Option(help="Model name; `dashscribe models ls` lists them.")] = "fun-asr",
    language: Annotated[str, typer.Option(metavar="CODE[,CODE]", help="What may be spoken, such as en,zh.")] = "",
    channel: Annotated[
        str,
        typer.Option(metavar="N[,N]|all", help="Which channels, each by itself; 0 if not said, see also --diarize."),
    ] = "",
    diarize: Annotated[
        bool,
        typer.Option(
            "--diarize",
            help="Tell who speaks: by voice, or each channel of a stereo call, or of those that --channel names.",
        ),
    ] = False,
    speakers: Annotated[
        int | None,
        typer.Option(min=MIN_SPEAKERS, max=MAX_SPEAKERS, metavar="N", help="How many speak, if known; for --diarize."),
    ] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Begin here: 90.5, 1:30, 1:02:03 or 1h2m3s.")] = "",
    duration: Annotated[str, typer.Option(metavar="TIME", help="Transcribe this much and stop.")] = "",
    itn: Annotated[
        bool, typer.Option("--itn", help="Numbers as digits (zh, en), for models that do so only when asked.")
    ] = False,
    refine_times: Annotated[bool, typer.Option("--refine-times", help="Align words for more exact times.")] = False,
    no_fillers: Annotated[bool, typer.Option("--no-fillers", help="Leave out um, 嗯 and stutters.")] = False,
    hotwords: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names and terms to listen for, as `dashscribe hotwords create` reads them."),
    ] = None,
    context: Annotated[str, typer.Option(metavar="TEXT", help="A text about it: its names and terms count.")] = "",
    noise_threshold: Annotated[
        float | None, typer.Option(metavar="X", help="From -1, almost anything is speech, to 1, only clear voices.")
    ] = None,
    denoise: Annotated[
        bool, typer.Option("--denoise", help="Take noise off first, with an installed model (models pull gtcrn).")
    ] = False,
    formats: Annotated[
        str, typer.Option("-f", "--format", metavar="FORMAT[,FORMAT]", help=f"{', '.join(FORMATS)}.")
    ] = "txt",
    captions: Annotated[
        str, typer.Option(metavar="PRESET", help=f"Look of srt and vtt: {', '.join(PRESETS)}.", show_default=False)
    ] = "",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON about each input.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Errors only: no progress, no notes.")] = False,
) -> None:
    """Transcribe files, folders, URLs or standard input. Text goes to stdout, progress to stderr.

    Exit 0: done, silence included. 1: some inputs failed. 2: wrong usage.

    Example: dashscribe transcribe talk.mp3 -f srt,txt -o subtitles

    Who speaks: dashscribe transcribe meeting.m4a --diarize --speakers 3

    Captions for a vertical video: dashscribe transcribe clip.mp4 -f srt --captions social -o subtitles
    """
    # Here, not above: these bring HTTP and settings along, four times what ``--help`` takes without them.
    from dashscribe import config
    from dashscribe.cli.batch import Batch
    from dashscribe.cli.report import Report
    from dashscribe.cli.screen import Screen
    from dashscribe.cli.sources import STDIN, expand
    from dashscribe.cli.word_files import hotwords_in
    from dashscribe.enrich.censor import check_list
    from dashscribe.hosts import Hosts

    if speakers is not None and not diarize:
        raise typer.BadParameter("the number of speakers counts only with --diarize", param_hint="--speakers")
    settings = config.load()
    check_list(settings.sensitive_words)
    options = options_for(
        _model(model),
        languages=_languages(language),
        channels=(channels := _channels(channel, diarize)),
        diarize=diarize,
        speaker_count=speakers,
        speaker_per_channel=diarize and bool(channel) and len(channels) != 1,
        stretch=_stretch(start, duration, settings.max_duration_s * 1000),
        drop_fillers=no_fillers,
        refine_times=refine_times,
        itn=itn,
        hotwords=hotwords_in(hotwords, "--hotwords") if hotwords else (),
        context=context,
        speech_noise_threshold=noise_threshold,
        denoise=denoise,
    )
    _check_noise(options, settings)
    engine = choose_engine(_model(model), options.languages, settings)
    sources = expand(inputs)
    wanted = _formats(formats, sources, out, as_json=as_json)
    style = caption_style(captions, caption_columns, caption_lines, caption_speakers, wanted)
    if STDIN in inputs and sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal; pipe a file into it", param_hint="-")
    if out:
        out.mkdir(parents=True, exist_ok=True)
    screen = Screen(sources, options.stretch, quiet=quiet)
    screen.note(f"engine {engine.name}: {engine.summary}")
    report = Report(sources, wanted, out, screen, as_json=as_json, style=style)
    unwind_when_killed()
    with (
        tempfile.TemporaryDirectory(prefix="dashscribe-", ignore_cleanup_errors=True) as folder,
        Hosts(settings, slots=settings.workers) as hosts,
        closing(Batch(sources, options, settings=settings, hosts=hosts, folder=Path(folder)).events()) as events,
        screen,
    ):
        for event in events:
            report.take(event)
    raise typer.Exit(1 if report.failed else 0)


def _model(name: str) -> Model:
    try:
        return find_model(name)
    except ModelNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from error


def _languages(text: str) -> tuple[str, ...]:
    codes = tuple(_listed(text))
    if unknown := [code for code in codes if code not in LANGUAGES]:
        known = " ".join(sorted(LANGUAGES))
        raise typer.BadParameter(f"{unknown[0]!r} is no language code; known: {known}", param_hint="--language")
    return codes


def _check_noise(options: Options, settings: Settings) -> None:
    try:
        noise.check(options, settings)
    except InvalidParameterError as error:
        raise typer.BadParameter(error.detail, param_hint="--noise-threshold") from error
    except WeightsError as error:
        raise typer.BadParameter(error.detail, param_hint="--denoise") from error


def _channels(text: str, diarize: bool) -> tuple[int, ...]:
    """Channel numbers; empty for all of them, or for those that it takes to tell speakers apart."""
    if not text:
        return () if diarize else (0,)
    parts = _listed(text)
    if parts == ["all"]:
        return ()
    if not parts or not all(part.isdecimal() and len(part) < 4 and int(part) < MAX_CHANNELS for part in parts):
        raise typer.BadParameter(
            f"{text!r} is neither 'all' nor channel numbers from 0 to {MAX_CHANNELS - 1}, as in 0,1",
            param_hint="--channel",
        )
    return tuple(dict.fromkeys(map(int, parts)))


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
    chosen = tuple(dict.fromkeys(_listed(text)))
    if unknown := [name for name in chosen if name not in FORMATS]:
        raise typer.BadParameter(f"{unknown[0]!r} is no format; known: {', '.join(FORMATS)}", param_hint="--format")
    if not chosen:
        raise typer.BadParameter(f"name at least one of {', '.join(FORMATS)}", param_hint="--format")
    if out:
        return chosen
    if as_json and chosen != ("txt",):
        raise typer.BadParameter("with --json, other formats than txt need a folder: -o DIR", param_hint="--format")
    if len(chosen) != 1:
        raise typer.BadParameter("several formats need a folder: -o DIR", param_hint="--format")
    if len(sources) > 1 and chosen[0] not in ("txt", "json"):
        raise typer.BadParameter(f"{chosen[0]} of several inputs needs a folder: -o DIR", param_hint="--format")
    return chosen


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
