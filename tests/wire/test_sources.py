"""What becomes of sources: each way to fail has the code of its model's family, and a good file beside it is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wire_origin import Origin
from wire_servers import Server, assert_no_null, start_server, stop_server

from plain_http import loopback

FILETRANS = "qwen3-asr-flash-filetrans"
DOWNLOAD = ("InvalidFile.DownloadFailed", "The audio file cannot be downloaded.")

#: Source, then code and beginning of the message for fun-asr, sensevoice and filetrans (api-async section 4.3).
FAILURES: list[tuple[str, tuple[str, str], tuple[str, str], str]] = [
    ("403/a.wav", DOWNLOAD, DOWNLOAD, "FILE_403_FORBIDDEN"),
    ("401/a.wav", DOWNLOAD, DOWNLOAD, "FILE_403_FORBIDDEN"),
    ("404/a.wav", DOWNLOAD, DOWNLOAD, "FILE_404_NOT_FOUND"),
    ("500/a.wav", DOWNLOAD, DOWNLOAD, "FILE_SERVER_ERROR"),
    ("short/a.wav", DOWNLOAD, DOWNLOAD, "CONTENT_LENGTH_CHECK_FAILED"),
    ("http://127.0.0.1:9/a.wav", DOWNLOAD, DOWNLOAD, "FILE_DOWNLOAD_FAILED"),
    ("http://10.0.0.1/a.wav", DOWNLOAD, DOWNLOAD, "FILE_403_FORBIDDEN"),
    ("ftp://127.0.0.1/a.wav", DOWNLOAD, DOWNLOAD, "REQUEST_INVALID_FILE_URL_VALUE"),
    ("file:///etc/passwd", DOWNLOAD, DOWNLOAD, "REQUEST_INVALID_FILE_URL_VALUE"),
    (
        "page.html",
        ("DECODE_ERROR", "DECODE_ERROR"),
        ("InvalidFile.DecodeFailed", "The audio file cannot be decoded."),
        "DECODE_ERROR",
    ),
    (
        "quiet.wav",
        ("SUCCESS_WITH_NO_VALID_FRAGMENT", "SUCCESS_WITH_NO_VALID_FRAGMENT"),
        ("SUCCESS_WITH_NO_VALID_FRAGMENT", "SUCCESS_WITH_NO_VALID_FRAGMENT"),
        "SUCCESS_WITH_NO_VALID_FRAGMENT",
    ),
]
SOURCES = [source for source, *_ in FAILURES]


@pytest.fixture(scope="module")
def urls(origin: Origin) -> list[str]:
    return [source if "://" in source else origin(source) for source in SOURCES]


@pytest.fixture(scope="module")
def results(server: Server, origin: Origin, urls: list[str]) -> dict[str, list[dict[str, Any]]]:
    """One task per family with every bad source and a good one at the end."""
    ids = {model: server.submit(model, *urls, origin("a.wav")) for model in ("fun-asr", "sensevoice-v1")}
    return {model: server.wait(task_id)["output"]["results"] for model, task_id in ids.items()}


@pytest.fixture(scope="module")
def filetrans(server: Server, urls: list[str]) -> dict[str, dict[str, Any]]:
    """A task per bad source."""
    ids = {source: server.submit(FILETRANS, url) for source, url in zip(SOURCES, urls, strict=True)}
    return {source: server.wait(task_id) for source, task_id in ids.items()}


@pytest.mark.parametrize("index", range(len(FAILURES)), ids=SOURCES)
@pytest.mark.parametrize(("model", "column"), [("fun-asr", 1), ("sensevoice-v1", 2)])
def test_failed_file_tells_code_and_message(
    results: dict[str, list[dict[str, Any]]], urls: list[str], model: str, column: int, index: int
):
    result = results[model][index]
    code, text = FAILURES[index][column]
    assert set(result) == {"file_url", "code", "message", "subtask_status"}
    assert (result["file_url"], result["subtask_status"]) == (urls[index], "FAILED")
    assert result["code"] == code
    assert result["message"].startswith(text)
    assert "Traceback" not in result["message"]


@pytest.mark.parametrize("model", ["fun-asr", "sensevoice-v1"])
def test_the_good_file_of_the_task_is_transcribed(results: dict[str, list[dict[str, Any]]], model: str):
    assert results[model][-1]["subtask_status"] == "SUCCEEDED"
    assert loopback.get(results[model][-1]["transcription_url"]).status_code == 200


@pytest.mark.parametrize(("source", "code"), [(source, code) for source, _, _, code in FAILURES], ids=SOURCES)
def test_failed_filetrans_tells_code_and_message(filetrans: dict[str, dict[str, Any]], source: str, code: str):
    answer = filetrans[source]
    assert_no_null(answer)
    assert answer["output"]["task_status"] == "FAILED"
    assert answer["output"]["code"] == code
    assert answer["output"]["message"].startswith(code)
    assert "result" not in answer["output"]
    assert "usage" not in answer


def test_file_without_speech_shows_where_its_time_went(filetrans: dict[str, dict[str, Any]]):
    (about,) = filetrans["quiet.wav"]["dashscribe"]["files"]
    assert about["ledger"] == {"non_speech": 2000}


@pytest.mark.parametrize("url", ["a.wav", "/etc/passwd", "C:\\a.wav", "", "data:audio/wav;base64,UklGRg==", "http://"])
def test_what_is_no_url_fails_alone_and_is_never_opened(server: Server, origin: Origin, url: str):
    answer = server.wait(server.submit("fun-asr", url, origin("a.wav")))
    bad, good = answer["output"]["results"]
    assert (bad["file_url"], bad["code"]) == (url, "InvalidFile.DownloadFailed")
    assert good["subtask_status"] == "SUCCEEDED"


def test_all_files_failed(server: Server, origin: Origin):
    answer = server.wait(server.submit("paraformer-v2", origin("quiet.wav"), origin("404/a.wav")))
    output = answer["output"]
    assert output["task_status"] == "FAILED"
    assert output["code"] == output["results"][0]["code"] == "SUCCESS_WITH_NO_VALID_FRAGMENT"
    assert output["message"].startswith("SUCCESS_WITH_NO_VALID_FRAGMENT")
    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 0, "FAILED": 2}
    assert "code" not in answer


def test_channels_are_told_apart_and_each_is_counted(server: Server, origin: Origin):
    task_id = server.submit("fun-asr", origin("stereo.wav"), parameters={"channel_id": ["1", "0"]})
    answer = server.wait(task_id)
    result = loopback.get(answer["output"]["results"][0]["transcription_url"]).json()
    assert result["properties"]["channels"] == [0, 1]
    tracks = {track["channel_id"]: track for track in result["transcripts"]}
    assert set(tracks) == {0, 1}
    assert tracks[0]["text"] != tracks[1]["text"]
    assert answer["usage"] == {"duration": 7}  # twice 3.2 s


def test_missing_channels_are_skipped_unless_none_is_left(server: Server, origin: Origin):
    some = server.wait(server.submit("fun-asr", origin("a.wav"), parameters={"channel_id": [0, 5]}))
    result = loopback.get(some["output"]["results"][0]["transcription_url"]).json()
    assert [track["channel_id"] for track in result["transcripts"]] == [0]
    none = server.wait(server.submit("fun-asr", origin("a.wav"), parameters={"channel_id": [5]}))
    assert none["output"]["results"][0]["code"] == "NO_VALID_AUDIO_ERROR"


def test_url_with_spaces_and_non_ascii_letters_is_encoded_for_the_caller(server: Server, origin: Origin):
    url = origin("a.wav?name=große Datei 海")
    answer = server.wait(server.submit("fun-asr", url))
    assert answer["output"]["results"][0]["subtask_status"] == "SUCCEEDED"
    assert answer["output"]["results"][0]["file_url"] == url


def test_times_are_in_order_and_carry_milliseconds(server: Server, origin: Origin):
    output = server.wait(server.submit("fun-asr", origin("a.wav")))["output"]
    times = [output[name] for name in ("submit_time", "scheduled_time", "end_time")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", at) for at in times)
    assert times == sorted(times)


def test_result_file_names_what_had_no_effect(server: Server, origin: Origin):
    answer = server.wait(server.submit("fun-asr", origin("a.wav"), parameters={"speaker_count": 2}))
    result = loopback.get(answer["output"]["results"][0]["transcription_url"]).json()
    note = "speaker_count had no effect: it counts only with diarization_enabled"
    assert note in answer["dashscribe"]["notes"]
    assert note in result["dashscribe"]["notes"]


def test_limits_of_size_and_length(tmp_path: Path, origin: Origin):
    strict = start_server(tmp_path / "home", DASHSCRIBE_MAX_FILE_BYTES="100000", DASHSCRIBE_MAX_DURATION_S="1")
    try:
        for model in ("fun-asr", "sensevoice-v1"):
            answer = strict.wait(strict.submit(model, origin("a.wav"), origin("quiet.wav")))
            codes = [result["code"] for result in answer["output"]["results"]]
            assert codes == ["FILE_TOO_LARGE", "AUDIO_DURATION_TOO_LONG"]
        assert strict.wait(strict.submit(FILETRANS, origin("a.wav")))["output"]["code"] == "FILE_TOO_LARGE"
        assert strict.wait(strict.submit(FILETRANS, origin("quiet.wav")))["output"]["code"] == "AUDIO_DURATION_TOO_LONG"
    finally:
        stop_server(strict)


@pytest.mark.parametrize("model", ["fun-asr", "sensevoice-v1", FILETRANS])
def test_video_without_sound(server: Server, origin: Origin, ffmpeg: Callable[..., None], model: str):
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:duration=1", origin.folder / "mute.mp4")
    output = server.wait(server.submit(model, origin("mute.mp4")))["output"]
    assert output["code"] == "NO_VALID_AUDIO_ERROR"


def test_video_with_sound_is_transcribed(server: Server, origin: Origin, ffmpeg: Callable[..., None]):
    film = origin.folder / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:duration=4", "-i", origin.folder / "a.wav", "-shortest", film)
    answer = server.wait(server.submit("fun-asr", origin("film.mp4")))
    result = loopback.get(answer["output"]["results"][0]["transcription_url"]).json()
    assert result["properties"]["audio_format"] == "aac"
    assert result["transcripts"][0]["text"]
