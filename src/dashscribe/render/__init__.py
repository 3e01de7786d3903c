"""Finished transcripts as text: one module per format, each a plain function of a ``Transcript``.

``FORMATS`` is the whole list; a format's name is its file extension. Adding one is a module here and a line below.
Those of ``CAPTIONS`` also take a style.
"""

from __future__ import annotations

from collections.abc import Callable

from dashscribe.errors import InvalidParameterError
from dashscribe.render import markdown, srt, text, transcription_json, tsv, vtt
from dashscribe.render.caption_style import PRESETS, CaptionStyle, find_style
from dashscribe.types import Transcript

__all__ = ["CAPTIONS", "FORMATS", "PRESETS", "CaptionStyle", "find_style", "render"]

CAPTIONS: dict[str, Callable[[Transcript, CaptionStyle], str]] = {"srt": srt.render, "vtt": vtt.render}
FORMATS: dict[str, Callable[[Transcript], str]] = {
    "txt": text.render,
    "json": transcription_json.render_for_model,
    "srt": srt.render,
    "vtt": vtt.render,
    "tsv": tsv.render,
    "md": markdown.render,
}


def render(transcript: Transcript, format_name: str, style: CaptionStyle) -> str:
    """The transcript in a format of ``FORMATS``, captions in the style. Raises InvalidParameterError for any other."""
    if format_name not in FORMATS:
        raise InvalidParameterError(f"{format_name!r} is no format; known: {', '.join(FORMATS)}.", "format")
    if caption := CAPTIONS.get(format_name):
        return caption(transcript, style)
    return FORMATS[format_name](transcript)
