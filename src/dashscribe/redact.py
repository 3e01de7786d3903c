"""Takes what is a secret by its looks out of texts that are written down: keys, signatures in URLs, passwords.

The last line of defense for logs and for messages about settings; whoever writes a message leaves secrets out himself.
"""

from __future__ import annotations

import re

MASK = "********"
#: Names of parameters, members and settings whose values are secrets. Bounded, so that no text takes long.
_PART = r"[A-Za-z0-9_.-]{0,40}"
_NAME = (
    rf"(?<![A-Za-z0-9_.-])(?:{_PART}?(?:signature|security[_-]?token|access[_-]?token|auth[_-]?token|api[_-]?key"
    rf"|access[_-]?key|secret|password|passwd|credential){_PART}|token|sig|key|pwd|authorization|policy)"
)
SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_PARAMETER = re.compile(rf"({_NAME}=)[^&\s'\"<>;,]+", re.IGNORECASE)
_MEMBER = re.compile(rf"({_NAME}['\"]?\s?[:=]\s?['\"]?)(?!Bearer |Basic )[^\s'\",;&{{}}\[\]*]{{4,200}}", re.IGNORECASE)
_SCHEME = re.compile(r"\b(Bearer|Basic)(\s+|%20)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_OURS = re.compile(r"\b(?:sk|st)-[A-Za-z0-9_-]{8,}")  # keys of ours, of the service and of OpenAI
_USER = re.compile(r"(://[^\s/@:'\"]{0,200}):[^\s/@'\"]{1,400}@")


def redact(text: str) -> str:
    """``text`` with eight stars for each secret; what is none is left as it is."""
    text = _USER.sub(rf"\1:{MASK}@", text)
    text = _PARAMETER.sub(rf"\1{MASK}", text)
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _MEMBER.sub(rf"\1{MASK}", text)
    return _OURS.sub(MASK, text)
