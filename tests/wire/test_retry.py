"""Doing things again over the wire: stages in place on a real server, failed files as a new task, every refusal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from sqlalchemy import update
from wire_origin import Origin
from wire_servers import Desk, Server, assert_refused, checked, open_desk, start_server, stop_server

from commands import dashscribe, program
from conversations import dialogue, missing
from dashscribe import files
from dashscribe.db import now_ms, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.enrich import StageName
from media_files import write_wav
from plain_http import loopback
from small_models import install

NO_MODELS = "no speaker models are installed"
FILETRANS = "qwen3-asr-flash-filetrans"


def path(task_id: str) -> str:
    return f"/dashscribe/v1/tasks/{task_id}/retry"


def retried(server: Server, task_id: str, **members: Any) -> dict[str, Any]:
    """Have a stage done again and wait for the end: the task's answer."""
    with server.http() as http:
        response = http.post(path(task_id), json=members)
        assert response.status_code == 202, response.text
        checked(response)
        until = time.monotonic() + 60
        while True:
            answer = checked(http.get(f"/api/v1/tasks/{task_id}"))
            if all(redo["state"] in ("SUCCEEDED", "FAILED") for redo in answer["dashscribe"]["redo"]):
                return answer
            assert time.monotonic() < until, answer
            time.sleep(0.1)


def result(answer: dict[str, Any], index: int = 0) -> dict[str, Any]:
    output = answer["output"]
    entry = output["results"][index] if "results" in output else output["result"]
    return loopback.get(entry["transcription_url"], timeout=30).raise_for_status().json()


def cli(
    server: Server, *arguments: str, run: Callable[..., CompletedProcess[str]] = dashscribe
) -> CompletedProcess[str]:
    variables = {"DASHSCOPE_HTTP_BASE_URL": server.api, "DASHSCOPE_API_KEY": server.key}
    return run("tasks", "retry", *arguments, **variables)


# --- stages in place -------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, without any model."""
    running = start_server(tmp_path / "home")
    yield running
    stop_server(running)


@pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed (Debian: apt-get install)")
def test_speakers_are_told_by_the_models_that_were_installed_since(bare: Server, origin: Origin) -> None:
    said = dialogue(("rms", "slt"), 11, turns=6)
    write_wav(origin.folder / "again.wav", said.samples[None])
    task_id = bare.submit("fun-asr", origin("again.wav"), parameters={"diarization_enabled": True})
    before = bare.wait(task_id)
    first = result(before)
    assert any(NO_MODELS in note for note in first["dashscribe"]["notes"])
    install(bare.home / "models", "speaker-embedding-small", "segmentation-small")

    done = cli(bare, task_id, "--stage", "speakers", "--speakers", "2", run=program)
    assert done.returncode == 0, done.stderr
    assert "noted no more: speakers were told apart by pitch and spectrum alone" in done.stdout
    after = bare.wait(task_id)
    second = result(after)
    assert not any(NO_MODELS in note for note in second["dashscribe"]["notes"])
    assert after["dashscribe"]["redo"] == [{"file": 0, "stage": "speakers", "state": "SUCCEEDED"}]
    assert after["output"] == before["output"]  # state, times and the very URL
    ids = [sentence["speaker_id"] for sentence in second["transcripts"][0]["sentences"]]
    assert set(ids) == {0, 1}
    words = [
        [w["text"].strip().casefold() for s in r["transcripts"][0]["sentences"] for w in s["words"]]
        for r in (first, second)
    ]
    assert words[0] == words[1]


@pytest.mark.parametrize("stage", [name for name in StageName if name is not StageName.SPEAKERS])
def test_every_text_stage_can_be_done_again(server: Server, origin: Origin, stage: StageName) -> None:
    model, parameters = "paraformer-v2", {}
    with server.http() as http:
        match stage:
            case StageName.HOTWORDS:
                words = [{"text": "Kestrel", "weight": 4}]
                wanted = {"action": "create_vocabulary", "target_model": model, "prefix": "again", "vocabulary": words}
                body = {"model": "speech-biasing", "input": wanted}
                made = http.post("/api/v1/services/audio/asr/customization", json=body)
                parameters = {"vocabulary_id": checked(made)["output"]["vocabulary_id"]}
            case StageName.FILLERS:
                parameters = {"disfluency_removal_enabled": True}
            case StageName.NUMBERS:
                model, parameters = FILETRANS, {"enable_itn": True}
            case StageName.SENSITIVE_WORDS:
                parameters = {"special_word_filter": '{"filter_with_signed": {"word_list": ["test"]}}'}
            case _:
                pass
    task_id = server.submit(model, origin("a.wav"), parameters=parameters)
    first = result(server.wait(task_id))
    answer = retried(server, task_id, stage=stage)
    assert answer["dashscribe"]["redo"] == [{"file": 0, "stage": stage.value, "state": "SUCCEEDED"}]
    assert result(answer) == first


