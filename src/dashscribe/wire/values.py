"""Parsers of parameter values: from JSON to what ``Options`` holds, or a refusal that says what is allowed.

A parser gets a ``Reading`` and returns the value; it adds a note for what is fine but partly without effect. Types are
strict as JSON has them (``"true"`` is no boolean), except where the service's own samples are lenient.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn, TypeVar

from dashscribe.catalog import Model
from dashscribe.errors import DashscribeError, FormatMissingError, InvalidParameterError
from dashscribe.hotwords import Kind, check_words
from dashscribe.languages import NAMES, spelled
from dashscribe.types import MAX_CHANNELS, MAX_SPEAKERS, MIN_SPEAKERS, Censor, Hotword, is_unspaced
from dashscribe.wire.body import JSON, parse_object

MAX_CHANNEL = MAX_CHANNELS - 1
#: Tokens of context that the service takes, and what is counted as one: a Han or kana character, or this many others.
MAX_CONTEXT_TOKENS, CHARS_PER_TOKEN = 10_000, 4
#: What a request of the models that read ``input_audio`` has to say of its recording.
FORMAT_NEEDED = "Name the recording's container or codec as parameters.format, such as wav."
#: Characters of a value or a name that are repeated in messages and notes.
MAX_SHOWN = 80


Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class Reading:
    """One member of a request, the model that it is for, and the notes that the answer will carry."""

    name: str
    value: JSON
    model: Model
    notes: list[str]

    def refuse(self, allowed: str) -> NoReturn:
        """Raise InvalidParameterError with the value given and what is allowed."""
        raise refusal(self.name, self.value, allowed)


def refusal(name: str, value: JSON, allowed: str) -> InvalidParameterError:
    """The error for a member: its name, the value as JSON (shortened), and what is allowed."""
    return InvalidParameterError(f"{name} was {shortened(json.dumps(value, ensure_ascii=False))}; {allowed}.", name)


def shortened(text: str) -> str:
    """The text, cut where it is too long to be repeated."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def check_members(members: Mapping[str, JSON], known: Collection[str], what: str = "this call") -> None:
    """Refuse a body with members that mean nothing: a slip of the pen is not to go unheeded. InvalidParameterError."""
    if unknown := [name for name in members if name not in known]:
        raise InvalidParameterError(f"{unknown[0]!r:.80} is no member of {what}: {', '.join(known)}.", "body")


def one_of(name: str, value: JSON, allowed: Sequence[Name]) -> Name:
    """One of some names, exactly as it is written. Raises InvalidParameterError."""
    for known in allowed:
        if value == known:
            return known
    raise refusal(name, value, f"give one of {', '.join(allowed)}")


def switch(name: str, text: str) -> bool | None:
    """``true`` or ``false`` from a query string; None where it is empty or missing. Raises InvalidParameterError."""
    return {"true": True, "false": False}[one_of(name, text, ("true", "false"))] if text else None


def flag(reading: Reading) -> bool:
    """A JSON boolean."""
    if not isinstance(reading.value, bool):
        reading.refuse("give true or false, without quotes")
    return reading.value


def text(reading: Reading) -> str:
    """A string."""
    if not isinstance(reading.value, str):
        reading.refuse("give a string")
    return reading.value


def list_id(reading: Reading) -> tuple[str, ...]:
    """One id of a hotword list, as a tuple; an empty string names none."""
    return (text(reading),) if reading.value != "" else ()


def vocabulary(reading: Reading) -> tuple[Hotword, ...]:
    """Hotwords from an object of words and weights, under the rules for the words of a list."""
    if not isinstance(reading.value, dict):
        reading.refuse('give an object from word to weight, such as {"etcd": 4}')
    words: list[Hotword] = []
    for word, weight in reading.value.items():
        if not isinstance(weight, int) or isinstance(weight, bool):
            Reading(f"{reading.name}.{shortened(word)}", weight, reading.model, reading.notes).refuse("give an integer")
        words.append(Hotword(word, weight))
    if words:
        check_words(Kind.VOCABULARY, reading.model, words)
    return tuple(words)


def audio_format(reading: Reading) -> str:
    """The name of a container or codec, which the models that need it must not be left without."""
    name = text(reading).strip()
    if not name:
        raise FormatMissingError(FORMAT_NEEDED)
    return name


