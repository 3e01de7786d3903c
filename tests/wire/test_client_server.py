"""The library's client and the library itself: one call, one transcript, whichever machine does the work."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from wire_origin import Origin
from wire_servers import Server

import dashscribe
from dashscribe import Client, Transcript

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
        made = client.transcribe(origin.folder / LOCAL, hotwords=["Kestrel"])
        assert made.text
        assert client.customize("list_vocabulary", page_index=0, page_size=100)["vocabulary_list"] == []


def test_a_wrong_key_is_an_error_of_the_library(origin: Origin, server: Server, tmp_path: Path) -> None:
    with (
        Client(server.url, "sk-wrong") as client,
        pytest.raises(dashscribe.ApiError, match="InvalidApiKey") as caught,
    ):
        client.transcribe(origin.folder / LOCAL)
    assert caught.value.http_status == 401
