"""What an event says, path by path of api-async section 8.1, and who gets one: stored with the end of the task."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from cloudevents.v1.http import from_json
from durable import Home, run, shorten_waits, speech
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from dashscribe import files
from dashscribe.config import Settings
from dashscribe.db import reading, secret, tables
from dashscribe.errors import ConfigError
from dashscribe.errors.sources import SourceNotFoundError
from dashscribe.library import Library
from dashscribe.notify.targets import EVERYBODY, Target, TargetBook
from dashscribe.signed_urls import SECRET, pseudonym, signature
from dashscribe.tasks import Status, Task

BASE = "https://asr.example.org"
GOOD, OTHER, GONE = "https://media.example.net/a.wav", "https://media.example.net/b.wav", "https://media.example.net/c"
#: The envelope and data of every event here, but for what is new each time.
ENVELOPE = {
    "datacontenttype": "application/json;charset=utf-8",
    "aliyunaccountid": "default",
    "aliyunoriginalaccountid": "default",
    "aliyuneventbusname": "default",
    "aliyunregionid": "local",
    "specversion": "1.0",
    "source": "acs.dashscope",
    "type": "dashscope:System:AsyncTaskFinish",
}
DATA = {"contain_result": True, "region": "local", "request_id": "r", "api_key_id": "0"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    sources = {GOOD: speech(1, 3_500), OTHER: speech(1, 1_000), GONE: SourceNotFoundError("it is gone")}
    return Home(tmp_path, sources, fetch_allow="127.0.0.1")


def add(home: Home, **members: Any) -> Target:
    """A target that is paused, so that events stay as they were stored."""
    usual = {"owner": "default", "url": "http://127.0.0.1:9/done", "paused": True}
    return TargetBook(home.engine).add(Target(**{**usual, **members}))


def events(home: Home) -> list[dict[str, Any]]:
    table = tables.callback_events
    with reading(home.engine) as connection:
        return [
            json.loads(body) for body in connection.execute(select(table.c.body).order_by(table.c.created_ms)).scalars()
        ]


def deliveries(home: Home) -> list[tuple[str, str]]:
    """Targets and the owners of the tasks that they are told of."""
    delivery, told = tables.callback_deliveries, tables.callback_events
    joined = delivery.join(told, told.c.id == delivery.c.event_id)
    with reading(home.engine) as connection:
        rows = connection.execute(select(delivery.c.target_id, told.c.owner).select_from(joined)).all()
    return sorted((row.target_id, row.owner) for row in rows)


def only(home: Home) -> dict[str, Any]:
    (found,) = events(home)
    return found


def checked(told: dict[str, Any], task: Task, **data: Any) -> None:
    """The event is exactly this; what is new each time is in its form."""
    members = dict(told)
    assert UUID(members.pop("id"))
    for name in ("time", "aliyunpublishtime"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", members.pop(name))
    inner = dict(members.pop("data"))
    for name in ("start_time", "end_time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", inner.pop(name))
    assert members == ENVELOPE
    unique = f"apikey:v1:audio:asr:transcription:{task.model}"
    assert inner == {
        **DATA,
        "user_api_unique_key": unique,
        "task_id": task.id,
        "task_status": task.status.value,
        **data,
    }


def unsigned(home: Home, task: Task, url: str, number: int) -> str:
    """What a result URL leads to, once its signature is proved."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    key = secret(home.engine, SECRET)
    assert task.ended_at is not None
    assert int(query["Expires"]) == int(task.ended_at.timestamp()) + 24 * 3600
    assert query["OSSAccessKeyId"] == pseudonym(key, task.owner)
    wanted = signature(key, query["OSSAccessKeyId"], task.id, number, int(query["Expires"]))
    assert query["Signature"] == wanted
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


@pytest.mark.parametrize(("model", "shape"), [("fun-asr", "file_urls"), ("sensevoice-v1", "sensevoice")])
def test_success_lists_results_and_says_which_files_failed(home: Home, model: str, shape: Any) -> None:
    add(home)
    task = run(home, GOOD, GONE, model=model, shape=shape, base_url=BASE, time_zone="Asia/Shanghai")
    home.worker.stop()
    told = only(home)
    results = told["data"]["output_result"]["output"]["results"]
    assert unsigned(home, task, results[0]["transcription_url"], 0) == f"{BASE}/results/{task.id}/0.json"
    url, failed = results[0]["transcription_url"], task.subtasks[1]
    entries = [
        {"file_url": GOOD, "transcription_url": url, "subtask_status": "SUCCEEDED"},
        {"file_url": GONE, "code": failed.code, "message": failed.message, "subtask_status": "FAILED"},
    ]
    checked(told, task, output_result={"output": {"results": entries}, "usage": {"duration": 4}})


