"""The small trained models through the whole program: words, times, languages, emotions, events, in every field.

SenseVoice's layout and Paraformer's, trained on synthesized speech by the recipe in ``training/``; the sentences are
those that they are known to read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from generation_calls import events
from numpy.typing import NDArray
from wire_origin import Origin
from wire_servers import Server, checked, start_server, stop_server

from commands import dashscribe, program
from media_files import write_wav
from plain_http import loopback
from small_models import install

GENERATE = "/api/v1/services/aigc/multimodal-generation/generation"
#: Two seconds of silence part sentences for every detector.
QUIET = np.zeros(32_000, np.int16)
EMOTIONS = ("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("models"), "sensevoice-small", "paraformer-small")


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("listening") / "home"
    running = start_server(home, DASHSCRIBE_MODELS_DIR=str(models), DASHSCRIBE_ENGINE="")
    yield running
    stop_server(running)


class Recorder:
    """Puts sounds where the server can fetch them."""

    def __init__(self, origin: Origin) -> None:
        self.origin, self.count = origin, 0

    def url(self, *parts: NDArray[np.int16]) -> str:
        return f"{self.origin.url}/{self.path(*parts).name}"

    def path(self, *parts: NDArray[np.int16]) -> Path:
        self.count += 1
        sound = np.concatenate([QUIET[:8_000], *(part for sound in parts for part in (sound, QUIET))])
        return write_wav(self.origin.folder / f"spoken-{self.count}.wav", sound[None])


@pytest.fixture(scope="module")
def record(origin: Origin) -> Recorder:
    return Recorder(origin)


def result(server: Server, model: str, url: str, **parameters: Any) -> dict[str, Any]:
    ended = server.wait(server.submit(model, url, parameters=parameters))["output"]
    found = ended["result"] if "result" in ended else ended["results"][0]
    assert ended["task_status"] == "SUCCEEDED", ended
    return loopback.get(found["transcription_url"]).json()


def call(server: Server, path: Path, *, stream: bool = False, **parameters: Any) -> httpx.Response:
    uri = "data:audio/wav;base64," + base64.b64encode(path.read_bytes()).decode()
    message = {"role": "user", "content": [{"audio": uri}]}
    body = {"model": "qwen3-asr-flash", "input": {"messages": [message]}, "parameters": parameters}
    with server.http() as http:
        return http.post(GENERATE, json=body, headers={"X-DashScope-SSE": "enable"} if stream else {})


def bare(text: str) -> str:
    """The words alone."""
    return "".join(character for character in text.lower() if character.isalnum())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("model", ["sensevoice-v1", "paraformer-v2", "fun-asr", "qwen3-asr-flash-filetrans"])
def test_sentences_are_read_word_for_word(
    listening: Server, record: Recorder, spoken: ModuleType, model: str, language: str
):
    # Numbers are another test's matter: some of these models write them as digits without being asked.
    texts = [text for text in spoken.SENTENCES[language] if "number" not in text and "号码" not in text][:5]
    found = result(listening, model, record.url(*(spoken.sentence(text, language)[0] for text in texts)))
    said = [sentence["text"] for sentence in found["transcripts"][0]["sentences"]]
    strip = ["<|Speech|>", "<|/Speech|>", "<|NEUTRAL|>", "<|HAPPY|>", "<|SAD|>", "<|ANGRY|>", "<|SPECIAL_TOKEN_1|>"]
    for mark in strip:
        said = [text.replace(mark, "") for text in said]
    assert [bare(text) for text in said] == [bare(text) for text in texts]
    own = "paraformer-small" if model == "paraformer-v2" else "sensevoice-small"
    assert found["dashscribe"]["engine"] == own


def test_digits_come_when_asked_for(listening: Server, record: Recorder, spoken: ModuleType):
    path = record.path(spoken.sentence("my number is five two seven", "en")[0])
    plain, digits = (checked(call(listening, path, enable_itn=itn)) for itn in (False, True))
    texts = [a["output"]["choices"][0]["message"]["content"][0]["text"] for a in (plain, digits)]
    assert bare(texts[0]) == "mynumberisfivetwoseven"
    assert bare(texts[1]) == "mynumberis527"
    assert not any("enable_itn" in note for note in digits["dashscribe"]["notes"])


@pytest.mark.parametrize("model", ["paraformer-v2", "fun-asr"])
def test_times_are_the_speakers(listening: Server, record: Recorder, spoken: ModuleType, model: str):
    samples, truth = spoken.sentence("please open the window", "en")
    (sentence,) = result(listening, model, record.url(samples))["transcripts"][0]["sentences"]
    for word, true in zip(sentence["words"], truth, strict=True):
        assert abs(word["begin_time"] - 500 - true.begin_ms) <= 150


@pytest.fixture(scope="module")
def mixed(record: Recorder, spoken: ModuleType) -> Path:
    """English and Mandarin in turn, each sentence in another manner."""
    turns = [("en", "HAPPY"), ("zh", "SAD"), ("en", "ANGRY"), ("zh", "NEUTRAL")]
    return record.path(*(spoken.emotional(emotion, language)[0] for language, emotion in turns))


MIXED = [("en", "happy"), ("zh", "sad"), ("en", "angry"), ("zh", "neutral")]


def test_each_sentence_of_a_mixed_file_has_its_own_language_and_emotion(listening: Server, origin: Origin, mixed: Path):
    found = result(listening, "qwen3-asr-flash-filetrans", f"{origin.url}/{mixed.name}")
    sentences = found["transcripts"][0]["sentences"]
    assert [(s["language"], s["emotion"]) for s in sentences] == MIXED
    assert not any("was measured" in note for note in found["dashscribe"]["notes"])


def test_annotations_tell_what_was_heard_longest_and_grow_in_a_stream(listening: Server, mixed: Path):
    told = events(call(listening, mixed, stream=True).text)
    annotations = [e.data["output"]["choices"][0]["message"]["annotations"][0] for e in told]
    assert (annotations[0]["language"], annotations[0]["emotion"]) == MIXED[0]
    assert len(told) == len(MIXED) + 1
    whole = checked(call(listening, mixed))["output"]["choices"][0]["message"]["annotations"][0]
    assert whole == annotations[-1]
    assert whole["language"] in ("en", "zh")


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_seven_emotions_reach_annotations_sentences_and_tags(
    listening: Server, record: Recorder, spoken: ModuleType, emotion: str
):
    samples = spoken.emotional(emotion, "en")[0]
    path, url = record.path(samples), record.url(samples)
    answer = checked(call(listening, path))
    assert answer["output"]["choices"][0]["message"]["annotations"][0]["emotion"] == emotion.lower()
    (sentence,) = result(listening, "qwen3-asr-flash-filetrans", url)["transcripts"][0]["sentences"]
    assert sentence["emotion"] == emotion.lower()
    tagged = result(listening, "sensevoice-v1", url)
    (sentence,) = tagged["transcripts"][0]["sentences"]
    on_the_wire = emotion in ("HAPPY", "SAD", "ANGRY", "NEUTRAL")
    assert sentence["text"].endswith(f" <|{emotion if on_the_wire else 'SPECIAL_TOKEN_1'}|>")
    dropped = [] if on_the_wire else [{"channel_id": 0, "sentence": 1, "emotion": emotion.lower()}]
    assert tagged["dashscribe"]["dropped"] == dropped


def test_music_under_speech_is_an_event(listening: Server, record: Recorder, spoken: ModuleType):
    found = result(listening, "sensevoice-v1", record.url(spoken.over_music("the weather is good today", "en")))
    text = found["transcripts"][0]["sentences"][0]["text"]
    assert text.startswith("<|BGM|> ")
    assert "<|/BGM|>" in text


@pytest.mark.parametrize("name", ["Applause", "Laughter", "BGM"])
def test_sounds_that_are_not_speech_give_no_words(listening: Server, record: Recorder, spoken: ModuleType, name: str):
    url = record.url(spoken.event(name, 5.0))
    ended = listening.wait(listening.submit("sensevoice-v1", url))["output"]["results"][0]
    assert ended["subtask_status"] == "FAILED"
    assert ended["code"] == "SUCCESS_WITH_NO_VALID_FRAGMENT"


def test_a_language_hint_is_kept(listening: Server, record: Recorder, spoken: ModuleType):
    url = record.url(spoken.sentence("今天天气很好", "zh")[0])
    found = result(listening, "qwen3-asr-flash-filetrans", url, language="zh")
    (sentence,) = found["transcripts"][0]["sentences"]
    assert (sentence["language"], bare(sentence["text"])) == ("zh", "今天天气很好")


def test_command_line_and_library_say_what_the_server_says(
    listening: Server, record: Recorder, spoken: ModuleType, models: Path
):
    path = record.path(*(spoken.sentence(text, "zh")[0] for text in spoken.SENTENCES["zh"][:3]))
    settings = {"DASHSCRIBE_MODELS_DIR": str(models), "DASHSCRIBE_ENGINE": ""}
    done = program("transcribe", path, "--model", "fun-asr", "-f", "json", **settings)
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(done.stdout), result(listening, "fun-asr", f"{listening_url(record, path)}")
    assert ours["transcripts"] == theirs["transcripts"]


def listening_url(record: Recorder, path: Path) -> str:
    return f"{record.origin.url}/{path.name}"


def test_batches_are_found_to_change_nothing_and_are_used(models: Path, tmp_path: Path, spoken: ModuleType):
    """``models verify`` writes the finding into the card; results stay what they were."""
    install(tmp_path / "models", "sensevoice-small")
    settings = {"DASHSCRIBE_MODELS_DIR": str(tmp_path / "models"), "DASHSCRIBE_ENGINE": "sensevoice-small"}

    def told(*arguments: str | Path) -> Any:
        done = dashscribe(*arguments, **settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    parts = [spoken.sentence(text, "en")[0] for text in spoken.SENTENCES["en"]]
    sound = np.concatenate([part for sentence in parts for part in (sentence, QUIET)])
    path = write_wav(tmp_path / "many.wav", sound[None])
    one_by_one = told("transcribe", "--quiet", "-f", "json", path)
    (verdict,) = told("models", "verify", "sensevoice-small", "--json")
    assert verdict["ok"]
    assert verdict["notes"] == ["decodes 8 pieces at once, with the same results as one by one"]
    assert "batch = 8" in (tmp_path / "models" / "sensevoice-small" / "model.toml").read_text()
    together = told("transcribe", "--quiet", "-f", "json", path)
    assert together["transcripts"] == one_by_one["transcripts"]


def test_tasks_that_go_together_say_what_they_say_alone(
    listening: Server, tmp_path_factory: pytest.TempPathFactory, record: Recorder, spoken: ModuleType
):
    """One slot and a model that decodes eight pieces at once: windows of several tasks share its calls."""
    home = tmp_path_factory.mktemp("together") / "home"
    card = install(home / "models", "sensevoice-small") / "sensevoice-small" / "model.toml"
    card.write_text(card.read_text(encoding="utf-8").replace("batch = 1", "batch = 8"), encoding="utf-8")
    texts = [*spoken.SENTENCES["en"][:8], *spoken.SENTENCES["zh"][:8]]
    urls = [
        record.url(*(spoken.sentence(text, "en" if text.isascii() else "zh")[0] for text in texts[number::6]))
        for number in range(6)
    ]
    alone = [result(listening, "sensevoice-v1", url)["transcripts"] for url in urls]
    running = start_server(home, DASHSCRIBE_ENGINE="", DASHSCRIBE_WORKERS="1")
    try:
        tasks = [running.submit("sensevoice-v1", url) for url in urls]
        ended = [running.wait(task)["output"]["results"][0] for task in tasks]
        together = [loopback.get(one["transcription_url"]).json()["transcripts"] for one in ended]
    finally:
        stop_server(running)
    assert together == alone


def test_remote_text_is_aligned_by_an_installed_model(
    listening: Server, models: Path, tmp_path_factory: pytest.TempPathFactory, record: Recorder, spoken: ModuleType
):
    """A second server asks the first, whose words come without times there, and aligns them itself."""
    home = tmp_path_factory.mktemp("asking") / "home"
    running = start_server(
        home,
        DASHSCRIBE_MODELS_DIR=str(models),
        DASHSCRIBE_ENGINE="openai",
        DASHSCRIBE_OPENAI_URL=f"{listening.url}/v1",
        DASHSCRIBE_OPENAI_API_KEY=listening.key,
        DASHSCRIBE_OPENAI_MODEL="qwen3-asr-flash",
        DASHSCRIBE_OPENAI_INTERFACE="chat",
    )
    try:
        samples, truth = spoken.sentence("please open the window", "en")
        found = result(running, "fun-asr", record.url(samples))
    finally:
        stop_server(running)
    assert found["dashscribe"]["engine"] == "openai"
    (sentence,) = found["transcripts"][0]["sentences"]
    assert bare(sentence["text"]) == "pleaseopenthewindow"
    assert not any("approximate" in note for note in found["dashscribe"]["notes"])
    for word, true in zip(sentence["words"], truth, strict=True):
        assert abs(word["begin_time"] - 500 - true.begin_ms) <= 200
