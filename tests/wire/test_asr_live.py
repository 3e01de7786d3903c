"""``dashscribe asr`` against the whole program: calls, tasks and uploads with real sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from wire_origin import Origin
from wire_servers import Server

from commands import dashscribe, program

FILETRANS = "qwen3-asr-flash-filetrans"


def asr(
    server: Server,
    folder: Path,
    *arguments: str,
    code: int = 0,
    run: Callable[..., CompletedProcess[str]] = dashscribe,
) -> dict[str, Any]:
    """Run the command in an empty folder: the object that it printed, which is the one in its file."""
    variables = {"DASHSCOPE_HTTP_BASE_URL": server.api, "DASHSCOPE_API_KEY": server.key, "HOME": str(folder)}
    with chdir(folder):
        done = run("asr", "--print-response", *arguments, **variables)
    assert done.returncode == code, done.stderr
    printed = json.loads(done.stdout)
    kept = folder / "output" / "ai-audio-asr" / "transcripts" / "result.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == printed
    return printed


@pytest.fixture(scope="module")
def words(server: Server, origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the stand-in engine makes of a.wav, as the program itself tells it."""
    arguments = ("--audio", origin("a.wav"), "--model", "fun-asr", "--wait", "--poll-interval", "0.2")
    text = asr(server, tmp_path_factory.mktemp("words"), *arguments, run=program)["text"]
    assert text
    return text


@pytest.mark.parametrize("how", ["url", "file"])
def test_synchronous_call_gives_the_words_of_the_task(
    how: str, server: Server, origin: Origin, tmp_path: Path, words: str
):
    audio = origin("a.wav") if how == "url" else str(origin.folder / "a.wav")
    answer = asr(server, tmp_path, "--audio", audio, "--language-hints", "en")
    assert (answer["text"], answer["task_id"], answer["status"]) == (words, None, "SUCCEEDED")
    assert answer["raw"]["object"] == "chat.completion"


@pytest.mark.parametrize("how", ["url", "file"])
def test_task_is_waited_for_and_its_result_kept(how: str, server: Server, origin: Origin, tmp_path: Path, words: str):
    audio = origin("a.wav") if how == "url" else str(origin.folder / "a.wav")
    answer = asr(server, tmp_path, "--audio", audio, "--model", FILETRANS, "--wait", "--poll-interval", "0.2")
    assert (answer["text"], answer["status"]) == (words, "SUCCEEDED")
    assert answer["raw"]["transcription_result"]["transcripts"][0]["text"] == words


def test_task_that_is_not_waited_for_goes_on(server: Server, origin: Origin, tmp_path: Path):
    answer = asr(server, tmp_path, "--audio", origin("a.wav"), "--model", FILETRANS)
    assert (answer["text"], answer["status"]) == ("", "PENDING")
    assert server.wait(answer["task_id"])["output"]["task_status"] == "SUCCEEDED"


def test_task_that_fails_is_kept_with_its_reason(server: Server, origin: Origin, tmp_path: Path):
    arguments = ("--audio", origin("404/a.wav"), "--model", FILETRANS, "--wait", "--poll-interval", "0.2")
    answer = asr(server, tmp_path, *arguments, code=2)
    assert (answer["status"], answer["raw"]["output"]["code"]) == ("FAILED", "FILE_404_NOT_FOUND")
