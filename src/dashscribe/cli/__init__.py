"""The command line: what can be said, and how the program ends when something goes wrong.

A command's module is imported when it runs, so that ``dashscribe --help`` takes a tenth of a second. Groups export
``app``, single commands a function of the module's name. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from dashscribe.cli.pages import Command, Group
from dashscribe.errors import DashscribeError
from dashscribe.redact import redact

# httpx loads rich, pygments and click for a command line of its own, a tenth of what a server takes to start.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

#: Every command with its line in the help; the module of that name in this package runs it.
COMMANDS = {
    "transcribe": "Transcribe files, folders, URLs or standard input.",
    "watch": "Transcribe recordings as they are dropped into a folder.",
    "probe": "Say what files or URLs are and which models take them.",
    "serve": "Run the HTTP service.",
    "worker": "Do the work of a database that many machines share.",
    "asr": "Transcribe one recording by a server, with the flags of the cloud's helper script.",
    "tasks": "Hand in, list, follow and cancel the tasks of a server.",
    "models": "List model names and what can recognize for them.",
    "callbacks": "Have programs told of tasks that ended, and see what became of that.",
    "hotwords": "Keep hotword lists on a server.",
    "keys": "Create, list and revoke API keys.",
    "conformance": "Replay the documented call forms against any server and compare its answers.",
    "config": "Show every setting with its value and origin.",
    "bench": "Measure how fast this machine is with what is installed.",
    "doctor": "Check this installation and say what to do about what is wrong.",
}


class LazyGroup(Group):
    """Shows the commands from the table and imports the one that is run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, summary in COMMANDS.items():
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command as usual, then put the imported one in the place of its line in the help.

        The types are typer's private copy of click's in some versions and click's own in others.
        """
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest


def load(name: str) -> Any:
    """The command of that name, ready to run; its module is imported."""
    module = import_module(f"{__name__}.{name}")
    group = getattr(module, "app", None)
    if group is None:
        group = typer.Typer(add_completion=False)
        group.command(name)(getattr(module, name))
    group.info.cls = Group
    for command in group.registered_commands:
        command.cls = Command
    # rich's help page alone would take three times as long as everything else here.
    group.rich_markup_mode = None
    return typer.main.get_command(group)


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dashscribe {version('dashscribe')}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; also DASHSCRIBE_DEBUG=1.")] = False,
) -> None:
    """Speech recognition of recorded files, with the interface of DashScope, on your own machines.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; what was finished by then is kept.

    Example: dashscribe transcribe talk.mp3

    Example, the service itself: dashscribe serve --port 8000

    Example, completion for this shell: dashscribe --install-completion
    """
    if debug:
        os.environ["DASHSCRIBE_DEBUG"] = "1"


def reason(error: Exception) -> str:
    """An error in one line, as people read it; with ``--debug`` after its traceback."""
    if os.environ.get("DASHSCRIBE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, DashscribeError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error} (a bug; DASHSCRIBE_DEBUG=1 shows where)"


def unwind_when_killed() -> None:
    """Let SIGTERM and SIGHUP end the program as Ctrl-C does, through all its clean-up; the status is 128 + signal.

    One that is ignored, as ``nohup`` has it, stays so.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _: sys.exit(128 + received))


def _open_closed_streams() -> None:
    """Put the null device where a standard stream is closed: all expect one, and the next file would get its number.

    In the order of the numbers, since each file that is opened gets the lowest that is free.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", encoding="utf-8"))


def main() -> NoReturn:
    """Run the command line and exit; an error is one line on stderr."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may hold bytes that are no text; better printed with a backslash than not at all.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="dashscribe")
    except Exception as error:
        typer.echo(f"dashscribe: {redact(reason(error))}", err=True)
        sys.exit(1)
    sys.exit(0)
