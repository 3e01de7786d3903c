"""URLs that are permissions: of results, in answers and in the events that callbacks carry, and of sounds."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from urllib.parse import urlencode

#: Results and the answers that name them live this long after a task's end.
LIFETIME = timedelta(hours=24)
#: How long the URL of a sound is good at least, and for how long it stays the same.
SOUND_LIFETIME, SOUND_STEP = timedelta(hours=12), timedelta(hours=1)
#: Name of the secret of this installation that signs them (``db.secret``).
SECRET = "result-urls"  # noqa: S105 (its name)


def result_url(base_url: str, secret: str, owner: str, task_id: str, index: int, ended_at: datetime) -> str:
    """The URL of one file's result: the same each time it is asked for, since it depends on the task's end only.

    Where the service's URLs name the account's access key stands a pseudonym of the owner.
    """
    expires = int((ended_at + LIFETIME).timestamp())
    access_key = pseudonym(secret, owner)
    signed = signature(secret, access_key, task_id, index, expires)
    query = urlencode({"Expires": expires, "OSSAccessKeyId": access_key, "Signature": signed})
    return f"{base_url}/results/{task_id}/{index}.json?{query}"


def pseudonym(secret: str, owner: str) -> str:
    """The same 16 hexadecimal digits for an owner each time, from which nobody without the secret learns the name."""
    return _digest(secret, "owner", owner)[:16]


def signature(secret: str, access_key: str, task_id: str, index: int, expires: int) -> str:
    """HMAC-SHA256 over all that the URL names, in hexadecimal, which no client has to escape."""
    return _digest(secret, "url", access_key, task_id, str(index), str(expires))


def _digest(secret: str, *parts: str) -> str:
    # The first part says what the digest is for, so that one made for an owner's name is never a signature.
    return hmac.digest(secret.encode(), "\n".join(parts).encode(), "sha256").hex()


def sound_query(secret: str, task_id: str, index: int, now: datetime) -> str:
    """The query that lets somebody hear a file: good for twelve hours or a little more, the same within an hour.

    So that browsers, which know a sound by its URL, keep what they have of it.
    """
    hour = int(SOUND_STEP.total_seconds())
    expires = (int(now.timestamp()) // hour + 1) * hour + int(SOUND_LIFETIME.total_seconds())
    return urlencode({"Expires": expires, "Signature": sound_signature(secret, task_id, index, expires)})


def sound_signature(secret: str, task_id: str, index: int, expires: int) -> str:
    """HMAC-SHA256 over all that the URL of a sound names."""
    return _digest(secret, "sound", task_id, str(index), str(expires))
