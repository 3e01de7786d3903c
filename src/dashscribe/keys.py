"""API keys: who is asking. A key is shown once, when it is made; the database holds its SHA-256 only.

A key that was found is trusted for under a second before the database is asked again, so that polls cost nothing and a
key revoked by another process stops working within that time, one revoked in this process at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Insert, func, insert, select, update

from dashscribe.config import Settings
from dashscribe.db import as_datetime, now_ms, reading, tables, writing
from dashscribe.errors import InvalidApiKeyError, MissingApiKeyError

#: Owner of ``settings.api_key`` and of the first key.
DEFAULT_OWNER = "default"
#: Key id of ``settings.api_key``, which is in no table.
SETTINGS_KEY_ID = "0"
#: How long a key that was found is not looked up again, in seconds.
TRUSTED_S = 0.8


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request comes from, and by which key."""

    owner: str
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is listed: everything but the secret, of which ``hint`` is the end."""

    id: str
    owner: str
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None


class Keys:
    """The keys of one installation."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._configured = settings.api_key.get_secret_value() if settings.api_key else ""
        self._trusted: dict[str, tuple[Identity, float]] = {}
        self._guard = threading.Lock()
        self._revocations = 0

    def identify(self, bearer: str) -> Identity:
        """Who holds this key; raises InvalidApiKeyError."""
        if not bearer:
            raise MissingApiKeyError("send the header Authorization: Bearer KEY")
        if self._configured and hmac.compare_digest(_digest(bearer), _digest(self._configured)):
            return Identity(DEFAULT_OWNER, SETTINGS_KEY_ID)
        digest = _digest(bearer)
        with self._guard:
            identity, until = self._trusted.get(digest, (None, 0.0))
        if identity is None or time.monotonic() > until:
            identity = self._look_up(digest)
        return identity

    def _look_up(self, digest: str) -> Identity:
        asked, revocations = time.monotonic(), self._revocations
        table = tables.keys
        query = select(table.c.id, table.c.owner, table.c.digest).where(
            table.c.digest == digest, table.c.revoked_ms.is_(None)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        with self._guard:
            if row is None or not hmac.compare_digest(row.digest, digest):
                self._trusted.pop(digest, None)
                raise InvalidApiKeyError("it is unknown or revoked; `dashscribe keys create` makes one")
            identity = Identity(row.owner, str(row.id))
            if revocations == self._revocations:  # else it may be this one, after it was read
                self._trusted[digest] = identity, asked + TRUSTED_S
        return identity

    def create(self, owner: str = DEFAULT_OWNER, name: str = "") -> tuple[str, str]:
        """Make a key: its id and the secret, which is not kept."""
        secret = f"sk-{secrets.token_hex(24)}"
        with writing(self._engine) as connection:
            key_id = connection.execute(_new(secret, owner, name).returning(tables.keys.c.id)).scalar_one()
        return str(key_id), secret

    def list(self) -> Sequence[Key]:
        """All keys, the oldest first, revoked ones included."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(tables.keys).order_by(tables.keys.c.id)).all()
        return [
            Key(
                id=str(row.id),
                owner=row.owner,
                name=row.name,
                hint=row.hint,
                created_at=as_datetime(row.created_ms),
                revoked_at=as_datetime(row.revoked_ms) if row.revoked_ms is not None else None,
            )
            for row in rows
        ]

    def revoke(self, key_id: str) -> bool:
        """End a key for good; False when there is none of this id that still works."""
        table = tables.keys
        if not key_id.isdecimal():
            return False
        with writing(self._engine) as connection:
            ended = connection.execute(
                update(table).where(table.c.id == int(key_id), table.c.revoked_ms.is_(None)).values(revoked_ms=now_ms())
            )
        with self._guard:
            self._revocations += 1
            self._trusted.clear()
        return ended.rowcount == 1

    def ensure_first(self) -> str | None:
        """Make the first key where there has never been one and none is configured: its secret, shown this once."""
        if self._configured:
            return None
        secret = f"sk-{secrets.token_hex(24)}"
        with writing(self._engine) as connection:
            if connection.execute(select(func.count()).select_from(tables.keys)).scalar_one():
                return None
            connection.execute(_new(secret, DEFAULT_OWNER, "first"))
        return secret


def _new(secret: str, owner: str, name: str) -> Insert:
    return insert(tables.keys).values(
        owner=owner, name=name, digest=_digest(secret), hint=secret[-4:], created_ms=now_ms()
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
