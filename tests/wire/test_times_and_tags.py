"""Sentences cut with and without marks, times refined, emotions and events in every field: through real servers.

One server has the small trained models, the other the embedded engine; both have the small punctuation model, which
ends a sentence after 谢 and "thanks".
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from wire_origin import Origin
from wire_servers import Server, checked, start_server, stop_server

from media_files import write_wav
from plain_http import loopback
from small_models import install

GENERATE = "/api/v1/services/aigc/multimodal-generation/generation"
CHAT = "/compatible-mode/v1/chat/completions"
FILETRANS = "qwen3-asr-flash-filetrans"
#: Two seconds of silence part sentences for every detector.
QUIET = np.zeros(32_000, np.int16)
EMOTIONS = ("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("trained")
    models = install(folder / "models", "sensevoice-small", "paraformer-small", "punctuation-tiny")
    running = start_server(folder / "home", DASHSCRIBE_MODELS_DIR=str(models), DASHSCRIBE_ENGINE="")
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("embedded")
    models = install(folder / "models", "punctuation-tiny")
    running = start_server(folder / "home", DASHSCRIBE_MODELS_DIR=str(models), DASHSCRIBE_ENGINE="pocketsphinx")
    yield running
    stop_server(running)


def recorded(folder: Path, name: str, *parts: NDArray[np.int16]) -> Path:
    sound = np.concatenate([QUIET[:8_000], *(part for sound in parts for part in (sound, QUIET))])
    return write_wav(folder / f"{name}.wav", sound[None])


def result(server: Server, model: str, url: str, **parameters: Any) -> dict[str, Any]:
    ended = server.wait(server.submit(model, url, parameters=parameters))["output"]
    found = ended["result"] if "result" in ended else ended["results"][0]
    assert ended["task_status"] == "SUCCEEDED", ended
    return loopback.get(found["transcription_url"]).json()


# --- enable_words --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def thanks(origin: Origin, spoken: ModuleType) -> dict[str, str]:
    """Two stretches of voice by engine, the first of which holds a full stop of the punctuation model."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (Debian: apt-get install flite)")
    chinese = [spoken.sentence(text, "zh")[0] for text in ("谢谢你们今天天气很好", "今天天气很好")]
    flite = sys.modules["speech"].flite
    texts = ("no thanks we will go to the hospital", "thanks we will go to the hospital on monday")
    english = [flite(text, "rms")[0] for text in texts]
    made = {"trained": chinese, "embedded": english}
    return {who: f"{origin.url}/{recorded(origin.folder, f'thanks-{who}', *made[who]).name}" for who in made}


@pytest.mark.parametrize("who", ["trained", "embedded"])
def test_sentences_end_at_pauses_only_unless_words_are_asked_for(
    request: pytest.FixtureRequest, thanks: dict[str, str], who: str
) -> None:
    server: Server = request.getfixturevalue(who)
    plain, worded = (
        result(server, FILETRANS, thanks[who], enable_words=enable_words)["transcripts"][0]
        for enable_words in (False, True)
    )
    assert plain["text"] == worded["text"]
    # Two stretches of voice are two sentences; a full stop of the model stands inside the first.
    assert len(plain["sentences"]) == 2
    assert any("。" in s["text"][:-1] or ". " in s["text"] for s in plain["sentences"])
    assert not any("words" in s for s in plain["sentences"])
    # With words, every full stop ends one.
    assert len(worded["sentences"]) > 2
    for sentence in worded["sentences"]:
        assert "".join(word["text"] + word["punctuation"] for word in sentence["words"]) == sentence["text"]
        assert sum(sentence["text"].count(stop) for stop in "。.") == 1
    # Both cover the same time, and what was not asked for is what the parameter's default gives.
    for end in ("begin_time", "end_time"):
        at = 0 if end == "begin_time" else -1
        assert plain["sentences"][at][end] == worded["sentences"][at][end]
    assert result(server, FILETRANS, thanks[who])["transcripts"] == [plain]


