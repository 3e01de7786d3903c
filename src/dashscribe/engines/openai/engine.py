"""Pieces to requests, answers to outcomes: the engine in the child, where the sound is.

Every piece is sent as WAV in a request of its own. Two interfaces are spoken, each in two forms: the richer one first,
the plainer one for ever once the endpoint has refused the richer and taken the plainer for the same piece.
"""

from __future__ import annotations

import base64
import io
import math
import re
import time
import wave
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec import Struct

from dashscribe.config import Settings
from dashscribe.engines.openai import languages_of
from dashscribe.engines.openai.endpoint import Endpoint, PieceError, RefusedError
from dashscribe.engines.openai.prompt import Prompt, prompt_of
from dashscribe.engines.runaway import runaway
from dashscribe.languages import CODES, spelled
from dashscribe.types import RATE_HZ, Fate, Options, Outcome, Sentence, Waveform
from dashscribe.words import Heard, timed_sentence

#: Words whose times end later than this after the piece, in milliseconds, are not about this piece.
SLACK_MS = 1_000
#: Characters of a text between two words of an answer's list; the list lacks marks, and a word or two at most.
LONGEST_GAP = 40
#: Tokens that a chat model may write for a piece: 30 s of quick speech take below 400.
MAX_TOKENS = 1024
#: What stands between the language and the text in answers of Qwen3-ASR.
QWEN_TAG = "<asr_text>"


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as an answer times it, in seconds from the begin of the piece."""

    text: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint heard. ``language`` is a code or empty; ``words`` are empty where it measures no times."""

    text: str
    language: str = ""
    words: tuple[TimedWord, ...] = ()


class Interface(ABC):
    """One way to ask, in so many ``forms``; ``max_prompt`` is the longest prompt that goes along, in characters."""

    forms: ClassVar[int] = 2
    max_prompt: ClassVar[int]

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint, self._model = endpoint, model

    @abstractmethod
    def ask(self, wav: bytes, prompt: str, language: str, form: int, until_s: float) -> Answer:
        """Send a piece in form 0 or 1. Raises PieceError and EngineDownError."""


class _Word(Struct):
    word: str
    start: float
    end: float
    approximate: bool = False  # said by servers of ours


class _Transcription(Struct):
    text: str
    language: str | None = None
    words: list[_Word] | None = None


class Transcriptions(Interface):
    """``/audio/transcriptions``: a form with a file. Form 0 asks for times of words, which some models do not give."""

    #: Whisper heeds the last 224 tokens of a prompt; others take more.
    max_prompt = 800

    def ask(self, wav: bytes, prompt: str, language: str, form: int, until_s: float) -> Answer:
        """Send a piece as a file."""
        fields: dict[str, Any] = {"model": self._model, "temperature": "0", "response_format": "json"}
        if form == 0:
            fields |= {"response_format": "verbose_json", "timestamp_granularities[]": ["word"]}
        fields |= {name: value for name, value in (("prompt", prompt), ("language", language)) if value}
        body = {"data": fields, "files": {"file": ("piece.wav", wav, "audio/wav")}}
        heard = self._endpoint.ask("/audio/transcriptions", body, _Transcription, until_s)
        words = tuple(TimedWord(w.word, w.start, w.end) for w in heard.words or () if not w.approximate)
        language, text = _parted(heard.text)
        return Answer(text, language or _code(heard.language or ""), words)


class _Message(Struct):
    content: str


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    choices: list[_Choice]


