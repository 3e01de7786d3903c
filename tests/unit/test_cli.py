"""Do the parts of the command line do their part? Times, names, inputs, order, start-up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashscribe.cli import COMMANDS, app
from dashscribe.cli.batch import Ended
from dashscribe.cli.report import Report
from dashscribe.cli.results import InOrder, names
from dashscribe.cli.screen import Screen
from dashscribe.cli.sources import Source, expand
from dashscribe.cli.times import milliseconds, shown
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript

# --- start-up ------------------------------------------------------------------------------------------------------

HEAVY = ("numpy", "pydantic", "sqlalchemy", "httpx", "rich.progress", "av", "fastapi", "prometheus_client")


@pytest.mark.parametrize("code", ["import dashscribe", "from dashscribe.cli import app; app(['--help'])"])
def test_starting_imports_nothing_heavy(code: str) -> None:
    watched = f"import atexit, sys; atexit.register(lambda: print('heavy:', [m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"{watched}\n{code}"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_help_lists_every_command_and_each_can_be_loaded() -> None:
    page = CliRunner().invoke(app, ["--help"]).output
    for name, summary in COMMANDS.items():
        assert f"{name} " in page
        assert summary.split()[0] in page
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.output


def test_a_mistyped_command_is_a_usage_error_with_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["transcibe"])
    assert result.exit_code == 2
    assert "transcribe" in result.output


def test_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert CliRunner().invoke(app, ["--version"]).output == f"dashscribe {version('dashscribe')}\n"


def run_main(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a command ``config`` that does ``code``."""
    script = (
        "import os, sys, types\n"
        "from dashscribe.errors import ConfigError\n"
        f"def config(): {code}\n"
        "module = types.ModuleType('dashscribe.cli.config'); module.config = config\n"
        "sys.modules[module.__name__] = module; sys.argv = ['dashscribe', 'config']\n"
        "from dashscribe.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)


def test_an_expected_error_is_one_line_and_a_bug_says_that_it_is_one() -> None:
    done = run_main("raise ConfigError('workers is zero')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "dashscribe: workers is zero\n")
    done = run_main("{}['gone']")
    assert done.returncode == 1
    assert done.stderr.startswith("dashscribe: KeyError: 'gone' (a bug;")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "closed"),
    [("transcribe -", "<&-"), ("probe -", "<&- >&- 2>&-"), ("models ls", ">&-"), ("config", ">&-")],
)
def test_a_standard_stream_that_is_closed_is_as_good_as_an_empty_one(command: str, closed: str, tmp_path: Path) -> None:
    shell = f"{sys.executable} -m dashscribe {command} {closed}"
    home = {"DASHSCRIBE_HOME": str(tmp_path), "DASHSCRIBE_ENGINE": "standin"}
    done = subprocess.run(
        ["sh", "-c", shell],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | home,
        check=False,
    )
    assert "NoneType" not in done.stderr and "(a bug" not in done.stderr
    assert done.returncode == (1 if command.endswith("-") else 0), done.stderr


