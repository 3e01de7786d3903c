"""OpenAI's audio routes: every form of answer, every field, whatever bytes come as a form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_origin import Origin
from wire_servers import Desk, open_desk

from dashscribe.engines import ENGINES
from dashscribe.wire import audio

PATH = "/v1/audio/transcriptions"
TEXT = "River larch quill quill quill islet."


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The application in this process, with an engine at work; it takes files up to 1 MB and 8 s."""
    folder = tmp_path_factory.mktemp("talk")
    with open_desk(folder, workers=1, max_file_bytes=1_000_000, max_duration_s=8) as opened:
        yield opened


@pytest.fixture(scope="module")
def wav(origin: Origin) -> bytes:
    return (origin.folder / "a.wav").read_bytes()


def send(desk: Desk, file: bytes, **fields: Any) -> httpx.Response:
    named = {name.replace("__", "[]"): value for name, value in fields.items()}
    return desk.http.post(PATH, data={"model": "whisper-1", **named}, files={"file": ("a.wav", file)})


def told(desk: Desk, file: bytes, **fields: Any) -> dict[str, Any]:
    answer = send(desk, file, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-dashscribe-engine"] == "standin"
    return answer.json()


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame != ":keep-alive"]
    assert frames[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


def assert_refused(answer: httpx.Response, status: int, code: str, parameter: str | None, text: str = ""):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, parameter)
    assert text in error["message"]


def test_json_is_the_text_with_what_is_known_of_it(talk: Desk, wav: bytes):
    answer = told(talk, wav)
    assert answer.pop("dashscribe")["engine"] == "standin"
    assert answer == {"text": TEXT, "languages": [{"code": "en"}], "usage": {"type": "duration", "seconds": 4}}


def test_plain_formats_are_the_bare_text(talk: Desk, wav: bytes):
    forms = {form: send(talk, wav, response_format=form) for form in ("text", "srt", "vtt")}
    for answer in forms.values():
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-dashscribe-engine"] == "standin"
        assert json.loads(answer.headers["x-dashscribe-notes"])
    assert forms["text"].text == f"{TEXT}\n"
    assert forms["srt"].text == f"1\n00:00:00,200 --> 00:00:03,200\n{TEXT}\n"
    (caption,) = webvtt.from_string(forms["vtt"].text)
    assert (caption.start, caption.text) == ("00:00:00.200", TEXT)


def test_notes_that_fit_no_header_are_cut_at_the_end(talk: Desk, wav: bytes):
    unknown = {f"ünknown-{'y' * 60}-{number}": "1" for number in range(60)}
    notes = send(talk, wav, response_format="text", prompt="x", **unknown).headers["x-dashscribe-notes"]
    assert len(notes) <= 2000
    assert json.loads(notes)[0].startswith("no model here is called whisper-1")


def test_verbose_json_has_segments_unless_words_are_asked_for(talk: Desk, wav: bytes):
    answer = told(talk, wav, response_format="verbose_json")
    assert (answer["task"], answer["language"], answer["duration"], answer["text"]) == (
        "transcribe",
        "english",
        3.8,
        TEXT,
    )
    assert [segment["text"] for segment in answer["segments"]] == [TEXT]
    assert "words" not in answer
    words = told(talk, wav, response_format="verbose_json", timestamp_granularities__=["word"])
    assert [word["word"] for word in words["words"]] == ["River", "larch", "quill", "quill", "quill", "islet"]
    assert "segments" not in words
    both = told(talk, wav, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert (both["words"], both["segments"]) == (words["words"], answer["segments"])


@pytest.mark.parametrize("name", ["include", "include__"])
def test_logprobs_come_where_they_are_asked_for(talk: Desk, wav: bytes, name: str):
    assert "logprobs" not in told(talk, wav)
    logprobs = told(talk, wav, **{name: "logprobs"})["logprobs"]
    assert "".join(item["token"] for item in logprobs) == TEXT
    assert all(bytes(item["bytes"]).decode() == item["token"] for item in logprobs)


def test_silence_is_an_empty_text(talk: Desk, origin: Origin):
    quiet = (origin.folder / "quiet.wav").read_bytes()
    assert told(talk, quiet)["text"] == ""
    assert send(talk, quiet, response_format="srt").text == ""
    assert told(talk, quiet, response_format="verbose_json")["segments"] == []
    (done,) = events(send(talk, quiet, model="gpt-4o-transcribe", stream="true"))
    assert done["text"] == ""


def test_a_stream_tells_sentence_by_sentence(talk: Desk, wav: bytes):
    *deltas, done = events(send(talk, wav, model="gpt-4o-transcribe", stream="true", include__="logprobs"))
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == done["text"] == TEXT
    assert [item for event in deltas for item in event["logprobs"]] == done["logprobs"]
    assert done["type"] == "transcript.text.done"
    usage = done["usage"]
    assert (usage["type"], usage["input_tokens"]) == ("tokens", 95)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert done["dashscribe"]["engine"] == "standin"
    assert all("dashscribe" not in event for event in deltas)


def test_a_diarized_stream_has_segments(talk: Desk, wav: bytes):
    told = events(send(talk, wav, model="gpt-4o-transcribe-diarize", stream="true", response_format="diarized_json"))
    assert [event["type"].split(".")[-1] for event in told] == ["delta", "segment", "done"]
    assert told[0]["segment_id"] == told[1]["id"] == "seg_0"
    assert (told[1]["speaker"], told[1]["text"]) == ("A", TEXT)


def test_whisper_never_streams(talk: Desk, wav: bytes):
    notes = told(talk, wav, stream="true")["dashscribe"]["notes"]
    assert any(note.startswith("stream had no effect: whisper-1") for note in notes)


@pytest.mark.parametrize("name", ["whisper-1", "gpt-transcribe", "anything/at-all", "paraformer-v2", "qwen3-asr-flash"])
def test_any_model_name_is_taken(talk: Desk, wav: bytes, name: str):
    answer = told(talk, wav, model=name)
    assert answer["text"] == TEXT
    replaced = any("fun-asr took its place" in note for note in answer["dashscribe"]["notes"])
    assert replaced == (name not in ("paraformer-v2", "qwen3-asr-flash"))


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "English", " english ", "auto", "sr", "Serbian", "filipino"])
def test_a_language_is_a_code_or_a_name(talk: Desk, wav: bytes, language: str):
    assert told(talk, wav, language=language, languages__=["en"])["text"] == TEXT


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions/", "/compatible-mode/v1/audio/transcriptions/"])
def test_a_slash_at_the_end_of_the_path_makes_no_difference(talk: Desk, wav: bytes, path: str):
    answer = talk.http.post(path, data={"model": "whisper-1"}, files={"file": ("a.wav", wav)})
    assert (answer.status_code, answer.json()["text"]) == (200, TEXT)


