"""The lists of models: OpenAI's for its clients, the service's own for its client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wire_servers import Desk, Server, checked

from dashscribe.catalog import MODELS

BASES = ("/v1", "/compatible-mode/v1")


@pytest.mark.parametrize("base", BASES)
def test_every_name_is_listed_with_what_clients_demand(desk: Desk, base: str):
    body = desk.http.get(f"{base}/models").json()
    assert body["object"] == "list"
    assert [entry["id"] for entry in body["data"]] == list(MODELS)
    for entry in body["data"]:
        assert (entry["object"], entry["owned_by"], type(entry["created"])) == ("model", "system", int)


@pytest.mark.parametrize("base", BASES)
def test_one_model_is_told_like_in_the_list(desk: Desk, base: str):
    listed = {entry["id"]: entry for entry in desk.http.get(f"{base}/models").json()["data"]}
    for path in ("models/fun-asr", "models/fun-asr/"):
        assert desk.http.get(f"{base}/{path}").json() == listed["fun-asr"]
    assert desk.http.get(f"{base}/models/").json() == desk.http.get(f"{base}/models").json()
    assert listed["qwen3-asr-flash"]["created"] == 1757289600  # the day of its snapshot, 2025-09-08


def test_a_model_tells_whether_it_can_run_here(desk: Desk):
    about = desk.http.get("/v1/models/fun-asr").json()["dashscribe"]
    runs = {"runs": True, "engine": "standin", "why": "forced by DASHSCRIBE_ENGINE"}
    assert about == {"call": "async", "alias_of": "fun-asr-2025-11-07"} | runs
    chosen = desk.parts.settings.model_copy(update={"engine": ""})
    desk.app.state.parts = replace(desk.parts, settings=chosen)
    about = desk.http.get("/v1/models/paraformer-8k-v2").json()["dashscribe"]
    assert not about["runs"]
    assert about["reason"].startswith("No installed engine can stand for paraformer-8k-v2")


@pytest.mark.parametrize("base", BASES)
def test_an_unknown_model_is_not_found(desk: Desk, base: str):
    refused = desk.http.get(f"{base}/models/acme/fun-asr-9")
    assert refused.status_code == 404
    error = refused.json()["error"]
    assert error["message"].startswith("The model acme/fun-asr-9 does not exist or you do not have access to it.")
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "model_not_found", None)


@pytest.mark.parametrize("base", BASES)
def test_the_list_tells_a_good_key_from_a_bad_one(desk: Desk, base: str):
    refused = desk.http.get(f"{base}/models", headers={"Authorization": "Bearer sk-wrong"})
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"


def test_the_native_list_comes_in_pages(desk: Desk):
    first = checked(desk.http.get("/api/v1/models", params={"page_no": 1, "page_size": 20}))["output"]
    second = checked(desk.http.get("/api/v1/models", params={"page_no": 2, "page_size": 20}))["output"]
    assert (first["total"], first["page_no"], first["page_size"]) == (len(MODELS), 1, 20)
    assert [entry["model"] for entry in first["models"] + second["models"]] == list(MODELS)


@pytest.mark.parametrize(
    "query", [{"page_no": "0"}, {"page_no": "x"}, {"page_size": "201"}, {"page_size": "-1"}, {"page_no": "9" * 30}]
)
def test_an_impossible_page_is_refused(desk: Desk, query: dict[str, str]):
    refused = desk.http.get("/api/v1/models", params=query)
    assert refused.status_code == 400
    assert checked(refused)["code"] == "InvalidParameter"


def test_the_official_client_lists_and_finds_models(server: Server, monkeypatch: pytest.MonkeyPatch):
    import dashscope  # a second of work, for this test alone

    monkeypatch.setattr(dashscope, "base_http_api_url", server.api)
    listed = dashscope.Models.list(page=2, page_size=5, api_key=server.key)
    assert [entry["model"] for entry in listed.output["models"]] == list(MODELS)[5:10]
    assert dashscope.Models.get("fun-asr", api_key=server.key).output["model"] == "fun-asr"
    missing = dashscope.Models.get("fun-asr-9", api_key=server.key)
    assert (missing.status_code, missing.message) == (404, "Model 'fun-asr-9' not found")
