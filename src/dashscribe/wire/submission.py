"""From the body of a submit call to what the task book takes: model, sources, options, notes.

Owns the rules about ``model`` and ``input``; ``params`` owns those about ``parameters``. Whether a source can be had is
not asked here: that shows in the task.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dashscribe.catalog import Model, find_model
from dashscribe.errors import (
    EmptyInputError,
    IllegalInputError,
    InvalidParameterError,
    MissingFileUrlsError,
    UrlError,
)
from dashscribe.fetch.data_uri import is_data_uri
from dashscribe.submissions import digest_of_body
from dashscribe.wire.body import JSON, parse_object
from dashscribe.wire.params import Asked, misplaced, model_name, parameters_of, read
from dashscribe.wire.values import refusal

#: Far beyond any signed URL.
MAX_URL_CHARS = 8192

_TOP = frozenset({"model", "input", "parameters", "resources"})
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S")


@dataclass(frozen=True, slots=True)
class Order:
    """A submit call that holds: one transcription per URL, in this order, or one of ``data_uri``.

    ``digest`` is that of the body as it came.
    """

    model: Model
    file_urls: tuple[str, ...]
    asked: Asked
    data_uri: str = ""
    digest: str = ""


def read_order(body: bytes) -> Order:
    """Check the body of a submit call. Raises the refusals of api-async section 1.5."""
    members = parse_object(body)
    digest = digest_of_body(members)
    return replace(_read(members), digest=digest)


def _read(members: dict[str, JSON]) -> Order:
    name = model_name(members)
    given = members.get("input")
    if given is None and members.get("input_audio") is None:
        raise EmptyInputError
    if not isinstance(given, dict | None):
        raise IllegalInputError('input must be an object, such as {"file_urls": ["https://…"]}.')
    model = find_model(name)
    if model.interface != "async":
        raise UrlError(f"{name} is synchronous: it takes no tasks, but calls of multimodal-generation/generation.")
    asked = read(model, _parameters(members))
    if given is None:
        return _order_of_audio(model, asked, members)
    asked.notes.extend(_misplaced(members, given))
    return Order(model, _sources(model, given), asked)


def _order_of_audio(model: Model, asked: Asked, members: dict[str, JSON]) -> Order:
    """A call with ``input_audio`` in place of ``input``, as a public script sends local files; filetrans only."""
    if model.input_key != "file_url":
        raise EmptyInputError(f"{model.name} takes input.file_urls.")
    audio = members.pop("input_audio")
    asked.notes.extend(_misplaced(members, {}))
    data = audio.get("data") if isinstance(audio, dict) else None
    if not isinstance(data, str):
        raise refusal("input_audio", audio, 'give {"data": "…"} with a URL or a data URI')
    if is_data_uri(data):
        return Order(model, (), asked, data_uri=data)
    return Order(model, (_filetrans_source({"file_url": data}),), asked)


def _parameters(members: dict[str, JSON]) -> dict[str, JSON]:
    """The members of ``parameters``, and ``resources``, which lies beside it."""
    parameters = dict(parameters_of(members))
    return parameters | {"resources": members["resources"]} if "resources" in members else parameters


def _misplaced(members: dict[str, JSON], given: dict[str, JSON]) -> list[str]:
    """Notes on members that stand where nothing reads them."""
    return misplaced("the body", members, _TOP) + misplaced("input", given, ("file_urls", "file_url"))


def _sources(model: Model, given: dict[str, JSON]) -> tuple[str, ...]:
    """The URLs: from the model's own member, or from the other family's where that says the same."""
    if model.input_key == "file_url":
        return (_filetrans_source(given),)
    urls = given.get("file_urls")
    if urls is None and isinstance(given.get("file_url"), str):
        urls = [given["file_url"]]
    if not isinstance(urls, list) or not urls:
        raise MissingFileUrlsError(f"Give an array of 1 to {model.max_files} URLs.")
    if len(urls) > model.max_files:
        raise InvalidParameterError(
            f"input.file_urls holds {len(urls)} entries; give at most {model.max_files} in one task.", "file_urls"
        )
    return tuple(_source("input.file_urls", url) for url in urls)


def _filetrans_source(given: dict[str, JSON]) -> str:
    """The one URL of a model that takes ``file_url``; ``file_urls`` with exactly one entry will do."""
    url = given.get("file_url")
    urls = given.get("file_urls")
    if url is None and isinstance(urls, list) and len(urls) == 1:
        url = urls[0]
    if not isinstance(url, str) or not _URL.match(url):
        raise UrlError("Give one http or https URL as input.file_url.")
    return _source("input.file_url", url)


def _source(name: str, url: JSON) -> str:
    """A source as it will be repeated in answers. What is no URL is a failure of its subtask, not of the call."""
    if not isinstance(url, str):
        raise refusal(name, url, "give URLs as strings")
    if len(url) > MAX_URL_CHARS:
        raise refusal(name, url, f"give URLs of at most {MAX_URL_CHARS} characters, this has {len(url)}")
    return url
