"""The messages between the parent and its child processes, and how they become bytes.

Owns the vocabulary only; who speaks when is in ``parent`` and ``child``. Messages are typed msgpack, never pickle: a
media child reads hostile files, so the parent takes nothing from it that is not one of these shapes.
"""

from __future__ import annotations

from msgspec import Struct, msgpack

from dashscribe import errors
from dashscribe.errors import DashscribeError, HostError, sources
from dashscribe.types import Limits, Media, Options, Outcome, Span, Utterance, Window
from dashscribe.words import sendable

#: Largest message that either side accepts. The largest real one is a window of 60 s of sound, below 2 MB.
MAX_MESSAGE_BYTES = 64 * 1024**2
#: Correlation of the loudness of two channels from which on they hold the same speech.
ALIKE = 0.3
#: Peaks of a waveform for each second: a pixel or more for each at the widest zoom that a reader works at.
PEAKS_HZ = 20
#: Longest detail of a Failure, in characters; it ends up in messages that people read.
MAX_DETAIL = 2000


# --- requests, parent to child --------------------------------------------------------------------------------------


class Describe(Struct, frozen=True, tag=True):
    """To any child: answer with Isolation."""


class Load(Struct, frozen=True, tag=True):
    """To an engine, text or speaker child, once: open the engine or model.

    ``settings`` is the parent's Settings as JSON, without secrets but the engine's own; ``weights`` names the installed
    model that the engine is, ``annotator`` and ``tagger`` those that complete what it gives; empty for none. A text
    child without a model normalizes numbers. Of a speaker child, ``weights`` takes voiceprints and ``annotator`` finds
    who speaks when; one without models goes by pitch and spectrum.
    """

    settings: bytes
    weights: str = ""
    annotator: str = ""
    tagger: str = ""


class Probe(Struct, frozen=True, tag=True):
    """To a media child: answer with MediaReply. ``path`` is in the bytes of the file system."""

    path: bytes
    url: str


class Compare(Struct, frozen=True, tag=True):
    """To a media child: answer with Positions and a ComparedReply for the first two channels. ``path`` as for Probe."""

    path: bytes
    url: str
    stretch: Span | None = None


class ListCodecs(Struct, frozen=True, tag=True):
    """To a media child: answer with a CodecsReply."""


class Cut(Struct, frozen=True, tag=True):
    """To a media child: answer with a MediaReply, WindowReplies and Positions as found, a CutEnd.

    ``remedy`` is what a message advises for a source that is longer than ``max_duration_ms``. ``detector`` is the file
    of a model for voice activity, empty for the embedded detector; ``packed`` asks for windows with compressed sound;
    ``denoiser`` is the file of a model that takes noise off before, empty for none. ``peaks`` asks for PeaksReplies
    before the CutEnd.
    """

    path: bytes
    url: str
    options: Options
    limits: Limits
    max_duration_ms: int
    remedy: str
    detector: bytes = b""
    packed: bool = True
    denoiser: bytes = b""
    peaks: bool = False


class Encode(Struct, frozen=True, tag=True):
    """To a media child: answer with SoundReplies, which together are an MP3 of the whole source, and Positions.

    Up to two channels as they are or, with ``mix``, all of them as one. ``path`` as for Probe; ``remedy`` and
    ``max_duration_ms`` as for Cut.
    """

    path: bytes
    url: str
    max_duration_ms: int
    remedy: str
    mix: bool = False


class Recognize(Struct, frozen=True, tag=True):
    """To an engine child: answer with one OutcomeReply per span of the window, in order, each when it is ready.

    The spans before number ``first`` were answered in an earlier call and are left out. ``batch`` is how many spans are
    decoded at once: 1 where somebody waits for each. ``strict``: spans that cannot be decoded so are an error; they
    would else be decoded one by one.
    """

    window: Window
    options: Options
    first: int = 0
    batch: int = 1
    strict: bool = False


class RecognizeTogether(Struct, frozen=True, tag=True):
    """To an engine child: answer for windows of several callers, whose options are alike, as if each came alone.

    ``place`` of each reply is that of its request here.
    """

    requests: tuple[Recognize, ...]


class Punctuate(Struct, frozen=True, tag=True):
    """To a text child: answer with a TextReply, the text with marks between and behind its words."""

    text: str


class Normalize(Struct, frozen=True, tag=True):
    """To a text child: answer with a TextsReply, the numbers that are said in each text as digits.

    ``language`` is that of all texts, ``zh`` or ``en``.
    """

    texts: tuple[str, ...]
    language: str


class Listen(Struct, frozen=True, tag=True):
    """To a speaker child: answer with an UtterancesReply for each run of spans of the window that touch, in order."""

    window: Window


