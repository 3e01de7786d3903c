"""``dashscribe watch`` as a person uses it: recordings are dropped, results come, restarts and faults lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from cli_inputs import dashscribe, environment, program, silence, speechlike

from kill_harness import KEY, Server

SOON_S = 60.0


@contextmanager
def watching(folder: Path, *arguments: str | Path, **changes: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "watch", str(folder), "--settle", "0.5", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def end(running: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C: what it printed and said."""
    children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    told = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in told[1]
    assert psutil.wait_procs(children, timeout=5)[1] == []
    return told


def wait_for(condition: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + SOON_S
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until_s, "it does not happen"
        time.sleep(0.1)


def memory(folder: Path) -> dict[str, dict[str, object]]:
    file = folder / ".dashscribe-watch.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def test_recordings_are_transcribed_beside_themselves_once_they_are_complete(tmp_path: Path) -> None:
    speechlike(tmp_path / "会议.wav", 3)
    whole = speechlike(tmp_path / "elsewhere" / "growing.wav", 6).read_bytes()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (tmp_path / "会议.wav").rename(inbox / "会议.wav")
    (inbox / "notes.pdf").write_text("no recording")
    with watching(inbox, "-f", "txt,srt", "--json") as running:
        wait_for((inbox / "会议.srt").exists, running)
        with (inbox / "growing.wav").open("wb") as file:  # comes slowly, never as long as half a second without a byte
            for part in range(8):
                file.write(whole[part * len(whole) // 8 : (part + 1) * len(whole) // 8])
                file.flush()
                time.sleep(0.2)
                assert not (inbox / "growing.txt").exists()
        (inbox / "deep").mkdir()
        speechlike(tmp_path / "moved.wav", 3, seed=2).rename(inbox / "deep" / "moved.wav")
        wait_for(lambda: len(memory(inbox)) == 3, running)
        printed, _ = end(running)
    lines = {Path(line["input"]).name: line for line in map(json.loads, printed.splitlines())}
    assert set(lines) == {"会议.wav", "growing.wav", "moved.wav"}
    assert {line["status"] for line in lines.values()} == {"ok"}
    assert lines["growing.wav"]["duration_ms"] == 6_000  # all of it
    assert (inbox / "deep" / "moved.txt").read_text() and (inbox / "growing.srt").read_text()
    assert not [path for path in inbox.rglob("*") if path.suffix == ".part"]


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    speechlike(inbox / "a.wav", 3)
    speechlike(inbox / "deep" / "a.wav", 3, seed=1)
    first = program("watch", inbox, "-o", out, "--once", "--json", "--settle", "0.2")
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.splitlines()) == 2
    assert (out / "a.txt").read_text() != (out / "deep" / "a.txt").read_text()
    (out / "a.txt").unlink()  # somebody took it away: that is what it was made for
    speechlike(inbox / "b.wav", 3, seed=2)
    again = dashscribe("watch", inbox, "-o", out, "--once", "--json", "--settle", "0.2")
    assert [Path(json.loads(line)["input"]).name for line in again.stdout.splitlines()] == ["b.wav"]
    assert "2 done before" in again.stderr
    speechlike(inbox / "b.wav", 4, seed=3)  # another recording of the same name
    changed = dashscribe("watch", inbox, "-o", out, "--once", "--json", "--settle", "0.2")
    assert [json.loads(line)["duration_ms"] for line in changed.stdout.splitlines()] == [4_000]
    forced = dashscribe("watch", inbox, "-o", out, "--once", "--json", "--settle", "0.2", "--force")
    assert len(forced.stdout.splitlines()) == 3
    assert sorted(path.name for path in out.rglob("*.txt")) == ["a.txt", "a.txt", "b.txt"]


def test_a_killed_watcher_has_lost_nothing(tmp_path: Path) -> None:
    for n in range(3):
        speechlike(tmp_path / f"{n}.wav", 3, seed=n)
    with watching(tmp_path, DASHSCRIBE_STANDIN_DELAY_MS="300", DASHSCRIBE_WORKERS="1") as running:
        wait_for(lambda: len(memory(tmp_path)) >= 1, running)
        running.kill()
    left = dashscribe("watch", tmp_path, "--once", "--json", "--settle", "0.2")
    assert left.returncode == 0
    assert len(memory(tmp_path)) == 3
    for n in range(3):
        assert (tmp_path / f"{n}.txt").read_text()


def test_what_cannot_be_read_fails_once_and_silence_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "broken.mp3").write_text("not a sound")
    (tmp_path / "coming.mp3").touch()  # empty: nobody knows whether it will ever come
    silence(tmp_path / "quiet.wav", 2)
    first = dashscribe("watch", tmp_path, "--once", "--json", "--settle", "0.2")
    assert first.returncode == 1
    assert {Path(line["input"]).name: line["status"] for line in map(json.loads, first.stdout.splitlines())} == {
        "broken.mp3": "failed",
        "quiet.wav": "silent",
    }
    assert "No readable audio" in str(memory(tmp_path)["broken.mp3"]["error"])
    again = dashscribe("watch", tmp_path, "--once", "--json", "--settle", "0.2")
    assert (again.returncode, again.stdout) == (0, "")


def test_files_of_somebody_else_are_not_replaced_and_newer_results_are_taken_over(tmp_path: Path) -> None:
    for name in ("mine.wav", "done.wav", "twice.wav"):
        speechlike(tmp_path / name, 3)
    speechlike(tmp_path / "twice.flac", 3)  # a name is all that counts here
    os.utime(tmp_path / "done.wav", (1_000_000_000, 1_000_000_000))
    (tmp_path / "done.txt").write_text("what was said")
    (tmp_path / "mine.txt").write_text("my own notes")
    os.utime(tmp_path / "mine.txt", (1_000_000_000, 1_000_000_000))
    done = dashscribe("watch", tmp_path, "--once", "--json", "--settle", "0.2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done.txt").read_text() == "what was said"
    assert (tmp_path / "mine.txt").read_text() == "my own notes"
    assert (tmp_path / "mine.wav.txt").read_text()
    assert (tmp_path / "twice.txt").exists() and len(list(tmp_path.glob("twice.*.txt"))) == 1
    assert "done.txt is newer" in done.stderr


def test_two_watchers_of_one_folder_and_a_broken_memory_are_refused(tmp_path: Path) -> None:
    with watching(tmp_path) as running:
        wait_for(lambda: "watching" in (running.stderr.readline() if running.stderr else ""), running)
        second = program("watch", tmp_path, "--once")
        assert second.returncode == 1
        assert "another `dashscribe watch`" in second.stderr
    (tmp_path / ".dashscribe-watch.json").write_text("{")
    broken = program("watch", tmp_path, "--once")  # whose lock ends with it
    assert broken.returncode == 1
    assert "remove it, or --force replaces it" in broken.stderr
    assert dashscribe("watch", tmp_path, "--once", "--force").returncode == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "server", "standin")
    running.start()
    running.wait_ready()
    yield running
    running.stop()


