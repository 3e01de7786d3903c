"""``dashscribe doctor``: what is wrong with this installation and what to do about it, without changing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dashscribe.cli.output import print_json

if TYPE_CHECKING:
    from dashscribe.cli.findings import Finding


def doctor(
    host: Annotated[str, typer.Option(help="Address on which `serve` is to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on which it is to listen.")] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation line by line; what is wrong comes with a remedy. Exits with 1 if anything fails.

    Nothing is changed, and servers that run are not disturbed.

    Example: dashscribe doctor --port 9000
    """
    from dashscribe.cli import unwind_when_killed

    unwind_when_killed()
    findings: list[Finding] = []
    for finding in _findings(host, port):
        findings.append(finding)
        if not as_json:
            _show(finding)
    failed = sum(finding.status == "fail" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        warned = sum(finding.status == "warn" for finding in findings)
        typer.echo(f"\n{len(findings)} checks, {failed} failed, {warned} with a warning")
    raise typer.Exit(1 if failed else 0)


def _findings(host: str, port: int) -> Iterator[Finding]:
    from dashscribe.cli.checkup import examine, python
    from dashscribe.cli.findings import Finding, Patient
    from dashscribe.config import load
    from dashscribe.errors import ConfigError
    from dashscribe.hosts import Hosts

    yield python()
    try:
        settings = load()
    except (ConfigError, OSError, ValueError) as error:  # the last two are what reading the file may raise
        remedy = "correct it; `dashscribe config` shows every setting. Nothing else can be checked until then"
        yield Finding("settings", "fail", str(error), remedy)
        return
    with Hosts(settings, slots=1) as hosts:
        yield from examine(Patient(settings=settings, hosts=hosts, host=host, port=port))


def _show(finding: Finding) -> None:
    """One line in a pipe; on a terminal as many as it takes, none of them below the status or the name."""
    text = finding.detail + (f" -> {finding.remedy}" if finding.remedy else "")
    if not sys.stdout.isatty():
        typer.echo(f"{finding.status:<5} {finding.name:<10} {text}")
        return
    from rich.table import Table

    from dashscribe.cli.output import console

    table = Table.grid(padding=(0, 1), pad_edge=False)
    for width in (5, 10):
        table.add_column(width=width)
    table.add_column(overflow="fold")
    table.add_row(finding.status, finding.name, text)
    console().print(table)
