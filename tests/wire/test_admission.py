"""A full queue and a full disk refuse tasks, clearly and before anything is kept; a repeated call gets its task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update
from wire_servers import Desk, Server, assert_refused, open_desk, start_server, stop_server

from dashscribe import files, usage
from dashscribe.catalog import find_model
from dashscribe.db import tables, writing
from dashscribe.db.tables import FileState
from dashscribe.hotwords import Kind
from dashscribe.types import Hotword

REFUSED = (429, "Throttling", "Requests throttling triggered. ")


def sources(count: int) -> dict[str, Any]:
    return {"file_urls": [f"https://media.example.net/{number}.wav" for number in range(count)]}


def bearer(desk: Desk, owner: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {desk.parts.keys.create(owner)[1]}"}


def test_owner_with_a_full_queue_is_refused_and_others_are_not(tmp_path: Path):
    with open_desk(tmp_path, max_owner_files=5) as desk:
        ann, bob = bearer(desk, "ann"), bearer(desk, "bob")
        assert desk.submit(input=sources(4), headers=ann).status_code == 200
        response = desk.submit(input=sources(2), headers=ann)
        message = assert_refused(response, *REFUSED)["message"]
        assert "4 files of owner ann wait or are being worked on and 2 more came; the limit is 5" in message
        assert "DASHSCRIBE_MAX_OWNER_FILES" in message
        assert response.headers["retry-after"] == "10"
        assert desk.submit(input=sources(1), headers=ann).status_code == 200
        assert desk.submit(input=sources(5), headers=bob).status_code == 200


def test_queue_of_the_server_counts_all_owners_until_files_end(tmp_path: Path):
    with open_desk(tmp_path, max_queued_files=3) as desk:
        for owner in ("ann", "bob"):
            assert desk.submit(headers=bearer(desk, owner)).status_code == 200
        assert "2 files wait" in assert_refused(desk.submit(input=sources(2)), *REFUSED)["message"]
        file = files.claim(desk.engine, FileState.WAITING)
        assert file is not None
        assert files.failed(desk.engine, file, "X", "gone")
        assert desk.submit(input=sources(2)).status_code == 200


def test_disk_below_its_reserve_refuses_tasks(tmp_path: Path):
    with open_desk(tmp_path, disk_reserve_bytes=10**18) as desk:
        response = desk.submit()
        assert "DASHSCRIBE_DISK_RESERVE_BYTES" in assert_refused(response, *REFUSED)["message"]
        assert response.headers["retry-after"] == "60"
        assert desk.http.get("/api/v1/tasks").json()["total"] == 0


def test_repeated_call_gets_its_task_whatever_the_state_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with open_desk(tmp_path, max_owner_files=1) as desk:
        key = {"Idempotency-Key": "k1"}
        task_id = desk.submit(headers=key).json()["output"]["task_id"]
        monkeypatch.setattr(desk.parts.uploads, "room_bytes", lambda: -1)
        assert desk.submit(headers=key).json()["output"]["task_id"] == task_id
        assert_refused(desk.submit(headers={"Idempotency-Key": "k2"}), *REFUSED)


def test_repeated_call_gets_its_task_whatever_became_of_the_list_that_it_names(desk: Desk):
    key, book = {"Idempotency-Key": "k1"}, desk.parts.hotwords
    made = book.create("default", Kind.VOCABULARY, find_model("fun-asr"), [Hotword("Gettysburg", 4)], prefix="abc")
    task_id = desk.task(headers=key, parameters={"vocabulary_id": made.id})
    book.update("default", Kind.VOCABULARY, made.id, [Hotword("Lincoln", 4)])
    assert desk.task(headers=key, parameters={"vocabulary_id": made.id}) == task_id
    book.delete("default", Kind.VOCABULARY, made.id)
    assert desk.task(headers=key, parameters={"vocabulary_id": made.id}) == task_id
    assert_refused(desk.submit(headers=key), 409, "Conflict", "")


def test_repeated_call_gets_its_task_though_that_has_used_up_the_quota(desk: Desk):
    key_id, secret = desk.parts.keys.create("default", "k", 10)
    key = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "k1"}
    task_id = desk.task(headers=key)
    with writing(desk.engine) as connection:
        usage.book(connection, owner="default", key_id=key_id, model="fun-asr", duration_ms=11_000)
    assert desk.task(headers=key) == task_id
    assert desk.submit(headers=key | {"Idempotency-Key": "k2"}).status_code == 429


def test_repeated_call_gets_its_task_beyond_the_rate_limit(tmp_path: Path):
    with open_desk(tmp_path, rate_limits="fun-asr=1/minute") as desk:
        key = {"Idempotency-Key": "k1"}
        task_id = desk.task(headers=key)
        assert desk.task(headers=key) == task_id
        assert desk.submit(headers={"Idempotency-Key": "k2"}).status_code == 429


def test_key_that_an_older_program_kept_still_gives_its_task(desk: Desk):
    key = {"Idempotency-Key": "k1"}
    task_id = desk.task(headers=key)
    task = desk.parts.tasks.get("default", task_id)
    assert task is not None
    asked = (task.model, task.shape, task.options, tuple(subtask.file_url for subtask in task.subtasks))
    digest = hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
    with writing(desk.engine) as connection:
        connection.execute(update(tables.idempotency).values(digest=digest))
    assert desk.task(headers=key) == task_id
    assert_refused(desk.submit(headers=key, model="paraformer-v2"), 409, "Conflict", "")


def test_order_of_members_makes_no_other_body(desk: Desk):
    body = {"model": "fun-asr", "input": {"file_urls": ["https://media.example.net/a.wav"]}}
    ids = {
        desk.task(body=dict(members), headers={"Idempotency-Key": "k1"})
        for members in (body.items(), reversed(body.items()))
    }
    assert len(ids) == 1


def test_failed_files_are_not_done_again_as_a_new_task_while_the_queue_is_full(tmp_path: Path):
    with open_desk(tmp_path, max_owner_files=2) as desk:
        task_id = desk.task()
        file = files.claim(desk.engine, FileState.WAITING)
        assert file is not None
        assert files.failed(desk.engine, file, "X", "gone")
        assert desk.submit(input=sources(2)).status_code == 200
        assert_refused(desk.http.post(f"/dashscribe/v1/tasks/{task_id}/retry"), *REFUSED)


def test_refusals_are_counted_by_reason(tmp_path: Path):
    with open_desk(tmp_path, max_owner_files=1, metrics="open") as desk:
        desk.submit(input=sources(2))
        told = desk.http.get("/metrics").text
        assert 'dashscribe_refusals_total{reason="queue"} 1.0' in told
        assert 'dashscribe_refusals_total{reason="admission"} 0.0' in told
        assert 'dashscribe_refusals_total{reason="rate_limit"} 0.0' in told


def test_files_of_a_canceled_task_are_counted(tmp_path: Path):
    with open_desk(tmp_path, metrics="open") as desk:
        task_id = desk.task(input=sources(3))
        assert desk.http.post(f"/api/v1/tasks/{task_id}/cancel").status_code == 200
        assert desk.http.post(f"/api/v1/tasks/{task_id}/cancel").status_code == 400
        told = desk.http.get("/metrics").text
        assert 'dashscribe_files_ended_total{code="",outcome="canceled"} 3.0' in told


# --- the official clients -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose queue is full, and stays so."""
    running = start_server(tmp_path_factory.mktemp("full") / "home", "--no-worker", DASHSCRIBE_MAX_OWNER_FILES="1")
    running.submit("fun-asr", "https://media.example.net/a.wav")
    yield running
    stop_server(running)


