"""``dashscribe tasks`` against a scripted server: what is asked, what is shown, how it exits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from scripted_server import SUBMITTED, URL, Script, task
from typer.testing import CliRunner

from dashscribe.cli.tasks import app
from dashscribe.client import ApiError, Client

FILES = [
    {"file_url": URL, "transcription_url": "http://h/r/0.json?Signature=a", "subtask_status": "SUCCEEDED"},
    {
        "file_url": "http://[::1]/b.wav",
        "code": "FILE_TOO_LARGE",
        "message": "FILE_TOO_LARGE h",
        "subtask_status": "FAILED",
    },
]


@pytest.fixture
def tasks(script: Script) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--base-url", script.base_url, "--api-key", "sk-x"])

    return run


def test_submit_prints_the_id_alone(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [SUBMITTED]
    result = tasks("submit", URL, "--model", "paraformer-v2", "-p", 'language_hints=["en"]', "-p", "vocabulary_id=v-1")
    assert (result.exit_code, result.stdout) == (0, "t-1\n")
    assert script.seen[0][3] == {
        "model": "paraformer-v2",
        "input": {"file_urls": [URL]},
        "parameters": {"language_hints": ["en"], "vocabulary_id": "v-1"},
    }
    assert script.seen[0][2]["authorization"] == "Bearer sk-x"


def test_submit_and_wait_shows_the_results(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [SUBMITTED, task("RUNNING"), task("SUCCEEDED", results=FILES)]
    result = tasks("submit", URL, "--wait")
    assert result.exit_code == 0
    assert "http://h/r/0.json?Signature=a" in result.stdout


@pytest.mark.parametrize("text", ["novalue", "=x"])
def test_parameter_that_is_no_pair_is_a_usage_error(text: str, tasks: Callable[..., Result]) -> None:
    result = tasks("submit", URL, "-p", text)
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.stderr


def test_get_shows_each_file_with_its_result_or_error_unbroken(script: Script, tasks: Callable[..., Result]) -> None:
    answer = task("SUCCEEDED", submit_time="2026-06-01 12:00:00.104", results=FILES)
    answer[1]["dashscribe"] = {"notes": ["speaker_count had no effect"]}
    script.answers = [answer]
    result = tasks("get", "t-1")
    assert result.exit_code == 0
    for shown in (
        URL,
        "t-1  SUCCEEDED",
        "http://h/r/0.json?Signature=a",
        "http://[::1]/b.wav",
        "2026-06-01 12:00:00.104",
    ):
        assert shown in result.stdout
    assert "FILE_TOO_LARGE: FILE_TOO_LARGE h" in result.stdout
    assert "note      speaker_count had no effect" in result.stdout


def test_get_as_json_is_the_answer_itself(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [task("SUCCEEDED", results=FILES, unheard_of={"中": 1})]
    assert json.loads(tasks("get", "t-1", "--json").stdout) == script.answers[0][1]


def test_get_of_an_unknown_task_says_so(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [task("UNKNOWN")]
    result = tasks("get", "t-1")
    assert "UNKNOWN" in result.stdout
    assert "24 hours" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(("status", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1), ("UNKNOWN", 1)])
def test_wait_exits_by_how_the_task_ended(status: str, code: int, script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [task("PENDING"), task("RUNNING"), task(status)]
    result = tasks("wait", "t-1")
    assert result.exit_code == code
    assert status in result.stdout


def test_wait_shows_why_a_task_failed(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [task("FAILED", code="FILE_403_FORBIDDEN", message="FILE_403_FORBIDDEN h answered 403")]
    assert "FILE_403_FORBIDDEN: FILE_403_FORBIDDEN h answered 403" in tasks("wait", "t-1").stdout


def test_wait_gives_up_after_its_time(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [task("RUNNING")]
    result = tasks("wait", "t-1", "--timeout", "0.01")
    assert result.exit_code == 1
    assert "still RUNNING" in result.stderr


def test_ls_shows_one_line_for_each_task(script: Script, tasks: Callable[..., Result]) -> None:
    rows: list[dict[str, Any]] = [
        {"task_id": "t-2", "model_name": "fun-asr", "status": "RUNNING", "gmt_create": 1780286400104},
        {"task_id": "t-1", "model_name": "fun-asr", "status": "FAILED", "gmt_create": 1780286400104,
         "end_time": 1780286403870, "code": "FILE_TOO_LARGE"},
    ]  # fmt: skip
    script.answers = [(200, {"total": 30, "data": rows})]
    result = tasks("ls", "--status", "failed", "--limit", "2")
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("t-2")
    assert "FILE_TOO_LARGE" in lines[2]
    assert "3.8 s" in lines[2]
    assert "2 of 30" in result.stderr
    assert "status=FAILED" in script.seen[0][1]
    assert "page_size=2" in script.seen[0][1]
    assert json.loads(tasks("ls", "--json").stdout)["data"][0]["task_id"] == "t-2"


def test_cancel_goes_on_after_a_refusal_and_exits_with_1(script: Script, tasks: Callable[..., Result]) -> None:
    refusal = {"code": "UnsupportedOperation", "message": "Failed to cancel the task"}
    script.answers = [(400, refusal), (200, {"request_id": "r"})]
    result = tasks("cancel", "t-1", "t-2")
    assert result.exit_code == 1
    assert "t-2 canceled" in result.stdout
    assert "t-1 not canceled: UnsupportedOperation" in result.stderr


def test_cancel_tells_in_json_what_became_of_each(script: Script, tasks: Callable[..., Result]) -> None:
    refusal = {"code": "UnsupportedOperation", "message": "Failed to cancel the task"}
    script.answers = [(400, refusal), (200, {"request_id": "r"})]
    result = tasks("cancel", "t-1", "t-2", "--json")
    assert result.exit_code == 1
    first, second = json.loads(result.stdout)
    assert (first["id"], first["ok"]) == ("t-1", False) and "UnsupportedOperation" in first["error"]
    assert second == {"id": "t-2", "ok": True, "canceled": True}


def test_what_was_done_before_a_fault_is_told(script: Script, tasks: Callable[..., Result]) -> None:
    for more in ((), ("--json",)):
        script.answers = [(200, {"request_id": "r"}), (401, {"code": "InvalidApiKey", "message": "no"})]
        result = tasks("cancel", "t-1", "t-2", *more)
        assert isinstance(result.exception, ApiError)
        assert "t-1" in result.stdout and "t-2" not in result.stdout


def test_refused_key_is_an_error_of_the_whole_command(script: Script, tasks: Callable[..., Result]) -> None:
    script.answers = [(401, {"code": "InvalidApiKey", "message": "Invalid API-key provided."})]
    assert isinstance(tasks("cancel", "t-1", "t-2").exception, ApiError)
    assert len(script.seen) == 1


def test_submit_uploads_local_files_first(
    script: Script, tasks: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers = [SUBMITTED]
    local = tmp_path / "会议.wav"
    local.write_bytes(b"sound")
    sent: list[tuple[Path, str]] = []

    def upload(client: Client, path: Path, model: str, on_bytes: Callable[[int, int], None]) -> str:
        sent.append((path, model))
        on_bytes(5, 5)
        return f"oss://d/{path.name}"

    monkeypatch.setattr(Client, "upload", upload)
    result = tasks("submit", str(local), URL, str(local), "--model", "paraformer-v2")
    assert (result.exit_code, result.stdout) == (0, "t-1\n")
    assert sent == [(local, "paraformer-v2")]  # named twice, sent once
    assert script.seen[0][3]["input"]["file_urls"] == ["oss://d/会议.wav", URL, "oss://d/会议.wav"]


def test_submit_of_what_is_no_file_sends_nothing(script: Script, tasks: Callable[..., Result], tmp_path: Path) -> None:
    for source in (str(tmp_path / "missing.wav"), str(tmp_path)):
        result = tasks("submit", source)
        assert result.exit_code == 2
        assert "neither a file nor a URL" in result.stderr
    assert script.seen == []
