"""What tables and JSON on standard output have in common, so that every command prints alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Standard output for tables: as wide as the terminal; in a pipe wide enough never to break a line."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 1000, markup=False, emoji=False, highlight=False)


def print_json(value: object) -> None:
    """Print a value as indented JSON, Chinese as it is."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one thing that a command was to do something to; ``error`` says why it was not done."""

    id: str
    done: str
    error: str = ""


def print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """A line for each, those that failed on stderr, or all of them as JSON; exits with 1 if one failed."""
    if as_json:
        print_json(
            [
                {"id": one.id, "ok": not one.error} | ({"error": one.error} if one.error else {one.done: True})
                for one in outcomes
            ]
        )
    else:
        for one in outcomes:
            line = f"{one.id} not {one.done}: {one.error}" if one.error else f"{one.id} {one.done}"
            typer.echo(line, err=bool(one.error))
    if any(one.error for one in outcomes):
        raise typer.Exit(1)
