"""Transducers and CTC models: a token at a time as the sound goes by, so that every token has its time.

Which constructor a CTC model needs stands in its metadata. Transducers alone take hotwords with a stream; they search
with a beam for that, and with no hotwords they are greedy, which is faster and as good.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import sherpa_onnx

from dashscribe.engines.sherpa.complaints import Complaints
from dashscribe.engines.sherpa.recognizer import Recognizer, Result, SherpaEngine, Stream, peaked_sentence
from dashscribe.types import Fate, Hotword, Options, Outcome, Waveform
from dashscribe.weights.families import read_tokens
from dashscribe.weights.onnx_header import read_header

_CTC: dict[str, Callable[..., Any]] = {
    "zipformer2_ctc": sherpa_onnx.OfflineRecognizer.from_zipformer_ctc,
    "EncDecCTCModelBPE": sherpa_onnx.OfflineRecognizer.from_nemo_ctc,
    "EncDecCTCModel": sherpa_onnx.OfflineRecognizer.from_nemo_ctc,
    "EncDecHybridRNNTCTCBPEModel": sherpa_onnx.OfflineRecognizer.from_nemo_ctc,
    "wenet_ctc": sherpa_onnx.OfflineRecognizer.from_wenet_ctc,
}
#: How much each weight of a hotword adds to the score of a path, per token (the runtime's own default is 1.5).
SCORE_PER_WEIGHT = 0.5


class _FramewiseEngine(SherpaEngine):
    """What both kinds make of a result."""

    def _outcome(self, piece: Waveform, result: Result, options: Options, said: Complaints) -> Outcome:
        text, tokens = result.text, list(result.tokens)
        if text.upper() == text:  # many are trained on upper case; capitals are for what reads the text to set
            text, tokens = text.lower(), [token.lower() for token in tokens]
        sentence = peaked_sentence(piece, text, tokens, result.timestamps)
        if not sentence.words:
            return Outcome(piece.span, Fate.NON_SPEECH)
        return Outcome(piece.span, Fate.TRANSCRIBED, (sentence,))


class CtcEngine(_FramewiseEngine):
    """A CTC model of icefall, NeMo or WeNet."""

    def _open(self, key: Hashable) -> Recognizer:
        del key
        constructor = _CTC[read_header(self._model.path("model")).metadata["model_type"]]
        return self._from(constructor, model=self._path("model"), tokens=self._path("tokens"))


class TransducerEngine(_FramewiseEngine):
    """A zipformer transducer; with hotwords a second recognizer is open, which searches with a beam."""

    def _key(self, options: Options) -> Hashable:
        return any(word.weight > 0 for word in options.hotwords)

    def _open(self, key: Hashable) -> Recognizer:
        biased = bool(key)
        tokens = read_tokens(self._model.path("tokens"))
        return self._from(
            sherpa_onnx.OfflineRecognizer.from_transducer,
            encoder=self._path("encoder"),
            decoder=self._path("decoder"),
            joiner=self._path("joiner"),
            tokens=self._path("tokens"),
            decoding_method="modified_beam_search" if biased else "greedy_search",
            modeling_unit=_modeling_unit(tokens, self._path("bpe")) if biased else "cjkchar",
            bpe_vocab=self._path("bpe") if biased else "",
        )

    def _create_stream(self, recognizer: Recognizer, options: Options) -> Stream:
        favored = [word for word in options.hotwords if word.weight > 0]
        if not favored:
            return recognizer.create_stream()
        return recognizer.create_stream(hotwords="/".join(map(_scored, favored)))


def _scored(word: Hotword) -> str:
    """A hotword as the runtime reads it: the text, then its score per token. A slash would end it."""
    return f"{word.text.replace('/', ' ').replace(':', ' ')} :{word.weight * SCORE_PER_WEIGHT:g}"


def _modeling_unit(tokens: Sequence[str] | dict[str, int], bpe: str) -> str:
    """How the runtime is to split hotwords into tokens: characters, pieces, or both."""
    han = any("\u4e00" <= symbol[:1] <= "\u9fff" for symbol in tokens)
    if not bpe:
        return "cjkchar"
    return "cjkchar+bpe" if han else "bpe"
