"""What was heard, as generation calls answer it: two unrelated shapes, chosen by the model's row, whole or in events.

A teller belongs to one call, since events build on those before them. The members are those of api-sync sections 2, 3.3
and 3.5, and ``dashscribe`` beside them, in a stream in the last event only. There are no nulls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashscribe.catalog import Model
from dashscribe.engines import EngineInfo
from dashscribe.render.counts import audio_tokens, seconds_down, seconds_up, text_tokens
from dashscribe.render.transcription_json import extras
from dashscribe.types import Options, Sentence, Transcript, joint

#: Stands where nothing measured an emotion: the service always tells one.
NO_EMOTION = "neutral"

Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tone:
    """The language and the emotion of a recording as a whole, and notes on what of it nobody measured."""

    language: str
    emotion: str
    notes: tuple[str, ...]


def tone(model: Model, options: Options, engine: EngineInfo, sentences: Sequence[Sentence]) -> Tone:
    """The language asked for, else the one heard longest, else the engine's; the emotion heard longest."""
    language, emotion = _longest(sentences, "language"), _longest(sentences, "emotion")
    asked = options.languages[0] if options.languages else ""
    told = asked or language or (engine.languages or model.coverage)[0]
    notes: list[str] = []
    if not language or len(engine.languages) == 1:  # who reads one language alone has measured none
        whose = "asked for" if asked else "that the engine reads"
        notes.append(f"annotations: no language was measured; {told} is the one {whose}")
    if not emotion:
        notes.append(f"annotations: no emotion was measured; {NO_EMOTION} stands for that")
    return Tone(told, emotion or NO_EMOTION, tuple(notes))


def _longest(sentences: Sequence[Sentence], what: str) -> str:
    """The value that most of the time has; empty where no sentence has one."""
    times: Counter[str] = Counter()
    for sentence in sentences:
        times[getattr(sentence, what)] += sentence.end_ms - sentence.begin_ms
    return max((value for value in times if value), key=times.__getitem__, default="")


@dataclass(slots=True)
class ChoicesTeller:
    """Tells in ``choices``, as the Qwen3 and Qwen-Audio-ASR models do: text and, where the row says so, annotations."""

    model: Model
    options: Options
    engine: EngineInfo
    incremental: bool
    _heard: list[Sentence] = field(default_factory=list[Sentence])
    _text: str = ""

    def whole(self, transcript: Transcript) -> Members:
        """The answer without a stream."""
        return self._last(transcript, transcript.tracks[0].text)

    def events(self, item: Sentence | Transcript) -> Iterator[Members]:
        """One event per sentence, with all text so far or only what is new; one at the end, with the usage."""
        if isinstance(item, Transcript):
            yield self._last(item, "" if self.incremental else item.tracks[0].text)
            return
        new = joint(self._text, item.text) + item.text
        self._text += new
        self._heard.append(item)
        yield {
            "output": self._output(new if self.incremental else self._text, "null"),
            "usage": self._usage(self._text, item.end_ms),
        }

    def _last(self, transcript: Transcript, text: str) -> Members:
        self._heard = list(transcript.tracks[0].sentences)
        ours = extras(transcript)
        if self.model.annotated:
            ours["notes"] += self._tone().notes
        usage = self._usage(transcript.tracks[0].text, transcript.media.duration_ms)
        return {"output": self._output(text, "stop"), "usage": usage, "dashscribe": ours}

    def _output(self, text: str, finish_reason: str) -> Members:
        message: Members = {"role": "assistant", "content": [{"text": text}]}
        if self.model.annotated:
            heard = self._tone()
            message["annotations"] = [{"type": "audio_info", "language": heard.language, "emotion": heard.emotion}]
        return {"choices": [{"finish_reason": finish_reason, "message": message}]}

    def _tone(self) -> Tone:
        return tone(self.model, self.options, self.engine, self._heard)

    def _usage(self, text: str, duration_ms: int) -> Members:
        heard, said = audio_tokens(duration_ms), text_tokens(text)
        if self.model.usage == "tokens":
            return {"input_tokens": heard, "output_tokens": said, "audio_tokens": heard}
        return {
            "input_tokens_details": {"text_tokens": 0},  # context is not counted
            "output_tokens_details": {"text_tokens": said},
            "input_tokens": heard,
            "output_tokens": said,
            "seconds": seconds_down(duration_ms),
        }


