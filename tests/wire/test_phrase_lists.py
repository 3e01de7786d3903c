"""The fine-tuning routes, as far as phrase lists of the first Paraformer models go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_servers import Desk, assert_refused, checked, open_desk

from dashscribe.catalog import find_model
from sizes import size

CREATE = "/api/v1/fine-tunes"
OUTPUTS = "/api/v1/fine-tunes/outputs"
GOOD: dict[str, Any] = {
    "model": "paraformer-v1",
    "training_file_ids": [],
    "validation_file_ids": [],
    "training_type": "compile_asr_phrase",
    "hyper_parameters": {"phrase_list": {"海拉尔": 5, "Kestrel": -3}},
}
#: The Java client leaves the file arrays out and sends the asynchronous header.
JAVA = {name: value for name, value in GOOD.items() if not name.endswith("_ids")}
ENABLE = {"X-DashScope-Async": "enable"}
UNKNOWN = (400, "BadRequest.ResourceNotExist", "The Required resource not exist.")


def output(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body = checked(response)
    assert set(body) == {"request_id", "output"}
    return body["output"]


@pytest.mark.parametrize(("body", "headers"), [(GOOD, {}), (JAVA, ENABLE)], ids=["python", "java"])
def test_a_list_from_its_creation_to_its_end(desk: Desk, body: dict[str, Any], headers: dict[str, str]):
    created = output(desk.http.post(CREATE, json=body, headers=headers))
    list_id = created["finetuned_output"]
    stamp = re.fullmatch(r"paraformer-v1-(ft-[0-9]{12}-[0-9a-f]{4})", list_id)
    assert stamp
    assert set(created) == {"job_id", "status", "finetuned_output", "training_type", "create_time"}
    assert (created["job_id"], created["status"]) == (stamp[1], "SUCCEEDED")
    assert created["training_type"] == "compile_asr_phrase"
    assert stamp[1][3:15] == re.sub(r"\D", "", created["create_time"])[:12]
    queried = output(desk.http.get(f"{OUTPUTS}/{list_id}"))
    assert queried == {
        "create_time": created["create_time"],
        "finetuned_output": list_id,
        "job_id": created["job_id"],
        "model": "paraformer-v1",
        "output_type": "custom_resource",
    }
    listed = {"page_no": 1, "page_size": 10, "total": 1, "finetuned_outputs": [queried]}
    assert output(desk.http.get(OUTPUTS)) == output(desk.http.get(f"{OUTPUTS}/?page_no=1&page_size=10")) == listed
    deleted = desk.http.request("DELETE", f"{OUTPUTS}/{list_id}", json={"any": "body"}, headers=headers)
    assert output(deleted) == {"finetuned_output": list_id}
    assert output(desk.http.get(OUTPUTS))["finetuned_outputs"] == []
    assert_refused(desk.http.get(f"{OUTPUTS}/{list_id}"), *UNKNOWN)


def test_a_slash_at_the_end_of_the_path_makes_no_difference(desk: Desk):
    path = f"{OUTPUTS}/{output(desk.http.post(f'{CREATE}/', json=GOOD))['finetuned_output']}/"
    assert output(desk.http.get(path))["model"] == "paraformer-v1"
    assert set(output(desk.http.delete(path))) == {"finetuned_output"}


def test_update_keeps_the_id_and_replaces_the_words(desk: Desk):
    list_id = output(desk.http.post(CREATE, json=GOOD))["finetuned_output"]
    change = {**GOOD, "finetuned_output": list_id, "hyper_parameters": {"phrase_list": {"新": 1}}}
    updated = output(desk.http.post(CREATE, json=change))
    assert updated["finetuned_output"] == list_id
    assert output(desk.http.get(f"{OUTPUTS}/{list_id}"))["job_id"] == updated["job_id"]
    assert output(desk.http.get(OUTPUTS))["total"] == 1
    (word,) = desk.parts.hotwords.resolve("default", list_id, find_model("paraformer-v1"), ())[0]
    assert (word.text, word.weight) == ("新", 1)


def test_paging(desk: Desk):
    ids = {output(desk.http.post(CREATE, json=GOOD))["finetuned_output"] for _ in range(3)}
    pages = [output(desk.http.get(OUTPUTS, params={"page_no": page, "page_size": 2})) for page in (1, 2, 3)]
    assert [len(page["finetuned_outputs"]) for page in pages] == [2, 1, 0]
    assert {one["finetuned_output"] for page in pages for one in page["finetuned_outputs"]} == ids
    assert {page["total"] for page in pages} == {3}
    for name, value in (("page_no", "0"), ("page_size", "101"), ("page_size", "x")):
        response = desk.http.get(OUTPUTS, params={name: value})
        assert_refused(response, 400, "InvalidParameter", f"Required parameter({name})")


def test_another_owner_has_no_such_list(desk: Desk):
    list_id = output(desk.http.post(CREATE, json=GOOD))["finetuned_output"]
    bob = {"Authorization": f"Bearer {desk.parts.keys.create('bob')[1]}"}
    assert_refused(desk.http.get(f"{OUTPUTS}/{list_id}", headers=bob), *UNKNOWN)
    assert_refused(desk.http.delete(f"{OUTPUTS}/{list_id}", headers=bob), *UNKNOWN)
    assert_refused(desk.http.post(CREATE, json={**GOOD, "finetuned_output": list_id}, headers=bob), *UNKNOWN)
    assert output(desk.http.get(OUTPUTS, headers=bob))["total"] == 0


@pytest.mark.parametrize(
    ("change", "status", "code", "text"),
    [
        ({"model": None}, 400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
        ({"model": 1}, 400, "InvalidParameter", "Required parameter(model)"),
        ({"model": "paraformer-v9"}, 404, "ModelNotFound", "Model can not be found."),
        ({"model": "paraformer-v2"}, 400, "InvalidParameter", "Required parameter(model)"),
        ({"training_type": "sft"}, 400, "InvalidParameter", "Required parameter(training_type)"),
        ({"training_type": None}, 400, "InvalidParameter", "Required parameter(training_type)"),
        ({"hyper_parameters": None}, 400, "InvalidParameter", "Required parameter(hyper_parameters)"),
        ({"hyper_parameters": {"phrase_list": []}}, 400, "InvalidParameter", "Required parameter(hyper_parameters)"),
        ({"hyper_parameters": {"phrase_list": {}}}, 400, "InvalidParameter", "Required parameter(phrase_list)"),
        ({"hyper_parameters": {"phrase_list": {"a": 6}}}, 400, "InvalidParameter", "Required parameter(phrase_list)"),
        ({"hyper_parameters": {"phrase_list": {"a": "4"}}}, 400, "InvalidParameter", "Required parameter(phrase_list"),
        ({"hyper_parameters": {"phrase_list": {"海" * 11: 4}}}, 400, "InvalidParameter", "Required parameter(phrase"),
        ({"finetuned_output": "paraformer-v1-ft-0-0"}, *UNKNOWN),
        ({"finetuned_output": 7}, 400, "InvalidParameter", "Required parameter(finetuned_output)"),
    ],
)
def test_refusals(desk: Desk, change: dict[str, Any], status: int, code: str, text: str):
    assert_refused(desk.http.post(CREATE, json={**GOOD, **change}), status, code, text)


def test_list_is_not_moved_to_another_model(desk: Desk):
    list_id = output(desk.http.post(CREATE, json=GOOD))["finetuned_output"]
    change = {**GOOD, "finetuned_output": list_id, "model": "paraformer-8k-v1"}
    refused = assert_refused(desk.http.post(CREATE, json=change), 400, "InvalidParameter", "Required parameter(model)")
    assert "made for paraformer-v1" in refused["message"]


def test_eleventh_list_is_refused_with_status_400(desk: Desk):
    for _ in range(10):
        output(desk.http.post(CREATE, json=GOOD))
    assert_refused(
        desk.http.post(CREATE, json=GOOD), 400, "Throttling.AllocationQuota", "Free allocated quota exceeded."
    )


def test_members_without_effect_are_named(desk: Desk):
    body = {
        **GOOD,
        "training_file_ids": ["f-1"],
        "job_name": "x",
        "hyper_parameters": {"phrase_list": {"a": 1}, "n": 2},
    }
    (note,) = checked(desk.http.post(CREATE, json=body))["dashscribe"]["notes"]
    for told in ("training_file_ids", "job_name", "hyper_parameters.n"):
        assert told in note


@pytest.mark.parametrize("list_id", ["x", "%00", "%F0%28", "a b", "海拉尔", "x" * 500, "..%2f.."])
def test_ids_that_no_list_has(desk: Desk, list_id: str):
    for method in ("GET", "DELETE"):
        response = desk.http.request(method, f"{OUTPUTS}/{list_id}")
        assert response.status_code in (400, 404)
        assert checked(response)["code"] in ("BadRequest.ResourceNotExist", "NotFound")


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("any")) as opened:
        yield opened


@settings(max_examples=size(50, 400))
@given(change=st.dictionaries(st.sampled_from(sorted({*GOOD, "finetuned_output"})), JSON, max_size=2), path=TEXTS)
def test_any_json_is_answered_below_500(busy: Desk, change: dict[str, Any], path: str):
    assert busy.http.post(CREATE, json={**GOOD, **change}).status_code < 500
    assert busy.http.get(f"{OUTPUTS}/{quote(path, safe='')}").status_code < 500
