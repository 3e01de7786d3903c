"""SenseVoice: text with language, emotion and sound events, in one pass.

The model's tags are words of its own vocabulary; what they become is told by the tables below. Times are the peaks of
its CTC output, on a grid of 60 ms.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import sherpa_onnx

from dashscribe.engines.sherpa.complaints import Complaints
from dashscribe.engines.sherpa.recognizer import (
    Recognizer,
    Result,
    SherpaEngine,
    Stream,
    one_language,
    peaked_sentence,
)
from dashscribe.types import Fate, Options, Outcome, Waveform

#: The model's emotions, which map one to one onto the service's; EMO_UNKNOWN is none.
EMOTIONS = {
    "<|HAPPY|>": "happy",
    "<|SAD|>": "sad",
    "<|ANGRY|>": "angry",
    "<|NEUTRAL|>": "neutral",
    "<|FEARFUL|>": "fearful",
    "<|DISGUSTED|>": "disgusted",
    "<|SURPRISED|>": "surprised",
}
#: What its tag of events says where it knows none.
UNKNOWN_EVENT = "Event_UNK"


def tag(text: str) -> str:
    """The name inside a tag: ``<|BGM|>`` is BGM; empty for anything else."""
    return text[2:-2] if text.startswith("<|") and text.endswith("|>") else ""


class SenseVoiceEngine(SherpaEngine):
    """Recognizes pieces together; a language is bound to a recognizer, so each hint opens one."""

    def _key(self, options: Options) -> Hashable:
        return one_language(options, self._model.languages)

    def _open(self, key: Hashable) -> Recognizer:
        return self._from(
            sherpa_onnx.OfflineRecognizer.from_sense_voice,
            model=self._path("model"),
            tokens=self._path("tokens"),
            language=str(key),
        )

    def _create_stream(self, recognizer: Recognizer, options: Options) -> Stream:
        stream = recognizer.create_stream()
        stream.set_option("use_itn", "1" if options.itn else "0")
        return stream

    def _outcome(self, piece: Waveform, result: Result, options: Options, said: Complaints) -> Outcome:
        language = tag(result.lang)
        sentence = peaked_sentence(
            piece,
            result.text,
            result.tokens,
            result.timestamps,
            language="" if language == "nospeech" else language,
            emotion=EMOTIONS.get(result.emotion, ""),
        )
        event = tag(result.event)
        if not sentence.words:
            # With a tag the model did hear something; without any it may have failed, and is asked again.
            reason = f"no words: {language or 'no language'}, {event or 'no event'}" if result.lang else ""
            return Outcome(piece.span, Fate.NON_SPEECH, reason=reason)
        events = (event,) if event and event != UNKNOWN_EVENT else ()
        return Outcome(piece.span, Fate.TRANSCRIBED, (replace(sentence, events=events),))
