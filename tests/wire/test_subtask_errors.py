"""Failures of recognition itself, each through a real server and in both shapes of a task's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from failing_parts import installed_engine, wordless_enrichment
from wire_origin import Origin
from wire_servers import Server, start_server, stop_server

NO_WORDS = ("ASR_RESPONSE_HAVE_NO_WORDS", "ASR_RESPONSE_HAVE_NO_WORDS Speech was found")
ALGO = ("InternalError.Algo", "inference internal error. No part of the source could be recognized; the first reason: ")
TIMEOUT = ("InternalError.Timeout", "The task did not finish in time. The limit is 1 s")

Serve = Callable[[str], Server]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A server with this trouble, kept for the other tests of this module."""
    running: dict[str, Server] = {}

    def settings(trouble: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("site")
        if trouble == "no words":
            return {"PYTHONPATH": wordless_enrichment(folder)}
        if trouble == "engine failure":
            return {"PYTHONPATH": installed_engine(folder), "DASHSCRIBE_ENGINE": "broken"}
        return {"DASHSCRIBE_TASK_TIMEOUT_S": "1", "DASHSCRIBE_STANDIN_DELAY_MS": "60000"}

    def start(trouble: str) -> Server:
        if trouble not in running:
            running[trouble] = start_server(tmp_path_factory.mktemp("serve") / "home", **settings(trouble))
        return running[trouble]

    yield start
    for server in running.values():
        stop_server(server)


CASES = pytest.mark.parametrize(
    ("trouble", "code", "text"),
    [("no words", *NO_WORDS), ("engine failure", *ALGO), ("time-out", *TIMEOUT)],
    ids=["no words", "engine failure", "time-out"],
)


@CASES
def test_failure_of_a_model_with_several_files_stands_in_the_subtask_and_the_task(
    trouble: str, code: str, text: str, serve: Serve, origin: Origin
):
    server = serve(trouble)
    answer = server.wait(server.submit("fun-asr", origin("a.wav"), origin("b.wav")))
    output = answer["output"]
    assert_failed(answer, code, text)
    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 0, "FAILED": 2}
    for name, result in zip(("a.wav", "b.wav"), output["results"], strict=True):
        assert set(result) == {"file_url", "code", "message", "subtask_status"}
        assert (result["file_url"], result["code"], result["subtask_status"]) == (origin(name), code, "FAILED")
        assert result["message"].startswith(text)


@CASES
def test_failure_of_a_filetrans_model_stands_in_the_task_alone(
    trouble: str, code: str, text: str, serve: Serve, origin: Origin
):
    server = serve(trouble)
    answer = server.wait(server.submit("qwen3-asr-flash-filetrans", origin("a.wav")))
    assert_failed(answer, code, text)
    assert not answer["output"].keys() & {"result", "results", "task_metrics"}
    assert "usage" not in answer


def test_reason_of_the_engine_is_told(serve: Serve, origin: Origin):
    server = serve("engine failure")
    answer = server.wait(server.submit("fun-asr", origin("a.wav")))
    assert answer["output"]["message"].endswith("RuntimeError: the weights are torn")
    assert answer["dashscribe"]["files"][0]["ledger"]["failed"] > 0


def assert_failed(answer: dict[str, Any], code: str, text: str) -> None:
    """A failed task is a good answer: what went wrong stands inside ``output``, never at the top."""
    output = answer["output"]
    assert not answer.keys() & {"code", "message"}
    assert (output["task_status"], output["code"]) == ("FAILED", code)
    assert output["message"].startswith(text)
    assert output["end_time"]
