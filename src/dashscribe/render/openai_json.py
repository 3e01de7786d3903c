"""Transcripts in the JSON of OpenAI's interfaces: chat completions and their chunks, audio answers and their events.

Shapes are OpenAI's, with the service's own members in the chat ones (annotations, seconds). A member that its clients
demand and nothing here measures is a constant, which a note of the answer names. Ours is the member ``dashscribe``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dashscribe.languages import NAMES
from dashscribe.render.counts import audio_tokens, seconds_down, seconds_up, text_tokens
from dashscribe.render.transcription_json import extras
from dashscribe.types import Sentence, Transcript, Word

#: What OpenAI writes for a probability of nothing.
LEAST_LOGPROB = -9999.0
UNMEASURED = (
    "verbose_json: seek, tokens, temperature and no_speech_prob are constants, because no engine here measures them"
)
UNMEASURED_LOGPROB = "verbose_json: avg_logprob is 0 where the engine gives no confidence"
ONE_SPEAKER = "diarized_json: speakers are not told apart; all of the text is given to one speaker, A"


@dataclass(frozen=True, slots=True)
class Completion:
    """What all parts of one chat answer repeat. ``about`` is what a message says of its sound, beside the text."""

    id: str
    created: int
    model: str

    def whole(self, transcript: Transcript, about: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a call that does not stream."""
        message = {"role": "assistant", "content": transcript.text, **about}
        return {
            **self._head("chat.completion"),
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": chat_usage(transcript),
            "dashscribe": extras(transcript),
        }

    def first(self) -> dict[str, Any]:
        """The chunk that begins a stream: who speaks."""
        return self._chunk([{"logprobs": None, "index": 0, "delta": {"content": "", "role": "assistant"}}])

    def piece(self, text: str, about: Mapping[str, Any]) -> dict[str, Any]:
        """The chunk of one sentence; ``text`` is what it adds to the content."""
        return self._chunk([{"index": 0, "delta": {**about, "content": text, "role": None}}])

    def closing(self, transcript: Transcript) -> dict[str, Any]:
        """The chunk that ends the content."""
        chunk = self._chunk([{"index": 0, "delta": {"role": None}, "finish_reason": "stop"}])
        return chunk | {"dashscribe": extras(transcript)}

    def usage(self, transcript: Transcript) -> dict[str, Any]:
        """The chunk that counts, sent only to those who ask."""
        return self._chunk([]) | {"usage": chat_usage(transcript)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": choices, "usage": None}


def chat_usage(transcript: Transcript) -> dict[str, Any]:
    """Tokens of the sound, which are all that the service counts as a prompt, and of the text."""
    audio, text = audio_tokens(transcript.media.duration_ms), text_tokens(transcript.text)
    return {
        "prompt_tokens": audio,
        "completion_tokens": text,
        "total_tokens": audio + text,
        "prompt_tokens_details": {"audio_tokens": audio, "text_tokens": 0},
        "completion_tokens_details": {"text_tokens": text},
        "seconds": seconds_down(transcript.media.duration_ms),
    }


def plain(transcript: Transcript, *, with_logprobs: bool) -> dict[str, Any]:
    """``json``: the text, with the languages that were heard and, where they were asked for, what words are worth."""
    answer: dict[str, Any] = {"text": transcript.text, **_languages(transcript)}
    if with_logprobs:
        answer["logprobs"] = logprobs(transcript.sentences)
    return answer | {"usage": _seconds(transcript), "dashscribe": extras(transcript)}


def verbose(transcript: Transcript, *, language: str, words: bool, segments: bool) -> dict[str, Any]:
    """``verbose_json``: segments, which are sentences, and words on request; times in seconds."""
    heard = next((s.language for s in transcript.sentences if s.language), language)
    confident = all(w.confidence is not None for s in transcript.sentences for w in s.words)
    noted = _noted(transcript, UNMEASURED, "" if confident else UNMEASURED_LOGPROB) if segments else transcript
    answer: dict[str, Any] = {
        "task": "transcribe",
        "language": NAMES.get(heard, heard or "unknown"),
        "duration": transcript.media.duration_ms / 1000,
        "text": transcript.text,
    }
    if segments:
        answer["segments"] = [_segment(i, sentence) for i, sentence in enumerate(transcript.sentences)]
    if words:
        answer["words"] = [_word(word) for sentence in transcript.sentences for word in sentence.words]
    return answer | {"usage": _seconds(transcript), "dashscribe": extras(noted)}


def diarized(transcript: Transcript) -> dict[str, Any]:
    """``diarized_json``: who said what, speakers as A, B, C …; all A where speakers were not told apart."""
    return {
        "task": "transcribe",
        "duration": transcript.media.duration_ms / 1000,
        "text": transcript.text,
        "segments": [spoken_segment(i, sentence) for i, sentence in enumerate(transcript.sentences)],
        "usage": _seconds(transcript),
        "dashscribe": extras(_with_speakers(transcript)),
    }


def delta(text: str, sentence: Sentence, *, segment: int | None, with_logprobs: bool) -> dict[str, Any]:
    """The event of one sentence; ``text`` is what it adds, ``segment`` its number where segments are sent."""
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": text}
    if segment is not None:
        event["segment_id"] = _segment_id(segment)
    return event | {"logprobs": logprobs((sentence,))} if with_logprobs else event


def spoken_segment(index: int, sentence: Sentence) -> dict[str, Any]:
    """A segment of ``diarized_json``, which is also the event that a stream sends for it."""
    return {
        "type": "transcript.text.segment",
        "id": _segment_id(index),
        **_times(sentence),
        "speaker": speaker(sentence),
        "text": sentence.text,
    }


def done(transcript: Transcript, *, with_logprobs: bool, by_speaker: bool) -> dict[str, Any]:
    """The last event: the whole text and what it took; ``by_speaker`` after segments were sent."""
    audio, text = audio_tokens(transcript.media.duration_ms), text_tokens(transcript.text)
    event: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text, **_languages(transcript)}
    if with_logprobs:
        event["logprobs"] = logprobs(transcript.sentences)
    event["usage"] = {
        "type": "tokens",
        "input_tokens": audio,
        "output_tokens": text,
        "total_tokens": audio + text,
        "input_token_details": {"audio_tokens": audio, "text_tokens": 0},
    }
    return event | {"dashscribe": extras(_with_speakers(transcript) if by_speaker else transcript)}


