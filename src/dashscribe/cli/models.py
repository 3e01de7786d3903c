"""``dashscribe models``: the public model names, and what would recognize for each of them on this machine now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashscribe.catalog import Model
    from dashscribe.config import Settings

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Model names and the engines behind them. Example: dashscribe models ls --language zh",
)


@app.callback()
def models() -> None:
    """Keeps ``ls`` a subcommand, though it is the only one."""


@app.command()
def ls(
    language: Annotated[
        str, typer.Option(help="Language hints that a call would give, CODE[,CODE]; engines are chosen by them.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all languages and limits.")] = False,
) -> None:
    """List every model name with its languages and the engine that would run now, or why none would.

    Example: dashscribe models ls --language zh,en
    """
    from rich.table import Table

    from dashscribe.catalog import MODELS
    from dashscribe.config import load
    from dashscribe.engines import ENGINES

    settings = load()
    hints = tuple(filter(None, (code.strip() for code in language.split(","))))
    rows = {model: _row(model, hints, settings) for model in MODELS.values()}
    if as_json:
        print_json(list(rows.values()))
        return
    table = Table("MODEL", "CALL", "LANGUAGES", "ENGINE NOW", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for model, row in rows.items():
        table.add_row(model.name, model.interface, _brief(model.coverage), str(row["engine"]) or _why_not(model))
    console().print(table)
    if settings.engine:
        typer.echo(f"\nDASHSCRIBE_ENGINE forces {settings.engine} for every model.")
    for name in sorted({str(row["engine"]) for row in rows.values()} & ENGINES.keys()):
        typer.echo(f"\n{name}: {ENGINES[name].summary}")


def _row(model: Model, hints: tuple[str, ...], settings: Settings) -> dict[str, object]:
    from dashscribe.catalog import choose_engine
    from dashscribe.errors import DashscribeError

    try:
        engine, reason = choose_engine(model, hints, settings).name, ""
    except DashscribeError as error:
        engine, reason = "", error.detail
    return {
        "name": model.name,
        "alias_of": model.alias_of,
        "call": model.interface,
        "languages": list(model.coverage),
        "language_hints": list(model.languages),
        "engine": engine,
        "reason": reason,
        "retired": model.retired,
        "successor": model.successor,
        "max_bytes": model.max_bytes,
        "max_duration_ms": model.max_duration_ms,
        "max_files": model.max_files,
    }


def _why_not(model: Model) -> str:
    """Why no engine would run, in a few words; the JSON has the whole reason."""
    from dashscribe.engines import find_engine, is_installed

    engines = [find_engine(name) for name in model.candidates]
    missing = [info.name for info in engines if not is_installed(info)]
    if missing:
        return f"none: {', '.join(missing)} is not installed"
    languages = sorted({code for info in engines for code in info.languages})
    return f"none: {model.candidates[0]} reads {' '.join(languages)}" if engines else "none reads it"


def _brief(codes: Sequence[str]) -> str:
    return " ".join(codes[:3]) + (f" +{len(codes) - 3}" if len(codes) > 3 else "")
