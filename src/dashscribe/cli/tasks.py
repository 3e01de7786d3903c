"""``dashscribe tasks``: hand in, follow and cancel tasks of a server, ours or the cloud, over the documented routes.

Only ``retry`` wants a server of ours: the cloud tells neither a task's parameters nor, for some models, its URLs, from
which a task could be submitted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashscribe.cli.output import Outcome, end_of, print_json, print_outcomes, print_table
from dashscribe.cli.remote import ApiKey, AsJson, BaseUrl, client, model_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.progress import TaskID

    from dashscribe.client import Client, RemoteTask, TaskAnswer

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Tasks of a running server. Example: dashscribe tasks wait 7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f",
)

STATUSES = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED")


def _statuses(incomplete: str) -> list[str]:
    return [name for name in STATUSES if name.startswith(incomplete)]


TaskId = Annotated[str, typer.Argument(help="The id that submitting gave.", metavar="TASK_ID", show_default=False)]


@app.command()
def submit(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Audio or video: local files, which are uploaded first, or http, https and oss URLs.",
            metavar="FILE|URL",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Model name; `dashscribe models ls` lists them.", autocompletion=model_names)
    ] = "fun-asr",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", help="A parameter of the model, NAME=VALUE, VALUE as JSON or plain text."),
    ] = None,
    wait_for_it: Annotated[
        bool, typer.Option("--wait", help="Wait for the end and show where the results are.")
    ] = False,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Hand in files and URLs as a new task and print its id. No web server is needed for local files.

    Files are kept on the server for 48 hours; an upload that breaks off goes on where it was.

    Example: dashscribe tasks submit meeting.m4a https://example.com/a.mp3 -p language_hints='["en"]' --wait
    """
    parameters = dict(map(_parameter, parameter or ()))
    local = _local_files(sources)
    with client(base_url, api_key) as server:
        uploaded = _upload(server, model, local)
        urls = [uploaded.get(source, source) for source in sources]
        task = server.submit(model, urls, parameters)
        _end_submit(server, task, wait_for_it=wait_for_it, as_json=as_json)


