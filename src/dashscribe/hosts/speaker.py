"""What a speaker child does: find who is heard in a window, and what each voice sounds like.

Runs in a child process only. With installed models, a segmentation finds the utterances of each speaker, overlapping
ones too, and an embedding takes their voiceprints, both through sherpa-onnx; without any, ``spectral`` does what
it can.
Who is who is decided over the whole source, in ``dashscribe.enrich.speakers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.engines.sherpa import complaints
from dashscribe.errors import DashscribeError, EngineUnavailableError, HostError
from dashscribe.hosts import spectral
from dashscribe.hosts.pieces import pieces
from dashscribe.hosts.protocol import Listen, Load, Reply, Request, UtterancesReply
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Utterance, Waveform
from dashscribe.weights.onnx_header import read_header

#: Utterances shorter than this have no voiceprint of use, in milliseconds.
SHORTEST_MS = 300
#: A pause of one speaker up to this length parts no utterance, in milliseconds.
PAUSE_MS = 300
#: Longest part of an utterance that one voiceprint stands for, in milliseconds.
LONGEST_MS = 5000
#: How far the segmentation's window of 10 s moves on. The runtime's own tenth takes five times as long.
SHIFT = 0.5
#: Cosine distance up to which the runtime takes two voices of a window for one. Low: what it keeps apart without need
#: is joined over the whole source, what it joins stays joined.
SAME_VOICE = 0.3
#: Mean cosine distance up to which two groups of utterances are one speaker, where the embedding's metadata do not say
#: ``same_speaker_distance``: the runtime's own choice for what it joins.
SAME_SPEAKER = 0.5


class SpeakerRole:
    """The models of this child, if there are any."""

    def __init__(self) -> None:
        self._utterances: Callable[[Waveform], list[Utterance]] | None = None
        self._same_speaker = SAME_SPEAKER

    def answer(self, request: Request) -> Iterator[Reply]:
        """The replies to Load and Listen."""
        match request:
            case Load(weights=""):
                self._utterances = spectral.utterances
            case Load():
                models = _Models(request)
                self._utterances, self._same_speaker = models.utterances, models.same_speaker
            case Listen(window) if self._utterances is not None:
                for stretch in _stretches(pieces(window)):
                    yield UtterancesReply(tuple(self._utterances(stretch)), self._same_speaker)
            case _:
                raise HostError(f"a speaker child cannot answer {type(request).__name__} now")


def _stretches(found: Iterator[Waveform]) -> Iterator[Waveform]:
    """The pieces with those joined that touch: a voice does not end where a piece was cut."""
    run: list[Waveform] = []
    for piece in found:
        if run and run[-1].span.end_ms != piece.begin_ms:
            yield _joined(run)
            run = []
        run.append(piece)
    if run:
        yield _joined(run)


def _joined(run: Sequence[Waveform]) -> Waveform:
    return Waveform(np.concatenate([piece.samples for piece in run]), run[0].begin_ms)


class _Models:
    """An installed segmentation and an installed embedding."""

    def __init__(self, request: Load) -> None:
        settings = Settings.model_validate_json(request.settings)
        folder = settings.resolved_models_dir
        embedding = weights.find(folder, request.weights)
        segmentation = weights.find(folder, request.annotator) if request.annotator else None
        for model in (embedding, segmentation):
            if model:
                model.check()  # what is wrong with one would end the process
        try:
            import sherpa_onnx
        except ImportError as error:
            raise EngineUnavailableError(f"sherpa-onnx cannot be imported: {error}") from error
        runtime = cast("Any", sherpa_onnx)  # it carries no types
        told = read_header(embedding.path("model")).metadata.get("same_speaker_distance", "")
        self.same_speaker = float(told) if told else SAME_SPEAKER
        extractor = runtime.SpeakerEmbeddingExtractorConfig(
            model=str(embedding.path("model")), num_threads=1, provider=settings.provider
        )
        try:
            with complaints.heard() as said:
                self._extractor = runtime.SpeakerEmbeddingExtractor(extractor)
                self._diarization = segmentation and _diarization(runtime, segmentation, extractor, settings)
            said.refuse_fallback(settings.provider)
        except DashscribeError:
            raise
        except Exception as error:
            raise EngineUnavailableError(f"the speaker models failed to load: {error}") from error

    def utterances(self, piece: Waveform) -> list[Utterance]:
        """The utterances of a piece with their embeddings, in order of their begin."""
        samples = piece.samples.astype(np.float32) / np.float32(32768)
        if len(samples) < SHORTEST_MS * SAMPLES_PER_MS:
            return []
        spoken = self._spoken(piece, samples)
        utterances: list[Utterance] = []
        for begin_ms, end_ms, who in spoken:
            others = [(b, e) for b, e, other in spoken if other != who and b < end_ms and e > begin_ms]
            for part_begin_ms, part_end_ms in _parts(begin_ms, end_ms):
                voiceprint = self._voiceprint(samples, part_begin_ms, part_end_ms, others)
                if voiceprint is not None:
                    span = piece.begin_ms + part_begin_ms, piece.begin_ms + part_end_ms
                    utterances.append(Utterance(*span, voiceprint.tobytes()))
        return utterances

    def _spoken(self, piece: Waveform, samples: NDArray[np.float32]) -> list[tuple[int, int, int]]:
        """Who speaks from when to when, in milliseconds from the begin; without a segmentation everybody differs."""
        if self._diarization is None:
            return [(begin, end, number) for number, (begin, end) in enumerate(spectral.stretches(piece))]
        found = self._diarization.process(samples).sort_by_start_time()
        length_ms = len(samples) // SAMPLES_PER_MS
        return [(round(1000 * s.start), min(round(1000 * s.end), length_ms), s.speaker) for s in found]

    def _voiceprint(
        self, samples: NDArray[np.float32], begin_ms: int, end_ms: int, others: Sequence[tuple[int, int]]
    ) -> NDArray[np.float32] | None:
        """The embedding of a stretch, of what nobody else talks into if that is enough; None if it is too short."""
        alone = np.ones(end_ms - begin_ms, bool)
        for other_begin_ms, other_end_ms in others:
            alone[max(0, other_begin_ms - begin_ms) : max(0, other_end_ms - begin_ms)] = False
        sound = samples[begin_ms * SAMPLES_PER_MS : end_ms * SAMPLES_PER_MS]
        if alone.sum() >= SHORTEST_MS:
            sound = sound[np.repeat(alone, SAMPLES_PER_MS)[: len(sound)]]
        if len(sound) < SHORTEST_MS * SAMPLES_PER_MS:
            return None
        stream = self._extractor.create_stream()
        stream.accept_waveform(RATE_HZ, sound)
        stream.input_finished()
        if not self._extractor.is_ready(stream):
            return None
        voiceprint = np.array(self._extractor.compute(stream), np.float32)
        return voiceprint if np.isfinite(voiceprint).all() else None


def _diarization(runtime: Any, segmentation: weights.Installed, extractor: object, settings: Settings) -> Any:
    """The runtime's segmentation, with the embedding that it needs to follow a voice from one of its windows on."""
    pyannote = runtime.OfflineSpeakerSegmentationPyannoteModelConfig(
        model=str(segmentation.path("model")), window_shift_ratio=SHIFT
    )
    config = runtime.OfflineSpeakerDiarizationConfig(
        segmentation=runtime.OfflineSpeakerSegmentationModelConfig(
            pyannote=pyannote, num_threads=1, provider=settings.provider
        ),
        embedding=extractor,
        clustering=runtime.FastClusteringConfig(num_clusters=-1, threshold=SAME_VOICE),
        min_duration_on=SHORTEST_MS / 1000,
        min_duration_off=PAUSE_MS / 1000,
    )
    if not config.validate():
        raise EngineUnavailableError(f"the runtime refuses {segmentation.name} as a segmentation of speakers")
    return runtime.OfflineSpeakerDiarization(config)


def _parts(begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """A stretch in even parts, none longer than ``LONGEST_MS``."""
    count = -(-(end_ms - begin_ms) // LONGEST_MS)
    edges = [begin_ms + (end_ms - begin_ms) * i // count for i in range(count + 1)]
    return list(pairwise(edges))
