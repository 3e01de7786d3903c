"""The customization route: its answers member by member, its refusals, whose lists it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_servers import Desk, assert_refused, checked, open_desk

from sizes import size

ROUTE = "/api/v1/services/audio/asr/customization"
WORDS: list[dict[str, Any]] = [{"text": "Kestrel Bridge", "weight": 4, "lang": "en"}, {"text": "海拉尔", "weight": 5}]
GOOD = {"target_model": "fun-asr", "prefix": "harbor", "vocabulary": WORDS}


def act(desk: Desk, action: Any, *, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    body = {"model": "speech-biasing", "input": {"action": action, **members}}
    return desk.http.post(ROUTE, json=body, headers=headers)


def output(desk: Desk, action: str, **members: Any) -> dict[str, Any]:
    """The output of a good call, whose answer holds exactly the documented members."""
    response = act(desk, action, **members)
    assert response.status_code == 200, response.text
    body = checked(response)
    assert set(body) == {"request_id", "output", "usage"}
    assert body["usage"] == {"count": 1}
    return body["output"]


def made(desk: Desk, **changes: Any) -> str:
    return output(desk, "create_vocabulary", **{**GOOD, **changes})["vocabulary_id"]


def other_owner(desk: Desk) -> dict[str, str]:
    return {"Authorization": f"Bearer {desk.parts.keys.create('bob')[1]}"}


def test_a_list_from_its_creation_to_its_end(desk: Desk):
    created = output(desk, "create_vocabulary", **GOOD)
    assert set(created) == {"vocabulary_id"}
    assert re.fullmatch(r"vocab-harbor-[0-9a-f]{32}", created["vocabulary_id"])
    queried = output(desk, "query_vocabulary", **created)
    assert set(queried) == {"gmt_create", "gmt_modified", "status", "target_model", "vocabulary"}
    assert (queried["status"], queried["target_model"], queried["vocabulary"]) == ("OK", "fun-asr", WORDS)
    assert output(desk, "update_vocabulary", **created, vocabulary=WORDS[1:]) == {}
    assert output(desk, "query_vocabulary", **created)["vocabulary"] == WORDS[1:]
    (listed,) = output(desk, "list_vocabulary")["vocabulary_list"]
    assert set(listed) == {"vocabulary_id", "gmt_create", "gmt_modified", "status"}
    assert output(desk, "delete_vocabulary", **created) == {}
    assert output(desk, "list_vocabulary") == {"vocabulary_list": []}


def test_a_slash_at_the_end_of_the_path_makes_no_difference(desk: Desk):
    body = {"model": "speech-biasing", "input": {"action": "list_vocabulary"}}
    assert checked(desk.http.post(f"{ROUTE}/", json=body))["output"] == {"vocabulary_list": []}


def test_times_are_whole_seconds_in_the_zone_of_the_wire(desk: Desk):
    told = output(desk, "query_vocabulary", vocabulary_id=made(desk))["gmt_create"]
    instant = datetime.strptime(told, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    assert abs((datetime.now(UTC) - instant).total_seconds()) < 60


def test_word_without_weight_has_the_usual_one(desk: Desk):
    list_id = made(desk, vocabulary=[{"text": "a"}, {"text": "b", "weight": None, "lang": ""}])
    words = output(desk, "query_vocabulary", vocabulary_id=list_id)["vocabulary"]
    assert words == [{"text": "a", "weight": 4}, {"text": "b", "weight": 4}]


def test_pages_and_prefixes(desk: Desk):
    ids = [made(desk, prefix=prefix) for prefix in ("a", "b", "a")]

    def listed(**how: Any) -> list[str]:
        return [one["vocabulary_id"] for one in output(desk, "list_vocabulary", **how)["vocabulary_list"]]

    assert set(listed()) == set(listed(prefix=None)) == set(listed(prefix="")) == set(ids)
    assert set(listed(prefix="a")) == {ids[0], ids[2]}
    assert listed(page_index=0, page_size=2) + listed(page_index=1, page_size=2) == listed()
    assert listed(page_index=10**9, page_size=10**9) == []


def test_another_owner_sees_and_changes_nothing(desk: Desk):
    list_id = made(desk)
    bob = other_owner(desk)
    assert checked(act(desk, "list_vocabulary", headers=bob))["output"] == {"vocabulary_list": []}
    for action in ("query_vocabulary", "update_vocabulary", "delete_vocabulary"):
        response = act(desk, action, vocabulary_id=list_id, vocabulary=WORDS, headers=bob)
        assert_refused(response, 400, "BadRequest.ResourceNotExist", "The Required resource not exist.")
    assert output(desk, "query_vocabulary", vocabulary_id=list_id)["vocabulary"] == WORDS


def test_eleventh_list_is_refused_with_status_400(desk: Desk):
    for _ in range(10):
        made(desk)
    response = act(desk, "create_vocabulary", **GOOD)
    assert_refused(response, 400, "Throttling.AllocationQuota", "Free allocated quota exceeded.")


def test_two_thousand_words_fit(desk: Desk):
    words = [{"text": f"word {n}", "weight": 1 + n % 5} for n in range(2000)]
    assert output(desk, "query_vocabulary", vocabulary_id=made(desk, vocabulary=words))["vocabulary"] == words
    response = act(desk, "create_vocabulary", **{**GOOD, "vocabulary": [*words, {"text": "x"}]})
    assert "1 to 2000" in assert_refused(response, 400, "InvalidParameter", "Required parameter(vocabulary)")["message"]


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"target_model": None}, "target_model"),
        ({"target_model": 5}, "target_model"),
        ({"target_model": "fun-asrr"}, "target_model"),
        ({"target_model": "sensevoice-v1"}, "target_model"),
        ({"target_model": "paraformer-v1"}, "target_model"),
        ({"prefix": None}, "prefix"),
        ({"prefix": "Harbor"}, "prefix"),
        ({"prefix": ["a"]}, "prefix"),
        ({"vocabulary": None}, "vocabulary"),
        ({"vocabulary": []}, "vocabulary"),
        ({"vocabulary": {"a": 4}}, "vocabulary"),
        ({"vocabulary": ["a"]}, "vocabulary[0]"),
        ({"vocabulary": [{"text": "a"}, {"weight": 4}]}, "vocabulary[1].text"),
        ({"vocabulary": [{"text": "a", "weight": "4"}]}, "vocabulary[0].weight"),
        ({"vocabulary": [{"text": "a", "weight": True}]}, "vocabulary[0].weight"),
        ({"vocabulary": [{"text": "a", "weight": 4.0}]}, "vocabulary[0].weight"),
        ({"vocabulary": [{"text": "a", "weight": 6}]}, "vocabulary"),
        ({"vocabulary": [{"text": "a", "lang": 5}]}, "vocabulary[0].lang"),
        ({"vocabulary": [{"text": "a", "lang": "ru"}]}, "vocabulary"),
        ({"vocabulary": [{"text": "海" * 16}]}, "vocabulary"),
    ],
)
def test_invalid_member_is_named(desk: Desk, change: dict[str, Any], member: str):
    response = act(desk, "create_vocabulary", **{**GOOD, **change})
    assert_refused(response, 400, "InvalidParameter", f"Required parameter({member}) missing or invalid")


@pytest.mark.parametrize(
    ("action", "change", "member"),
    [
        ("list_vocabulary", {"page_index": -1}, "page_index"),
        ("list_vocabulary", {"page_size": 0}, "page_size"),
        ("list_vocabulary", {"page_size": "10"}, "page_size"),
        ("list_vocabulary", {"page_index": 2**62}, "page_index"),
        ("list_vocabulary", {"prefix": "A"}, "prefix"),
        ("query_vocabulary", {}, "vocabulary_id"),
        ("query_vocabulary", {"vocabulary_id": 7}, "vocabulary_id"),
        ("delete_vocabulary", {"vocabulary_id": ""}, "vocabulary_id"),
        ("drop_vocabulary", {}, "action"),
        (None, {}, "action"),
        (["create_vocabulary"], {}, "action"),
    ],
)
def test_invalid_member_of_other_actions_is_named(desk: Desk, action: Any, change: dict[str, Any], member: str):
    response = act(desk, action, **change)
    assert_refused(response, 400, "InvalidParameter", f"Required parameter({member}) missing or invalid")


@pytest.mark.parametrize("list_id", ["vocab-x-0", "' OR 1=1 --", "海" * 3000])
@pytest.mark.parametrize("action", ["query_vocabulary", "update_vocabulary", "delete_vocabulary"])
def test_unknown_list(desk: Desk, action: str, list_id: str):
    response = act(desk, action, vocabulary_id=list_id, vocabulary=WORDS)
    assert_refused(response, 400, "BadRequest.ResourceNotExist", "The Required resource not exist.")


@pytest.mark.parametrize(
    ("body", "status", "code", "text"),
    [
        ({}, 400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
        ({"model": "fun-asr", "input": {}}, 404, "ModelNotFound", "Model can not be found."),
        ({"model": 7, "input": {}}, 404, "ModelNotFound", "Model can not be found."),
        ({"model": "speech-biasing"}, 400, "BadRequest.EmptyInput", "Required input parameter missing from request."),
        ({"model": "speech-biasing", "input": []}, 400, "BadRequest.IllegalInput", "The input parameter requires"),
        (
            {"model": "speech-biasing", "input": {}, "parameters": 1},
            400,
            "InvalidParameter",
            "Required parameter(param",
        ),
        ([], 400, "InvalidParameter", "Required body invalid"),
    ],
)
def test_body_that_is_no_call(desk: Desk, body: Any, status: int, code: str, text: str):
    assert_refused(desk.http.post(ROUTE, json=body), status, code, text)


def test_other_refusals_of_the_route(desk: Desk):
    assert_refused(desk.http.post(ROUTE, content=b"{"), 400, "BadRequest.IllegalInput", "The input parameter requires")
    wrong = {"Authorization": "Bearer sk-wrong"}
    assert_refused(act(desk, "list_vocabulary", headers=wrong), 401, "InvalidApiKey", "Invalid API-key provided.")
    assert_refused(desk.http.get(ROUTE), 400, "InvalidParameter", "Request method 'GET' is not supported.")
    response = act(desk, "list_vocabulary", headers={"X-DashScope-Async": "Enable"})
    assert_refused(response, 403, "AccessDenied", "current user api does not support asynchronous calls.")


def test_members_without_effect_are_named(desk: Desk):
    body = {
        "model": "speech-biasing",
        "input": {"action": "create_vocabulary", **GOOD, "vocabulary": [{"text": "a", "pinyin": "x"}], "vocab": 1},
        "parameters": {"fast": True},
        "resources": [],
    }
    notes = " ".join(checked(desk.http.post(ROUTE, json=body))["dashscribe"]["notes"])
    for told in ("input had no effect: vocab", "vocabulary had no effect: pinyin", "parameters had no effect: fast"):
        assert told in notes
    assert "the body had no effect: resources" in notes


# --- in a task ------------------------------------------------------------------------------------------------------


def words_of_task(desk: Desk, task_id: str) -> list[str]:
    task = desk.parts.tasks.get("default", task_id)
    assert task
    return [word.text for word in task.options.hotwords]


def test_task_keeps_the_words_that_its_list_held(desk: Desk):
    list_id = made(desk)
    submitted = checked(desk.submit(parameters={"vocabulary_id": list_id}))
    task_id = submitted["output"]["task_id"]
    output(desk, "update_vocabulary", vocabulary_id=list_id, vocabulary=[{"text": "new"}])
    output(desk, "delete_vocabulary", vocabulary_id=list_id)
    assert sorted(words_of_task(desk, task_id)) == sorted(word["text"] for word in WORDS)
    assert "dashscribe" not in submitted  # nothing to note: words are corrected by their sound, whatever the engine


def test_list_for_another_model_has_no_effect_and_the_answer_says_so(desk: Desk):
    submitted = checked(desk.submit(model="paraformer-v2", parameters={"vocabulary_id": made(desk)}))
    assert words_of_task(desk, submitted["output"]["task_id"]) == []
    assert any("made for fun-asr, not paraformer-v2" in note for note in submitted["dashscribe"]["notes"])


def test_list_that_the_caller_does_not_have_is_not_found_at_submit(desk: Desk):
    for list_id, headers in (("vocab-x-0", {}), (made(desk), other_owner(desk))):
        response = desk.submit(parameters={"vocabulary_id": list_id}, headers=headers)
        assert_refused(response, 404, "NotFound", "Not found!")


# --- any call -------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
WORD = st.fixed_dictionaries({}, optional={"text": TEXTS | JSON, "weight": st.integers(-7, 51) | JSON, "lang": JSON})
#: Calls that are right but for a member or two.
NEARLY = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["create", "list", "query", "update", "delete"]).map("{}_vocabulary".format) | JSON,
        "target_model": st.just("fun-asr") | JSON,
        "prefix": st.just("harbor") | JSON,
        "vocabulary": st.lists(WORD, max_size=3) | JSON,
    },
    optional={"vocabulary_id": JSON, "page_index": JSON, "page_size": JSON},
)
many = settings(max_examples=size(60, 300))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("any")) as opened:
        yield opened


@many
@given(given_input=NEARLY | JSON, rest=st.dictionaries(TEXTS, JSON, max_size=2))
def test_any_json_is_answered_below_500(busy: Desk, given_input: Any, rest: dict[str, Any]):
    body = json.dumps({**rest, "model": "speech-biasing", "input": given_input}).encode()
    response = busy.http.post(ROUTE, content=body)
    assert response.status_code < 500, response.text
    answered = checked(response)
    assert response.status_code == 200 or set(answered) == {"request_id", "code", "message"}


@many
@given(body=JSON | st.fixed_dictionaries({"model": JSON, "input": NEARLY | JSON}))
def test_any_json_at_all_is_answered_below_500(busy: Desk, body: Any):
    response = busy.http.post(ROUTE, json=body)
    assert response.status_code < 500, response.text
    checked(response)
