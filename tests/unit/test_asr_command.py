"""``dashscribe asr`` and its function against a scripted server: wire, environment, files, exit codes, repetition."""

import base64
import inspect
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripted_server import SUBMITTED, URL, Script, task

from dashscribe import asr as library
from dashscribe.asr import MAX_DATA_URI_BYTES, text_of, transcribe
from dashscribe.cli import main
from dashscribe.cli.asr import asr as command
from dashscribe.client import TRIES, ApiError, UnreachableError
from dashscribe.errors import ConfigError

CHAT = {"id": "chatcmpl-1", "choices": [{"message": {"role": "assistant", "content": "Good 早 morning."}}]}
SAID = (200, CHAT)
OURS = (200, {"status": "ok", "service": "dashscribe"})
BROKEN = (500, {"code": "InternalError", "message": "An internal error has occured.", "request_id": "r-8"})
LOST = (0, None)
RESULT = {"file_url": URL, "transcripts": [{"text": "One."}, {"text": "Two."}]}
FILETRANS = "qwen3-asr-flash-filetrans"


@dataclass(frozen=True)
class Ended:
    code: int | str | None
    out: str
    err: str

    @property
    def printed(self) -> dict[str, Any]:
        assert len(self.out.splitlines()) == 1
        assert self.out.isascii()
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and a home folder without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    for name in ("ALIBABA_CLOUD_PROFILE", "ALICLOUD_PROFILE", "OUTPUT_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    server.answers = [SAID]
    yield server
    server.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept, which takes no time."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def asr(
    script: Script, pauses: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run the command as the program does; address and key come from the environment."""
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", script.base_url)
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-x")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dashscribe", "asr", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ended(ended.value.code, captured.out, captured.err)

    return run


def finished(script: Script, **output: Any) -> list[tuple[Any, ...]]:
    """A task that is submitted, waits, runs and succeeds, and its result file."""
    url = script.base_url.replace("/api/v1", "/results/0.json?Signature=x")
    shape = output or {"result": {"transcription_url": url}}
    return [SUBMITTED, task("PENDING"), task("RUNNING"), task("SUCCEEDED", **shape), (200, RESULT)]


# --- a synchronous call ----------------------------------------------------------------------------------------------


def test_url_is_sent_to_the_compatible_interface_of_the_same_server(script: Script, asr: Callable[..., Ended]) -> None:
    ended = asr("--audio", URL, "--print-response")
    assert ended.code == 0
    assert ended.printed == {"text": "Good 早 morning.", "task_id": None, "status": "SUCCEEDED", "raw": CHAT}
    method, path, headers, body = script.seen[0]
    assert (method, path) == ("POST", "/compatible-mode/v1/chat/completions")
    assert headers["authorization"] == "Bearer sk-x"
    content = [{"type": "input_audio", "input_audio": {"data": URL}}]
    assert body == {"model": "qwen3-asr-flash", "messages": [{"role": "user", "content": content}], "stream": False}


def test_options_lie_beside_the_messages(script: Script, asr: Callable[..., Ended]) -> None:
    asr(
        *("--audio", URL, "--model", "qwen3-asr-flash-2026-02-10", "--language-hints", "zh, en,", "--sample-rate"),
        *("16000", "--vocabulary-id", "v-1", "--disfluency-removal-enabled", "--timestamp-granularities", "word"),
    )
    assert script.seen[0][3]["model"] == "qwen3-asr-flash-2026-02-10"
    assert script.seen[0][3]["asr_options"] == {
        "language_hints": ["zh", "en"],
        "sample_rate": 16000,
        "vocabulary_id": "v-1",
        "disfluency_removal_enabled": True,
        "timestamp_granularities": ["word"],
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mp3", "audio/mpeg"), ("a.MP4", "video/mp4"), ("a.unheardof", "audio/wav"), ("a.html", "audio/wav")],
)
def test_local_file_is_sent_as_a_data_uri(
    name: str, kind: str, script: Script, asr: Callable[..., Ended], place: Path
) -> None:
    (place / name).write_bytes(b"\x00\xffsound")
    assert asr("--audio", name).code == 0
    data = script.seen[0][3]["messages"][0]["content"][0]["input_audio"]["data"]
    assert data == f"data:{kind};base64,{base64.b64encode(bytes([0, 255]) + b'sound').decode()}"


def test_file_that_just_fits_is_sent_and_a_larger_one_names_limit_and_remedy(
    script: Script, asr: Callable[..., Ended], place: Path
) -> None:
    room = MAX_DATA_URI_BYTES - len("data:audio/flac;base64,")
    (place / "a.flac").write_bytes(bytes(room // 4 * 3))
    assert asr("--audio", "a.flac").code == 0
    (place / "a.flac").write_bytes(bytes(room // 4 * 3 + 1))
    ended = asr("--audio", "a.flac")
    assert ended.code == 1
    for told in ("10 MB", "--async", "dashscribe tasks submit"):
        assert told in ended.err
    assert len(script.seen) == 1


def test_file_that_does_not_exist_is_told_before_anything_is_sent(script: Script, asr: Callable[..., Ended]) -> None:
    for arguments in ((), ("--async",)):
        ended = asr("--audio", "nope.wav", *arguments)
        assert ended.code == 1
        assert "nope.wav: no such file" in ended.err
    assert script.seen == []


# --- a task ----------------------------------------------------------------------------------------------------------


def test_task_is_submitted_and_not_waited_for(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [SUBMITTED]
    ended = asr("--audio", URL, "--async", "--print-response")
    assert ended.code == 0
    assert ended.printed == {"text": "", "task_id": "t-1", "status": "PENDING", "raw": SUBMITTED[1]}
    method, path, headers, body = script.seen[0]
    assert (method, path) == ("POST", "/api/v1/services/audio/asr/transcription")
    assert headers["x-dashscope-async"] == "enable"
    assert headers["idempotency-key"]
    assert body == {"model": "qwen3-asr-flash", "input": {"file_url": URL}, "parameters": {}}


@pytest.mark.parametrize(
    ("model", "source", "parameters"),
    [
        (FILETRANS, {"file_url": URL}, {"language": "en", "sample_rate": 8000}),
        ("fun-asr", {"file_urls": [URL]}, {"language_hints": ["en"], "sample_rate": 8000}),
    ],
)
def test_models_that_take_tasks_only_need_no_flag_and_get_the_options_as_parameters(
    model: str, source: Any, parameters: Any, script: Script, asr: Callable[..., Ended]
) -> None:
    script.answers = [SUBMITTED]
    assert asr("--audio", URL, "--model", model, "--language-hints", "en", "--sample-rate", "8000").code == 0
    assert script.seen[0][3] == {"model": model, "input": source, "parameters": parameters}


def test_upload_of_another_time_is_named_with_the_header_that_resolves_it(
    script: Script, asr: Callable[..., Ended]
) -> None:
    script.answers = [SUBMITTED]
    asr("--audio", "oss://dashscope-instant/a/b.wav", "--model", FILETRANS)
    assert script.seen[0][2]["x-dashscope-ossresourceresolve"] == "enable"


def test_waiting_asks_until_the_end_and_fetches_the_result(
    script: Script, asr: Callable[..., Ended], pauses: list[float]
) -> None:
    script.answers = finished(script)
    ended = asr("--audio", URL, "--model", FILETRANS, "--wait", "--poll-interval", "0.5", "--print-response")
    assert ended.code == 0
    answer = ended.printed
    assert (answer["text"], answer["task_id"], answer["status"]) == ("One.\nTwo.", "t-1", "SUCCEEDED")
    assert answer["raw"]["transcription_result"] == RESULT
    assert answer["raw"]["output"]["task_status"] == "SUCCEEDED"
    assert [path for _, path, _, _ in script.seen[1:]] == [*["/api/v1/tasks/t-1"] * 3, "/results/0.json?Signature=x"]
    assert all("x-dashscope-async" not in headers for _, _, headers, _ in script.seen[1:])
    assert "authorization" not in script.seen[-1][2]
    assert pauses == [0.5, 0.5]


def test_result_of_a_model_with_several_files_is_fetched_too(script: Script, asr: Callable[..., Ended]) -> None:
    url = script.base_url.replace("/api/v1", "/results/0.json?Signature=x")
    script.answers = finished(script, results=[{"transcription_url": url, "subtask_status": "SUCCEEDED"}])
    assert asr("--audio", URL, "--model", "fun-asr", "--wait", "--print-response").printed["text"] == "One.\nTwo."


@pytest.mark.parametrize("status", ["FAILED", "CANCELED", "UNKNOWN"])
def test_task_that_does_not_succeed_is_kept_and_fails(
    status: str, script: Script, asr: Callable[..., Ended], place: Path
) -> None:
    script.answers = [SUBMITTED, task(status, code="FILE_403_FORBIDDEN", message="it answered 403")]
    ended = asr("--audio", URL, "--async", "--wait", "--output", "a.json")
    assert ended.code == 2
    assert f"task t-1 ended as {status}: FILE_403_FORBIDDEN: it answered 403" in ended.err
    assert json.loads((place / "a.json").read_text())["status"] == status


def test_task_that_takes_too_long_is_named_with_what_to_do(
    script: Script, asr: Callable[..., Ended], pauses: list[float]
) -> None:
    script.answers = [SUBMITTED, task("RUNNING")]
    ended = asr("--audio", URL, "--async", "--wait", "--max-waits", "3")
    assert ended.code == 2
    assert "not finished after 3 polls" in ended.err
    assert "dashscribe tasks wait t-1" in ended.err
    assert len(script.seen) == 4
    assert pauses == [8.0, 8.0]


def test_interruption_names_the_task_that_goes_on(
    script: Script, asr: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    script.answers = [SUBMITTED, task("RUNNING")]
    monkeypatch.setattr(time, "sleep", interrupted)
    ended = asr("--audio", URL, "--async", "--wait")
    assert ended.code == 130
    assert "dashscribe tasks wait t-1" in ended.err


# --- environment -----------------------------------------------------------------------------------------------------


def used_key(script: Script) -> str:
    return script.seen[-1][2]["authorization"].removeprefix("Bearer ")


def write_credentials(text: str) -> None:
    file = Path.home() / ".alibabacloud" / "credentials"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_dotenv_of_folder_and_repository_are_read_and_override_nothing(
    script: Script, asr: Callable[..., Ended], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    monkeypatch.delenv("DASHSCOPE_HTTP_BASE_URL")
    (place / ".git").mkdir()
    (place / ".env").write_text(f'DASHSCOPE_API_KEY="sk-root"\nDASHSCOPE_HTTP_BASE_URL={script.base_url}\n')
    inner = place / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert asr("--audio", URL).code == 0
    assert used_key(script) == "sk-root"
    (inner / ".env").write_text("export DASHSCOPE_API_KEY=sk-inner # mine\nOUTPUT_DIR=kept\n")
    assert asr("--audio", URL).code == 0
    assert used_key(script) == "sk-inner"
    assert (inner / "kept" / "ai-audio-asr" / "transcripts" / "result.json").is_file()
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-set")
    asr("--audio", URL)
    assert used_key(script) == "sk-set"
    asr("--audio", URL, "--api-key", "sk-given")
    assert used_key(script) == "sk-given"


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({}, "sk-default"),
        ({"ALICLOUD_PROFILE": "second"}, "sk-50%"),
        ({"ALIBABA_CLOUD_PROFILE": "second", "ALICLOUD_PROFILE": "default"}, "sk-50%"),
    ],
)
def test_credentials_file_is_read_by_profile(
    variables: dict[str, str], key: str, script: Script, asr: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_credentials("[default]\ndashscope_api_key = sk-default\n[second]\nDASHSCOPE_API_KEY=sk-50%\n")
    asr("--audio", URL)
    assert used_key(script) == "sk-x"
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asr("--audio", URL)
    assert used_key(script) == key


@pytest.mark.parametrize("credentials", ["", "[default]\naccess_key_id = x\n", "[other]\ndashscope_api_key=sk\n"])
def test_missing_key_is_a_wrong_set_up(
    credentials: str, script: Script, asr: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_credentials(credentials)
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    ended = asr("--audio", URL)
    assert ended.code == 1
    assert "no API key" in ended.err
    assert "DASHSCOPE_API_KEY" in ended.err
    assert script.seen == []


def test_files_that_cannot_be_read_are_named(
    asr: Callable[..., Ended], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    write_credentials("no section\n")
    ended = asr("--audio", URL)
    assert (ended.code, "credentials cannot be read" in ended.err) == (1, True)
    (place / ".env").write_bytes(b"A=\xff\xfe")
    ended = asr("--audio", URL)
    assert (ended.code, ".env cannot be read" in ended.err) == (1, True)


@pytest.mark.parametrize("path", ["", "/", "/api/v1", "/api/v1/", "/compatible-mode/v1"])
def test_base_url_may_name_the_server_or_either_interface(
    path: str, script: Script, asr: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_HTTP_BASE_URL")
    base_url = script.base_url.removesuffix("/api/v1") + path
    script.answers = [SAID, SUBMITTED]
    asr("--audio", URL, "--base-url", base_url)
    asr("--audio", URL, "--base-url", base_url, "--async")
    assert [path for _, path, _, _ in script.seen] == [
        "/compatible-mode/v1/chat/completions",
        "/api/v1/services/audio/asr/transcription",
    ]


def test_unusable_base_url_is_a_wrong_set_up(asr: Callable[..., Ended]) -> None:
    ended = asr("--audio", URL, "--base-url", "localhost:8000")
    assert (ended.code, "localhost:8000" in ended.err) == (1, True)


# --- the output file -------------------------------------------------------------------------------------------------


def test_answer_is_kept_in_the_default_place_and_nothing_printed(asr: Callable[..., Ended], place: Path) -> None:
    ended = asr("--audio", URL)
    assert ended.out == ""
    kept = place / "output" / "ai-audio-asr" / "transcripts" / "result.json"
    assert str(kept.relative_to(place)) in ended.err
    text = kept.read_text(encoding="utf-8")
    assert json.loads(text)["raw"] == CHAT
    assert text.startswith('{\n  "text": "Good 早 morning."')


def test_output_folder_is_made(asr: Callable[..., Ended], place: Path) -> None:
    asr("--audio", URL, "--output", "x/y/z.json")
    assert (place / "x" / "y" / "z.json").is_file()
    assert not (place / "output").exists()


def test_output_that_cannot_be_written_is_told_before_anything_is_sent(
    script: Script, asr: Callable[..., Ended], place: Path
) -> None:
    (place / "x").write_text("a file")
    assert asr("--audio", URL, "--output", "x/z.json").code == 1
    (place / "folder").mkdir()
    assert asr("--audio", URL, "--output", "folder").code == 1
    assert script.seen == []


# --- failures and repetition -----------------------------------------------------------------------------------------


def test_refusal_is_told_as_it_came_and_not_repeated(
    script: Script, asr: Callable[..., Ended], pauses: list[float], place: Path
) -> None:
    script.answers = [(401, {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}})]
    ended = asr("--audio", URL)
    assert ended.code == 2
    assert "HTTP 401" in ended.err
    assert "Incorrect API key provided." in ended.err
    assert "sk-x" not in ended.err
    assert (len(script.seen), pauses) == (1, [])
    assert not (place / "output" / "ai-audio-asr" / "transcripts" / "result.json").exists()


@pytest.mark.parametrize("failure", [(429, {}), BROKEN, (503, b"<html>"), LOST])
def test_synchronous_call_is_repeated(
    failure: tuple[Any, ...], script: Script, asr: Callable[..., Ended], pauses: list[float]
) -> None:
    script.answers = [failure, failure, SAID]
    assert asr("--audio", URL).code == 0
    assert len(pauses) == 2
    assert pauses[0] < pauses[1]


def test_synchronous_call_is_given_up_after_a_few_tries(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [BROKEN]
    ended = asr("--audio", URL)
    assert (ended.code, len(script.seen)) == (2, TRIES)
    assert "HTTP 500" in ended.err


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "waited"), [("3", 3.0), ("900", 30.0)])
def test_retry_after_is_honored_within_bounds(
    status: int, asked: str, waited: float, script: Script, asr: Callable[..., Ended], pauses: list[float]
) -> None:
    script.answers = [(status, {}, {"Retry-After": asked}), SAID]
    assert asr("--audio", URL).code == 0
    assert pauses == [waited]


def test_busy_server_is_asked_again_for_a_task_too(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [(429, {}), SUBMITTED]
    assert asr("--audio", URL, "--async").code == 0
    assert [path.rpartition("/")[2] for _, path, _, _ in script.seen] == ["transcription"] * 2


@pytest.mark.parametrize("failure", [BROKEN, LOST])
def test_lost_submission_is_repeated_with_its_key_to_a_server_of_ours(
    failure: tuple[Any, ...], script: Script, asr: Callable[..., Ended]
) -> None:
    script.answers = [failure, LOST, OURS, SUBMITTED]
    assert asr("--audio", URL, "--async", "--print-response").printed["task_id"] == "t-1"
    posts = [(headers["idempotency-key"], body) for method, _, headers, body in script.seen if method == "POST"]
    assert len(posts) == 2
    assert posts[0] == posts[1]
    assert [path for method, path, _, _ in script.seen if method == "GET"] == ["/healthz"] * 2


@pytest.mark.parametrize("health", [(404, b"<html>"), (200, b"ok"), (200, {"status": "ok"}), (200, [])])
def test_lost_submission_to_another_server_is_not_repeated(
    health: tuple[Any, ...], script: Script, asr: Callable[..., Ended]
) -> None:
    script.answers = [LOST, health]
    ended = asr("--audio", URL, "--async")
    assert ended.code == 2
    assert "a task may have been made" in ended.err
    assert [method for method, _, _, _ in script.seen] == ["POST", "GET"]


def test_two_submissions_have_two_keys(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [SUBMITTED]
    for _ in range(2):
        asr("--audio", URL, "--async")
    assert len({headers["idempotency-key"] for _, _, headers, _ in script.seen}) == 2


def test_question_about_a_task_is_repeated(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [SUBMITTED, BROKEN, LOST, *finished(script)[3:]]
    assert asr("--audio", URL, "--async", "--wait").code == 0


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Base URL of a server that takes connections and never answers; patience is short."""
    monkeypatch.setattr(library, "TIMEOUT", httpx.Timeout(60.0, read=0.1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"


def test_synchronous_call_that_ran_out_of_time_is_not_made_again(mute: str, pauses: list[float]) -> None:
    with pytest.raises(UnreachableError, match="timed out"):
        transcribe(URL, base_url=mute, api_key="k")
    assert pauses == []


def test_submission_that_ran_out_of_time_is_not_made_again_while_the_server_is_unknown(
    mute: str, pauses: list[float]
) -> None:
    with pytest.raises(ApiError, match="a task may have been made"):
        transcribe(URL, base_url=mute, api_key="k", asynchronous=True)
    assert len(pauses) == TRIES - 1  # all of them between questions whose server it is


def test_server_that_is_not_there_is_named_with_the_remedy(asr: Callable[..., Ended], pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ended = asr("--audio", URL, "--base-url", f"http://127.0.0.1:{port}")
    assert ended.code == 2
    assert f"127.0.0.1:{port}" in ended.err
    assert "--base-url" in ended.err
    assert len(pauses) == TRIES - 1


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'"text"'])
@pytest.mark.parametrize("how", [(), ("--async",)])
def test_good_answer_that_cannot_be_read_is_a_failed_request(
    body: bytes, how: tuple[str, ...], script: Script, asr: Callable[..., Ended]
) -> None:
    script.answers = [(200, body)]
    ended = asr("--audio", URL, *how)
    assert (ended.code, "cannot be read" in ended.err) == (2, True)


def test_answer_that_names_no_task_is_a_failed_request(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [(200, {"output": {"task_status": "PENDING"}})]
    ended = asr("--audio", URL, "--async")
    assert (ended.code, "names no task" in ended.err) == (2, True)


def test_task_whose_result_cannot_be_fetched_is_named(script: Script, asr: Callable[..., Ended]) -> None:
    script.answers = [*finished(script)[:4], (403, b"<Error><Code>AccessDenied</Code></Error>")]
    ended = asr("--audio", URL, "--async", "--wait")
    assert ended.code == 2
    assert "AccessDenied" in ended.err
    assert "dashscribe tasks wait t-1" in ended.err


# --- the function ----------------------------------------------------------------------------------------------------


def test_function_returns_the_same_object_and_changes_no_environment(
    script: Script, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / ".env").write_text("DASHSCOPE_API_KEY=sk-file\n")
    (place / "a.wav").write_bytes(b"sound")
    answer = transcribe(place / "a.wav", base_url=script.base_url, language_hints=["en"])
    assert answer == {"text": "Good 早 morning.", "task_id": None, "status": "SUCCEEDED", "raw": CHAT}
    assert used_key(script) == "sk-file"
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    (place / ".env").unlink()
    with pytest.raises(ConfigError, match="no API key"):
        transcribe(URL, base_url=script.base_url)


def test_function_tells_the_task_before_it_waits(script: Script, pauses: list[float]) -> None:
    script.answers = finished(script)
    told: list[tuple[str, int]] = []
    answer = transcribe(
        URL,
        model=FILETRANS,
        wait=True,
        base_url=script.base_url,
        api_key="k",
        on_task=lambda task_id: told.append((task_id, len(script.seen))),
    )
    assert told == [("t-1", 1)]
    assert answer["text"] == "One.\nTwo."


def test_defaults_of_the_command_are_those_of_the_function() -> None:
    of_function = {name: p.default for name, p in inspect.signature(transcribe).parameters.items()}
    of_command = {name: p.default for name, p in inspect.signature(command).parameters.items()}
    shared = {
        "model",
        "sample_rate",
        "vocabulary_id",
        "disfluency_removal_enabled",
        "wait",
        "poll_interval",
        "max_waits",
    }
    assert shared <= of_function.keys() & of_command.keys()
    for name in shared:
        assert of_command[name] == of_function[name], name


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"choices": [{"message": {"content": "a"}}], "output": {"text": "b"}}, "a"),
        ({"choices": [{"message": {"content": ""}}], "output": {"text": "b"}}, ""),
        ({"transcription_result": {"transcripts": [{"text": "a"}, {"text": "b"}]}, "text": "c"}, "a\nb"),
        ({"output": {"transcription": {"text": "a"}, "text": "b"}}, "a"),
        ({"output": {"results": [{"transcription": {"text": "a"}}, {}, {"transcription": {"text": "b"}}]}}, "a\nb"),
        ({"output": {"choices": [{"message": {"content": [{"text": "a"}, {"text": "b"}]}}]}}, "a"),
        ({"transcription_result": {"transcripts": []}, "x": [1, None, {"text": 5}, {"y": {"text": "a"}}]}, "a"),
        ({"choices": [], "output": None}, ""),
        ({}, ""),
    ],
)
def test_text_is_found_in_an_answer_of_any_shape(raw: dict[str, Any], text: str) -> None:
    assert text_of(raw) == text
