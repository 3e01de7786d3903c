"""Whisper: many languages, no times of its own in the exports that sherpa-onnx publishes.

A language is bound to a recognizer, and one that the file does not know would end the process.
"""

from __future__ import annotations

from collections.abc import Hashable

import sherpa_onnx

from dashscribe.engines.sherpa.generating import GeneratingEngine
from dashscribe.engines.sherpa.recognizer import Recognizer, Result, one_language
from dashscribe.types import Options, Waveform

#: The runtime stops after this many tokens for each second of sound, without a word.
TOKENS_PER_S = 6


class WhisperEngine(GeneratingEngine):
    """Recognizes pieces one by one; without a language the model finds out."""

    def _key(self, options: Options) -> Hashable:
        if self._model.languages == ("en",):
            return "en"
        return one_language(options, self._model.languages)

    def _open(self, key: Hashable) -> Recognizer:
        return self._from(
            sherpa_onnx.OfflineRecognizer.from_whisper,
            encoder=self._path("encoder"),
            decoder=self._path("decoder"),
            tokens=self._path("tokens"),
            language=str(key),
            task="transcribe",
        )

    def _language(self, result: Result, options: Options) -> str:
        return result.lang or one_language(options, self._model.languages)

    def _cut_off(self, piece: Waveform, result: Result, options: Options) -> str:
        most = TOKENS_PER_S * piece.span.duration_ms // 1000
        written = len(result.tokens)
        return f"the text was cut off after {written} tokens" if written >= most > 0 else ""
