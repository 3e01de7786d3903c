"""``dashscribe callbacks`` against a scripted server: what is asked, what is said, how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from scripted_server import Script
from typer.testing import CliRunner

from dashscribe.cli.callbacks import app

TARGET = {
    "id": "cb-1",
    "owner": "default",
    "server_wide": False,
    "url": "https://app.example.org/done",
    "name": "billing",
    "paused": False,
    "dead_letters": True,
    "failures": 0,
    "kind": "http",
    "policy": "BACKOFF_RETRY",
    "signature": "current",
    "models": ["fun-asr"],
    "statuses": ["FAILED"],
    "fixed": False,
    "created_at": "2026-06-01T04:00:00.000Z",
}
DELIVERY = {
    "id": 7,
    "state": "dead",
    "attempts": 4,
    "target_id": "cb-1",
    "task_id": "t-1",
    "task_status": "FAILED",
    "http_status": 502,
    "response": "Bad Gateway",
    "error": "HTTP 502 Bad Gateway",
}
PATH = "/dashscribe/v1/callbacks"


@pytest.fixture
def run(script: Script, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr("dashscribe.cli.callbacks.POLL_S", 0.01)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--base-url", script.base_url, "--api-key", "sk-x"])

    return run


def asked(script: Script) -> list[tuple[str, str, Any]]:
    return [(method, path, body) for method, path, _, body in script.seen]


def test_add_sends_what_was_said_and_prints_the_id(script: Script, run: Callable[..., Result]) -> None:
    script.answers = [(201, TARGET)]
    done = run("add", TARGET["url"], "--model", "fun-asr", "--status", "FAILED", "--token", "s3cret", "--server-wide")
    assert (done.exit_code, done.stdout) == (0, "cb-1\n")
    ((method, path, body),) = asked(script)
    assert (method, path) == ("POST", f"{PATH}/targets")
    assert body == {
        "url": TARGET["url"],
        "name": "",
        "models": ["fun-asr"],
        "statuses": ["FAILED"],
        "policy": "BACKOFF_RETRY",
        "signature": "current",
        "dead_letters": True,
        "token": "s3cret",
        "server_wide": True,
    }


def test_rocketmq_is_said_to_be_unproven(script: Script, run: Callable[..., Result]) -> None:
    script.answers = [(201, TARGET | {"kind": "rocketmq", "unproven": True})]
    assert "unproven" in run("add", "rocketmq://broker:8081/topic").stderr
    script.answers = [(200, {"targets": [TARGET | {"unproven": True}]}), (200, {"deliveries": []})]
    assert "unproven" in run("ls").stdout
    assert "unproven" in CliRunner().invoke(app, ["add", "--help"]).stdout


def test_ls_shows_targets_and_deliveries(script: Script, run: Callable[..., Result]) -> None:
    answers: list[tuple[Any, ...]] = [(200, {"targets": [TARGET]}), (200, {"deliveries": [DELIVERY]})]
    script.answers = list(answers)
    done = run("ls", "--state", "dead", "--target", "cb-1")
    assert done.exit_code == 0
    for text in ("cb-1", "billing", "fun-asr, FAILED", "works", "t-1", "dead", "HTTP 502 Bad Gateway"):
        assert text in done.stdout
    assert asked(script)[1][1] == f"{PATH}/deliveries?target_id=cb-1&state=dead&limit=20"
    script.answers = list(answers)
    assert json.loads(run("ls", "--json").stdout) == {"targets": [TARGET], "deliveries": [DELIVERY]}


def test_show_takes_numbers_and_targets(script: Script, run: Callable[..., Result]) -> None:
    script.answers = [(200, {"request_id": "r", **DELIVERY, "event": {"id": "e-1"}})]
    shown = run("show", "7")
    assert "502" in shown.stdout
    assert '"id": "e-1"' in shown.stdout
    script.answers = [(200, {"request_id": "r", **TARGET})]
    assert "fun-asr" in run("show", "cb-1").stdout
    assert json.loads(run("show", "cb-1", "--json").stdout) == TARGET
    assert [path for _, path, _ in asked(script)] == [f"{PATH}/deliveries/7", *[f"{PATH}/targets/cb-1"] * 2]


def test_replay_takes_numbers_or_all_that_are_dead(script: Script, run: Callable[..., Result]) -> None:
    script.answers = [(202, DELIVERY)]
    assert run("replay", "7").stdout == "7 is on its way again\n"
    assert asked(script) == [("POST", f"{PATH}/deliveries/7/replay", None)]
    script.seen.clear()
    page = [DELIVERY | {"id": number} for number in range(200, 100, -1)]
    script.answers = [(200, {"deliveries": page}), (200, {"deliveries": [DELIVERY]}), (202, DELIVERY)]
    assert run("replay", "--dead", "--target", "cb-1").stdout == "101 on their way again\n"
    assert asked(script)[1][1] == f"{PATH}/deliveries?state=dead&limit=100&target_id=cb-1&before=101"
    assert len(script.seen) == 103
    assert run("replay").exit_code == 2
    assert run("replay", "7", "--dead").exit_code == 2


def test_test_waits_for_the_outcome(script: Script, run: Callable[..., Result]) -> None:
    waiting = DELIVERY | {"state": "waiting", "test": True}
    script.answers = [(202, waiting), (200, waiting), (200, waiting | {"state": "delivered", "http_status": 204})]
    done = run("test", "cb-1")
    assert (done.exit_code, done.stdout) == (0, "delivered: HTTP 204\n")
    script.answers = [(202, waiting), (200, DELIVERY)]
    done = run("test", "cb-1")
    assert done.exit_code == 1
    assert done.stdout == "not delivered: HTTP 502 Bad Gateway: 'Bad Gateway'\n"


def test_targets_are_paused_resumed_and_removed(script: Script, run: Callable[..., Result]) -> None:
    script.answers = [(200, TARGET)]
    assert run("pause", "cb-1", "cb-2").stdout == "cb-1 paused\ncb-2 paused\n"
    assert run("resume", "cb-1").stdout == "cb-1 resumed\n"
    assert run("rm", "cb-1").stdout == "cb-1 removed\n"
    assert asked(script) == [
        ("PATCH", f"{PATH}/targets/cb-1", {"paused": True}),
        ("PATCH", f"{PATH}/targets/cb-2", {"paused": True}),
        ("PATCH", f"{PATH}/targets/cb-1", {"paused": False}),
        ("DELETE", f"{PATH}/targets/cb-1", None),
    ]


def test_rotate_prints_the_new_fingerprint(script: Script, run: Callable[..., Result]) -> None:
    script.answers = [(200, {"fingerprint": "ab12"})]
    assert run("rotate").stdout == "ab12\n"
    assert asked(script) == [("POST", f"{PATH}/rotate", None)]


def test_every_command_has_an_example() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert "Example: dashscribe callbacks" in (command.callback.__doc__ or ""), command.callback.__name__
