"""THE parameter table: every member of ``parameters`` that any model of the service knows, a row each.

``read`` turns a request's members into ``Options`` and notes. A wrong type or range is refused; whatever has no effect
(unknown, known for another family, not within this server's powers) is ignored and named in a note, never silently.
Which model takes which row stands in ``catalog``; what a row lacks stands in its ``lack``, the one place to change when
the effect comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dashscribe.catalog import Model
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
    ``source`` is the section of the service's documents.
    """

    name: str
    parse: Callable[[Reading], object]
    schema: Mapping[str, Any]
    summary: str
    source: str
    option: str = ""
    default: JSON = None
    lack: str = ""


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
        lack="numbers stay as the engine spells them",
    ),
    Parameter(
        name="disfluency_removal_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Filler words are left out.",
        source="api-async 1.4",
        option="drop_fillers",
        lack="filler words stay",
    ),
    Parameter(
        name="timestamp_alignment_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Times are refined; they are there without it, too.",
        source="api-async 1.4.3",
        option="refine_times",
        lack="times are the engine's own, which every result carries",
    ),
    Parameter(
        name="diarization_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Each sentence tells its speaker.",
        source="api-async 1.4",
        option="diarize",
        lack="speakers are not told apart",
    ),
    Parameter(
        name="speaker_count",
        parse=values.speaker_count,
        schema={"type": "integer", "minimum": 2, "maximum": 100},
        summary="How many speakers to expect; counts only with diarization_enabled.",
        source="api-async 1.4",
        option="speaker_count",
        lack="speakers are not told apart",
    ),
    Parameter(
        name="special_word_filter",
        parse=values.censor,
        schema={"anyOf": [{"type": "string", "contentMediaType": "application/json"}, {"type": "object"}]},
        summary="Words to mask or to remove: an object, or a string that holds it as JSON.",
        source="api-async 1.4.2",
        option="censor",
        lack="no words are masked or removed",
    ),
    Parameter(
        name="vocabulary_id",
        parse=values.text,
        schema=_TEXT,
        summary="A hotword list.",
        source="api-async 1.4, 6.1",
        lack="this server keeps no hotword lists",
    ),
    Parameter(
        name="resources",
        parse=values.resources,
        schema={"type": "array", "items": {"type": "object"}},
        summary="Phrase lists of the first Paraformer models; the member lies beside input, not in parameters.",
        source="api-async 1.1, 6.2",
        lack="this server keeps no phrase lists",
    ),
    Parameter(
        name="corpus",
        parse=values.corpus,
        schema={"type": "object", "properties": {"text": _TEXT}},
        summary="What the recording is about, as {text}.",
        source="api-async 1.4",
        option="context",
        lack="no installed engine reads context",
    ),
    Parameter(
        name="text",
        parse=values.context,
        schema=_TEXT,
        summary="What the recording is about.",
        source="models 4",
        option="context",
        lack="no installed engine reads context",
    ),
    Parameter(
        name="context",
        parse=values.context,
        schema=_TEXT,
        summary="What the recording is about.",
        source="api-async 1.2, 1.4",
        option="context",
        lack="no installed engine reads context",
    ),
    Parameter(
        name="audio_event_detection_enabled",
        parse=values.flag,
        schema=_FLAG,
        summary="Only named in the service's clients; no page says what it does.",
        source="api-async 1.4",
        lack="sounds other than speech are not named",
    ),
    Parameter(
        name="speech_noise_threshold",
        parse=values.noise_threshold,
        schema={"type": "number", "minimum": -1, "maximum": 1},
        summary="From -1 (almost everything counts as speech) to 1 (only what is clearly a voice).",
        source="api-async 1.4",
        option="speech_noise_threshold",
    ),
)

ROWS: dict[str, Parameter] = {row.name: row for row in TABLE}


@dataclass(slots=True)
class Asked:
    """What a request asks for: the options with all defaults applied, and notes on what had no effect."""

    options: Options
    notes: list[str] = field(default_factory=list[str])


def read(model: Model, members: Mapping[str, JSON]) -> Asked:
    """Options and notes for the members of ``parameters``, ``resources`` among them.

    A null counts as not given. Raises InvalidParameterError, which names the member, the value and what is allowed.
    """
    notes: list[str] = []
    options: dict[str, Any] = {}
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
            options[row.option] = parsed
        if row.lack and parsed:
            notes.append(f"{row.name} had no effect: {row.lack}")
    _note_unknown(members, notes)
    return Asked(Options(model=model.name, **options), notes)


def _note_unknown(members: Mapping[str, JSON], notes: list[str]) -> None:
    unknown = sorted(name for name in members if name not in ROWS)
    if not unknown:
        return
    named = ", ".join(values.shortened(name) for name in unknown[:MAX_NAMED])
    more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
    notes.append(f"unknown parameters had no effect: {named}{more}")
