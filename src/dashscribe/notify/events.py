"""Events: what is told of a task that has ended, as documented (api-async section 8.1), and who gets it.

An event is made inside the transaction that ends its task and never changes. Where nobody wants it, there is none.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, insert, or_, select

from dashscribe import signed_urls
from dashscribe.db import as_datetime, now_ms, tables, writing
from dashscribe.db.tables import DeliveryState, FileState, Status, status_of
from dashscribe.errors import ConflictError
from dashscribe.notify.deliveries import TEST_DUE_MS
from dashscribe.notify.targets import EVERYBODY, Target, target_of

TASK_ENDED = "dashscope:System:AsyncTaskFinish"
#: Of a test, so that no consumer takes it for a task.
TEST = "dashscribe:System:CallbackTest"
#: For tasks that were submitted before these were noted with them.
FALLBACK_BASE_URL, FALLBACK_ZONE = "http://127.0.0.1:8000", "Asia/Shanghai"

_task, _file, _target = tables.tasks, tables.files, tables.callback_targets


def store(connection: Connection, task_ids: Sequence[str]) -> None:
    """Tasks have ended, in this very transaction: keep an event of each for those who want it."""
    owners = select(_task.c.owner).where(_task.c.id.in_(task_ids))
    wanting = (_target.c.removed.is_(False), or_(_target.c.owner == EVERYBODY, _target.c.owner.in_(owners)))
    targets = [target_of(row) for row in connection.execute(select(_target).where(*wanting)).mappings()]
    if not targets:
        return
    for task in connection.execute(select(_task).where(_task.c.id.in_(task_ids))).mappings().all():
        wanted = [
            target.id
            for target in targets
            if target.owner in (EVERYBODY, task["owner"]) and target.wants(task["model"], task["status"])
        ]
        if wanted:
            _insert(connection, _described(task), _of_task(connection, task), wanted)


def store_test(engine: Engine, target: Target, base_url: str, zone: str) -> int:
    """Keep an event of no task for one target, paused or not: the number of its delivery. Raises ConflictError."""
    told = {"owner": target.owner, "task_id": "", "model": "", "status": Status.SUCCEEDED.value, "base_url": base_url}
    now = as_datetime(now_ms())
    data = {"start_time": clock(now, zone), "end_time": clock(now, zone), "task_status": told["status"]}
    data |= {"contain_result": False, "output_result": {"output": {}}, "task_id": str(uuid.uuid4())}
    body = _envelope(target.owner, TEST, now, data)
    event, delivery = tables.callback_events, tables.callback_deliveries
    joined = delivery.join(event, event.c.id == delivery.c.event_id)
    open_states = delivery.c.state.in_((DeliveryState.WAITING, DeliveryState.SENDING))
    under_way = select(delivery.c.id).select_from(joined).where(delivery.c.target_id == target.id, open_states)
    with writing(engine, urgent=True) as connection:
        if connection.execute(under_way.where(event.c.task_id == "").limit(1)).first() is not None:
            raise ConflictError("A test of this target is under way: wait for its end.")
        return _insert(connection, told, body, [target.id], TEST_DUE_MS)[0]


def _described(task: RowMapping) -> dict[str, str]:
    told = {name: str(task[name]) for name in ("owner", "model", "base_url")}
    return told | {"task_id": task["id"], "status": Status(task["status"]).value}


def _insert(
    connection: Connection, told: dict[str, str], body: dict[str, Any], targets: Sequence[str], due_ms: int = 0
) -> list[int]:
    now, delivery = now_ms(), tables.callback_deliveries
    event = {"id": body["id"], "body": msgspec.json.encode(body).decode(), "created_ms": now}
    connection.execute(insert(tables.callback_events).values(**told, **event))
    waiting = {"event_id": body["id"], "state": DeliveryState.WAITING, "due_ms": due_ms, "created_ms": now}
    return [
        connection.execute(insert(delivery).values(**waiting, target_id=target).returning(delivery.c.id)).scalar_one()
        for target in targets
    ]


# --- the form ---------------------------------------------------------------------------------------------------------


def _envelope(account: str, kind: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    """CloudEvents 1.0 with the extension attributes of the service's event bus."""
    return {
        "datacontenttype": "application/json;charset=utf-8",
        "aliyunaccountid": account,
        "aliyunoriginalaccountid": account,
        "aliyunpublishtime": _instant(as_datetime(now_ms())),
        "aliyuneventbusname": "default",
        "aliyunregionid": "local",
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "acs.dashscope",
        "time": _instant(at),
        "type": kind,
        "data": data,
    }


