"""``dashscribe callbacks``: who is told of the end of tasks, and what became of each event, over a server's own routes.

Everything goes through the server, so that it works from any machine with a key: an owner's for the own targets, one of
the owner ``default`` for those of the whole server.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from dashscribe.cli.output import Outcome, print_json, print_outcomes, print_table
from dashscribe.cli.remote import ApiKey, BaseUrl, client, model_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashscribe.client import Client

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Programs that are told of tasks that ended. Example: dashscribe callbacks add https://app.example.org/done",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Targets = Annotated[list[str], typer.Argument(help="Ids of targets, from `ls`.", metavar="TARGET", show_default=False)]
#: How often a test looks for its outcome, in seconds, and for how long: a try takes DASHSCRIBE_CALLBACK_TIMEOUT_S.
POLL_S, TEST_S = 0.2, 330.0


@app.command()
def add(
    url: Annotated[
        str,
        typer.Argument(
            help="Where events are posted, http or https; or rocketmq://HOST:PORT/TOPIC, which is unproven: it was "
            "never run against a broker.",
            metavar="URL",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="A name for your own orientation.")] = "",
    model: Annotated[
        list[str] | None, typer.Option(help="Only tasks of this model; may be repeated.", autocompletion=model_names)
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only SUCCEEDED, FAILED or CANCELED tasks; may be repeated.")
    ] = None,
    token: Annotated[
        str, typer.Option(help="Goes along in a signed header; for RocketMQ ACCESS_KEY:SECRET_KEY.", metavar="TOKEN")
    ] = "",
    policy: Annotated[
        str,
        typer.Option(help="BACKOFF_RETRY: 3 retries, 10 to 20 s apart; EXPONENTIAL_DECAY_RETRY: 176 over a day."),
    ] = "BACKOFF_RETRY",
    signature: Annotated[str, typer.Option(help="current, or legacy for HMAC-SHA1.")] = "current",
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters/--no-dead-letters", help="Keep what could not be delivered, for a replay.")
    ] = True,
    server_wide: Annotated[
        bool, typer.Option("--server-wide", help="Tasks of every owner; wants a key of the owner default.")
    ] = False,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Have a program told of every task that ends from now on, and print the target's id.

    Example: dashscribe callbacks add https://app.example.org/done --status SUCCEEDED --status FAILED --token s3cret
    """
    wanted: dict[str, Any] = {"url": url, "name": name, "models": model or [], "statuses": status or []}
    wanted |= {"policy": policy, "signature": signature, "dead_letters": dead_letters}
    wanted |= {"token": token} if token else {}
    wanted |= {"server_wide": True} if server_wide else {}
    with client(base_url, api_key) as server:
        target = server.callbacks("POST", "targets", json=wanted)
    print_json(target) if as_json else typer.echo(target["id"])
    if target.get("unproven") and not as_json:
        typer.echo("RocketMQ targets are unproven: they were never run against a broker", err=True)


