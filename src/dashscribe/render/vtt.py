"""WebVTT captions: the text escaped, speakers and channels as voice spans."""

from __future__ import annotations

from dashscribe.render.caption_style import PRESETS, CaptionStyle
from dashscribe.render.captions import Cue, clock, cues
from dashscribe.types import Transcript

#: The characters that begin a tag or a reference; escaping ``>`` also keeps the arrow of a time line out of texts.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def render(transcript: Transcript, style: CaptionStyle = PRESETS["default"]) -> str:
    """A header and a block per cue; a transcript without text is the header alone."""
    return "WEBVTT\n" + "".join(f"\n{_block(cue)}\n" for cue in cues(transcript, style))


def _block(cue: Cue) -> str:
    voice = f"<v {cue.voice.translate(_ESCAPES)}>" if cue.voice else ""
    text = voice + "\n".join(cue.lines).translate(_ESCAPES)
    return f"{clock(cue.begin_ms, '.')} --> {clock(cue.end_ms, '.')}\n{text}"
