"""``dashscribe asr``: the public helper script for the cloud, flag for flag, with any server.

The call itself is ``dashscribe.asr``; this owns the flags, the output file and the exit codes. Unlike other commands
it tells a wrong set-up (1) from a failed request (2), which scripts around the helper may try again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from dashscribe.asr import Normalized

#: Below ``OUTPUT_DIR``, by default ``output`` in the working folder.
RESULT = Path("ai-audio-asr") / "transcripts" / "result.json"


def asr(
    audio: Annotated[str, typer.Option(metavar="FILE|URL", help="What to transcribe.", show_default=False)],
    model: Annotated[str, typer.Option(help="Model name; `dashscribe models ls` lists them.")] = "qwen3-asr-flash",
    language_hints: Annotated[str, typer.Option(metavar="CODE[,CODE]", help="What may be spoken, such as en.")] = "",
    sample_rate: Annotated[int | None, typer.Option(min=1, metavar="HZ", help="Passed on to the model.")] = None,
    vocabulary_id: Annotated[str, typer.Option(metavar="ID", help="A hotword list.")] = "",
    disfluency_removal_enabled: Annotated[
        bool, typer.Option("--disfluency-removal-enabled", help="Leave out filler words.")
    ] = False,
    timestamp_granularities: Annotated[
        str, typer.Option(metavar="NAME[,NAME]", help="Passed on, such as sentence,word.")
    ] = "",
    as_task: Annotated[
        bool, typer.Option("--async", help="Submit a task; implied by models that take tasks only.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Ask for the task until it has ended.")] = False,
    poll_interval: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Between two questions.")] = 8.0,
    max_waits: Annotated[int, typer.Option(min=1, metavar="N", help="Give up after so many questions.")] = 45,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Where the JSON goes; else OUTPUT_DIR/{RESULT}.")
    ] = None,
    print_response: Annotated[bool, typer.Option("--print-response", help="Print the JSON, too, in one line.")] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Server to ask; else DASHSCOPE_HTTP_BASE_URL, else http://127.0.0.1:8000/api/v1."
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Key to send; else DASHSCOPE_API_KEY, else ~/.alibabacloud/credentials."),
    ] = None,
) -> None:
    """Transcribe one recording by a server and keep the answer as JSON: text, task_id, status, raw.

    Variables may stand in .env here or in the root of the repository. Exit 0: done. 1: wrong set-up, nothing was sent.
    2: the request or the task failed.

    Example: dashscribe asr --audio talk.mp3 --language-hints en --print-response
    """
    # Here, not above: this brings HTTP along, three times what ``--help`` takes without it.
    from dashscribe.asr import environment, transcribe
    from dashscribe.client import ApiError, UnfinishedError, UnreachableError
    from dashscribe.errors import ConfigError

    target = output or _default_output(environment())
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():  # known before anything is sent that could not be kept
        raise ConfigError(f"{target} is a folder; --output names the file for the JSON, such as {target / RESULT}")
    accepted: list[str] = []
    try:
        answer = transcribe(
            audio,
            model=model,
            language_hints=_listed(language_hints),
            sample_rate=sample_rate,
            vocabulary_id=vocabulary_id,
            disfluency_removal_enabled=disfluency_removal_enabled,
            timestamp_granularities=_listed(timestamp_granularities),
            asynchronous=as_task,
            wait=wait,
            poll_interval=poll_interval,
            max_waits=max_waits,
            base_url=base_url,
            api_key=api_key,
            on_task=accepted.append,
        )
    except (ApiError, UnreachableError, UnfinishedError, KeyboardInterrupt) as error:
        for task_id in accepted:
            typer.echo(
                f"dashscribe: the server has task {task_id}; `dashscribe tasks wait {task_id}` follows it", err=True
            )
        if isinstance(error, KeyboardInterrupt):
            raise
        _fail(str(error))
    _keep(answer, target, printed=print_response)
    if answer["status"] in ("FAILED", "CANCELED", "UNKNOWN"):
        _fail(f"task {answer['task_id']} ended as {answer['status']}{_reason(answer)}")


def _keep(answer: Normalized, target: Path, *, printed: bool) -> None:
    target.write_text(json.dumps(answer, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    typer.echo(f"dashscribe: {answer['status']}, written to {target}", err=True)
    if printed:
        typer.echo(json.dumps(answer))


def _default_output(variables: Mapping[str, str]) -> Path:
    return Path(variables.get("OUTPUT_DIR") or "output") / RESULT


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _reason(answer: Normalized) -> str:
    code, message = (answer["raw"]["output"].get(name) for name in ("code", "message"))
    return f": {code}: {message}" if code else ""


def _fail(reason: str) -> NoReturn:
    typer.echo(f"dashscribe: {reason}", err=True)
    raise typer.Exit(2)
