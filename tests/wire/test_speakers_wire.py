"""Speakers over the wire: ids in every shape that has a place for them, per channel, and in OpenAI's letters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from wire_origin import Origin
from wire_servers import KEY, Server

from conversations import dialogue, missing
from media_files import write_wav
from plain_http import loopback

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed (Debian: apt-get install)")


@pytest.fixture(scope="module")
def talk(origin: Origin) -> str:
    """The URL of a dialogue: rms and slt, six turns that begin with rms or slt, in one channel and alone in two."""
    said = dialogue(("rms", "slt"), 11, turns=6)
    write_wav(origin.folder / "talk.wav", said.samples[None])
    sides = [said.samples.copy(), said.samples.copy()]
    for turn in said.turns:
        sides[1 - turn.speaker][turn.begin_ms * 16 : turn.end_ms * 16] = 0
    write_wav(origin.folder / "call.wav", np.array(sides))
    return origin("talk.wav")


def result(server: Server, url: str, model: str, **parameters: Any) -> dict[str, Any]:
    (entry,) = server.wait(server.submit(model, url, parameters=parameters))["output"]["results"]
    assert entry["subtask_status"] == "SUCCEEDED", entry
    return loopback.get(entry["transcription_url"], timeout=30).raise_for_status().json()


@pytest.mark.parametrize("model", ["fun-asr", "paraformer-v2", "paraformer-v1"])
def test_sentences_of_a_task_tell_their_speaker(server: Server, talk: str, model: str) -> None:
    found = result(server, talk, model, diarization_enabled=True, speaker_count=2)
    (transcript,) = found["transcripts"]
    ids = [sentence["speaker_id"] for sentence in transcript["sentences"]]
    assert ids[0] == 0
    assert set(ids) == {0, 1}
    turns = [who for i, who in enumerate(ids) if i == 0 or ids[i - 1] != who]
    assert turns == [0, 1, 0, 1, 0, 1]
    told = found["dashscribe"]["speakers"]
    assert [(entry["channel_id"], entry["speaker_id"]) for entry in told] == [(0, 0), (0, 1)]
    assert all(entry["speech_ms"] > 1000 for entry in told)
    assert any("no speaker models are installed" in note for note in found["dashscribe"]["notes"])


def test_without_being_asked_nobody_is_told_apart(server: Server, talk: str) -> None:
    found = result(server, talk, "fun-asr", diarization_enabled=False)
    assert not any("speaker_id" in sentence for sentence in found["transcripts"][0]["sentences"])
    assert "speakers" not in found["dashscribe"]


def test_several_channels_count_their_speakers_each_from_zero(server: Server, origin: Origin, talk: str) -> None:
    found = result(server, origin("call.wav"), "fun-asr", diarization_enabled=True, speaker_count=2, channel_id=[0, 1])
    for transcript in found["transcripts"]:
        ids = [sentence["speaker_id"] for sentence in transcript["sentences"]]
        assert ids[0] == 0
        assert set(ids) == {0, 1}
    assert any("counted from 0 in each channel" in note for note in found["dashscribe"]["notes"])


def test_openai_names_speakers_by_letters(server: Server, origin: Origin, talk: str) -> None:
    path = origin.folder / "talk.wav"
    answer = loopback.post(
        f"{server.url}/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {KEY}"},
        data={"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "chunking_strategy": "auto"},
        files={"file": (path.name, path.read_bytes())},
        timeout=120,
    ).raise_for_status()
    segments = answer.json()["segments"]
    assert segments[0]["speaker"] == "A"
    assert {segment["speaker"] for segment in segments} == {"A", "B"}


def test_a_synchronous_call_tells_speakers(server: Server, origin: Origin, talk: str) -> None:
    body = {
        "model": "qwen-audio-3.1-asr-flash",
        "input": {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": talk}}]}]},
        "parameters": {"format": "wav", "sample_rate": 16000, "speaker_diarization_enabled": True},
    }
    answer = loopback.post(
        f"{server.url}/api/v1/services/aigc/multimodal-generation/generation",
        headers={"Authorization": f"Bearer {KEY}"},
        json=body,
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    ids = [sentence["speaker_id"] for sentence in answer.json()["output"]["sentences"]]
    assert ids[0] == 0
    assert set(ids) == {0, 1}
