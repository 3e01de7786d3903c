"""What documents share: who speaks, for how long, where a new paragraph begins.

A paragraph is what one speaker says. One that goes on and on ends where a sentence ends before a pause, at the latest
behind a minute or so, since nobody reads an hour in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dashscribe.render.breaks import plain
from dashscribe.types import Sentence, Track, Transcript, joint

#: A pause that begins a paragraph, and how long one may be before any end of a sentence does.
PAUSE_MS, LONG_MS = 2_000, 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How a document is to look.

    ``speakers``: None tells them where they were told apart, names are by number of the speaker. ``times``: None where
    the format has them as a rule.
    """

    title: str = ""
    speakers: bool | Mapping[int, str] | None = None
    times: bool | None = None

    def voice(self, speaker: int | None) -> str:
        """Who speaks, for people, who count from 1; empty for nobody in particular."""
        if speaker is None or self.speakers is False:
            return ""
        names: Mapping[int, str] = {} if isinstance(self.speakers, bool | None) else self.speakers
        return plain(names.get(speaker, "")).strip() or f"Speaker {speaker + 1}"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What is said from ``begin_ms`` on by ``voice``, which is empty where that is plain."""

    begin_ms: int
    voice: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A channel, or all of a call; the heading is empty where there is only one."""

    heading: str
    paragraphs: tuple[Paragraph, ...]


def sections(transcript: Transcript, page: Page) -> list[Section]:
    """The paragraphs of each channel in which somebody speaks; those of a call together, in order of time."""
    if transcript.is_call:
        return [Section("", tuple(paragraphs(transcript.sentences, page)))]
    spoken = [track for track in transcript.tracks if track.text.strip()]
    several = len(transcript.tracks) > 1
    return [Section(_heading(track) if several else "", tuple(paragraphs(track.sentences, page))) for track in spoken]


def _heading(track: Track) -> str:
    return f"Channel {track.channel}"


def paragraphs(sentences: Iterable[Sentence], page: Page) -> Iterator[Paragraph]:
    """The paragraphs of sentences in order of time, without control characters."""
    open_one: Paragraph | None = None
    end_ms = 0
    for sentence in sentences:
        text = plain(sentence.text).strip()
        if not text:
            continue
        voice = page.voice(sentence.speaker)
        if open_one and voice == open_one.voice and not _begins(open_one, sentence.begin_ms, end_ms):
            text = open_one.text + joint(open_one.text, text) + text
            open_one = Paragraph(open_one.begin_ms, voice, text)
        else:
            if open_one:
                yield open_one
            open_one = Paragraph(sentence.begin_ms, voice, text)
        end_ms = sentence.end_ms
    if open_one:
        yield open_one


def _begins(paragraph: Paragraph, begin_ms: int, end_ms: int) -> bool:
    """Whether what begins now, after the silence since ``end_ms``, begins a paragraph."""
    return begin_ms - end_ms >= PAUSE_MS or begin_ms - paragraph.begin_ms >= LONG_MS


def short_clock(time_ms: int) -> str:
    """``M:SS``, from one hour on ``H:MM:SS``: for people, who find the place in a player."""
    minutes, seconds = divmod(time_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
