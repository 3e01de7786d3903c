"""Plain text: a paragraph per channel, under a heading where there are several."""

from __future__ import annotations

from dashscribe.types import Transcript


def render(transcript: Transcript) -> str:
    """The words alone; channels in which nobody speaks are left out, a transcript without any is the empty string."""
    spoken = [(track.channel, track.text.strip()) for track in transcript.tracks if track.text.strip()]
    if len(transcript.tracks) == 1:
        return "".join(f"{text}\n" for _, text in spoken)
    return "\n".join(f"Channel {channel}:\n{text}\n" for channel, text in spoken)
