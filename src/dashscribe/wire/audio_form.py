"""Reads the forms of OpenAI's audio calls: from fields to the recording, the options and the form of the answer.

Lists come with and without ``[]`` at the end of their name, since clients differ. Names of models that are unknown here
stand for the default one; what else has no effect is named in a note, and wrong values are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

from dashscribe.catalog import DEFAULT_MODEL, MODELS, UNSTREAMED, Model
from dashscribe.config import Settings
from dashscribe.errors import EmptyModelError, InvalidParameterError
from dashscribe.languages import CODES, NAMES, spelled
from dashscribe.types import Hotword
from dashscribe.wire import params
from dashscribe.wire.form import Form, FormFile
from dashscribe.wire.params import Asked
from dashscribe.wire.values import counted_context, refusal, shortened

T = TypeVar("T", bound=str)
Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]

MAX_KEYWORDS, MAX_KEYWORD_CHARS = 500, 100
_GRANULARITIES = ("word", "segment")
#: Fields that a call may have; the rest is named in a note.
_FIELDS = frozenset(
    {"model", "language", "languages", "prompt", "keywords", "response_format", "temperature"}
    | {"timestamp_granularities", "include", "stream", "chunking_strategy"}
    | {"known_speaker_names", "known_speaker_references"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictation:
    """A transcription call that holds: what to recognize how, and what its answer is to carry."""

    model: Model
    file: FormFile
    asked: Asked
    format: Format
    words: bool
    segments: bool
    logprobs: bool
    streams: bool


def read_dictation(form: Form, settings: Settings) -> Dictation:
    """Check the form of a transcription call. Raises EmptyModelError and InvalidParameterError."""
    file = recording(form)
    name = form.get("model").strip()
    if not name:
        raise EmptyModelError("Give any name, such as whisper-1.")
    model = _without_limits(MODELS.get(name, MODELS[DEFAULT_MODEL]), settings)
    asked = _read_language(form, model)
    wanted = _one_of("response_format", form.get("response_format") or "json", get_args(Format))
    streams = _flag("stream", form.get("stream"))
    granularities = _each_of("timestamp_granularities", _list(form, "timestamp_granularities"), _GRANULARITIES)
    logprobs = bool(_each_of("include", _list(form, "include"), ("logprobs",)))
    prompt, note = counted_context(form.get("prompt").strip())
    asked.notes += [note] if note else []
    asked.options = replace(
        asked.options,
        mix=True,
        context=prompt,
        hotwords=asked.options.hotwords + tuple(_keywords(form)),
        diarize=wanted == "diarized_json",
    )
    if streams and name in UNSTREAMED:
        streams = False
        asked.notes.append(f"stream had no effect: {name} answers at once")
    asked.notes += _notes(form, name, wanted, streams)
    if granularities and (wanted != "verbose_json" or streams):
        asked.notes.append("timestamp_granularities had no effect: only verbose_json without stream has times")
    if logprobs and not (streams or wanted == "json"):
        asked.notes.append(f"include logprobs had no effect: {wanted} has no place for them")
    return Dictation(
        model=model,
        file=file,
        asked=asked,
        format=wanted,
        words="word" in granularities,
        segments="segment" in granularities or not granularities,
        logprobs=logprobs,
        streams=streams,
    )


def recording(form: Form) -> FormFile:
    """The part that every call needs. Raises InvalidParameterError."""
    if "file" in form.files:
        return form.files["file"]
    sent = "as a field without a file name" if form.all("file") else "not at all"
    raise InvalidParameterError(f"The form must hold the recording as its file part 'file'; it came {sent}.", "file")


def _without_limits(model: Model, settings: Settings) -> Model:
    """The model with the limits of this server: those of the service's own interface are not OpenAI's."""
    return replace(model, max_bytes=settings.max_file_bytes, max_duration_ms=settings.max_duration_s * 1000)


def _read_language(form: Form, model: Model) -> Asked:
    given = [("language", form.get("language")), *(("languages", text) for text in _list(form, "languages"))]
    codes = list(dict.fromkeys(_code(*one) for one in given if one[1].strip().lower() not in ("", "auto")))
    if not codes or model.language_parameter == "language_hints":
        return params.read(model, {"language_hints": list(codes)} if codes else {})
    asked = params.read(model, {model.language_parameter: codes[0]} if model.language_parameter else {})
    ignored = codes[1:] if model.language_parameter else codes
    if ignored:
        heeds = "heeds one" if model.language_parameter else "takes none"
        asked.notes.append(f"the languages {', '.join(ignored)} had no effect: {model.name} {heeds}")
    return asked


def _code(name: str, text: str) -> str:
    """A code such as en, also with a region (en-US), or a language's English name."""
    given = text.strip().lower()
    code = CODES.get(given) or spelled(given, NAMES)
    if code not in NAMES:
        raise refusal(name, text, f"give one of {' '.join(NAMES)}, or its English name")
    return code