def test_a_hint_beyond_what_a_model_heeds_is_named(talk: Desk, wav: bytes):
    notes = told(talk, wav, model="qwen3-asr-flash", languages__=["en", "zh"])["dashscribe"]["notes"]
    assert notes == ["the languages zh had no effect: qwen3-asr-flash heeds one"]
    notes = told(talk, wav, model="paraformer-v1", language="en")["dashscribe"]["notes"]
    assert notes == ["the languages en had no effect: paraformer-v1 takes none"]


def test_the_language_of_an_engine_that_reads_no_other_is_not_measured(
    talk: Desk, wav: bytes, monkeypatch: pytest.MonkeyPatch
):
    english = replace(ENGINES["standin"], languages=("en",))
    monkeypatch.setattr(audio, "choose_engine", lambda *_: english)
    note = "no language was measured; en is the one that the engine reads"
    for form in ("json", "verbose_json"):
        assert note in told(talk, wav, response_format=form)["dashscribe"]["notes"]
    assert note in events(send(talk, wav, model="x", stream="true"))[-1]["dashscribe"]["notes"]
    assert note not in told(talk, wav, response_format="diarized_json")["dashscribe"]["notes"]


def test_whatever_has_no_effect_is_named(talk: Desk, wav: bytes):
    fields: dict[str, Any] = {
        "prompt": "Kestrel Bridge",
        "keywords__": ["Kestrel", "Bridge"],
        "temperature": "1e-07",
        "chunking_strategy[type]": "server_vad",
        "chunking_strategy[threshold]": "0.5",
        "known_speaker_names__": ["agent"],
        "known_speaker_references__": ["data:audio/wav;base64," + "A" * 400_000],
        "timestamp_granularities__": ["word"],
        "brand_new": "1",
    }
    notes = "\n".join(told(talk, wav, **fields)["dashscribe"]["notes"])
    for name in ("context", "temperature", "chunking", "known speakers", "granularities", "brand_new"):
        assert name in notes
    told_with_defaults = told(
        talk, wav, temperature="0", chunking_strategy="auto", stream="false", prompt="", language=""
    )
    assert len(told_with_defaults["dashscribe"]["notes"]) == 1  # the name whisper-1


def test_of_a_longer_prompt_than_counts_the_rest_is_left_out_and_named(talk: Desk, wav: bytes):
    notes = told(talk, wav, prompt="字" * 10_001)["dashscribe"]["notes"]
    assert "context: 10000 of its 10001 characters count" in notes


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": "1.1"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"stream": "maybe"}, "stream"),
        ({"language": "klingon"}, "language"),
        ({"languages__": ["en", "x"]}, "languages"),
        ({"timestamp_granularities__": ["word", "letter"]}, "timestamp_granularities"),
        ({"include__": ["everything"]}, "include"),
        ({"chunking_strategy": "never"}, "chunking_strategy"),
        ({"keywords__": ["x" * 101]}, "keywords"),
        ({"keywords__": [f"word {number}" for number in range(501)]}, "keywords"),
    ],
)
def test_a_wrong_value_is_refused_by_name(talk: Desk, wav: bytes, fields: dict[str, Any], parameter: str):
    assert_refused(send(talk, wav, **fields), 400, "invalid_parameter_error", parameter)


