"""What a text child does: put marks into bare text with an installed CT-Transformer.

Runs in a child process only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.errors import EngineUnavailableError, HostError
from dashscribe.hosts.protocol import Load, Punctuate, Reply, Request, TextReply


class TextRole:
    """The one model of this child."""

    def __init__(self) -> None:
        self._punctuation: Any = None

    def answer(self, request: Request) -> Iterator[Reply]:
        """The replies to Load and Punctuate."""
        match request:
            case Load():
                self._load(request)
            case Punctuate(text) if self._punctuation is not None:
                yield TextReply(self._punctuation.add_punctuation(text))
            case _:
                raise HostError(f"a text child cannot answer {type(request).__name__} now")

    def _load(self, request: Load) -> None:
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
