"""Limits and quotas over HTTP: whom they count together, and what a refusal tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import httpx
import pytest
from wire_servers import Desk, assert_refused, checked, open_desk

from dashscribe import usage
from dashscribe.db import writing
from dashscribe.errors import ConfigError
from dashscribe.wire.limits import ASKS_PER_SECOND

LISTS = "/api/v1/services/audio/asr/customization"
RATE = (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
QUOTA = (429, "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit.")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def lists(desk: Desk, key: str) -> httpx.Response:
    body = {"model": "speech-biasing", "input": {"action": "list_vocabulary"}}
    return desk.http.post(LISTS, json=body, headers=bearer(key))


def test_submits_beyond_the_limit_are_refused_with_retry_after(tmp_path: Path):
    with open_desk(tmp_path, rate_limits="fun-asr=2/hour") as desk:
        desk.task()
        desk.task()
        response = desk.submit()
        assert "for fun-asr is 2 per hour" in assert_refused(response, *RATE)["message"]
        assert 3000 < int(response.headers["retry-after"]) <= 3601
        desk.task(model="paraformer-v2")
        assert checked(desk.http.get("/api/v1/tasks"))["total"] == 3


def test_all_keys_and_temporary_keys_of_an_owner_count_together(tmp_path: Path):
    with open_desk(tmp_path, rate_limits="*=3/hour") as desk:
        one, two, other = (desk.parts.keys.create(owner)[1] for owner in ("ann", "ann", "bob"))
        lent = desk.http.post("/api/v1/tokens", headers=bearer(two)).json()["token"]
        for key in (one, two, lent):
            assert desk.submit(headers=bearer(key)).status_code == 200
        for key in (one, two, lent):
            assert_refused(desk.submit(headers=bearer(key)), *RATE)
        assert desk.submit(headers=bearer(other)).status_code == 200


def test_refused_bodies_do_not_count(tmp_path: Path):
    with open_desk(tmp_path, rate_limits="fun-asr=1/hour") as desk:
        assert_refused(desk.submit(input={}), 400, "InvalidParameter", "input must contain file_urls")
        desk.task()


@pytest.fixture
def strict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A server that lets two calls of each kind pass in a second: fewer than the slowest machine makes."""
    for kind in ASKS_PER_SECOND:
        monkeypatch.setitem(ASKS_PER_SECOND, kind, 2)
    with open_desk(tmp_path, rate_limits="cloud") as desk:
        yield desk


def assert_limited(ask: Callable[[], httpx.Response]) -> None:
    """The first calls pass, and of many one is refused until the next second."""
    assert ask().status_code == 200
    refused = next(response for response in (ask() for _ in range(100)) if response.status_code != 200)
    assert_refused(refused, *RATE)
    assert refused.headers["retry-after"] in ("1", "2")


def test_management_of_hotwords_is_limited_per_owner(strict: Desk):
    keys = cycle(strict.parts.keys.create("ann")[1] for _ in range(2))
    assert_limited(lambda: lists(strict, next(keys)))
    assert lists(strict, strict.parts.keys.create("bob")[1]).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/tasks/00000000-0000-4000-8000-000000000000", "/api/v1/tasks"])
def test_queries_and_lists_are_limited(strict: Desk, path: str):
    assert_limited(lambda: strict.http.get(path))


def test_phrase_lists_are_limited(strict: Desk):
    assert_limited(lambda: strict.http.get("/api/v1/fine-tunes/outputs"))


def test_nothing_is_limited_without_the_setting(tmp_path: Path):
    with open_desk(tmp_path) as desk:
        key = desk.parts.keys.create("ann")[1]
        assert {lists(desk, key).status_code for _ in range(60)} == {200}


def test_unusable_setting_ends_the_start(tmp_path: Path):
    with pytest.raises(ConfigError, match="fun-asrr"), open_desk(tmp_path, rate_limits="fun-asrr=1/minute"):
        pass


def test_used_up_quota_refuses_submits_and_says_when_it_starts_anew(tmp_path: Path):
    with open_desk(tmp_path) as desk:
        key_id, secret = desk.parts.keys.create("ann", quota_s=60)
        lent = desk.http.post("/api/v1/tokens", headers=bearer(secret)).json()["token"]
        with writing(desk.engine) as connection:
            usage.book(connection, owner="ann", key_id=key_id, model="fun-asr", duration_ms=61_000)
        for key in (secret, lent):
            response = desk.submit(headers=bearer(key))
            message = assert_refused(response, *QUOTA)["message"]
            assert "61.0 of its 60 seconds" in message
            assert "+08:00" in message
            assert int(response.headers["retry-after"]) > 0
        assert desk.http.get("/api/v1/tasks", headers=bearer(secret)).status_code == 200
        assert desk.submit(headers=bearer(desk.parts.keys.create("ann")[1])).status_code == 200