def test_a_server_does_the_work_and_its_absence_is_waited_for(server: Server, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    speechlike(inbox / "a.wav", 3)
    remote = ("--base-url", f"http://127.0.0.1:{server.port}", "--api-key", KEY)
    here = dashscribe("transcribe", inbox / "a.wav", "--quiet")
    done = dashscribe("watch", inbox, "--once", "--settle", "0.2", *remote)
    assert done.returncode == 0, done.stderr
    assert (inbox / "a.txt").read_text() == here.stdout
    whole = dashscribe("transcribe", inbox / "a.wav", "--quiet", "-f", "srt", *remote)
    assert whole.stdout == dashscribe("transcribe", inbox / "a.wav", "--quiet", "-f", "srt").stdout
    refused = dashscribe("watch", inbox, "--once", "--settle", "0.2", "--force", *remote[:3], "sk-wrong")
    assert refused.returncode == 1
    assert "InvalidApiKey" in refused.stderr
    server.stop()
    speechlike(inbox / "b.wav", 3, seed=5)
    gone = dashscribe("watch", inbox, "--once", "--settle", "0.2", *remote)
    assert gone.returncode == 1
    assert "does not answer" in gone.stderr
    assert "b.wav" not in memory(inbox)  # it is not the recording's fault


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--channel", "all", "--base-url", "http://127.0.0.1:9"], "numbers of the channels"),
        (["--model", "qwen3-asr-flash", "--base-url", "http://127.0.0.1:9"], "synchronous calls only"),
        (["-f", "doc"], "no format"),
        (["--settle", "0"], "0.1"),
        (["--speakers", "2"], "--diarize"),
    ],
)
def test_wrong_usage_exits_2(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    refused = dashscribe("watch", tmp_path, *arguments)
    assert refused.returncode == 2
    assert complaint in " ".join(refused.stderr.split())
    assert dashscribe("watch", tmp_path / "gone").returncode == 2
