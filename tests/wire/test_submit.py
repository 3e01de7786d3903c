"""Submitting: what is accepted, every refusal of the service's table, and how the rules for sources differ by model."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from wire_servers import ASYNC, SUBMIT, Desk, assert_refused, checked, in_pieces

from dashscribe.catalog import find_model
from dashscribe.hotwords import Kind
from dashscribe.types import Hotword
from dashscribe.wire.body import MAX_BODY_BYTES, MAX_RECORDING_BODY_BYTES
from dashscribe.wire.submission import MAX_URL_CHARS

URL = "https://media.example.net/a.wav"
FILETRANS = "qwen3-asr-flash-filetrans"
FILE_URLS_MODELS = ["fun-asr", "fun-asr-mtl", "paraformer-v2", "paraformer-8k-v1", "sensevoice-v1"]


def test_submit_answers_200_with_id_and_status_and_nothing_else(desk: Desk):
    response = desk.submit()
    body = checked(response)
    assert response.status_code == 200
    assert set(body) == {"request_id", "output"}
    assert set(body["output"]) == {"task_id", "task_status"}
    assert body["output"]["task_status"] == "PENDING"
    assert response.headers["x-dashscribe-engine"] == "standin"
    assert desk.woken == [None]


def test_accepted_task_is_in_the_book_with_the_call_that_made_it(desk: Desk):
    body = checked(desk.submit(parameters={"channel_id": ["0", "1"], "language_hints": ["zh", "en"]}))
    task = desk.parts.tasks.get("default", body["output"]["task_id"])
    assert task is not None
    assert task.request_id == body["request_id"]
    assert task.options.channels == (0, 1)
    assert task.options.languages == ("zh", "en")
    assert [subtask.file_url for subtask in task.subtasks] == [URL]


@pytest.mark.parametrize("value", ["enable", "ENABLE", " Enable "])
@pytest.mark.parametrize("name", ["X-DashScope-Async", "x-dashscope-async"])
def test_async_header_is_compared_without_case(desk: Desk, name: str, value: str):
    body = {"model": "fun-asr", "input": {"file_urls": [URL]}}
    assert desk.http.post(SUBMIT, json=body, headers={name: value}).status_code == 200


def test_a_slash_at_the_end_of_the_path_makes_no_difference(desk: Desk):
    body = {"model": "fun-asr", "input": {"file_urls": [URL]}}
    assert desk.http.post(f"{SUBMIT}/", json=body, headers={"X-DashScope-Async": "enable"}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-DashScope-Async": "disable"}, {"X-DashScope-Async": ""}])
def test_without_the_async_header_the_call_is_refused(desk: Desk, headers: dict[str, str]):
    response = desk.http.post(SUBMIT, json={"model": "fun-asr", "input": {"file_urls": [URL]}}, headers=headers)
    assert_refused(response, 403, "AccessDenied", "current user api does not support synchronous calls.")


def test_other_documented_headers_change_nothing(desk: Desk):
    headers = {
        "X-DashScope-OssResourceResolve": "enable",
        "X-DashScope-WorkSpace": "ws-1",
        "X-DashScope-DataInspection": "enable",
    }
    assert desk.submit(headers=headers).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"]
)
def test_content_type_is_not_looked_at(desk: Desk, content_type: str):
    body = json.dumps({"model": "fun-asr", "input": {"file_urls": [URL]}})
    response = desk.http.post(SUBMIT, content=body, headers=ASYNC | {"Content-Type": content_type})
    assert response.status_code == 200


def test_body_may_come_in_chunks_without_a_content_type(desk: Desk):
    body = json.dumps({"model": "fun-asr", "input": {"file_urls": [URL]}}).encode()
    chunks = (body[at : at + 7] for at in range(0, len(body), 7))
    assert desk.http.post(SUBMIT, content=chunks, headers=ASYNC).status_code == 200


# --- the table of refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"file_urls": []}, {"file_urls": URL}, {"file_urls": None}, {"urls": [URL]}])
@pytest.mark.parametrize("model", FILE_URLS_MODELS)
def test_missing_file_urls(desk: Desk, model: str, given: dict[str, Any]):
    assert_refused(desk.submit(model=model, input=given), 400, "InvalidParameter", "input must contain file_urls")


@pytest.mark.parametrize("body", [{}, {"input": {"file_urls": [URL]}}, {"model": None}, {"model": ""}])
def test_missing_model(desk: Desk, body: dict[str, Any]):
    assert_refused(desk.submit(body), 400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.')


@pytest.mark.parametrize("body", [{"model": "fun-asr"}, {"model": "fun-asr", "input": None}])
def test_missing_input(desk: Desk, body: dict[str, Any]):
    assert_refused(desk.submit(body), 400, "BadRequest.EmptyInput", "Required input parameter missing from request.")


@pytest.mark.parametrize("given", ["x", [URL], 7, True, ""])
def test_input_that_is_no_object(desk: Desk, given: Any):
    assert_refused(
        desk.submit(input=given), 400, "BadRequest.IllegalInput", "The input parameter requires json format."
    )


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"model=fun-asr", b"{'model': 1}", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"{} {}"],
)
def test_body_that_is_no_json(desk: Desk, body: bytes):
    response = desk.http.post(SUBMIT, content=body, headers=ASYNC)
    assert_refused(response, 400, "BadRequest.IllegalInput", "The input parameter requires json format.")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"x"',
        b"7",
        b'{"a": "\xff"}',
        b'{"a": ' * 40 + b"1" + b"}" * 40,
        b"[" * 100_000,
        b'{"\\u0000": 1}',
    ],
)
def test_body_that_is_unusable_as_a_whole(desk: Desk, body: bytes):
    response = desk.http.post(SUBMIT, content=body, headers=ASYNC)
    assert_refused(response, 400, "InvalidParameter", "Required body invalid, please check the request body format.")


def test_body_beyond_the_limit_is_refused(desk: Desk):
    response = desk.http.post(SUBMIT, content=b" " * (MAX_RECORDING_BODY_BYTES + 1), headers=ASYNC)
    assert_refused(response, 400, "BadRequest.TooLarge", "Payload Too Large.")


def test_endless_body_is_read_no_further_than_the_limit(desk: Desk):
    received = 0

    async def receive_chunk() -> dict[str, Any]:
        nonlocal received
        received += 65536
        return {"type": "http.request", "body": b" " * 65536, "more_body": True}

    response = anyio.run(in_pieces, desk, "PUT", "/dashscribe/v1/sensitive-words", receive_chunk)
    assert_refused(response, 400, "BadRequest.TooLarge", "Payload Too Large.")
    assert received == MAX_BODY_BYTES + 65536


def test_byte_order_mark_and_repeated_members_are_tolerated(desk: Desk):
    body = b'\xef\xbb\xbf{"model": "nonesuch", "model": "fun-asr", "input": {"file_urls": ["https://a.example/b.wav"]}}'
    assert desk.http.post(SUBMIT, content=body, headers=ASYNC).status_code == 200


@pytest.mark.parametrize(
    "model", ["fun-asr-9", "paraformer-realtime-v2", "qwen-audio-3.1-asr-flash-message", "x" * 5000]
)
def test_unknown_model(desk: Desk, model: str):
    assert_refused(desk.submit(model=model), 404, "ModelNotFound", "Model can not be found.")


@pytest.mark.parametrize("model", [7, ["fun-asr"], {"name": "fun-asr"}, True])
def test_model_that_is_no_string(desk: Desk, model: Any):
    body = assert_refused(
        desk.submit(model=model), 400, "InvalidParameter", "Required parameter(model) missing or invalid"
    )
    assert "as a string" in body["message"]


@pytest.mark.parametrize("model", ["qwen3-asr-flash", "fun-asr-flash-2026-06-15", "qwen-audio-asr", "fun-asr-flash"])
def test_synchronous_model(desk: Desk, model: str):
    body = assert_refused(desk.submit(model=model), 400, "InvalidParameter", "url error, please check url！")
    assert "multimodal-generation" in body["message"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"file_url": ""},
        {"file_url": "a.wav"},
        {"file_url": "/home/me/a.wav"},
        {"file_url": "C:\\a.wav"},
        {"file_url": "data:audio/wav;base64,UklGRg=="},
        {"file_url": "https://"},
        {"file_url": 7},
        {"file_url": [URL]},
        {"file_urls": [URL, URL]},
        {"file_urls": []},
        {"file_urls": ["a.wav"]},
    ],
)
def test_filetrans_source_that_is_no_url(desk: Desk, given: dict[str, Any]):
    assert_refused(desk.submit(model=FILETRANS, input=given), 400, "InvalidParameter", "url error, please check url！")


def test_wrong_parameter_names_parameter_value_and_range(desk: Desk):
    body = assert_refused(
        desk.submit(parameters={"speaker_count": 1}),
        400,
        "InvalidParameter",
        "Required parameter(speaker_count) missing or invalid, please check the request parameters.",
    )
    assert "speaker_count was 1; give an integer from 2 to 100." in body["message"]


@pytest.mark.parametrize("parameters", [[], "x", 7, True])
def test_parameters_that_are_no_object(desk: Desk, parameters: Any):
    body = assert_refused(
        desk.submit(parameters=parameters), 400, "InvalidParameter", "Required parameter(parameters) missing or invalid"
    )
    assert "object" in body["message"]


def test_model_without_an_engine_names_the_remedy(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    unforced = desk.parts.settings.model_copy(update={"engine": ""})
    monkeypatch.setattr(desk.app.state, "parts", replace(desk.parts, settings=unforced))
    body = assert_refused(desk.submit(model="paraformer-8k-v2"), 404, "ModelNotFound", "Model can not be found.")
    assert "`dashscribe models ls`" in body["message"]
    response = desk.submit(parameters={"language_hints": ["zh", "en"]})
    assert response.headers["x-dashscribe-engine"] == "pocketsphinx"


def test_refused_call_leaves_no_task(desk: Desk):
    desk.submit(model="nonesuch")
    desk.submit(parameters={"channel_id": ["x"]})
    assert checked(desk.http.get("/api/v1/tasks"))["total"] == 0
    assert desk.woken == []


# --- sources --------------------------------------------------------------------------------------------------------


def test_a_hundred_long_urls_fit(desk: Desk):
    urls = [f"https://media.example.net/{number}?{'s' * 8000}" for number in range(100)]
    assert desk.submit(input={"file_urls": urls}).status_code == 200


def test_more_than_a_hundred_urls_are_refused(desk: Desk):
    body = assert_refused(
        desk.submit(input={"file_urls": [URL] * 101}), 400, "InvalidParameter", "Required parameter(file_urls)"
    )
    assert "101" in body["message"]
    assert "at most 100" in body["message"]


@pytest.mark.parametrize("model", FILE_URLS_MODELS)
@pytest.mark.parametrize(
    "url", ["", "a.wav", "/etc/passwd", "file:///etc/passwd", "C:\\a.wav", "data:audio/wav;base64,UklG"]
)
def test_what_is_no_url_is_a_matter_of_the_subtask(desk: Desk, model: str, url: str):
    task = desk.parts.tasks.get("default", desk.task(model=model, input={"file_urls": [url, URL]}))
    assert task is not None
    assert [subtask.file_url for subtask in task.subtasks] == [url, URL]


@pytest.mark.parametrize("entry", [7, None, [URL], {"url": URL}, True])
def test_urls_must_be_strings(desk: Desk, entry: Any):
    assert_refused(
        desk.submit(input={"file_urls": [URL, entry]}), 400, "InvalidParameter", "Required parameter(input.file_urls)"
    )


def test_url_of_absurd_length_is_refused(desk: Desk):
    body = assert_refused(
        desk.submit(input={"file_urls": ["https://a.example/" + "x" * MAX_URL_CHARS]}),
        400,
        "InvalidParameter",
        "Required parameter(input.file_urls)",
    )
    assert len(body["message"]) < 400


def test_filetrans_takes_file_urls_with_one_entry(desk: Desk):
    task = desk.parts.tasks.get("default", desk.task(model=FILETRANS, input={"file_urls": [URL]}))
    assert task is not None
    assert (task.shape, [subtask.file_url for subtask in task.subtasks]) == ("file_url", [URL])


def test_other_models_take_a_lone_file_url(desk: Desk):
    task = desk.parts.tasks.get("default", desk.task(input={"file_url": URL}))
    assert task is not None
    assert (task.shape, [subtask.file_url for subtask in task.subtasks]) == ("file_urls", [URL])


@pytest.mark.parametrize("url", ["ftp://a.example/b.wav", "file:///etc/passwd", "oss://dashscope-instant/a/b.wav"])
def test_filetrans_leaves_the_scheme_to_the_task(desk: Desk, url: str):
    assert desk.submit(model=FILETRANS, input={"file_url": url}).status_code == 200


# --- notes, repetition ----------------------------------------------------------------------------------------------


def test_what_has_no_effect_is_named_at_once_and_in_the_query(desk: Desk):
    body = checked(desk.submit(parameters={"speaker_count": 2, "enable_itn": True, "turbo": 1}))
    notes = [
        "enable_itn had no effect: fun-asr does not take it",
        "speaker_count had no effect: it counts only with diarization_enabled",
        "unknown parameters had no effect: turbo",
    ]
    assert body["dashscribe"]["notes"] == notes
    assert desk.query(body["output"]["task_id"])["dashscribe"]["notes"] == notes


def test_members_in_the_wrong_place_are_named(desk: Desk):
    given = {"file_urls": [URL], "language_hints": ["en"]}
    body = checked(desk.submit(input=given, speaker_count=2))
    assert body["dashscribe"]["notes"] == [
        "members of the body had no effect: speaker_count; parameters belong inside parameters",
        "members of input had no effect: language_hints; parameters belong inside parameters",
    ]


def test_phrase_lists_lie_beside_input(desk: Desk):
    made = desk.parts.hotwords.create("default", Kind.PHRASES, find_model("paraformer-v1"), [Hotword("Kestrel", 3)])
    resources = [{"resource_id": made.id, "resource_type": "asr_phrase"}]
    body = checked(desk.submit(model="paraformer-v1", parameters={}, resources=resources))
    assert "dashscribe" not in body  # words are corrected by their sound, whatever the engine


def test_repeated_idempotency_key_gives_the_same_task(desk: Desk):
    first, second = (checked(desk.submit(headers={"Idempotency-Key": "k1"})) for _ in range(2))
    assert first["output"]["task_id"] == second["output"]["task_id"]
    assert first["request_id"] != second["request_id"]
    assert checked(desk.http.get("/api/v1/tasks"))["total"] == 1


def test_idempotency_key_of_another_body_is_a_conflict(desk: Desk):
    desk.submit(headers={"Idempotency-Key": "k1"})
    response = desk.submit(headers={"Idempotency-Key": "k1"}, model="paraformer-v2")
    assert_refused(response, 409, "Conflict", "The request conflicts with an earlier one.")


def test_idempotency_key_of_absurd_length_is_refused(desk: Desk):
    response = desk.submit(headers={"Idempotency-Key": "k" * 256})
    assert_refused(response, 400, "InvalidParameter", "Required parameter(Idempotency-Key)")
