"""What headers of others say: whoever sends them may send anything, and what makes no sense is as good as none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: No size of anything has more digits, and Python refuses to read numbers of thousands of them.
_NUMBER = re.compile(r"[0-9]{1,19}")
_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/([0-9]{1,19}|\*)")


def number(value: str) -> int | None:
    """A number of bytes, or another count; None for what is none."""
    return int(value) if _NUMBER.fullmatch(value.strip()) else None


def retry_after_s(value: str) -> float | None:
    """The wait that ``Retry-After`` asks for, in seconds, 0 for a date in the past; None for nothing usable."""
    if value.strip().isdecimal():
        return float(value)  # of any length
    with suppress(ValueError, TypeError, OverflowError):
        at = parsedate_to_datetime(value)
        # Without a zone, or with one that is not known: HTTP has no other dates than those of UTC.
        utc = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (utc - datetime.now(UTC)).total_seconds())
    return None


def content_range(value: str) -> tuple[int, int | None] | None:
    """Where the bytes of a 206 begin, and how many there are in all, None if that is not told; None for no range."""
    found = _RANGE.fullmatch(value.strip())
    return found and (int(found[1]), None if found[2] == "*" else int(found[2]))


def validator(headers: Mapping[str, str]) -> str:
    """What If-Range can name so that a changed file is not mixed with the old one; empty for nothing usable.

    That is a strong tag, else a date. What is not ASCII cannot be sent back.
    """
    usable = (tag for tag in (headers.get("etag", ""), headers.get("last-modified", "")) if tag.isascii())
    return next((tag for tag in usable if tag and not tag.startswith("W/")), "")