def logprobs(sentences: Iterable[Sentence]) -> list[dict[str, Any]]:
    """A word each, with the logarithm of the engine's confidence; words without confidence are left out."""
    words = (word for sentence in sentences for word in sentence.words)
    return [
        {"token": text, "bytes": list(text.encode()), "logprob": _logprob(word.confidence)}
        for word in words
        if word.confidence is not None and (text := word.text + word.punctuation)
    ]


def speaker(sentence: Sentence) -> str:
    """A to Z for the first 26 speakers, then AA, AB and so on."""
    number, letters = sentence.speaker or 0, ""
    while number >= 0:
        letters = chr(ord("A") + number % 26) + letters
        number = number // 26 - 1
    return letters


def _with_speakers(transcript: Transcript) -> Transcript:
    """The transcript with a note where nobody told its speakers apart."""
    apart = any(sentence.speaker is not None for sentence in transcript.sentences)
    return transcript if apart else _noted(transcript, ONE_SPEAKER)


def _noted(transcript: Transcript, *notes: str) -> Transcript:
    return replace(transcript, notes=(*transcript.notes, *filter(None, notes)))


def _segment_id(index: int) -> str:
    return f"seg_{index}"


def _segment(index: int, sentence: Sentence) -> dict[str, Any]:
    confidences = [_logprob(word.confidence) for word in sentence.words if word.confidence is not None]
    text = sentence.text.encode()
    return {
        "id": index,
        "seek": 0,
        **_times(sentence),
        "text": sentence.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": sum(confidences) / len(confidences) if confidences else 0.0,
        # As OpenAI's own recognizer computes it: what repeats itself compresses well.
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "no_speech_prob": 0.0,
    }


def _word(word: Word) -> dict[str, Any]:
    # Ours: who takes these times for measured ones, another server of ours among them, would be deceived.
    guessed = {"approximate": True} if word.approximate else {}
    return {"word": word.text.strip(), **_times(word), **guessed}


def _times(part: Sentence | Word) -> dict[str, float]:
    return {"start": part.begin_ms / 1000, "end": part.end_ms / 1000}


def _logprob(confidence: float) -> float:
    return math.log(confidence) if confidence > 0 else LEAST_LOGPROB


def _languages(transcript: Transcript) -> dict[str, Any]:
    codes = dict.fromkeys(sentence.language for sentence in transcript.sentences if sentence.language)
    return {"languages": [{"code": code} for code in codes]} if codes else {}


def _seconds(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": seconds_up(transcript.media.duration_ms)}
