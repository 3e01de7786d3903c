"""What a caller asks for when a task is submitted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dashscribe.types import Options, Shape

_OF_BODY = "body:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller asks for, checked and complete.

    ``no_oss``: its oss:// sources are to fail. ``kept_only``: without its recording:// sources there is to be no task.
    ``content_sha256`` stands for the URLs where the source came in the call itself and its URL is of our own making:
    repeating such a call is repeating its bytes. ``keep``: its recordings stay until they are deleted. ``body_digest``
    is that of the body which it was made from, if there was one. ``retry_of`` is the task that it repeats.
    ``base_url`` and ``time_zone`` are those of its answers, for events that tell of its end; ``traceparent`` is the W3C
    trace context that its steps go on with.
    """

    owner: str
    key_id: str
    request_id: str
    model: str
    shape: Shape
    options: Options
    file_urls: tuple[str, ...]
    notes: tuple[str, ...] = ()
    idempotency_key: str = ""
    no_oss: bool = False
    kept_only: bool = False
    content_sha256: str = ""
    keep: bool = False
    body_digest: str = ""
    retry_of: str = ""
    base_url: str = ""
    time_zone: str = ""
    traceparent: str = ""

    @property
    def digest(self) -> str:
        """What makes two submissions the same: one body, or the same made of it where there is none."""
        return self.body_digest or self._made_digest

    def repeats(self, digest: str) -> bool:
        """Whether it asks for what an earlier one did; older programs kept digests of what they made of bodies."""
        return digest == self.digest or (not is_of_body(digest) and digest == self._made_digest)

    @property
    def _made_digest(self) -> str:
        asked = (self.model, self.shape, self.options, self.content_sha256 or self.file_urls)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def digest_of_body(members: Mapping[str, Any]) -> str:
    """The digest of a body as it came, however its members are ordered and spaced.

    What a list holds that it names, or what this program makes of it, changes nothing: a repetition stays one.
    """
    return _OF_BODY + hashlib.sha256(msgspec.json.encode(members, order="sorted")).hexdigest()


def is_of_body(digest: str) -> bool:
    """Whether a digest is one of a body."""
    return digest.startswith(_OF_BODY)
