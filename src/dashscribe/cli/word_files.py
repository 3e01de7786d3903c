"""Hotwords in files: text with a word or phrase on each line, or JSON, as every command that takes them reads them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from dashscribe.types import HOTWORD_WEIGHTS, Hotword

Words = Annotated[
    Path,
    typer.Argument(
        help="Text, one word or phrase a line, then after a tab or comma its weight and language if you like; or JSON, "
        "as an array of {text, weight, lang} or an object of weights; - is standard input.",
        metavar="FILE",
        show_default=False,
        allow_dash=True,
        dir_okay=False,
    ),
]
#: ``Kestrel Bridge``, ``Kestrel Bridge,4``, ``Kestrel Bridge<tab>4<tab>en``.
_LINE = re.compile(r"(?P<text>[^\t,]+)(?:[\t,]\s*(?P<weight>-?[0-9]{1,3})\s*(?:[\t,]\s*(?P<lang>[A-Za-z]{2,3})\s*)?)?")
#: The same behind a tab, as ``hotwords get`` prints it: what stands before it may hold commas.
_TABBED = re.compile(r"(?P<text>[^\t]+)\t\s*(?P<weight>-?[0-9]{1,3})\s*(?:\t\s*(?P<lang>[A-Za-z]{2,3})\s*)?")


def read_words(file: Path) -> list[dict[str, Any]]:
    """The words of a file as the wire has them; what is no list is wrong usage, what breaks a rule the server tells."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is not UTF-8", param_hint="FILE") from error
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from error
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(file, text)
    return [_from_line(file, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _from_json(file: Path, text: str) -> list[dict[str, Any]]:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}", param_hint="FILE") from error
    if text.lstrip().startswith("{"):
        return [{"text": word, "weight": weight} for word, weight in value.items()]
    return [{"text": word} if isinstance(word, str) else word for word in value]


def _from_line(file: Path, number: int, line: str) -> dict[str, Any]:
    found = _LINE.fullmatch(line.strip()) or _TABBED.fullmatch(line.strip())
    if not found:
        raise typer.BadParameter(
            f"{file}, line {number}: {line[:80]!r} is not TEXT, TEXT,WEIGHT or TEXT,WEIGHT,LANGUAGE; "
            "text that holds a comma needs a tab before its weight, or JSON",
            param_hint="FILE",
        )
    word: dict[str, Any] = {"text": found["text"].strip(), "weight": int(found["weight"] or 4)}
    return {**word, "lang": found["lang"].lower()} if found["lang"] else word


def hotwords_in(file: Path, hint: str) -> tuple[Hotword, ...]:
    """The words of a file for a recognition on this machine; what is none is wrong usage, told with ``hint``."""
    try:
        return tuple(_hotword(file, number, word) for number, word in enumerate(read_words(file), 1))
    except typer.BadParameter as error:
        error.param_hint = hint
        raise


def _hotword(file: Path, number: int, word: Any) -> Hotword:
    # JSON may hold anything in the place of a word.
    given: dict[str, Any] = cast("dict[str, Any]", word) if isinstance(word, dict) else {}
    text, weight = given.get("text"), given.get("weight", 4)
    if not (isinstance(text, str) and text.strip() and isinstance(weight, int) and weight in HOTWORD_WEIGHTS):
        shown = f"{text!r} with weight {weight!r}" if given else "what stands there"
        raise typer.BadParameter(
            f"{file}, word {number}: {shown[:100]} is not a text with a weight of 1 to 5, 50, or -6 to -1"
        )
    return Hotword(text.strip(), weight, str(given.get("lang") or ""))
