"""Temporary keys: what they may, and the four ways in which they end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from dashscribe.config import Settings
from dashscribe.db import now_ms, open_database, reading, tables
from dashscribe.errors import InvalidApiKeyError
from dashscribe.keys import MAX_TRUSTED, SETTINGS_KEY_ID, Identity, Keys
from laid_database import lay


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(lay(f"sqlite:///{tmp_path}/keys.db"))


@pytest.fixture
def keys(engine: Engine, tmp_path: Path) -> Keys:
    return Keys(engine, Settings(home=tmp_path))


def assert_refused(keys: Keys, token: str) -> None:
    with pytest.raises(InvalidApiKeyError):
        keys.identify(token)


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(tables.tokens)).scalar_one()


def test_temporary_key_stands_for_the_one_that_lent_it(keys: Keys) -> None:
    key_id, secret = keys.create("ann")
    token, expires_at = keys.lend(keys.identify(secret), 60)
    assert token.startswith("st-")
    assert 50 <= expires_at - now_ms() / 1000 <= 60
    for _ in range(2):  # looked up, then trusted
        assert keys.identify(token) == Identity("ann", key_id, temporary=True)


def test_temporary_key_survives_a_restart(keys: Keys, engine: Engine, tmp_path: Path) -> None:
    token, _ = keys.lend(keys.identify(keys.create("ann")[1]), 60)
    assert Keys(engine, Settings(home=tmp_path)).identify(token).owner == "ann"


def test_temporary_key_ends_at_its_time_even_if_just_used(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    at = now_ms()
    monkeypatch.setattr("dashscribe.keys.now_ms", lambda: at)
    token, _ = keys.lend(keys.identify(keys.create()[1]), 60)
    monkeypatch.setattr("dashscribe.keys.now_ms", lambda: at + 59_800)
    keys.identify(token)
    monkeypatch.setattr("dashscribe.keys.now_ms", lambda: at + 60_000)
    time.sleep(0.25)
    assert_refused(keys, token)


def test_revoking_the_lender_ends_its_temporary_keys_at_once(keys: Keys) -> None:
    key_id, secret = keys.create()
    token, _ = keys.lend(keys.identify(secret), 60)
    keys.identify(token)
    keys.revoke(key_id)
    assert_refused(keys, token)


def test_temporary_key_of_the_configured_key_ends_when_another_is_configured(engine: Engine, tmp_path: Path) -> None:
    def configured(secret: str | None) -> Keys:
        return Keys(engine, Settings(home=tmp_path, api_key=secret))

    keys = configured("sk-one")
    token, _ = keys.lend(keys.identify("sk-one"), 60)
    assert configured("sk-one").identify(token) == Identity("default", SETTINGS_KEY_ID, temporary=True)
    assert_refused(configured("sk-two"), token)
    assert_refused(configured(None), token)


def test_expired_keys_are_forgotten_when_a_new_one_is_made(keys: Keys, engine: Engine) -> None:
    lender = keys.identify(keys.create()[1])
    keys.lend(lender, 0)
    keys.lend(lender, 0)
    assert count(engine) == 1
    keys.lend(lender, 60)
    keys.lend(lender, 60)
    assert count(engine) == 2


def test_memory_of_temporary_keys_is_bounded(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.keys.TRUSTED_S", 0.0)
    monkeypatch.setattr("dashscribe.keys.MAX_TRUSTED", 3)
    assert MAX_TRUSTED >= 100
    lender = keys.identify(keys.create()[1])
    for _ in range(10):
        keys.identify(keys.lend(lender, 60)[0])
    assert len(keys._trusted) <= 3


def test_token_itself_is_in_no_file_of_the_database(keys: Keys, tmp_path: Path) -> None:
    token, _ = keys.lend(keys.identify(keys.create()[1]), 60)
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*"))


@pytest.mark.parametrize("token", ["st-", "st-0", "st-\ud800", "st-" + "0" * 40])
def test_unknown_temporary_key_is_refused(keys: Keys, token: str) -> None:
    assert_refused(keys, token)
