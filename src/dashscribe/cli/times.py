"""Times as people write and read them; inside, every time is a whole number of milliseconds."""

from __future__ import annotations

import re
from fractions import Fraction

#: A year: more than any recording, and small enough for every number that times are computed with.
LONGEST_S = 365 * 24 * 3600

_COLONS = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")
_UNITS = re.compile(r"(?=.)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def milliseconds(text: str) -> int:
    """Read ``90``, ``90.5``, ``1:30``, ``1:02:03.5`` or ``1h2m3s``, rounded to a millisecond. Raises ValueError."""
    match = _COLONS.fullmatch(text) or _UNITS.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no time; write seconds (90.5), mm:ss (1:30), h:mm:ss (1:02:03) or 1h2m3s")
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    if ":" in text and (seconds >= 60 or (match[1] and minutes >= 60)):
        raise ValueError(f"{text!r} is no time; after a colon come less than 60 minutes or seconds")
    time_s = hours * 3600 + minutes * 60 + seconds
    if time_s > LONGEST_S:
        raise ValueError(f"{text!r} is beyond any recording; the limit is {LONGEST_S // 3600} hours")
    return round(time_s * 1000)


def shown(time_ms: int) -> str:
    """``m:ss`` or ``h:mm:ss``, rounded down."""
    minutes, seconds = divmod(time_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
