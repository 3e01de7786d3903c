"""``dashscribe models pull``, ``add``, ``verify`` and ``rm``: model weights brought, checked and removed.

What people need to see goes to stderr: a bar on a terminal, else a line now and then. The commands go on after a model
that fails and exit with 1 at the end.
"""

from __future__ import annotations

import re
import sys
import time
import wave
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress, TaskID

    from dashscribe.config import Settings
    from dashscribe.hosts import Hosts
    from dashscribe.types import Window
    from dashscribe.weights import Installed
    from dashscribe.weights.installing import Watch
    from dashscribe.weights.known import Known
    from dashscribe.weights.shelf import Shelf
    from dashscribe.weights.verifying import Decode, FindBatch, Verdict

#: How often a line tells of progress where there is no terminal, in seconds.
LINE_S = 10.0

Names = Annotated[list[str], typer.Argument(help="Names of models.", metavar="NAME", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: accept the license, remove the model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def public_names() -> Mapping[str, str]:
    """The model that stands behind each public model name, by its short name; ``pull`` takes either."""
    from dashscribe.catalog import MODELS
    from dashscribe.choice import weights_for

    return {name: weights_for(model) for name, model in MODELS.items()}


def pull(
    names: Names,
    url: Annotated[str, typer.Option(help="Take the archive or .onnx file at this URL instead.", metavar="URL")] = "",
    sha256: Annotated[str, typer.Option(help="What the file's SHA-256 has to be.", metavar="HEX")] = "",
    mirror: Annotated[
        str,
        typer.Option(
            help="Base URLs to pull from, URL[,URL]; the word origins among them stands for the models' own places. "
            "Else DASHSCRIBE_MODELS_MIRROR.",
            metavar="URL",
        ),
    ] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Download and install models. What breaks off goes on where it was; what is installed already stays.

    Example: dashscribe models pull sensevoice silero-vad --yes
    """
    from dashscribe.cli import unwind_when_killed
    from dashscribe.config import load
    from dashscribe.errors import WeightsError
    from dashscribe.weights.known import mirrored
    from dashscribe.weights.pull import pull as pull_model
    from dashscribe.weights.shelf import Shelf

    settings = load()
    wanted = _wanted(names, url, sha256)
    mirrors = [] if url else [base.strip() for base in (mirror or settings.models_mirror).split(",") if base.strip()]
    shelf = Shelf(settings.resolved_models_dir)
    _make_home(settings)
    shelf.sweep()
    for known in wanted:
        _consent(known, shelf, yes=yes)
    unwind_when_killed()
    rows: list[dict[str, object]] = []
    for known in wanted:
        with _Follower() as follower:
            try:
                model = pull_model(
                    known,
                    settings.resolved_models_dir,
                    origins=mirrored(known, mirrors),
                    sha256=sha256,
                    reserve_bytes=settings.disk_reserve_bytes,
                    watch=follower.watch,
                )
            except WeightsError as error:
                follower.say(str(error))
                rows.append(_failed(known.name, error))
            except KeyboardInterrupt:
                follower.say("interrupted; what was downloaded is kept, and the same command goes on with it")
                raise
            else:
                rows.append(_row(model))
    _finish(rows, as_json=as_json)


def add(
    path: Annotated[
        Path,
        typer.Argument(
            help="A folder, an archive (.tar.bz2, .tar.gz, .tar.xz, .tar, .zip) or an .onnx file.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call the model; else by its file.")] = "",
    language: Annotated[str, typer.Option(help="What it reads, CODE[,CODE]; else what its files tell.")] = "",
    link: Annotated[bool, typer.Option("--link", help="Link to the folder's files instead of copying them.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an installed model of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Install a model that is on this machine, without a network. What it is, its files tell.

    Example: dashscribe models add /media/usb/sherpa-onnx-whisper-small.tar.bz2
    """
    from dashscribe.cli import unwind_when_killed
    from dashscribe.config import load
    from dashscribe.weights.adding import add as add_model
    from dashscribe.weights.shelf import Shelf

    settings = load()
    _make_home(settings)
    Shelf(settings.resolved_models_dir).sweep()
    unwind_when_killed()
    with _Follower() as follower:
        model = add_model(
            path,
            settings.resolved_models_dir,
            name=name,
            languages=tuple(filter(None, (code.strip() for code in language.split(",")))),
            link=link,
            replace=replace,
            reserve_bytes=settings.disk_reserve_bytes,
            watch=follower.watch,
        )
    print_json(_row(model)) if as_json else _show(_row(model))


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models; else all.", metavar="NAME", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check models: every file by its checksum, the metadata, and a built-in utterance transcribed by it.

    Also finds out whether a model gives the same results for several pieces at once, which is faster.

    Exit 1 if one of them is not as it should be. Example: dashscribe models verify sensevoice
    """
    from dashscribe.config import load
    from dashscribe.hosts import Hosts
    from dashscribe.weights.shelf import Shelf
    from dashscribe.weights.verifying import verify_all

    settings = load()
    shelf = Shelf(settings.resolved_models_dir)
    shelf.sweep()
    with _Follower() as follower, Hosts(settings, slots=1) as hosts:
        verdicts = verify_all(
            shelf.models_dir,
            names or (),
            decode=decoder(settings, hosts),
            find_batch=batch_finder(settings, hosts),
            watch=follower.watch,
        )
    if as_json:
        print_json([{**asdict(verdict), "ok": not verdict.problems} for verdict in verdicts])
    elif not verdicts:
        typer.echo(f"no models lie in {shelf.models_dir}; `dashscribe models pull` brings some", err=True)
    else:
        for verdict in verdicts:
            _show_verdict(verdict)
    if any(verdict.problems for verdict in verdicts):
        raise typer.Exit(1)


def rm(names: Names, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove installed models, and what is left of unfinished downloads of them. Asks on a terminal.

    Example: dashscribe models rm whisper-tiny --yes
    """
    from dashscribe.config import load
    from dashscribe.errors import WeightsError
    from dashscribe.weights.shelf import Shelf, remove

    settings = load()
    Shelf(settings.resolved_models_dir).sweep()
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Remove {', '.join(names)} from {settings.resolved_models_dir}?", abort=True, err=True)
    rows: list[dict[str, object]] = []
    for name in names:
        try:
            remove(settings.resolved_models_dir, name)
        except WeightsError as error:
            typer.echo(f"dashscribe: {error}", err=True)
            rows.append(_failed(name, error))
        else:
            rows.append({"name": name, "ok": True, "removed": True})
    _finish(rows, as_json=as_json)


def decoder(settings: Settings, hosts: Hosts) -> Decode:
    """Transcribes the built-in utterance with a model, in a child process of ``hosts``."""
    from dashscribe.engines import find_engine
    from dashscribe.errors.sources import RecognitionError
    from dashscribe.pipeline import transcribe
    from dashscribe.types import Fate, Options

    def decode(model: Installed) -> str:
        engine = find_engine(model.name, settings)
        options = Options(model="fun-asr")
        transcript = transcribe(_speech(), options, settings=settings, hosts=hosts, engine=engine)
        for entry in (entry for track in transcript.tracks for entry in track.ledger):
            if entry.fate is Fate.FAILED:
                raise RecognitionError(entry.reason)
        return transcript.text

    return decode


def _speech() -> Path:
    """The built-in utterance: three seconds of English."""
    import dashscribe

    return Path(dashscribe.__file__).parent / "conformance" / "speech.wav"


def batch_finder(settings: Settings, hosts: Hosts) -> FindBatch:
    """Decodes pieces of the built-in utterance alone and together, and compares every word, time and tag.

    A number in the card that is smaller than what would be tried was put there by somebody, and stays the most.
    """
    from dashscribe.engines import find_engine
    from dashscribe.engines.sherpa import BATCHES, BATCHING
    from dashscribe.errors import HostError
    from dashscribe.types import Options

    def find(model: Installed) -> tuple[str, int] | None:
        if model.family not in BATCHING:
            return None
        engine, options = find_engine(model.name, settings), Options(words=True, emotion=True)
        known = model.batches.get(settings.provider, 1)
        sizes = [size for size in BATCHES[settings.provider] if known == 1 or size <= known]
        window = _pieces_of_speech(engine.limits.max_piece_ms, max(24, 2 * max(sizes, default=0)))
        alone = list(hosts.recognize(engine.name, window, options, batch=1))
        for size in sizes:
            with suppress(HostError):  # it does not fit
                if list(hosts.recognize(engine.name, window, options, batch=size, strict=True)) == alone:
                    return settings.provider, size
        return settings.provider, 1

    return find


def _pieces_of_speech(longest_ms: int, count: int) -> Window:
    """The built-in utterance as one long piece, then ``count`` times, begun later each time: 24 lengths."""
    from dashscribe.types import RATE_HZ, Span, Window

    with wave.open(str(_speech())) as source:
        samples, a_ms = source.readframes(source.getnframes()), 2 * RATE_HZ // 1000  # bytes of a millisecond
    length_ms = len(samples) // a_ms
    long = (samples * (1 + longest_ms // length_ms))[: longest_ms * a_ms]
    pieces = [long, *(samples[length_ms // 32 * (part % 24) * a_ms : length_ms * a_ms] for part in range(count))]
    spans: list[Span] = []
    for piece in pieces:
        begin_ms = spans[-1].end_ms + 1000 if spans else 0
        spans.append(Span(begin_ms, begin_ms + len(piece) // a_ms))
    return Window(0, 0, tuple(spans), b"".join(pieces), packed=False)


def _make_home(settings: Settings) -> None:
    """Make the home where models lie in it: they may be the first to come there, and must not open it to others."""
    from dashscribe.cli.private import make_home

    if settings.resolved_models_dir.is_relative_to(settings.home):
        make_home(settings.home)


# --- what is asked for ------------------------------------------------------------------------------------------------


def _wanted(names: Sequence[str], url: str, sha256: str) -> list[Known]:
    """What to pull; anything that cannot be meant is wrong usage, told before anything is done."""
    from dashscribe.errors import WeightsError
    from dashscribe.weights.known import find_known, from_url
    from dashscribe.weights.shelf import check_name

    if (url or sha256) and len(names) > 1:
        raise typer.BadParameter("--url and --sha256 are for one model", param_hint="NAME...")
    if sha256 and not re.fullmatch(r"[0-9A-Fa-f]{64}", sha256):
        raise typer.BadParameter(f"{sha256[:80]!r} is not 64 hexadecimal digits", param_hint="--sha256")
    try:
        if url:
            return [from_url(check_name(names[0]), url)]
        return list({known.name: known for known in (find_known(name, public_names()) for name in names)}.values())
    except WeightsError as error:
        raise typer.BadParameter(str(error), param_hint="--url" if url else "NAME...") from error


def _consent(known: Known, shelf: Shelf, *, yes: bool) -> None:
    """Show what would be pulled and under which license; where that has to be accepted, have it accepted, once.

    Exits with 2 where nobody can be asked, with 1 where somebody declines.
    """
    from dashscribe.weights.installing import card_in
    from dashscribe.weights.room import mb

    if card_in(shelf.models_dir / known.name) or shelf.accepted(known.name) == known.license.name:
        return
    size = f", {mb(known.size_bytes)} to download" if known.size_bytes else ""
    typer.echo(f"{known.name}: {known.title}{size}", err=True)
    typer.echo(f"license of the weights: {known.license.name} {known.license.url}".rstrip(), err=True)
    if known.unverified:
        typer.echo(f"not verified: {known.unverified}", err=True)
    if known.license.accept and not yes:
        if not sys.stdin.isatty():
            typer.echo(
                f"dashscribe: the license of {known.name} has to be accepted: read it, then run the command again with "
                "--yes",
                err=True,
            )
            raise typer.Exit(2)
        if not typer.confirm("Do you accept it?", err=True):
            raise typer.Exit(1)
    if known.license.accept:
        shelf.accept(known.name, known.license.name)


# --- what is shown ----------------------------------------------------------------------------------------------------


def _row(model: Installed) -> dict[str, object]:
    return {
        "name": model.name,
        "ok": True,
        "family": model.family,
        "languages": list(model.languages),
        "folder": str(model.folder),
        "source": model.source,
        "license": model.license,
        "digest": model.digest,
    }


def _failed(name: str, error: Exception) -> dict[str, object]:
    return {"name": name, "ok": False, "error": str(error)}


def _finish(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Print what became of each model; exit 1 if one failed."""
    if as_json:
        print_json(list(rows))
    else:
        for row in rows:
            _show(row)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def _show(row: Mapping[str, object]) -> None:
    """A line for a model that was installed or removed; the others had theirs on stderr."""
    if row.get("removed"):
        typer.echo(f"{row['name']} removed")
    elif row["ok"]:
        typer.echo(f"{row['name']}  {row['family']}  {row['digest']}  {row['folder']}")


def _show_verdict(verdict: Verdict) -> None:
    typer.echo(f"{verdict.name}  {'OK' if not verdict.problems else 'FAILED'}  {verdict.family}".rstrip())
    for line in verdict.problems:
        typer.echo(f"  {line}")
    for line in verdict.notes:
        typer.echo(f"  note: {line}")
    if verdict.text:
        typer.echo(f"  heard: {verdict.text}")


class _Follower:
    """What a person sees of long work, on stderr: a bar for each piece of it on a terminal, else lines."""

    def __init__(self) -> None:
        from dashscribe.weights.installing import Watch

        self.watch: Watch = Watch(self.say, self._moved)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._next_line_s = time.monotonic() + LINE_S

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
            from rich.progress import TransferSpeedColumn as Speed

            label = TextColumn("{task.description}", markup=False)
            # A narrow bar, so that all of them stand on a line of 80 columns.
            columns = (label, BarColumn(bar_width=12), DownloadColumn(), Speed(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def say(self, line: str) -> None:
        """A line, above the bars where there are some."""
        # Not typer.echo, which goes around what rich puts in the place of sys.stderr.
        sys.stderr.write(f"dashscribe: {line}\n")
        sys.stderr.flush()

    def _moved(self, what: str, done: int, total: int | None) -> None:
        if self._bars is None:
            self._line(what, done, total)
            return
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks = {what: self._bars.add_task(what, total=None)}
        self._bars.update(self._tasks[what], completed=done, total=total)

    def _line(self, what: str, done: int, total: int | None) -> None:
        from dashscribe.weights.room import mb

        if time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + LINE_S
            self.say(f"{what}: {mb(done)}" + (f" of {mb(total)}" if total else ""))
