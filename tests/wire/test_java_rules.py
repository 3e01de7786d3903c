"""The Java client's rules, as assertions on every kind of answer: what its strict parsers and its poll loop need.

It reads enumerations with ``valueOf``, fails at nulls, takes ``data`` only where ``output`` is missing, throws for any
status but 2xx, and asks again without a pause after 503 and 504.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from wire_origin import Origin
from wire_servers import ASYNC, SUBMIT, Server, assert_no_null

from plain_http import loopback

TASK_STATUS = {"PENDING", "SUSPENDED", "SUCCEEDED", "CANCELED", "RUNNING", "FAILED", "UNKNOWN"}
FILETRANS = "qwen3-asr-flash-filetrans"


@pytest.fixture(scope="module")
def answers(server: Server, idle: Server, origin: Origin) -> dict[str, httpx.Response]:
    """An answer of every kind that a task can give."""
    with server.http() as http, idle.http() as waiting:
        body: dict[str, Any] = {
            "model": "fun-asr",
            "input": {"file_urls": [origin("a.wav")]},
            "parameters": {"channel_id": ["0"], "special_word_filter": '{"system_reserved_filter": true}'},
        }
        submitted = waiting.post(SUBMIT, json=body, headers=ASYNC)
        task_id = submitted.json()["output"]["task_id"]
        found = {"submitted": submitted, "pending": waiting.get(f"/api/v1/tasks/{task_id}")}
        found["cancel"] = waiting.post(f"/api/v1/tasks/{task_id}/cancel")
        found["canceled"] = waiting.get(f"/api/v1/tasks/{task_id}")
        for name, model, sources in [
            ("succeeded", "fun-asr", ["a.wav", "404/a.wav"]),
            ("failed", "fun-asr", ["404/a.wav"]),
            ("filetrans succeeded", FILETRANS, ["a.wav"]),
            ("filetrans failed", FILETRANS, ["404/a.wav"]),
            ("sensevoice succeeded", "sensevoice-v1", ["a.wav"]),
        ]:
            ended = server.submit(model, *map(origin, sources))
            server.wait(ended)
            found[name] = http.get(f"/api/v1/tasks/{ended}")
        found["unknown"] = http.get("/api/v1/tasks/00000000-0000-4000-8000-000000000000")
        found["list"] = http.get("/api/v1/tasks")
        found["refused"] = http.post(SUBMIT, json={"model": "fun-asr"}, headers=ASYNC)
        return found


QUERIES = [
    "pending",
    "canceled",
    "succeeded",
    "failed",
    "filetrans succeeded",
    "filetrans failed",
    "sensevoice succeeded",
    "unknown",
]


def test_no_answer_holds_a_null(answers: dict[str, httpx.Response]):
    for response in answers.values():
        assert_no_null(response.json())


def test_every_answer_has_a_request_id(answers: dict[str, httpx.Response]):
    for response in answers.values():
        assert isinstance(response.json()["request_id"], str)


def test_every_task_status_is_in_the_enumeration(answers: dict[str, httpx.Response]):
    for name in ("submitted", *QUERIES):
        assert answers[name].json()["output"]["task_status"] in TASK_STATUS
    for name in ("succeeded", "failed", "sensevoice succeeded"):
        assert {r["subtask_status"] for r in answers[name].json()["output"]["results"]} <= TASK_STATUS


@pytest.mark.parametrize("name", QUERIES)
def test_queries_answer_200_whatever_became_of_the_task(answers: dict[str, httpx.Response], name: str):
    assert answers[name].status_code == 200


@pytest.mark.parametrize("name", QUERIES)
def test_no_code_stands_at_the_top_of_a_query(answers: dict[str, httpx.Response], name: str):
    assert not {"code", "message"} & set(answers[name].json())


@pytest.mark.parametrize("name", ["succeeded", "failed", "pending", "canceled", "sensevoice succeeded"])
def test_task_metrics_are_three_integers_in_upper_case(answers: dict[str, httpx.Response], name: str):
    metrics = answers[name].json()["output"]["task_metrics"]
    assert set(metrics) == {"TOTAL", "SUCCEEDED", "FAILED"}
    assert all(type(value) is int for value in metrics.values())


def test_members_that_do_not_apply_are_left_out(answers: dict[str, httpx.Response]):
    output = {name: set(answers[name].json()["output"]) for name in QUERIES}
    assert "results" not in output["pending"]
    assert not {"results", "task_metrics"} & output["filetrans succeeded"]
    assert "result" not in output["filetrans failed"]
    assert output["unknown"] == {"task_id", "task_status"}
    assert "end_time" not in output["pending"]


def test_usage_is_whole_seconds_under_the_name_of_the_family(answers: dict[str, httpx.Response]):
    assert answers["succeeded"].json()["usage"] == {"duration": 4}
    assert answers["sensevoice succeeded"].json()["usage"] == {"duration": 4}
    assert answers["filetrans succeeded"].json()["usage"] == {"seconds": 4}


def test_our_own_member_stays_out_of_the_services_objects(answers: dict[str, httpx.Response]):
    for name in QUERIES:
        assert "dashscribe" not in answers[name].json()["output"]


def test_lists_are_flat(answers: dict[str, httpx.Response]):
    assert "output" not in answers["list"].json()
    assert isinstance(answers["list"].json()["data"], list)


def test_cancel_answers_without_output(answers: dict[str, httpx.Response]):
    assert answers["cancel"].status_code == 200
    assert set(answers["cancel"].json()) == {"request_id"}


def test_errors_are_json_by_their_content_type(answers: dict[str, httpx.Response]):
    assert "application/json" in answers["refused"].headers["content-type"]
    assert answers["refused"].status_code == 400
    assert all(isinstance(answers["refused"].json()[name], str) for name in ("code", "message"))


def test_result_url_opens_as_java_opens_it(answers: dict[str, httpx.Response]):
    """``HttpURLConnection`` sends no key and its JSON reader takes an object."""
    url = answers["succeeded"].json()["output"]["results"][0]["transcription_url"]
    response = loopback.get(url, headers={"User-Agent": "Java/17", "Accept": "text/html, image/gif, *; q=.2"})
    assert response.status_code == 200
    assert_no_null(response.json())
