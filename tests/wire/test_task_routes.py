"""Querying, canceling, listing; who may see what; the envelope of whatever else is asked of the server."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from wire_servers import SUBMIT, Desk, assert_refused, checked

from dashscribe.db import tables, writing
from dashscribe.errors import ConfigError, RateLimitError
from dashscribe.wire.app import create_app

TASKS = "/api/v1/tasks"


# --- query ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_query_by_either_method_with_and_without_slash(desk: Desk, method: str, slash: str):
    task_id = desk.task()
    response = desk.http.request(method, f"{TASKS}/{task_id}{slash}", headers={"X-DashScope-Async": "enable"})
    body = checked(response)
    assert response.status_code == 200
    assert body["output"]["task_id"] == task_id
    assert body["output"]["task_status"] == "PENDING"


def test_every_query_has_a_request_id_of_its_own(desk: Desk):
    task_id = desk.task()
    assert desk.query(task_id)["request_id"] != desk.query(task_id)["request_id"]


def test_submit_time_is_now_in_the_zone_of_the_wire(desk: Desk):
    told = desk.query(desk.task())["output"]["submit_time"]
    at = datetime.strptime(told + "000+0800", "%Y-%m-%d %H:%M:%S.%f%z")
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=60)


@pytest.mark.parametrize(
    "task_id", ["00000000-0000-4000-8000-000000000000", "nonesuch", "x" * 5000, "%00", "%F0%9F%8E%A4", "'--"]
)
def test_unknown_task_answers_200_with_unknown(desk: Desk, task_id: str):
    response = desk.http.get(f"{TASKS}/{task_id}")
    body = checked(response)
    assert response.status_code == 200
    assert set(body) == {"request_id", "output"}
    assert set(body["output"]) == {"task_id", "task_status"}
    assert body["output"]["task_status"] == "UNKNOWN"


def test_expired_task_is_unknown(desk: Desk):
    task_id = desk.task()
    long_ago = int((time.time() - 25 * 3600) * 1000)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.tasks).values(status="SUCCEEDED", ended_ms=long_ago))
    assert desk.query(task_id)["output"]["task_status"] == "UNKNOWN"
    assert checked(desk.http.get(TASKS))["total"] == 0


# --- cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_cancel_of_a_waiting_task_answers_without_output(desk: Desk, slash: str):
    task_id = desk.task()
    response = desk.http.post(f"{TASKS}/{task_id}/cancel{slash}")
    assert response.status_code == 200
    assert set(checked(response)) == {"request_id"}
    assert desk.query(task_id)["output"]["task_status"] == "CANCELED"


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "CANCELED"])
def test_cancel_of_any_other_task_is_refused(desk: Desk, status: str):
    task_id = desk.task()
    with writing(desk.engine) as connection:
        connection.execute(update(tables.tasks).values(status=status))
    body = assert_refused(
        desk.http.post(f"{TASKS}/{task_id}/cancel"),
        400,
        "UnsupportedOperation",
        "Failed to cancel the task, please confirm if the task is in PENDING status.",
    )
    assert body["message"].endswith(f"It is {status}.")


@pytest.mark.parametrize("task_id", ["00000000-0000-4000-8000-000000000000", "nonesuch", "%00"])
def test_cancel_of_an_unknown_task_is_refused(desk: Desk, task_id: str):
    assert_refused(
        desk.http.post(f"{TASKS}/{task_id}/cancel"), 400, "UnsupportedOperation", "Failed to cancel the task"
    )


# --- list -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_list_is_flat_and_the_newest_first(desk: Desk, slash: str):
    ids = [desk.task(model=model) for model in ("fun-asr", "paraformer-v2", "sensevoice-v1")]
    now = datetime.now(UTC)
    for back_s, task_id in enumerate(reversed(ids)):
        _submitted(desk, task_id, now - timedelta(seconds=back_s))
    body = checked(desk.http.get(f"{TASKS}{slash}"))
    assert {name: body[name] for name in ("total", "total_page", "page_no", "page_size")} == {
        "total": 3,
        "total_page": 1,
        "page_no": 1,
        "page_size": 10,
    }
    assert [entry["task_id"] for entry in body["data"]] == ids[::-1]
    assert [entry["task_id"] for entry in body["tasks"]] == ids[::-1]
    assert [entry["task_status"] for entry in body["tasks"]] == ["PENDING"] * 3
    assert [entry["model_name"] for entry in body["data"]] == ["sensevoice-v1", "paraformer-v2", "fun-asr"]
    assert "output" not in body


def test_list_entry_holds_the_id_of_the_submit_call(desk: Desk):
    submitted = checked(desk.submit())
    (entry,) = checked(desk.http.get(TASKS))["data"]
    assert entry["request_id"] == submitted["request_id"]


def test_list_pages(desk: Desk):
    ids = {desk.task() for _ in range(5)}
    pages = [checked(desk.http.get(TASKS, params={"page_no": n, "page_size": 2})) for n in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [2, 2, 1, 0]
    assert {page["total_page"] for page in pages} == {3}
    assert {entry["task_id"] for page in pages for entry in page["data"]} == ids


def test_list_filters(desk: Desk):
    first, second = desk.task(), desk.task(model="paraformer-v2")
    desk.http.post(f"{TASKS}/{second}/cancel")

    def found(**params: str) -> set[str]:
        return {entry["task_id"] for entry in checked(desk.http.get(TASKS, params=params))["data"]}

    assert found(task_id=first) == {first}
    assert found(model_name="paraformer-v2") == {second}
    assert found(status="PENDING") == {first}
    assert found(status="CANCELED", model_name="fun-asr") == set()
    assert found(status="UNKNOWN") == found(status="SUSPENDED") == set()
    assert found(api_key_id="0") == {first, second}
    assert found(api_key_id="77") == set()
    assert found(region="cn-beijing") == {first, second}


def _stamp(at: datetime) -> str:
    return (at + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")


def _submitted(desk: Desk, task_id: str, at: datetime) -> None:
    with writing(desk.engine) as connection:
        table = tables.tasks
        connection.execute(update(table).where(table.c.id == task_id).values(submitted_ms=round(at.timestamp() * 1000)))


def test_list_covers_the_last_24_hours_unless_told_otherwise(desk: Desk):
    now = datetime.now(UTC).replace(microsecond=999_000)  # the last millisecond of a second
    ages_h = (1, 23, 30, 50)
    ids = dict(zip(ages_h, (desk.task() for _ in ages_h), strict=True))
    for age_h, task_id in ids.items():
        _submitted(desk, task_id, now - timedelta(hours=age_h))

    def ages(**params: str) -> set[int]:
        found = {entry["task_id"] for entry in checked(desk.http.get(TASKS, params=params))["data"]}
        return {age_h for age_h, task_id in ids.items() if task_id in found}

    assert ages() == {1, 23}
    assert ages(start_time=_stamp(now - timedelta(hours=31))) == {23, 30}
    assert ages(end_time=_stamp(now - timedelta(hours=29))) == {30, 50}
    assert ages(end_time=_stamp(now - timedelta(hours=1))) == {1, 23}, "the whole second belongs to it"
    assert ages(start_time=_stamp(now - timedelta(hours=31)), end_time=_stamp(now - timedelta(hours=29))) == {30}


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"start_time": "2026-06-01"}, "start_time"),
        ({"start_time": "20261301000000"}, "start_time"),
        ({"end_time": "20260601250000"}, "end_time"),
        ({"end_time": "99991231235959"}, "end_time"),
        ({"start_time": "00010101000000"}, "start_time"),
        ({"start_time": "٢٠٢٦٠٦٠١٠٠٠٠٠٠"}, "start_time"),
        ({"start_time": "20260601000000", "end_time": "20260602000001"}, "end_time"),
        ({"start_time": "20260602000000", "end_time": "20260601000000"}, "end_time"),
        ({"page_no": "0"}, "page_no"),
        ({"page_no": "x"}, "page_no"),
        ({"page_no": "-1"}, "page_no"),
        ({"page_no": "9" * 5000}, "page_no"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "101"}, "page_size"),
        ({"page_size": "1.5"}, "page_size"),
        ({"status": "DONE"}, "status"),
        ({"status": "pending"}, "status"),
    ],
)
def test_list_arguments_out_of_range_are_refused(desk: Desk, params: dict[str, str], name: str):
    assert_refused(desk.http.get(TASKS, params=params), 400, "InvalidParameter", f"Required parameter({name})")


def test_a_span_of_exactly_24_hours_is_fine(desk: Desk):
    params = {"start_time": "20260601000000", "end_time": "20260602000000"}
    assert checked(desk.http.get(TASKS, params=params))["total"] == 0


# --- keys and owners ------------------------------------------------------------------------------------------------

CALLS = [
    ("POST", SUBMIT),
    ("GET", TASKS),
    ("GET", f"{TASKS}/"),
    ("GET", f"{TASKS}/x"),
    ("POST", f"{TASKS}/x"),
    ("POST", f"{TASKS}/x/cancel"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "bearer  "])
def test_missing_key_is_refused(desk: Desk, method: str, path: str, header: str):
    response = desk.http.request(method, path, headers={"Authorization": header})
    assert_refused(response, 401, "InvalidApiKey", "No API-key provided.")


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "header", ["Bearer sk-wrong", "Basic c2stOng=", "sk-wire-tests", "Bearer sk-wire-tests2", "Bearer \xfc"]
)
def test_wrong_key_is_refused(desk: Desk, method: str, path: str, header: str):
    response = desk.http.request(method, path, headers={"Authorization": header.encode("latin-1")})
    assert_refused(response, 401, "InvalidApiKey", "Invalid API-key provided.")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_is_compared_without_case(desk: Desk, scheme: str):
    assert desk.http.get(TASKS, headers={"Authorization": f"{scheme} sk-wire-tests"}).status_code == 200


def test_keys_of_one_owner_share_tasks_and_others_see_nothing(desk: Desk):
    _, sibling = desk.parts.keys.create("default", "second")
    other_id, other = desk.parts.keys.create("somebody", "theirs")
    task_id = desk.task()

    def headers(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def status(key: str) -> str:
        return desk.query(task_id, headers=headers(key))["output"]["task_status"]

    assert status(sibling) == "PENDING"
    assert status(other) == "UNKNOWN"
    assert checked(desk.http.get(TASKS, headers=headers(other)))["total"] == 0
    assert desk.http.post(f"{TASKS}/{task_id}/cancel", headers=headers(other)).status_code == 400
    assert status(sibling) == "PENDING"
    assert desk.http.post(f"{TASKS}/{task_id}/cancel", headers=headers(sibling)).status_code == 200
    desk.parts.keys.revoke(other_id)
    assert desk.http.get(TASKS, headers=headers(other)).status_code == 401


# --- everything else ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/nope", "/api/v1", "/api/v1/tasks/x/y", "/api/v1/services/audio/asr/transcription/x", "/x//", "/%FF%00"]
)
def test_unknown_path_answers_in_the_envelope(desk: Desk, path: str):
    assert_refused(desk.http.get(path), 404, "NotFound", "Not found!")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SUBMIT),
        ("PUT", SUBMIT),
        ("DELETE", f"{TASKS}/x"),
        ("POST", TASKS),
        ("GET", f"{TASKS}/x/cancel"),
        ("POST", "/healthz"),
    ],
)
def test_unsupported_method_answers_in_the_envelope(desk: Desk, method: str, path: str):
    assert_refused(
        desk.http.request(method, path), 400, "InvalidParameter", f"Request method '{method}' is not supported."
    )


def test_unexpected_error_answers_in_the_envelope_without_a_trace(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*args: Any) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(desk.parts.tasks, "get", broken)
    response = desk.http.get(f"{TASKS}/x")
    body = assert_refused(response, 500, "InternalError", "An internal error has occured")
    assert "secret" not in body["message"]
    assert "a secret detail" in caplog.text


def test_throttled_call_is_told_when_to_come_back(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    def throttled(*args: Any) -> None:
        raise RateLimitError("20 queries a second.", 7)

    monkeypatch.setattr(desk.parts.tasks, "get", throttled)
    response = desk.http.get(f"{TASKS}/x")
    assert_refused(response, 429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
    assert response.headers["retry-after"] == "7"


def test_unusable_time_zone_is_noticed_at_the_start(desk: Desk):
    settings = desk.parts.settings.model_copy(update={"time_zone": "Mars/Olympus"})
    with pytest.raises(ConfigError, match="Mars/Olympus"):
        create_app(replace(desk.parts, settings=settings))


def test_health(desk: Desk):
    assert checked(desk.http.get("/healthz"))["status"] == "ok"


def test_readiness_tells_the_reasons(desk: Desk):
    assert desk.http.get("/readyz").status_code == 200
    desk.ready["engine"] = "pocketsphinx does not answer"
    response = desk.http.get("/readyz")
    assert response.status_code == 503
    assert checked(response)["reasons"] == {"engine": "pocketsphinx does not answer"}


def test_routes_are_documented(desk: Desk):
    document = desk.http.get("/openapi.json").json()
    assert set(document["paths"]) >= {
        SUBMIT,
        TASKS,
        f"{TASKS}/{{task_id}}",
        f"{TASKS}/{{task_id}}/cancel",
        "/results/{task_id}/{name}",
        "/healthz",
        "/readyz",
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["description"]
    body = document["paths"][SUBMIT]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "language_hints" in body["properties"]["parameters"]["properties"]
    assert desk.http.get("/docs").status_code == 200


def test_every_answer_carries_a_request_id(desk: Desk):
    for path in ("/docs", "/openapi.json", "/healthz", "/nope", "/results/x/0.json"):
        assert desk.http.get(path).headers["x-request-id"]
