"""``dashscribe keys``: make, list and revoke the API keys of this machine's database, server or no server.

``lend`` alone asks a server, any that keeps to the documented route: a temporary key for a page or a phone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import Outcome, print_json, print_outcomes, print_table
from dashscribe.cli.remote import ApiKey, BaseUrl, client

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dashscribe.keys import Keys

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="API keys of this installation. Example: dashscribe keys create --name laptop",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    owner: Annotated[str, typer.Option(help="Whose tasks the key sees; keys of one owner see the same.")] = "default",
    name: Annotated[str, typer.Option(help="A name for your own orientation.")] = "",
    quota_seconds: Annotated[
        str,
        typer.Option(help="Seconds of sound that the key may have worked on each month (UTC).", metavar="N[/month]"),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; this is the only time that it is shown.

    Example: export DASHSCOPE_API_KEY=$(dashscribe keys create --name laptop --quota-seconds 36000/month)
    """
    quota_s = _quota(quota_seconds)
    key_id, secret = _keys().create(owner, name, quota_s)
    if as_json:
        print_json({"id": key_id, "owner": owner, "name": name, "quota_seconds": quota_s, "secret": secret})
        return
    typer.echo(secret)
    typer.echo(f"key {key_id} of owner {owner}; it is not shown again", err=True)


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the keys, revoked ones included, without their secrets, and the seconds they used this month (UTC).

    WEIGHT is the owner's share where several have work that waits. Example: dashscribe keys ls --json
    """
    from dashscribe import order

    database = _database()
    keys, weights = _keys(database).list(), order.weights(database)
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
                    "quota_seconds": key.quota_s,
                    "used_seconds": _seconds(key.used_ms),
                    "owner_weight": weights.get(key.owner, 1),
                }
                for key in keys
            ]
        )
        return
    names = ("ID", "OWNER", "WEIGHT", "NAME", "KEY", "CREATED", "STATE", "USED", "QUOTA")
    rows: list[tuple[str, ...]] = []
    for key in keys:
        state = f"revoked {key.revoked_at.astimezone():%Y-%m-%d}" if key.revoked_at else "works"
        created = f"{key.created_at.astimezone():%Y-%m-%d %H:%M}"
        quota = f"{key.quota_s} s/month" if key.quota_s is not None else "none"
        used = f"{_seconds(key.used_ms)} s"
        weight = str(weights.get(key.owner, 1))
        rows.append((key.id, key.owner, weight, key.name, f"…{key.hint}", created, state, used, quota))
    print_table(names, rows)


@app.command()
def revoke(
    key_ids: Annotated[
        list[str], typer.Argument(help="Ids from `dashscribe keys ls`.", metavar="ID", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """End keys for good; a running server refuses them within a second. Exit 1 if one of them does not exist.

    Example: dashscribe keys revoke 2
    """
    keys, hint = _keys(), "`dashscribe keys ls` lists them"
    outcomes = (
        Outcome(key_id, "revoked", "" if keys.revoke(key_id) else f"no working key has the id {key_id!r}; {hint}")
        for key_id in key_ids
    )
    print_outcomes(outcomes, as_json=as_json)


@app.command()
def lend(
    seconds: Annotated[int, typer.Option(min=1, max=1800, help="How long it works.", metavar="N")] = 60,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Have a server make a temporary key, which works like the one that is sent, and print it.

    Example: dashscribe keys lend --seconds 600 --base-url https://asr.example.org
    """
    with client(base_url, api_key) as server:
        lent = server.lend(seconds)
    if as_json:
        print_json(lent)
        return
    typer.echo(lent.get("token", ""))
    typer.echo(f"it works for {seconds} s", err=True)


@app.command()
def weight(
    owner: Annotated[str, typer.Argument(help="An owner, as `dashscribe keys ls` tells them.", show_default=False)],
    weight: Annotated[int, typer.Argument(min=1, max=1000, help="Its share beside other owners' 1.", metavar="N")],
    as_json: AsJson = False,
) -> None:
    """Give an owner a larger share of recognition where several have work that waits.

    With 3 beside an owner of 1, three of four seconds of sound are this owner's. It holds for what is submitted and cut
    from then on, also by a server that runs. Example: dashscribe keys weight lab 3
    """
    from dashscribe import order

    database = _database()
    if owner not in {key.owner for key in _keys(database).list()} | set(order.weights(database)):
        raise typer.BadParameter(f"no key belongs to {owner!r}; `dashscribe keys ls` lists the owners")
    order.set_weight(database, owner, weight)
    print_json({"owner": owner, "weight": weight}) if as_json else typer.echo(f"owner {owner} has the weight {weight}")


def _quota(text: str) -> int | None:
    """``N`` or ``N/month`` in seconds; None where nothing is given."""
    if not text:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,9})(/month)?", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is not N or N/month with N from 1", param_hint="--quota-seconds")
    return int(found[1])


def _seconds(duration_ms: int) -> int:
    """Whole seconds, begun ones included."""
    return -(-duration_ms // 1000)


def _database() -> Engine:
    from dashscribe.config import load
    from dashscribe.db import open_database

    return open_database(load().resolved_database_url)


def _keys(database: Engine | None = None) -> Keys:
    from dashscribe.config import load
    from dashscribe.keys import Keys

    return Keys(database or _database(), load())