def test_what_every_call_needs_is_asked_for(talk: Desk, wav: bytes):
    assert_refused(send(talk, wav, model=""), 400, "invalid_request_error", None, "you must provide a model parameter.")
    without = talk.http.post(PATH, data={"model": "whisper-1"}, files={"sound": ("a.wav", wav)})
    assert_refused(without, 400, "invalid_parameter_error", "file")
    as_field = talk.http.post(PATH, data={"model": "whisper-1", "file": "sound"}, files={"x": ("a.wav", b"")})
    assert_refused(as_field, 400, "invalid_parameter_error", "file", "without a file name")
    as_json = talk.http.post(PATH, json={"model": "whisper-1"})
    assert_refused(as_json, 400, "invalid_request_error", None, "Send multipart/form-data")


@pytest.mark.parametrize("file", [b"", b"no sound", b"RIFF" + b"\0" * 100], ids=["empty", "text", "cut"])
@pytest.mark.parametrize("stream", ["true", "false"])
def test_what_is_no_sound_is_refused(talk: Desk, file: bytes, stream: str):
    answer = send(talk, file, model="gpt-4o-transcribe", stream=stream)
    assert_refused(answer, 400, "invalid_parameter_error", None, "The audio format is illegal and cannot be opened.")


def test_the_limits_are_those_of_the_server(talk: Desk, wav: bytes):
    large = send(talk, wav + b"\0" * 1_000_000)
    assert_refused(large, 413, "request_too_large", None, "1000000 bytes")
    # 12 s in 380 kB: longer than this server takes, shorter than what the service's own interface takes.
    long = wav[:44].replace(wav[40:44], (12 * 32_000).to_bytes(4, "little")) + wav[44:] * 4
    answer = send(talk, long[: 44 + 12 * 32_000], model="qwen3-asr-flash")
    assert_refused(answer, 400, "invalid_parameter_error", None, "The audio is too long")


def test_a_full_disk_takes_no_file(tmp_path: Path, wav: bytes):
    with open_desk(tmp_path, disk_reserve_bytes=2**60) as full:
        answer = send(full, wav)
        assert_refused(answer, 507, "internal_error", None, "The file cannot be stored.")
        assert answer.headers["x-should-retry"] == "true"


@pytest.mark.parametrize("path", [f"{PATH}/", f"/compatible-mode{PATH}"])
def test_other_spellings_of_the_path_are_the_same(talk: Desk, wav: bytes, path: str):
    answer = talk.http.post(path, data={"model": "whisper-1"}, files={"file": ("a.wav", wav)})
    assert answer.json()["text"] == TEXT


def test_translation_is_refused_as_not_implemented(talk: Desk, wav: bytes):
    answer = talk.http.post("/v1/audio/translations", data={"model": "whisper-1"}, files={"file": ("a.wav", wav)})
    assert_refused(answer, 400, "not_implemented", None, "Translation is not available.")


def test_the_key_is_asked_for(talk: Desk, wav: bytes):
    answer = talk.http.post(PATH, files={"file": ("a.wav", wav)}, headers={"Authorization": "Bearer sk-wrong"})
    assert_refused(answer, 401, "invalid_api_key", None)


def test_a_call_leaves_no_file_behind(talk: Desk, wav: bytes):
    def files() -> list[str]:
        home = talk.parts.settings.home
        return sorted(str(path) for path in home.rglob("*") if not path.name.startswith("dashscribe.db"))

    before = files()
    told(talk, wav)
    events(send(talk, wav, model="gpt-4o-transcribe", stream="true"))
    send(talk, b"no sound")
    send(talk, wav, language="klingon")
    assert files() == before


@settings(max_examples=40)
@given(
    content_type=st.sampled_from(
        [
            "multipart/form-data; boundary=edge",
            "multipart/form-data",
            "application/json",
            "text/plain",
            "",
            "multipart/x",
        ]
    ),
    body=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    *(b"--edge", b"\r\n", b"--edge--", b"whisper-1", b"RIFF", b"\0", b"\xff", b"--", b": "),
                    b'Content-Disposition: form-data; name="model"',
                    b'Content-Disposition: form-data; name="file"; filename="a"',
                ]
            )
        ).map(b"".join),
    ),
)
def test_any_bytes_get_a_refusal_of_the_client(talk: Desk, content_type: str, body: bytes):
    answer = talk.http.post(PATH, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