def _of_task(connection: Connection, task: RowMapping) -> dict[str, Any]:
    """The event of a task that has ended."""
    status, ended_at = Status(task["status"]), as_datetime(task["ended_ms"])
    files = connection.execute(select(_file).where(_file.c.task_id == task["id"]).order_by(_file.c.number))
    rows = files.mappings().all()
    # One that was called off, or ran out of time, before it began has no other begin than its submission.
    begun_at = as_datetime(task["started_ms"] or task["submitted_ms"])
    told: dict[str, Any] = {"output": {}}
    if status is Status.FAILED:
        told["output"] = {"code": task["code"], "message": task["message"]}
    elif status is Status.SUCCEEDED:
        told = _result(connection, task, rows, ended_at)
    data = {
        "start_time": clock(begun_at, task["time_zone"]),
        "end_time": clock(ended_at, task["time_zone"]),
        "user_api_unique_key": f"apikey:v1:audio:asr:transcription:{task['model']}",
        "task_status": status.value,
        "contain_result": status is not Status.CANCELED,
        "output_result": told,
        "task_id": task["id"],
        "region": "local",
        "request_id": task["request_id"],
        "api_key_id": task["key_id"],
    }
    return _envelope(task["owner"], TASK_ENDED, ended_at, data)


def _result(
    connection: Connection, task: RowMapping, files: Sequence[RowMapping], ended_at: datetime
) -> dict[str, Any]:
    """Where the results lie, by the shape of the model, and what was used."""
    secret = _secret(connection)
    base_url = task["base_url"] or FALLBACK_BASE_URL

    def result(file: RowMapping) -> dict[str, str]:
        number = file["number"]
        return {
            "transcription_url": signed_urls.result_url(base_url, secret, task["owner"], task["id"], number, ended_at)
        }

    def entry(file: RowMapping) -> dict[str, str]:
        status = status_of(file["state"])
        good = status is Status.SUCCEEDED
        how = result(file) if good else {"code": file["code"], "message": file["message"]}
        return {"file_url": file["url"], **how, "subtask_status": status.value}

    # Each file's seconds are rounded up, as in the answer to a query.
    seconds = sum(-(-file["duration_ms"] // 1000) for file in files if file["state"] == FileState.SUCCEEDED)
    if task["shape"] == "file_url":
        return {"output": {"result": result(files[0])}, "usage": {"seconds": seconds}}
    return {"output": {"results": [entry(file) for file in files]}, "usage": {"duration": seconds}}


def _secret(connection: Connection) -> str:
    """The secret that signs result URLs, which a worker makes at its start; made here where there is none yet."""
    table = tables.secrets
    value = connection.execute(select(table.c.value).where(table.c.name == signed_urls.SECRET)).scalar()
    if value is None:
        value = secrets.token_urlsafe(32)
        connection.execute(insert(table).values(name=signed_urls.SECRET, value=value))
    return value


def _instant(at: datetime) -> str:
    """ISO 8601, UTC, milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime, zone: str) -> str:
    """Whole seconds on the clocks of that zone, cut off; the zone is not told."""
    try:
        there = ZoneInfo(zone or FALLBACK_ZONE)
    except (ZoneInfoNotFoundError, ValueError):  # this machine lacks what the one had that took the task
        there = ZoneInfo("UTC")
    return at.astimezone(there).strftime("%Y-%m-%d %H:%M:%S")
