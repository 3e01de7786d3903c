"""An audio-tagging model beside an engine that tells no events: which of the service's four are in a sentence.

The models are trained on AudioSet (Gemmeke et al. 2017), whose 527 labels are names of sounds; each has a score of its
own between 0 and 1, and several may be true at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import sherpa_onnx

from dashscribe.config import Settings, usable_cores
from dashscribe.engines.sherpa import complaints
from dashscribe.engines.sherpa.recognizer import FULL_SCALE, SHORTEST_MS, Stream
from dashscribe.errors import HostError
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Span, Waveform
from dashscribe.weights.other_families import read_labels

if TYPE_CHECKING:
    from dashscribe.weights import Installed

#: The labels of AudioSet that are the service's events, in the order in which events are told. The kinds of speech and
#: music need not be listed: what they have in common has a label of its own.
EVENTS = {
    "Speech": ("Speech",),
    "BGM": ("Music", "Background music"),
    "Applause": ("Applause", "Clapping"),
    "Laughter": ("Laughter",),
}
#: From this score on an event is told. What lies under speech scores low: of music, applause and laughter 6 dB below
#: speech, the small model of ``tests/models`` finds 77, 97 and 97 % with 0.5 and 80, 100 and 97 % with 0.3; where they
#: are 12 dB below, 43, 77 and 80 % and 67, 83 and 80 %. In 30 sentences of speech alone, 0.1 told something false once
#: and 0.2 never: 0.3 leaves a margin.
THRESHOLD = 0.3
#: Most sound that is tagged at once, in milliseconds: the clips of AudioSet, with which the models are trained, are no
#: longer. A longer sentence has the events of all its parts.
LONGEST_MS = 10_000


class _Event(Protocol):
    name: str
    prob: float


class _Tagging(Protocol):
    """What is used of sherpa-onnx's ``AudioTagging``."""

    def create_stream(self) -> Stream: ...
    def compute(self, stream: Stream, top_k: int) -> Iterable[_Event]: ...


class Tagger:
    """Tells the events in a stretch of sound; not thread-safe."""

    def __init__(self, settings: Settings, model: Installed) -> None:
        model.check()
        self._name = model.name
        runtime: Any = sherpa_onnx
        path, is_ced = str(model.path("model")), model.family == "ced-tagging"
        graph = runtime.AudioTaggingModelConfig(
            ced=path if is_ced else "",
            num_threads=max(1, usable_cores() // settings.workers),
            provider=settings.provider,
        )
        if not is_ced:
            graph.zipformer.model = path
        config = runtime.AudioTaggingConfig(model=graph, labels=str(model.path("labels")))
        with complaints.heard() as said:
            self._tagging = cast("_Tagging", runtime.AudioTagging(config))
        said.refuse_fallback(settings.provider)
        self._labels = len(read_labels(model.path("labels")))

    def events(self, piece: Waveform, span: Span) -> tuple[str, ...]:
        """The events in the stretch of the piece, in the order of ``EVENTS``; empty if none is likely.

        Raises HostError where the model's scores are no numbers.
        """
        begin, end = ((ms - piece.begin_ms) * SAMPLES_PER_MS for ms in (span.begin_ms, span.end_ms))
        parts = max(1, -(-(end - begin) // (LONGEST_MS * SAMPLES_PER_MS)))
        scores: dict[str, float] = {}
        for part in np.array_split(piece.samples[begin:end], parts):
            for name, score in self._scores(part).items():
                scores[name] = max(score, scores.get(name, 0.0))
        return tuple(
            event for event, names in EVENTS.items() if max(scores.get(name, 0.0) for name in names) >= THRESHOLD
        )

    def _scores(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> dict[str, float]:
        """The score of every label."""
        lacking = SHORTEST_MS * SAMPLES_PER_MS - len(samples)
        samples = np.pad(samples, (0, lacking)) if lacking > 0 else samples
        stream = self._tagging.create_stream()
        stream.accept_waveform(RATE_HZ, samples.astype(np.float32) / FULL_SCALE)
        scores = {event.name: event.prob for event in self._tagging.compute(stream, self._labels)}
        if any(map(math.isnan, scores.values())):
            raise HostError(f"{self._name} gave scores that are no numbers")
        return scores
