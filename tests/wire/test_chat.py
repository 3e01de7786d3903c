"""Chat completions: the shapes of answers and chunks, what is taken and what is refused, in OpenAI's envelope."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from wire_origin import Origin
from wire_servers import Desk, open_desk

from dashscribe.errors import QuotaError, RateLimitError
from dashscribe.errors.sources import RecognitionError
from dashscribe.types import Sentence
from dashscribe.wire import speech

PATHS = ("/compatible-mode/v1/chat/completions", "/v1/chat/completions")
TEXT = "River larch quill quill quill islet."


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The application in this process, with an engine at work."""
    with open_desk(tmp_path_factory.mktemp("talk"), fetch_allow="127.0.0.1/32", workers=1) as opened:
        yield opened


def body(source: str, **members: Any) -> dict[str, Any]:
    part = {"type": "input_audio", "input_audio": {"data": source}}
    return {"model": "qwen3-asr-flash", "messages": [{"role": "user", "content": [part]}], **members}


def ask(desk: Desk, source: str, **members: Any) -> dict[str, Any]:
    answer = desk.http.post(PATHS[0], json=body(source, **members))
    assert answer.status_code == 200, answer.text
    return answer.json()


def content(answer: dict[str, Any]) -> str:
    return answer["choices"][0]["message"]["content"]


def data_uri(origin: Origin, name: str = "a.wav") -> str:
    return "data:audio/wav;base64," + base64.b64encode((origin.folder / name).read_bytes()).decode()


def events(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame != ":keep-alive"]
    assert frames.pop() == ""
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [frame if frame == "data: [DONE]" else json.loads(frame.removeprefix("data: ")) for frame in frames]


def assert_error(answer: httpx.Response, status: int, code: str, text: str, kind: str = "invalid_request_error"):
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert list(told) == ["error", "request_id"]
    assert list(told["error"]) == ["message", "type", "param", "code"]
    assert (told["error"]["code"], told["error"]["type"]) == (code, kind)
    assert told["error"]["message"].startswith(text), told
    assert told["request_id"] == answer.headers["x-request-id"]
    return told["error"]


@pytest.mark.parametrize("path", [*PATHS, *(f"{path}/" for path in PATHS)])
def test_the_answer_has_the_documented_members(talk: Desk, origin: Origin, path: str):
    response = talk.http.post(path, json=body(origin("a.wav")))
    answer = response.json()
    assert response.headers["x-dashscribe-engine"] == "standin"
    assert answer.pop("dashscribe")["engine"] == "standin"
    assert answer.pop("id").startswith("chatcmpl-")
    assert type(answer.pop("created")) is int
    usage = answer.pop("usage")
    assert (usage["prompt_tokens"], usage["seconds"]) == (95, 3)  # 3.8 s
    annotations = [{"type": "audio_info", "language": "en", "emotion": "neutral"}]
    message = {"role": "assistant", "content": TEXT, "annotations": annotations}
    assert answer == {
        "object": "chat.completion",
        "model": "qwen3-asr-flash",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }


def test_silence_is_an_empty_text(talk: Desk, origin: Origin):
    assert content(ask(talk, origin("quiet.wav"))) == ""
    told = events(talk.http.post(PATHS[0], json=body(origin("quiet.wav"), stream=True)))
    assert [chunk["choices"][0]["delta"] for chunk in told[:-1]] == [
        {"content": "", "role": "assistant"},
        {"role": None},
    ]


def test_both_tracks_of_a_recording_are_one_text(talk: Desk, origin: Origin):
    coverage = ask(talk, origin("stereo.wav"))["dashscribe"]["coverage"]
    assert [track["channel_id"] for track in coverage] == [0]


