"""A task as the service answers it: output by the model's shape, usage, and our own member beside them.

Members that are not known are left out, never null. A failed task is no error of the call: its code stands inside
``output``. Times carry no zone on the wire; the zone is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dashscribe.db import as_datetime
from dashscribe.notify.deliveries import Delivery
from dashscribe.tasks import Progress, Redo, Status, Subtask, Task
from dashscribe.wire.results import result_url


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells tasks to one caller: the zone of times, the base and the secret of result URLs."""

    zone: ZoneInfo
    base_url: str
    secret: str

    def answer(self, task: Task) -> dict[str, Any]:
        """The answer to a query, but for its request id."""
        members: dict[str, Any] = {"output": self._output(task)}
        if usage := _usage(task):
            members["usage"] = usage
        extras = _extras(task)
        if task.deliveries:
            extras["callbacks"] = [self._callback(delivery) for delivery in task.deliveries]
        if extras:
            members["dashscribe"] = extras
        return members

    def _callback(self, delivery: Delivery) -> dict[str, Any]:
        """How one target was told of the task's end."""
        told: dict[str, Any] = {"delivery": delivery.id, "target": delivery.target.id, "state": delivery.state.value}
        told["attempts"] = delivery.attempts
        instants = {"last_try": delivery.tried_ms, "next_try": delivery.due_ms}
        told |= {name: self._clock(as_datetime(at)) for name, at in instants.items() if at}
        about = {"http_status": delivery.http_status, "error": delivery.error}
        return told | {name: value for name, value in about.items() if value}

    def entry(self, task: Task) -> dict[str, Any]:
        """The task in a list, in the documented form: instants as epoch milliseconds."""
        instants = {"gmt_create": task.submitted_at, "start_time": task.started_at, "end_time": task.ended_at}
        return {
            "api_key_id": task.key_id,
            "caller_parent_id": task.owner,
            "caller_uid": task.owner,
            **{name: round(at.timestamp() * 1000) for name, at in instants.items() if at},
            "model_name": task.model,
            "region": "local",
            "request_id": task.request_id,
            "status": task.status.value,
            "task_id": task.id,
            "user_api_unique_key": f"apikey:v1:audio:asr:transcription:{task.model}",
            **_failure(task),
        }

    def brief(self, task: Task) -> dict[str, Any]:
        """The task in a list, in the form of a query: what the newest official client looks for."""
        return {**self._status(task), "model_name": task.model, "request_id": task.request_id, **_failure(task)}

    def _status(self, task: Task) -> dict[str, Any]:
        # A task is scheduled as soon as it is stored; the time moves once, to when work began.
        instants = {
            "submit_time": task.submitted_at,
            "scheduled_time": task.started_at or task.submitted_at,
            "end_time": task.ended_at,
        }
        return {
            "task_id": task.id,
            "task_status": task.status.value,
            **{name: self._clock(at) for name, at in instants.items() if at},
        }

    def _clock(self, instant: datetime) -> str:
        return instant.astimezone(self.zone).isoformat(sep=" ", timespec="milliseconds")[:23]

    def _output(self, task: Task) -> dict[str, Any]:
        output = self._status(task)
        if task.shape == "file_url":
            if task.status is Status.SUCCEEDED:
                output["result"] = {"transcription_url": self._url(task, task.subtasks[0])}
            return output | _failure(task)
        if task.status in (Status.SUCCEEDED, Status.FAILED):
            output["results"] = [self._result(task, subtask) for subtask in task.subtasks]
        statuses = [subtask.status for subtask in task.subtasks]
        output["task_metrics"] = {
            "TOTAL": len(statuses),
            "SUCCEEDED": statuses.count(Status.SUCCEEDED),
            "FAILED": statuses.count(Status.FAILED),
        }
        return output | _failure(task)

    def _result(self, task: Task, subtask: Subtask) -> dict[str, Any]:
        if subtask.status is Status.SUCCEEDED:
            how = {"transcription_url": self._url(task, subtask)}
        else:
            how = {"code": subtask.code, "message": subtask.message}
        return {"file_url": subtask.file_url, **how, "subtask_status": subtask.status.value}

    def _url(self, task: Task, subtask: Subtask) -> str:
        assert task.ended_at is not None, "only ended tasks have results"
        return result_url(self.base_url, self.secret, task.owner, task.id, subtask.index, task.ended_at)


def unknown(task_id: str) -> dict[str, Any]:
    """The answer for a task that does not exist, any more, or for this caller."""
    return {"output": {"task_id": task_id, "task_status": "UNKNOWN"}}


def _failure(task: Task) -> dict[str, str]:
    return {"code": task.code, "message": task.message} if task.status is Status.FAILED else {}


def _usage(task: Task) -> dict[str, int]:
    """Seconds of the files that succeeded, each rounded up; every channel counts."""
    seconds = sum(-(-s.duration_ms // 1000) for s in task.subtasks if s.status is Status.SUCCEEDED)
    if task.shape == "file_url":
        return {"seconds": seconds} if task.status is Status.SUCCEEDED else {}
    return {"duration": seconds} if task.status in (Status.SUCCEEDED, Status.FAILED) else {}


def _extras(task: Task) -> dict[str, Any]:
    """What only we say: which engine, how far, what had no effect, and why a file has no text."""
    extras: dict[str, Any] = {}
    if engines := sorted({subtask.engine for subtask in task.subtasks if subtask.engine}):
        extras["engine"] = ", ".join(engines)
    if task.queue_position is not None:
        extras["queue_position"] = task.queue_position
    if task.status is Status.RUNNING:
        extras["progress"] = _progress(task.progress)
    if task.notes:
        extras["notes"] = list(task.notes)
    if task.retry_of:
        extras["retry_of"] = task.retry_of
    if again := redos(task):
        extras["redo"] = again
    running = task.status is Status.RUNNING
    if files := [about for subtask in task.subtasks if (about := _about(subtask, running=running))]:
        extras["files"] = files
    return extras


def redos(task: Task) -> list[dict[str, Any]]:
    """The stages of its files that were last asked to be done again, and how far they are."""
    return [_redo(subtask.index, subtask.redo) for subtask in task.subtasks if subtask.redo]


def _redo(index: int, redo: Redo) -> dict[str, Any]:
    told: dict[str, Any] = {"file": index, "stage": redo.stage.value, "state": redo.state.value}
    if redo.state is Status.RUNNING and redo.progress.total_ms:
        told["progress"] = _progress(redo.progress)
    return told | ({"message": redo.message} if redo.message else {})


def _about(subtask: Subtask, *, running: bool) -> dict[str, Any]:
    """What there is to tell of a file; while its task is running, of every one that is not waiting, how far it is."""
    about: dict[str, Any] = {}
    if running and subtask.status is not Status.PENDING:
        about["state"] = subtask.status.value
        if subtask.status is Status.RUNNING and subtask.progress:
            about["progress"] = _progress(subtask.progress)
    if subtask.notes:
        about["notes"] = list(subtask.notes)
    if subtask.ledger:
        about["ledger"] = dict(subtask.ledger)
    return {"index": subtask.index, "file_url": subtask.file_url, **about} if about else {}


def _progress(progress: Progress) -> dict[str, int]:
    return {"done_ms": progress.done_ms, "total_ms": progress.total_ms}
