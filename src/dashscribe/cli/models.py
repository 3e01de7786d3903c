"""``dashscribe models``: the public model names, what would recognize for each of them here, and model weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli import model_files
from dashscribe.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashscribe.catalog import Model
    from dashscribe.choice import Standing
    from dashscribe.config import Settings
    from dashscribe.suggest import RuledOut, Suggestion

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Model names, the engines behind them, and their weights. Example: dashscribe models ls --language zh",
)

Language = Annotated[
    str, typer.Option(help="Language hints that a call would give, CODE[,CODE]; engines are chosen by them.")
]
#: How many suggestions are shown unless all are asked for.
BEST = 5


@app.callback()
def models() -> None:
    """The group has no options of its own."""


@app.command()
def ls(
    language: Language = "",
    installed: Annotated[bool, typer.Option("--installed", help="List the installed weights instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all languages and limits.")] = False,
) -> None:
    """List every model name with its languages and the engine that would run now, or why none would.

    Example: dashscribe models ls --language zh,en
    """
    from dashscribe.catalog import MODELS
    from dashscribe.choice import described, standing
    from dashscribe.config import load

    settings = load()
    if installed:
        _list_installed(settings, as_json=as_json)
        return
    hints = _codes(language)
    stands = {model: standing(model, hints, settings) for model in MODELS.values()}
    if as_json:
        print_json([described(model, stand) for model, stand in stands.items()])
        return
    _print_table(stands)
    _print_footer(stands, settings)


@app.command()
def suggest(
    file: Annotated[str, typer.Argument(help="The recording.", metavar="FILE")],
    language: Annotated[str, typer.Option(help="What is spoken, CODE[,CODE], if it is known.")] = "",
    need: Annotated[str, typer.Option(help="What the result must tell: words, emotion, speakers, with commas.")] = "",
    every: Annotated[bool, typer.Option("--all", help=f"All names that suit it, not the best {BEST}.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with what is ruled out and why.")] = False,
) -> None:
    """Say which model names suit a recording on this machine, best first, and why.

    Example: dashscribe models suggest interview.mp3 --language zh --need words,emotion
    """
    from pathlib import Path

    from dashscribe.config import load
    from dashscribe.hosts import Hosts
    from dashscribe.suggest import NEEDS
    from dashscribe.suggest import suggest as ranked

    needs = tuple(filter(None, (part.strip() for part in need.split(","))))
    if unknown := [part for part in needs if part not in NEEDS]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(NEEDS)}", param_hint="--need")
    path = Path(file)
    if not path.is_file():
        raise typer.BadParameter(f"{file}: no such file", param_hint="FILE")
    settings = load()
    with Hosts(settings, slots=1) as hosts:
        media = hosts.probe(path, file)
    found, others = ranked(media, path.stat().st_size, _codes(language), needs, settings)
    if as_json:
        print_json({"suggested": [_suggestion(s) for s in found], "ruled_out": [_ruled_out(o) for o in others]})
    else:
        _print_suggestions(found, others, len(found) if every else BEST)
    raise typer.Exit(0 if found else 1)


for _command in (model_files.pull, model_files.add, model_files.verify, model_files.rm):
    app.command()(_command)


def _codes(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (code.strip() for code in text.split(","))))


# --- what is printed ------------------------------------------------------------------------------------------------


def _print_table(stands: dict[Model, Standing]) -> None:
    from dashscribe.choice import weights_for

    rows: list[tuple[str, ...]] = []
    for model, stand in stands.items():
        engine = stand.engine.name if stand.engine else "none"
        reason = stand.why if stand.engine else f"none installed reads it: dashscribe models pull {weights_for(model)}"
        rows.append((model.name, model.interface, _brief(model.coverage), engine, reason))
    print_table(("MODEL", "CALL", "LANGUAGES", "ENGINE NOW", "WHY"), rows, free=("WHY",))


def _print_footer(stands: dict[Model, Standing], settings: Settings) -> None:
    """What stands below the table: what was forced, what the engines in it are, and how to have others."""
    from dashscribe.engines.sherpa import provider_problem

    if settings.engine:
        typer.echo(f"\nDASHSCRIBE_ENGINE forces {settings.engine} for every model.")
    engines = {stand.engine.name: stand.engine for stand in stands.values() if stand.engine}
    for name in sorted(engines):
        typer.echo(f"\n{name}: {engines[name].summary}")
    problem = provider_problem(settings)
    typer.echo(f"\nEngines with weights compute on {settings.provider}{f': {problem}' if problem else ''}.")
    typer.echo("\n`dashscribe models pull NAME` installs weights, `dashscribe models ls --installed` lists them.")


def _list_installed(settings: Settings, *, as_json: bool) -> None:
    from dashscribe.weights import installed
    from dashscribe.weights.known import KNOWN

    models = installed(settings.resolved_models_dir)
    if as_json:
        print_json(
            [
                {"name": m.name, "family": m.family, "languages": list(m.languages), "source": m.source}
                | {"license": m.license, "digest": m.digest, "folder": str(m.folder)}
                | {"batch": m.batches.get(settings.provider, 1)}
                for m in models.values()
            ]
        )
        return
    rows = [(m.name, m.layout.family.title, _brief(m.languages), m.source) for m in models.values()]
    if models:
        print_table(("NAME", "FAMILY", "LANGUAGES", "FROM"), rows, free=("FROM",))
    else:
        typer.echo(f"No weights are installed in {settings.resolved_models_dir}.")
    others = [name for name in KNOWN if name not in models]
    typer.echo(f"\n`dashscribe models pull NAME` installs: {', '.join(others)}")


def _suggestion(suggestion: Suggestion) -> dict[str, object]:
    model, engine = suggestion.model, suggestion.engine
    return {"model": model.name, "call": model.interface, "engine": engine.name, "reasons": list(suggestion.reasons)}


def _ruled_out(other: RuledOut) -> dict[str, str]:
    return {"model": other.model.name, "reason": other.reason}


def _print_suggestions(found: Sequence[Suggestion], others: Sequence[RuledOut], most: int) -> None:
    if found:
        rows = [(str(rank), s.model.name, "; ".join(s.reasons)) for rank, s in enumerate(found[:most], start=1)]
        print_table(("", "MODEL", "REASONS"), rows, free=("REASONS",))
    if len(found) > most:
        typer.echo(f"\n{len(found) - most} other names suit it, too, old ones among them: --all shows them")
    by_reason: dict[str, list[str]] = {}
    for other in others:
        by_reason.setdefault(other.reason, []).append(other.model.name)
    for reason, names in by_reason.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        typer.echo(f"\nnot {shown}: {reason}")


def _brief(codes: Sequence[str]) -> str:
    return " ".join(codes[:3]) + (f" +{len(codes) - 3}" if len(codes) > 3 else "")
