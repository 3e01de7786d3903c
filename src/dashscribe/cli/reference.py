"""The reference of all commands, made from their help pages: ``python -m dashscribe.cli.reference FILE`` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Where it lies in a checkout.
PAGE = Path("docs") / "reference" / "commands.md"
_COLUMNS = 100
_HEAD = """[中文](commands.zh.md)

# Commands

Made from the program's own help by `python -m dashscribe.cli.reference docs/reference/commands.md`; do not edit it.

Exit codes of all commands: 0 done, 1 failed, 2 wrong usage, 130 interrupted; `dashscribe asr` keeps to those of the
cloud's helper script. With `--json` a command prints one JSON value, and those that take many inputs a line for each.
Commands that talk to a server take `--base-url` and `--api-key`, else the variables `DASHSCOPE_HTTP_BASE_URL`,
`DASHSCOPE_API_KEY` and `DASHSCRIBE_API_KEY`. `dashscribe --install-completion` has your shell complete commands,
options, model names and formats.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    import typer

    from dashscribe.cli import COMMANDS, app, load

    whole: Any = typer.main.get_command(app)
    parts = [_HEAD, _section(2, "dashscribe", _page(whole, "dashscribe"))]
    for name in COMMANDS:
        parts += _command(load(name), f"dashscribe {name}", 2)
    return "\n".join(parts)


def _command(command: Any, path: str, level: int) -> Iterator[str]:
    """The sections of a command and of those in it."""
    yield _section(level, path, _page(command, path))
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{path} {name}", level + 1)


def _section(level: int, title: str, page: str) -> str:
    return f"{'#' * level} {title}\n\n```text\n{page}\n```\n"


def _page(command: Any, path: str) -> str:
    """What ``--help`` prints, at a width that is always the same."""
    context = command.make_context(
        path, [], resilient_parsing=True, terminal_width=_COLUMNS, max_content_width=_COLUMNS
    )
    lines = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(reference(), encoding="utf-8")
