"""A task's answer by status and shape: members, metrics, usage, times, failures, and result URLs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from dashscribe.tasks import Progress, Status, Subtask, Task
from dashscribe.types import Options, Shape
from dashscribe.wire.answers import Teller, unknown
from dashscribe.wire.results import signature

TELLER = Teller(ZoneInfo("Asia/Shanghai"), "https://asr.example.org", "secret")
SUBMITTED = datetime(2026, 6, 1, 4, 0, 0, 104_000, UTC)
ENDED = datetime(2026, 6, 1, 4, 0, 3, 870_000, UTC)
GOOD = Subtask(
    index=0, file_url="https://a.example/a.wav", status=Status.SUCCEEDED, result_key="k", duration_ms=3800, engine="e"
)
GONE = Subtask(
    index=1,
    file_url="https://a.example/gone.wav",
    status=Status.FAILED,
    code="InvalidFile.DownloadFailed",
    message="The audio file cannot be downloaded. The server answered 404.",
)


def task(status: Status, *subtasks: Subtask, shape: Shape = "file_urls", **members: Any) -> Task:
    ended = ENDED if status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED) else None
    return Task(
        id="7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f",
        owner="default",
        key_id="1001",
        request_id="r",
        model="fun-asr",
        shape=shape,
        options=Options(),
        notes=members.pop("notes", ()),
        status=status,
        submitted_at=SUBMITTED,
        started_at=None if status is Status.PENDING else SUBMITTED + timedelta(milliseconds=27),
        ended_at=ended,
        subtasks=subtasks,
        **members,
    )


def pending(*urls: str) -> list[Subtask]:
    return [Subtask(index=index, file_url=url, status=Status.PENDING) for index, url in enumerate(urls)]


def test_pending_task_tells_times_metrics_and_place_in_the_queue():
    answer = TELLER.answer(task(Status.PENDING, *pending("a", "b"), queue_position=3))
    assert answer == {
        "output": {
            "task_id": "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f",
            "task_status": "PENDING",
            "submit_time": "2026-06-01 12:00:00.104",
            "scheduled_time": "2026-06-01 12:00:00.104",
            "task_metrics": {"TOTAL": 2, "SUCCEEDED": 0, "FAILED": 0},
        },
        "dashscribe": {"queue_position": 3},
    }


def test_running_task_tells_progress_and_counts_what_has_ended():
    running = Subtask(index=2, file_url="c", status=Status.RUNNING, progress=Progress(100, 900))
    answer = TELLER.answer(task(Status.RUNNING, GOOD, GONE, running, progress=Progress(1000, 9000)))
    assert answer["output"]["task_metrics"] == {"TOTAL": 3, "SUCCEEDED": 1, "FAILED": 1}
    assert answer["dashscribe"] == {
        "engine": "e",
        "progress": {"done_ms": 1000, "total_ms": 9000},
        "files": [
            {"index": 0, "file_url": GOOD.file_url, "state": "SUCCEEDED"},
            {"index": 1, "file_url": GONE.file_url, "state": "FAILED"},
            {"index": 2, "file_url": "c", "state": "RUNNING", "progress": {"done_ms": 100, "total_ms": 900}},
        ],
    }
    assert "results" not in answer["output"]
    assert "usage" not in answer


def test_task_with_one_success_has_succeeded_and_lists_both():
    answer = TELLER.answer(task(Status.SUCCEEDED, GOOD, GONE))
    output = answer["output"]
    assert output["scheduled_time"] == "2026-06-01 12:00:00.131"
    assert output["end_time"] == "2026-06-01 12:00:03.870"
    assert list(output["results"][0]) == ["file_url", "transcription_url", "subtask_status"]
    assert output["results"][1] == {
        "file_url": "https://a.example/gone.wav",
        "code": "InvalidFile.DownloadFailed",
        "message": "The audio file cannot be downloaded. The server answered 404.",
        "subtask_status": "FAILED",
    }
    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 1, "FAILED": 1}
    assert not {"code", "message"} & (set(output) | set(answer))
    assert answer["usage"] == {"duration": 4}


@pytest.mark.parametrize(("durations", "seconds"), [((3800, 4700), 9), ((1000, 2000), 3), ((1,), 1), ((6400,), 7)])
def test_usage_rounds_each_file_up_before_summing(durations: tuple[int, ...], seconds: int):
    subtasks = [
        Subtask(index=i, file_url="u", status=Status.SUCCEEDED, result_key="k", duration_ms=ms)
        for i, ms in enumerate(durations)
    ]
    assert TELLER.answer(task(Status.SUCCEEDED, *subtasks))["usage"] == {"duration": seconds}


def test_failed_task_tells_code_inside_output_and_each_file():
    failed = task(
        Status.FAILED, GONE, code="InvalidFile.DownloadFailed", message="The audio file cannot be downloaded."
    )
    answer = TELLER.answer(failed)
    assert answer["output"]["code"] == "InvalidFile.DownloadFailed"
    assert answer["output"]["message"] == "The audio file cannot be downloaded."
    assert [result["subtask_status"] for result in answer["output"]["results"]] == ["FAILED"]
    assert answer["output"]["task_metrics"] == {"TOTAL": 1, "SUCCEEDED": 0, "FAILED": 1}
    assert answer["usage"] == {"duration": 0}
    assert "code" not in answer


def test_canceled_task_has_an_end_and_no_results():
    canceled = Subtask(index=0, file_url="a", status=Status.CANCELED)
    output = TELLER.answer(task(Status.CANCELED, canceled))["output"]
    assert output["task_status"] == "CANCELED"
    assert output["end_time"] == "2026-06-01 12:00:03.870"
    assert output["task_metrics"] == {"TOTAL": 1, "SUCCEEDED": 0, "FAILED": 0}
    assert "results" not in output


def test_filetrans_has_one_result_and_seconds():
    answer = TELLER.answer(task(Status.SUCCEEDED, GOOD, shape="file_url"))
    assert set(answer["output"]) == {"task_id", "task_status", "submit_time", "scheduled_time", "end_time", "result"}
    assert set(answer["output"]["result"]) == {"transcription_url"}
    assert answer["usage"] == {"seconds": 4}


def test_failed_filetrans_has_code_and_message_in_place_of_the_result():
    failed = task(Status.FAILED, GONE, shape="file_url", code="FILE_404_NOT_FOUND", message="FILE_404_NOT_FOUND x")
    answer = TELLER.answer(failed)
    assert set(answer["output"]) == {
        "task_id",
        "task_status",
        "submit_time",
        "scheduled_time",
        "end_time",
        "code",
        "message",
    }
    assert "usage" not in answer


def test_sensevoice_answers_as_the_file_urls_models_do():
    answer = TELLER.answer(task(Status.SUCCEEDED, GOOD, shape="sensevoice"))
    assert len(answer["output"]["results"]) == 1
    assert answer["usage"] == {"duration": 4}


def test_file_without_speech_shows_its_ledger_beside_the_output():
    quiet = Subtask(
        index=0,
        file_url="u",
        status=Status.FAILED,
        code="SUCCESS_WITH_NO_VALID_FRAGMENT",
        message="SUCCESS_WITH_NO_VALID_FRAGMENT",
        notes=("track 1 is not in the file",),
        ledger={"non_speech": 2000},
    )
    answer = TELLER.answer(task(Status.FAILED, quiet, code=quiet.code, message=quiet.message, notes=("n",)))
    assert answer["dashscribe"] == {
        "notes": ["n"],
        "files": [
            {
                "index": 0,
                "file_url": "u",
                "notes": ["track 1 is not in the file"],
                "ledger": {"non_speech": 2000},
            }
        ],
    }


def test_unknown_task_has_no_times_and_no_metrics():
    assert unknown("x") == {"output": {"task_id": "x", "task_status": "UNKNOWN"}}


def test_times_follow_the_zone():
    teller = Teller(ZoneInfo("America/New_York"), "", "")
    assert teller.answer(task(Status.PENDING))["output"]["submit_time"] == "2026-06-01 00:00:00.104"


def test_result_url_expires_a_day_after_the_end_and_is_the_same_each_time():
    finished = task(Status.SUCCEEDED, GOOD)
    url, again = (TELLER.answer(finished)["output"]["results"][0]["transcription_url"] for _ in range(2))
    assert url == again
    query = parse_qs(urlsplit(url).query)
    assert set(query) == {"Expires", "OSSAccessKeyId", "Signature"}
    assert int(query["Expires"][0]) == int(ENDED.timestamp()) + 24 * 3600
    assert urlsplit(url)[:3] == ("https", "asr.example.org", f"/results/{finished.id}/0.json")


def test_signature_depends_on_everything_that_the_url_names():
    base = ("secret", "owner", "task", 0, 1000)
    others = [
        ("secret2", *base[1:]),
        ("secret", "x", *base[2:]),
        ("secret", "owner", "x", 0, 1000),
        ("secret", "owner", "task", 1, 1000),
        ("secret", "owner", "task", 0, 1001),
    ]
    assert len({signature(*base), *(signature(*other) for other in others)}) == 6


def test_list_entry_is_flat_with_epoch_milliseconds():
    entry = TELLER.entry(task(Status.SUCCEEDED))
    assert entry == {
        "api_key_id": "1001",
        "caller_parent_id": "default",
        "caller_uid": "default",
        "gmt_create": 1780286400104,
        "start_time": 1780286400131,
        "end_time": 1780286403870,
        "model_name": "fun-asr",
        "region": "local",
        "request_id": "r",
        "status": "SUCCEEDED",
        "task_id": "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f",
        "user_api_unique_key": "apikey:v1:audio:asr:transcription:fun-asr",
    }


def test_list_entry_of_a_waiting_task_has_no_other_instants():
    assert not {"start_time", "end_time", "code"} & set(TELLER.entry(task(Status.PENDING)))


def test_list_entry_of_a_failed_task_tells_why():
    failed = task(Status.FAILED, code="DECODE_ERROR", message="DECODE_ERROR")
    assert TELLER.entry(failed)["code"] == TELLER.brief(failed)["code"] == "DECODE_ERROR"
