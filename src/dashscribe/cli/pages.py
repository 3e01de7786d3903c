"""Help pages: what the docstring of a command says, with its examples in a place of their own, one to a line.

A paragraph of a docstring that ends with ``Example: dashscribe …`` or ``Example, what it shows: dashscribe …`` becomes
a line that can be copied, however narrow the terminal is. Summaries in lists of commands are whole sentences.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

_EXAMPLE = re.compile(r"(?:^|(?<=\s))Example(?:, (?P<what>[^:]+))?: (?P<line>.+)$", re.DOTALL)
#: More than any summary is long.
_WHOLE = 10_000


def parted(text: str) -> tuple[str, list[tuple[str, str]]]:
    """A docstring without its examples, and the examples: what each shows, if that is said, and the command line."""
    paragraphs: list[str] = []
    examples: list[tuple[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        found = _EXAMPLE.search(paragraph)
        rest = paragraph[: found.start()].rstrip() if found else paragraph
        if rest:
            paragraphs.append(rest)
        if found:
            examples.append((found["what"] or "", " ".join(found["line"].split())))
    return "\n\n".join(paragraphs), examples


class _Page:
    """What pages of commands and of groups have in common; the types are typer's private copy of click's."""

    help: str | None

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the text without its examples."""
        text, _ = parted(self.help or "")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; of an argument the name, without Python's name of its type."""
        command: Any = self
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in command.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                argument = parameter.param_type_name == "argument"
                name = re.sub(r" <[^<>]*>$", "", record[0]) if argument else record[0]
                rows["Arguments" if argument else "Options"].append((name, record[1]))
        for title, found in rows.items():
            if found:
                with formatter.section(title):
                    formatter.write_dl(found)
        if isinstance(command, Group):
            command.format_commands(ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _, examples = parted(self.help or "")
        if not examples:
            return
        with formatter.section("Examples"):
            for what, line in examples:
                indent = " " * formatter.current_indent
                formatter.write(f"{indent}# {what}\n" if what else "")
                formatter.write(f"{indent}{line}\n")


class Command(_Page, TyperCommand):
    """A command with such a page."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        options: Any = self.params
        for parameter in options:
            # Else the page would tell Python's names of types, such as <int range>.
            if not (parameter.metavar or parameter.param_type_name == "argument" or parameter.is_flag):
                parameter.metavar = str(parameter.name).rsplit("_", 1)[-1].upper()


class Group(_Page, TyperGroup):
    """A group with such a page."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with its whole summary."""
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command and not command.hidden:
                rows.append((name, command.get_short_help_str(_WHOLE)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
