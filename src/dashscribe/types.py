"""The nouns that every room shares: what was asked for, what was heard, what became of each millisecond.

Owns no behavior beyond arithmetic on itself; imports numpy and the standard library only. Every time is an integer
number of milliseconds on the clock of the source file, every stretch is half-open: ``begin_ms <= t < end_ms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dashscribe.render import CaptionStyle

#: Sample rate of audio at every door inside the program, in Hz. Engines that want another rate resample for themselves.
RATE_HZ = 16_000
#: Samples in one millisecond at ``RATE_HZ``: every whole-millisecond time falls on a sample.
SAMPLES_PER_MS = RATE_HZ // 1000
#: Most channels that a source may have, numbered from 0; FFmpeg's own layouts go up to 24, ambisonics to 64.
MAX_CHANNELS = 64
#: How many speakers a caller may say there are (api-async section 1.4).
MIN_SPEAKERS, MAX_SPEAKERS = 2, 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time on the file's clock, in milliseconds."""

    begin_ms: int
    end_ms: int

    @property
    def duration_ms(self) -> int:
        """Length in milliseconds, never negative for a valid span."""
        return self.end_ms - self.begin_ms


#: Weights that a term may have.
HOTWORD_WEIGHTS = frozenset((*range(-6, 0), *range(1, 6), 50))


@dataclass(frozen=True, slots=True)
class Hotword:
    """One term to listen for: ``weight`` 1..5 favors it, 50 more than anything, -6..-1 disfavors it.

    ``language`` empty means any.
    """

    text: str
    weight: int = 4
    language: str = ""