@pytest.mark.parametrize("counts", [False, True])
def test_a_stream_has_the_documented_chunks(talk: Desk, origin: Origin, counts: bool):
    options = {"stream_options": {"include_usage": True}} if counts else {}
    told = events(talk.http.post(PATHS[0], json=body(origin("a.wav"), stream=True, **options)))
    assert told.pop() == "data: [DONE]"
    if counts:
        usage = told.pop()
        assert usage["choices"] == []
        assert usage["usage"] == ask(talk, origin("a.wav"))["usage"]
    first, *pieces, closing = told
    assert first["choices"] == [{"logprobs": None, "index": 0, "delta": {"content": "", "role": "assistant"}}]
    annotations = [{"type": "audio_info", "language": "en", "emotion": "neutral"}]
    for piece in pieces:
        (choice,) = piece["choices"]
        assert choice["delta"] | {"content": ""} == {"annotations": annotations, "content": "", "role": None}
    assert "".join(piece["choices"][0]["delta"]["content"] for piece in pieces) == TEXT
    assert closing["choices"] == [{"index": 0, "delta": {"role": None}, "finish_reason": "stop"}]
    for chunk in told:
        assert (chunk["object"], chunk["usage"], chunk["id"]) == ("chat.completion.chunk", None, first["id"])
        assert chunk["created"] == first["created"]
        assert ("dashscribe" in chunk) == (chunk is closing)


def test_sound_may_come_along_in_every_form_that_clients_send(talk: Desk, origin: Origin):
    uri = data_uri(origin)
    bare = body(uri.split(",")[1])
    bare["messages"][0]["content"][0]["input_audio"]["format"] = "wav"
    assert content(ask(talk, uri)) == TEXT
    assert content(ask(talk, "", messages=bare["messages"])) == TEXT


