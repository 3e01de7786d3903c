"""The id of a recording on our routes: its task's, a dot, its place in that task."""

from __future__ import annotations

import re

from dashscribe.errors import NotFoundError

_ID = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,5})")


def read_id(recording_id: str) -> tuple[str, int]:
    """Task and number. Raises NotFoundError for what can be no id."""
    found = _ID.fullmatch(recording_id)
    if not found:
        raise NotFoundError(f"There is no recording {recording_id!r:.80}, any more or of this key.")
    return found[1], int(found[2])