def test_the_command_line_says_what_a_stage_changed_and_what_it_lacks(server: Server, origin: Origin) -> None:
    task_id = server.submit("fun-asr", origin("a.wav"))
    server.wait(task_id)
    done = cli(server, task_id, "--stage", "marks")
    assert (done.returncode, "nothing changed" in done.stdout) == (0, True), done.stderr
    refused = cli(server, task_id, "--stage", "speakers")
    assert refused.returncode == 1
    assert "diarization_enabled" in refused.stderr
    assert cli(server, "nobody", "--stage", "marks").returncode == 1
    assert cli(server, task_id, "--stage", "voices").returncode == 2


# --- files as a new task ---------------------------------------------------------------------------------------------


def test_files_that_failed_are_a_new_task(server: Server, origin: Origin) -> None:
    task_id = server.submit("fun-asr", origin("a.wav"), origin("late.wav"))
    assert server.wait(task_id)["output"]["task_metrics"]["FAILED"] == 1
    (origin.folder / "late.wav").write_bytes((origin.folder / "b.wav").read_bytes())
    try:
        with server.http() as http:
            response = http.post(path(task_id))
            assert response.status_code == 202
            made = checked(response)
            assert made["dashscribe"] == {"retry_of": task_id, "retried": [1]}
            answer = server.wait(made["output"]["task_id"])
            assert [entry["file_url"] for entry in answer["output"]["results"]] == [origin("late.wav")]
            assert answer["output"]["task_status"] == "SUCCEEDED"
            assert answer["dashscribe"]["retry_of"] == task_id
            assert_refused(http.post(path(made["output"]["task_id"])), 409, "Conflict", "The task cannot be retried.")
        done = cli(server, task_id, "--all")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("result    http") == 2
    finally:
        (origin.folder / "late.wav").unlink()


def test_filetrans_tasks_are_retried_in_their_own_shape(server: Server, origin: Origin) -> None:
    task_id = server.submit(FILETRANS, origin("404/a.wav"))
    assert server.wait(task_id)["output"]["task_status"] == "FAILED"
    with server.http() as http:
        made = checked(http.post(path(task_id), json={}))["output"]["task_id"]
    assert server.wait(made)["output"]["code"] == "FILE_404_NOT_FOUND"


def test_new_task_asks_for_what_the_old_one_did(desk: Desk) -> None:
    parameters = {"language_hints": ["en"], "channel_id": [0, 1], "speech_noise_threshold": 0.5}
    old = desk.task(parameters=parameters)
    desk.http.post(f"/api/v1/tasks/{old}/cancel").raise_for_status()
    made = checked(desk.http.post(path(old), json={"all": True}))
    new = desk.parts.tasks.get("default", made["output"]["task_id"])
    before = desk.parts.tasks.get("default", old)
    assert new is not None
    assert before is not None
    assert (new.options, new.model, new.shape, new.notes) == (before.options, before.model, before.shape, before.notes)
    assert (new.retry_of, before.retry_of) == (old, "")
    assert new.request_id == made["request_id"]
    assert len(desk.woken) == 3  # two tasks, and the end of one


def test_recordings_that_were_deleted_are_not_submitted_again(desk: Desk) -> None:
    urls = [f"https://media.example.net/{number}.wav" for number in range(4)]
    task_id = desk.task(input={"file_urls": urls})
    desk.http.delete(f"/dashscribe/v1/recordings/{task_id}.3").raise_for_status()
    for _ in range(3):
        file = files.claim(desk.engine, FileState.WAITING)
        assert file is not None
        assert files.failed(desk.engine, file, "FILE_403_FORBIDDEN", "no")
    desk.http.delete(f"/dashscribe/v1/recordings/{task_id}.1").raise_for_status()
    for body, retried in (({}, [0, 2]), ({"all": True}, [0, 2])):
        made = checked(desk.http.post(path(task_id), json=body))
        assert made["dashscribe"]["retried"] == retried
        new = desk.parts.tasks.get("default", made["output"]["task_id"])
        assert new is not None
        assert [subtask.file_url for subtask in new.subtasks] == [urls[number] for number in retried]


