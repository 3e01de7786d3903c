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

    Where the terminal is too narrow for that, each row becomes a paragraph: its first value, then the others by name,
    as many in a line as fit.
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
        _print_paragraphs(screen, columns, rows, free)
        return
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in free)
    for row in rows:
        table.add_row(*row)
    screen.print(table)


def _print_paragraphs(
    screen: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], free: Collection[str]
) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for row in rows:
        title = next(filter(None, row), "")
        heading = f"{columns[0].lower()} {title}" if title.isdecimal() else title
        screen.print(heading, style="bold", soft_wrap=True)
        lines: list[Text] = []
        alone = True
        for name, value in zip(columns, row, strict=True):
            if not value or value is title:
                continue
            pair = Text.assemble((f"{name.lower()} ", "dim"), value, overflow="fold")
            if alone or name in free or lines[-1].cell_len + 3 + pair.cell_len > screen.width - 2:
                lines.append(pair)
            else:
                lines[-1].append("   ").append_text(pair)
            alone = name in free
        for line in lines:
            screen.print(Padding(line, (0, 0, 0, 2)))


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


def end_of(name: str, columns: int) -> str:
    """The end of a name that fits into so many columns, of which a Han character takes two; all of it if it can be."""
    from rich.cells import cell_len

    if cell_len(name) <= columns:
        return name
    while cell_len(name) >= columns:
        name = name[1:]
    return "…" + name
