"""Fun-ASR-Nano and Qwen3-ASR: a language model that writes what an encoder heard.

Neither gives times: those that the runtime makes up for Fun-ASR-Nano are never passed on. Language, hotwords and
context stand in the prompt, which shares a cache of a fixed length with the sound and the text; when that is full the
text just ends. So the places are counted, from what was measured with sherpa-onnx 2.0.1 (training/HANDMADE.md).
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import TYPE_CHECKING

import sherpa_onnx

from dashscribe.engines.sherpa.generating import GeneratingEngine
from dashscribe.engines.sherpa.recognizer import Recognizer, Result, Stream, one_language
from dashscribe.types import Options, Waveform
from dashscribe.weights.onnx_header import read_header

if TYPE_CHECKING:
    from dashscribe.config import Settings
    from dashscribe.weights import Installed

#: Tokens that may be written for a piece: 25 s of quick speech need about 200.
MAX_NEW_TOKENS = 400
#: Places that an export has if its graph does not tell, and what is asked for: the graph's own, smaller count wins.
PLACES, ASKED_PLACES = 512, 4096
#: Places that the prompt takes without anything of the caller's in it.
PROMPT_PLACES = 24
#: Longest list of hotwords, and of them with context, in the prompt, in characters: what fits beside sound and text.
MAX_PROMPT = 120
#: The names of languages in the prompts, as the models were trained with them.
NANO_LANGUAGES = {"zh": "中文", "en": "英文", "ja": "日文"}
QWEN3_LANGUAGES = {
    **{"zh": "Chinese", "en": "English", "yue": "Cantonese", "ar": "Arabic", "de": "German", "fr": "French"},
    **{"es": "Spanish", "pt": "Portuguese", "id": "Indonesian", "it": "Italian", "ko": "Korean", "ru": "Russian"},
    **{"th": "Thai", "vi": "Vietnamese", "ja": "Japanese", "tr": "Turkish", "hi": "Hindi", "ms": "Malay"},
    **{"nl": "Dutch", "sv": "Swedish", "da": "Danish", "fi": "Finnish", "pl": "Polish", "cs": "Czech"},
    **{"fil": "Filipino", "tl": "Filipino", "fa": "Persian", "el": "Greek", "hu": "Hungarian", "mk": "Macedonian"},
    **{"ro": "Romanian"},
}


class _PromptedEngine(GeneratingEngine):
    """What both families share: the count of places. ``per_s`` of them go for a second of sound."""

    per_s: float
    places: int

    def _cut_off(self, piece: Waveform, result: Result, options: Options) -> str:
        prompt = PROMPT_PLACES + len(self._prompt(options))  # a character is at most a token, nearly always
        sound = round(self.per_s * piece.span.duration_ms / 1000)
        written = len(result.tokens)
        if written >= MAX_NEW_TOKENS - 1:
            return f"the text was cut off after {written} tokens"
        if written and prompt + sound + written >= self.places - 1:
            return f"the text was cut off: {prompt} + {sound} + {written} of {self.places} places were taken"
        return ""

    def _prompt(self, options: Options, limit: int = MAX_PROMPT) -> str:
        """What of the caller's stands in the prompt."""
        return listed(options, limit)

    def _note(self, options: Options) -> str:
        kept, given = len(self._prompt(options)), len(self._prompt(options, sys.maxsize))
        return f"the model was told {kept} of {given} characters of hotwords and context: more has no room" * (
            kept < given
        )

    def _language(self, result: Result, options: Options) -> str:
        return one_language(options, self._model.languages)


class FunAsrNanoEngine(_PromptedEngine):
    """Fun-ASR-Nano and its many-language sister: language, digits and hotwords go with each stream."""

    per_s = 1000 / 60

    def __init__(self, settings: Settings, model: Installed) -> None:
        model.check()
        self.places = int(read_header(model.path("llm")).metadata.get("max_total_len", PLACES))
        super().__init__(settings, model)

    def _open(self, key: Hashable) -> Recognizer:
        del key
        return self._from(
            sherpa_onnx.OfflineRecognizer.from_funasr_nano,
            encoder_adaptor=self._path("encoder"),
            llm=self._path("llm"),
            embedding=self._path("embedding"),
            tokenizer=self._path("tokenizer/"),
            max_new_tokens=MAX_NEW_TOKENS,
        )

    def _create_stream(self, recognizer: Recognizer, options: Options) -> Stream:
        stream = recognizer.create_stream()
        stream.set_option("itn", "1" if options.itn else "0")
        if language := NANO_LANGUAGES.get(one_language(options, tuple(NANO_LANGUAGES))):
            stream.set_option("language", language)
        if hotwords := listed(options):
            stream.set_option("hotwords", hotwords)
        return stream


class Qwen3AsrEngine(_PromptedEngine):
    """Qwen3-ASR: language, hotwords and context go with each stream."""

    per_s = 13.0

    def __init__(self, settings: Settings, model: Installed) -> None:
        model.check()
        # After the four first inputs come the caches: (batch, places, heads, size).
        caches = [port.shape for port in read_header(model.path("decoder")).inputs[4:] if len(port.shape) == 4]
        self.places = next((shape[1] for shape in caches if shape[1]), PLACES)
        super().__init__(settings, model)

    def _open(self, key: Hashable) -> Recognizer:
        del key
        return self._from(
            sherpa_onnx.OfflineRecognizer.from_qwen3_asr,
            conv_frontend=self._path("frontend"),
            encoder=self._path("encoder"),
            decoder=self._path("decoder"),
            tokenizer=self._path("tokenizer/"),
            max_total_len=ASKED_PLACES,
            max_new_tokens=MAX_NEW_TOKENS,
        )

    def _create_stream(self, recognizer: Recognizer, options: Options) -> Stream:
        stream = recognizer.create_stream()
        if language := QWEN3_LANGUAGES.get(one_language(options, tuple(QWEN3_LANGUAGES))):
            stream.set_option("language", language)
        if prompt := self._prompt(options):
            stream.set_option("hotwords", prompt)
        return stream

    def _prompt(self, options: Options, limit: int = MAX_PROMPT) -> str:
        """Hotwords, then as much of the context as fits; the runtime puts both into the system's message."""
        hotwords = listed(options, limit)
        context = options.context.replace(",", " ")[: limit - len(hotwords)]
        return ",".join(filter(None, (hotwords, context)))


def listed(options: Options, limit: int = MAX_PROMPT) -> str:
    """The hotwords that are favored, most of all first, as a list with commas that fits into a prompt."""
    chosen: list[str] = []
    length = 0
    for word in sorted((w for w in options.hotwords if w.weight > 0), key=lambda w: -w.weight):
        length += len(word.text) + 1
        if length > limit:
            break
        chosen.append(word.text.replace(",", " "))
    return ",".join(chosen)
