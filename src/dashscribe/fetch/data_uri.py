"""Recordings inside a request: from a data URI, or bare base64, to a file.

Lenient where clients differ (line breaks, the URL-safe alphabet, missing padding), strict about everything else, since
a broken text would only show as noise. The declared media type is not looked at: the bytes tell what they are.
"""

from __future__ import annotations

import binascii
import re
from pathlib import Path
from tempfile import NamedTemporaryFile

from dashscribe.errors.sources import DataUriTooLargeError, DecodeError, NoAudioError

SCHEME = "data:"
#: Longest encoded recording: 10 MB of base64 are some 7 MB of sound.
MAX_ENCODED_CHARS = 10 * 1024**2

_HEAD = re.compile(r"data:[^,]{0,200};\s*base64\s*,", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
#: What clients escape in base64. Nothing else is unescaped: a text of percent signs would become millions of objects.
_ESCAPES = {b"%2B": b"+", b"%2F": b"/", b"%3D": b"=", b"%2D": b"-", b"%5F": b"_", b"%20": b"", b"%0D": b"", b"%0A": b""}
_OTHER_ESCAPE = re.compile(rb"%(?!2[BDF0]|3D|5F|0[DA])", re.IGNORECASE)


def is_data_uri(text: str) -> bool:
    """Whether the text claims to carry its own content."""
    return text[: len(SCHEME)].lower() == SCHEME


def save(uri: str, folder: Path) -> Path:
    """Write the content of a data URI to a new file in ``folder``.

    Raises DataUriTooLargeError, DecodeError for what is no base64 and NoAudioError for an empty one.
    """
    head = _HEAD.match(uri)
    if head is None:
        raise DecodeError("A data URI must look like data:audio/wav;base64,UklGR….")
    return save_base64(uri[head.end() :], folder)


def save_base64(encoded: str, folder: Path) -> Path:
    """Write what base64 encodes to a new file in ``folder``; the errors are those of ``save``."""
    if len(encoded) > MAX_ENCODED_CHARS:
        raise DataUriTooLargeError(
            f"This one has {len(encoded)} characters; give the URL of the recording instead, or compress it."
        )
    content = _decode(encoded)
    if not content:
        raise NoAudioError("The data URI carries no bytes.")
    with NamedTemporaryFile(dir=folder, prefix="source-", delete=False) as file:
        file.write(content)
    return Path(file.name)


def _decode(encoded: str) -> bytes:
    try:
        plain = encoded.encode("ascii")
        if b"%" in plain:
            if other := _OTHER_ESCAPE.search(plain):
                raise DecodeError(f"The data URI is not base64: it holds {plain[other.start() :][:3]!r}.")
            for escape, meant in _ESCAPES.items():
                plain = plain.replace(escape, meant).replace(escape.lower(), meant)
        plain = plain.translate(_URL_SAFE, b" \t\r\n\f\v").rstrip(b"=")
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise DecodeError(f"The data URI is not base64: {error}.") from error