Request = (
    Describe
    | Load
    | Probe
    | Compare
    | ListCodecs
    | Cut
    | Encode
    | Recognize
    | RecognizeTogether
    | Punctuate
    | Normalize
    | Listen
)


# --- replies, child to parent ---------------------------------------------------------------------------------------


class Isolation(Struct, frozen=True, tag=True):
    """What the child has given up, by name; the value says how far or why it could not."""

    measures: dict[str, str]


class MediaReply(Struct, frozen=True, tag=True):
    """What the source is, by its container's claim."""

    media: Media


class ComparedReply(Struct, frozen=True, tag=True):
    """How two channels differ: the correlation of their loudness, -1 to 1; which are ``silent`` and which ``steady``.

    A steady channel is about as loud all the time, as noise is and speech is not.
    """

    correlation: float
    silent: tuple[int, ...]
    steady: tuple[int, ...]

    @property
    def is_call(self) -> bool:
        """Whether each channel holds speech of its own: people who take turns come out below 0, one room well above."""
        return not self.steady and self.correlation < ALIKE


class CodecsReply(Struct, frozen=True, tag=True):
    """The codecs of sound that can be decoded, by FFmpeg's names."""

    names: tuple[str, ...]


class Position(Struct, frozen=True, tag=True):
    """Sign of life while cutting: the source is decoded up to here, on the file's clock."""

    position_ms: int


class WindowReply(Struct, frozen=True, tag=True):
    """A window that is full, or the last of its channel."""

    window: Window


class PeaksReply(Struct, frozen=True, tag=True):
    """How loud a channel is, over all that was cut: ``PEAKS_HZ`` bytes a second, 0 to 127 for the whole scale."""

    channel: int
    peaks: bytes


class SoundReply(Struct, frozen=True, tag=True):
    """The next bytes of what a source is encoded as."""

    data: bytes


class CutEnd(Struct, frozen=True, tag=True):
    """The last message of a cut: what was really decoded.

    ``media.duration_ms`` counts samples, ``channels`` are those that exist of the requested ones, ``lost`` are the
    stretches that could not be decoded, ``notes`` say what was odd about the source.
    """

    media: Media
    channels: tuple[int, ...]
    begin_ms: int
    end_ms: int
    lost: tuple[Span, ...]
    notes: tuple[str, ...]


class OutcomeReply(Struct, frozen=True, tag=True):
    """What became of the next span of the window at ``place``, which is 0 where only one was sent."""

    outcome: Outcome
    place: int = 0


class TextReply(Struct, frozen=True, tag=True):
    """What a text became."""

    text: str


class TextsReply(Struct, frozen=True, tag=True):
    """What texts became, in order."""

    texts: tuple[str, ...]


class UtterancesReply(Struct, frozen=True, tag=True):
    """The voices of the window's next run of spans that touch, in order of their begin; see ``Voices``."""

    utterances: tuple[Utterance, ...]
    same_speaker: float


class Failure(Struct, frozen=True, tag=True):
    """The request ended with an error: the name of a class in ``dashscribe.errors`` and its detail."""

    error: str
    detail: str


class End(Struct, frozen=True, tag=True):
    """The request is answered; the child waits for the next one."""


Reply = (
    Isolation
    | MediaReply
    | ComparedReply
    | CodecsReply
    | Position
    | WindowReply
    | PeaksReply
    | SoundReply
    | CutEnd
    | OutcomeReply
    | TextReply
    | TextsReply
    | UtterancesReply
    | Failure
    | End
)


_encoder = msgpack.Encoder()
_requests = msgpack.Decoder(Request)
_replies = msgpack.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """A message as msgpack."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """The request in ``data``. Raises ``msgspec.DecodeError`` for anything else."""
    return _requests.decode(data)


def decode_reply(data: bytes) -> Reply:
    """The reply in ``data``. Raises ``msgspec.DecodeError`` for anything else."""
    return _replies.decode(data)


#: The error classes that both sides know, by name.
_KINDS = {
    name: kind
    for module in (errors, sources)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, DashscribeError)
}


def failure_of(error: Exception) -> Failure:
    """An exception as a message: the nearest class of ours, HostError for any other exception."""
    if isinstance(error, DashscribeError):
        name = next(kind.__name__ for kind in type(error).__mro__ if _KINDS.get(kind.__name__) is kind)
        return Failure(name, sendable(error.detail[:MAX_DETAIL]))
    return Failure(HostError.__name__, sendable(f"{type(error).__name__}: {error}"[:MAX_DETAIL]))


def error_from(failure: Failure) -> DashscribeError:
    """The exception that a Failure stands for; a name that is no error class of ours becomes a HostError."""
    kind = _KINDS.get(failure.error)
    detail = failure.detail[:MAX_DETAIL]
    if kind is not None:
        return kind(detail)
    return HostError(f"{failure.error[:100]}: {detail}")
