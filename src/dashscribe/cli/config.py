"""``dashscribe config``: every setting with the value that counts and where it comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import print_json, print_table

if TYPE_CHECKING:
    from dashscribe.config import Settings


def config(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with units and meanings.")] = False,
) -> None:
    """Show each setting, its value and its origin: the environment, the TOML file or the default. Secrets are masked.

    Example: DASHSCRIBE_WORKERS=2 dashscribe config
    """
    from dashscribe.config import Settings, config_file, load

    settings = load()
    origins = _origins()
    rows = [
        {
            "name": name,
            "value": _shown(name, settings),
            "origin": origins.get(name, "default"),
            "variable": f"DASHSCRIBE_{name.upper()}",
            "description": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        print_json(rows)
        return
    told = [(row["name"], row["value"], row["origin"]) for row in rows]
    print_table(("SETTING", "VALUE", "ORIGIN"), told, free=("VALUE",))
    there = "" if config_file().is_file() else " (does not exist)"
    typer.echo(f"\nfile: {config_file()}{there}; variables: DASHSCRIBE_ and the name in upper case", err=True)


def _origins() -> dict[str, str]:
    """Where each setting that is not at its default was found; the environment goes before the file."""
    from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

    from dashscribe.config import Settings, config_file

    file = dict.fromkeys(TomlConfigSettingsSource(Settings, config_file())(), str(config_file()))
    return file | {name: f"DASHSCRIBE_{name.upper()}" for name in EnvSettingsSource(Settings)()}


def _shown(name: str, settings: Settings) -> str:
    """A value as text: what an empty one resolves to, no secret, no password of a URL."""
    resolved = {
        "database_url": settings.resolved_database_url,
        "store_url": settings.resolved_store_url,
        "models_dir": settings.resolved_models_dir,
    }
    value = resolved.get(name, getattr(settings, name))
    return re.sub(r"(://[^:/@]*:)[^@/]+@", r"\1********@", "" if value is None else str(value))