class Chat(Interface):
    """``/chat/completions`` with a sound in the message, as vLLM and the cloud take Qwen3-ASR.

    Form 0 is OpenAI's own, bare base64 with its format beside it; vLLM puts ``data:`` before that itself. Form 1 is the
    data URI that the cloud wants.
    """

    #: Qwen3-ASR reads long contexts; this much leaves room for the sound in 8,192 tokens.
    max_prompt = 8_000

    def ask(self, wav: bytes, prompt: str, language: str, form: int, until_s: float) -> Answer:
        """Send a piece within a message."""
        data = base64.b64encode(wav).decode()
        sound = {"data": data, "format": "wav"} if form == 0 else {"data": f"data:audio/wav;base64,{data}"}
        messages: list[dict[str, Any]] = [{"role": "system", "content": prompt}] if prompt else []
        messages.append({"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]})
        body: dict[str, Any] = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": MAX_TOKENS}
        if language:
            body["asr_options"] = {
                "language": language
            }  # the service's; vLLM passes over members that it does not know
        told = self._endpoint.ask("/chat/completions", {"json": body}, _Completion, until_s)
        if not told.choices:
            raise PieceError("the endpoint answered without any choice")
        if told.choices[0].finish_reason == "length":
            raise PieceError("the answer was cut off where the endpoint's limit of tokens was reached")
        language, text = _parted(told.choices[0].message.content)
        return Answer(text, language)


INTERFACES: dict[str, type[Interface]] = {"transcriptions": Transcriptions, "chat": Chat}


class OpenAIEngine:
    """Sends pieces one by one to the endpoint that the settings name; not thread-safe."""

    def __init__(self, settings: Settings, endpoint: Endpoint | None = None) -> None:
        self._limit_s = settings.openai_timeout_s
        self._interface = INTERFACES[settings.openai_interface](endpoint or Endpoint(settings), settings.openai_model)
        self._languages = languages_of(settings)
        self._form = 0

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """One outcome per piece. Raises EngineDownError once the endpoint turns out to be of no use."""
        prompt = prompt_of(options, self._interface.max_prompt)
        language = spelled(options.languages[0].lower(), self._languages) if len(options.languages) == 1 else ""
        return [self._piece(piece, prompt, language) for piece in pieces]

    def _piece(self, piece: Waveform, prompt: Prompt, language: str) -> Outcome:
        try:
            answer = self._ask(piece, prompt.text, language)
        except PieceError as error:
            return Outcome(piece.span, Fate.FAILED, reason=str(error))
        # Line breaks and other control characters are how an answer is laid out, and nothing that anybody said.
        text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", answer.text).strip()
        if reason := runaway(text, piece.span.duration_ms):
            return Outcome(piece.span, Fate.FAILED, reason=reason)
        sentence = _timed(text, answer, piece, answer.language or language)
        if not sentence.words:
            return Outcome(piece.span, Fate.NON_SPEECH)
        return Outcome(piece.span, Fate.TRANSCRIBED, (sentence,), reason=prompt.note)

    def _ask(self, piece: Waveform, prompt: str, language: str) -> Answer:
        """The answer to the first form that the endpoint takes, all of them within one limit of time."""
        wav, until_s = _wav(piece), time.monotonic() + self._limit_s
        for form in range(self._form, self._interface.forms):
            try:
                answer = self._interface.ask(wav, prompt, language, form, until_s)
            except RefusedError:
                if form + 1 == self._interface.forms:
                    raise
            else:
                self._form = form
                return answer
        raise AssertionError("the last form returns or raises")


def _timed(text: str, answer: Answer, piece: Waveform, language: str) -> Sentence:
    """The text with the times that the answer measured; without any, words share the piece and say so."""
    sentence = timed_sentence(text, list(_heard(text, answer.words, piece)), piece.span, language=language)
    if sentence.end_ms <= sentence.begin_ms:  # times that are all one instant are no times
        return timed_sentence(text, (), piece.span, language=language)
    return sentence


def _heard(text: str, words: Sequence[TimedWord], piece: Waveform) -> Iterator[Heard]:
    """When parts of the text were heard: its words as the list has them, which leaves out marks."""
    limit_s = (piece.span.duration_ms + SLACK_MS) / 1000
    if not all(math.isfinite(w.begin_s) and math.isfinite(w.end_s) and 0 <= w.begin_s <= w.end_s for w in words):
        return
    if any(word.end_s > limit_s for word in words):
        return
    at = 0
    for word in words:
        said = word.text.strip()
        begin = text.find(said, at, at + LONGEST_GAP + len(said)) if said else -1
        if begin < 0:
            continue
        at = begin + len(said)
        yield Heard(begin, at, *(piece.begin_ms + round(at_s * 1000) for at_s in (word.begin_s, word.end_s)))


def _parted(text: str) -> tuple[str, str]:
    """The language that Qwen3-ASR writes before its text, as a code, and the text; empty where there is none."""
    head, tag, said = text.rpartition(QWEN_TAG)
    return _code(head.strip().removeprefix("language")) if tag else "", said


def _code(name: str) -> str:
    """The code of a language by its code or English name; empty for what is unknown."""
    name = name.strip().lower()
    return name if name in CODES.values() else CODES.get(name, "")


def _wav(piece: Waveform) -> bytes:
    """The piece as a WAV file: every endpoint reads that, and half a minute is below 1 MB."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(piece.samples.astype("<i2").tobytes())
    return buffer.getvalue()
