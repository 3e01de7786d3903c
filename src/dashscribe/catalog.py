"""One row per public model name: which interface it belongs to, what it takes, what kinds of engines can stand for it.

Differences between models are rows here, never ``if model ==`` elsewhere; which engine runs is ``choice``. Names that
the cloud retired stay for ever, since old scripts are the point; an alias is resolved for nobody but the reader:
answers echo the name that was asked for. The facts are the vendor's model pages as of November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from dashscribe.errors import ModelNotFoundError
from dashscribe.types import Censor, Options, Shape

InputKey = Literal["file_urls", "file_url", "messages"]
#: How a synchronous model's messages carry the recording, and what comes along: a system text, or pairs of messages.
Dialect = Literal["", "audio", "input_audio"]
#: How a synchronous model answers, and what it says was used (api-sync sections 2 and 5).
Answer = Literal["", "choices", "sentence"]
Usage = Literal["", "seconds", "tokens", "duration"]

HOUR_MS = 3_600_000
MEBIBYTE = 1024**2
#: Words in a hotword list: what every page says, and what the newest says of the main models.
HOTWORDS, MANY_HOTWORDS = 500, 2000


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ZH_EN = _codes("zh en")
ZH_EN_JA = _codes("zh en ja")
FUN_ASR = _codes("zh en ja ko vi th id ms tl hi ar fr de es pt ru it nl sv da fi no el pl cs hu ro bg hr sk")
FUN_ASR_MTL = _codes("zh yue en ja ko vi id th ms tl ar hi bg hr cs da nl et fi el hu ga lv lt mt pl pt ro sk sl sv")
PARAFORMER = _codes("zh en ja yue ko de fr ru")
PARAFORMER_MTL_V1 = _codes("zh yue en ja ko es id fr de it ms")
QWEN3 = _codes("zh yue en ja de ko ru fr pt ar it es hi id th tr uk vi cs da fil fi is ms no pl sv")
SENSEVOICE = _codes(
    "zh en yue ja ko ru fr it de es ca id th nl pt cs pl el ms tl bg hr da tr vi he hu uk jw uz no ro sv fa ta az bn "
    "my km hi kn lo ml mr mn ne pa si sw te ur ha"
)

#: What stands in where no model of the own family is installed: first a remote engine, which somebody set up on
#: purpose, then weights by how well they read Chinese and English, last the embedded engine.
_STAND_INS = (
    *("openai", "funasr-nano", "sensevoice", "qwen3-asr", "paraformer", "whisper", "transducer", "ctc"),
    "pocketsphinx",
)


def _candidates(*own: str) -> tuple[str, ...]:
    """The kinds of engines for a family, in order of preference: its own weights first."""
    return (*own, *(kind for kind in _STAND_INS if kind not in own))


#: Members of ``parameters`` that every asynchronous model takes; the last two stand in no table of the service, but its
#: clients document them for every model.
_TASK = frozenset({"channel_id", "audio_event_detection_enabled", "speech_noise_threshold"})
_SPEAKERS = frozenset({"diarization_enabled", "speaker_count"})
#: Members of ``parameters`` about the form of a message.
_MESSAGE = frozenset({"result_format", "incremental_output"})
_PARAFORMER = _TASK | _SPEAKERS | {"special_word_filter", "disfluency_removal_enabled", "timestamp_alignment_enabled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one public model name is.

    ``languages`` are the codes its language parameter takes, ``language_arity`` how many of them recognition heeds (0:
    all), ``coverage`` what it recognizes. ``candidates`` are kinds of engines in order of preference, the first of them
    the family's own weights. ``itn`` says that numbers come as digits without being asked for. ``parameters`` are the
    wire names with a meaning for it; ``resources`` stands for the member of that name beside ``input``. Limits, rates
    and ``submits_per_minute`` are the cloud's (0: none stated); here every rate is resampled. ``max_hotwords`` is
    the length of a hotword list (0: takes none), ``max_super_hotwords`` how many of it may have the greatest weight,
    ``hotword_languages`` what a word may be marked with. ``dialect``, ``answer`` and ``usage`` are how synchronous
    models talk, ``takes_context`` and ``annotated`` whether they read context and tell language and emotion. ``chat``
    says that the OpenAI-compatible chat interface takes it. ``retired`` is the announced day, if there is one.
    """

    name: str
    family: str
    interface: Literal["async", "sync"] = "async"
    shape: Shape = "file_urls"
    input_key: InputKey = "file_urls"
    alias_of: str = ""
    languages: tuple[str, ...] = ()
    language_parameter: Literal["", "language", "language_hints"] = ""
    language_arity: int = 0
    coverage: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    itn: bool = False
    parameters: frozenset[str] = frozenset()
    max_bytes: int = 2048 * MEBIBYTE
    max_duration_ms: int = 12 * HOUR_MS
    max_files: int = 100
    min_rate_hz: int = 0
    max_rate_hz: int = 0
    submits_per_minute: int = 600
    dialect: Dialect = ""
    answer: Answer = ""
    usage: Usage = ""
    takes_context: bool = False
    annotated: bool = False
    max_hotwords: int = 0
    max_super_hotwords: int = 0
    hotword_languages: tuple[str, ...] = ()
    chat: bool = False
    retired: str = ""
    successor: str = ""

    @property
    def tells_emotion(self) -> bool:
        """Whether its results carry the emotion and, for most, the language of each sentence."""
        return self.annotated or self.shape in ("file_url", "sensevoice")

    @property
    def tells_events(self) -> bool:
        """Whether its results carry the sounds in each sentence."""
        return self.shape == "sensevoice"

    @property
    def censors(self) -> bool:
        """Whether the built-in list of sensitive words counts without being asked for."""
        return "special_word_filter" in self.parameters

    @property
    def own_kind(self) -> str:
        """The kind of engine that is the family's own."""
        return self.candidates[0]