def _keywords(form: Form) -> Iterator[Hotword]:
    keywords = dict.fromkeys(text.strip() for text in _list(form, "keywords"))
    if len(keywords) > MAX_KEYWORDS:
        raise InvalidParameterError(f"These are {len(keywords)} keywords; give at most {MAX_KEYWORDS}.", "keywords")
    for text in keywords:
        if len(text) > MAX_KEYWORD_CHARS:
            raise refusal("keywords", text, f"give at most {MAX_KEYWORD_CHARS} characters each")
        yield Hotword(text)


def _notes(form: Form, name: str, wanted: str, streams: bool) -> Iterator[str]:
    """What has no effect, as far as single fields tell."""
    if name not in MODELS:
        yield f"no model here is called {shortened(name)}; {DEFAULT_MODEL} took its place"
    if _temperature(form):
        yield "temperature had no effect: recognition here does not sample"
    if any(_chunking(form)):
        yield "chunking_strategy had no effect: recordings are cut where nobody speaks"
    if _list(form, "known_speaker_names") or _list(form, "known_speaker_references"):
        yield "known speakers had no effect: speakers are not recognized"
    if streams and wanted not in ("json", "diarized_json"):
        yield f"response_format {wanted} had no effect: a stream sends text"
    given = dict.fromkeys(re.sub(r"\[.*", "", field) for field, _ in form.fields)
    unknown = [field for field in (*given, *form.files) if field not in _FIELDS | {"file"}]
    if unknown:
        yield f"unknown fields had no effect: {shortened(', '.join(sorted(unknown)))}"


def _temperature(form: Form) -> float:
    given = form.get("temperature").strip() or "0"
    written = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{0,20})?(e-?[0-9]{1,3})?", given, re.IGNORECASE)
    if not written or not 0 <= float(given) <= 1:
        raise refusal("temperature", given, "give a number from 0 to 1")
    return float(given)


def _chunking(form: Form) -> Iterator[bool]:
    """For each field of the strategy, whether it asks for more than what happens anyway."""
    allowed = ("auto", "server_vad")
    for name, value in form.fields:
        if name in ("chunking_strategy", "chunking_strategy[type]"):
            # Clients that do not flatten objects send this one as JSON.
            yield value.lstrip().startswith("{") or _one_of(name, value or "auto", allowed) != "auto"
        elif name.startswith("chunking_strategy["):
            yield True


def _list(form: Form, name: str) -> list[str]:
    return [value for field in (name, f"{name}[]") for value in form.all(field) if value.strip()]


def _flag(name: str, text: str) -> bool:
    given = text.strip().lower()
    if given not in ("", "true", "false", "1", "0"):
        raise refusal(name, text, "give true or false")
    return given in ("true", "1")


def _one_of(name: str, text: str, allowed: Iterable[T]) -> T:
    found = next((value for value in allowed if value == text.strip()), None)
    if found is None:
        raise refusal(name, text, f"give one of {', '.join(allowed)}")
    return found


def _each_of(name: str, texts: list[str], allowed: tuple[str, ...]) -> set[str]:
    return {_one_of(name, text, allowed) for text in texts}
