"""``dashscribe keys``: make, list and revoke the API keys of this machine's database, server or no server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import console, print_json

if TYPE_CHECKING:
    from dashscribe.keys import Keys

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="API keys of this installation. Example: dashscribe keys create --name laptop",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    owner: Annotated[str, typer.Option(help="Whose tasks the key sees; keys of one owner see the same.")] = "default",
    name: Annotated[str, typer.Option(help="A name for your own orientation.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; this is the only time that it is shown.

    Example: export DASHSCOPE_API_KEY=$(dashscribe keys create --name laptop)
    """
    key_id, secret = _keys().create(owner, name)
    if as_json:
        print_json({"id": key_id, "owner": owner, "name": name, "secret": secret})
        return
    typer.echo(secret)
    typer.echo(f"key {key_id} of owner {owner}; it is not shown again", err=True)


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the keys, revoked ones included, without their secrets.

    Example: dashscribe keys ls --json
    """
    from rich.table import Table

    keys = _keys().list()
    if as_json:
        print_json(
            [
                {
                    "id": key.id,
                    "owner": key.owner,
                    "name": key.name,
                    "hint": key.hint,
                    "created_at": key.created_at.isoformat(),
                    "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
                }
                for key in keys
            ]
        )
        return
    table = Table("ID", "OWNER", "NAME", "KEY", "CREATED", "STATE", box=None, pad_edge=False)
    for key in keys:
        state = f"revoked {key.revoked_at.astimezone():%Y-%m-%d}" if key.revoked_at else "works"
        table.add_row(
            key.id, key.owner, key.name, f"…{key.hint}", f"{key.created_at.astimezone():%Y-%m-%d %H:%M}", state
        )
    console().print(table)


@app.command()
def revoke(
    key_ids: Annotated[
        list[str], typer.Argument(help="Ids from `dashscribe keys ls`.", metavar="ID...", show_default=False)
    ],
) -> None:
    """End keys for good; a running server refuses them within a second. Exit 1 if one of them does not exist.

    Example: dashscribe keys revoke 2
    """
    keys = _keys()
    failed = False
    for key_id in key_ids:
        if keys.revoke(key_id):
            typer.echo(f"key {key_id} revoked")
        else:
            failed = True
            typer.echo(f"no working key has the id {key_id!r}; `dashscribe keys ls` lists them", err=True)
    if failed:
        raise typer.Exit(1)


def _keys() -> Keys:
    from dashscribe.config import load
    from dashscribe.db import open_database
    from dashscribe.keys import Keys

    settings = load()
    return Keys(open_database(settings.resolved_database_url), settings)
