"""``dashscribe tasks retry`` against a scripted server: what is asked, what is said, how it exits."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from scripted_server import SUBMITTED, URL, Script, task
from typer.testing import CliRunner

from dashscribe.cli.retry import changes
from dashscribe.cli.tasks import app
from dashscribe.client import ApiError
from dashscribe.enrich import StageName

OURS = (200, {"status": "ok", "service": "dashscribe"})


@pytest.fixture
def retry(script: Script) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["retry", *arguments, "--base-url", script.base_url, "--api-key", "sk-x"])

    return run


def redo(state: str, **members: Any) -> dict[str, Any]:
    return {"redo": [{"file": 0, "stage": "speakers", "state": state, **members}]}


def answered(script: Script, extras: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A finished task with a result, and this beside it."""
    result_url = script.base_url.replace("/api/v1", "/results/0.json")
    file = {"file_url": URL, "transcription_url": result_url, "subtask_status": "SUCCEEDED"}
    status, body = task("SUCCEEDED", results=[file])
    return status, body | {"dashscribe": extras}


def result(*sentences: tuple[str, int | None], notes: tuple[str, ...] = ()) -> dict[str, Any]:
    said = [
        {"begin_time": at, "text": text} | ({} if speaker is None else {"speaker_id": speaker})
        for at, (text, speaker) in enumerate(sentences)
    ]
    return {"transcripts": [{"channel_id": 0, "sentences": said}], "dashscribe": {"notes": list(notes)}}


def test_stage_is_asked_for_followed_and_told(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [
        answered(script, {}),
        (200, result(("Yes.", None), ("No.", None), notes=("speakers are not told",))),
        (202, task("SUCCEEDED")[1] | {"dashscribe": redo("PENDING")}),
        answered(script, redo("RUNNING", progress={"done_ms": 1000, "total_ms": 4000})),
        answered(script, redo("SUCCEEDED")),
        (200, result(("Yes.", 0), ("No.", 1))),
    ]
    done = retry("t-1", "--stage", "speakers", "--speakers", "3", "--file", "0")
    assert done.exit_code == 0, done.output
    method, path, headers, body = script.seen[2]
    assert (method, path) == ("POST", "/dashscribe/v1/tasks/t-1/retry")
    assert headers["authorization"] == "Bearer sk-x"
    assert body == {"stage": "speakers", "file": 0, "speaker_count": 3}
    for line in ("speakers SUCCEEDED", "speakers: 0 before, 2 now", "noted no more: speakers are not told", "result "):
        assert line in done.stdout


def test_stage_that_fails_exits_with_1_and_its_reason(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [
        answered(script, {}),
        (200, result(("Yes.", None))),
        (202, task("SUCCEEDED")[1] | {"dashscribe": redo("PENDING")}),
        answered(script, redo("FAILED", message="speakers are not told: killed")),
        (200, result(("Yes.", None))),
    ]
    done = retry("t-1", "--stage", "speakers")
    assert done.exit_code == 1
    assert "speakers are not told: killed; the result stays as it was" in done.stderr


def test_json_tells_the_same(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [
        answered(script, {}),
        (200, result(("Yes.", 0))),
        (202, task("SUCCEEDED")[1] | {"dashscribe": redo("PENDING")}),
        answered(script, redo("SUCCEEDED")),
        (200, result(("Yes.", 0))),
    ]
    done = retry("t-1", "--stage", "speakers", "--json")
    assert json.loads(done.stdout) == {
        "task_id": "t-1",
        "task_status": "SUCCEEDED",
        "redo": [{"file": 0, "stage": "speakers", "state": "SUCCEEDED", "changes": []}],
    }


def test_without_waiting_it_says_what_is_queued(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [(202, task("SUCCEEDED")[1] | {"dashscribe": redo("PENDING")})]
    done = retry("t-1", "--stage", "speakers", "--no-wait")
    assert (done.exit_code, len(script.seen)) == (0, 1)
    assert "speakers PENDING" in done.stdout


def test_task_that_goes_meanwhile_is_a_failure(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [
        task("SUCCEEDED"),
        (202, task("SUCCEEDED")[1] | {"dashscribe": redo("PENDING")}),
        task("UNKNOWN"),
    ]
    done = retry("t-1", "--stage", "speakers")
    assert done.exit_code == 1
    assert "gone" in done.stderr


def test_plain_retry_follows_the_new_task(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [(202, SUBMITTED[1]), task("RUNNING"), task("FAILED", code="X", message="X again")]
    done = retry("t-0", "--all")
    assert done.exit_code == 1
    assert script.seen[0][1::2] == ("/dashscribe/v1/tasks/t-0/retry", {"all": True})
    assert "new task t-1" in done.stderr
    assert "X again" in done.stdout


def test_plain_retry_that_does_not_wait_prints_the_new_id_alone(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [(202, SUBMITTED[1])]
    assert retry("t-0", "--no-wait").stdout == "t-1\n"
    assert json.loads(retry("t-0", "--no-wait", "--json").stdout) == {"task_id": "t-1", "task_status": "PENDING"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--stage", "voices"), "speakers, hotwords, marks, fillers, numbers, sensitive-words"),
        (("--stage", "marks", "--speakers", "2"), "--stage speakers"),
        (("--stage", "speakers", "--speakers", "1"), "--speakers"),
        (("--file", "0"), "--stage"),
        (("--all", "--stage", "marks"), "--stage"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(
    script: Script, retry: Callable[..., Result], arguments: tuple[str, ...], says: str
) -> None:
    done = retry("t-1", *arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert script.seen == []


def test_help_names_every_stage_and_an_example(retry: Callable[..., Result]) -> None:
    told = " ".join(retry("--help").stdout.split())
    for name in StageName:
        assert name.value in told
    assert "dashscribe tasks retry 7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f --stage speakers" in told


@pytest.mark.parametrize("status", [404, 405, 400])
def test_cloud_has_no_such_thing(script: Script, retry: Callable[..., Result], status: int) -> None:
    script.answers = [(status, {"code": "NotFound", "message": "Not found!"}), (404, b"<html>no</html>")]
    done = retry("t-1")
    assert isinstance(done.exception, ApiError)
    assert "no dashscribe server" in str(done.exception)


def test_refusal_of_a_server_of_ours_is_told_as_it_is(script: Script, retry: Callable[..., Result]) -> None:
    script.answers = [(409, {"code": "Conflict", "message": "The task cannot be retried. None failed."}), OURS]
    done = retry("t-1")
    assert "None failed." in str(done.exception)
    assert "no dashscribe server" not in str(done.exception)


def test_changes_are_told_in_words() -> None:
    old = result(("One.", 0), ("Two.", 0), notes=("a", "b"))
    new = result(("One.", 0), ("Two!", 1), ("Three.", 2), notes=("b", "c"))
    assert changes(old, new) == [
        "speakers: 1 before, 3 now",
        "2 of 3 sentences are new or changed; there were 2",
        "noted no more: a",
        "noted now: c",
    ]
    assert changes(old, old) == []
