import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from dashscribe import usage
from dashscribe.config import Settings
from dashscribe.db import open_database, tables, writing
from dashscribe.errors import InvalidApiKeyError, MissingApiKeyError, QuotaError
from dashscribe.keys import TRUSTED_S, Identity, Keys
from laid_database import lay


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(lay(f"sqlite:///{tmp_path}/keys.db"))


@pytest.fixture
def keys(engine: Engine, tmp_path: Path) -> Keys:
    return Keys(engine, Settings(home=tmp_path))


def test_created_key_is_identified(keys: Keys) -> None:
    key_id, secret = keys.create("alice", "laptop")
    assert secret.startswith("sk-")
    assert keys.identify(secret) == Identity("alice", key_id)


@pytest.mark.parametrize("bearer", ["sk-unknown", "x" * 10_000, "schlüssel", "\ud800", "sk-' OR 1=1 --", " "])
def test_unknown_key_is_refused(keys: Keys, bearer: str) -> None:
    keys.create()
    with pytest.raises(InvalidApiKeyError):
        keys.identify(bearer)


def test_missing_key_has_its_own_message(keys: Keys) -> None:
    with pytest.raises(MissingApiKeyError):
        keys.identify("")


def test_key_of_the_settings_belongs_to_the_default_owner(engine: Engine, tmp_path: Path) -> None:
    keys = Keys(engine, Settings(home=tmp_path, api_key="sk-configured"))
    assert keys.identify("sk-configured").owner == "default"
    with pytest.raises(InvalidApiKeyError):
        keys.identify("sk-configure")
    assert keys.ensure_first() is None
    assert list(keys.list()) == []


def test_revocation_works_at_once_in_this_process(keys: Keys) -> None:
    key_id, secret = keys.create()
    keys.identify(secret)
    assert keys.revoke(key_id)
    with pytest.raises(InvalidApiKeyError):
        keys.identify(secret)
    assert not keys.revoke(key_id)
    assert not keys.revoke("no number")
    assert not keys.revoke("999")


def test_revocation_in_another_process_works_within_a_second(keys: Keys, engine: Engine, tmp_path: Path) -> None:
    key_id, secret = keys.create()
    keys.identify(secret)
    Keys(engine, Settings(home=tmp_path)).revoke(key_id)
    assert TRUSTED_S < 1.0
    time.sleep(1.0)
    with pytest.raises(InvalidApiKeyError):
        keys.identify(secret)


def test_key_from_another_process_works_at_once(keys: Keys, engine: Engine, tmp_path: Path) -> None:
    _, secret = Keys(engine, Settings(home=tmp_path)).create("bob")
    assert keys.identify(secret).owner == "bob"


