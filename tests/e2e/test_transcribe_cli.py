"""Does ``dashscribe transcribe`` do what it promises, run as people run it?"""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import webvtt
from cli_inputs import close_folder, dashscribe, environment, program, silence, speechlike

import dashscribe as library

pytestmark = pytest.mark.usefixtures("lasting_children")


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return speechlike(tmp_path / "in" / "talk.wav", 9)


def test_text_goes_to_stdout_and_is_what_the_library_returns(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = program("transcribe", talk)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    transcript = library.transcribe(talk)
    assert len(transcript.text.split()) > 5
    assert done.stdout == transcript.to("txt")
    notice, summary = done.stderr.splitlines()
    assert notice.startswith("dashscribe: engine standin: ")
    assert summary.startswith(f"dashscribe: {talk}: 0:09 in ")


def test_quiet_says_nothing_but_the_text(talk: Path) -> None:
    done = dashscribe("transcribe", talk, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_a_folder_is_transcribed_in_order_whichever_file_is_done_first(tmp_path: Path) -> None:
    speechlike(tmp_path / "in" / "a-long.wav", 30, seed=1)
    speechlike(tmp_path / "in" / "b-short.wav", 2, seed=2)
    speechlike(tmp_path / "in" / "c" / "deep.wav", 2, seed=3)
    (tmp_path / "in" / "readme.txt").write_text("no sound")
    done = dashscribe("transcribe", tmp_path / "in", DASHSCRIBE_STANDIN_DELAY_MS="250")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    headings = [line for line in lines if line.startswith("==> ")]
    assert headings == [f"==> {tmp_path / 'in' / name} <==" for name in ("a-long.wav", "b-short.wav", "c/deep.wav")]
    assert all(lines[lines.index(heading) + 1].strip() for heading in headings)
    finished = [line for line in done.stderr.splitlines() if " real time" in line]
    assert "a-long" not in finished[0]


def test_one_broken_input_does_not_stop_the_others(talk: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"not audio at all" * 100)
    done = program("transcribe", broken, tmp_path / "gone.wav", tmp_path / "*.nothing", talk)
    assert done.returncode == 1
    assert f"==> {talk} <==" in done.stdout
    assert "==> " + str(broken) not in done.stdout
    for name, complaint in (("broken.mp3", "container"), ("gone.wav", "no such file"), ("*.nothing", "matches")):
        (line,) = [line for line in done.stderr.splitlines() if f"{name}: " in line]
        assert complaint in line
    assert "Traceback" not in done.stderr


def test_what_cannot_be_looked_at_does_not_stop_the_others(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_folder(talk.parent / "locked", monkeypatch)
    done = dashscribe("transcribe", "x" * 300, talk.parent, "--json")
    assert done.returncode == 1
    told = {Path(line["input"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert {name: line["status"] for name, line in told.items()} == {
        "x" * 300: "failed",
        "locked": "failed",
        "talk.wav": "ok",
    }
    assert "File name too long" in told["x" * 300]["error"]
    assert "Permission denied" in told["locked"]["error"]
    assert "(a bug" not in done.stderr


def test_silence_is_no_failure(tmp_path: Path) -> None:
    done = dashscribe("transcribe", silence(tmp_path / "quiet.wav", 3))
    assert (done.returncode, done.stdout) == (0, "")
    assert "No speech" in done.stderr


def test_standard_input_and_named_pipes_are_read(talk: Path, tmp_path: Path) -> None:
    expected = dashscribe("transcribe", talk, "-q").stdout
    piped = program("transcribe", "-", "--json", stdin=talk.read_bytes())
    assert json.loads(piped.stdout)["input"] == "-"
    assert json.loads(piped.stdout)["text"] + "\n" == expected
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    threading.Thread(target=lambda: fifo.write_bytes(talk.read_bytes()), daemon=True).start()
    assert dashscribe("transcribe", fifo, "-q").stdout == expected


@pytest.fixture
def origin(talk: Path) -> Iterator[str]:
    """A web server for the folder of ``talk``."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(talk.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_url_is_fetched_and_named_in_the_result(origin: str, talk: Path) -> None:
    done = dashscribe("transcribe", f"{origin}/talk.wav", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file_url"] == f"{origin}/talk.wav"
    done = dashscribe("transcribe", f"{origin}/gone.wav")
    assert done.returncode == 1
    assert "404" in done.stderr


def test_files_of_every_format_land_in_the_folder_without_overwriting_each_other(tmp_path: Path) -> None:
    speechlike(tmp_path / "in" / "a.wav", 3, seed=1)
    speechlike(tmp_path / "in" / "b" / "a.wav", 4, seed=2)
    out = tmp_path / "new" / "out"
    done = dashscribe("transcribe", tmp_path / "in", "-f", "txt,json,srt,vtt,tsv", "-o", out)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    formats = ("json", "srt", "tsv", "txt", "vtt")
    assert sorted(path.name for path in out.glob("[!.]*")) == sorted(f"{n}.{f}" for n in ("a", "a-2") for f in formats)
    results = [json.loads((out / name).read_text(encoding="utf-8")) for name in ("a.json", "a-2.json")]
    assert [result["file_url"] for result in results] == [str(tmp_path / "in" / n) for n in ("a.wav", "b/a.wav")]
    for name, result in zip(("a", "a-2"), results, strict=True):
        assert (out / f"{name}.txt").read_text(encoding="utf-8").strip() == result["transcripts"][0]["text"]
    assert str(out / "a-2.txt") in done.stderr


def test_captions_take_the_preset_and_what_replaces_parts_of_it(talk: Path) -> None:
    done = dashscribe("transcribe", talk, "-f", "vtt", "--captions", "social", "--caption-columns", "12", "-q")
    assert done.returncode == 0, done.stderr
    captions = webvtt.from_string(done.stdout, strict=True).captions
    assert len(captions) > 1
    assert all("\n" not in caption.text for caption in captions)
    assert all(len(caption.text) <= 12 or " " not in caption.text for caption in captions)
    done = dashscribe("transcribe", talk, "--captions", "social")
    assert (done.returncode, done.stdout) == (2, "")


def test_what_cannot_be_written_is_said(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "talk.txt").mkdir(parents=True)
    done = dashscribe("transcribe", talk, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["talk.txt"]


def test_json_is_a_line_about_each_input(talk: Path, tmp_path: Path) -> None:
    done = dashscribe("transcribe", talk, silence(tmp_path / "quiet.wav", 2), tmp_path / "gone.wav", "--json")
    assert done.returncode == 1
    spoken, silent, failed = map(json.loads, done.stdout.splitlines())
    assert (spoken["status"], silent["status"], failed["status"]) == ("ok", "silent", "failed")
    assert spoken["text"]
    assert (spoken["duration_ms"], spoken["engine"], spoken["failed_ms"]) == (9_000, "standin", 0)
    assert failed["error"] == "no such file"
    assert "null" not in done.stdout


def test_channels_are_chosen_by_number_or_all(tmp_path: Path) -> None:
    stereo = speechlike(tmp_path / "stereo.wav", 4, channels=2)

    def channels(choice: str) -> list[int]:
        done = dashscribe("transcribe", stereo, "-f", "json", "--channel", choice)
        return [track["channel_id"] for track in json.loads(done.stdout)["transcripts"]]

    assert channels("1") == [1]
    assert channels("all") == [0, 1]
    assert dashscribe("transcribe", stereo, "--channel", "all").stdout.count("Channel ") == 2
    missing = dashscribe("transcribe", stereo, "--channel", "5")
    assert missing.returncode == 1
    assert "channel" in missing.stderr.lower()


def test_a_stretch_keeps_the_clock_of_the_file(tmp_path: Path) -> None:
    talk = speechlike(tmp_path / "talk.wav", 20)
    done = dashscribe("transcribe", talk, "-f", "json", "--start", "0:08", "--duration", "8.5")
    (track,) = json.loads(done.stdout)["transcripts"]
    times = [(s["begin_time"], s["end_time"]) for s in track["sentences"]]
    assert times
    assert min(begin for begin, _ in times) >= 8_000
    assert max(end for _, end in times) <= 16_500
    coverage = json.loads(done.stdout)["dashscribe"]["coverage"][0]
    assert (coverage["ledger"][0]["begin_time"], coverage["ledger"][-1]["end_time"]) == (8_000, 16_500)


@pytest.mark.parametrize(("kill", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_ends_at_once_and_leaves_nothing_behind(tmp_path: Path, kill: int, status: int) -> None:
    speechlike(tmp_path / "in" / "talk.wav", 60)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "transcribe", str(tmp_path / "in"), "-", "-o", str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(DASHSCRIBE_STANDIN_DELAY_MS="60000", TMPDIR=str(temporary)),
        process_group=0,
    )
    children: list[psutil.Process] = []
    deadline_s = time.monotonic() + 180
    while len(children) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.1)
        children = psutil.Process(running.pid).children(recursive=True)
    assert len(children) >= 2, "no engine process came up"
    os.killpg(running.pid, kill)
    _, said = running.communicate(timeout=20)
    assert running.returncode == status
    assert b"Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert list((tmp_path / "out").iterdir()) == []
    assert list(temporary.iterdir()) == []


def on_a_terminal(*arguments: str | Path, columns: int, **changes: str) -> str:
    """What the program writes to a terminal of that width, with all that it takes back again."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = [sys.executable, "-m", "dashscribe", *map(str, arguments)]
    running = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment(TERM="xterm", **changes)
    )
    os.close(terminal)
    written = bytearray()
    try:
        while block := os.read(screen, 65_536):
            written += block
    except OSError:  # how Linux tells that the other side is closed
        pass
    os.close(screen)
    assert running.wait(60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode().replace("\r\n", "\n"))


def test_the_bar_of_a_file_takes_one_line_of_80_columns(tmp_path: Path) -> None:
    name = "A meeting with a rather long name, 周一例会.wav"
    speechlike(tmp_path / name, 130)
    told = on_a_terminal("transcribe", tmp_path / name, columns=80, DASHSCRIBE_STANDIN_DELAY_MS="100")
    assert "…" in told and "x, " in told and " left" in told  # a bar with all figures
    assert not re.search(r"\n {20,}\S", told)  # none of them in another line


def test_a_reader_that_goes_away_ends_the_program_quietly(tmp_path: Path) -> None:
    for n in range(4):
        speechlike(tmp_path / "in" / f"{n}.wav", 3, seed=n)
    running = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "transcribe", "-q", str(tmp_path / "in")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(timeout=60) == 1
    assert running.stderr is not None
    assert running.stderr.read() == b""
    running.stderr.close()


def test_a_spoken_sentence_is_recognized_by_the_embedded_engine(tmp_path: Path) -> None:
    if not shutil.which("flite"):
        pytest.skip("flite is not installed (Debian: apt-get install flite)")
    text = "four score and seven years ago our fathers brought forth on this continent a new nation"
    said = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", str(said)], check=True)
    done = dashscribe("transcribe", said, "--language", "en", DASHSCRIBE_ENGINE="")
    assert done.returncode == 0, done.stderr
    assert "US English only" in done.stderr
    assert {"score", "seven", "years", "fathers", "continent", "nation"} <= set(
        done.stdout.lower().strip(".\n").split()
    )


def test_a_language_that_no_engine_reads_is_refused_before_any_work(talk: Path) -> None:
    done = dashscribe("transcribe", talk, "--language", "zh", DASHSCRIBE_ENGINE="")
    assert done.returncode == 1
    assert "pocketsphinx (en)" in done.stderr
