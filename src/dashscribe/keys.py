"""API keys, and the temporary keys they lend: who is asking, and how much sound they have left this month.

A key is shown once, when it is made; the database holds its SHA-256 only. What was found is trusted for under a second
before the database is asked again, so that polls cost nothing and a key revoked by another process stops working within
that time, one revoked in this process at once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, Insert, delete, func, insert, select, update

from dashscribe import usage
from dashscribe.config import Settings
from dashscribe.db import as_datetime, now_ms, reading, serialize, tables, writing
from dashscribe.errors import InvalidApiKeyError, MissingApiKeyError, QuotaError

#: Owner of ``settings.api_key`` and of the first key.
DEFAULT_OWNER = "default"
#: Key id of ``settings.api_key``, which is in no table.
SETTINGS_KEY_ID = "0"
#: What temporary keys begin with; those of the table begin with ``sk-``.
LENT_PREFIX = "st-"
#: How long a key that was found, or its quota, is not looked up again, in seconds.
TRUSTED_S = 0.8
#: Temporary keys come and go; beyond this many remembered ones, those past their time are forgotten.
MAX_TRUSTED = 1000
_KEY_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request comes from, and by which key: for a temporary one, by the key that lent it."""

    owner: str
    key_id: str
    temporary: bool = False

    @property
    def operates(self) -> bool:
        """Whether the caller may see and manage what belongs to the whole server."""
        return self.owner == DEFAULT_OWNER and not self.temporary


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is listed: everything but the secret, of which ``hint`` is the end.

    ``quota_s`` is its sound per month in seconds, None for no limit; ``used_ms`` what it used of this month.
    """

    id: str
    owner: str
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None
    quota_s: int | None
    used_ms: int


class Keys:
    """The keys of one installation."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._configured = settings.api_key.get_secret_value() if settings.api_key else ""
        self._configured_digest = _digest(self._configured) if self._configured else ""
        self._time_zone = settings.time_zone
        self._trusted: dict[str, tuple[Identity, float]] = {}
        self._quotas: dict[str, tuple[int | None, float]] = {}
        self._guard = threading.Lock()
        self._revocations = 0

    def identify(self, bearer: str) -> Identity:
        """Who holds this key; raises InvalidApiKeyError."""
        if not bearer:
            raise MissingApiKeyError("send the header Authorization: Bearer KEY")
        return self.known(bearer) or self._look_up(bearer, _digest(bearer))

    def known(self, bearer: str) -> Identity | None:
        """Who holds this key if that needs no look into the database; None if it does."""
        digest = _digest(bearer)
        if self._configured and hmac.compare_digest(digest, self._configured_digest):
            return Identity(DEFAULT_OWNER, SETTINGS_KEY_ID)
        with self._guard:
            identity, until = self._trusted.get(digest, (None, 0.0))
        return identity if time.monotonic() <= until else None

    def lend(self, lender: Identity, life_s: int) -> tuple[str, int]:
        """A temporary key with the rights of ``lender``: the key, and when it expires in Unix seconds.

        It ends with the key that lent it. Those that expired are forgotten here.
        """
        token, now = f"{LENT_PREFIX}{secrets.token_hex(20)}", now_ms()
        expires_ms = now + life_s * 1000
        digest = self._bound_digest(token) if lender.key_id == SETTINGS_KEY_ID else _digest(token)
        table = tables.tokens
        with writing(self._engine, urgent=True) as connection:
            connection.execute(delete(table).where(table.c.expires_ms <= now))
            connection.execute(
                insert(table).values(digest=digest, key_id=lender.key_id, owner=lender.owner, expires_ms=expires_ms)
            )
        return token, expires_ms // 1000

    def check_quota(self, identity: Identity) -> None:
        """Raise QuotaError where a key, its temporary ones included, has used up its sound of this month.

        Months are those of the usage figures, UTC. What is booked shows at once, another quota within ``TRUSTED_S``; a
        call that was let through is not cut short.
        """
        key_id = identity.key_id
        with self._guard:
            quota_ms, until = self._quotas.get(key_id, (None, 0.0))
        if time.monotonic() > until:
            until = time.monotonic() + TRUSTED_S
            quota_ms = self._quota_ms(key_id)
            with self._guard:
                self._quotas[key_id] = quota_ms, until
        if quota_ms is None:
            return
        used = usage.used_ms(self._engine, key_id, _month())
        if used >= quota_ms:
            raise _exhausted(key_id, quota_ms, used, ZoneInfo(self._time_zone))

    def _quota_ms(self, key_id: str) -> int | None:
        if key_id == SETTINGS_KEY_ID:
            return None
        with reading(self._engine) as connection:
            return connection.execute(select(tables.keys.c.quota_ms).where(tables.keys.c.id == int(key_id))).scalar()

    def _look_up(self, bearer: str, digest: str) -> Identity:
        asked, revocations = time.monotonic(), self._revocations
        with reading(self._engine) as connection:
            if bearer.startswith(LENT_PREFIX):
                identity, trusted_s = self._borrower(connection, bearer)
            else:
                identity, trusted_s = _holder(connection, digest), TRUSTED_S
        with self._guard:
            if identity is None:
                self._trusted.pop(digest, None)
                raise InvalidApiKeyError("it is unknown, expired or revoked; `dashscribe keys create` makes one")
            if revocations == self._revocations:  # else it may be this one, after it was read
                self._remember(digest, identity, asked + trusted_s)
        return identity

    def _borrower(self, connection: Connection, token: str) -> tuple[Identity | None, float]:
        """Who holds a temporary key that still works, and for how many seconds that may be trusted."""
        table, now = tables.tokens, now_ms()
        digests = [_digest(token), self._bound_digest(token)]
        row = connection.execute(
            select(table).where(table.c.digest.in_(digests), table.c.expires_ms > now)
        ).one_or_none()
        if row is None or not (row.key_id == SETTINGS_KEY_ID or _works(connection, row.key_id)):
            return None, 0.0
        return Identity(row.owner, row.key_id, temporary=True), min(TRUSTED_S, (row.expires_ms - now) / 1000)

    def _bound_digest(self, token: str) -> str:
        """The digest of what the configured key lent: with another one in its place, no row has it."""
        return _digest(f"{token} {self._configured}")

    def _remember(self, digest: str, identity: Identity, until: float) -> None:
        if len(self._trusted) >= MAX_TRUSTED:
            now = time.monotonic()
            self._trusted = {key: found for key, found in self._trusted.items() if found[1] > now}
        self._trusted[digest] = identity, until

    def create(self, owner: str = DEFAULT_OWNER, name: str = "", quota_s: int | None = None) -> tuple[str, str]:
        """Make a key: its id and the secret, which is not kept. ``quota_s`` limits its seconds of sound per month."""
        secret = f"sk-{secrets.token_hex(24)}"
        with writing(self._engine) as connection:
            key_id = connection.execute(_new(secret, owner, name, quota_s).returning(tables.keys.c.id)).scalar_one()
        return str(key_id), secret

    def list(self, owner: str = "") -> Sequence[Key]:
        """All keys, or those of one owner, the oldest first, revoked ones included."""
        used = usage.used_by_key(self._engine, _month())
        query = select(tables.keys).order_by(tables.keys.c.id)
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(tables.keys.c.owner == owner) if owner else query).all()
        return [
            Key(
                id=str(row.id),
                owner=row.owner,
                name=row.name,
                hint=row.hint,
                created_at=as_datetime(row.created_ms),
                revoked_at=as_datetime(row.revoked_ms) if row.revoked_ms is not None else None,
                quota_s=row.quota_ms // 1000 if row.quota_ms is not None else None,
                used_ms=used.get(str(row.id), 0),
            )
            for row in rows
        ]

    def revoke(self, key_id: str, owner: str = "") -> bool:
        """End a key, of this owner if one is given, for good; False when there is none of this id that still works."""
        table = tables.keys
        if not _KEY_ID.fullmatch(key_id):
            return False
        working = [table.c.id == int(key_id), table.c.revoked_ms.is_(None)]
        if owner:
            working.append(table.c.owner == owner)
        with writing(self._engine) as connection:
            ended = connection.execute(update(table).where(*working).values(revoked_ms=now_ms()))
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
            serialize(connection, "first key")
            if connection.execute(select(func.count()).select_from(tables.keys)).scalar_one():
                return None
            connection.execute(_new(secret, DEFAULT_OWNER, "first"))
        return secret


