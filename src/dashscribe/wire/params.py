"""THE parameter table: every member of ``parameters`` that any model of the service knows, a row each.

``read`` turns a request's members into ``Options`` and notes. A wrong type or range is refused; whatever has no effect
(unknown, known for another family, not within this server's powers) is ignored and named in a note, never silently.
Which model takes which row stands in ``catalog``, and what an engine does not heed in ``catalog.lacks``; what no engine
could heed stands in a row's ``lack``, the one place to change when the effect comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dashscribe.catalog import Model, find_model, options_for
from dashscribe.errors import EmptyModelError
from dashscribe.hotwords import HotwordBook
from dashscribe.types import Options
from dashscribe.wire import values
from dashscribe.wire.body import JSON
from dashscribe.wire.values import Reading

#: Names of unknown members that are listed in the note about them; the rest is counted.
MAX_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One row: ``parse`` gives the value of ``Options.option`` and refuses the rest; ``schema`` is its JSON schema.

    ``default`` is read where the request says nothing, None where ``Options`` has its own default. ``option`` is empty
    for a member that no stage could ever read. ``lack`` says why asking for it has no effect here; empty: it has one.
    ``asks`` is the field of ``Asked`` that takes the value of a row that is no option. ``source`` is the section of the
    service's documents.
    """

    name: str
    parse: Callable[[Reading], object]
    schema: Mapping[str, Any]
    summary: str
    source: str
    option: str = ""
    default: JSON = None
    lack: str = ""
    asks: Literal["", "lists", "incremental"] = ""


_FLAG: Mapping[str, Any] = {"type": "boolean"}
_TEXT: Mapping[str, Any] = {"type": "string"}
_CODES: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}