@pytest.mark.parametrize(
    "system",
    [
        "Kestrel Bridge",
        [{"text": "Kestrel Bridge"}],
        [{"type": "text", "text": "Kestrel Bridge"}],
        *("", [{"text": ""}], [], None),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_context_comes_in_three_forms_before_or_behind(talk: Desk, origin: Origin, system: Any, at: int):
    messages = body(origin("a.wav"))["messages"]
    messages.insert(at, {"role": "system", "content": system})
    answer = ask(talk, "", messages=messages)
    assert content(answer) == TEXT
    told = "context counts for its names and terms only"
    noted = any(note.startswith(told) for note in answer["dashscribe"]["notes"])
    assert noted == ("Kestrel" in str(system))


@pytest.mark.parametrize(
    "members",
    [
        {"asr_options": {"language": "zh"}},
        {"extra_body": {"asr_options": {"language": "zh"}}},
        {"extra_body": {"asr_options": {"language": "en"}}, "asr_options": {"language": "zh"}},
    ],
)
def test_options_are_read_where_any_client_puts_them(talk: Desk, origin: Origin, members: dict[str, Any]):
    assert ask(talk, origin("a.wav"), **members)["choices"][0]["message"]["annotations"][0]["language"] == "zh"


def test_whatever_has_no_effect_is_named(talk: Desk, origin: Origin):
    notes = ask(
        talk,
        origin("a.wav"),
        temperature=0.5,
        user=None,
        stream_options={"include_usage": True},
        asr_options={"sample_rate": 16000, "vocabulary_id": "v1", "brand_new": 1},
        extra_body={"top_k": 1},
    )["dashscribe"]["notes"]
    text = "\n".join(notes)
    for name in ("temperature", "stream_options", "sample_rate", "vocabulary_id", "brand_new", "top_k"):
        assert name in text
    assert "user" not in text


def test_options_in_the_wrong_place_are_told_the_right_one(talk: Desk, origin: Origin):
    members = {"enable_itn": True, "parameters": {"language": "en"}, "extra_body": {"language": "en"}}
    notes = ask(talk, origin("a.wav"), **members)["dashscribe"]["notes"]
    right = "parameters belong inside asr_options"
    assert f"members of the body had no effect: enable_itn, parameters; {right}" in notes
    assert f"members of extra_body had no effect: language; {right}" in notes


def test_of_two_values_of_an_option_the_one_that_is_lost_is_named(talk: Desk, origin: Origin):
    members = {"extra_body": {"asr_options": {"language": "en"}}, "asr_options": {"language": "zh"}}
    notes = ask(talk, origin("a.wav"), **members)["dashscribe"]["notes"]
    assert "extra_body.asr_options.language had no effect: asr_options says otherwise" in notes


def test_a_format_beside_the_sound_and_unknown_stream_options_are_named(talk: Desk, origin: Origin):
    asked = body(origin("a.wav"), stream=True, stream_options={"include_usage": True, "include_obfuscation": True})
    asked["messages"][0]["content"][0]["input_audio"]["format"] = "mp3"
    answer = events(talk.http.post(PATHS[0], json=asked))
    notes = next(chunk["dashscribe"]["notes"] for chunk in answer[:-1] if "dashscribe" in chunk)
    assert "input_audio.format had no effect: the recording itself tells what it is" in notes
    assert "members of stream_options had no effect: include_obfuscation" in notes


@pytest.mark.parametrize("name", ["qwen3-asr-flash-us", "qwen3-asr-flash-2026-02-10", "qwen-audio-asr"])
def test_every_name_of_the_family_answers_under_its_own_name(talk: Desk, origin: Origin, name: str):
    answer = ask(talk, origin("a.wav"), model=name)
    assert (answer["model"], content(answer)) == (name, TEXT)


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no model": ({"model": None}, 400, "invalid_request_error", "you must provide a model parameter."),
    "empty model": ({"model": ""}, 400, "invalid_request_error", "you must provide a model parameter."),
    "model no text": ({"model": 3}, 400, "invalid_parameter_error", "Required parameter(model) missing or invalid"),
    "unknown model": (
        {"model": "qwen4-asr"},
        *(404, "model_not_found", "The model qwen4-asr does not exist or you do not have access to it."),
    ),
    "other model": (
        {"model": "fun-asr"},
        *(400, "invalid_parameter_error", "<400> InternalError.Algo.InvalidParameter: format is empty"),
    ),
    "no messages": (
        {"messages": None},
        *(400, "invalid_parameter_error", "The input messages do not contain elements with the role of user."),
    ),
    "messages no array": ({"messages": {}}, 400, "invalid_parameter_error", "Required parameter(messages)"),
    "only system": (
        {"messages": [{"role": "system", "content": "x"}]},
        *(400, "invalid_parameter_error", "The input messages do not contain elements with the role of user."),
    ),
    "text beside": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "https://media.example.net/a.wav"}},
                        {"type": "text", "text": "What is this?"},
                    ],
                }
            ]
        },
        *(400, "invalid_parameter_error", "The item of content should be a message of a certain modal."),
    ),
    "text alone": (
        {"messages": [{"role": "user", "content": "What is this?"}]},
        *(400, "invalid_parameter_error", "The item of content should be a message of a certain modal."),
    ),
    "options no object": ({"asr_options": []}, 400, "invalid_parameter_error", "Required parameter(asr_options)"),
    "stream no flag": ({"stream": "true"}, 400, "invalid_parameter_error", "Required parameter(stream)"),
    "language no text": (
        {"asr_options": {"language": 3}},
        400,
        "invalid_parameter_error",
        "Required parameter(language)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_call_that_does_not_hold_is_refused(talk: Desk, case: str):
    members, status, code, text = REFUSED[case]
    assert_error(talk.http.post(PATHS[0], json=body("https://media.example.net/a.wav") | members), status, code, text)


def test_a_model_of_another_interface_is_not_supported(talk: Desk):
    for name in ("fun-asr", "fun-asr-flash", "paraformer-v2"):
        asked = body("https://media.example.net/a.wav", model=name)
        asked["messages"][0]["content"][0]["input_audio"]["format"] = "wav"
        answer = talk.http.post(PATHS[0], json=asked)
        assert_error(answer, 404, "model_not_supported", f"Unsupported model {name} for OpenAI compatibility mode.")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("404/gone.wav", "Failed to download multimodal content."),
        ("page.html", "Wrong Content-Type of multimodal url"),
        ("empty.wav", "The audio"),
        ("file:///etc/passwd", "The provided URL does not appear to be valid."),
        ("/etc/passwd", "The provided URL does not appear to be valid."),
        ("UklGRg", "The provided URL does not appear to be valid."),
        ("data:audio/wav;base64,AAAA", "The audio format is illegal and cannot be opened."),
        ("data:audio/wav;base64,%%%", "The audio format is illegal and cannot be opened."),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_source_that_cannot_be_had_is_refused_before_any_stream(
    talk: Desk, origin: Origin, source: str, text: str, stream: bool
):
    url = source if source.startswith(("file", "/", "data", "Ukl")) else origin(source)
    answer = talk.http.post(PATHS[0], json=body(url, stream=stream))
    assert_error(answer, 400, "invalid_parameter_error", text)


@pytest.mark.parametrize("path", PATHS)
def test_errors_before_the_route_have_the_same_envelope(talk: Desk, path: str):
    wrong = {"Authorization": "Bearer sk-wrong"}
    assert_error(talk.http.post(path, json={}, headers=wrong), 401, "invalid_api_key", "Incorrect API key provided.")
    wrong_method = talk.http.get(path)
    assert_error(wrong_method, 405, "method_not_allowed", "Request method 'GET' is not supported.")
    assert wrong_method.headers["allow"] == "POST"
    assert_error(talk.http.post(path + "/x"), 404, "not_found", "Not found!")
    assert_error(talk.http.post(path, content=b"{"), 400, "invalid_request_error", "The input parameter requires json")
    assert_error(talk.http.post(path, content=b"[]"), 400, "invalid_request_error", "Required body invalid")
    large = b'{"model": "' + b"x" * (17 * 1024**2) + b'"}'
    text = "<400> InternalError.Algo.InvalidParameter: Multimodal file size is too large"
    assert_error(talk.http.post(path, content=large), 400, "invalid_parameter_error", text)


def test_native_paths_keep_the_native_envelope(talk: Desk):
    for path in ("/api/v1/nothing", "/v2/chat/completions", "/nothing", "/compatible-modes"):
        assert set(talk.http.get(path).json()) == {"request_id", "code", "message"}


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (RateLimitError("Soon.", 7), 429, "limit_requests", {"retry-after": "7", "x-should-retry": "true"}),
        (QuotaError("Gone.", 99), 429, "insufficient_quota", {"retry-after": "99", "x-should-retry": "false"}),
        (RecognitionError("All."), 500, "internal_error", {"x-should-retry": "false"}),
        (RuntimeError("a secret"), 500, "internal_error", {"x-should-retry": "false"}),
    ],
)
def test_errors_of_the_server_tell_whether_to_try_again(
    talk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
    headers: dict[str, str],
):
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(speech, "transcribe", fail)
    answer = talk.http.post(PATHS[0], json=body("https://media.example.net/a.wav"))
    assert_error(answer, status, code, "", kind=code)
    assert {name: answer.headers[name] for name in headers} == headers
    assert "secret" not in answer.text


