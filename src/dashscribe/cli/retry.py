"""``dashscribe tasks retry --stage``: have a stage done again, watch it, and say what became of the result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from dashscribe.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dashscribe.client import Client, RemoteRedo, TaskAnswer


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    task_id: str
    stage: str
    speakers: int | None
    file: int | None


def check_usage(stage: str, speakers: int | None, file: int | None, every: bool) -> None:
    """Refuse what does not go together, before anything is sent."""
    from dashscribe.enrich import StageName

    names = [name.value for name in StageName]
    if stage and stage not in names:
        raise typer.BadParameter(f"{stage!r} is none of {', '.join(names)}", param_hint="--stage")
    if speakers is not None and stage != StageName.SPEAKERS:
        raise typer.BadParameter("it goes with --stage speakers", param_hint="--speakers")
    if file is not None and not stage:
        raise typer.BadParameter("it goes with --stage; else all that failed are done again", param_hint="--file")
    if every and stage:
        raise typer.BadParameter("it goes without --stage, which is for every file with a result", param_hint="--all")


def redo(client: Client, request: Request, *, wait_for_it: bool, as_json: bool) -> bool:
    """Carry the request out and print what came of it: whether all went well."""
    before = _results(client, client.task(request.task_id)) if wait_for_it else {}
    asked = client.retry(request.task_id, request.stage, file=request.file, speaker_count=request.speakers)
    files = {redo.file for redo in asked.extras.redo}
    if wait_for_it:
        asked = _follow(client, request.task_id, files)
    ended = [redo for redo in asked.extras.redo if redo.file in files]
    after = _results(client, asked) if wait_for_it else {}
    told = [_told(redo, before.get(redo.file), after.get(redo.file)) for redo in ended]
    if as_json:
        print_json({"task_id": asked.task.id, "task_status": asked.task.status, "redo": told})
    else:
        _print(asked, told)
    if wait_for_it and not ended:
        typer.echo(f"the server does not tell of {request.stage} any more: the task is gone", err=True)
        return False
    return not any(redo.state == "FAILED" for redo in ended)


def _follow(client: Client, task_id: str, files: Collection[int]) -> TaskAnswer:
    """Wait with a progress line on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        line = progress.add_task("PENDING", total=None)

        def update(answer: TaskAnswer) -> None:
            mine = [redo for redo in answer.extras.redo if redo.file in files]
            through = sum(redo.is_final for redo in mine)
            state = next((f"{redo.stage} {redo.state}" for redo in mine if not redo.is_final), "")
            done_ms = sum(redo.progress.done_ms for redo in mine)
            total_ms = sum(redo.progress.total_ms for redo in mine)
            many = f", {through} of {len(mine)} files" if len(mine) > 1 else ""
            progress.update(line, description=state + many, completed=done_ms, total=total_ms or None)

        return client.wait_for_redo(task_id, files, update)


def _results(client: Client, answer: TaskAnswer) -> dict[int, dict[str, Any]]:
    """The result files of a task by place."""
    return {at: client.result(file.result_url) for at, file in enumerate(answer.task.files) if file.result_url}


def _told(redo: RemoteRedo, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is said of one file."""
    told: dict[str, Any] = {"file": redo.file, "stage": redo.stage, "state": redo.state}
    if redo.message:
        told["message"] = redo.message
    if redo.state == "SUCCEEDED" and before and after:
        told["changes"] = changes(before, after)
    return told


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """In what two result files differ, in words: speakers, texts of sentences, notes; empty for equal ones."""
    found: list[str] = []
    old, new = _sentences(before), _sentences(after)
    speakers = [len({(at, s["speaker_id"]) for at, s in said if "speaker_id" in s}) for said in (old, new)]
    if speakers[0] != speakers[1]:
        found.append(f"speakers: {speakers[0]} before, {speakers[1]} now")
    same = (Counter(map(_said, old)) & Counter(map(_said, new))).total()
    if same < max(len(old), len(new)):
        found.append(f"{len(new) - same} of {len(new)} sentences are new or changed; there were {len(old)}")
    notes = [_notes(result) for result in (before, after)]
    found += [f"noted no more: {note}" for note in notes[0] if note not in notes[1]]
    found += [f"noted now: {note}" for note in notes[1] if note not in notes[0]]
    return found


def _notes(result: Mapping[str, Any]) -> list[str]:
    return result.get("dashscribe", {}).get("notes", [])


def _sentences(result: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The sentences of all channels, each with its channel."""
    return [(t.get("channel_id", 0), s) for t in result.get("transcripts", ()) for s in t.get("sentences", ())]


def _said(sentence: tuple[int, Mapping[str, Any]]) -> tuple[object, ...]:
    """What of a sentence counts as the same."""
    channel, said = sentence
    return channel, said.get("begin_time"), said.get("text"), said.get("speaker_id")


def _print(answer: TaskAnswer, told: Collection[Mapping[str, Any]]) -> None:
    typer.echo(f"{answer.task.id}  {answer.task.status}")
    for file in told:
        failed = file["state"] == "FAILED"
        line = f"file {file['file']}    {file['stage']} {file['state']}"
        typer.echo(f"{line}: {file['message']}; the result stays as it was" if failed else line, err=failed)
        for change in file.get("changes", ()):
            typer.echo(f"          {change}")
        if file.get("changes") == []:
            typer.echo("          nothing changed")
    for file in answer.task.files:
        if file.result_url:
            typer.echo(f"result    {file.result_url}")
