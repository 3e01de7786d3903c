"""What all engines on sherpa-onnx share: opening recognizers, decoding pieces, noticing what the runtime hides.

A family's module says which recognizer a request needs and what its result means. Everything that would end the process
is kept from the runtime: files are checked before it gets them, pieces are never shorter than it can take, hotwords go
to a stream only where the family has them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from dashscribe.config import Settings, usable_cores
from dashscribe.engines.sherpa import complaints
from dashscribe.errors import HostError
from dashscribe.languages import spelled
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Fate, Options, Outcome, Sentence, Span, Waveform
from dashscribe.words import Heard, locate, timed_sentence

if TYPE_CHECKING:
    from dashscribe.weights import Installed

#: Shorter pieces are filled up with silence: below 25 ms there is no frame, and models want a few.
SHORTEST_MS = 300
#: Recognizers that are kept open: each holds the weights once more.
KEPT_OPEN = 2
#: A piece of a word (a syllable, or a character) lasts no longer than this after its peak unless another one follows.
LONGEST_PIECE_MS = 240
#: What int16 samples are divided by.
FULL_SCALE = 32768.0


class Result(Protocol):
    """What is used of sherpa-onnx's result; fields that a family lacks are empty. Times are in seconds."""

    text: str
    tokens: Sequence[str]
    timestamps: Sequence[float]
    lang: str
    emotion: str
    event: str


class Stream(Protocol):
    """What is used of sherpa-onnx's ``OfflineStream``."""

    result: Result

    def accept_waveform(self, sample_rate: int, waveform: object) -> None:
        """Take all samples, float32 in -1..1."""
        ...

    def set_option(self, key: str, value: str) -> None:
        """Set what may differ from stream to stream."""
        ...


class Recognizer(Protocol):
    """What is used of sherpa-onnx's ``OfflineRecognizer``."""

    def create_stream(self, hotwords: str | None = None) -> Stream:
        """A stream for one piece; hotwords end the process for all but transducers."""
        ...

    def decode_streams(self, streams: Sequence[Stream]) -> None:
        """Fill in the result of each."""
        ...


class SherpaEngine(ABC):
    """An engine on one installed model; not thread-safe."""

    def __init__(self, settings: Settings, model: Installed) -> None:
        model.check()
        self._model = model
        self._provider = settings.provider
        # As many recognitions as slots run at once; each takes its share of the cores.
        self._threads = max(1, usable_cores() // settings.workers)
        self._open_recognizers: OrderedDict[Hashable, Recognizer] = OrderedDict()
        self._recognizer(self._key(Options()))  # a model that does not load is to be told at once

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """One outcome per piece. Raises HostError for what the runtime failed at, SystemExit for one piece on a GPU."""
        # Zeros stand for sound that could not be decoded, or was never recorded.
        sounding = [piece for piece in pieces if piece.samples.any()]
        outcomes = dict(zip(map(id, sounding), self._decode(sounding, options), strict=True)) if sounding else {}
        return [outcomes.get(id(piece)) or Outcome(piece.span, Fate.NON_SPEECH, reason="zeros") for piece in pieces]

    def _decode(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        recognizer = self._recognizer(self._key(options))
        streams = [self._stream(recognizer, piece, options) for piece in pieces]
        with complaints.heard() as said:
            recognizer.decode_streams(streams)
        if said.exception and self._provider != "cpu" and len(pieces) == 1:
            # A GPU that failed, or is full, fails at every later call of this process, too: another one tries again.
            raise SystemExit(f"{self._model.name} failed on {self._provider}: {said.exception}")
        if said.exception:
            raise HostError(f"{self._model.name} failed: {said.exception}")
        return [
            self._outcome(piece, stream.result, options, said) for piece, stream in zip(pieces, streams, strict=True)
        ]

    def _stream(self, recognizer: Recognizer, piece: Waveform, options: Options) -> Stream:
        stream = self._create_stream(recognizer, options)
        lacking = SHORTEST_MS * SAMPLES_PER_MS - len(piece.samples)
        samples = np.pad(piece.samples, (0, lacking)) if lacking > 0 else piece.samples
        stream.accept_waveform(RATE_HZ, samples.astype(np.float32) / FULL_SCALE)
        return stream

    def _recognizer(self, key: Hashable) -> Recognizer:
        """The recognizer for a key, opened if need be; the one that was not used for longest makes room."""
        if key in self._open_recognizers:
            self._open_recognizers.move_to_end(key)
            return self._open_recognizers[key]
        while len(self._open_recognizers) >= KEPT_OPEN:
            self._open_recognizers.popitem(last=False)
        with complaints.heard() as said:
            recognizer = self._open(key)
        said.refuse_fallback(self._provider)
        self._open_recognizers[key] = recognizer
        return recognizer

    def _from(self, constructor: Callable[..., Any], **arguments: object) -> Recognizer:
        """Call one of sherpa-onnx's constructors with what all have in common."""
        return cast("Recognizer", constructor(num_threads=self._threads, provider=self._provider, **arguments))

    def _path(self, role: str) -> str:
        return str(self._model.path(role)) if role in self._model.files else ""

    # --- what a family says ---

    def _key(self, options: Options) -> Hashable:
        """What of a request is fixed when a recognizer is opened."""
        del options
        return None

    @abstractmethod
    def _open(self, key: Hashable) -> Recognizer:
        """A recognizer for such a request."""

    def _create_stream(self, recognizer: Recognizer, options: Options) -> Stream:
        """A stream set up for the request."""
        del options
        return recognizer.create_stream()

    @abstractmethod
    def _outcome(self, piece: Waveform, result: Result, options: Options, said: complaints.Complaints) -> Outcome:
        """What the result means; ``said`` is what the runtime complained of meanwhile."""


def one_language(options: Options, known: Sequence[str]) -> str:
    """The language to tell a model: the only hint among those it knows; empty where it has to find out itself."""
    code = spelled(options.languages[0], known) if len(options.languages) == 1 else ""
    return code if code in known else ""


def peaked_sentence(
    piece: Waveform,
    text: str,
    tokens: Sequence[str],
    starts_s: Sequence[float],
    *,
    language: str = "",
    emotion: str = "",
) -> Sentence:
    """The text as a sentence, its words timed by the peaks of the pieces that spell it.

    ``starts_s`` are the pieces' times within the sound, in seconds. Where they do not spell the text, or are no times,
    the words are spread over the piece and marked as approximate.
    """
    text = text.strip()
    places = locate(text, tokens) if len(tokens) == len(starts_s) else None
    return timed_sentence(
        text, peaks(piece.span, places, starts_s) if places else (), piece.span, language=language, emotion=emotion
    )


def peaks(span: Span, places: Sequence[tuple[int, int]], starts_s: Sequence[float]) -> list[Heard]:
    """When the pieces at these places of the text were heard: from their peak until the next one, if that is near."""
    begins = [min(span.begin_ms + round(start_s * 1000), span.end_ms) for start_s in starts_s]
    following = [*begins[1:], span.end_ms]
    ends = [min(after, begin + LONGEST_PIECE_MS) for begin, after in zip(begins, following, strict=True)]
    return [Heard(b, e, begin, max(begin, end)) for (b, e), begin, end in zip(places, begins, ends, strict=True)]
