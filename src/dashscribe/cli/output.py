"""What tables and JSON on standard output have in common, so that every command prints alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


#: The fewest columns in which a text of several lines can be read.
NARROWEST = 24


def console() -> Console:
    """Standard output for tables: as wide as the terminal; in a pipe wide enough never to break a line."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 1000, markup=False, emoji=False, highlight=False)


@contextmanager
def telling() -> Generator[Callable[[str], None]]:
    """Long work without a known end: what is going on, as a line on a terminal's stderr that goes away again."""
    from rich.console import Console
    from rich.markup import escape
    from rich.status import Status

    with Status("", console=Console(stderr=True)) as status:
        yield lambda line: status.update(escape(line))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, free: Collection[str] = ()) -> None:
    """Print rows under headings; the columns in ``free`` are texts that may take several lines, nothing is cut off.

    Where the terminal is too narrow for that, each row becomes a paragraph: its first value, then the others by name.
    """
    from rich.cells import cell_len
    from rich.table import Table

    screen = console()
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    fixed = sum(width for name, width in zip(columns, widths, strict=True) if name not in free) + 2 * len(columns)
    room = (screen.width - fixed) // max(1, len(free))
    if room < 0 or any(
        room < min(width, NARROWEST) for name, width in zip(columns, widths, strict=True) if name in free
    ):
        _print_paragraphs(screen, columns, rows)
        return
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in free)
    for row in rows:
        table.add_row(*row)
    screen.print(table)


def _print_paragraphs(screen: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.padding import Padding
    from rich.table import Table

    for row in rows:
        title = next(filter(None, row), "")
        heading = f"{columns[0].lower()} {title}" if title.isdecimal() else title
        screen.print(heading, style="bold", soft_wrap=True)
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            if value and value is not title:
                table.add_row(name.lower(), value)
        screen.print(Padding(table, (0, 0, 0, 2)))


def print_json(value: object) -> None:
    """Print a value as indented JSON, Chinese as it is."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one thing that a command was to do something to; ``error`` says why it was not done."""

    id: str
    done: str
    error: str = ""


def print_outcomes(outcomes: Iterable[Outcome], *, as_json: bool) -> None:
    """A line for each as it comes, those that failed on stderr, or all of them as JSON; exits with 1 if one failed.

    What ends the work in between is raised, after what was done until then has been told.
    """
    told: list[Outcome] = []
    try:
        for one in outcomes:
            told.append(one)
            if not as_json:
                line = f"{one.id} not {one.done}: {one.error}" if one.error else f"{one.id} {one.done}"
                typer.echo(line, err=bool(one.error))
    finally:
        if as_json and told:
            print_json([_row(one) for one in told])
    if any(one.error for one in told):
        raise typer.Exit(1)


def _row(one: Outcome) -> dict[str, object]:
    what: dict[str, object] = {"error": one.error} if one.error else {one.done: True}
    return {"id": one.id, "ok": not one.error, **what}
