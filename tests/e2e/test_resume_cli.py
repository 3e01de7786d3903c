"""A folder that was half done: what is there and newer is skipped, what was finished before Ctrl-C is kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_inputs import dashscribe, environment, program, speechlike

from dashscribe.cli.record import Record
from dashscribe.cli.sources import Source

pytestmark = pytest.mark.usefixtures("lasting_children")


def test_results_that_are_newer_are_skipped_unless_forced(tmp_path: Path) -> None:
    talks, out = tmp_path / "talks", tmp_path / "out"
    for name in ("a.wav", "b.wav"):
        speechlike(talks / name, 3)
    first = dashscribe("transcribe", talks, "-o", out, "-f", "txt,srt")
    assert first.returncode == 0
    (out / "b.srt").unlink()
    again = dashscribe("transcribe", talks, "-o", out, "-f", "txt,srt", "--json")
    assert again.returncode == 0
    told = {Path(line["input"]).name: line for line in map(json.loads, again.stdout.splitlines())}
    assert {name: line["status"] for name, line in told.items()} == {"a.wav": "skipped", "b.wav": "ok"}
    assert told["a.wav"]["files"] == [str(out / "a.txt"), str(out / "a.srt")]
    assert "--force does it again" in again.stderr
    time.sleep(0.01)
    os.utime(talks / "a.wav")  # it was recorded anew
    changed = dashscribe("transcribe", talks, "-o", out, "--json")
    assert [json.loads(line)["status"] for line in changed.stdout.splitlines()] == ["skipped", "ok"]
    forced = dashscribe("transcribe", talks, "-o", out, "--json", "--force")
    assert [json.loads(line)["status"] for line in forced.stdout.splitlines()] == ["ok", "ok"]
    # Another file of the same name, and other options, are other results.
    other = speechlike(tmp_path / "others" / "a.wav", 4, seed=7)
    os.utime(other, (1_000_000_000, 1_000_000_000))
    line = json.loads(dashscribe("transcribe", other, "-o", out, "--json").stdout)
    assert (line["status"], line["duration_ms"]) == ("ok", 4_000)
    asked = dashscribe("transcribe", talks / "b.wav", "-o", out, "--json", "--no-fillers")
    assert json.loads(asked.stdout)["status"] == "ok"
    assert dashscribe("transcribe", talks, "-o", out, "--force").returncode == 0
    quiet = program("transcribe", talks, "-o", out, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_each_format_counts_only_if_it_was_made_with_these_options(tmp_path: Path) -> None:
    talk, out = speechlike(tmp_path / "a.wav", 3), tmp_path / "out"
    assert dashscribe("transcribe", talk, "-o", out, "--duration", "0.8").returncode == 0
    part = (out / "a.txt").read_text()
    assert dashscribe("transcribe", talk, "-o", out, "-f", "srt").returncode == 0
    both = dashscribe("transcribe", talk, "-o", out, "-f", "txt,srt", "--json")
    assert json.loads(both.stdout)["status"] == "ok"
    assert (out / "a.txt").read_text() != part
    for formats in ("txt", "srt", "srt,txt"):
        again = dashscribe("transcribe", talk, "-o", out, "-f", formats, "--json")
        assert json.loads(again.stdout)["status"] == "skipped"


def test_two_runs_into_one_folder_leave_each_others_entries(tmp_path: Path) -> None:
    sources = [Source(str(speechlike(tmp_path / f"{name}.wav", 1))) for name in "ab"]
    runs = [Record(tmp_path, ["txt"], wishes) for wishes in ("these", "others")]
    for run, source in zip(runs, sources, strict=True):
        (tmp_path / f"{source.stem}.txt").touch()
        assert run.keep(source.stem, run.origin(source)) is None
    for wishes, done in (("these", sources[0]), ("others", sources[1])):
        later = Record(tmp_path, ["txt"], wishes)
        assert [source for source in sources if later.results(source.stem, later.origin(source))] == [done]
    # What is about to be replaced does not count, whoever crashes in between.
    assert runs[0].forget("b") is None
    later = Record(tmp_path, ["txt"], "others")
    assert later.results("b", later.origin(sources[1])) == []


def test_recordings_of_one_name_in_other_folders_do_not_replace_each_others_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    seconds = {"d1": 1, "d2": 2, "d3": 3}
    for name, length_s in seconds.items():
        speechlike(tmp_path / name / "talk.wav", length_s)

    def run(*folders: str) -> list[tuple[str, str]]:
        done = dashscribe("transcribe", *(tmp_path / name for name in folders), "-o", out, "--json")
        told = sorted(map(json.loads, done.stdout.splitlines()), key=lambda line: line["input"])
        return [(line["status"], Path(line["files"][0]).name) for line in told]

    assert run("d1") == [("ok", "talk.txt")]
    assert run("d2") == [("ok", "talk-2.txt")]
    assert run("d3", "d2", "d1") == [("skipped", "talk.txt"), ("skipped", "talk-2.txt"), ("ok", "talk-3.txt")]
    shutil.rmtree(tmp_path / "d1")
    speechlike(tmp_path / "d4" / "talk.wav", 4)
    assert run("d4") == [("ok", "talk.txt")]


def test_a_name_that_is_no_text_is_remembered_like_others(tmp_path: Path) -> None:
    talks, out = tmp_path / "talks", tmp_path / "out"
    odd = speechlike(talks / os.fsdecode(b"caf\xe9.wav"), 2)
    speechlike(talks / "café.wav", 2, seed=1)
    assert dashscribe("transcribe", talks, "-o", out, "--json").returncode == 0
    assert (out / f"{odd.stem}.txt").exists()
    again = dashscribe("transcribe", talks, "-o", out, "--json")
    assert again.returncode == 0, again.stderr
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["skipped", "skipped"]
    assert "café" in (out / ".dashscribe-done.json").read_text()  # others stay readable


def test_a_record_that_cannot_be_written_is_no_reason_to_end(tmp_path: Path) -> None:
    for number in range(2):
        speechlike(tmp_path / "in" / f"{number}.wav", 2, seed=number)
    (tmp_path / "out" / ".dashscribe-done.json").mkdir(parents=True)  # as good as a full disk
    done = dashscribe("transcribe", tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be remembered") == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("*.txt")) == ["0.txt", "1.txt"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_ended_before_ctrl_c_is_printed_and_the_rest_is_named(number: int, status: int, tmp_path: Path) -> None:
    """The first input hangs, the second is done and waits for its turn."""
    (tmp_path / "pipe").mkdir()
    hanging = tmp_path / "pipe" / "first.wav"
    os.mkfifo(hanging)
    spoken = speechlike(tmp_path / "second.wav", 3)
    text = dashscribe("transcribe", spoken, "--quiet").stdout
    running = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "transcribe", str(hanging), str(spoken)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with hanging.open("wb"):
        assert running.stderr is not None
        for line in running.stderr:
            if "second.wav" in line:
                break
        running.send_signal(number)
        printed, said = running.communicate(timeout=20)
    assert running.returncode == status
    assert text.strip() in printed and "==> " in printed
    assert "interrupted, 1 not finished" in said


def test_under_nohup_a_terminal_that_closes_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    slow = tmp_path / "pipe" / "first.wav"
    os.mkfifo(slow)
    spoken = speechlike(tmp_path / "second.wav", 3)
    running = subprocess.Popen(
        ["nohup", sys.executable, "-m", "dashscribe", "transcribe", str(slow), str(spoken)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with slow.open("wb") as file:
        assert running.stderr is not None
        for line in running.stderr:
            if "second.wav" in line:
                break
        running.send_signal(signal.SIGHUP)
        file.write(spoken.read_bytes())
    printed, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert printed.count("==> ") == 2


def test_verbose_tells_what_a_recording_was_and_quiet_tells_nothing(tmp_path: Path) -> None:
    spoken = speechlike(tmp_path / "a.wav", 3)
    verbose = dashscribe("transcribe", spoken, "-v")
    assert "pcm_s16le 16000 Hz; channels 0 of 1;" in verbose.stderr
    assert "pcm_s16le" not in dashscribe("transcribe", spoken).stderr
    assert dashscribe("transcribe", spoken, "-q").stderr == ""