@dataclass(frozen=True, slots=True)
class Censor:
    """Sensitive words: ``masked`` become asterisks, ``removed`` vanish, ``system`` adds the operator's own list."""

    masked: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    system: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one transcription was asked to do, defaults already applied.

    ``languages`` are hints in the caller's order, empty when unknown. ``channels`` are track numbers from 0, empty for
    those that the source turns out to have. ``mix`` averages all tracks of the source into one, numbered 0, whatever
    ``channels`` say. ``stretch`` limits work to a part of the file; times in the result stay on the file's clock.
    ``words`` has sentences end at marks, too, not only where the voice pauses. ``refine_times`` asks for an alignment
    where that makes times more exact. ``emotion`` asks for the language and the emotion of each sentence, ``events``
    for the sounds in it, where the result of the model tells them. ``speaker_per_channel`` takes each channel as one
    speaker, who has its number; else the speakers of a channel are told apart by their voices.
    ``speech_noise_threshold`` is -1 (almost anything counts as speech) to 1 (only what is clearly a voice), None the
    same as 0; ``denoise`` takes noise off the sound before anything hears it.
    """

    model: str = "fun-asr"
    languages: tuple[str, ...] = ()
    channels: tuple[int, ...] = (0,)
    mix: bool = False
    stretch: Span | None = None
    # what the text should look like
    words: bool = True
    itn: bool = False
    drop_fillers: bool = False
    refine_times: bool = False
    emotion: bool = False
    events: bool = False
    censor: Censor | None = None
    # who speaks
    diarize: bool = False
    speaker_count: int | None = None
    speaker_per_channel: bool = False
    # what to expect
    hotwords: tuple[Hotword, ...] = ()
    context: str = ""
    speech_noise_threshold: float | None = None
    denoise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What a source turned out to be. The path travels beside it: it differs from one worker to the next.

    ``rate_hz`` and ``channel_count`` are the source's own. ``duration_ms`` counts decoded samples once decoding has
    ended; before that it is the container's claim, 0 when it makes none.
    """

    url: str
    container: str
    codec: str
    rate_hz: int
    channel_count: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Waveform:
    """One channel of sound: ``samples`` int16, shape (n,), at 16 kHz; ``samples[0]`` lies at ``begin_ms``."""

    samples: NDArray[np.int16]
    begin_ms: int

    @property
    def span(self) -> Span:
        """Where these samples lie in the file; a last part of a millisecond is rounded down."""
        return Span(self.begin_ms, self.begin_ms + len(self.samples) // SAMPLES_PER_MS)


@dataclass(frozen=True, slots=True)
class Word:
    """A recognized word. ``text + punctuation`` of all words, joined, is the sentence text.

    Latin-script words carry their own trailing space in ``text``, or in ``punctuation`` when a mark follows.
    ``confidence`` is 0..1, None where the engine gives none. ``approximate`` says that nothing measured the times: the
    word shares those of its surroundings by its length.
    """

    begin_ms: int
    end_ms: int
    text: str
    punctuation: str = ""
    confidence: float | None = None
    approximate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence with its words. ``language`` and ``emotion`` are empty where nothing measured them."""

    begin_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()
    speaker: int | None = None
    language: str = ""
    emotion: str = ""
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of one voice, with what it sounds like: ``voiceprint`` holds float32 values in the machine's order.

    Voiceprints of one source are comparable with each other, those of different models are not. Utterances of a span
    may overlap where several people speak at once.
    """

    begin_ms: int
    end_ms: int
    voiceprint: bytes


@dataclass(frozen=True, slots=True)
class Voices:
    """Who was heard in one window, in order of their begin, or the ``reason`` why nobody could tell.

    ``measured`` says that models took the voiceprints; else they are statistics of pitch and spectrum. Up to the mean
    cosine distance ``same_speaker``, groups of measured voiceprints are one speaker. ``unsegmented`` says that an
    installed segmentation was left out, so that people who talk at once were taken for one.
    """

    utterances: tuple[Utterance, ...] = ()
    measured: bool = False
    same_speaker: float = 0.5
    unsegmented: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch in which one speaker speaks.

    ``speaker`` counts from 0 as they first say something that was written down in the channel; the silent come last.
    """

    begin_ms: int
    end_ms: int
    speaker: int


class Fate(StrEnum):
    """What became of a stretch of sound."""

    TRANSCRIBED = "transcribed"
    NON_SPEECH = "non_speech"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an engine made of one span: sentences, nothing heard, or a failure with its reason."""

    span: Span
    fate: Fate
    sentences: tuple[Sentence, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: the fate of a stretch of one channel, with the reason where it failed."""

    begin_ms: int
    end_ms: int
    fate: Fate
    reason: str = ""


def joint(left: str, right: str) -> str:
    """What goes between two texts that follow each other: nothing after Chinese or Japanese, else a space."""
    if not left or not right or left[-1].isspace() or right[0].isspace():
        return ""
    # Chinese shares these marks with Latin text: what stands before them tells.
    return "" if is_unspaced(left.rstrip("”’…—")[-1:]) else " "


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to writing without spaces between words: Han, kana, full-width marks (not Hangul)."""
    return (
        "\u2e80" <= character <= "\u312f"
        or "\u31a0" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef"
        or "\U00020000" <= character <= "\U0003ffff"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One channel's transcript and its ledger, which tiles the whole stretch that was asked for.

    ``turns`` say who spoke when, in order of their begin; they overlap where several people speak at once. Empty where
    nobody was asked to tell speakers apart.
    """

    channel: int
    sentences: Sequence[Sentence]
    ledger: tuple[Entry, ...]
    turns: tuple[Turn, ...] = ()

    @property
    def text(self) -> str:
        """The whole text: the sentences one after another, with a space between them where the writing has spaces."""
        text = [""]
        for sentence in self.sentences:
            text += joint(text[-1], sentence.text), sentence.text
        return "".join(text)

    @property
    def speech_ms(self) -> int:
        """Milliseconds booked as transcribed."""
        return sum(e.end_ms - e.begin_ms for e in self.ledger if e.fate is Fate.TRANSCRIBED)

    @property
    def speaking_ms(self) -> dict[int, int]:
        """Milliseconds of the turns of each speaker."""
        spoken: dict[int, int] = {}
        for turn in self.turns:
            spoken[turn.speaker] = spoken.get(turn.speaker, 0) + turn.end_ms - turn.begin_ms
        return spoken


@dataclass(frozen=True, slots=True)
class FailedStage:
    """A late stage that failed, by its name in ``enrich.StageName``, and why. Every reason is among the notes, too."""

    stage: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The result for one source: a track per requested channel, who recognized it, and notes on what had no effect."""

    media: Media
    tracks: tuple[Track, ...]
    model: str
    engine: str
    notes: tuple[str, ...] = ()
    failed_stages: tuple[FailedStage, ...] = ()

    @property
    def is_call(self) -> bool:
        """Whether there are several channels of which each is one speaker, who has its number."""
        return len(self.tracks) > 1 and all(s.speaker == t.channel for t in self.tracks for s in t.sentences)

    @property
    def text(self) -> str:
        """The text of all tracks, a line each."""
        return "\n".join(track.text.strip() for track in self.tracks if track.text.strip())

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences of all tracks in order of their begin."""
        return tuple(sorted((s for t in self.tracks for s in t.sentences), key=lambda s: (s.begin_ms, s.end_ms)))

    def to(self, format_name: str) -> str:
        """Render in a format by its name, such as ``txt``, ``json`` (the service's result JSON), ``srt`` or ``tsv``.

        Raises InvalidParameterError for a name that is none, which says what there is.
        """
        from dashscribe.render import PRESETS, render

        return render(self, format_name, PRESETS["default"])

    def to_txt(self) -> str:
        """Render as plain text, with a line per turn where speakers were told apart."""
        return self.to("txt")

    def to_tsv(self) -> str:
        """Render as tab-separated values, a line per sentence."""
        return self.to("tsv")

    def to_markdown(self) -> str:
        """Render as Markdown."""
        return self.to("md")

    def to_srt(
        self, captions: str | CaptionStyle = "default", *, speakers: bool | Mapping[int, str] | None = None
    ) -> str:
        """Render as SubRip captions, in a preset or a style of your own; see ``CaptionStyle`` for ``speakers``.

        Raises ValueError for a preset that does not exist.
        """
        from dashscribe.render import find_style, render

        return render(self, "srt", find_style(captions, speakers=speakers))

    def to_vtt(
        self, captions: str | CaptionStyle = "default", *, speakers: bool | Mapping[int, str] | None = None
    ) -> str:
        """Render as WebVTT captions, as ``to_srt`` does."""
        from dashscribe.render import find_style, render

        return render(self, "vtt", find_style(captions, speakers=speakers))

    def to_json(self) -> str:
        """Render as the service's result JSON."""
        return self.to("json")

    def _repr_html_(self) -> str:
        """What a notebook shows for it: a player, and the sentences with their times."""
        from dashscribe.render import notebook

        return notebook.render(self)


@dataclass(frozen=True, slots=True)
class Window:
    """A handful of speech spans of one channel, the unit that is queued, recognized and, after a crash, repeated.

    ``audio`` holds the samples of ``spans`` one after another, mono, 16 kHz, 16 bit, nothing between them, so that span
    i begins at the sum of the lengths before it: as FLAC if ``packed``, which is for windows that are stored, else bare
    and in the machine's own byte order.
    """

    channel: int
    index: int
    spans: tuple[Span, ...]
    audio: bytes
    packed: bool = True

    @property
    def speech_ms(self) -> int:
        """Sum of the lengths of the spans."""
        return sum(span.duration_ms for span in self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How an engine wants its sound cut: no span longer than ``max_piece_ms``, none shorter than ``min_piece_ms``.

    A stretch of speech that is shorter is joined with its nearest neighbor, if there is one near enough.
    """

    max_piece_ms: int = 30_000
    min_piece_ms: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one source is: decoded and recognized up to these times, ``duration_ms`` 0 while unknown.

    Before that, so many bytes of what has to be moved have come or gone, of ``total_bytes`` if anybody knows.
    """

    media: Media | None = None
    decoded_ms: int = 0
    recognized_ms: int = 0
    duration_ms: int = 0
    moved_bytes: int = 0
    total_bytes: int | None = None

    @property
    def fraction(self) -> float:
        """The share that is recognized, 0 to 1; 0 while the length is unknown."""
        return min(1.0, self.recognized_ms / self.duration_ms) if self.duration_ms else 0.0


Shape = Literal["file_urls", "file_url", "sensevoice"]
"""The three forms of a task's answer and result file (api-async sections 2.2 and 3)."""


class Keep(Protocol):
    """Keeps a long list that is gone through more than once, where there is room for it."""

    def __call__(self, kind: type[T], values: Iterable[T], /) -> Sequence[T]:
        """The same values, all of this kind, in the same order."""
        ...


def in_memory(kind: type[T], values: Iterable[T], /) -> tuple[T, ...]:
    """The ``Keep`` of whoever wants to have all of it at hand."""
    del kind
    return tuple(values)


def total_ms(spans: Iterable[Span]) -> int:
    """Total length of the spans in milliseconds."""
    return sum(span.duration_ms for span in spans)