_FUN_ASR = Model(
    name="",
    family="fun-asr",
    languages=FUN_ASR,
    language_parameter="language_hints",
    language_arity=1,
    coverage=FUN_ASR,
    parameters=_TASK | _SPEAKERS | {"language_hints", "vocabulary_id", "special_word_filter"},
    max_hotwords=MANY_HOTWORDS,
    hotword_languages=ZH_EN_JA,
    candidates=_candidates("funasr-nano"),
    itn=True,
)
_FUN_ASR_MTL = replace(_FUN_ASR, family="fun-asr-mtl", coverage=FUN_ASR_MTL, min_rate_hz=16_000, max_hotwords=HOTWORDS)
_QWEN_AUDIO_FILETRANS = replace(
    _FUN_ASR,
    family="qwen-audio-filetrans",
    language_arity=4,
    parameters=_FUN_ASR.parameters | {"context"},
    max_super_hotwords=50,
    candidates=_candidates("qwen3-asr"),
)
_PARAFORMER_V2 = Model(
    name="",
    family="paraformer-v2",
    languages=PARAFORMER,
    language_parameter="language_hints",
    coverage=PARAFORMER,
    parameters=_PARAFORMER | {"language_hints", "vocabulary_id"},
    submits_per_minute=1200,
    max_hotwords=HOTWORDS,
    hotword_languages=PARAFORMER,
    candidates=_candidates("paraformer"),
    itn=True,
)
_PARAFORMER_V1 = Model(
    name="",
    family="paraformer-v1",
    coverage=ZH_EN,
    parameters=_PARAFORMER | {"resources"},
    max_hotwords=HOTWORDS,
    candidates=_candidates("paraformer"),
    itn=True,
)
# Telephone Mandarin only: no engine for another language may stand in.
_PARAFORMER_8K_V2 = replace(
    _PARAFORMER_V1,
    family="paraformer-8k",
    coverage=("zh",),
    parameters=_PARAFORMER | {"vocabulary_id"},
    max_rate_hz=8_000,
    submits_per_minute=1200,
    hotword_languages=PARAFORMER,
)
_PARAFORMER_8K_V1 = replace(
    _PARAFORMER_8K_V2, parameters=_PARAFORMER_V1.parameters, submits_per_minute=600, hotword_languages=()
)
_SENSEVOICE = Model(
    name="",
    family="sensevoice",
    shape="sensevoice",
    languages=SENSEVOICE,
    language_parameter="language_hints",
    language_arity=1,
    coverage=SENSEVOICE,
    parameters=_TASK | {"language_hints", "disfluency_removal_enabled"},
    max_duration_ms=0,
    candidates=_candidates("sensevoice"),
    itn=True,
)
_FILETRANS = Model(
    name="",
    family="qwen3-asr-flash-filetrans",
    shape="file_url",
    input_key="file_url",
    languages=QWEN3,
    language_parameter="language",
    language_arity=1,
    coverage=QWEN3,
    candidates=_candidates("qwen3-asr"),
    parameters=_TASK | {"language", "enable_itn", "enable_words", "corpus", "text", "context"},
    max_files=1,
    submits_per_minute=100,
)
_FUN_ASR_FLASH = replace(
    _FUN_ASR,
    family="fun-asr-flash",
    interface="sync",
    input_key="messages",
    max_files=1,
    max_bytes=10 * MEBIBYTE,
    max_duration_ms=HOUR_MS // 12,
    parameters=frozenset({"format", "sample_rate", "language_hints", "vocabulary_id"}),
    dialect="input_audio",
    answer="sentence",
    usage="duration",
    takes_context=True,
)
_QWEN3_FLASH = replace(
    _FUN_ASR_FLASH,
    family="qwen3-asr-flash",
    languages=QWEN3,
    coverage=QWEN3,
    language_parameter="language",
    parameters=_MESSAGE | {"language", "enable_itn", "enable_lid"},
    dialect="audio",
    answer="choices",
    usage="seconds",
    annotated=True,
    submits_per_minute=100,
    max_hotwords=0,
    hotword_languages=(),
    chat=True,
    candidates=_candidates("qwen3-asr"),
    itn=False,
)
_QWEN_AUDIO_FLASH = replace(
    _FUN_ASR_FLASH,
    family="qwen-audio-flash",
    language_arity=4,
    parameters=_FUN_ASR_FLASH.parameters | {"vocabulary"},
    max_super_hotwords=50,
    candidates=_candidates("qwen3-asr"),
)
_QWEN_AUDIO_ASR = replace(
    _FUN_ASR_FLASH,
    family="qwen-audio-asr",
    languages=(),
    language_parameter="",
    language_arity=0,
    coverage=ZH_EN,
    parameters=_MESSAGE,
    dialect="audio",
    answer="choices",
    usage="tokens",
    takes_context=False,
    max_duration_ms=HOUR_MS // 20,
    submits_per_minute=0,
    max_hotwords=0,
    hotword_languages=(),
    chat=True,
    candidates=_candidates("qwen3-asr"),
)


