"""The library's client and the library itself: one call, one transcript, whichever machine does the work."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner
from wire_origin import Origin
from wire_servers import Server

import dashscribe
from dashscribe import Client, Transcript
from dashscribe.cli.keys import app as keys_app

LOCAL = "a.wav"


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    return Client(server.api, server.key)


def alike(made: Transcript) -> Transcript:
    """What of a transcript a result file tells: no confidence, no container; turns as sentences have them."""
    tracks = tuple(
        replace(
            track,
            turns=(),
            sentences=tuple(
                replace(s, language="", emotion="", words=tuple(replace(w, confidence=None) for w in s.words))
                for s in track.sentences
            ),
        )
        for track in made.tracks
    )
    return replace(made, tracks=tracks, media=replace(made.media, container=""))


@pytest.mark.parametrize("name", ["a.wav", "stereo.wav"])
def test_here_and_through_a_server_come_to_the_same(name: str, origin: Origin, client: Client) -> None:
    file = origin.folder / name
    channels = [0, 1] if name == "stereo.wav" else None
    here = dashscribe.transcribe(file, channels=channels)
    far: list[dashscribe.Progress] = []
    with client:
        there = client.transcribe(file, channels=channels, on_progress=far.append)
        by_url = asyncio.run(client.atranscribe(origin(name), channels=channels))
    assert here.text
    assert alike(there) == alike(here)
    assert alike(replace(by_url, media=here.media)) == alike(here)
    assert there.to_srt() == here.to_srt() and there.to_txt() == here.to_txt()
    size = file.stat().st_size
    assert (size, size) in [(progress.moved_bytes, progress.total_bytes) for progress in far]


def test_silence_is_a_transcript_without_sentences_on_both_sides(origin: Origin, client: Client) -> None:
    here = dashscribe.transcribe(origin.folder / "quiet.wav")
    with client:
        there = client.transcribe(origin.folder / "quiet.wav")
    assert (there.text, there.engine) == ("", here.engine)
    assert there.tracks == here.tracks


def test_what_is_no_recording_is_the_same_error_on_both_sides(origin: Origin, client: Client) -> None:
    with client:
        for call in (dashscribe.transcribe, client.transcribe):
            with pytest.raises(dashscribe.SourceError) as caught:
                call(origin.folder / "page.html")
            assert type(caught.value).__name__ in ("DecodeError", "NotAudioError")


def test_hotwords_leave_no_list_behind(origin: Origin, client: Client) -> None:
    with client:
        before = client.customize("list_vocabulary", page_index=0, page_size=100)["vocabulary_list"]
        made = client.transcribe(origin.folder / LOCAL, hotwords=["Kestrel"])
        assert made.text
        assert client.customize("list_vocabulary", page_index=0, page_size=100)["vocabulary_list"] == before


def test_a_wrong_key_is_an_error_of_the_library(origin: Origin, server: Server, tmp_path: Path) -> None:
    with (
        Client(server.url, "sk-wrong") as client,
        pytest.raises(dashscribe.ApiError, match="InvalidApiKey") as caught,
    ):
        client.transcribe(origin.folder / LOCAL)
    assert caught.value.http_status == 401


# --- keys -------------------------------------------------------------------------------------------------------------


def keys(url: str, key: str, *arguments: str) -> tuple[int, str, str]:
    """What ``dashscribe keys`` does with a server; the database of this machine is another one."""
    result = CliRunner().invoke(keys_app, [*arguments, "--base-url", url, "--api-key", key])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_keys_of_a_server_are_made_listed_and_ended_from_anywhere(server: Server) -> None:
    made = json.loads(keys(server.url, server.key, "create", "--name", "手机", "--quota-seconds", "60", "--json")[1])
    assert made.keys() == {"id", "owner", "name", "quota_seconds", "secret"}
    assert (made["owner"], made["name"], made["quota_seconds"]) == ("default", "手机", 60)
    code, secret, told = keys(server.url, server.key, "create")
    assert (code, secret[:3], "owner default" in told) == (0, "sk-", True)
    with Client(server.url, secret.strip()) as other:
        assert other.me()["owner"] == "default"
    listed = {row["id"]: row for row in json.loads(keys(server.url, server.key, "ls", "--json")[1])}
    row = listed[made["id"]]
    assert (row["name"], row["owner"], row["hint"], row["quota_seconds"], row["used_seconds"], row["revoked_at"]) == (
        "手机",
        "default",
        made["secret"][-4:],
        60,
        0,
        None,
    )
    table = keys(server.url, server.key, "ls")[1]
    assert "手机" in table and "60 s/month" in table and "WEIGHT" not in table
    ended = keys(server.url, secret.strip(), "revoke", "999999", made["id"])
    assert ended[:2] == (1, f"{made['id']} revoked\n")
    assert "'999999'" in ended[2]
    with Client(server.url, made["secret"]) as ended_one, pytest.raises(dashscribe.ApiError, match="InvalidApiKey"):
        ended_one.me()


def test_a_server_makes_keys_for_nobody_else(server: Server) -> None:
    code, stdout, stderr = keys(server.url, server.key, "create", "--owner", "ann")
    assert (code, stdout) == (2, "")
    assert "--owner" in stderr
    with Client(server.url, server.key) as asked:
        _, limited = asked.make_key("limited", 60)
    refused = CliRunner().invoke(keys_app, ["create", "--base-url", server.url, "--api-key", limited])
    assert isinstance(refused.exception, dashscribe.ApiError)
    assert "without a quota" in str(refused.exception)


@pytest.mark.parametrize("arguments", [["create"], ["ls"], ["revoke", "1"]])
def test_what_is_no_dashscribe_has_no_keys(origin: Origin, arguments: list[str]) -> None:
    done = CliRunner().invoke(keys_app, [*arguments, "--base-url", origin("").rstrip("/"), "--api-key", "sk-x"])
    assert isinstance(done.exception, dashscribe.ApiError)
    assert "is no dashscribe server" in str(done.exception)
