import hashlib
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dashscribe.config import Settings
from dashscribe.db import open_database
from dashscribe.errors import InvalidApiKeyError, MissingApiKeyError
from dashscribe.keys import TRUSTED_S, Identity, Keys


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/keys.db")


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


def test_repeated_use_does_not_ask_the_database(keys: Keys, engine: Engine) -> None:
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
