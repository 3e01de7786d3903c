"""The client against a server that answers by script: what is repeated, what is not, and what errors say."""

import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import SUBMITTED, URL, Script, task

from dashscribe.client import TRIES, ApiError, Client, RemoteFile, UnreachableError
from dashscribe.client.sending import FRUITLESS_TRIES
from dashscribe.errors import ConfigError

BUSY = (429, {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded.", "request_id": "r-9"})
BROKEN = (500, {"code": "InternalError", "message": "An internal error has occured.", "request_id": "r-8"})


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    yield server
    server.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(script: Script, pauses: list[float]) -> Iterator[Client]:
    with Client(script.base_url, "sk-secret", sleep=pauses.append) as made:
        yield made


# --- calls -----------------------------------------------------------------------------------------------------------


def test_submit_sends_the_documented_request(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED]
    made = client.submit("fun-asr", [URL], {"channel_id": [0, 1]})
    assert (made.id, made.status) == ("t-1", "PENDING")
    method, path, headers, body = script.seen[0]
    assert (method, path) == ("POST", "/api/v1/services/audio/asr/transcription")
    assert headers["authorization"] == "Bearer sk-secret"
    assert headers["x-dashscope-async"] == "enable"
    assert body == {"model": "fun-asr", "input": {"file_urls": [URL]}, "parameters": {"channel_id": [0, 1]}}


def test_submit_for_a_filetrans_model_sends_one_url(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED]
    client.submit("qwen3-asr-flash-filetrans", [URL])
    assert script.seen[0][3]["input"] == {"file_url": URL}


def test_task_of_several_files_is_read(script: Script, client: Client) -> None:
    good = {"file_url": URL, "transcription_url": "https://x/1.json?Signature=a", "subtask_status": "SUCCEEDED"}
    bad = {"file_url": URL, "code": "FILE_TOO_LARGE", "message": "too large", "subtask_status": "FAILED"}
    script.answers = [task("SUCCEEDED", results=[good, bad], task_metrics={"TOTAL": 2, "SUCCEEDED": 1, "FAILED": 1})]
    found = client.task("t-1").task
    assert found.is_final
    assert found.files == (
        RemoteFile(url=URL, status="SUCCEEDED", result_url="https://x/1.json?Signature=a"),
        RemoteFile(url=URL, status="FAILED", code="FILE_TOO_LARGE", message="too large"),
    )
    assert found.metrics["FAILED"] == 1


def test_task_of_the_filetrans_shape_is_read(script: Script, client: Client) -> None:
    script.answers = [task("SUCCEEDED", result={"transcription_url": "https://x/2.json"})]
    assert client.task("t-1").task.files == (RemoteFile(result_url="https://x/2.json"),)


def test_task_id_cannot_leave_its_place_in_the_path(script: Script, client: Client) -> None:
    script.answers = [task("UNKNOWN")]
    assert client.task("../files?x=1#y").task.is_final
    assert script.seen[0][1] == "/api/v1/tasks/..%2Ffiles%3Fx%3D1%23y"


def test_wait_asks_until_the_end_with_growing_pauses(script: Script, client: Client, pauses: list[float]) -> None:
    running = task("RUNNING")
    running[1]["dashscribe"] = {"progress": {"done_ms": 500, "total_ms": 2000}, "later": True}
    script.answers = [task("PENDING"), *[running] * 20, task("SUCCEEDED")]
    seen: list[tuple[str, int]] = []
    answer = client.wait("t-1", lambda a: seen.append((a.task.status, a.extras.progress.done_ms)))
    assert answer.task.status == "SUCCEEDED"
    assert seen == [("PENDING", 0), *[("RUNNING", 500)] * 20, ("SUCCEEDED", 0)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0


def test_wait_gives_up_after_its_time(script: Script, client: Client) -> None:
    script.answers = [task("RUNNING")]
    with pytest.raises(TimeoutError, match="t-1 is still RUNNING after 0 s"):
        client.wait("t-1", timeout_s=0)


def test_list_is_read_and_filtered(script: Script, client: Client) -> None:
    row = {"task_id": "t-1", "model_name": "fun-asr", "status": "FAILED", "gmt_create": 5, "end_time": 9, "code": "X"}
    script.answers = [(200, {"request_id": "r", "total": 7, "data": [row], "tasks": [], "page_no": 1})]
    page = client.list(status="FAILED", page_size=50)
    assert (page.total, page.tasks[0].id, page.tasks[0].ended_ms) == (7, "t-1", 9)
    assert script.seen[0][1] == "/api/v1/tasks/?status=FAILED&page_no=1&page_size=50"


def test_cancel_posts_and_reports_a_refusal(script: Script, client: Client) -> None:
    script.answers = [
        (200, {"request_id": "r"}),
        (400, {"code": "UnsupportedOperation", "message": "Failed to cancel"}),
    ]
    client.cancel("t-1")
    assert script.seen[0][:2] == ("POST", "/api/v1/tasks/t-1/cancel")
    with pytest.raises(ApiError, match=r"UnsupportedOperation \(HTTP 400\): Failed to cancel") as caught:
        client.cancel("t-1")
    assert (caught.value.http_status, caught.value.api_code) == (400, "UnsupportedOperation")


def test_result_is_downloaded_without_the_key(script: Script, client: Client) -> None:
    script.answers = [(200, {"file_url": URL, "transcripts": []})]
    url = script.base_url.replace("/api/v1", "/results/1.json?Expires=1&Signature=x%2Fy")
    assert client.result(url)["file_url"] == URL
    assert script.seen[0][1] == "/results/1.json?Expires=1&Signature=x%2Fy"
    assert "authorization" not in script.seen[0][2]


# --- what is repeated ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [BUSY, BROKEN, (503, b"<html>"), (0, None)])
def test_question_is_repeated_until_it_is_answered(
    failure: tuple[Any, ...], script: Script, client: Client, pauses: list[float]
) -> None:
    script.answers = [failure, failure, task("RUNNING")]
    assert client.task("t-1").task.status == "RUNNING"
    assert len(pauses) == 2


def test_question_is_given_up_after_a_few_tries(script: Script, client: Client) -> None:
    script.answers = [BROKEN]
    with pytest.raises(ApiError, match=r"InternalError \(HTTP 500\): An internal error has occured\. \[request r-8\]"):
        client.task("t-1")
    assert len(script.seen) == TRIES


@pytest.mark.parametrize("away", [FRUITLESS_TRIES - 2, FRUITLESS_TRIES])
def test_upload_outlives_a_server_that_is_away_for_a_while(
    away: int, script: Script, client: Client, pauses: list[float], tmp_path: Path
) -> None:
    """It breaks off, then nobody tells how far it is."""
    (tmp_path / "a.wav").write_bytes(b"sound")
    begun = (201, b"", {"Location": f"{script.base_url}/pieces/1"})
    done = (204, b"", {"Upload-Offset": "5", "Dashscribe-Upload-Url": "oss://bucket/a.wav"})
    script.answers = [(204, b"", {"Tus-Resumable": "1.0.0"}), begun, (0, None), *[(0, None)] * away]
    script.answers += [(200, b"", {"Upload-Offset": "0"}), done]
    if away == FRUITLESS_TRIES:
        with pytest.raises(UnreachableError):
            client.upload(tmp_path / "a.wav")
        return
    assert client.upload(tmp_path / "a.wav") == "oss://bucket/a.wav"
    assert len(pauses) == away + 1
    assert sum(pauses) > 15  # longer than a server takes to start again


@pytest.mark.parametrize(("asked", "waited"), [("3", 3.0), ("900", 30.0)])
def test_retry_after_is_honored_within_bounds(
    asked: str, waited: float, script: Script, client: Client, pauses: list[float]
) -> None:
    script.answers = [(*BUSY, {"Retry-After": asked}), SUBMITTED]
    client.submit("fun-asr", [URL])
    assert pauses == [waited]


@pytest.mark.parametrize("failure", [BROKEN, (503, b""), (0, None)])
def test_submission_that_may_have_been_taken_is_not_repeated(
    failure: tuple[Any, ...], script: Script, client: Client
) -> None:
    script.answers = [failure, SUBMITTED]
    with pytest.raises((ApiError, UnreachableError)):
        client.submit("fun-asr", [URL])
    assert len(script.seen) == 1


def test_submission_to_a_server_that_is_just_starting_is_repeated(script: Script, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", "sk-x", sleep=pauses.append) as client,
        pytest.raises(UnreachableError, match="is the server running"),
    ):
        client.submit("fun-asr", [URL])
    assert len(pauses) == TRIES - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusal_is_not_repeated(status: int, script: Script, client: Client) -> None:
    script.answers = [(status, {"code": "C", "message": "M"})]
    with pytest.raises(ApiError, match=rf"C \(HTTP {status}\): M"):
        client.task("t-1")
    assert len(script.seen) == 1


# --- what errors say -------------------------------------------------------------------------------------------------


def test_refused_key_names_the_remedy_and_not_the_key(script: Script, client: Client) -> None:
    script.answers = [(401, {"code": "InvalidApiKey", "message": "Invalid API-key provided."})]
    with pytest.raises(ApiError, match="DASHSCOPE_API_KEY") as caught:
        client.task("t-1")
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>gateway</html>", b"[1]", b'"text"', b'{"code": null}'])
def test_refusal_without_the_envelope_is_told_by_its_status(body: bytes, script: Script, client: Client) -> None:
    script.answers = [(404, body)]
    with pytest.raises(ApiError, match="HTTP 404"):
        client.task("t-1")


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"output": {}}', b'{"output": {"task_id": 5}}'])
def test_good_answer_that_cannot_be_read_is_an_error(body: bytes, script: Script, client: Client) -> None:
    script.answers = [(200, body)]
    with pytest.raises(ApiError, match="cannot be read"):
        client.task("t-1")


def test_errors_survive_pickling() -> None:
    refused = pickle.loads(pickle.dumps(ApiError("d", 429, "C", 3.0)))
    assert (refused.detail, refused.http_status, refused.api_code, refused.retry_after_s) == ("d", 429, "C", 3.0)
    lost = pickle.loads(pickle.dumps(UnreachableError("d", True)))
    assert (lost.detail, lost.sent) == ("d", True)


# --- where it points -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://h:8000", "http://h:8000/api/v1"),
        ("http://h:8000/", "http://h:8000/api/v1"),
        ("https://h/api/v1/", "https://h/api/v1"),
        ("https://h/asr/api/v1", "https://h/asr/api/v1"),
    ],
)
def test_base_url_that_names_only_a_server_gets_the_path(given: str, used: str) -> None:
    assert Client(given).base_url == used


