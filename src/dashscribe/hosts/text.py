"""What a text child does: put marks into bare text with an installed CT-Transformer, or write numbers as digits.

Runs in a child process only. A child is loaded for one of the two: not every call wants both.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any, cast

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.errors import EngineUnavailableError, HostError
from dashscribe.hosts.protocol import Load, Normalize, Punctuate, Reply, Request, TextReply, TextsReply


class TextRole:
    """The one model of this child, or the grammars for numbers."""

    def __init__(self) -> None:
        self._punctuation: Any = None
        self._normalizers: dict[str, Any] = {}  # by language

    def answer(self, request: Request) -> Iterator[Reply]:
        """The replies to Load, Punctuate and Normalize."""
        match request:
            case Load(weights=""):
                self._load_normalizers()
            case Load():
                self._load_punctuation(request)
            case Punctuate(text) if self._punctuation is not None:
                yield TextReply(self._punctuation.add_punctuation(text))
            case Normalize(texts, language) if language in self._normalizers:
                yield TextsReply(tuple(self._normalized(text, language) for text in texts))
            case _:
                raise HostError(f"a text child cannot answer {type(request).__name__} now")

    def _normalized(self, text: str, language: str) -> str:
        """The text with its numbers as digits; as it is where the grammar finds no way through it."""
        try:
            return self._normalizers[language].normalize(text) or text
        except Exception:
            # Its native code raises what it likes; one text that it cannot read is no reason to lose the others.
            traceback.print_exc()
            return text

    def _load_normalizers(self) -> None:
        try:
            import wetext
        except ImportError as error:
            raise EngineUnavailableError(f"wetext cannot be imported: {error}") from error
        runtime = cast("Any", wetext)  # it carries no types
        # Small grammars by themselves; each is read from its file when its language is first asked for.
        self._normalizers = {lang: runtime.Normalizer(lang=lang, operator="itn") for lang in ("zh", "en")}

    def _load_punctuation(self, request: Load) -> None:
        settings = Settings.model_validate_json(request.settings)
        model = weights.find(settings.resolved_models_dir, request.weights)
        model.check()  # what is wrong with it would end the process
        try:
            import sherpa_onnx
        except ImportError as error:
            raise EngineUnavailableError(f"sherpa-onnx cannot be imported: {error}") from error
        runtime = cast("Any", sherpa_onnx)  # it carries no types
        config = runtime.OfflinePunctuationModelConfig(ct_transformer=str(model.path("model")), num_threads=1)
        self._punctuation = runtime.OfflinePunctuation(runtime.OfflinePunctuationConfig(model=config))
