"""From the body of a generation call to what is to be done: model, recording, options, notes.

Owns the rules about ``model`` and ``input.messages``; ``params`` owns those about ``parameters``. Which of the two
dialects a body has to speak is told by the model's row, never by the body; what both can mean only one way, both may
say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dashscribe.catalog import Model, find_model
from dashscribe.errors import (
    ContentPartError,
    EmptyInputError,
    EmptyParametersError,
    FormatMissingError,
    IllegalInputError,
    NoUserMessageError,
    UrlError,
)
from dashscribe.wire.body import JSON, parse_object
from dashscribe.wire.params import Asked, misplaced, model_name, overlaid, parameters_of, read
from dashscribe.wire.values import FORMAT_NEEDED, context_note, counted_context, refusal, shortened

#: Rounds of context that count, and characters of each: the service drops the rest silently (api-sync 1.2).
MAX_ROUNDS, MAX_ROUND_CHARS = 5, 400

_TOP = frozenset({"model", "input", "parameters"})
Role = Literal["system", "user", "assistant"]
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Order:
    """A generation call that holds. ``audio`` names or carries the recording, as it was given."""

    model: Model
    audio: str
    asked: Asked


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart: what it says, and the recordings that it holds or names."""

    role: Role
    texts: tuple[str, ...]
    audios: tuple[str, ...]


def read_order(body: bytes) -> Order:
    """Check the body of a generation call. Raises the refusals of api-sync section 9."""
    members = parse_object(body)
    name = model_name(members)
    given = members.get("input")
    if given is None:
        raise EmptyInputError
    if not isinstance(given, dict):
        raise IllegalInputError('input must be an object, such as {"messages": [...]}.')
    model = find_model(name)
    if model.interface != "sync":
        raise UrlError(f"{name} is asynchronous: its tasks are submitted to audio/asr/transcription.")
    parameters, overruled = _parameters(model, members)
    asked = read(model, parameters)
    messages = read_messages(given.get("messages"))
    audio = recording_of(model, messages)
    context, notes = context_of(model, messages)
    notes += overruled + misplaced("the body", members, _TOP) + misplaced("input", given, ("messages",))
    options = replace(asked.options, mix=True, context=context)
    return Order(model, audio, replace(asked, options=options, notes=asked.notes + notes))


def _parameters(model: Model, members: Mapping[str, JSON]) -> tuple[dict[str, JSON], list[str]]:
    """The members of ``parameters``, those of ``asr_options`` inside it among them; notes on what these overrule."""
    if model.dialect == "input_audio" and members.get("parameters") is None:
        raise EmptyParametersError('Give an object such as {"format": "wav"}.', "parameters")
    parameters = dict(parameters_of(members))
    options = parameters_of(parameters, "asr_options")
    parameters.pop("asr_options", None)
    parameters, notes = overlaid(parameters, options, "parameters", "asr_options")
    if model.dialect == "input_audio" and parameters.get("format") is None:
        raise FormatMissingError(FORMAT_NEEDED)
    return parameters, notes


def read_messages(value: JSON, name: str = "input.messages") -> list[Message]:
    """The messages of a call, with one of the role user among them; ``name`` is the member that holds them.

    Raises InvalidParameterError, and NoUserMessageError and ContentPartError among its kind.
    """
    if value is not None and not isinstance(value, list):
        raise refusal(name, value, "give an array of messages")
    messages = [_message(f"{name}[{i}]", item) for i, item in enumerate(value or ())]
    if not any(message.role == "user" for message in messages):
        raise NoUserMessageError("Give one that carries the recording.", "messages")
    return messages


def _message(where: str, value: JSON) -> Message:
    if not isinstance(value, dict):
        raise refusal(where, value, "give an object with the members role and content")
    role, content = value.get("role"), value.get("content")
    if role not in _ROLES:
        raise refusal(f"{where}.role", role, f"give one of {', '.join(_ROLES)}")
    if content is None:
        return Message(role, (), ())
    if isinstance(content, str):
        return Message(role, (content,), ())
    if not isinstance(content, list):
        raise ContentPartError(f"{where}.content must be an array of parts.", "messages")
    parts = [_part(f"{where}.content[{i}]", part) for i, part in enumerate(content)]
    texts, audios = (tuple(said for kind, said in parts if kind == wanted) for wanted in ("text", "audio"))
    if audios and role != "user":
        raise ContentPartError(f"{where} holds a recording; only those of the role user may.", "messages")
    return Message(role, texts, audios)


def _part(where: str, part: JSON) -> tuple[Literal["text", "audio"], str]:
    """One part of a content: a text, or the recording in either of the dialects' forms."""
    members: Mapping[str, JSON] = part if isinstance(part, dict) else {}
    inner = members.get("input_audio")
    audio = inner.get("data") if isinstance(inner, dict) else members.get("audio")
    text = members.get("text")
    if isinstance(audio, str) and not text:
        return "audio", audio
    if isinstance(text, str) and audio is None:
        return "text", text
    raise ContentPartError(
        f"{where} has the members {shortened(', '.join(sorted(members))) or '(none)'}; give "
        '{"audio": "https://…"}, {"type": "input_audio", "input_audio": {"data": "https://…"}} or {"text": "…"}.',
        "messages",
    )


def recording_of(model: Model, messages: Sequence[Message]) -> str:
    """The one recording of the call, which is where the model's dialect has it."""
    talk = [message for message in messages if message.role != "system"]
    audios = [audio for message in talk for audio in message.audios]
    if len(audios) != 1:
        raise ContentPartError(f"The messages of the role user hold {len(audios)} recordings; give one.", "messages")
    if model.dialect == "input_audio" and not talk[-1].audios:
        raise ContentPartError("The message that carries the recording must be the last one.", "messages")
    if model.dialect == "audio" and any(text.strip() for m in talk if m.role == "user" for text in m.texts):
        raise ContentPartError(
            f"{model.name} takes no text beside the recording; context goes into a message of the role system.",
            "messages",
        )
    return audios[0]


def context_of(model: Model, messages: Sequence[Message]) -> tuple[str, list[str]]:
    """What the messages say of the recording, in the form and within the limits of the model, and notes on the rest."""
    notes: list[str] = []
    heeded: tuple[Role, ...] = ("user", "assistant") if model.dialect == "input_audio" else ("system",)
    for role in _ROLES:
        said = any(text.strip() for m in messages if m.role == role for text in m.texts)
        if said and (role not in heeded or not model.takes_context):
            notes.append(f"messages of the role {role} had no effect: {model.name} takes none as context")
    if not model.takes_context:
        return "", notes
    whole = "\n".join(text for m in messages if m.role in heeded for text in m.texts if text.strip())
    if model.dialect == "input_audio":
        counted = "\n".join(_rounds(messages))
        note = context_note(len(counted), len(whole))
    else:
        counted, note = counted_context(whole)
    return counted, [*notes, note] if note else notes


def _rounds(messages: Sequence[Message]) -> Iterator[str]:
    """The texts of the last rounds, each the user's with the assistant's answer, cut where a round has too many."""
    rounds: list[list[str]] = []
    for message in messages:
        texts = [text for text in message.texts if text.strip()]
        if message.role == "user" and texts:
            rounds.append(texts)
        elif message.role == "assistant" and texts:
            if not rounds:
                rounds.append([])
            rounds[-1] += texts
    for texts in rounds[-MAX_ROUNDS:]:
        left = MAX_ROUND_CHARS
        for text in texts:
            if left > 0:
                yield text[:left]
            left -= len(text)