def test_environment_of_the_official_client_is_honored(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", script.base_url)
    monkeypatch.setenv("DASHSCRIBE_API_KEY", "sk-ours")
    script.answers = [task("RUNNING")]
    Client().task("t-1")
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-official")
    Client().task("t-1")
    Client(api_key="sk-argument").task("t-1")
    assert [h["authorization"] for _, _, h, _ in script.seen] == [
        "Bearer sk-ours",
        "Bearer sk-official",
        "Bearer sk-argument",
    ]


def test_this_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().base_url == "http://127.0.0.1:8000/api/v1"


def test_proxy_of_the_environment_is_no_way_to_this_machine(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    script.answers = [task("RUNNING")]
    assert Client(script.base_url, "k").task("t-1").task.status == "RUNNING"


@pytest.mark.parametrize("given", ["localhost:8000", "ftp://h/", "/api/v1", "http://", "http://[::1"])
def test_unusable_base_url_is_named(given: str) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        Client(given)


def test_unusable_key_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="--api-key") as caught:
        Client(api_key="sk-钥\n")
    assert "钥" not in str(caught.value)


def test_a_temporary_key_is_asked_for_with_its_life(script: Script, client: Client) -> None:
    script.answers = [(200, {"token": "st-1", "expires_at": 1780315860})]
    assert client.lend(600)["token"] == "st-1"
    assert script.seen[0][:2] == ("POST", "/api/v1/tokens?expire_in_seconds=600")