def test_success_says_which_files_were_called_off(home: Home) -> None:
    add(home)
    task = home.submit(GOOD, OTHER)
    assert Library(home.engine, home.settings).delete("default", [f"{task.id}.1"]).stopped == 1
    home.worker.start()
    home.worker.wake()
    task = home.wait(task)
    results = only(home)["data"]["output_result"]["output"]["results"]
    assert [result["subtask_status"] for result in results] == ["SUCCEEDED", "CANCELED"]
    assert [result["subtask_status"] for result in results] == [subtask.status.value for subtask in task.subtasks]


def test_success_of_a_filetrans_model_has_one_result(home: Home) -> None:
    add(home)
    task = run(home, GOOD, model="qwen3-asr-flash-filetrans", shape="file_url", base_url=BASE)
    home.worker.stop()
    told = only(home)
    url = told["data"]["output_result"]["output"]["result"]["transcription_url"]
    assert unsigned(home, task, url, 0) == f"{BASE}/results/{task.id}/0.json"
    checked(told, task, output_result={"output": {"result": {"transcription_url": url}}, "usage": {"seconds": 4}})


@pytest.mark.parametrize(
    ("model", "shape"), [("paraformer-v2", "file_urls"), ("qwen3-asr-flash-filetrans", "file_url")]
)
def test_failure_has_code_and_message_in_place_of_results(home: Home, model: str, shape: Any) -> None:
    add(home)
    task = run(home, GONE, model=model, shape=shape)
    home.worker.stop()
    assert task.status is Status.FAILED
    checked(only(home), task, output_result={"output": {"code": task.code, "message": task.message}})


def test_canceled_task_is_told_of_without_a_result(home: Home) -> None:
    add(home)
    submitted = home.submit(GOOD)
    assert home.book.cancel("default", submitted.id)
    assert not home.book.cancel("default", submitted.id)
    task = home.book.get("default", submitted.id)
    assert task is not None
    checked(only(home), task, contain_result=False, output_result={"output": {}})


def test_tasks_that_ran_out_of_time_are_told_of_as_failed(home: Home) -> None:
    add(home)
    submitted = [home.submit(GOOD), home.submit(OTHER)]
    assert len(files.time_out(home.engine, 2**50, "InternalError.Timeout", "too late")) == 2
    assert {told["data"]["task_id"] for told in events(home)} == {task.id for task in submitted}
    outputs = [told["data"]["output_result"]["output"] for told in events(home)]
    assert outputs == [{"code": "InternalError.Timeout", "message": "too late"}] * 2


def test_times_are_those_of_the_task_in_its_zone(home: Home) -> None:
    add(home)
    task = run(home, GOOD, time_zone="America/New_York")
    home.worker.stop()
    told = only(home)
    assert task.started_at is not None
    assert task.ended_at is not None
    utc = datetime.fromisoformat(told["time"])
    assert utc == task.ended_at
    from zoneinfo import ZoneInfo

    there = task.ended_at.astimezone(ZoneInfo("America/New_York"))
    assert told["data"]["end_time"] == there.strftime("%Y-%m-%d %H:%M:%S")
    begun = task.started_at.astimezone(ZoneInfo("America/New_York"))
    assert told["data"]["start_time"] == begun.strftime("%Y-%m-%d %H:%M:%S")
    published = datetime.fromisoformat(told["aliyunpublishtime"])
    assert utc <= published <= datetime.now(UTC)


def test_event_has_the_members_of_the_documented_one(home: Home) -> None:
    """The sample of api-async section 8.1, member by member and type by type."""
    sample = {
        "datacontenttype": "application/json;charset=utf-8",
        "aliyunaccountid": "200000000000001",
        "aliyunoriginalaccountid": "200000000000001",
        "aliyunpublishtime": "2026-06-01T04:00:04.010Z",
        "aliyuneventbusname": "default",
        "aliyunregionid": "cn-beijing",
        "specversion": "1.0",
        "id": "3f2b1c0d-9e8f-4a7b-8c6d-5e4f3a2b1c0d",
        "source": "acs.dashscope",
        "time": "2026-06-01T04:00:03.870Z",
        "type": "dashscope:System:AsyncTaskFinish",
        "data": {
            "start_time": "2026-06-01 12:00:00",
            "end_time": "2026-06-01 12:00:03",
            "user_api_unique_key": "apikey:v1:audio:asr:transcription:fun-asr",
            "task_status": "SUCCEEDED",
            "contain_result": True,
            "output_result": {
                "output": {
                    "results": [{"file_url": "https://…", "transcription_url": "https://…", "subtask_status": "S"}]
                },
                "usage": {"duration": 4},
            },
            "task_id": "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f",
            "region": "cn-beijing",
            "request_id": "0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b",
            "api_key_id": "1001",
        },
    }

    def form(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: form(inner) for name, inner in value.items()}
        return [form(inner) for inner in value] if isinstance(value, list) else type(value)

    add(home)
    run(home, GOOD)
    home.worker.stop()
    assert form(only(home)) == form(sample)
    assert list(only(home)) == list(sample)