@app.command()
def ls(
    target: Annotated[str, typer.Option(help="Only deliveries to this target.")] = "",
    task: Annotated[str, typer.Option(help="Only deliveries of this task.")] = "",
    state: Annotated[str, typer.Option(help="Only waiting, sending, delivered, dead or dropped ones.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many deliveries at most.")] = 20,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """List the targets and the newest deliveries.

    Example: dashscribe callbacks ls --state dead
    """
    wanted: dict[str, str | int] = {"target_id": target, "task_id": task, "state": state, "limit": limit}
    query = {name: value for name, value in wanted.items() if value}
    with client(base_url, api_key) as server:
        targets = server.callbacks("GET", "targets")["targets"]
        deliveries = server.callbacks("GET", "deliveries", params=query)["deliveries"]
    if as_json:
        print_json({"targets": targets, "deliveries": deliveries})
        return
    _show_targets(targets)
    if deliveries:
        typer.echo()
        _show_deliveries(deliveries)


@app.command()
def show(
    which: Annotated[
        str, typer.Argument(help="A delivery's number or a target's id.", metavar="ID", show_default=False)
    ],
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Show a delivery with its event, or a target.

    Example: dashscribe callbacks show 7
    """
    with client(base_url, api_key) as server:
        found = server.callbacks("GET", f"{'deliveries' if which.isdecimal() else 'targets'}/{quote(which, safe='')}")
    found.pop("request_id", None)
    if as_json:
        print_json(found)
        return
    event = found.pop("event", None)
    for name, value in found.items():
        typer.echo(f"{name:<13} {' '.join(map(str, value)) if name in ('models', 'statuses') else value}")
    if event is not None:
        print_json(event)


@app.command()
def replay(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Numbers of deliveries.", metavar="NUMBER", show_default=False)
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All dead ones, or those of --target.")] = False,
    target: Annotated[str, typer.Option(help="With --dead: only this target's.")] = "",
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Send events again that were delivered or given up; their ids stay, so that consumers know them again.

    Example: dashscribe callbacks replay --dead
    """
    if bool(numbers) == dead:
        raise typer.BadParameter("give numbers, or --dead", param_hint="NUMBER...")
    with client(base_url, api_key) as server:
        chosen = _dead(server, target) if dead else list(numbers or ())
        replayed = [server.callbacks("POST", f"deliveries/{number}/replay") for number in chosen]
    if as_json:
        print_json(replayed)
    else:
        typer.echo(f"{len(replayed)} on their way again" if len(replayed) != 1 else f"{chosen[0]} is on its way again")


@app.command()
def test(
    target: Annotated[str, typer.Argument(help="The id of a target.", metavar="TARGET", show_default=False)],
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Send a test event, signed like all others, and say what came of it; exit 1 unless it was taken.

    Example: dashscribe callbacks test cb-0123456789abcdef
    """
    with client(base_url, api_key) as server:
        sent = server.callbacks("POST", f"targets/{quote(target, safe='')}/test")
        until = time.monotonic() + TEST_S
        while sent["state"] in ("waiting", "sending") and time.monotonic() < until:
            time.sleep(POLL_S)
            sent = server.callbacks("GET", f"deliveries/{sent['id']}")
    if as_json:
        print_json(sent)
    else:
        typer.echo(_told(sent))
    if sent["state"] != "delivered":
        raise typer.Exit(1)


@app.command()
def rm(targets: Targets, as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None) -> None:
    """Remove targets; what waited for them is dropped.

    Example: dashscribe callbacks rm cb-0123456789abcdef
    """
    with client(base_url, api_key) as server:
        outcomes = (_outcome(server, "DELETE", target, "removed") for target in targets)
        print_outcomes(outcomes, as_json=as_json)


@app.command()
def pause(targets: Targets, as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None) -> None:
    """Send nothing to targets for now; their events wait.

    Example: dashscribe callbacks pause cb-0123456789abcdef
    """
    _set_paused(targets, base_url, api_key, paused=True, as_json=as_json)


@app.command()
def resume(targets: Targets, as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None) -> None:
    """Send to paused targets again, what has waited first.

    Example: dashscribe callbacks resume cb-0123456789abcdef
    """
    _set_paused(targets, base_url, api_key, paused=False, as_json=as_json)


@app.command()
def rotate(as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None) -> None:
    """Sign with a new key from now on and print the fingerprint of its certificate; wants a key of the owner default.

    Example: dashscribe callbacks rotate
    """
    with client(base_url, api_key) as server:
        told = server.callbacks("POST", "rotate")
    print_json(told) if as_json else typer.echo(told["fingerprint"])


def _set_paused(
    targets: Sequence[str], base_url: str | None, api_key: str | None, *, paused: bool, as_json: bool
) -> None:
    done = "paused" if paused else "resumed"
    with client(base_url, api_key) as server:
        outcomes = (_outcome(server, "PATCH", target, done, json={"paused": paused}) for target in targets)
        print_outcomes(outcomes, as_json=as_json)


def _outcome(server: Client, method: str, target: str, done: str, **body: Any) -> Outcome:
    """Do something to a target; one that does not exist is no reason to leave the others alone."""
    from dashscribe.client import ApiError

    try:
        server.callbacks(method, f"targets/{quote(target, safe='')}", **body)
    except ApiError as error:
        if error.http_status not in (400, 404):
            raise
        return Outcome(target, done, str(error))
    return Outcome(target, done)


def _dead(server: Client, target: str) -> list[int]:
    """The numbers of all dead deliveries, page by page."""
    found: list[int] = []
    query: dict[str, str | int] = {"state": "dead", "limit": 100} | ({"target_id": target} if target else {})
    while True:
        page = server.callbacks("GET", "deliveries", params=query)["deliveries"]
        found += [delivery["id"] for delivery in page]
        if len(page) < 100:
            return found
        query["before"] = page[-1]["id"]


def _show_targets(targets: Sequence[dict[str, Any]]) -> None:
    rows: list[tuple[str, ...]] = []
    for target in targets:
        of = "everybody" if target["server_wide"] else target["owner"]
        only = ", ".join([*target["models"], *target["statuses"]]) or "all"
        state = "paused" if target["paused"] else "failing" if target["failures"] else "works"
        state += ", unproven" if target.get("unproven") else ""
        name = "(settings)" if target["fixed"] else target["name"]
        rows.append((target["id"], of, target["url"], only, target["policy"], state, name))
    names = ("TARGET", "TASKS OF", "URL", "ONLY", "POLICY", "STATE", "NAME")
    print_table(names, rows, free=("URL", "ONLY"))


def _show_deliveries(deliveries: Sequence[dict[str, Any]]) -> None:
    rows: list[tuple[str, ...]] = []
    for delivery in deliveries:
        last = str(delivery.get("error") or delivery.get("http_status") or "")
        task = delivery.get("task_id", "(test)")
        status = delivery.get("task_status", "")
        counts = (str(delivery["id"]), task, status, delivery["target_id"], delivery["state"])
        rows.append((*counts, str(delivery["attempts"]), last))
    print_table(("NUMBER", "TASK", "ENDED", "TARGET", "STATE", "TRIES", "LAST"), rows, free=("LAST",))


def _told(delivery: dict[str, Any]) -> str:
    """What came of a try, in one line."""
    if delivery["state"] == "delivered":
        return f"delivered: HTTP {delivery.get('http_status')}" if delivery.get("http_status") else "delivered"
    if delivery["state"] in ("waiting", "sending"):
        return "no worker has sent it: is one running?"
    body = f": {delivery['response']!r}" if delivery.get("response") else ""
    return f"not delivered: {delivery.get('error', delivery['state'])}{body}"