def _rows() -> Iterator[Model]:
    """The public names, family by family."""

    def retired(model: Model, name: str, successor: str = "fun-asr", day: str = "2026-10-10") -> Model:
        return replace(model, name=name, retired=day, successor=successor)

    def alias(model: Model, name: str, of: str) -> Model:
        return replace(model, name=name, alias_of=of)

    yield alias(_FUN_ASR, "fun-asr", of="fun-asr-2025-11-07")
    yield retired(_FUN_ASR, "fun-asr-2025-11-07")
    yield retired(replace(_FUN_ASR, languages=ZH_EN, coverage=ZH_EN, max_hotwords=HOTWORDS), "fun-asr-2025-08-25")
    yield retired(alias(_FUN_ASR_MTL, "fun-asr-mtl", of="fun-asr-mtl-2025-08-25"), "fun-asr-mtl")
    yield retired(_FUN_ASR_MTL, "fun-asr-mtl-2025-08-25")
    yield replace(_QWEN_AUDIO_FILETRANS, name="qwen-audio-3.0-asr-flash-filetrans")
    yield replace(_QWEN_AUDIO_FILETRANS, name="qwen-audio-3.1-asr-flash-filetrans")
    yield replace(_PARAFORMER_V2, name="paraformer-v2")
    yield replace(_PARAFORMER_8K_V2, name="paraformer-8k-v2")
    yield retired(_PARAFORMER_V1, "paraformer-v1", "paraformer-v2")
    yield retired(_PARAFORMER_8K_V1, "paraformer-8k-v1", "paraformer-8k-v2")
    paraformer_mtl = replace(_PARAFORMER_V1, coverage=PARAFORMER_MTL_V1, min_rate_hz=16_000)
    yield retired(paraformer_mtl, "paraformer-mtl-v1", "paraformer-v2")
    yield retired(_SENSEVOICE, "sensevoice-v1")
    yield alias(_FILETRANS, "qwen3-asr-flash-filetrans", of="qwen3-asr-flash-filetrans-2025-11-17")
    yield retired(_FILETRANS, "qwen3-asr-flash-filetrans-2025-11-17")
    # The service has no alias for its dated synchronous model; this one is ours.
    yield alias(_FUN_ASR_FLASH, "fun-asr-flash", of="fun-asr-flash-2026-06-15")
    yield replace(_FUN_ASR_FLASH, name="fun-asr-flash-2026-06-15")
    yield alias(_QWEN3_FLASH, "qwen3-asr-flash", of="qwen3-asr-flash-2025-09-08")
    yield retired(_QWEN3_FLASH, "qwen3-asr-flash-2026-02-10")
    yield retired(_QWEN3_FLASH, "qwen3-asr-flash-2025-09-08")
    yield alias(_QWEN3_FLASH, "qwen3-asr-flash-us", of="qwen3-asr-flash-2025-09-08-us")
    yield replace(_QWEN3_FLASH, name="qwen3-asr-flash-2025-09-08-us")
    yield replace(_QWEN_AUDIO_FLASH, name="qwen-audio-3.0-asr-flash")
    yield replace(
        _QWEN_AUDIO_FLASH,
        name="qwen-audio-3.1-asr-flash",
        parameters=_QWEN_AUDIO_FLASH.parameters | {"speaker_diarization_enabled", "keep_dialect"},
        max_bytes=2048 * MEBIBYTE,
    )
    of = "qwen-audio-asr-2024-12-04"
    yield retired(alias(_QWEN_AUDIO_ASR, "qwen-audio-asr", of), "qwen-audio-asr", "qwen3-asr-flash", "2026-03-30")
    yield retired(
        alias(_QWEN_AUDIO_ASR, "qwen-audio-asr-latest", of), "qwen-audio-asr-latest", "qwen3-asr-flash", "2026-03-30"
    )
    yield retired(_QWEN_AUDIO_ASR, of, "qwen3-asr-flash", "2026-01-30")


MODELS: dict[str, Model] = {model.name: model for model in _rows()}

#: What recognizes for names that only OpenAI knows, and the one of them that never streams.
DEFAULT_MODEL = "fun-asr"
UNSTREAMED = frozenset({"whisper-1"})

#: Every language code that any model knows, whatever it calls the language: a hint among them says what is spoken.
LANGUAGES = frozenset(code for model in MODELS.values() for code in (*model.languages, *model.coverage))


def find_model(name: str) -> Model:
    """The row of a public model name. Raises ModelNotFoundError, which names the nearest known names."""
    if name in MODELS:
        return MODELS[name]
    near = get_close_matches(name[:100], MODELS, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelNotFoundError(f"The name was {name[:100]!r}; {hint}`dashscribe models ls` lists the names.", name[:100])


def options_for(model: Model, **given: Any) -> Options:
    """Options for a call of the model: what was given, and what its results have without being asked for."""
    options = Options(model=model.name, emotion=model.tells_emotion, events=model.tells_events, **given)
    if model.censors and options.censor is None:
        options = replace(options, censor=Censor())
    return replace(options, itn=True) if model.itn else options
