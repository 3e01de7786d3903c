"""``dashscribe bench``: how fast this machine is with what is installed, stage by stage, on recordings of one's own.

Measures through the same child processes as everything else. What it says of hours per hour is for recordings like
those that it was given: how much of them is speech, and how hard it is, decide.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli import unwind_when_killed
from dashscribe.cli.output import print_json, telling
from dashscribe.cli.sources import expand, opened

if TYPE_CHECKING:
    from dashscribe.engines import EngineInfo
    from dashscribe.hosts import Hosts
    from dashscribe.types import Options, Window

#: So many windows at most are kept in memory: about an hour of speech.
MOST_WINDOWS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured. Speeds are seconds of sound per second; ``slots`` are recognitions at once."""

    engine: str
    slots: int
    sound_s: float
    speech_s: float
    engine_start_s: float
    decode_speed: float
    recognize_speed: float
    recognize_speed_all_slots: float

    @property
    def hours_per_hour(self) -> float:
        """Hours of such recordings that are done in an hour: what the slots make of their share of speech."""
        return self.recognize_speed_all_slots * self.sound_s / self.speech_s


def bench(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Recordings like those that are to be done.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Model name; its engine is measured.")] = "fun-asr",
    language: Annotated[str, typer.Option("--language", "-l", help="Language hints, separated by commas.")] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parallel recognitions; default: DASHSCRIBE_WORKERS, the cores.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long each recognition is measured.")] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fast recordings are decoded and recognized here, on one slot and on all, and what that comes to.

    Leave the machine alone meanwhile, or measure beside what it has to do anyway.

    Example: dashscribe bench meeting.mp3 --model sensevoice-v1 --language zh
    """
    from dashscribe import config
    from dashscribe.catalog import find_model
    from dashscribe.choice import choose_engine
    from dashscribe.hosts import Hosts
    from dashscribe.types import Options

    settings = config.load(workers=workers)
    options = Options(model=model, languages=tuple(code.strip() for code in language.split(",") if code.strip()))
    engine = choose_engine(find_model(model), options.languages, settings)
    unwind_when_killed()
    with Hosts(settings, slots=settings.workers) as hosts, telling() as tell:
        sound = _Sound()
        with tempfile.TemporaryDirectory(prefix="dashscribe-", ignore_cleanup_errors=True) as folder:
            for source in expand(inputs):
                tell(f"decoding {source.label}")
                with opened(source, settings, Path(folder), lambda received, total: None) as path:
                    _cut(hosts, path, source.label, options, engine, sound)
        if not sound.windows:
            raise typer.BadParameter("there is no speech in these recordings", param_hint="INPUT")
        figures = _measure(hosts, engine, options, sound, settings.workers, seconds, tell)
    if as_json:
        print_json(asdict(figures) | {"hours_per_hour": round(figures.hours_per_hour, 1)})
    else:
        _show(figures, engine)


@dataclass(slots=True)
class _Sound:
    """What was cut: the first windows, how much there is in all, how long that took."""

    windows: list[Window] = field(default_factory=list["Window"])
    sound_ms: int = 0
    speech_ms: int = 0
    seconds: float = 0.0


def _cut(hosts: Hosts, path: Path, url: str, options: Options, engine: EngineInfo, sound: _Sound) -> None:
    """Decode a recording and keep its first windows."""
    from dashscribe.hosts.protocol import CutEnd
    from dashscribe.pipeline import settle_channels
    from dashscribe.types import Window

    options, _ = settle_channels(options, path, url, hosts)  # a child has been started for this when the clock begins
    began, cutting = time.monotonic(), hosts.cut(path, url=url, options=options, limits=engine.limits, packed=False)
    with closing(cutting) as messages:
        for message in messages:
            match message:
                case Window():
                    sound.speech_ms += message.speech_ms
                    if len(sound.windows) < MOST_WINDOWS:
                        sound.windows.append(message)
                case CutEnd():
                    sound.sound_ms += (message.end_ms - message.begin_ms) * len(message.channels)
                case _:
                    pass
    sound.seconds += time.monotonic() - began


def _measure(
    hosts: Hosts,
    engine: EngineInfo,
    options: Options,
    sound: _Sound,
    slots: int,
    seconds: float,
    tell: Callable[[str], None],
) -> Figures:
    from dashscribe.pipeline import recognize

    def hear(window: Window) -> None:
        for _ in recognize(hosts, engine, window, options):
            pass

    windows = sound.windows
    shortest = min(windows, key=lambda window: window.speech_ms)
    tell(f"starting {engine.name}")
    began = time.monotonic()
    hear(shortest)
    first_s = time.monotonic() - began
    began = time.monotonic()
    hear(shortest)
    start_s = max(0.0, first_s - (time.monotonic() - began))
    tell(f"recognizing on one slot, {seconds:.0f} s")
    alone = _speed(hear, windows, 1, seconds)
    tell(f"recognizing on {slots} slots, {seconds:.0f} s")
    return Figures(
        engine=engine.name,
        slots=slots,
        sound_s=sound.sound_ms / 1000,
        speech_s=sound.speech_ms / 1000,
        engine_start_s=round(start_s, 2),
        decode_speed=round(sound.sound_ms / 1000 / sound.seconds, 1),
        recognize_speed=round(alone, 2),
        recognize_speed_all_slots=round(_speed(hear, windows, slots, seconds), 2),
    )


def _speed(hear: Callable[[Window], None], windows: Sequence[Window], slots: int, seconds: float) -> float:
    """Seconds of speech per second with so many at once; all slots have had their engine started before it counts."""

    def work(begin: int) -> tuple[float, float]:
        """Milliseconds of speech until the time was up, and how long that took."""
        hear(windows[begin % len(windows)])
        began, done_ms = time.monotonic(), 0
        for window in islice(cycle(windows), begin, None):
            hear(window)
            done_ms += window.speech_ms
            if time.monotonic() - began >= seconds:
                break
        return done_ms, time.monotonic() - began

    with ThreadPoolExecutor(slots) as pool:
        return sum(done_ms / 1000 / took_s for done_ms, took_s in pool.map(work, range(slots)))


def _show(figures: Figures, engine: EngineInfo) -> None:
    """The figures as people read them."""
    several = f"recognized, {figures.slots} at once"
    rows = {
        "engine": f"{figures.engine}: {engine.summary}",
        "recordings": f"{figures.sound_s:.0f} s of sound, {figures.speech_s:.0f} s of speech in it",
        "engine started": f"in {figures.engine_start_s:.1f} s",
        "decoded and cut": f"{figures.decode_speed:.0f} times as fast as it plays, by one process",
        "recognized, alone": f"{figures.recognize_speed:.1f} times as fast as it plays",
        several: f"{figures.recognize_speed_all_slots:.1f} times",
        "comes to": f"about {figures.hours_per_hour:.0f} hours of such recordings in an hour",
    }
    width = max(map(len, rows))
    for name, text in rows.items():
        typer.echo(f"{name:<{width}}  {text}")
