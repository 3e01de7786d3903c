"""The names of uploads: what an oss:// URL names, which names are refused, which are made.

A client's file name becomes the last part of a key, in any writing; the parts before it are ours: owner, day, chance.
No key is ever a path: what lies on disk is named by a digest of it.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from datetime import UTC, datetime
from urllib.parse import unquote

#: What the URL of an upload begins with.
SCHEME = "oss://"
#: The first part of every key, as the service has it.
ROOT = "dashscope-instant"
#: Longest key in bytes of UTF-8, as the service's object store has it, and longest name of our own making.
MAX_KEY_BYTES, MAX_NAME_BYTES = 1023, 255


def new_folder(secret: str, owner: str) -> str:
    """The beginning of keys that nobody else has: by owner and day, as the service's look.

    URLs are passed on to people: without the secret nobody learns from one whose it is.
    """
    pseudonym = digest(f"{secret}\n{owner}")[:32]
    return f"{ROOT}/{pseudonym}/{datetime.now(UTC).date().isoformat()}/{secrets.token_hex(16)}"


def safe_name(name: str) -> str:
    """A client's name for a file as it can stand in a key: its last part, without what is no text, bounded."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join("_" if unicodedata.category(letter)[0] == "C" else letter for letter in last).strip()
    while len(clean.encode()) > MAX_NAME_BYTES:  # the end is kept: it says what kind of file it is
        clean = clean[1:]
    return clean if clean.strip(".") else "file"


def is_good_key(key: str) -> bool:
    """Whether a client's own key can be one: bounded, no empty part, no ``.`` or ``..``, no control characters."""
    try:
        short = len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False
    parts = key.replace("\\", "/").split("/")
    controls = any(unicodedata.category(letter) == "Cc" for letter in key)
    return short and not controls and all(part not in ("", ".", "..") for part in parts)


def keys_of(url: str) -> tuple[str, ...]:
    """The keys that a URL may mean: as it stands, and, as some clients escape URLs, unescaped."""
    key = url.removeprefix(SCHEME)
    return (key, unquote(key)) if "%" in key else (key,)


def digest(text: str) -> str:
    """What stands for a text on disk and in keys: SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
