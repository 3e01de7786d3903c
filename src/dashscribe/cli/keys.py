"""``dashscribe keys``: make, list and revoke API keys in this machine's database, or over the routes of a server.

The database has the keys of all owners; a server tells and ends those of the owner whose key is sent. ``lend`` always
asks a server, any that keeps to the documented route: a temporary key for a page or a phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashscribe.cli.output import Outcome, print_json, print_outcomes, print_table
from dashscribe.cli.remote import ApiKey, BaseUrl, client

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dashscribe.client import Client
    from dashscribe.keys import Key, Keys

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="API keys of this installation. Example: dashscribe keys create --name laptop",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Server = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Ask this server; else this machine's database.")
]


@app.command()
def create(
    owner: Annotated[
        str | None,
        typer.Option(
            help="Whose tasks the key sees, `default` if not said; a server makes keys for its caller's owner only.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="A name for your own orientation.")] = "",
    quota_seconds: Annotated[
        str,
        typer.Option(help="Seconds of sound that the key may have worked on each month (UTC).", metavar="N[/month]"),
    ] = "",
    as_json: AsJson = False,
    base_url: Server = None,
    api_key: ApiKey = None,
) -> None:
    """Make a key and print it; this is the only time that it is shown.

    Example: export DASHSCOPE_API_KEY=$(dashscribe keys create --name laptop --quota-seconds 36000/month)

    Example, on a server: dashscribe keys create --name phone --base-url https://asr.example.org
    """
    quota_s = _quota(quota_seconds)
    if base_url is None:
        owner = owner or "default"
        key_id, secret = _keys().create(owner, name, quota_s)
    else:
        if owner is not None:
            raise typer.BadParameter("a server makes keys of the owner whose key is sent", param_hint="--owner")
        with client(base_url, api_key) as server:
            key_id, secret = server.make_key(name, quota_s)
            owner = _owner(server)
    if as_json:
        print_json({"id": key_id, "owner": owner, "name": name, "quota_seconds": quota_s, "secret": secret})
        return
    typer.echo(secret)
    typer.echo(f"key {key_id} of owner {owner}; it is not shown again", err=True)


@app.command()
def ls(as_json: AsJson = False, base_url: Server = None, api_key: ApiKey = None) -> None:
    """List the keys, revoked ones included, without their secrets, and the seconds they used this month (UTC).

    WEIGHT is the owner's share where several have work that waits; a server does not tell it.

    Example: dashscribe keys ls --json

    Example, those of one's owner on a server: dashscribe keys ls --base-url https://asr.example.org
    """
    keys, weights = _known() if base_url is None else (_told(base_url, api_key), None)
    if as_json:
        print_json([_row(key, weights) for key in keys])
        return
    names = ["ID", "OWNER", "WEIGHT", "NAME", "KEY", "CREATED", "STATE", "USED", "QUOTA"]
    rows: list[list[str]] = []
    for key in keys:
        state = f"revoked {key.revoked_at.astimezone():%Y-%m-%d}" if key.revoked_at else "works"
        created = f"{key.created_at.astimezone():%Y-%m-%d %H:%M}"
        quota = f"{key.quota_s} s/month" if key.quota_s is not None else "none"
        used = f"{_seconds(key.used_ms)} s"
        weight = str((weights or {}).get(key.owner, 1))
        rows.append([key.id, key.owner, weight, key.name, f"…{key.hint}", created, state, used, quota])
    if weights is None:
        for line in (names, *rows):
            del line[2]
    print_table(names, rows)


@app.command()
def revoke(
    key_ids: Annotated[
        list[str], typer.Argument(help="Ids from `dashscribe keys ls`.", metavar="ID", show_default=False)
    ],
    as_json: AsJson = False,
    base_url: Server = None,
    api_key: ApiKey = None,
) -> None:
    """End keys for good; a running server refuses them within a second. Exit 1 if one of them does not exist.

    Example: dashscribe keys revoke 2

    Example, on a server: dashscribe keys revoke 2 --base-url https://asr.example.org
    """
    if base_url is None:
        keys = _keys()
        print_outcomes((_ended(key_id, known=keys.revoke(key_id)) for key_id in key_ids), as_json=as_json)
        return
    with client(base_url, api_key) as server:
        print_outcomes(_ended_there(server, key_ids), as_json=as_json)


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


def _ended(key_id: str, *, known: bool) -> Outcome:
    error = "" if known else f"no working key has the id {key_id!r}; `dashscribe keys ls` lists them"
    return Outcome(key_id, "revoked", error)


def _ended_there(server: Client, key_ids: Sequence[str]) -> Iterator[Outcome]:
    from dashscribe.client import ApiError

    for key_id in key_ids:
        known = True
        try:
            server.end_key(key_id)
        except ApiError as error:
            if error.http_status != 404:
                raise
            server.me()  # one that has no such route has this one neither, and says what it is
            known = False
        yield _ended(key_id, known=known)


def _known() -> tuple[Sequence[Key], Mapping[str, int]]:
    """The keys of this machine's database, and the weights of owners."""
    from dashscribe import order

    database = _database()
    return _keys(database).list(), order.weights(database)


def _told(base_url: str, api_key: str | None) -> list[Key]:
    """The keys of the caller's owner, as a server tells them."""
    from dashscribe.db import as_datetime
    from dashscribe.keys import Key

    with client(base_url, api_key) as server:
        keys, owner = server.keys(), _owner(server)
    return [
        Key(
            id=key.id,
            owner=owner,
            name=key.name,
            hint=key.hint,
            created_at=as_datetime(key.created_ms),
            revoked_at=None if key.revoked_ms is None else as_datetime(key.revoked_ms),
            quota_s=key.quota_s,
            used_ms=key.used_ms,
        )
        for key in keys
    ]


def _owner(server: Client) -> str:
    return str(server.me().get("owner", ""))


def _row(key: Key, weights: Mapping[str, int] | None) -> dict[str, Any]:
    row = {
        "id": key.id,
        "owner": key.owner,
        "name": key.name,
        "hint": key.hint,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "quota_seconds": key.quota_s,
        "used_seconds": _seconds(key.used_ms),
    }
    return row if weights is None else row | {"owner_weight": weights.get(key.owner, 1)}


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
    from dashscribe.cli.private import keep_private
    from dashscribe.config import load
    from dashscribe.db import open_database

    settings = load()
    keep_private(settings.home)
    return open_database(settings.resolved_database_url)


def _keys(database: Engine | None = None) -> Keys:
    from dashscribe.config import load
    from dashscribe.keys import Keys

    return Keys(database or _database(), load())