TABLE: tuple[Parameter, ...] = (
    Parameter(
        name="channel_id",
        parse=values.channels,
        schema={
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": values.MAX_CHANNEL},
            "default": [0],
        },
        summary="Tracks to transcribe, each on its own; numeric strings are taken too.",
        source="api-async 1.4",
        option="channels",
    ),
    Parameter(
        name="language_hints",
        parse=values.languages,
        schema=_CODES,
        summary="Languages spoken. All of them take part in choosing the engine; most models heed the first only.",
        source="api-async 1.4, models 2.1",
        option="languages",
    ),
    Parameter(
        name="language",
        parse=values.language,
        schema=_TEXT,
        summary="The language spoken; leave it out when it is unknown or mixed.",
        source="api-async 1.4, models 2.1",
        option="languages",
    ),
    Parameter(
        name="enable_words",
        parse=values.flag,
        schema=_FLAG,
        summary="Words with times in each sentence; the other models always give them.",
        source="api-async 1.4.4",
        option="words",
        default=False,
    ),
    Parameter(
        name="enable_itn",
        parse=values.flag,
        schema=_FLAG,
        summary="Numbers as digits.",
        source="api-async 1.4",
        option="itn",
    ),
    Parameter(
        name="disfluency_removal_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Filler words are left out.",
        source="api-async 1.4",
        option="drop_fillers",
    ),
    Parameter(
        name="timestamp_alignment_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Times of words are refined by an alignment; they are there without it, too.",
        source="api-async 1.4.3",
        option="refine_times",
    ),
    Parameter(
        name="diarization_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Each sentence tells its speaker.",
        source="api-async 1.4",
        option="diarize",
    ),
    Parameter(
        name="speaker_count",
        parse=values.speaker_count,
        schema={"type": "integer", "minimum": 2, "maximum": 100},
        summary="How many speakers to expect; counts only with diarization_enabled.",
        source="api-async 1.4",
        option="speaker_count",
    ),
    Parameter(
        name="special_word_filter",
        parse=values.censor,
        schema={"anyOf": [{"type": "string", "contentMediaType": "application/json"}, {"type": "object"}]},
        summary="Words to mask or to remove: an object, or a string that holds it as JSON.",
        source="api-async 1.4.2",
        option="censor",
    ),
    Parameter(
        name="vocabulary_id",
        parse=values.list_id,
        schema=_TEXT,
        summary="A hotword list.",
        source="api-async 1.4, 6.1",
        asks="lists",
    ),
    Parameter(
        name="resources",
        parse=values.resources,
        schema={"type": "array", "items": {"type": "object"}},
        summary="Phrase lists of the first Paraformer models; the member lies beside input, not in parameters.",
        source="api-async 1.1, 6.2",
        asks="lists",
    ),
    Parameter(
        name="vocabulary",
        parse=values.vocabulary,
        schema={"type": "object", "additionalProperties": {"type": "integer"}},
        summary="Hotwords for this call alone: an object from word to weight.",
        source="api-sync 1.2",
        option="hotwords",
    ),
    Parameter(
        name="corpus",
        parse=values.corpus,
        schema={"type": "object", "properties": {"text": _TEXT}},
        summary="What the recording is about, as {text}.",
        source="api-async 1.4",
        option="context",
    ),
    Parameter(
        name="text",
        parse=values.context,
        schema=_TEXT,
        summary="What the recording is about.",
        source="models 4",
        option="context",
    ),
    Parameter(
        name="context",
        parse=values.context,
        schema=_TEXT,
        summary="What the recording is about.",
        source="api-async 1.2, 1.4",
        option="context",
    ),
    Parameter(
        name="audio_event_detection_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Only named in the service's clients; no page says what it does.",
        source="api-async 1.4",
        lack="sounds are told in the texts of sensevoice-v1, always, and nowhere else",
    ),
    Parameter(
        name="speech_noise_threshold",
        parse=values.noise_threshold,
        schema={"type": "number", "minimum": -1, "maximum": 1},
        summary="From -1 (almost everything counts as speech) to 1 (only what is clearly a voice).",
        source="api-async 1.4",
        option="speech_noise_threshold",
    ),
    Parameter(
        name="speaker_diarization_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Each sentence tells its speaker.",
        source="api-sync 1.2",
        option="diarize",
    ),
    Parameter(
        name="keep_dialect",
        parse=values.flag,
        schema=_FLAG,
        summary="Dialect is written as it is spoken.",
        source="api-sync 1.2",
        lack="text stays as the engine writes it",
    ),
    Parameter(
        name="format",
        parse=values.audio_format,
        schema=_TEXT,
        summary="Container or codec of the recording; the models that read input_audio require it.",
        source="api-sync 1.2",
        lack="the recording itself tells what it is",
    ),
    Parameter(
        name="sample_rate",
        parse=values.sample_rate,
        schema={"anyOf": [{"type": "integer"}, {"type": "string"}]},
        summary="Sample rate of the recording in Hz, as a number or a string.",
        source="api-sync 1.2",
        lack="the recording itself tells its rate",
    ),
    Parameter(
        name="enable_lid",
        parse=values.flag,
        schema=_FLAG,
        summary="The language is told.",
        source="api-sync 1.1",
        lack="the language is told without it, too",
    ),
    Parameter(
        name="result_format",
        parse=values.other_than_message,
        schema={"type": "string", "enum": ["message", "text"]},
        summary="Answers always have the form message.",
        source="api-sync 1.1",
        lack="answers are messages",
    ),
    Parameter(
        name="incremental_output",
        parse=values.flag,
        schema=_FLAG,
        summary="Events of a stream carry only what is new, not all text so far.",
        source="api-sync 3.3",
        asks="incremental",
    ),
)

ROWS: dict[str, Parameter] = {row.name: row for row in TABLE}


@dataclass(slots=True)
class Asked:
    """What a request asks for: the options with all defaults applied, and notes on what had no effect.

    ``lists`` are ids of hotword lists, whose words are not in the options yet: that is up to ``pin_hotwords``.
    ``incremental`` is how a stream is to be told.
    """

    options: Options
    notes: list[str] = field(default_factory=list[str])
    lists: tuple[str, ...] = ()
    incremental: bool = False