def sample_rate(reading: Reading) -> int:
    """A rate in Hz as a number or as a numeric string, since the service's own samples have both."""
    value = reading.value
    value = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,7}", value) else value
    rate_hz = _integer(value, 1, 10**6)
    if rate_hz is None:
        reading.refuse("give a sample rate in Hz, such as 16000")
    return rate_hz


def other_than_message(reading: Reading) -> bool:
    """Whether another form than ``message`` is wanted."""
    if reading.value not in ("message", "text"):
        reading.refuse('give "message" or "text"')
    return reading.value != "message"


def _integer(value: JSON, low: int, high: int) -> int | None:
    """The value if it is an integer within the bounds."""
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def number(name: str, text: str, default: int, low: int, high: int) -> int:
    """A whole number from a query string; ``default`` where it is empty or missing."""
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= high:
        raise refusal(name, text, f"give a number from {low} to {high}")
    return int(text)


def channels(reading: Reading) -> tuple[int, ...]:
    """Track numbers as integers or numeric strings (Java's samples send those), in order, each once."""
    allowed = f"give an array of track numbers from 0 to {MAX_CHANNEL}, such as [0] or [0, 1]"
    if not isinstance(reading.value, list) or not reading.value:
        reading.refuse(allowed)
    found: list[int] = []
    for item in reading.value:
        value = int(item) if isinstance(item, str) and re.fullmatch(r"[0-9]{1,4}", item) else item
        channel = _integer(value, 0, MAX_CHANNEL)
        if channel is None:
            reading.refuse(allowed)
        found.append(channel)
    unique = tuple(dict.fromkeys(found))
    if len(unique) < len(found):
        reading.notes.append(f"{reading.name} names a track more than once; each is transcribed once")
    return unique


def languages(reading: Reading) -> tuple[str, ...]:
    """Language codes: the model's own first, then those that only others know, which still say what is spoken.

    A region (zh-CN) is left out. Codes that nobody knows are ignored with a note; ``auto`` asks for nothing.
    """
    if not isinstance(reading.value, list):
        reading.refuse('give an array of language codes, such as ["zh", "en"]')
    codes: list[str] = []
    for item in reading.value:
        if not isinstance(item, str):
            reading.refuse('give an array of language codes, such as ["zh", "en"]')
        codes.append(item.strip().lower())
    return _known_languages(reading, [code for code in dict.fromkeys(codes) if code not in ("", "auto")])


def language(reading: Reading) -> tuple[str, ...]:
    """One language code, as a tuple; an empty string and ``auto`` ask for nothing."""
    if not isinstance(reading.value, str):
        reading.refuse('give one language code as a string, such as "en"')
    code = reading.value.strip().lower()
    return _known_languages(reading, [] if code in ("", "auto") else [code])


def _known_languages(reading: Reading, codes: list[str]) -> tuple[str, ...]:
    model = reading.model
    codes = list(dict.fromkeys(spelled(spelled(code, NAMES), model.languages) for code in codes))
    own = [code for code in codes if code in model.languages]
    foreign = [code for code in codes if code not in model.languages and code in NAMES]
    unknown = [code for code in codes if code not in NAMES]
    if unknown:
        reading.notes.append(f"{reading.name}: {shortened(', '.join(unknown))} had no effect; {_takes(model)}")
    if foreign:
        reading.notes.append(
            f"{reading.name}: {', '.join(foreign)} only took part in choosing the engine; {_takes(model)}"
        )
    if model.language_arity and len(own) > model.language_arity:
        rest = ", ".join(own[model.language_arity :])
        reading.notes.append(
            f"{reading.name}: {rest} only took part in choosing the engine; {model.name} heeds the first "
            f"{model.language_arity if model.language_arity > 1 else 'code'}"
        )
    return (*own, *foreign)


def _takes(model: Model) -> str:
    return f"{model.name} takes {' '.join(model.languages)}"


def speaker_count(reading: Reading) -> int:
    """2 to 100."""
    count = _integer(reading.value, MIN_SPEAKERS, MAX_SPEAKERS)
    if count is None:
        reading.refuse(f"give an integer from {MIN_SPEAKERS} to {MAX_SPEAKERS}")
    return count