def _holder(connection: Connection, digest: str) -> Identity | None:
    """Who holds the key of that digest, if it works."""
    table = tables.keys
    query = select(table.c.id, table.c.owner, table.c.digest).where(
        table.c.digest == digest, table.c.revoked_ms.is_(None)
    )
    row = connection.execute(query).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    return Identity(row.owner, str(row.id))


def _works(connection: Connection, key_id: str) -> bool:
    table = tables.keys
    query = select(table.c.id).where(table.c.id == int(key_id), table.c.revoked_ms.is_(None))
    return connection.execute(query).one_or_none() is not None


def _new(secret: str, owner: str, name: str, quota_s: int | None = None) -> Insert:
    return insert(tables.keys).values(
        owner=owner,
        name=name,
        digest=_digest(secret),
        hint=secret[-4:],
        created_ms=now_ms(),
        quota_ms=None if quota_s is None else quota_s * 1000,
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _month() -> date:
    """The first day of this month."""
    return datetime.now(UTC).date().replace(day=1)


def _exhausted(key_id: str, quota_ms: int, used_ms: int, zone: tzinfo) -> QuotaError:
    now = datetime.now(UTC)
    anew = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return QuotaError(
        f"Key {key_id} used {used_ms / 1000:.1f} of its {quota_ms // 1000} seconds of sound this month; "
        f"it starts anew at {anew.astimezone(zone).isoformat(sep=' ', timespec='minutes')}.",
        retry_after_s=int((anew - now).total_seconds()) + 1,
    )
