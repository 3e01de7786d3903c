"""What tables and JSON on standard output have in common, so that every command prints alike."""

from __future__ import annotations

import json
import sys
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
