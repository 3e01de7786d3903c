"""The official Python clients believe us: the class interface of majors 1 and 2, its asyncio twins, the v2 client."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from wire_origin import Origin
from wire_servers import Server, assert_no_null

from plain_http import loopback

if TYPE_CHECKING:
    import dashscope  # a second of work, for the tests of its v2 client alone

pytestmark = pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning")

CALLS = Path(__file__).with_name("sdk_calls.py")


@pytest.fixture(scope="module", params=["1", "2"])
def said(request: pytest.FixtureRequest, server: Server, idle: Server, origin: Origin) -> dict[str, Any]:
    """What the class interface returned, call by call."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCOPE_")}
    if request.param == "1":
        env["PYTHONPATH"] = str(request.getfixturevalue("sdk_1"))
    arguments = [server.api, server.key, origin("a.wav"), idle.api]
    done = subprocess.run(
        [sys.executable, CALLS, *arguments], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["version"].split(".")[0] == request.param
    return said


def test_call_returns_each_files_fate(said: dict[str, Any]):
    result = said["call"]
    assert (result["status_code"], result["output"]["task_status"]) == (200, "SUCCEEDED")
    good, gone = result["output"]["results"]
    assert good["subtask_status"] == "SUCCEEDED"
    assert (gone["subtask_status"], gone["code"]) == ("FAILED", "InvalidFile.DownloadFailed")
    assert result["output"]["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 1, "FAILED": 1}
    assert result["usage"] == {"duration": 4}
    assert result["request_id"]


def test_result_is_downloaded_as_the_samples_do(said: dict[str, Any], origin: Origin):
    url = said["call"]["output"]["results"][0]["transcription_url"]
    result = loopback.get(url).json()
    assert result["file_url"] == origin("a.wav")
    assert result["transcripts"][0]["sentences"][0]["words"]


def test_submit_fetch_and_wait(said: dict[str, Any]):
    submitted = said["async_call"]
    task_id = submitted["output"]["task_id"]
    assert (submitted["status_code"], submitted["output"]["task_status"]) == (200, "PENDING")
    assert said["fetch"]["output"]["task_id"] == task_id
    assert said["wait"]["output"]["task_status"] == "SUCCEEDED"
    assert said["wait by id"]["output"] == said["wait"]["output"]
    assert said["attributes"] == ["SUCCEEDED", "SUCCEEDED", 1, 4]


def test_cancel_of_an_ended_task_is_refused(said: dict[str, Any]):
    result = said["cancel ended"]
    assert (result["status_code"], result["code"]) == (400, "UnsupportedOperation")
    assert result["message"].startswith("Failed to cancel the task, please confirm if the task is in PENDING status.")


def test_cancel_of_a_waiting_task(said: dict[str, Any]):
    assert said["cancel"]["status_code"] == 200
    assert not said["cancel"]["code"]
    assert said["canceled"]["output"]["task_status"] == "CANCELED"


def test_a_client_that_stops_waiting_says_so_itself(said: dict[str, Any]):
    assert (said["patience"]["status_code"], said["patience"]["code"]) == (408, "WaitTaskTimeout")


def test_task_whose_files_all_failed(said: dict[str, Any]):
    result = said["all failed"]
    assert result["status_code"] == 200
    assert not result["code"]
    assert result["output"]["task_status"] == "FAILED"
    assert result["output"]["code"] == "InvalidFile.DownloadFailed"
    assert result["output"]["results"][0]["code"] == "InvalidFile.DownloadFailed"


def test_phrase_list_of_the_first_models(said: dict[str, Any]):
    assert said["phrases"]["output"]["task_status"] == "SUCCEEDED"


def test_list(said: dict[str, Any]):
    result = said["list"]
    assert result["status_code"] == 200
    assert {entry["model_name"] for entry in result["output"]["data"]} == {"paraformer-v2"}
    assert said["wait"]["output"]["task_id"] in {entry["task_id"] for entry in result["output"]["data"]}


def test_unknown_task_ends_the_waiting(said: dict[str, Any]):
    assert said["unknown task"]["output"]["task_status"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("wrong key", 401, "InvalidApiKey"),
        ("wrong model", 404, "ModelNotFound"),
        ("wrong parameter", 400, "InvalidParameter"),
        ("filetrans no url", 400, "InvalidParameter"),
    ],
)
def test_refusals_arrive_with_code_and_message(said: dict[str, Any], name: str, status: int, code: str):
    result = said[name]
    assert (result["status_code"], result["code"]) == (status, code)
    assert result["message"]
    assert result["request_id"]


def test_filetrans(said: dict[str, Any]):
    result = said["filetrans call"]
    assert result["output"]["task_status"] == "SUCCEEDED"
    assert result["usage"] == {"seconds": 4}
    transcript = loopback.get(result["output"]["result"]["transcription_url"]).json()["transcripts"][0]
    assert transcript["sentences"][0]["words"]
    assert said["filetrans fetch"]["output"]["task_id"] == said["filetrans async_call"]["output"]["task_id"]
    wordless = loopback.get(said["filetrans wait"]["output"]["result"]["transcription_url"]).json()
    assert "words" not in wordless["transcripts"][0]["sentences"][0]


def test_failed_filetrans(said: dict[str, Any]):
    output = said["filetrans failed"]["output"]
    assert (output["task_status"], output["code"]) == ("FAILED", "FILE_404_NOT_FOUND")
    assert output["message"].startswith("FILE_404_NOT_FOUND")


def test_asyncio_twins(said: dict[str, Any]):
    task_id = said["twin async_call"]["output"]["task_id"]
    assert said["twin fetch"]["output"]["task_id"] == task_id
    assert said["twin wait"]["output"]["task_status"] == "SUCCEEDED"
    assert said["twin cancel"]["code"] == "UnsupportedOperation"
    assert said["twin list"]["output"]["page_size"] == 2


# --- the v2 client --------------------------------------------------------------------------------------------------


@pytest.fixture
def client(server: Server):
    import dashscope

    with dashscope.Client(api_key=server.key, base_url=server.api) as client:
        yield client


def test_v2_transcribe(client: dashscope.Client, origin: Origin):
    job = client.audio.asr.transcribe([origin("a.wav"), origin("b.wav")], model="fun-asr", poll_interval=0.2)
    assert job.succeeded
    assert job.usage.duration == 9
    assert job.submitted_at and job.scheduled_at and job.finished_at
    texts = [loopback.get(result.transcription_url).json()["transcripts"][0]["text"] for result in job.results]
    assert all(texts)
    assert job.request_id == job.headers["x-request-id"]


def test_v2_default_model_and_filetrans(client: dashscope.Client, origin: Origin):
    assert client.audio.asr.transcribe([origin("a.wav")], poll_interval=0.2).succeeded
    job = client.audio.asr.transcribe([origin("a.wav")], model="qwen3-asr-flash-filetrans", poll_interval=0.2)
    assert job.output["result"]["transcription_url"]


def test_v2_jobs_create_and_fetch(client: dashscope.Client, origin: Origin):
    job = client.audio.asr.jobs.create(model="fun-asr", file_urls=[origin("a.wav")], parameters={"channel_id": [0]})
    assert job.status == "PENDING"
    assert client.audio.asr.jobs.wait(job, poll_interval=0.2).succeeded
    assert client.audio.asr.jobs.fetch(job.task_id).succeeded


def test_v2_failed_task_raises_with_its_code(client: dashscope.Client, origin: Origin):
    from dashscope.v2.errors import DashScopeError

    with pytest.raises(DashScopeError) as caught:
        client.audio.asr.transcribe([origin("404/gone.wav")], model="fun-asr", poll_interval=0.2)
    assert caught.value.code == "InvalidFile.DownloadFailed"
    assert caught.value.message.startswith("The audio file cannot be downloaded.")


def test_v2_refusals_raise_by_kind(client: dashscope.Client, server: Server, origin: Origin):
    import dashscope
    from dashscope.v2.errors import AuthenticationError, NotFoundError

    with pytest.raises(NotFoundError) as caught:
        client.audio.asr.transcribe([origin("a.wav")], model="fun-asr-9")
    assert caught.value.code == "ModelNotFound"
    assert caught.value.request_id
    with (
        dashscope.Client(api_key="sk-wrong", base_url=server.api) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.audio.asr.transcribe([origin("a.wav")], model="fun-asr")


def test_v2_unknown_task_is_final(client: dashscope.Client):
    job = client.audio.asr.jobs.fetch("00000000-0000-4000-8000-000000000000")
    assert (job.status, job.finished, job.succeeded) == ("UNKNOWN", True, False)


def test_v2_lists_and_cancels(idle: Server, origin: Origin):
    import dashscope
    from dashscope.v2.errors import DashScopeError
    from dashscope.v2.resources._jobs import Jobs

    with dashscope.Client(api_key=idle.key, base_url=idle.api) as client:
        jobs = Jobs(client, "audio/asr/transcription", "audio")
        task = client.audio.asr.jobs.create(model="fun-asr", file_urls=[origin("a.wav")])
        listed = jobs.list(page_size=50)
        assert task.task_id in {job.task_id for job in listed.tasks}
        assert {job.status for job in listed.tasks} <= {"PENDING", "CANCELED"}
        jobs.cancel(task.task_id)
        with pytest.raises(DashScopeError, match="canceled"):
            client.audio.asr.jobs.wait(task.task_id)
        with pytest.raises(DashScopeError) as caught:
            jobs.cancel(task.task_id)
        assert caught.value.code == "UnsupportedOperation"


def test_v2_asyncio_client(server: Server, origin: Origin):
    import dashscope

    async def transcribe() -> Any:
        async with dashscope.AsyncClient(api_key=server.key, base_url=server.api) as client:
            return await client.audio.asr.transcribe([origin("a.wav")], model="paraformer-v2", poll_interval=0.2)

    job = asyncio.run(transcribe())
    assert job.succeeded
    assert_no_null(job.output)
