"""What a caller asks for when a task is submitted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from dashscribe.types import Options, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller asks for, checked and complete.

    ``no_oss``: its oss:// sources are to fail. ``content_sha256`` stands for the URLs where the source came in the call
    itself and its URL is of our own making: repeating such a call is repeating its bytes. ``keep``: its recordings
    stay until they are deleted. ``retry_of`` is the task that it repeats. ``base_url`` and ``time_zone`` are those of
    its answers, for events that tell of its end; ``traceparent`` is the W3C trace context that its steps go on with.
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
    content_sha256: str = ""
    keep: bool = False
    retry_of: str = ""
    base_url: str = ""
    time_zone: str = ""
    traceparent: str = ""

    @property
    def digest(self) -> str:
        """What makes two submissions the same."""
        asked = (self.model, self.shape, self.options, self.content_sha256 or self.file_urls)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
