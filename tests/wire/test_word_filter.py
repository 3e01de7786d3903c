"""Sensitive words over the wire: both forms of the parameter, the operator's own list, and nothing left at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire_origin import Origin
from wire_servers import Server, start_server, stop_server

from plain_http import loopback


def result(server: Server, url: str, model: str, **parameters: Any) -> dict[str, Any]:
    """The result file of a recording."""
    (entry,) = server.wait(server.submit(model, url, parameters=parameters))["output"]["results"]
    assert entry["subtask_status"] == "SUCCEEDED", entry
    return loopback.get(entry["transcription_url"], timeout=30).raise_for_status().json()


def text_of(found: dict[str, Any]) -> str:
    return found["transcripts"][0]["text"]


@pytest.fixture(scope="module")
def words(server: Server, origin: Origin) -> list[dict[str, Any]]:
    """What is heard in the recording without any filter."""
    (transcript,) = result(server, origin("a.wav"), "fun-asr")["transcripts"]
    return [word for sentence in transcript["sentences"] for word in sentence["words"]]


@pytest.mark.parametrize("model", ["fun-asr", "paraformer-v2"])
@pytest.mark.parametrize("form", [json.dumps, lambda asked: asked], ids=["string", "object"])
def test_words_are_masked_and_removed(
    server: Server, origin: Origin, words: list[dict[str, Any]], model: str, form: Any
) -> None:
    hidden, gone = (word["text"].strip().lower() for word in (words[0], words[-1]))
    assert hidden != gone
    asked = {"filter_with_signed": {"word_list": [hidden]}, "filter_with_empty": {"word_list": [gone]}}
    found = result(server, origin("a.wav"), model, special_word_filter=form(asked))
    (transcript,) = found["transcripts"]
    for text in (transcript["text"], *(sentence["text"] for sentence in transcript["sentences"])):
        assert {hidden, gone}.isdisjoint(text.lower().replace(".", " ").split())
    left = [word for sentence in transcript["sentences"] for word in sentence["words"]]
    expected = [word for word in words if word["text"].strip().lower() != gone]
    assert [(w["begin_time"], w["end_time"]) for w in left] == [(w["begin_time"], w["end_time"]) for w in expected]
    masked = [w["text"].strip() for w, old in zip(left, expected, strict=True) if old["text"].strip().lower() == hidden]
    assert set(masked) == {"*" * len(hidden)}
    assert not any("special_word_filter" in note for note in found.get("dashscribe", {}).get("notes", []))


def test_a_recording_of_which_no_words_are_left_fails_as_the_service_says(
    server: Server, origin: Origin, words: list[dict[str, Any]]
) -> None:
    every = sorted({word["text"].strip() for word in words})
    asked = {"filter_with_empty": {"word_list": every}}
    task_id = server.submit("fun-asr", origin("a.wav"), parameters={"special_word_filter": asked})
    (entry,) = server.wait(task_id)["output"]["results"]
    assert (entry["subtask_status"], entry["code"]) == ("FAILED", "ASR_RESPONSE_HAVE_NO_WORDS")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with a list of its own, and the list."""
    folder = tmp_path_factory.mktemp("listed")
    path = folder / "words.txt"
    path.write_text("# none yet\n", encoding="utf-8")
    running = start_server(folder / "home", DASHSCRIBE_SENSITIVE_WORDS=str(path))
    yield running, path
    stop_server(running)


def test_the_operators_list_counts_by_default_where_the_service_has_one(
    listed: tuple[Server, Path], origin: Origin, words: list[dict[str, Any]]
) -> None:
    server, path = listed
    plain = " ".join(word["text"].strip() for word in words)
    assert text_of(result(server, origin("a.wav"), "fun-asr")).rstrip(".").split() == plain.split()
    word = words[0]["text"].strip()
    path.write_text(f"{word.upper()}  # the first\n", encoding="utf-8")
    assert text_of(result(server, origin("a.wav"), "fun-asr")).startswith("*" * len(word))
    off = {"system_reserved_filter": False}
    assert text_of(result(server, origin("a.wav"), "fun-asr", special_word_filter=off)).startswith(word)
    # SenseVoice has no filter: its text begins with a mark for the event.
    assert word in text_of(result(server, origin("a.wav"), "sensevoice-v1"))


def test_a_list_that_is_lost_later_is_told_in_the_result(
    listed: tuple[Server, Path], origin: Origin, words: list[dict[str, Any]]
) -> None:
    server, path = listed
    word = words[0]["text"].strip()
    path.write_text(f"{word}\n", encoding="utf-8")
    assert text_of(result(server, origin("a.wav"), "fun-asr")).startswith("*")
    path.unlink()
    found = result(server, origin("a.wav"), "fun-asr")
    assert text_of(found).startswith("*" * len(word))
    (note,) = (note for note in found["dashscribe"]["notes"] if "sensitive words" in note)
    assert str(path.parent) not in note