def test_event_can_be_read_by_the_library_of_the_standard(home: Home) -> None:
    add(home)
    home.book.cancel("default", home.submit(GOOD).id)
    read = from_json(json.dumps(only(home)))
    assert (read["type"], read["source"]) == ("dashscope:System:AsyncTaskFinish", "acs.dashscope")
    assert read.data["task_status"] == "CANCELED"


# --- who gets one -----------------------------------------------------------------------------------------------------


def test_nobody_is_told_where_nobody_wants_it(home: Home) -> None:
    add(home, owner="somebody")
    add(home, models=("paraformer-v2",))
    add(home, statuses=("SUCCEEDED", "FAILED"))
    TargetBook(home.engine).remove("default", add(home).id, operates=True)
    said: list[str] = []
    event.listen(home.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: said.append(statement))
    home.book.cancel("default", home.submit(GOOD).id)
    assert events(home) == []
    assert not [statement for statement in said if statement.startswith("INSERT INTO callback")]


def test_one_event_goes_to_all_who_want_it(home: Home) -> None:
    everybody = add(home, owner=EVERYBODY)
    mine = add(home, models=("fun-asr",), statuses=("CANCELED",))
    theirs = add(home, owner="somebody")
    home.book.cancel("default", home.submit(GOOD).id)
    assert len(events(home)) == 1
    assert deliveries(home) == sorted([(everybody.id, "default"), (mine.id, "default")])
    home.book.cancel("somebody", home.submit(GOOD, owner="somebody").id)
    again = sorted(
        [(everybody.id, "default"), (mine.id, "default"), (everybody.id, "somebody"), (theirs.id, "somebody")]
    )
    assert deliveries(home) == again


def test_task_and_event_are_stored_together_or_not_at_all(home: Home) -> None:
    add(home)
    task = home.submit(GOOD)

    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith("INSERT INTO callback_deliveries"):
            raise OperationalError("the disk is full", None, Exception())

    event.listen(home.engine, "before_cursor_execute", fail)
    with pytest.raises(OperationalError):
        home.book.cancel("default", task.id)
    event.remove(home.engine, "before_cursor_execute", fail)
    found = home.book.get("default", task.id)
    assert found is not None
    assert found.status is Status.PENDING
    assert events(home) == []


@pytest.mark.parametrize("url", ["ftp://a.example/", "https://user:secret@a.example/"])
def test_url_in_the_settings_that_cannot_be_is_said_at_the_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="DASHSCRIBE_CALLBACK_URL") as refused:
        Home(tmp_path, callback_url=f"https://a.example/, {url}")
    assert "secret" not in str(refused.value)


def test_no_target_is_given_less_than_five_seconds(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 5"):
        Settings(home=tmp_path, callback_timeout_s=4.9)
    assert Settings(home=tmp_path).callback_timeout_s == 10


def test_settings_name_targets_of_the_whole_server(tmp_path: Path) -> None:
    urls = "https://93.184.216.34/a, https://93.184.216.34/b"
    Home(tmp_path, callback_url=urls, callback_token="first-token-of-all")
    home = Home(tmp_path, callback_url=urls, callback_token="a-token-in-its-place")
    found = TargetBook(home.engine).list("default", operates=True)
    assert [(target.url, target.owner, target.origin) for target in found] == [
        ("https://93.184.216.34/a", EVERYBODY, "settings"),
        ("https://93.184.216.34/b", EVERYBODY, "settings"),
    ]
    assert {target.token for target in found} == {"a-token-in-its-place"}
    assert TargetBook(home.engine).list("default", operates=False) == []
    Home(tmp_path, callback_url="https://93.184.216.34/b")
    (left,) = TargetBook(home.engine).list("default", operates=True)
    assert replace(left, token="") == replace(found[1], token="")
