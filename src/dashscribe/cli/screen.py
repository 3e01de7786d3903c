"""What a person sees on stderr while files are worked on: a bar per file in work, a line per finished one.

Bars appear on terminals only. ``rich`` is told to pass standard output through above the bars where both are the same
terminal, and to leave it alone where it is piped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from dashscribe.cli.output import end_of
from dashscribe.cli.sources import Source
from dashscribe.cli.times import shown
from dashscribe.types import Span

if TYPE_CHECKING:
    from dashscribe.types import Progress as Far

#: Widest name before a bar, in columns; of a longer one the end is shown.
NAME_COLUMNS = 28
#: Terminals so wide have room for a name, a bar of 24 columns and any figures behind it.
WIDE = 100


class _Pace(ProgressColumn):
    """Position, speed against real time, and time left; for a download how much has come."""

    def render(self, task: Task) -> Text:
        unit, whole = task.fields["unit"], task.fields["whole"]
        if unit == "files":
            return Text(f"{task.completed:.0f} of {whole} files")
        if unit == "bytes":
            return Text(f"{task.completed / 1e6:.1f}" + (f" of {whole / 1e6:.1f} MB" if whole else " MB"))
        where = shown(int(task.completed)) + (f" of {shown(whole)}" if whole else "")
        if not task.completed or not task.elapsed:
            return Text(where)
        pace = task.completed / 1000 / task.elapsed
        left = f", {shown(int(max(whole - task.completed, 0) / pace))} left" if whole else ""
        return Text(f"{where}, {pace:.1f}x{left}")


class Screen:
    """Context manager around the work on ``sources``, which may grow.

    ``quiet`` leaves out all but what ``warn`` is given, ``verbose`` shows what ``detail`` is given.
    """

    def __init__(self, sources: Sequence[Source], stretch: Span | None, *, quiet: bool, verbose: bool = False) -> None:
        self._sources, self._stretch, self._quiet, self._verbose = sources, stretch, quiet, verbose
        console = Console(stderr=True)
        self._name_columns = min(NAME_COLUMNS, console.width // 3)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            # What is left of the line, at most as much as is pleasant: a line that is folded cannot be taken back.
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=24)),
            _Pace(table_column=Column(no_wrap=True)),
            console=console,
            expand=console.width < WIDE,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            disable=quiet or not sys.stderr.isatty(),
        )
        self._tasks: dict[int, TaskID] = {}
        self._units: dict[int, str] = {}
        self._unsaved = ""
        self._files = self._bars.add_task(
            "", total=len(sources), unit="files", whole=len(sources), visible=len(sources) > 1
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def warn(self, line: str) -> None:
        """A line on stderr, above the bars."""
        # Not typer.echo, which goes around what rich puts in the place of sys.stderr.
        sys.stderr.write(f"dashscribe: {line}\n")

    def unsaved(self, error: OSError | None) -> None:
        """Say that what is done cannot be written down, once for each reason in a row; None: it can."""
        problem = f"what is done cannot be remembered for the next start: {error}" if error else ""
        if problem and problem != self._unsaved:
            self.warn(f"{problem}; tried again")
        self._unsaved = problem

    def note(self, line: str) -> None:
        """A line that nobody needs to act on."""
        if not self._quiet:
            self.warn(line)

    def detail(self, line: str) -> None:
        """A line for those who want to know more."""
        if self._verbose:
            self.note(line)

    @staticmethod
    def print(text: str) -> None:
        """Text on standard output, at once; above the bars if that is the same terminal."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def copied(self, index: int, received_bytes: int, total_bytes: int | None) -> None:
        """Show how far a download is."""
        self._update(index, "bytes", received_bytes, total_bytes or 0)

    def moved(self, index: int, progress: Far) -> None:
        """Show how far recognition is, counted from where it was told to begin."""
        begin_ms = self._stretch.begin_ms if self._stretch else 0
        end_ms = progress.duration_ms
        if self._stretch:
            end_ms = min(end_ms or self._stretch.end_ms, self._stretch.end_ms)
        self._update(index, "ms", max(0, progress.recognized_ms - begin_ms), max(0, end_ms - begin_ms))

    def ended(self, index: int) -> None:
        """Take the bar of a finished input away."""
        if index in self._tasks:
            self._bars.remove_task(self._tasks.pop(index))
        self._bars.advance(self._files)

    def _update(self, index: int, unit: str, completed: int, whole: int) -> None:
        """``whole`` is 0 while nobody knows; a bar without an end pulses, as it does until the first step is done."""
        if self._units.get(index) != unit:
            # New, or the download is over: speed counts from here.
            if index in self._tasks:
                self._bars.remove_task(self._tasks[index])
            name = self._sources[index].label
            short = end_of(name, self._name_columns)
            self._tasks[index] = self._bars.add_task(short, total=None, unit=unit, whole=whole)
            self._units[index] = unit
        total = max(whole, completed) if whole and completed else None
        self._bars.update(self._tasks[index], completed=completed, total=total, whole=whole)
