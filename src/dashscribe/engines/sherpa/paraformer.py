"""Paraformer: Mandarin and English, with times where the model was exported with them (four outputs).

A model with two outputs tells nothing of times: its words are spread over their piece and marked as approximate, unless
an installed SenseVoice aligns them.
"""

from __future__ import annotations

from collections.abc import Hashable

import sherpa_onnx

from dashscribe.engines.sherpa.complaints import Complaints
from dashscribe.engines.sherpa.recognizer import Recognizer, Result, SherpaEngine, peaked_sentence
from dashscribe.types import Fate, Options, Outcome, Waveform


class ParaformerEngine(SherpaEngine):
    """Recognizes pieces together with one recognizer; the model needs no language."""

    def _open(self, key: Hashable) -> Recognizer:
        del key
        return self._from(
            sherpa_onnx.OfflineRecognizer.from_paraformer, paraformer=self._path("model"), tokens=self._path("tokens")
        )

    def _outcome(self, piece: Waveform, result: Result, options: Options, said: Complaints) -> Outcome:
        sentence = peaked_sentence(piece, result.text, result.tokens, result.timestamps)
        if not sentence.words:
            return Outcome(piece.span, Fate.NON_SPEECH)
        return Outcome(piece.span, Fate.TRANSCRIBED, (sentence,))