def noise_threshold(reading: Reading) -> float:
    """-1 to 1."""
    value = reading.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
        reading.refuse("give a number from -1 to 1")
    return float(value)


def context(reading: Reading) -> str:
    """A string, of which as much counts as the service takes; a note says so if that is not all."""
    counted, note = counted_context(text(reading))
    reading.notes.extend([note] if note else [])
    return counted


def counted_context(text: str) -> tuple[str, str]:
    """What of a context counts, from its begin, and a note where that is not all of it: 10,000 tokens by our estimate.

    The service documents the limit, not what happens beyond it; this is the gentle reading.
    """
    if len(text) <= MAX_CONTEXT_TOKENS:
        return text, ""
    most = MAX_CONTEXT_TOKENS * CHARS_PER_TOKEN
    # No character costs nothing, so that no more of them count than there are units: what is behind is not looked at.
    costs = (CHARS_PER_TOKEN if is_unspaced(character) else 1 for character in text[:most])
    counted = sum(total <= most for total in accumulate(costs))
    return text[:counted], context_note(counted, len(text))


def context_note(counted: int, given: int) -> str:
    """That only the first ``counted`` characters of a context have an effect; empty if that is all of them."""
    return f"context: {counted} of its {given} characters count" if counted < given else ""


def corpus(reading: Reading) -> str:
    """``{"text": …}``."""
    if not isinstance(reading.value, dict):
        reading.refuse('give an object such as {"text": "…"}')
    return context(Reading(f"{reading.name}.text", reading.value.get("text") or "", reading.model, reading.notes))


def resources(reading: Reading) -> tuple[str, ...]:
    """The ids of ``[{"resource_id": …, "resource_type": "asr_phrase"}]``."""
    allowed = 'give an array of objects such as {"resource_id": "…", "resource_type": "asr_phrase"}'
    if not isinstance(reading.value, list):
        reading.refuse(allowed)
    ids: list[str] = []
    for item in reading.value:
        resource_id = item.get("resource_id") if isinstance(item, dict) else None
        if not isinstance(resource_id, str):
            reading.refuse(allowed)
        ids.append(resource_id)
    return tuple(ids)


def censor(reading: Reading) -> Censor:
    """The words to mask and to remove, from an object or from a string that holds it as JSON."""
    members = reading.value
    if isinstance(members, str):
        try:
            members = parse_object(members.encode())
        except DashscribeError as error:
            reading.refuse(f"give an object, or a string that holds one as JSON ({error})")
    if not isinstance(members, dict):
        reading.refuse("give an object, or a string that holds one as JSON")
    system = members.get("system_reserved_filter")
    system = True if system is None else system
    inner = Reading(f"{reading.name}.system_reserved_filter", system, reading.model, reading.notes)
    return Censor(
        masked=_word_list(reading, members, "filter_with_signed"),
        removed=_word_list(reading, members, "filter_with_empty"),
        system=flag(inner),
    )


def filter_of(words: Censor) -> dict[str, JSON]:
    """The object that ``censor`` reads as these words."""
    lists = {"filter_with_signed": words.masked, "filter_with_empty": words.removed}
    told: dict[str, JSON] = {name: {"word_list": [*found]} for name, found in lists.items() if found}
    return told | {"system_reserved_filter": words.system}


def _word_list(reading: Reading, members: dict[str, JSON], name: str) -> tuple[str, ...]:
    """The words under ``name``: ``{"word_list": [...]}``; missing or null means none."""
    holder = members.get(name)
    if holder is None:
        return ()
    inner = Reading(f"{reading.name}.{name}", holder, reading.model, reading.notes)
    words = holder.get("word_list") if isinstance(holder, dict) else None
    if not isinstance(words, list):
        inner.refuse('give an object such as {"word_list": ["…"]}')
    found: list[str] = []
    for word in words:
        if not isinstance(word, str) or not word.strip():
            inner.refuse("word_list must hold strings that are not empty")
        found.append(word)
    if empty := [word.strip() for word in found if not any(map(str.isalnum, word))]:
        inner.notes.append(f"{inner.name}: {shortened(' '.join(empty))} had no effect, for lack of a letter or digit")
    return tuple(found)