# --- timestamp_alignment_enabled -----------------------------------------------------------------------------------


def test_refined_times_are_nearer_to_the_truth(trained: Server, origin: Origin, spoken: ModuleType) -> None:
    texts = spoken.SENTENCES["zh"][:8]
    made = [spoken.sentence(text, "zh") for text in texts]
    path = recorded(origin.folder, "refined", *(samples for samples, _ in made))
    truth: list[float] = []
    zero_ms = 500.0
    for samples, words in made:
        truth += [zero_ms + ms for word in words for ms in (word.begin_ms, word.end_ms)]
        zero_ms += len(samples) / 16 + 2_000
    errors: list[float] = []
    for refined in (False, True):
        found = result(
            trained,
            "paraformer-v2",
            f"{origin.url}/{path.name}",
            timestamp_alignment_enabled=refined,
            language_hints=["zh"],
        )
        assert not any("refined" in note or "alignment" in note for note in found["dashscribe"]["notes"])
        words = [word for s in found["transcripts"][0]["sentences"] for word in s["words"]]
        times = [ms for word in words for ms in (word["begin_time"], word["end_time"])]
        errors.append(float(np.mean([abs(a - b) for a, b in zip(times, truth, strict=True)])))
    assert errors[1] < errors[0] * 0.7


def test_where_it_would_not_help_a_note_says_so(embedded: Server, thanks: dict[str, str]) -> None:
    url = thanks["embedded"]
    plain, asked = (
        result(embedded, "paraformer-v2", url, timestamp_alignment_enabled=refined) for refined in (False, True)
    )
    assert asked["transcripts"] == plain["transcripts"]
    (note,) = [note for note in asked["dashscribe"]["notes"] if note not in plain["dashscribe"]["notes"]]
    assert note.startswith("timestamp_alignment_enabled had no effect: pocketsphinx takes its times from an alignment")


# --- the seven emotions in every field -----------------------------------------------------------------------------


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_seven_emotions_in_every_field(trained: Server, origin: Origin, spoken: ModuleType, emotion: str) -> None:
    path = recorded(origin.folder, f"emotion-{emotion}", spoken.emotional(emotion, "zh")[0])
    uri = "data:audio/wav;base64," + base64.b64encode(path.read_bytes()).decode()
    told = [{"type": "audio_info", "language": "zh", "emotion": emotion.lower()}]
    body = {"model": "qwen3-asr-flash", "input": {"messages": [{"role": "user", "content": [{"audio": uri}]}]}}
    part = {"type": "input_audio", "input_audio": {"data": uri}}
    chat = {"model": "qwen3-asr-flash", "messages": [{"role": "user", "content": [part]}]}
    with trained.http() as http:
        answer = checked(http.post(GENERATE, json=body))["output"]["choices"][0]["message"]
        streamed = http.post(GENERATE, json=body, headers={"X-DashScope-SSE": "enable"}).text
        completion = http.post(CHAT, json=chat).json()["choices"][0]["message"]
        chunks = http.post(CHAT, json=chat | {"stream": True}).text
    assert answer["annotations"] == told
    messages = [event["output"]["choices"][0]["message"] for event in _data(streamed)]
    assert messages
    assert all(message["annotations"] == told for message in messages)
    assert completion["annotations"] == told
    deltas = [choice["delta"] for chunk in _data(chunks) for choice in chunk["choices"]]
    assert [delta["annotations"] for delta in deltas if "annotations" in delta][-1] == told
    (sentence,) = result(trained, FILETRANS, f"{origin.url}/{path.name}")["transcripts"][0]["sentences"]
    assert (sentence["emotion"], sentence["language"]) == (emotion.lower(), "zh")


def _data(stream: str) -> list[dict[str, Any]]:
    """The events of a stream that carry JSON."""
    lines = [line.removeprefix("data:").strip() for line in stream.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line.startswith("{")]
