"""The options of ``dashscribe transcribe`` that say what captions look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import typer

from dashscribe.render import CAPTIONS, PRESETS, CaptionStyle


def caption_style(
    preset: str, columns: int | None, lines: int | None, speakers: bool | None, formats: Sequence[str]
) -> CaptionStyle:
    """The preset with what replaces parts of it; refused where no caption file was asked for."""
    chosen = {"columns": columns, "lines": lines, "speakers": speakers}
    changes = {name: value for name, value in chosen.items() if value is not None}
    if (preset or changes) and CAPTIONS.keys().isdisjoint(formats):
        raise typer.BadParameter("captions are srt and vtt; ask for one of them with -f", param_hint="--captions")
    if preset and preset not in PRESETS:
        raise typer.BadParameter(f"{preset!r} is no preset; known: {', '.join(PRESETS)}", param_hint="--captions")
    return replace(PRESETS[preset or "default"], **changes)
