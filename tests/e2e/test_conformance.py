"""The conformance command: a true server passes, and each of many servers with one planted fault is found out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faulty_proxy import Answer, Fault, faulty
from typer.testing import CliRunner

from dashscribe.cli import app
from kill_harness import KEY, Server
from plain_http import loopback

pytest.importorskip("dashscope")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(tmp_path_factory.mktemp("conformance") / "home")
    server.start()
    server.wait_ready()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def conformance(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["conformance", *arguments])
    return done.exit_code, done.stdout, done.stderr


def in_task(change: Callable[[dict[str, Any]], object]) -> Callable[[Answer], None]:
    """A change to the answer to a query of a task that has succeeded."""

    def apply(answer: Answer) -> None:
        is_query = "/api/v1/tasks/" in answer.path and answer.method == "GET"
        if is_query and answer.body.get("output", {}).get("task_status") == "SUCCEEDED":
            change(answer.body)

    return apply


def in_result(change: Callable[[dict[str, Any]], object]) -> Callable[[Answer], None]:
    """A change to every sentence of a result file."""

    def apply(answer: Answer) -> None:
        if answer.body and "transcripts" in answer.body:
            for transcript in answer.body["transcripts"]:
                for sentence in transcript["sentences"]:
                    change(sentence)

    return apply


def on(part: str, change: Callable[[Answer], object]) -> Callable[[Answer], None]:
    """A change to answers of routes whose path has this part."""
    return lambda answer: change(answer) if part in answer.path else None  # type: ignore[return-value]


def with_status(status: int) -> Callable[[Answer], None]:
    def apply(answer: Answer) -> None:
        answer.status = status

    return apply


def cancel_with_two_l(answer: Answer) -> None:
    if answer.path.endswith("/cancel"):
        answer.status, answer.body = 200, {"request_id": answer.body["request_id"]}
    in_task(lambda body: body["output"].update(task_status="CANCELLED"))(answer)


def policy_as_output(answer: Answer) -> None:
    answer.body["output"] = answer.body.pop("data")


def content_as_list(answer: Answer) -> None:
    message = answer.body["choices"][0]["message"]
    message["content"] = [{"type": "text", "text": message["content"]}]


def locked_result(answer: Answer) -> None:
    if answer.body and "transcripts" in answer.body and not answer.has_key:
        answer.status = 401


FAULTS = [
    Fault(
        "a null in an answer",
        "tasks/query-forms",
        "body",
        in_task(lambda body: body["output"].update(code=None)),
    ),
    Fault(
        "sentences of fun-asr count from 0",
        "async/fun-asr",
        "body.transcripts[0].sentences[].sentence_id",
        in_result(lambda sentence: sentence.update(sentence_id=sentence["sentence_id"] - 1)),
    ),
    Fault(
        "words missing",
        "async/paraformer-v2",
        "body.transcripts[0].sentences[0].words[*].begin_time",
        in_result(lambda sentence: sentence.pop("words")),
    ),
    Fault(
        "words that nobody asked for",
        "async/filetrans-sentences",
        "body.transcripts[0].sentences[0].words",
        in_result(lambda sentence: sentence.update(words=[])),
    ),
    Fault("a result file behind the key", "async/sensevoice", "status", locked_result),
    Fault("usage missing", "async/fun-asr-first-call", "body.usage.duration", in_task(lambda body: body.pop("usage"))),
    Fault(
        "one file's result in the form of several",
        "async/filetrans-no-parameters",
        "body.output.result.transcription_url",
        in_task(lambda body: body["output"].update(results=[body["output"].pop("result")])),
    ),
    Fault("CANCELED with two L", "tasks/cancel-at-once", "body.output.task_status", cancel_with_two_l),
    Fault("404 for an unknown task", "tasks/unknown", "status", on("/tasks/0000", with_status(404))),
    Fault(
        "a code at the top of a good answer",
        "generation/qwen3-data-uri",
        "body.code",
        on("generation", lambda answer: answer.body.update(code="Success")),
    ),
    Fault(
        "a space after event:",
        "generation/qwen3-incremental",
        "lines[1]",
        line=lambda line: line.replace(b"event:", b"event: "),
    ),
    Fault(
        "events count from 0",
        "generation/fun-asr-flash-stream",
        "events[].id",
        line=lambda line: b"id:%d" % (int(line[3:]) - 1) if line.startswith(b"id:") else line,
    ),
    Fault(
        "no blank line between events",
        "generation/qwen3-cumulative",
        "text",
        line=lambda line: line or None,
    ),
    Fault(
        "a list where the text of a chat belongs",
        "chat/data-uri",
        "body.choices[0].message.content",
        on("chat", content_as_list),
    ),
    Fault(
        "a chat that ends without [DONE]",
        "chat/stream-usage",
        "data[-1]",
        line=lambda line: None if b"[DONE]" in line else line,
    ),
    Fault("the policy of an upload under output", "uploads/policy", "body.output", on("uploads", policy_as_output)),
    Fault(
        "204 for an upload",
        "uploads/form",
        "status",
        lambda answer: with_status(204)(answer) if answer.body is None else None,
    ),
    Fault(
        "an error without request_id",
        "errors/no-model",
        "body.request_id",
        lambda answer: answer.body.pop("request_id"),
    ),
    Fault("403 for a missing key", "errors/no-key", "status", on("transcription", with_status(403))),
    Fault("200 for an error", "errors/unknown-model", "status", on("transcription", with_status(200))),
    Fault(
        "an upload that the official client does not take",
        "sdk/conversation-local",
        "raised",
        lambda answer: with_status(204)(answer) if answer.body is None else None,
    ),
]


def test_a_true_server_passes_every_form(url: str):
    command = [sys.executable, "-m", "dashscribe", "conformance", "--base-url", url, "--api-key", KEY, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    report = json.loads(done.stdout)
    different = {
        form["form"]: form["reason"] or [field for field in form["fields"] if not field["holds"]]
        for form in report["forms"]
        if form["outcome"] != "passed"
    }
    assert not different
    assert done.returncode == 0
    assert {form["replay"] for form in report["forms"]} == {"http", "sse", "sdk"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_server_with_one_fault_is_found_out(fault: Fault, url: str):
    with faulty(url, fault) as wrong:
        code, out, _ = conformance("--base-url", wrong, "--api-key", KEY, "--only", fault.form, "--json")
    assert code == 1
    (form,) = (form for form in json.loads(out)["forms"] if form["form"] == fault.form)
    assert form["outcome"] == "failed"
    assert fault.field in {field["field"] for field in form["fields"] if not field["holds"]}


def test_the_proxy_alone_changes_nothing_that_is_checked(url: str):
    with faulty(url, Fault("none", "", "")) as same:
        code, out, _ = conformance("--base-url", f"{same}/api/v1/", "--api-key", KEY, "--only", "*[lc]*/url")
    assert code == 0, out


def test_what_a_failed_form_has_created_is_deleted(url: str):
    fault = Fault("a list that cannot be read", "", "", on("/fine-tunes/outputs/", with_status(500)))
    with faulty(url, fault) as wrong:
        code, out, _ = conformance("--base-url", wrong, "--api-key", KEY, "--only", "hotwords/phrases")
    assert code == 1
    assert "3. status" in out
    listed = loopback.get(f"{url}/api/v1/fine-tunes/outputs", headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
    assert listed.json()["output"]["total"] == 0


def test_the_table_names_form_field_expected_and_got(url: str):
    with faulty(url, Fault("late", "", "", on("tasks/0", with_status(418)))) as wrong:
        code, out, _ = conformance("--base-url", wrong, "--api-key", KEY, "--only", "tasks/unknown")
    assert code == 1
    heading, row, summary = out.splitlines()
    assert heading.split() == ["RESULT", "FORM", "FIELD", "EXPECTED", "GOT"]
    assert row.split()[:6] == ["failed", "tasks/unknown", "1.", "status", "200", "418"]
    assert summary == "0 passed, 1 failed, 0 skipped"


def test_a_server_that_keeps_silent_is_a_finding_not_a_hang(url: str):
    def sleep(answer: Answer) -> None:
        if answer.path.endswith("cancel"):
            time.sleep(8)

    with faulty(url, Fault("slow", "", "", sleep)) as slow:
        code, out, _ = conformance(
            "--base-url", slow, "--api-key", KEY, "--only", "tasks/cancel-ended", "--timeout", "5"
        )
    assert code == 1
    assert "an answer within 5 s" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--base-url", "http://127.0.0.1:9", "--api-key", KEY], "does not answer"),
        (["--base-url", "ftp://example.com", "--api-key", KEY], "is no http or https URL"),
        (["--base-url", "URL", "--api-key", "sk-wrong"], "refuses the key"),
        (["--base-url", "URL", "--api-key", "sk-密"], "characters that no key has"),
        (["--base-url", "URL"], "DASHSCOPE_API_KEY"),
        (["--base-url", "URL", "--api-key", KEY, "--only", "nothing like it"], "--list shows them"),
        (["--base-url", "URL", "--api-key", KEY, "--serve-on", "here"], "is not HOST:PORT"),
        (["--base-url", "URL", "--api-key", KEY, "--serve-on", "192.0.2.1:1"], "cannot be served"),
    ],
)
def test_what_cannot_be_run_ends_with_2(arguments: list[str], says: str, url: str):
    code, out, err = conformance(*(url if argument == "URL" else argument for argument in arguments))
    assert code == 2
    assert not out
    assert says in " ".join(err.split())


def test_forms_are_listed_without_a_server():
    code, out, _ = conformance("--list", "--json", "--only", "chat/*")
    assert code == 0
    rows = json.loads(out)
    assert rows
    assert all(row["id"].startswith("chat/") and row["page"] and row["section"] for row in rows)
    assert "chat/stream" in conformance("--list")[1]


def test_an_interrupted_run_ends_with_the_table_so_far(url: str):
    command = [sys.executable, "-m", "dashscribe", "conformance", "--base-url", url, "--api-key", KEY]

    def tasks() -> int:
        return loopback.get(f"{url}/api/v1/tasks", headers={"Authorization": f"Bearer {KEY}"}).json()["total"]

    before, until = tasks(), time.monotonic() + 60
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while tasks() == before:  # the first form makes a task
        assert time.monotonic() < until
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "RESULT" in out
    assert "interrupted after" in err
