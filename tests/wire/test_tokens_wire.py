"""``POST /tokens`` over HTTP, and what a temporary key may do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from wire_servers import KEY, Desk, assert_refused, checked, open_desk

ROUTE = "/api/v1/tokens"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def token(desk: Desk, key: str = KEY, **query: object) -> str:
    response = desk.http.post(ROUTE, params=query, headers=bearer(key))
    assert response.status_code == 200, response.text
    return response.json()["token"]


def test_answer_is_flat(desk: Desk):
    now = time.time()
    response = desk.http.post(f"{ROUTE}?expire_in_seconds=1800")
    assert "application/json" in response.headers["content-type"]
    assert response.headers["x-request-id"]
    body = response.json()
    assert set(body) == {"token", "expires_at"}
    assert body["token"].startswith("st-")
    assert type(body["expires_at"]) is int
    assert abs(body["expires_at"] - now - 1800) < 20


@pytest.mark.parametrize("query", ["", "?expire_in_seconds=", "?other=1"])
def test_default_life_is_a_minute(desk: Desk, query: str):
    now = time.time()
    assert abs(desk.http.post(ROUTE + query).json()["expires_at"] - now - 60) < 20


@pytest.mark.parametrize("value", ["0", "-1", "1801", "60.0", "1e3", "ten", "٣", "60 s", "9" * 30])
def test_life_out_of_range_is_refused(desk: Desk, value: str):
    response = desk.http.post(ROUTE, params={"expire_in_seconds": value})
    assert_refused(response, 400, "InvalidParameter", "Required parameter(expire_in_seconds)")


@pytest.mark.parametrize("value", ["1", "60", "1800"])
def test_life_in_range_is_taken(desk: Desk, value: str):
    assert token(desk, expire_in_seconds=value)


def test_a_slash_at_the_end_of_the_path_makes_no_difference(desk: Desk):
    assert set(desk.http.post(f"{ROUTE}/").json()) == {"token", "expires_at"}


def test_temporary_key_works_with_the_rights_of_its_lender(desk: Desk):
    key_id, secret = desk.parts.keys.create("ann")
    lent = bearer(token(desk, secret))
    task_id = checked(desk.submit(headers=lent))["output"]["task_id"]
    assert desk.query(task_id, headers=bearer(secret))["output"]["task_status"] == "PENDING"
    assert checked(desk.http.get("/api/v1/tasks", headers=lent))["data"][0]["api_key_id"] == key_id
    assert desk.query(task_id)["output"]["task_status"] == "UNKNOWN"  # of another owner


def test_task_outlives_the_temporary_key_that_submitted_it(desk: Desk):
    for _ in range(20):  # a second is soon over on a machine with much to do
        lent = bearer(token(desk, expire_in_seconds=1))
        if (made := desk.submit(headers=lent)).status_code == 200:
            break
    task_id = checked(made)["output"]["task_id"]
    deadline = time.monotonic() + 30
    while (response := desk.http.get(f"/api/v1/tasks/{task_id}", headers=lent)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert_refused(response, 401, "InvalidApiKey", "Invalid API-key provided.")
    assert desk.query(task_id)["output"]["task_status"] == "PENDING"


def test_temporary_key_makes_no_other(desk: Desk):
    response = desk.http.post(ROUTE, headers=bearer(token(desk)))
    assert_refused(response, 403, "AccessDenied", "Access denied.")


def test_key_is_needed(desk: Desk):
    assert_refused(desk.http.post(ROUTE, headers={"Authorization": ""}), 401, "InvalidApiKey", "No API-key provided.")
    assert_refused(desk.http.post(ROUTE, headers=bearer("sk-x")), 401, "InvalidApiKey", "Invalid API-key provided.")
    assert_refused(desk.http.get(ROUTE), 400, "InvalidParameter", "Request method 'GET' is not supported.")


def test_revoking_the_lender_ends_its_temporary_keys_at_once(desk: Desk):
    key_id, secret = desk.parts.keys.create()
    lent = bearer(token(desk, secret))
    assert desk.http.get("/api/v1/tasks", headers=lent).status_code == 200
    desk.parts.keys.revoke(key_id)
    response = desk.http.get("/api/v1/tasks", headers=lent)
    assert_refused(response, 401, "InvalidApiKey", "Invalid API-key provided.")


def test_temporary_key_survives_a_restart(tmp_path: Path):
    with open_desk(tmp_path) as desk:
        lent = bearer(token(desk))
    with open_desk(tmp_path) as desk:
        assert desk.http.get("/api/v1/tasks", headers=lent).status_code == 200
