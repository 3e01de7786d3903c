"""``dashscribe conformance``: replay the documented call forms against a server and show where its answers differ.

The report goes to standard output, what happens meanwhile to standard error. Exit codes: 0 all as documented, 1 some
are not, 2 it could not be run, 130 interrupted; the report then covers what was replayed.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import print_json, print_table, telling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashscribe.conformance.cases import Case
    from dashscribe.conformance.replay import Result

CANNOT_RUN = 2
INTERRUPTED = 130


def conformance(
    base_url: Annotated[
        str | None,
        typer.Option(help="Server to test; else DASHSCOPE_HTTP_BASE_URL, else this machine's.", metavar="URL"),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Key to send; else DASHSCOPE_API_KEY or DASHSCRIBE_API_KEY.", metavar="KEY")
    ] = None,
    only: Annotated[
        str, typer.Option(help="Replay the forms whose id has this text or matches this pattern.", metavar="PATTERN")
    ] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print every field that was looked at, as JSON.")] = False,
    list_only: Annotated[
        bool, typer.Option("--list", help="List the forms with their sources, and call nobody.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Longest wait for one answer, and for one task's end, in seconds.", min=0.1)
    ] = 60.0,
    serve_on: Annotated[
        str,
        typer.Option(
            help="Serve sounds here for the server to fetch, where it runs on another machine that reaches this one.",
            metavar="HOST:PORT",
        ),
    ] = "",
) -> None:
    """Replay the documented call forms against a server, ours or the cloud's, and compare every answer.

    Example: dashscribe conformance --base-url http://127.0.0.1:8000/api/v1 --api-key sk-... --only 'chat*'
    """
    from dashscribe.conformance.cases import load

    cases = load(only)
    if not cases:
        raise typer.BadParameter(f"no form is called like {only!r}; --list shows them", param_hint="--only")
    if list_only:
        _list(cases, as_json=as_json)
        return
    key = api_key or os.environ.get("DASHSCOPE_API_KEY") or os.environ.get("DASHSCRIBE_API_KEY")
    if not key:
        raise typer.BadParameter("give one, or set DASHSCOPE_API_KEY", param_hint="--api-key")
    address = _address(serve_on) if serve_on else None
    results, interrupted = _replay(cases, base_url, key, timeout, address)
    _report(results, as_json=as_json)
    if interrupted:
        typer.echo(f"interrupted after {len(results)} of {len(cases)} forms", err=True)
        raise typer.Exit(INTERRUPTED)
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(1)


def _replay(
    cases: Sequence[Case], base_url: str | None, key: str, timeout_s: float, serve_on: tuple[str, int] | None
) -> tuple[list[Result], bool]:
    """The results, and whether Ctrl-C ended it early."""
    from dashscribe.client import DEFAULT_BASE_URL
    from dashscribe.conformance.replay import CannotRunError, connect

    base_url = base_url or os.environ.get("DASHSCOPE_HTTP_BASE_URL") or DEFAULT_BASE_URL
    results: list[Result] = []
    try:
        with (
            telling() as tell,
            connect(base_url, key, limit_s=timeout_s, serve_on=serve_on) as replay,
        ):
            tell(f"1 of {len(cases)}: {cases[0].id}")
            for result in replay.run(cases):
                results.append(result)
                tell(f"{len(results)} of {len(cases)}, last {result.case.id}: {result.outcome}")
    except KeyboardInterrupt:
        return results, True
    except CannotRunError as error:
        typer.echo(f"dashscribe: {error}", err=True)
        raise typer.Exit(CANNOT_RUN) from error
    return results, False


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--serve-on")
    return host, int(port)


def _list(cases: Sequence[Case], *, as_json: bool) -> None:
    rows = [
        {"id": case.id, "title": case.title, "replay": case.replay, "page": case.page, "section": case.section}
        for case in cases
    ]
    if as_json:
        print_json(rows)
        return
    told = [(row["id"], row["title"], row["replay"], f"{row['page']}: {row['section']}") for row in rows]
    print_table(("FORM", "WHAT", "HOW", "DOCUMENTED IN"), told, free=("WHAT", "DOCUMENTED IN"))


def _report(results: Sequence[Result], *, as_json: bool) -> None:
    """Every form with its outcome; of one that failed each field that differs, of one that was skipped the reason."""
    outcomes = [result.outcome for result in results]
    counts = {name: outcomes.count(name) for name in ("passed", "failed", "skipped")}
    if as_json:
        print_json({"counts": counts, "forms": [_row(result) for result in results]})
        return
    rows: list[tuple[str, ...]] = []
    for result in results:
        different = [finding for finding in result.findings if not finding.holds]
        if not different:
            told = result.reason or f"{len(result.findings)} fields as documented"
            rows.append((result.outcome, result.case.id, "", "", told))
        for finding in different:
            rows.append(("failed", result.case.id, f"{finding.step}. {finding.field}", finding.expected, finding.got))
    print_table(("RESULT", "FORM", "FIELD", "EXPECTED", "GOT"), rows, free=("FIELD", "EXPECTED", "GOT"))
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))


def _row(result: Result) -> dict[str, object]:
    case = result.case
    return {
        "form": case.id,
        "title": case.title,
        "page": case.page,
        "section": case.section,
        "replay": case.replay,
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "fields": [asdict(finding) for finding in result.findings],
    }
