"""What an owner has on a server: who is asking, keys, usage, the queue, models, saved words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from wire_servers import Desk, assert_refused, checked

from dashscribe import usage
from dashscribe.db import writing

PATH = "/dashscribe/v1"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_me_tells_who_is_asking_and_what_holds(desk: Desk) -> None:
    told = checked(desk.http.get(f"{PATH}/me"))
    assert (told["owner"], told["key_id"], told["key_name"]) == ("default", "0", "DASHSCRIBE_API_KEY")
    assert (told["temporary"], told["operates"], told["may_manage_keys"]) == (False, True, True)
    assert told["retention_ms"] == 24 * 3600 * 1000
    assert told["max_upload_bytes"] == desk.parts.settings.max_file_bytes
    assert {"zh", "en", "yue"} <= set(told["languages"])
    _, secret = desk.parts.keys.create("alice", "her laptop", 3600)
    told = checked(desk.http.get(f"{PATH}/me", headers=bearer(secret)))
    assert (told["owner"], told["key_name"], told["operates"], told["may_manage_keys"]) == (
        "alice",
        "her laptop",
        False,
        False,
    )
    assert (told["quota_ms"], told["quota_used_ms"]) == (3_600_000, 0)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_ended(desk: Desk) -> None:
    made = checked(response := desk.http.post(f"{PATH}/keys", json={"name": "pages", "quota_seconds": 60}))
    assert response.status_code == 201
    assert made["key"].startswith("sk-")
    (told,) = checked(desk.http.get(f"{PATH}/keys"))["keys"]
    assert told.pop("created_at") > 0
    assert told == {"id": made["id"], "name": "pages", "hint": made["key"][-4:], "used_ms": 0, "quota_seconds": 60}
    assert checked(desk.http.get(f"{PATH}/me", headers=bearer(made["key"])))["key_id"] == made["id"]
    checked(desk.http.delete(f"{PATH}/keys/{made['id']}"))
    assert_refused(desk.http.get(f"{PATH}/me", headers=bearer(made["key"])), 401, "InvalidApiKey", "")
    assert "revoked_at" in checked(desk.http.get(f"{PATH}/keys"))["keys"][0]
    for gone in (made["id"], "999", "x", "9" * 40, "²"):
        assert_refused(desk.http.delete(f"{PATH}/keys/{gone}"), 404, "NotFound", "")


def test_owners_see_and_end_their_own_keys_only(desk: Desk) -> None:
    theirs, _ = desk.parts.keys.create("alice")
    _, secret = desk.parts.keys.create("mallory")
    assert [key["id"] for key in checked(desk.http.get(f"{PATH}/keys", headers=bearer(secret)))["keys"]] != [theirs]
    assert_refused(desk.http.delete(f"{PATH}/keys/{theirs}", headers=bearer(secret)), 404, "NotFound", "")
    made = checked(desk.http.post(f"{PATH}/keys", json={}, headers=bearer(secret)))
    assert checked(desk.http.get(f"{PATH}/me", headers=bearer(made["key"])))["owner"] == "mallory"


def test_keys_with_a_quota_and_temporary_ones_make_and_end_none(desk: Desk) -> None:
    key_id, bounded = desk.parts.keys.create("alice", quota_s=60)
    lent = checked_token(desk)
    for secret in (bounded, lent):
        assert_refused(desk.http.post(f"{PATH}/keys", json={}, headers=bearer(secret)), 403, "AccessDenied", "")
        assert_refused(desk.http.delete(f"{PATH}/keys/{key_id}", headers=bearer(secret)), 403, "AccessDenied", "")
    told = checked(desk.http.get(f"{PATH}/me", headers=bearer(lent)))
    assert (told["temporary"], told["operates"], told["may_manage_keys"]) == (True, False, False)


def checked_token(desk: Desk) -> str:
    return desk.http.post("/api/v1/tokens").json()["token"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"names": ""}, "'names' is no member of this call: name, quota_seconds."),
        ({"name": 1}, "name was 1; give a string"),
        ({"quota_seconds": -1}, "quota_seconds was -1; give whole seconds"),
        ({"quota_seconds": True}, "quota_seconds was true"),
    ],
)
def test_keys_that_cannot_be_are_refused(desk: Desk, body: dict[str, Any], text: str) -> None:
    assert text in assert_refused(desk.http.post(f"{PATH}/keys", json=body), 400, "InvalidParameter", "")["message"]


def test_there_is_an_end_to_keys(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.wire.account.MAX_KEYS", 2)
    for _ in range(2):
        last = checked(desk.http.post(f"{PATH}/keys", json={}))["id"]
    assert_refused(desk.http.post(f"{PATH}/keys", json={}), 409, "Conflict", "")
    checked(desk.http.delete(f"{PATH}/keys/{last}"))
    checked(desk.http.post(f"{PATH}/keys", json={}))


# --- usage and the queue ----------------------------------------------------------------------------------------------


def test_usage_is_told_by_day_key_and_model_of_the_owner_alone(desk: Desk) -> None:
    key_id, _ = desk.parts.keys.create("default", "laptop")
    with writing(desk.engine) as connection:
        for key, owner in ((key_id, "default"), ("0", "default"), (key_id, "default"), ("7", "alice")):
            usage.book(connection, owner=owner, key_id=key, model="fun-asr", duration_ms=1500)
    today = datetime.now(UTC).date()
    told = checked(desk.http.get(f"{PATH}/usage"))
    assert [(d["day"], d["key_name"], d["files"], d["duration_ms"]) for d in told["days"]] == [
        (today.isoformat(), "DASHSCRIBE_API_KEY", 1, 1500),
        (today.isoformat(), "laptop", 2, 3000),
    ]
    yesterday = (today - timedelta(days=1)).isoformat()
    assert checked(desk.http.get(f"{PATH}/usage", params={"until": yesterday}))["days"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-13-01"},
        {"until": "today"},
        {"since": "2026-06-02", "until": "2026-06-01"},
        {"since": "2020-01-01", "until": "2026-06-01"},
        {"until": "0001-01-01"},
    ],
)
def test_days_that_cannot_be_are_refused(desk: Desk, query: dict[str, str]) -> None:
    assert_refused(desk.http.get(f"{PATH}/usage", params=query), 400, "InvalidParameter", "")


def test_queue_tells_one_s_own_part_and_the_sums(desk: Desk) -> None:
    _, secret = desk.parts.keys.create("alice")
    desk.task()
    desk.task(input={"file_urls": ["https://a.example/1.wav", "https://a.example/2.wav"]})
    told = checked(desk.http.get(f"{PATH}/queue", headers=bearer(secret)))
    assert (told["waiting"], told["running"], told["speech_ms_waiting"]) == (3, 0, 0)
    assert told["oldest_wait_ms"] >= 0
    assert told["own"] == {"waiting": 0, "running": 0, "speech_ms_waiting": 0}
    (worker,) = told["workers"]
    assert "host" not in worker
    mine = checked(desk.http.get(f"{PATH}/queue"))
    assert mine["own"]["waiting"] == 3
    assert mine["workers"][0]["host"]
    assert "standin" in mine["workers"][0]["engines"]
    assert mine["queues"] == []


# --- models -----------------------------------------------------------------------------------------------------------


def test_models_tell_what_would_run_and_what_can_be_installed(desk: Desk) -> None:
    told = checked(desk.http.get(f"{PATH}/models"))
    first = next(one for one in told["models"] if one["name"] == "fun-asr")
    assert (first["call"], first["engine"], first["runs"]) == ("async", "standin", True)
    assert "forced" in first["why"]
    assert first["pull"].startswith("dashscribe models pull ")
    assert told["installed"] == []
    pulled = next(one for one in told["available"] if one["name"] == "sensevoice")
    assert pulled["command"] == "dashscribe models pull sensevoice"


def test_suggestion_heeds_what_is_known_of_a_recording(desk: Desk) -> None:
    query = {"duration_ms": 600_000, "rate_hz": 8000, "channel_count": 2, "languages": "zh,en", "needs": "speakers"}
    told = checked(desk.http.get(f"{PATH}/suggestion", params=query))
    reasons = {one["name"]: " ".join(one["reasons"]) for one in told["models"]}
    assert "of the 2 tracks the first" in reasons["fun-asr"]
    assert "made for telephone sound" in reasons["paraformer-8k-v2"]
    ruled_out = {one["name"]: one["reason"] for one in told["ruled_out"]}
    assert "takes up to 5 minutes" in ruled_out["qwen3-asr-flash"]
    everything = checked(desk.http.get(f"{PATH}/suggestion"))
    assert any("tracks" not in " ".join(one["reasons"]) for one in everything["models"])


@pytest.mark.parametrize(
    "query", [{"duration_ms": "-1"}, {"channel_count": "0"}, {"languages": "zh,klingon"}, {"needs": "magic"}]
)
def test_suggestions_for_what_cannot_be_are_refused(desk: Desk, query: dict[str, str]) -> None:
    assert_refused(desk.http.get(f"{PATH}/suggestion", params=query), 400, "InvalidParameter", "")


# --- sensitive words --------------------------------------------------------------------------------------------------


def test_sensitive_words_are_saved_by_owner_and_can_be_sent_as_they_are_told(desk: Desk) -> None:
    assert checked(desk.http.get(f"{PATH}/sensitive-words"))["masked"] == []
    words = {"masked": ["机密", " Kestrel ", "机密"], "removed": ["呃"], "system": False}
    told = checked(desk.http.put(f"{PATH}/sensitive-words", json=words))
    assert (told["masked"], told["removed"], told["system"]) == (["机密", "Kestrel"], ["呃"], False)
    assert checked(desk.http.get(f"{PATH}/sensitive-words")) | {"request_id": ""} == told | {"request_id": ""}
    task_id = desk.task(parameters={"special_word_filter": told["special_word_filter"]})
    options = checked(desk.http.get(f"{PATH}/recordings/{task_id}.0"))["options"]
    assert options["special_word_filter"] == told["special_word_filter"]
    _, secret = desk.parts.keys.create("alice")
    assert checked(desk.http.get(f"{PATH}/sensitive-words", headers=bearer(secret)))["masked"] == []
    assert checked(desk.http.put(f"{PATH}/sensitive-words", json={}))["masked"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"words": []},
        {"masked": "x"},
        {"masked": [1]},
        {"masked": ["，"]},
        {"masked": ["x" * 101]},
        {"system": "no"},
        {"masked": [f"w{n}" for n in range(5001)]},
    ],
)
def test_sensitive_words_that_cannot_be_are_refused(desk: Desk, body: dict[str, Any]) -> None:
    assert_refused(desk.http.put(f"{PATH}/sensitive-words", json=body), 400, "InvalidParameter", "")
