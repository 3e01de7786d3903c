"""A client's ``transcribe`` against a server that answers by script: what is sent, what comes of the answers."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import SUBMITTED, URL, Script, task

import dashscribe
from dashscribe import Client, Hotword
from dashscribe.errors.sources import FileTooLargeError

RESULT = {
    "file_url": "https://inner/a.wav",
    "properties": {"audio_format": "mp3", "channels": [0], "original_sampling_rate": 8000,
                   "original_duration_in_milliseconds": 1000},
    "transcripts": [{"channel_id": 0, "text": "Hi.", "sentences": [
        {"begin_time": 0, "end_time": 900, "text": "Hi.", "words": [
            {"begin_time": 0, "end_time": 900, "text": "Hi", "punctuation": "."}]}]}],
}  # fmt: skip
DELETED = (200, {"request_id": "r-3", "output": {}})


def ended(script: Script, **extras: Any) -> list[tuple[Any, ...]]:
    """The answers of a task that succeeds: that, and its result."""
    file = {"file_url": URL, "transcription_url": f"{script.base_url}/r", "subtask_status": "SUCCEEDED"}
    answer = task("SUCCEEDED", results=[file])
    return [(200, {**answer[1], "dashscribe": extras}), (200, RESULT)]


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    with Client(script.base_url, "sk-x", sleep=lambda _: None) as made:
        yield made


def test_a_url_goes_through_a_task_and_comes_back_as_a_transcript(script: Script, client: Client) -> None:
    running = (200, {**task("RUNNING")[1], "dashscribe": {"progress": {"done_ms": 500, "total_ms": 1000}}})
    script.answers = [SUBMITTED, running, *ended(script, notes=["odd"])]
    far: list[float] = []
    made = client.transcribe(
        URL,
        model="paraformer-v2",
        language=["en", "zh"],
        channels=[0, 1],
        diarize=True,
        speaker_count=2,
        drop_fillers=True,
        refine_times=True,
        speech_noise_threshold=0.5,
        on_progress=lambda progress: far.append(progress.fraction),
    )
    assert script.seen[0][3]["parameters"] == {
        "language_hints": ["en", "zh"],
        "channel_id": [0, 1],
        "diarization_enabled": True,
        "speaker_count": 2,
        "disfluency_removal_enabled": True,
        "timestamp_alignment_enabled": True,
        "speech_noise_threshold": 0.5,
    }
    assert (made.text, made.media.url, made.media.rate_hz, made.notes) == ("Hi.", URL, 8000, ("odd",))
    assert made.sentences[0].words[0].punctuation == "."
    assert made.to_srt().splitlines()[2] == "Hi."
    assert far == [0.5, 0.0]


def test_what_a_model_does_not_take_is_a_note_and_not_sent(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED, *ended(script)]
    made = client.transcribe(
        URL, model="sensevoice-v1", diarize=True, context="x", denoise=True, hotwords="etcd", itn=True
    )
    assert script.seen[0][3]["parameters"] == {}
    told = " ".join(made.notes)
    for name in ("diarization_enabled", "context", "denoise", "hotwords"):
        assert name in told
    assert "itn" not in told  # its numbers come as digits anyway


def test_a_filetrans_model_gets_one_language_and_words(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED, *ended(script)]
    client.transcribe(URL, model="qwen3-asr-flash-filetrans", language="zh", itn=True, context="etcd")
    assert script.seen[0][3]["parameters"] == {
        "language": "zh", "enable_itn": True, "enable_words": True, "context": "etcd",
    }  # fmt: skip


def test_hotwords_are_a_list_for_this_task_alone(script: Script, client: Client) -> None:
    made = (200, {"request_id": "r", "output": {"vocabulary_id": "vocab-onetask-1"}})
    script.answers = [made, SUBMITTED, *ended(script), DELETED]
    client.transcribe(URL, hotwords=["etcd", Hotword("云原生", 5, "zh")])
    create, submit, *_, delete = [body for *_, body in script.seen]
    assert create["input"]["vocabulary"] == [
        {"text": "etcd", "weight": 4},
        {"text": "云原生", "weight": 5, "lang": "zh"},
    ]
    assert create["input"]["target_model"] == "fun-asr"
    assert submit["parameters"]["vocabulary_id"] == "vocab-onetask-1"
    assert delete["input"] == {"action": "delete_vocabulary", "vocabulary_id": "vocab-onetask-1"}


def test_the_list_is_gone_even_when_the_task_is_refused(script: Script, client: Client) -> None:
    made = (200, {"request_id": "r", "output": {"vocabulary_id": "vocab-onetask-1"}})
    script.answers = [made, (400, {"code": "InvalidParameter", "message": "no"}), DELETED]
    with pytest.raises(dashscribe.ApiError, match="InvalidParameter"):
        client.transcribe(URL, hotwords="etcd")
    assert script.seen[-1][3]["input"]["action"] == "delete_vocabulary"


def test_a_local_file_is_uploaded_with_progress(
    script: Script, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / "会议.wav"
    local.write_bytes(b"sound")
    monkeypatch.setattr(Client, "upload", lambda _, path, model, on_bytes: on_bytes(3, 5) or f"oss://d/{path.name}")
    script.answers = [SUBMITTED, *ended(script)]
    moved: list[tuple[int, int | None]] = []
    made = client.transcribe(local, on_progress=lambda p: moved.append((p.moved_bytes, p.total_bytes)))
    assert script.seen[0][3]["input"] == {"file_urls": ["oss://d/会议.wav"]}
    assert script.seen[0][2]["x-dashscope-ossresourceresolve"] == "enable"
    assert moved[0] == (3, 5)
    assert made.media.url == str(local)


def failed(code: str, message: str, **extras: Any) -> tuple[int, dict[str, Any]]:
    file = {"file_url": URL, "code": code, "message": message, "subtask_status": "FAILED"}
    return 200, {**task("FAILED", results=[file], code=code, message=message)[1], "dashscribe": extras}


def test_a_file_that_failed_is_the_error_that_it_would_be_here(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED, failed("FILE_TOO_LARGE", "FILE_TOO_LARGE 3 GB; the limit is 2 GB")]
    with pytest.raises(FileTooLargeError, match=r"^3 GB; the limit is 2 GB$"):
        client.transcribe(URL)
    script.answers = [SUBMITTED, failed("SomethingNew", "what nobody knows")]
    with pytest.raises(dashscribe.ApiError, match="t-1 ended as FAILED: SomethingNew: what nobody knows") as caught:
        client.transcribe(URL)
    assert caught.value.api_code == "SomethingNew"


def test_a_file_without_speech_is_a_transcript_without_sentences(script: Script, client: Client) -> None:
    about = {"files": [{"index": 0, "notes": ["odd"], "ledger": {"non_speech": 4_000}}], "engine": "standin"}
    script.answers = [SUBMITTED, failed("SUCCESS_WITH_NO_VALID_FRAGMENT", "SUCCESS_WITH_NO_VALID_FRAGMENT", **about)]
    made = client.transcribe(URL, channels=[1, 0])
    assert (made.text, [track.channel for track in made.tracks], made.engine) == ("", [1, 0], "standin")
    assert made.tracks[0].ledger[0].end_ms == 2_000  # the server tells the sum of both channels
    assert made.notes == ("odd",)


def test_what_a_server_cannot_do_is_refused_before_anything_is_sent(
    script: Script, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(dashscribe.InvalidParameterError, match="cut the file"):
        client.transcribe(URL, begin_ms=1_000)
    with pytest.raises(dashscribe.InvalidParameterError, match="synchronous calls only"):
        client.transcribe(URL, model="qwen3-asr-flash")
    with pytest.raises(dashscribe.SourceError, match="no such file"):
        client.transcribe(tmp_path / "gone.wav")
    with pytest.raises(TypeError, match="'langauge'"):
        client.transcribe(URL, langauge="en")  # pyright: ignore[reportCallIssue]
    assert script.seen == []


def test_giving_up_cancels_the_task(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED, task("PENDING"), (200, {"request_id": "r"})]
    with pytest.raises(dashscribe.UnfinishedError, match="still PENDING") as caught:
        client.transcribe(URL, timeout_s=0)
    assert isinstance(caught.value, TimeoutError)
    assert script.seen[-1][1] == "/api/v1/tasks/t-1/cancel"


def test_what_a_callback_raises_ends_the_awaiting_too(script: Script, client: Client) -> None:
    def full(progress: dashscribe.Progress) -> None:
        raise LookupError("enough")

    script.answers = [SUBMITTED, task("PENDING")]
    with pytest.raises(LookupError, match="enough"):
        asyncio.run(asyncio.wait_for(client.atranscribe(URL, on_progress=full), 10))
    assert script.seen[-1][1] == "/api/v1/tasks/t-1/cancel"


def test_awaiting_gives_the_same_and_canceling_gives_up(script: Script) -> None:
    async def good() -> None:
        with Client(script.base_url, "sk-x", sleep=lambda _: None) as client:
            script.answers = [SUBMITTED, *ended(script)]
            assert (await client.atranscribe(URL)).text == "Hi."

    async def canceled() -> None:
        asked = threading.Event()
        with Client(script.base_url, "sk-x", sleep=lambda _: asked.set() or asked.wait(0.01)) as client:
            script.answers = [SUBMITTED, task("PENDING")]
            waiting = asyncio.ensure_future(client.atranscribe(URL))
            await asyncio.to_thread(asked.wait)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert script.seen[-1][1] == "/api/v1/tasks/t-1/cancel"

    asyncio.run(good())
    asyncio.run(canceled())


@pytest.mark.parametrize("command", ["transcribe", "watch"])
def test_interrupting_leaves_no_task_and_no_list_behind(command: str, script: Script, tmp_path: Path) -> None:
    """The server's task waits for ever."""
    listed = (200, {"output": {"vocabulary_id": "vocab-onetask-1"}})
    (tmp_path / "words.txt").write_text("etcd\n")
    if command == "watch":
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "a.wav").write_bytes(b"sound")
        # No uploads in pieces, a form to fill in, which is taken.
        names = ("policy", "signature", "oss_access_key_id", "x_oss_object_acl", "x_oss_forbid_overwrite")
        form = dict.fromkeys(names, "x") | {"upload_dir": "d", "upload_host": f"{script.base_url}/form"}
        script.answers = [(404, {}), (200, {"data": form}), (200, {}), listed, SUBMITTED, task("PENDING")]
        arguments = [str(tmp_path / "inbox"), "--settle", "0.1"]
    else:
        script.answers = [listed, SUBMITTED, task("PENDING")]
        arguments = [URL]
    running = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", command, *arguments, "--base-url", script.base_url, "--api-key", "sk-x",
         "--hotwords", str(tmp_path / "words.txt")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_s = time.monotonic() + 120
    while sum(path.endswith("/tasks/t-1") for _, path, *_ in script.seen) < 4 and time.monotonic() < until_s:
        time.sleep(0.05)
    time.sleep(0.1)  # it sleeps until it asks again
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in told
    assert script.seen[-2][1].endswith("/tasks/t-1/cancel")
    assert script.seen[-1][3]["input"] == {"action": "delete_vocabulary", "vocabulary_id": "vocab-onetask-1"}
