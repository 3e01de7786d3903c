"""Result URLs as they are minted: in answers to queries and in the events that callbacks carry."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from urllib.parse import urlencode

#: Results and the answers that name them live this long after a task's end.
LIFETIME = timedelta(hours=24)
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