@dataclass(slots=True)
class SentenceTeller:
    """Tells sentence by sentence with words and times, as the models that read ``input_audio`` do."""

    _heard: list[Sentence] = field(default_factory=list[Sentence])
    _text: str = ""

    def whole(self, transcript: Transcript) -> Members:
        """The answer without a stream: all text, and the last sentence."""
        self._heard = list(transcript.tracks[0].sentences)
        self._text = transcript.tracks[0].text
        return self._last(transcript)

    def events(self, item: Sentence | Transcript) -> Iterator[Members]:
        """Two events per sentence: one when it is there, one that closes it when the next is there, or the end is.

        What only the last event of a stream carries is known no sooner, and no sentence may be closed twice.
        """
        if isinstance(item, Transcript):
            yield self._last(item)
            return
        if self._heard:
            yield self._closed(self._heard[-1].end_ms)
        self._text += joint(self._text, item.text) + item.text
        self._heard.append(item)
        yield {"output": self._output(_sentence(item, len(self._heard), is_closed=False))}

    def _last(self, transcript: Transcript) -> Members:
        duration_ms = transcript.media.duration_ms
        if not self._heard:
            self._heard = [Sentence(begin_ms=0, end_ms=duration_ms, text="")]
        closing = self._closed(duration_ms)
        # A sentence at a time is all that the service gives outside a stream; the rest is ours to add.
        closing["output"]["sentences"] = [
            _sentence(sentence, number, is_closed=True)
            for number, sentence in enumerate(transcript.tracks[0].sentences, start=1)
        ]
        return closing | {"dashscribe": extras(transcript)}

    def _closed(self, heard_ms: int) -> Members:
        sentence = _sentence(self._heard[-1], len(self._heard), is_closed=True)
        return {"output": self._output(sentence), "usage": {"duration": seconds_up(heard_ms)}}

    def _output(self, sentence: Members) -> Members:
        # The mirror is the shape that the service's guide shows; its reference shows the other one.
        return {"text": self._text, "sentence": sentence, "output": {"sentence": {"text": self._text}}}


def _sentence(sentence: Sentence, number: int, *, is_closed: bool) -> Members:
    told: Members = {
        "sentence_id": number,
        "sentence_end": is_closed,
        "channel_id": 0,
        "begin_time": sentence.begin_ms,
    }
    if is_closed:
        told["end_time"] = sentence.end_ms
    if sentence.speaker is not None:
        told["speaker_id"] = sentence.speaker
    return told | {"text": sentence.text, "words": list(_words(sentence, is_closed))}


def _words(sentence: Sentence, is_closed: bool) -> Iterator[Members]:
    """The words with the spaces between them in front, where these models have them; ours have them behind."""
    space = ""
    for word in sentence.words:
        text, mark = space + word.text, word.punctuation
        space = " " if (mark or text).endswith(" ") else ""
        yield {
            "text": text if mark else text.rstrip(" "),
            "begin_time": word.begin_ms,
            "end_time": word.end_ms,
            "punctuation": mark.rstrip(" "),
            "fixed": is_closed,
        }


Teller = ChoicesTeller | SentenceTeller


def teller_for(model: Model, options: Options, engine: EngineInfo, *, incremental: bool) -> Teller:
    """The teller of a model; ``incremental`` counts only where the shape has that form."""
    return SentenceTeller() if model.answer == "sentence" else ChoicesTeller(model, options, engine, incremental)
