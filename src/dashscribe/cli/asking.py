"""What a transcription is asked for on the command line: the options that ``transcribe`` and ``watch`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, Unpack

import typer

from dashscribe.catalog import MODELS, Model, find_model, options_for
from dashscribe.errors import ModelNotFoundError
from dashscribe.languages import NAMES, spelled
from dashscribe.render import FORMATS, PRESETS
from dashscribe.types import MAX_CHANNELS, MAX_SPEAKERS, MIN_SPEAKERS, Options, Span

if TYPE_CHECKING:
    from dashscribe.config import Settings


def _names_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Completes a name, or the last of several with commas between them."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in known if name.startswith(last)]

    return complete


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model name; `dashscribe models ls` lists them.",
        autocompletion=_names_of(MODELS),
    ),
]
Languages = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="CODE[,CODE]",
        help="What may be spoken, such as en,zh.",
        autocompletion=_names_of(NAMES),
    ),
]
Channels = Annotated[
    str,
    typer.Option(
        "--channel", metavar="N[,N]|all", help="Which channels, each by itself; 0 if not said, see also --diarize."
    ),
]
Diarize = Annotated[
    bool,
    typer.Option(
        "--diarize",
        help="Tell who speaks: by voice, or each channel of a stereo call, or of those that --channel names.",
    ),
]
Speakers = Annotated[
    int | None,
    typer.Option(min=MIN_SPEAKERS, max=MAX_SPEAKERS, metavar="N", help="How many speak, if known; for --diarize."),
]
Itn = Annotated[bool, typer.Option("--itn", help="Numbers as digits (zh, en), for models that do so only when asked.")]
RefineTimes = Annotated[bool, typer.Option("--refine-times", help="Align words for more exact times.")]
NoFillers = Annotated[bool, typer.Option("--no-fillers", help="Leave out um, 嗯 and stutters.")]
HotwordFile = Annotated[
    Path | None,
    typer.Option(
        "--hotwords",
        metavar="FILE",
        help="Names and terms to listen for, as `dashscribe hotwords create` reads them.",
    ),
]
Context = Annotated[str, typer.Option(metavar="TEXT", help="A text about it: its names and terms count.")]
NoiseThreshold = Annotated[
    float | None, typer.Option(metavar="X", help="From -1, almost anything is speech, to 1, only clear voices.")
]
Denoise = Annotated[
    bool, typer.Option("--denoise", help="Take noise off first, with an installed model (models pull gtcrn).")
]
Formats = Annotated[
    str,
    typer.Option(
        "-f",
        "--format",
        metavar="FORMAT[,FORMAT]",
        help=f"{', '.join(FORMATS)}.",
        autocompletion=_names_of(FORMATS),
    ),
]
Captions = Annotated[
    str,
    typer.Option(
        metavar="PRESET",
        help=f"Look of srt and vtt: {', '.join(PRESETS)}.",
        show_default=False,
        autocompletion=_names_of(PRESETS),
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors only: no progress, no notes.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more about each input.")]
Server = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Have this server do the work; else it is done on this machine."),
]


class Asked(TypedDict):
    """The values of those options, as they were given."""

    model: str
    language: str
    channel: str
    diarize: bool
    speakers: int | None
    itn: bool
    refine_times: bool
    no_fillers: bool
    hotwords: Path | None
    context: str
    noise_threshold: float | None
    denoise: bool


def options(settings: Settings, *, remote: bool, stretch: Span | None = None, **asked: Unpack[Asked]) -> Options:
    """The options of a transcription here or, if ``remote``, by a server. What cannot be meant is wrong usage."""
    from dashscribe.cli.word_files import hotwords_in

    if asked["speakers"] is not None and not asked["diarize"]:
        raise typer.BadParameter("the number of speakers counts only with --diarize", param_hint="--speakers")
    channels = _channels(asked["channel"], asked["diarize"])
    made = options_for(
        _model(asked["model"]),
        languages=_languages(asked["language"]),
        channels=channels,
        diarize=asked["diarize"],
        speaker_count=asked["speakers"],
        speaker_per_channel=asked["diarize"] and bool(asked["channel"]) and len(channels) != 1,
        stretch=stretch,
        drop_fillers=asked["no_fillers"],
        refine_times=asked["refine_times"],
        itn=asked["itn"],
        hotwords=hotwords_in(asked["hotwords"], "--hotwords") if asked["hotwords"] else (),
        context=asked["context"],
        speech_noise_threshold=asked["noise_threshold"],
        denoise=asked["denoise"],
    )
    _check_server(made) if remote else _check_noise(made, settings)
    return made


def formats_of(text: str) -> tuple[str, ...]:
    """The formats that a list names, each once. What is none is wrong usage."""
    chosen = tuple(dict.fromkeys(listed(text)))
    if unknown := [name for name in chosen if name not in FORMATS]:
        raise typer.BadParameter(f"{unknown[0]!r} is no format; known: {', '.join(FORMATS)}", param_hint="--format")
    if not chosen:
        raise typer.BadParameter(f"name at least one of {', '.join(FORMATS)}", param_hint="--format")
    return chosen


def listed(text: str) -> list[str]:
    """The parts of a text between commas, without those that are empty."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _model(name: str) -> Model:
    try:
        return find_model(name)
    except ModelNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from error


def _languages(text: str) -> tuple[str, ...]:
    codes = [spelled(code, NAMES) for code in listed(text.lower())]
    if unknown := [code for code in codes if code not in NAMES]:
        known = " ".join(NAMES)
        raise typer.BadParameter(f"{unknown[0]!r} is no language code; known: {known}", param_hint="--language")
    return tuple(dict.fromkeys(codes))


def _check_noise(options: Options, settings: Settings) -> None:
    from dashscribe import noise
    from dashscribe.errors import InvalidParameterError, WeightsError

    try:
        noise.check(options, settings)
    except InvalidParameterError as error:
        raise typer.BadParameter(error.detail, param_hint="--noise-threshold") from error
    except WeightsError as error:
        raise typer.BadParameter(error.detail, param_hint="--denoise") from error


def _check_server(options: Options) -> None:
    from dashscribe.client.whole import check
    from dashscribe.errors import InvalidParameterError

    hints = {"model": "--model", "begin_ms": "--start", "channels": "--channel"}
    try:
        check(options)
    except InvalidParameterError as error:
        raise typer.BadParameter(error.detail, param_hint=hints[error.parameter]) from error


def _channels(text: str, diarize: bool) -> tuple[int, ...]:
    """Channel numbers; empty for all of them, or for those that it takes to tell speakers apart."""
    if not text:
        return () if diarize else (0,)
    parts = listed(text)
    if parts == ["all"]:
        return ()
    if not parts or not all(part.isdecimal() and len(part) < 4 and int(part) < MAX_CHANNELS for part in parts):
        raise typer.BadParameter(
            f"{text!r} is neither 'all' nor channel numbers from 0 to {MAX_CHANNELS - 1}, as in 0,1",
            param_hint="--channel",
        )
    return tuple(dict.fromkeys(map(int, parts)))
