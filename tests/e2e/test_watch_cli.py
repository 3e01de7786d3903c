"""``dashscribe watch`` as a person uses it: recordings are dropped, results come, restarts and faults lose nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from cli_inputs import close_folder, dashscribe, environment, program, silence, speechlike

from kill_harness import KEY, Server

pytestmark = pytest.mark.usefixtures("lasting_children")

SOON_S = 240.0


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
    assert psutil.wait_procs(children, timeout=20)[1] == []
    return told


def wait_for(condition: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + SOON_S
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until_s, "it does not happen"
        time.sleep(0.1)


def memory(folder: Path) -> dict[str, dict[str, object]]:
    file = folder / ".dashscribe-watch.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


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


def lines_of(printed: str) -> list[tuple[str, str, int]]:
    """Of every recording that was told: its name, what became of it, how long it is."""
    told = map(json.loads, printed.splitlines())
    return sorted((Path(one["input"]).name, one["status"], one.get("duration_ms", 0)) for one in told)


def wait_for_work(running: subprocess.Popen[str]) -> None:
    """Until the first recording is being read, for which the program starts others."""
    wait_for(lambda: bool(psutil.Process(running.pid).children()), running)


SLOWLY = {"DASHSCRIBE_STANDIN_DELAY_MS": "1500", "DASHSCRIBE_WORKERS": "1"}


def test_renamed_while_it_is_read_or_afterwards_it_is_done_once_under_its_new_name(tmp_path: Path) -> None:
    speechlike(tmp_path / "a.wav", 3)
    with watching(tmp_path, "--json", **SLOWLY) as running:
        wait_for_work(running)
        (tmp_path / "a.wav").rename(tmp_path / "b.wav")
        wait_for((tmp_path / "b.txt").exists, running)
        (tmp_path / "done").mkdir()
        (tmp_path / "b.wav").rename(tmp_path / "done" / "c.wav")
        speechlike(tmp_path / "elsewhere" / "last.wav", 4, seed=1)
        wait_for(lambda: "elsewhere/last.wav" in memory(tmp_path), running)
        wait_for(lambda: "done/c.wav" in memory(tmp_path), running)
        text = (tmp_path / "b.txt").read_text()
        speechlike(tmp_path / "elsewhere" / "b.wav", 5, seed=2).rename(tmp_path / "b.wav")  # as recorders name them
        wait_for(lambda: "b.wav" in memory(tmp_path), running)
        printed, told = end(running)
    assert lines_of(printed) == [("b.wav", "ok", 3_000), ("b.wav", "ok", 5_000), ("last.wav", "ok", 4_000)]
    assert "done as b.wav" in told
    assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "b.txt").read_text() == text != (tmp_path / "b.wav.txt").read_text()
    again = dashscribe("watch", tmp_path, "--once", "--json", "--settle", "0.2")
    assert (again.returncode, again.stdout) == (0, "")


def test_replaced_while_it_is_read_only_the_new_one_counts(tmp_path: Path) -> None:
    speechlike(tmp_path / "a.wav", 3)
    speechlike(tmp_path / ".new", 4, seed=1)
    with watching(tmp_path, "--json", **SLOWLY) as running:
        wait_for_work(running)
        (tmp_path / ".new").rename(tmp_path / "a.wav")
        wait_for(lambda: bool(memory(tmp_path)), running)
        printed, told = end(running)
    assert lines_of(printed) == [("a.wav", "ok", 4_000)]
    assert "was changed while it was read" in told


def test_what_waits_is_read_as_it_is_when_its_turn_comes_and_what_is_removed_is_no_failure(tmp_path: Path) -> None:
    speechlike(tmp_path / "1.wav", 3)
    for name in ("2.wav", "3.wav", "4.wav"):  # one more than are read at once waits behind these
        speechlike(tmp_path / name, 3, seed=int(name[0]))
    with watching(tmp_path, "--json", **SLOWLY) as running:
        wait_for_work(running)
        (tmp_path / "4.wav").unlink()
        (tmp_path / "3.wav").write_bytes((tmp_path / "3.wav").read_bytes()[:-32_000])  # in place, and shorter
        wait_for(lambda: len(memory(tmp_path)) == 3, running)
        printed, _ = end(running)
    assert [line[:2] for line in lines_of(printed)] == [("1.wav", "ok"), ("2.wav", "ok"), ("3.wav", "ok")]


def test_a_file_that_somebody_still_writes_is_left_alone_however_long_the_pause(tmp_path: Path) -> None:
    whole = speechlike(tmp_path / ".whole", 6).read_bytes()
    with (tmp_path / "growing.wav").open("wb") as file:
        file.write(whole[: len(whole) // 2])
        file.flush()
        if not leases_work(tmp_path / ".whole"):
            pytest.skip("this file system tells nobody who writes")
        with watching(tmp_path, "--json") as running:
            for n in range(2):  # long after it settled
                speechlike(tmp_path / f"{n}.wav", 3, seed=n)
                wait_for((tmp_path / f"{n}.txt").exists, running)
            file.write(whole[len(whole) // 2 :])
            file.close()
            wait_for((tmp_path / "growing.txt").exists, running)
            printed, _ = end(running)
    assert ("growing.wav", "ok", 6_000) in lines_of(printed)
    assert len(lines_of(printed)) == 3


def leases_work(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError:
            return False
    return True


def test_partial_names_and_links_that_lead_nowhere_stop_nothing(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    good = speechlike(tmp_path / "good.wav", 3)
    inbox.mkdir()
    for name in ("a.wav.part", "b.wav.crdownload", ".c.wav", "d.wav~", ".hidden/e.wav"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_bytes(good.read_bytes())
    (inbox / "nowhere.wav").symlink_to("/nonexistent.wav")
    (inbox / "itself.wav").symlink_to("itself.wav")
    (inbox / "loop").symlink_to(inbox)
    (inbox / "folder.wav").mkdir()
    os.mkfifo(inbox / "pipe.wav")
    (inbox / "link.wav").symlink_to(good)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    os.utime(precious, (1_000_000_000, 1_000_000_000))  # else it would count as an earlier result
    (inbox / "link.txt").symlink_to(precious)
    done = dashscribe("watch", inbox, "--once", "--json", "--settle", "0.2")
    assert done.returncode == 0, done.stderr
    assert lines_of(done.stdout) == [("link.wav", "ok", 3_000)]
    assert precious.read_text() == "mine"
    assert (inbox / "link.wav.txt").read_text()


def test_names_that_are_no_text_are_done_and_remembered_like_others(tmp_path: Path) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    odd = speechlike(inbox / os.fsdecode(b"caf\xe9.wav"), 2)
    speechlike(inbox / os.fsdecode(b"d\xe9p\xf4t") / "other.wav", 3)
    speechlike(inbox / "\\xe9.wav", 4)  # what such a byte may be written as
    watched = partial(dashscribe, "watch", inbox, "-o", out, "--once", "--json", "--settle", "0.2")
    done = watched()
    assert done.returncode == 0, done.stderr
    assert sorted(length for _, _, length in lines_of(done.stdout)) == [2_000, 3_000, 4_000]
    assert (out / f"{odd.stem}.txt").read_text()
    odd.rename(inbox / "café.wav")
    again = watched()
    assert (again.returncode, again.stdout) == (0, "")
    assert "done as caf" in again.stderr


def test_a_file_that_may_not_be_read_is_done_once_it_may(tmp_path: Path) -> None:
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("setpriv is not installed (Debian: apt-get install util-linux)")
    speechlike(tmp_path / "locked.wav", 3).chmod(0)
    speechlike(tmp_path / "open.wav", 3, seed=1)
    command = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", "--", sys.executable, "-m", "dashscribe"]
    command += ["watch", str(tmp_path), "--once", "--json", "--settle", "0.2"]

    def watched() -> tuple[int, list[tuple[str, str, int]]]:
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=120)
        return done.returncode, lines_of(done.stdout)

    assert watched() == (1, [("locked.wav", "failed", 0), ("open.wav", "ok", 3_000)])
    (tmp_path / "locked.wav").chmod(0o600)  # neither its size nor its time changes
    assert watched() == (0, [("locked.wav", "ok", 3_000)])


def test_formats_that_were_not_asked_for_before_are_told_of(tmp_path: Path) -> None:
    speechlike(tmp_path / "a.wav", 2)
    watched = partial(dashscribe, "watch", tmp_path, "--once", "--settle", "0.2")
    assert watched().returncode == 0
    more = watched("-f", "txt,srt,vtt")
    assert "1 done before, 1 of them without srt, vtt (--force does all again)" in more.stderr
    assert "without" not in watched("-f", "txt,srt,vtt", "--force").stderr
    assert "without" not in watched("-f", "vtt").stderr
    assert (tmp_path / "a.srt").exists()


def test_names_that_leave_no_room_for_an_extension_are_cut(tmp_path: Path) -> None:
    for number in range(2):
        speechlike(tmp_path / f"{'x' * 249}{number}.wav", 1, seed=number)
    done = dashscribe("watch", tmp_path, "--once", "--settle", "0.2", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert sorted(path.stem for path in tmp_path.glob("*.json") if path.name[0] != ".") == ["x" * 240, "x" * 240 + "-2"]


def test_a_folder_that_may_not_be_looked_into_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speechlike(tmp_path / "open.wav", 2)
    close_folder(tmp_path / "locked", monkeypatch)
    done = dashscribe("watch", tmp_path, "--once", "--json", "--settle", "0.2")
    assert done.returncode == 1
    assert lines_of(done.stdout) == [("open.wav", "ok", 2_000)]
    assert done.stderr.count(f"{tmp_path / 'locked'}: cannot be read: Permission denied") == 1


def test_a_memory_that_cannot_be_written_for_a_while_stops_nothing(tmp_path: Path) -> None:
    with watching(tmp_path, "--json") as running:
        assert running.stderr
        while "watching" not in running.stderr.readline():
            pass
        (tmp_path / ".dashscribe-watch.json").mkdir()  # as good as a full disk
        for n in range(2):
            speechlike(tmp_path / f"{n}.wav", 3, seed=n)
            wait_for((tmp_path / f"{n}.txt").exists, running)
        (tmp_path / ".dashscribe-watch.json").rmdir()
        wait_for(lambda: len(memory(tmp_path)) == 2, running)
        _, told = end(running)
    assert told.count("cannot be remembered") == 1


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
