"""SubRip captions: numbered blocks of times and text."""

from __future__ import annotations

from dashscribe.render.captions import Cue, clock, cues
from dashscribe.types import Transcript


def render(transcript: Transcript) -> str:
    """Blocks numbered from 1; a transcript without text is the empty file."""
    return "\n".join(
        f"{number}\n{_block(cue)}\n" for number, cue in enumerate(cues(transcript, name_voices=True), start=1)
    )


def _block(cue: Cue) -> str:
    # SubRip has no escapes: the one sequence that would read as a time line becomes the arrow it stands for.
    text = "\n".join(cue.lines).replace("-->", "→")
    return f"{clock(cue.begin_ms, ',')} --> {clock(cue.end_ms, ',')}\n{text}"
