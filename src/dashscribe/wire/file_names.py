"""Names of files that are downloaded, from titles that anybody may have given: good on every system, in any writing."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

#: Longest name of a file without its extension, in bytes: most disks take 255.
MAX_NAME_BYTES = 200
#: What some system takes for more than a letter of a name.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+')
#: What Windows takes for a device, whatever follows behind a dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)
#: What a title ends with that was the name of a recording.
_OF_SOUND = re.compile(
    r"\.(aac|aiff?|amr|avi|caf|flac|flv|m4a|m4b|mkv|mov|mp3|mp4|mpe?g|oga|ogg|opus|ts|wav|webm|wma|wmv|3gp)$",
    re.IGNORECASE,
)


def file_name(title: str) -> str:
    """A title as the name of a file on any system, without what says that it is a recording."""
    name = _OF_SOUND.sub("", " ".join(_NOT_IN_NAMES.sub(" ", title).split())).strip(". ")
    name = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").rstrip(". ") or "recording"
    return f"_{name}" if _DEVICE.match(name) else name


def disposition(name: str, *, inline: bool = False) -> str:
    """``Content-Disposition`` for a file under a name of any writing (RFC 6266, RFC 8187)."""
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number where another one has it, on disks that do not tell case or accents' form apart, too."""
    number, result = 1, name
    while (key := unicodedata.normalize("NFC", unicodedata.normalize("NFC", result).casefold())) in taken:
        number += 1
        result = f"{name} ({number})"
    taken.add(key)
    return result