def test_ctrl_c_while_it_starts_ends_it_without_a_word() -> None:
    code = """
import builtins, os, runpy, signal
def interrupted(name, *more, load=builtins.__import__, **options):
    if name == "typer":
        os.kill(os.getpid(), signal.SIGINT)
    return load(name, *more, **options)
builtins.__import__ = interrupted
runpy.run_module("dashscribe.__main__", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_debugging_shows_the_traceback() -> None:
    done = run_main("raise ConfigError('workers is zero')", DASHSCRIBE_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


# --- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("0", 0),
        ("90", 90_000),
        ("90.5", 90_500),
        ("0.0005", 0),
        ("1.9996", 2_000),
        ("1:30", 90_000),
        ("90:00", 5_400_000),
        ("1:02:03.045", 3_723_045),
        ("1h2m3s", 3_723_000),
        ("1h", 3_600_000),
        ("90m", 5_400_000),
        ("1.5h", 5_400_000),
        ("2m0.25s", 120_250),
    ],
)
def test_times_are_read_to_the_millisecond(text: str, time_ms: int) -> None:
    assert milliseconds(text) == time_ms


@pytest.mark.parametrize("text", ["", "x", "-1", "1:60", "1:60:00", "1::2", "3s2m", "1e3", "1h30", "1,5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        milliseconds(text)


def test_times_are_shown_as_on_a_player() -> None:
    assert [shown(ms) for ms in (0, 59_999, 60_000, 3_723_999, 360_000_000)] == [
        "0:00",
        "0:59",
        "1:00",
        "1:02:03",
        "100:00:00",
    ]


# --- inputs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.mp3", "a.WAV", "notes.txt", ".hidden.wav", "deep/c.flac", ".cache/d.wav", "deep/x[1].ogg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["."], ["a.WAV", "b.mp3", "deep/c.flac", "deep/x[1].ogg"]),
        (["*.mp3"], ["b.mp3"]),
        (["**/*.flac", "b.mp3"], ["deep/c.flac", "b.mp3"]),
        (["dee*"], ["deep/c.flac", "deep/x[1].ogg"]),
        (["deep/x[1].ogg"], ["deep/x[1].ogg"]),
        (["notes.txt"], ["notes.txt"]),
        (["b.mp3", "*.mp3", "b.mp3"], ["b.mp3"]),
        (["gone.wav", "*.gone", "-"], ["gone.wav", "*.gone", "-"]),
        (["https://example.com/a*b.wav"], ["https://example.com/a*b.wav"]),
    ],
)
def test_inputs_are_expanded(folder: Path, inputs: list[str], expected: list[str]) -> None:
    assert [source.name for source in expand(inputs)] == expected


@pytest.mark.parametrize("command", ["transcribe", "probe"])
def test_an_empty_input_is_wrong_usage_and_not_the_working_folder(command: str, folder: Path) -> None:
    refused = CliRunner().invoke(app, [command, "b.mp3", ""])
    assert refused.exit_code == 2
    assert "an input is empty" in refused.output


def test_a_folder_without_media_stays_to_be_complained_about(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert [source.name for source in expand(["empty"])] == ["empty"]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["a.mp3", "b.wav"], ["a", "b"]),
        (["a.mp3", "a.wav"], ["a.mp3", "a.wav"]),
        (["x/a.mp3", "y/a.mp3", "y/A.mp3"], ["a", "a-2", "A-3"]),
        (["a.mp3", "x/a.mp3", "a.wav"], ["a", "a-2", "a-3"]),
        (["a.mp3", "x/a.mp3", "a-2.mp3"], ["a", "a-2", "a-2-2"]),
        (["-", "https://example.com/p/talk%20one.mp3?sig=1", "http://example.com/"], ["stdin", "talk_one", "example"]),
        (["https://example.com/..%2f..%2fetc/%2e%2e"], ["url"]),
    ],
)
def test_file_names_do_not_clash_and_stay_in_their_folder(inputs: list[str], expected: list[str]) -> None:
    assert names([Source(name) for name in inputs]) == expected


def test_names_leave_room_for_a_number_and_an_extension() -> None:
    long = "%E4%BC%9A" * 90
    first, second = names([Source(f"https://example.com/{folder}/{long}.wav") for folder in "ab"])
    assert (first, second) == ("会" * 80, "会" * 80 + "-2")


def test_a_label_can_be_printed_whatever_the_file_is_called() -> None:
    assert Source("a\x1b[31m\n\udcff.wav").label == "a\ufffd[31m\ufffd\ufffd.wav"


def test_text_of_later_inputs_waits_for_the_first() -> None:
    written: list[str] = []
    out = InOrder(written.append)
    out.add(1, "second ")
    out.add(0, "first ")
    out.end(1)
    out.add(2, "third ")
    assert written == ["first "]
    out.add(0, "again ")
    out.end(0)
    out.add(2, "more")
    out.end(2)
    assert "".join(written) == "first again second third more"


# --- the report ----------------------------------------------------------------------------------------------------


def reported(*entries: Entry, sentences: tuple[Sentence, ...] = ()) -> Report:
    """A quiet report on one input with this ledger."""
    media = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=9_000)
    track = Track(channel=0, sentences=sentences, ledger=entries)
    transcript = Transcript(media=media, tracks=(track,), model="fun-asr", engine="standin", notes=("odd packet",))
    sources = [Source("a.wav")]
    report = Report(sources, ("txt",), None, Screen(sources, None, quiet=True), as_json=False)
    report.take(Ended(0, transcript, 1.0))
    return report


HELLO = Sentence(begin_ms=0, end_ms=4_000, text="Hello.")


def test_lost_sound_is_told_even_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    heard, lost = Entry(0, 4_000, Fate.TRANSCRIBED), Entry(4_000, 9_000, Fate.FAILED, "the engine died")
    assert reported(heard, lost, sentences=(HELLO,)).failed == 0
    said = capsys.readouterr()
    assert said.out == "Hello.\n"
    assert said.err.startswith("dashscribe: a.wav: 5.0 s of channel 0 could not be transcribed")
    assert "odd packet" not in said.err


def test_an_input_of_which_nothing_could_be_recognized_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(Entry(0, 9_000, Fate.FAILED, "the engine died")).failed == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "the engine died" in said.err


# --- wrong usage of transcribe -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument"),
        (["a.wav", "-f", "srt,txt"], "-o DIR"),
        (["a.wav", "b.wav", "-f", "srt"], "-o DIR"),
        (["a.wav", "--json", "-f", "srt"], "-o DIR"),
        (["a.wav", "-f", "docx"], "known: txt, json, srt, vtt, tsv"),
        (["a.wav", "-f", ","], "at least one"),
        (["a.wav", "--model", "fun-asrr"], "fun-asr"),
        (["a.wav", "--language", "english"], "known: "),
        (["a.wav", "--channel", "left"], "--channel"),
        (["a.wav", "--start", "1:99"], "1:99"),
        (["a.wav", "--duration", "0"], "--duration"),
    ],
)
def test_wrong_usage_exits_2_and_names_the_remedy(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["transcribe", *arguments])
    assert result.exit_code == 2, result.output
    assert complaint in " ".join(result.output.split())