def read(model: Model, members: Mapping[str, JSON]) -> Asked:
    """Options and notes for the members of ``parameters``, ``resources`` among them.

    A null counts as not given. Raises InvalidParameterError, which names the member, the value and what is allowed.
    """
    notes: list[str] = []
    options: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    others: dict[str, Any] = {}
    for row in TABLE:
        value = members.get(row.name)
        if row.name not in model.parameters:
            if value not in (None, False, "", [], {}):
                notes.append(f"{row.name} had no effect: {model.name} does not take it")
            continue
        value = row.default if value is None else value
        if value is None:
            continue
        parsed = row.parse(Reading(row.name, value, model, notes))
        if row.option and not (row.option in options and not parsed):
            if options.get(row.option, parsed) not in (parsed, False, ""):
                notes.append(f"{said_by[row.option]} had no effect: {row.name} says otherwise")
            options[row.option], said_by[row.option] = parsed, row.name
        if row.asks:
            others[row.asks] = parsed
        if row.lack and parsed:
            notes.append(f"{row.name} had no effect: {row.lack}")
    if options.get("speaker_count") and not options.get("diarize"):
        notes.append("speaker_count had no effect: it counts only with diarization_enabled")
    _note_unknown(members, notes)
    return Asked(options_for(model, **options), notes, **others)


def pin_hotwords(asked: Asked, owner: str, book: HotwordBook) -> Asked:
    """The same with the words of the hotword lists in its options, after those that the request itself carries.

    A word that comes twice counts as it came first; of all together, as many count as one list may have. Raises
    NotFoundError for a list that the owner does not have.
    """
    if not asked.lists:
        return asked
    options, notes, model = asked.options, list(asked.notes), find_model(asked.options.model)
    words = {word.text: word for word in options.hotwords}
    for list_id in asked.lists:
        found, note = book.resolve(owner, list_id, model, options.languages)
        for word in found:
            words.setdefault(word.text, word)
        notes += [note] if note else []
    if len(words) > model.max_hotwords:
        notes.append(f"the last {len(words) - model.max_hotwords} hotwords had no effect: {model.max_hotwords} count")
    hotwords = tuple(words.values())[: model.max_hotwords]
    return replace(asked, options=replace(options, hotwords=hotwords), notes=notes, lists=())


def model_name(members: Mapping[str, JSON]) -> str:
    """The model that a body names. Raises EmptyModelError and InvalidParameterError."""
    name = members.get("model")
    if name in (None, ""):
        raise EmptyModelError("Give the name of a model, such as fun-asr.")
    if not isinstance(name, str):
        raise values.refusal("model", name, "give the name of a model as a string, such as fun-asr")
    return name


def parameters_of(members: Mapping[str, JSON], name: str = "parameters") -> Mapping[str, JSON]:
    """The members of an object that may be missing. Raises InvalidParameterError for anything but an object."""
    value = members.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise values.refusal(name, value, "give an object, or leave it out")
    return value


def overlaid(
    under: Mapping[str, JSON], over: Mapping[str, JSON], place: str, other: str
) -> tuple[dict[str, JSON], list[str]]:
    """What two places say together, ``over`` where they differ; a note on each member of ``place`` that is lost so."""
    said = {name: value for name, value in over.items() if value is not None}
    lost = [name for name, value in said.items() if under.get(name) not in (None, value)]
    notes = [f"{place}.{values.shortened(name)} had no effect: {other} says otherwise" for name in lost]
    return {**under, **said}, notes


def misplaced(place: str, found: Iterable[str], known: Collection[str], right: str = "parameters") -> list[str]:
    """A note on members that stand in a place where nothing reads them; none where all are known there.

    ``right`` is the member whose members are parameters.
    """
    names = sorted(name for name in found if name not in known)
    if not names:
        return []
    astray = ROWS.keys() | {"parameters", "asr_options"}
    belongs = f"; parameters belong inside {right}" if not astray.isdisjoint(names) else ""
    return [f"members of {place} had no effect: {values.shortened(', '.join(names))}{belongs}"]


def _note_unknown(members: Mapping[str, JSON], notes: list[str]) -> None:
    unknown = sorted(name for name in members if name not in ROWS)
    if not unknown:
        return
    named = ", ".join(values.shortened(name) for name in unknown[:MAX_NAMED])
    more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
    notes.append(f"unknown parameters had no effect: {named}{more}")
