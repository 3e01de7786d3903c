"""SenseVoice beside another engine: it times that engine's words and tells language, emotion and event of sentences.

sherpa-onnx gives no posteriors, so the same graph runs in onnxruntime here. Features are Kaldi's (80 bins, hamming, no
dither, 25/10 ms) in stacks of seven with a step of six, padded at the edges with themselves, as sherpa-onnx computes
them for this model (``csrc/offline-recognizer-sense-voice-impl.h``, compared with a probe model).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import kaldi_native_fbank as knf
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dashscribe.align import Aligned, align, spellings
from dashscribe.config import Settings, usable_cores
from dashscribe.engines.sherpa.recognizer import LONGEST_PIECE_MS, SHORTEST_MS, one_language
from dashscribe.engines.sherpa.sensevoice import EMOTIONS, UNKNOWN_EVENT, tag
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Options, Sentence, Span, Waveform
from dashscribe.weights.families import read_tokens
from dashscribe.weights.onnx_header import read_header
from dashscribe.words import Heard, timed_sentence

if TYPE_CHECKING:
    from dashscribe.weights import Installed

#: Frames of 10 ms in a stack, and by how many the next one is later.
STACK, STEP = 7, 6
#: Length of a row of the model's output in milliseconds, and how many rows with tags come first.
FRAME_MS, TAGS = 60, 4


@dataclass(frozen=True, slots=True)
class Posteriors:
    """What the model makes of a sound: ``log_probs`` of shape (frames, tokens), 60 ms a frame, and its tags."""

    log_probs: NDArray[np.float32]
    language: str
    emotion: str
    event: str


class _Port(Protocol):
    name: str


class _Session(Protocol):
    """What is used of ``onnxruntime.InferenceSession``, whose types tell little."""

    def get_inputs(self) -> Sequence[_Port]:
        """The graph's inputs, in order."""
        ...

    def run(self, names: None, values: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[np.float32]]:
        """All outputs, in order."""
        ...


class Annotator:
    """Completes the sentences of other engines; not thread-safe."""

    def __init__(self, settings: Settings, model: Installed) -> None:
        model.check()
        path = model.path("model")
        self._session = _session(path, threads=max(1, usable_cores() // settings.workers))
        self._inputs = [port.name for port in self._session.get_inputs()]
        self._metadata = read_header(path).metadata
        self._tokens = read_tokens(model.path("tokens"))
        self._symbols = {number: symbol for symbol, number in self._tokens.items()}
        self._mean, self._scale = (
            np.array(self._metadata[key].split(","), dtype=np.float32) for key in ("neg_mean", "inv_stddev")
        )
        self.languages = model.languages
        self._last: tuple[Options, NDArray[np.int16], Posteriors] | None = None
        self._fbank = _fbank_options()

    def timed(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        """The sentence with the times that the posteriors give its words; as it is where its engine measured them."""
        if not any(word.approximate for word in sentence.words):
            return sentence
        return self.aligned(piece, sentence, options) or sentence

    def aligned(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence | None:
        """The sentence with all its words timed anew between its bounds; None where it does not fit into its sound."""
        aligned = align(self._listen(piece, sentence, options).log_probs, spellings(sentence.text, self._tokens))
        return None if aligned is None else self._with_times(sentence, aligned)

    def tagged(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        """The sentence with its language, emotion and event, where they are asked for and nobody has told them yet."""
        asks_event = options.events and not sentence.events
        asks_manner = options.emotion and not (sentence.emotion and sentence.language)
        if not asks_event and not asks_manner:
            return sentence
        heard = self._listen(piece, sentence, options)
        if asks_event and heard.event and heard.event != UNKNOWN_EVENT:
            sentence = replace(sentence, events=(heard.event,))
        if not asks_manner:
            return sentence
        return replace(
            sentence, language=sentence.language or heard.language, emotion=sentence.emotion or heard.emotion
        )

    def _with_times(self, sentence: Sentence, aligned: Sequence[Aligned]) -> Sentence:
        begins = [sentence.begin_ms + entry.first * FRAME_MS for entry in aligned]
        following = [*begins[1:], sentence.end_ms]
        times = [
            Heard(
                entry.begin,
                entry.end,
                begin_ms,
                min(max(sentence.begin_ms + (entry.last + 1) * FRAME_MS, begin_ms + LONGEST_PIECE_MS), next_ms),
            )
            for entry, begin_ms, next_ms in zip(aligned, begins, following, strict=True)
            if entry.spelled
        ]
        span = Span(sentence.begin_ms, sentence.end_ms)
        return timed_sentence(sentence.text, times, span, language=sentence.language, emotion=sentence.emotion)

    def _listen(self, piece: Waveform, sentence: Sentence, options: Options) -> Posteriors:
        """What the model makes of a sentence's sound; kept, because its words and its tags are asked for in turn."""
        begin, end = ((ms - piece.begin_ms) * SAMPLES_PER_MS for ms in (sentence.begin_ms, sentence.end_ms))
        samples = piece.samples[begin:end]
        if self._last is None or self._last[0] is not options or not np.array_equal(self._last[1], samples):
            self._last = (options, samples, self.listen(samples, options))
        return self._last[2]

    def listen(self, samples: NDArray[np.int16], options: Options) -> Posteriors:
        """Run the model over samples of shape (n,)."""
        features = (stacked(self._features(samples)) + self._mean) * self._scale
        language = one_language(options, self.languages) or "auto"
        values = (
            features[None].astype(np.float32),
            np.array([len(features)], dtype=np.int32),
            np.array([int(self._metadata[f"lang_{language}"])], dtype=np.int32),
            np.array([int(self._metadata["without_itn"])], dtype=np.int32),
        )
        logits = self._session.run(None, dict(zip(self._inputs, values, strict=True)))[0]
        log_probs = _log_softmax(logits[0, : len(features) + TAGS])
        language, emotion, event = (self._symbols[int(row.argmax())] for row in log_probs[: TAGS - 1])
        return Posteriors(
            log_probs[TAGS:],
            language="" if tag(language) == "nospeech" else tag(language),
            emotion=EMOTIONS.get(emotion, ""),
            event=tag(event),
        )

    def _features(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Log mel energies, shape (frames, 80)."""
        lacking = SHORTEST_MS * SAMPLES_PER_MS - len(samples)
        samples = np.pad(samples, (0, lacking)) if lacking > 0 else samples
        scale = 1.0 if self._metadata["normalize_samples"] == "0" else 1 / 32768
        fbank = knf.OnlineFbank(self._fbank)
        fbank.accept_waveform(RATE_HZ, (samples.astype(np.float32) * scale).tolist())
        fbank.input_finished()
        return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def stacked(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Low frame rate features, shape (rows, 7 * bins): row i holds frames 6i - 3 to 6i + 3, edges repeated."""
    rows = 1 + (len(frames) - 1) // STEP
    places = np.arange(rows)[:, None] * STEP + np.arange(STACK)[None] - STACK // 2
    return frames[np.clip(places, 0, len(frames) - 1)].reshape(rows, -1)


def _session(path: Path, threads: int) -> _Session:
    options: Any = onnxruntime.SessionOptions()  # pyright: ignore[reportUnknownVariableType]
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only: what it warns of concerns other hardware
    return cast("_Session", onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))


def _fbank_options() -> knf.FbankOptions:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.frame_opts.samp_freq = RATE_HZ
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 80
    options.mel_opts.low_freq = 20
    return options


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
