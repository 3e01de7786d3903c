"""SubRip captions: numbered blocks of times and text."""

from __future__ import annotations

import re

from dashscribe.render.caption_style import PRESETS, CaptionStyle
from dashscribe.render.captions import Cue, clock, cues
from dashscribe.types import Transcript

#: What players take for the begin of a tag. SubRip has no escapes, so an invisible character (word joiner) parts it.
_TAG = re.compile(r"<(?=[A-Za-z/!?])|\{(?=\\)")


def render(transcript: Transcript, style: CaptionStyle = PRESETS["default"]) -> str:
    """Blocks numbered from 1; a transcript without text is the empty file."""
    blocks = enumerate(cues(transcript, style, labels=True), start=1)
    return "\n".join(f"{number}\n{_block(cue)}\n" for number, cue in blocks)


def _block(cue: Cue) -> str:
    # The one sequence that would read as a time line becomes the arrow it stands for.
    text = _TAG.sub("\\g<0>\u2060", "\n".join(cue.lines).replace("-->", "→"))
    return f"{clock(cue.begin_ms, ',')} --> {clock(cue.end_ms, ',')}\n{text}"
