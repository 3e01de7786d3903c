"""Plain text: a paragraph per channel under a heading where there are several; a line per turn where speakers are told.

A call of which each channel is one speaker reads as one conversation, in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from dashscribe.render.paragraphs import Page, paragraphs, short_clock
from dashscribe.types import Sentence, Transcript, joint


def render(transcript: Transcript, page: Page | None = None) -> str:
    """The words alone; channels in which nobody speaks are left out, a transcript without any is the empty string.

    With times, a line per paragraph begins with its own.
    """
    page = page or Page()
    tracks = [track for track in transcript.tracks if track.text.strip()]
    if transcript.is_call:
        return _turns(transcript.sentences, page)
    texts = [
        (track.channel, _turns(track.sentences, page) if track.turns or page.times else f"{track.text.strip()}\n")
        for track in tracks
    ]
    if len(transcript.tracks) == 1:
        return "".join(text for _, text in texts)
    return "\n".join(f"Channel {channel}:\n{text}" for channel, text in texts)


def _turns(sentences: Iterable[Sentence], page: Page) -> str:
    return "".join(f"{line}\n" for line in (_timed if page.times else _lines)(sentences, page))


def _timed(sentences: Iterable[Sentence], page: Page) -> Iterator[str]:
    for one in paragraphs(sentences, page):
        yield (
            f"[{short_clock(one.begin_ms)}] {one.voice}: {one.text}"
            if one.voice
            else f"[{short_clock(one.begin_ms)}] {one.text}"
        )


def _lines(sentences: Iterable[Sentence], page: Page) -> Iterator[str]:
    """What one speaker says after another, a line each."""
    spoken = (sentence for sentence in sentences if sentence.text.strip())
    for voice, turn in groupby(spoken, key=lambda sentence: page.voice(sentence.speaker)):
        text = ""
        for sentence in turn:
            text += joint(text, sentence.text) + sentence.text
        yield f"{voice}: {text.strip()}" if voice else text.strip()