def test_repeated_use_does_not_ask_the_database(keys: Keys, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.keys.TRUSTED_S", 3600.0)
    _, secret = keys.create("alice")
    keys.identify(secret)
    engine.dispose()
    Path(str(engine.url.database)).rename(Path(str(engine.url.database)).with_suffix(".gone"))
    assert keys.identify(secret).owner == "alice"


def test_first_key_is_made_once(keys: Keys) -> None:
    secret = keys.ensure_first()
    assert secret is not None
    assert keys.identify(secret).owner == "default"
    assert keys.ensure_first() is None
    keys.revoke(keys.list()[0].id)
    assert keys.ensure_first() is None  # a revoked key is no reason to hand out another one


def test_list_tells_everything_but_the_secret(keys: Keys) -> None:
    first, secret = keys.create("alice", "laptop")
    second, _ = keys.create("bob", "phone")
    keys.revoke(second)
    rows = keys.list()
    assert [(row.id, row.owner, row.name) for row in rows] == [(first, "alice", "laptop"), (second, "bob", "phone")]
    assert rows[0].hint == secret[-4:]
    assert rows[0].revoked_at is None
    assert rows[1].revoked_at is not None
    assert rows[0].created_at.tzinfo is not None
    assert secret not in repr(rows)


def test_secret_is_in_no_file_of_the_database(keys: Keys, tmp_path: Path) -> None:
    _, secret = keys.create()
    data = b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*"))
    assert secret.encode() not in data
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in data


def use(engine: Engine, key_id: str, seconds: float, *, owner: str = "ann") -> None:
    with writing(engine) as connection:
        usage.book(connection, owner=owner, key_id=key_id, model="fun-asr", duration_ms=round(seconds * 1000))


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used is looked up at every call."""
    monkeypatch.setattr("dashscribe.keys.TRUSTED_S", -1.0)


@pytest.mark.usefixtures("forgetful")
def test_quota_counts_the_sound_of_the_key_alone(keys: Keys, engine: Engine) -> None:
    key_id, _ = keys.create("ann", quota_s=60)
    other, _ = keys.create("ann")
    for used in (59.9, 1000):
        keys.check_quota(Identity("ann", key_id))
        use(engine, key_id if used < 60 else other, used)
    keys.check_quota(Identity("ann", key_id))
    keys.check_quota(Identity("ann", other))
    use(engine, key_id, 0.1)
    with pytest.raises(QuotaError):
        keys.check_quota(Identity("ann", key_id))
    with pytest.raises(QuotaError):
        keys.check_quota(Identity("ann", key_id, temporary=True))
    keys.check_quota(Identity("ann", other))


@pytest.mark.usefixtures("forgetful")
def test_refusal_names_what_was_used_the_limit_and_the_next_month(keys: Keys, engine: Engine) -> None:
    key_id, _ = keys.create("ann", quota_s=60)
    use(engine, key_id, 75.5)
    with pytest.raises(QuotaError) as caught:
        keys.check_quota(Identity("ann", key_id))
    error = caught.value
    assert (error.status, error.code, error.retryable) == (429, "Throttling.AllocationQuota", False)
    assert error.message.startswith("Allocated quota exceeded, please increase your quota limit. ")
    now = datetime.now(UTC)
    anew = (now.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for told in ("75.5", "60 seconds", f"{anew:%Y-%m-01} 08:00+08:00"):
        assert told in error.message
    assert 0 < error.retry_after_s <= 31 * 86400 + 1
    assert abs((now + timedelta(seconds=error.retry_after_s) - anew).total_seconds()) < 10


@pytest.mark.usefixtures("forgetful")
def test_quota_starts_anew_with_the_month(keys: Keys, engine: Engine) -> None:
    key_id, _ = keys.create("ann", quota_s=60)
    last = datetime.now(UTC).replace(day=1) - timedelta(days=1)
    row = {"day": f"{last:%Y-%m-%d}", "owner": "ann", "key_id": key_id, "model": "fun-asr"}
    with writing(engine) as connection:
        connection.execute(insert(tables.usage).values(**row, files=1, duration_ms=10**6))
    keys.check_quota(Identity("ann", key_id))
    assert keys.list()[0].used_ms == 0


def test_what_was_booked_counts_with_the_next_call(keys: Keys, engine: Engine) -> None:
    key_id, _ = keys.create("ann", quota_s=60)
    keys.check_quota(Identity("ann", key_id))
    use(engine, key_id, 61)
    with pytest.raises(QuotaError):
        keys.check_quota(Identity("ann", key_id))


def test_configured_key_has_no_quota(engine: Engine, tmp_path: Path) -> None:
    keys = Keys(engine, Settings(home=tmp_path, api_key="sk-configured"))
    use(engine, "0", 10**6, owner="default")
    keys.check_quota(keys.identify("sk-configured"))


def test_list_tells_quota_and_what_was_used_of_it(keys: Keys, engine: Engine) -> None:
    first, _ = keys.create("ann", quota_s=60)
    keys.create("bob")
    use(engine, first, 1.2)
    use(engine, first, 2.0)
    assert [(key.quota_s, key.used_ms) for key in keys.list()] == [(60, 3200), (None, 0)]