@app.command()
def ls(
    status: Annotated[
        str,
        typer.Option(
            help="Only PENDING, RUNNING, SUCCEEDED, FAILED or CANCELED.",
            autocompletion=_statuses,
        ),
    ] = "",
    model: Annotated[str, typer.Option(help="Only tasks of this model.", autocompletion=model_names)] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """List the tasks of the last 24 hours, the newest first.

    Example: dashscribe tasks ls --status FAILED
    """
    from datetime import datetime

    import msgspec

    with client(base_url, api_key) as server:
        page = server.list(status=status.upper(), model=model, page_size=limit)
    if as_json:
        print_json({"total": page.total, "data": msgspec.to_builtins(page.tasks)})
        return
    rows: list[tuple[str, ...]] = []
    for task in page.tasks:
        submitted = datetime.fromtimestamp(task.submitted_ms / 1000).astimezone()
        took = f"{(task.ended_ms - task.submitted_ms) / 1000:.1f} s" if task.ended_ms else ""
        rows.append((task.id, task.code or task.status, task.model, f"{submitted:%m-%d %H:%M:%S}", took))
    print_table(("TASK", "STATUS", "MODEL", "SUBMITTED", "TOOK"), rows)
    if page.total > len(page.tasks):
        typer.echo(f"{len(page.tasks)} of {page.total} tasks; --limit shows more", err=True)


@app.command()
def get(task_id: TaskId, as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None) -> None:
    """Show a task: its status and, once it has ended, each file's result or error. Exit 1 if the server knows none.

    Example: dashscribe tasks get 7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f --json
    """
    with client(base_url, api_key) as server:
        answer = server.task(task_id)
        _show(server, answer, as_json=as_json)
    if answer.task.status == "UNKNOWN":
        raise typer.Exit(1)


@app.command()
def wait(
    task_id: TaskId,
    timeout: Annotated[float, typer.Option(min=0, help="Give up after this many seconds; 0: never.")] = 0.0,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Wait until a task has ended, then show it; exit 1 unless it succeeded. Ctrl-C leaves the task running.

    Example: dashscribe tasks wait 7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f --timeout 600
    """
    with client(base_url, api_key) as server:
        _follow(server, task_id, timeout or float("inf"), as_json=as_json)


@app.command()
def cancel(
    task_ids: Annotated[list[str], typer.Argument(help="One or more ids.", metavar="TASK_ID", show_default=False)],
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Cancel tasks that are still waiting; exit 1 if one of them could not be.

    Example: dashscribe tasks cancel 7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f
    """
    with client(base_url, api_key) as server:
        print_outcomes((_canceled(server, task_id) for task_id in task_ids), as_json=as_json)


@app.command()
def retry(
    task_id: TaskId,
    stage: Annotated[
        str,
        typer.Option(help="Do this again in place: speakers, hotwords, marks, fillers, numbers or sensitive-words."),
    ] = "",
    speakers: Annotated[
        int | None,
        typer.Option(min=2, max=100, help="With --stage speakers: how many there are.", show_default=False),
    ] = None,
    file: Annotated[
        int | None,
        typer.Option(min=0, help="With --stage: only this file, counted from 0.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Without --stage: files that did not fail, too.")] = False,
    wait_for_it: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the end and say what changed.")
    ] = True,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Do the files of a task that failed again as a new task, or with --stage one late stage of it in place.

    A stage runs with the models, lists and settings of now. Nothing is recognized again, and the old result stays until
    the new one is there, and for good if the stage fails; that exits with 1. Needs a dashscribe server.

    Example: dashscribe tasks retry 7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f --stage speakers --speakers 3
    """
    from dashscribe.cli import retry as retrying

    retrying.check_usage(stage, speakers, file, every)
    with client(base_url, api_key) as server:
        if stage:
            request = retrying.Request(task_id, stage, speakers, file)
            if not retrying.redo(server, request, wait_for_it=wait_for_it, as_json=as_json):
                raise typer.Exit(1)
            return
        task = server.retry(task_id, every=every).task
        if wait_for_it:
            typer.echo(f"new task {task.id}", err=True)
        _end_submit(server, task, wait_for_it=wait_for_it, as_json=as_json)


def _canceled(server: Client, task_id: str) -> Outcome:
    from dashscribe.client import ApiError

    try:
        server.cancel(task_id)
    except ApiError as error:
        if error.http_status != 400:
            raise
        return Outcome(task_id, "canceled", str(error))
    return Outcome(task_id, "canceled")


def _end_submit(client: Client, task: RemoteTask, *, wait_for_it: bool, as_json: bool) -> None:
    """Follow a new task, or just say what its id is."""
    if wait_for_it:
        _follow(client, task.id, float("inf"), as_json=as_json)
    else:
        print_json({"task_id": task.id, "task_status": task.status}) if as_json else typer.echo(task.id)


def _local_files(sources: Sequence[str]) -> dict[str, Path]:
    """The sources that are no URLs, each once; what is no file is wrong usage, told before anything is sent."""
    from pathlib import Path

    local = {source: Path(source) for source in sources if "://" not in source}
    for source, path in local.items():
        if not path.is_file():
            raise typer.BadParameter(f"{source!r} is neither a file nor a URL", param_hint="FILE|URL...")
    return local


def _upload(client: Client, model: str, files: Mapping[str, Path]) -> dict[str, str]:
    """Upload files with a progress bar each on stderr: their URLs by name."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),  # with all others on a line of 80 columns
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    urls: dict[str, str] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for name, path in files.items():
            bar = progress.add_task(f"uploading {end_of(path.name, 20)}", total=None)

            def show(sent: int, total: int, bar: TaskID = bar) -> None:
                progress.update(bar, completed=sent, total=total)

            urls[name] = client.upload(path, model, show)
    return urls


def _parameter(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` with the value as JSON where it is JSON, else as text."""
    import json

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--parameter")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _follow(client: Client, task_id: str, timeout_s: float, *, as_json: bool) -> None:
    """Wait with a progress line on stderr, show the end, and exit 1 unless it is a success."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from dashscribe.client import UnfinishedError

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        line = progress.add_task("PENDING", total=None)

        def update(answer: TaskAnswer) -> None:
            far, ahead = answer.extras.progress, answer.extras.queue_position
            status = f"{answer.task.status}, {ahead} ahead" if ahead else answer.task.status
            progress.update(line, description=status, completed=far.done_ms, total=far.total_ms or None)

        try:
            answer = client.wait(task_id, update, timeout_s)
        except UnfinishedError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
    _show(client, answer, as_json=as_json)
    if answer.task.status != "SUCCEEDED":
        raise typer.Exit(1)


def _show(client: Client, answer: TaskAnswer, *, as_json: bool) -> None:
    """Print a task with its files. Lines are never folded: a URL that is broken cannot be copied."""
    import json

    task = answer.task
    if as_json:
        print_json(json.loads(client.task_json(task.id)))
        return
    typer.echo(f"{task.id}  {task.status}")
    if task.status == "UNKNOWN":
        typer.echo("the server knows no such task of this key; tasks answer for 24 hours after their end", err=True)
    for name, value in (("submitted", task.submitted), ("ended", task.ended)):
        if value:
            typer.echo(f"{name:9} {value} (the server's clock)")
    if task.code:
        typer.echo(f"{task.code}: {task.message}")
    for note in answer.extras.notes:
        typer.echo(f"note      {note}")
    for file in task.files:
        if file.url:
            typer.echo(f"file      {file.url}")
        typer.echo(f"result    {file.result_url}" if file.result_url else f"error     {file.code}: {file.message}")
