"""Reads chat calls: from the body's bytes to the model, the recording, the options, and notes on what has no effect.

The rules about messages and options are those of generation calls; here are the forms in which the service's samples
and OpenAI's clients of two languages send them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dashscribe.catalog import Model, find_model
from dashscribe.errors import FormatMissingError, UnsupportedModelError
from dashscribe.wire import params
from dashscribe.wire.body import JSON, parse_object
from dashscribe.wire.messages import context_of, read_messages, recording_of
from dashscribe.wire.params import Asked, misplaced, model_name, overlaid, parameters_of
from dashscribe.wire.values import FORMAT_NEEDED, refusal

#: Members with a meaning here; what else is sent is named in a note.
_MEMBERS = frozenset({"model", "messages", "stream", "stream_options", "asr_options", "extra_body"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat call that holds. ``audio`` names or carries the recording, as a generation call would.

    ``counts`` says that a stream is to end with what it used.
    """

    model: Model
    audio: str
    asked: Asked
    streams: bool
    counts: bool


def read_chat(body: bytes) -> Chat:
    """Check the body of a chat call. Raises the refusals of api-sync section 9."""
    members = {name: value for name, value in parse_object(body).items() if value is not None}
    model = find_model(model_name(members))
    messages = read_messages(members.get("messages"), "messages")
    sound_format = _format(members.get("messages"))
    if not model.chat:
        if not sound_format:
            raise FormatMissingError(FORMAT_NEEDED)
        raise UnsupportedModelError(model.name)
    audio = recording_of(model, messages).strip()
    context, notes = context_of(model, messages)
    extra = parameters_of(members, "extra_body")
    # Some clients unpack extra_body into the body, others send it as it stands.
    inner, outer = parameters_of(extra, "asr_options"), parameters_of(members, "asr_options")
    options, overruled = overlaid(inner, outer, "extra_body.asr_options", "asr_options")
    asked = params.read(model, options)
    notes += overruled
    notes += misplaced("the body", members, _MEMBERS, "asr_options")
    notes += misplaced("extra_body", extra, ("asr_options",), "asr_options")
    streams = _flag("stream", members)
    counting = parameters_of(members, "stream_options")
    if counting and not streams:
        notes.append("stream_options had no effect: the answer is no stream")
    elif streams:
        notes += misplaced("stream_options", counting, ("include_usage",))
    if sound_format:
        notes.append("input_audio.format had no effect: the recording itself tells what it is")
    if sound_format and ":" not in audio:
        # OpenAI's clients send bare base64, which never holds a colon, with its format beside it.
        audio = f"data:;base64,{audio}"
    return Chat(
        model=model,
        audio=audio,
        asked=replace(asked, options=replace(asked.options, mix=True, context=context), notes=asked.notes + notes),
        streams=streams,
        counts=_flag("include_usage", counting),
    )


def _format(messages: JSON) -> str:
    """The format that stands beside the recording; empty where there is none."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            heard = part.get("input_audio") if isinstance(part, dict) else None
            named = heard.get("format") if isinstance(heard, dict) else None
            if isinstance(named, str):
                return named
    return ""


def _flag(name: str, members: Mapping[str, JSON]) -> bool:
    value = members.get(name) or False
    if not isinstance(value, bool):
        raise refusal(name, value, "give true or false, without quotes")
    return value
