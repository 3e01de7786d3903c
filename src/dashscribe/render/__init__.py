"""Finished transcripts as text: one module per format, each a plain function of a ``Transcript``.

``FORMATS`` is the whole list; a format's name is its file extension. Adding one is a module here and a line below.
"""

from __future__ import annotations

from collections.abc import Callable

from dashscribe.render import srt, text, transcription_json, tsv, vtt
from dashscribe.types import Transcript

FORMATS: dict[str, Callable[[Transcript], str]] = {
    "txt": text.render,
    "json": transcription_json.render_for_model,
    "srt": srt.render,
    "vtt": vtt.render,
    "tsv": tsv.render,
}
