"""Generation calls without a stream: what both families take, what they answer, and every refusal of the table."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from generation_calls import EVERY_FAMILY, FLASH, GENERATE, QWEN3, call, data_uri, heard, part, sounds, user
from wire_servers import Desk, assert_refused, checked, open_desk

from dashscribe.catalog import MODELS
from dashscribe.engines import ENGINES
from dashscribe.keys import SETTINGS_KEY_ID
from dashscribe.types import Options, Sentence
from dashscribe.usage import used_ms
from dashscribe.wire.spoken import tone

WORDS = {"begin_time", "end_time", "text", "punctuation", "fixed"}
PART = "The item of content should be a message of a certain modal."
URL = "The provided URL does not appear to be valid. Ensure it is correctly formatted."
ILLEGAL = "The audio format is illegal and cannot be opened."
PREFIX = "<400> InternalError.Algo.InvalidParameter: "


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def one(sound: dict[str, bytes]) -> str:
    return data_uri(sound["one"])


def post(desk: Desk, body: Any, **headers: str) -> httpx.Response:
    return desk.http.post(GENERATE, json=body, headers=headers)


def answered(desk: Desk, body: Any) -> dict[str, Any]:
    response = post(desk, body)
    assert response.status_code == 200, response.text
    told = checked(response)
    assert not {"code", "message"} & set(told), "the v2 client takes a code for an error whatever the status says"
    assert response.headers["x-dashscribe-engine"] == told["dashscribe"]["engine"] == "standin"
    return told


def notes(told: dict[str, Any]) -> str:
    return "\n".join(told["dashscribe"]["notes"])


# --- answers --------------------------------------------------------------------------------------------------------


def test_qwen3_answers_in_choices_with_annotations_and_seconds(desk: Desk, one: str):
    told = answered(desk, call(QWEN3, one))
    assert set(told) == {"request_id", "output", "usage", "dashscribe"}
    assert set(told["output"]) == {"choices"}
    (choice,) = told["output"]["choices"]
    assert choice["finish_reason"] == "stop"
    assert set(choice["message"]) == {"role", "content", "annotations"}
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["annotations"] == [{"type": "audio_info", "language": "en", "emotion": "neutral"}]
    assert heard(told)
    usage = told["usage"]
    # 3.6 s: 25 tokens a second, seconds rounded down
    assert (usage["input_tokens"], usage["seconds"]) == (90, 3)
    assert usage["input_tokens_details"] == {"text_tokens": 0}
    assert usage["output_tokens"] == usage["output_tokens_details"]["text_tokens"] > 1


def test_qwen_audio_asr_answers_in_choices_with_tokens_alone(desk: Desk, one: str):
    body = {"model": "qwen-audio-asr", "input": {"messages": [user("qwen-audio-asr", one)]}}
    told = answered(desk, body)
    assert set(told["output"]["choices"][0]["message"]) == {"role", "content"}
    assert set(told["usage"]) == {"input_tokens", "output_tokens", "audio_tokens"}
    assert told["usage"]["input_tokens"] == told["usage"]["audio_tokens"] == 90
    assert heard(told) == heard(answered(desk, call(QWEN3, one)))


@pytest.mark.parametrize("model", [FLASH, "fun-asr-flash", "qwen-audio-3.0-asr-flash", "qwen-audio-3.1-asr-flash"])
def test_the_input_audio_family_answers_with_a_sentence_and_its_words(desk: Desk, sound: dict[str, bytes], model: str):
    told = answered(desk, call(model, data_uri(sound["two"])))
    output = told["output"]
    assert set(output) == {"text", "sentence", "output", "sentences"}
    assert output["output"] == {"sentence": {"text": output["text"]}}
    first, last = output["sentences"]
    assert output["sentence"] == last
    assert (first["sentence_id"], last["sentence_id"]) == (1, 2)
    assert output["text"] == f"{first['text']} {last['text']}"
    assert first["begin_time"] < first["end_time"] <= last["begin_time"] < last["end_time"] <= 8200
    for sentence in (first, last):
        assert (sentence["sentence_end"], sentence["channel_id"]) == (True, 0)
        assert all(set(word) == WORDS and word["fixed"] is True for word in sentence["words"])
        assert "".join(word["text"] + word["punctuation"] for word in sentence["words"]) == sentence["text"]
        assert not sentence["words"][0]["text"].startswith(" ")
        assert all(word["text"].startswith(" ") for word in sentence["words"][1:])
    # 8.2 s, rounded up
    assert told["usage"] == {"duration": 9}


@pytest.mark.parametrize("model", EVERY_FAMILY)
def test_silence_is_a_good_answer_without_text(desk: Desk, sound: dict[str, bytes], model: str):
    told = answered(desk, call(model, data_uri(sound["none"])))
    assert heard(told) == ""
    if "sentence" in told["output"]:
        assert told["output"]["sentence"]["text"] == ""
        assert told["output"]["sentence"]["words"] == []
        assert told["output"]["sentences"] == []


def test_the_language_of_an_engine_that_reads_no_other_is_not_measured():
    heard = [Sentence(begin_ms=0, end_ms=900, text="Hello.", language="en")]
    told = tone(MODELS[QWEN3], Options(), ENGINES["pocketsphinx"], heard)
    assert told.language == "en"
    assert "annotations: no language was measured; en is the one that the engine reads" in told.notes
    assert not [note for note in tone(MODELS[QWEN3], Options(), ENGINES["standin"], heard).notes if "language" in note]


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.interface == "sync"])
def test_every_name_of_the_interface_answers_in_the_shape_of_its_family(desk: Desk, one: str, name: str):
    body = {
        "model": name,
        "input": {"messages": [{"role": "user", "content": [{"audio": one}]}]},
        "parameters": {"format": "wav"},
    }
    told = answered(desk, body)
    qwen = name.startswith(("qwen3", "qwen-audio-asr"))
    assert ("choices" in told["output"]) == qwen
    assert ("sentence" in told["output"]) == (not qwen)


def test_channels_are_mixed(desk: Desk, sound: dict[str, bytes]):
    told = answered(desk, call(QWEN3, data_uri(sound["stereo"])))
    assert [track["channel_id"] for track in told["dashscribe"]["coverage"]] == [0]
    assert heard(told)


def test_language_that_was_asked_for_is_told(desk: Desk, one: str):
    told = answered(desk, call(QWEN3, one, asr_options={"language": "zh"}))
    assert told["output"]["choices"][0]["message"]["annotations"][0]["language"] == "zh"


def test_what_nobody_measured_is_said_in_the_notes(desk: Desk, one: str, sound: dict[str, bytes]):
    assert notes(answered(desk, call(QWEN3, one))).endswith("no emotion was measured; neutral stands for that")
    told = answered(desk, call(QWEN3, data_uri(sound["none"]), asr_options={"language": "de"}))
    assert "no language was measured; de is the one asked for" in notes(told)
    assert "annotations" not in notes(answered(desk, call(FLASH, one)))


# --- what is taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", EVERY_FAMILY)
@pytest.mark.parametrize(
    "said",
    [
        lambda uri: {"audio": uri},
        lambda uri: {"type": "audio", "audio": uri},
        lambda uri: {"type": "input_audio", "input_audio": {"data": uri}},
        lambda uri: {"type": "input_audio", "input_audio": {"data": uri, "format": "wav"}},
        lambda uri: {"audio": f"  {uri}\n"},
        lambda uri: {"audio": uri, "text": ""},
    ],
)
def test_recording_is_taken_in_every_form_that_clients_send(desk: Desk, one: str, model: str, said: Any):
    body = call(model, one)
    body["input"]["messages"][-1]["content"] = [said(one)]
    assert heard(answered(desk, body))


def split(text: str) -> str:
    return "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))


@pytest.mark.parametrize(
    "form",
    [
        lambda data: "data:audio/wav;base64," + split(data),
        lambda data: "data:audio/wav;base64, " + data,
        lambda data: "data:audio/wav;base64," + data.replace("+", "-").replace("/", "_"),
        lambda data: "data:audio/wav;base64," + data.rstrip("="),
        lambda data: "data:audio/wav;base64," + data.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        lambda data: "DATA:audio/wav;BASE64," + data,
        lambda data: "data:;base64," + data,
        lambda data: "data:audio/ogg;codecs=opus;base64," + data,
        lambda data: "data:video/mp4;base64," + data,
        lambda data: "data:application/octet-stream;name=a.wav;base64," + data,
        lambda data: "data:text/plain;charset=utf-8;base64," + data,
    ],
)
def test_data_uri_is_read_by_its_bytes_whatever_it_declares(desk: Desk, sound: dict[str, bytes], form: Any):
    encoded = base64.b64encode(sound["one"]).decode()
    assert "+" in encoded and "/" in encoded
    assert heard(answered(desk, call(QWEN3, form(encoded)))) == heard(
        answered(desk, call(QWEN3, data_uri(sound["one"])))
    )


def context(said: Any) -> dict[str, Any]:
    return {"role": "system", "content": said}


@pytest.mark.parametrize(
    "said", [[{"text": "etcd"}], [{"type": "text", "text": "etcd"}], "etcd", [{"text": "a"}, {"text": "b"}]]
)
@pytest.mark.parametrize("place", [0, 1])
def test_system_context_is_taken_in_every_form_and_place(desk: Desk, one: str, said: Any, place: int):
    body = call(QWEN3, one)
    body["input"]["messages"].insert(place, context(said))
    assert "context counts for its names and terms only: standin does not read any" in notes(answered(desk, body))


@pytest.mark.parametrize("said", [[{"text": ""}], [{"text": "  "}], "", []])
def test_empty_context_is_none(desk: Desk, one: str, said: Any):
    assert "context" not in notes(answered(desk, call(QWEN3, one, messages=[context(said)])))


def test_context_of_a_model_without_any_is_named(desk: Desk, one: str):
    told = answered(desk, call("qwen-audio-asr", one, messages=[context("etcd")]))
    assert "messages of the role system had no effect: qwen-audio-asr takes none as context" in notes(told)


def test_rounds_of_context_come_before_the_recording(desk: Desk, one: str):
    rounds = [
        {"role": "user", "content": [{"type": "input_text", "text": "Bulge bracket, boutique"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Which banks do you mean?"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Only a term list"}]},
    ]
    assert "context counts for its names and terms only" in notes(answered(desk, call(FLASH, one, messages=rounds)))


def test_more_context_than_counts_is_cut_and_never_an_error(desk: Desk, one: str):
    rounds = [{"role": "user", "content": [{"type": "input_text", "text": "字" * 401}]}] * 7
    assert "context: 2004 of its 2813 characters count" in notes(answered(desk, call(FLASH, one, messages=rounds)))
    told = answered(desk, call(QWEN3, one, messages=[context("word " * 20_000)]))
    assert "context: 40000 of its 100000 characters count" in notes(told)


@pytest.mark.parametrize("rate", ["16000", 16000, "8000", 44100])
def test_sample_rate_is_a_number_or_a_string(desk: Desk, one: str, rate: Any):
    assert heard(answered(desk, call(FLASH, one, sample_rate=rate)))


def test_parameters_without_effect_are_named(desk: Desk, one: str):
    options = {"language": "en", "language_hints": ["en"], "sample_rate": 16000, "disfluency_removal_enabled": True}
    told = answered(desk, call(QWEN3, one, asr_options=options, temperature=0.5, incremental_output=True))
    assert told["dashscribe"]["notes"][:5] == [
        "language_hints had no effect: qwen3-asr-flash does not take it",
        "disfluency_removal_enabled had no effect: qwen3-asr-flash does not take it",
        "sample_rate had no effect: qwen3-asr-flash does not take it",
        "unknown parameters had no effect: temperature",
        "incremental_output had no effect: the header X-DashScope-SSE: enable is missing",
    ]


@pytest.mark.parametrize(
    "parameters", [None, {}, {"asr_options": None}, {"asr_options": {}}, {"result_format": "message"}]
)
def test_qwen3_needs_no_parameters(desk: Desk, one: str, parameters: Any):
    body = {"model": QWEN3, "input": {"messages": [user(QWEN3, one)]}, "parameters": parameters}
    assert notes(answered(desk, body)).count("\n") == 0


def test_members_in_the_wrong_place_are_named(desk: Desk, one: str):
    body = call(QWEN3, one) | {"asr_options": {}, "stream": True}
    body["input"]["language"] = "en"
    told = notes(answered(desk, body))
    assert "members of the body had no effect: asr_options, stream" in told
    assert "members of input had no effect: language; parameters belong inside parameters" in told


def test_of_two_values_of_a_parameter_the_one_that_is_lost_is_named(desk: Desk, one: str):
    body = call(QWEN3, one) | {"parameters": {"language": "fr", "asr_options": {"language": "en", "enable_itn": None}}}
    assert "parameters.language had no effect: asr_options says otherwise" in notes(answered(desk, body))
    body["parameters"] = {"language": "en", "asr_options": {"language": "en"}}
    assert "says otherwise" not in notes(answered(desk, body))


def test_instant_hotwords_of_the_newest_models(desk: Desk, one: str):
    told = answered(desk, call("qwen-audio-3.1-asr-flash", one, vocabulary={"etcd": 4, "CoreDNS": 50}))
    assert "hotwords had no effect" not in notes(told)
    told = answered(desk, call(FLASH, one, vocabulary={"etcd": 4}))
    assert f"vocabulary had no effect: {FLASH} does not take it" in notes(told)


@pytest.mark.parametrize(
    "value", [["etcd"], {"etcd": 0}, {"etcd": 6}, {"etcd": "4"}, {"": 4}, {"etcd": True}, {"字" * 16: 4}]
)
def test_instant_hotwords_out_of_range_are_refused(desk: Desk, one: str, value: Any):
    body = call("qwen-audio-3.1-asr-flash", one, vocabulary=value)
    assert_refused(post(desk, body), 400, "InvalidParameter", "Required parameter(vocabulary")


@pytest.mark.parametrize("header", ["", "disable", "false", "text/event-stream"])
def test_anything_but_enable_asks_for_no_stream(desk: Desk, one: str, header: str):
    response = post(desk, call(QWEN3, one), **{"X-DashScope-SSE": header, "Accept": "text/event-stream"})
    assert heard(checked(response))


def test_usage_is_booked_for_owner_key_and_model_before_the_answer(desk: Desk, one: str):
    since = datetime.now(UTC).date()
    before = used_ms(desk.engine, SETTINGS_KEY_ID, since)
    answered(desk, call(QWEN3, one))
    assert used_ms(desk.engine, SETTINGS_KEY_ID, since) - before == 3600


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code", "text"),
    [
        ({"model": None}, 400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
        ({"model": ""}, 400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
        ({"model": 7}, 400, "InvalidParameter", "Required parameter(model)"),
        ({"model": "qwen9-asr-flash"}, 404, "ModelNotFound", "Model can not be found."),
        ({"model": "qwen-audio-3.1-asr-flash-streaming"}, 404, "ModelNotFound", "Model can not be found."),
        ({"model": "fun-asr"}, 400, "InvalidParameter", "url error, please check url！"),
        ({"model": "qwen3-asr-flash-filetrans"}, 400, "InvalidParameter", "url error, please check url！"),
        ({"input": None}, 400, "BadRequest.EmptyInput", "Required input parameter missing from request."),
        ({"input": []}, 400, "BadRequest.IllegalInput", "The input parameter requires json format."),
        ({"input": "x"}, 400, "BadRequest.IllegalInput", "The input parameter requires json format."),
        ({"parameters": []}, 400, "InvalidParameter", "Required parameter(parameters)"),
        ({"parameters": {"asr_options": []}}, 400, "InvalidParameter", "Required parameter(asr_options)"),
        (
            {"parameters": {"asr_options": {"language": ["en"]}}},
            400,
            "InvalidParameter",
            "Required parameter(language)",
        ),
        (
            {"parameters": {"asr_options": {"enable_itn": "true"}}},
            400,
            "InvalidParameter",
            "Required parameter(enable_itn)",
        ),
        (
            {"parameters": {"incremental_output": "true"}},
            400,
            "InvalidParameter",
            "Required parameter(incremental_output)",
        ),
        ({"parameters": {"result_format": 1}}, 400, "InvalidParameter", "Required parameter(result_format)"),
    ],
)
def test_bodies_that_are_refused(desk: Desk, one: str, change: dict[str, Any], status: int, code: str, text: str):
    assert_refused(post(desk, call(QWEN3, one) | change), status, code, text)


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        (None, "BadRequest.EmptyParameters", 'Required parameter "parameters" missing from request.'),
        ({}, "InvalidParameter", f"{PREFIX}format is empty"),
        ({"format": None}, "InvalidParameter", f"{PREFIX}format is empty"),
        ({"format": ""}, "InvalidParameter", f"{PREFIX}format is empty"),
        ({"format": 1}, "InvalidParameter", "Required parameter(format)"),
        ({"format": "wav", "sample_rate": "fast"}, "InvalidParameter", "Required parameter(sample_rate)"),
        ({"format": "wav", "sample_rate": 0}, "InvalidParameter", "Required parameter(sample_rate)"),
        ({"format": "wav", "language_hints": "en"}, "InvalidParameter", "Required parameter(language_hints)"),
    ],
)
def test_parameters_that_the_input_audio_family_refuses(desk: Desk, one: str, parameters: Any, code: str, text: str):
    assert_refused(post(desk, call(FLASH, one) | {"parameters": parameters}), 400, code, text)


def test_hotword_list_that_does_not_exist_is_not_found(desk: Desk, one: str):
    assert_refused(post(desk, call(FLASH, one, vocabulary_id="vocab-x-0")), 404, "NotFound", "Not found!")


@pytest.mark.parametrize("messages", [None, [], [{"role": "system", "content": "x"}]])
def test_messages_without_one_of_the_user(desk: Desk, messages: Any):
    text = "The input messages do not contain elements with the role of user."
    assert_refused(post(desk, call(QWEN3, "") | {"input": {"messages": messages}}), 400, "InvalidParameter", text)


@pytest.mark.parametrize(
    "content",
    [
        [],
        [{}],
        [{"sound": "x"}],
        [{"audio": 7}],
        [{"audio": None}],
        [{"input_audio": "x"}],
        ["x"],
        [None],
        "hello",
        {"audio": "x"},
        [{"text": "What is said here?"}],
        [{"audio": "https://a.example/a.wav"}, {"audio": "https://a.example/b.wav"}],
        [{"audio": "https://a.example/a.wav"}, {"text": "What is said here?"}],
        [{"audio": "https://a.example/a.wav", "text": "What is said here?"}],
    ],
)
def test_contents_that_are_refused(desk: Desk, content: Any):
    body = call(QWEN3, "") | {"input": {"messages": [{"role": "user", "content": content}]}}
    assert_refused(post(desk, body), 400, "InvalidParameter", PART)


@pytest.mark.parametrize("message", [None, "x", {}, {"role": "tool", "content": "x"}, {"role": 1}, {"content": []}])
def test_messages_that_are_none_are_refused(desk: Desk, one: str, message: Any):
    response = post(desk, call(QWEN3, one, messages=[message]))
    assert_refused(response, 400, "InvalidParameter", "Required parameter(input.messages[0]")


def test_a_message_that_is_none_is_shown_as_it_came(desk: Desk, one: str):
    assert 'was "hello"; give an object' in checked(post(desk, call(QWEN3, one, messages=["hello"])))["message"]
    refused = checked(post(desk, call(QWEN3, one, messages=[{"role": "tool"}])))["message"]
    assert 'input.messages[0].role was "tool"; give one of system, user, assistant.' in refused


def test_a_fixed_text_and_the_detail_are_two_sentences(desk: Desk, one: str):
    refused = checked(post(desk, call(FLASH, one, format="")))["message"]
    assert refused.startswith(f"{PREFIX}format is empty. Name the recording's")


def test_recording_must_be_in_the_last_message_of_the_talk(desk: Desk, one: str):
    body = call(FLASH, one)
    body["input"]["messages"].append({"role": "user", "content": [{"type": "input_text", "text": "etcd"}]})
    assert_refused(post(desk, body), 400, "InvalidParameter", PART)


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_recordings_are_the_users(desk: Desk, one: str, role: str):
    body = call(QWEN3, one, messages=[{"role": role, "content": [part(QWEN3, one)]}])
    assert_refused(post(desk, body), 400, "InvalidParameter", PART)


@pytest.mark.parametrize("model", EVERY_FAMILY)
@pytest.mark.parametrize(
    "source",
    [
        "",
        "a.wav",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://a.example/a.wav",
        "UklGRiQAAABXQVZF",
        "http://",
        "https:/a",
    ],
)
def test_what_is_neither_url_nor_data_uri_is_refused_and_never_opened(desk: Desk, model: str, source: str):
    assert_refused(post(desk, call(model, source)), 400, "InvalidParameter", URL)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("data:audio/wav;base64,bm8gc291bmQ=", ILLEGAL),
        ("data:audio/wav;base64,UklGR*broken*", ILLEGAL),
        ("data:audio/wav;base64,UklGRü", ILLEGAL),
        ("data:audio/wav;base64,UklGR", ILLEGAL),
        ("data:audio/wav;base64", ILLEGAL),
        ("data:audio/wav,UklGRiQAAABXQVZF", ILLEGAL),
        ("data:", ILLEGAL),
        ("data:audio/wav;base64,", "The audio is empty"),
        ("data:audio/wav;base64,====", "The audio is empty"),
    ],
)
def test_data_uris_that_are_refused(desk: Desk, uri: str, text: str):
    assert_refused(post(desk, call(QWEN3, uri)), 400, "InvalidParameter", text)


def test_recording_without_a_sample_is_empty(desk: Desk, sound: dict[str, bytes]):
    header = bytearray(sound["one"][:44])
    header[40:44] = bytes(4)
    assert_refused(post(desk, call(QWEN3, data_uri(bytes(header)))), 400, "InvalidParameter", "The audio is empty")


def test_data_uri_beyond_ten_megabytes_is_refused(desk: Desk):
    text = f"{PREFIX}Multimodal file size is too large"
    body = assert_refused(
        post(desk, call(QWEN3, "data:audio/wav;base64," + "A" * (10 * 1024**2 + 1))), 400, "InvalidParameter", text
    )
    assert "Exceeded limit on max bytes per data-uri item : 10485760" in body["message"]
    assert_refused(
        post(desk, call(QWEN3, "data:audio/wav;base64," + "A" * 10 * 1024**2)), 400, "InvalidParameter", ILLEGAL
    )


def test_body_beyond_its_limit_is_refused(desk: Desk):
    response = desk.http.post(GENERATE, content=b" " * (16 * 1024**2 + 1))
    text = "<400> InternalError.Algo.InvalidParameter: Multimodal file size is too large"
    assert_refused(response, 400, "InvalidParameter", text)


@pytest.mark.parametrize("content", [b"", b"no json", b"[1", b"\xff", b"[]", b'{"a": NaN}'])
def test_bodies_that_are_no_json_object(desk: Desk, content: bytes):
    response = desk.http.post(GENERATE, content=content)
    assert response.status_code == 400
    assert checked(response)["code"] in ("BadRequest.IllegalInput", "InvalidParameter")


def test_async_header_is_refused(desk: Desk, one: str):
    response = post(desk, call(QWEN3, one), **{"X-DashScope-Async": "enable"})
    assert_refused(response, 403, "AccessDenied", "current user api does not support asynchronous calls.")


def test_encrypted_bodies_are_refused(desk: Desk, one: str):
    response = post(desk, call(QWEN3, one), **{"X-DashScope-EncryptionKey": "{}"})
    assert_refused(response, 400, "InvalidParameter", "Required parameter(X-DashScope-EncryptionKey)")


@pytest.mark.parametrize("key", ["", "sk-wrong"])
def test_a_key_is_needed(desk: Desk, one: str, key: str):
    response = post(desk, call(QWEN3, one), Authorization=f"Bearer {key}".strip())
    assert response.status_code == 401
    assert checked(response)["code"] == "InvalidApiKey"


def test_refusals_are_plain_json_even_where_a_stream_was_asked_for(desk: Desk):
    response = post(desk, call(QWEN3, "data:audio/wav;base64,bm8gc291bmQ="), **{"X-DashScope-SSE": "enable"})
    assert_refused(response, 400, "InvalidParameter", ILLEGAL)


def test_nothing_of_a_call_stays_behind(desk: Desk, one: str):
    def files() -> list[str]:
        return sorted(str(p) for p in (desk.parts.settings.home / "receiving").rglob("*") if p.suffix != ".lock")

    before = files()
    answered(desk, call(QWEN3, one))
    post(desk, call(QWEN3, "data:audio/wav;base64,bm8gc291bmQ="))
    post(desk, call(QWEN3, one), **{"X-DashScope-SSE": "enable"})
    assert files() == before