def test_task_whose_failed_recordings_were_deleted_is_409(desk: Desk) -> None:
    task_id = desk.task(input={"file_urls": ["https://media.example.net/a.wav", "https://media.example.net/b.wav"]})
    file = files.claim(desk.engine, FileState.WAITING)
    assert file is not None
    assert files.failed(desk.engine, file, "FILE_403_FORBIDDEN", "no")
    with writing(desk.engine) as connection:
        other = update(tables.files).where(tables.files.c.id != file.id).values(state=FileState.SUCCEEDED)
        connection.execute(other)
        connection.execute(update(tables.tasks).values(status="SUCCEEDED", ended_ms=now_ms(), open_files=0))
    desk.http.delete(f"/dashscribe/v1/recordings/{task_id}.0").raise_for_status()
    told = assert_refused(desk.http.post(path(task_id), json={}), 409, "Conflict", "The task cannot be retried.")
    assert "deleted" in told["message"]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"stage": "voices"}, "stage"),
        ({"stage": 7}, "stage"),
        ({"stage": "speakers", "speaker_count": 1}, "speaker_count"),
        ({"stage": "speakers", "speaker_count": 101}, "speaker_count"),
        ({"stage": "speakers", "speaker_count": True}, "speaker_count"),
        ({"stage": "marks", "speaker_count": 2}, "speaker_count"),
        ({"stage": "marks", "file": -1}, "file"),
        ({"stage": "marks", "file": "0"}, "file"),
        ({"file": 0}, "file"),
        ({"all": 1}, "all"),
        ({"all": True, "stage": "marks"}, "all"),
        ({"stages": "marks"}, "body"),
    ],
)
def test_wrong_members_are_refused_by_name(desk: Desk, body: dict[str, Any], parameter: str) -> None:
    text = f"Required parameter({parameter}) missing or invalid"
    assert_refused(desk.http.post(path(desk.task()), json=body), 400, "InvalidParameter", text)


@pytest.mark.parametrize(
    ("stage", "parameter"),
    [
        ("speakers", "diarization_enabled"),
        ("hotwords", "vocabulary_id"),
        ("fillers", "disfluency_removal_enabled"),
        ("numbers", "enable_itn"),
    ],
)
def test_stage_that_was_not_asked_for_is_refused_with_what_to_set(desk: Desk, stage: str, parameter: str) -> None:
    given = {"model": FILETRANS, "input": {"file_url": "https://media.example.net/a.wav"}}
    task_id = desk.task(**given) if stage == "numbers" else desk.task()  # the others write digits unasked
    response = desk.http.post(path(task_id), json={"stage": stage})
    body = assert_refused(response, 400, "InvalidParameter", "Required parameter(stage) missing or invalid")
    assert parameter in body["message"]


@pytest.mark.parametrize("body", [{}, {"stage": "marks"}])
def test_task_that_is_not_there_or_another_owner_s_is_404(desk: Desk, body: dict[str, Any]) -> None:
    task_id = desk.task()
    for missing_id in ("nobody", "0" * 64, "x" * 400, "%00"):
        assert_refused(desk.http.post(path(missing_id), json=body), 404, "NotFound", "Not found!")
    with writing(desk.engine) as connection:
        connection.execute(update(tables.tasks).values(owner="somebody"))
    assert_refused(desk.http.post(path(task_id), json=body), 404, "NotFound", "Not found!")


@pytest.mark.parametrize("body", [{}, {"all": True}, {"stage": "marks"}, {"stage": "marks", "file": 0}])
def test_task_that_has_not_ended_is_409(desk: Desk, body: dict[str, Any]) -> None:
    assert_refused(desk.http.post(path(desk.task()), json=body), 409, "Conflict", "The task cannot be retried.")


@pytest.mark.parametrize("body", [{}, {"stage": "marks"}])
def test_a_retry_counts_as_a_submit(tmp_path: Path, body: dict[str, Any]) -> None:
    with open_desk(tmp_path, rate_limits="fun-asr=2/minute") as desk:
        task_id = desk.task()
        assert desk.http.post(path(task_id), json=body).status_code == 409
        response = desk.http.post(path(task_id), json=body)
        assert (response.status_code, checked(response)["code"]) == (429, "Throttling.RateQuota")


def test_key_is_needed(desk: Desk) -> None:
    response = desk.http.post(path(desk.task()), json={}, headers={"Authorization": "Bearer sk-wrong"})
    assert_refused(response, 401, "InvalidApiKey", "Invalid API-key provided.")


def test_route_and_stages_stand_in_the_openapi_document(desk: Desk) -> None:
    document = desk.http.get("/openapi.json").json()
    operation = document["paths"]["/dashscribe/v1/tasks/{task_id}/retry"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["stage"]["enum"] == [name.value for name in StageName]
    assert {"202", "400", "404", "409"} <= set(operation["responses"])