@pytest.mark.parametrize("error", [RecognitionError("All."), RuntimeError("a secret")])
def test_an_error_in_a_stream_is_its_last_event(talk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception):
    async def fail(*_: object) -> AsyncGenerator[Sentence | None]:
        yield Sentence(begin_ms=0, end_ms=1000, text="One\u2028two.")
        yield None
        raise error

    monkeypatch.setattr(speech, "stream", fail)
    answer = talk.http.post(PATHS[0], json=body("https://media.example.net/a.wav", stream=True))
    begin, said, alive, failed, end = answer.text.split("\n\n")
    assert begin.startswith("data: ")
    assert json.loads(said.removeprefix("data: "))["choices"][0]["delta"]["content"] == "One\u2028two."
    assert len(said.splitlines()) == 1
    assert alive.startswith(":")
    told = json.loads(failed.removeprefix("data: "))
    assert (told["error"]["code"], told["error"]["type"], told["error"]["param"]) == (
        "internal_error",
        "internal_error",
        None,
    )
    assert UUID(told["request_id"])
    assert end == ""
    assert "secret" not in answer.text


def test_an_upload_counts_as_a_source(talk: Desk, origin: Origin, tmp_path: Path):
    file = tmp_path / "a.wav"
    file.write_bytes((origin.folder / "a.wav").read_bytes())
    upload = talk.parts.uploads.keep("default", "a.wav", file)
    assert content(ask(talk, upload.url)) == TEXT
    strict = talk.parts.settings.model_copy(update={"strict_oss": True})
    talk.app.state.parts = replace(talk.parts, settings=strict)
    try:
        answer = talk.http.post(PATHS[0], json=body(upload.url))
        assert_error(answer, 400, "invalid_parameter_error", "")
        resolve = {"X-DashScope-OssResourceResolve": "enable"}
        assert content(talk.http.post(PATHS[0], json=body(upload.url), headers=resolve).json()) == TEXT
    finally:
        talk.app.state.parts = talk.parts