def test_class_interface_returns_the_refusal_at_once(full: Server, monkeypatch: pytest.MonkeyPatch):
    import dashscope  # a second of work, for these two tests alone
    from dashscope.audio.asr import Transcription
    from dashscope.common.error import InvalidTask

    monkeypatch.setattr(dashscope, "base_http_api_url", full.api)
    asked = {"model": "fun-asr", "file_urls": ["https://a.example/b.wav"], "api_key": full.key}
    submitted = Transcription.async_call(**asked)
    assert (submitted.status_code, submitted.code) == (HTTPStatus.TOO_MANY_REQUESTS, "Throttling")
    with pytest.raises(InvalidTask, match=r"Throttling.*DASHSCRIBE_MAX_OWNER_FILES"):
        Transcription.call(**asked)


@pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning")
def test_newest_interface_tries_again_and_raises_its_own_error(full: Server, monkeypatch: pytest.MonkeyPatch):
    import dashscope
    from dashscope.v2.errors import RateLimitError

    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    with dashscope.Client(api_key=full.key, base_url=full.api) as client, pytest.raises(RateLimitError) as refused:
        client.audio.asr.transcribe(model="fun-asr", file_urls=["https://a.example/b.wav"])
    assert refused.value.code == "Throttling"
    assert slept, "it was not tried again"
