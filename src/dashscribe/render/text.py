"""Plain text: a paragraph per channel under a heading where there are several; a line per turn where speakers are told.

A call of which each channel is one speaker reads as one conversation, in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from dashscribe.types import Sentence, Transcript, joint


def render(transcript: Transcript) -> str:
    """The words alone; channels in which nobody speaks are left out, a transcript without any is the empty string."""
    tracks = [track for track in transcript.tracks if track.text.strip()]
    if transcript.is_call:
        return _turns(transcript.sentences)
    texts = [(track.channel, _turns(track.sentences) if track.turns else f"{track.text.strip()}\n") for track in tracks]
    if len(transcript.tracks) == 1:
        return "".join(text for _, text in texts)
    return "\n".join(f"Channel {channel}:\n{text}" for channel, text in texts)


def _turns(sentences: Iterable[Sentence]) -> str:
    return "".join(f"{line}\n" for line in _lines(sentences))


def _lines(sentences: Iterable[Sentence]) -> Iterator[str]:
    """What one speaker says after another, a line each."""
    spoken = (sentence for sentence in sentences if sentence.text.strip())
    for speaker, turn in groupby(spoken, key=lambda sentence: sentence.speaker):
        text = ""
        for sentence in turn:
            text += joint(text, sentence.text) + sentence.text
        # Readers count from 1, as in captions; ids in JSON are the service's, from 0.
        yield text.strip() if speaker is None else f"Speaker {speaker + 1}: {text.strip()}"
