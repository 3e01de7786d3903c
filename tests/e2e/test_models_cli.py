"""``dashscribe models`` from outside: processes that are killed, interrupted, out of room or not alone."""

import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_inputs import dashscribe, environment, program

from dashscribe.weights.families import FAMILIES
from dashscribe.weights.known import KNOWN
from sizes import size
from unit.weight_files import TRAINED, Mirror, answer, pack, sensevoice, serving, silero

ARCHIVE = f"/{KNOWN['sensevoice'].origins[0].files[0]}"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("DASHSCRIBE_DISK_RESERVE_BYTES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "models"


@pytest.fixture
def mirror(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    server = Mirror()
    monkeypatch.setenv("DASHSCRIBE_MODELS_MIRROR", server.url)
    yield server
    server.close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SenseVoice of 8 MB that takes its time to unpack."""
    folder = tmp_path_factory.mktemp("upstream")
    return pack(sensevoice(folder / "top", weight_bytes=8_000_000), folder / "a.tar.bz2").read_bytes()


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same, unpacked at once."""
    folder = tmp_path_factory.mktemp("light")
    return pack(sensevoice(folder / "top", weight_bytes=100_000), folder / "a.tar.bz2").read_bytes()


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "models", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until(condition: Any, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def received(models: Path) -> int:
    return sum(path.stat().st_size for path in models.glob(".work/*/parts/*") if path.suffix != ".json")


def hidden(models: Path) -> set[str]:
    """What is left beside the models, the notes that are meant to stay left out."""
    return {path.name for path in models.glob(".work/*/*")} - {"lock", "license", "seen.json"}


def test_model_is_pulled_listed_verified_and_removed(mirror: Mirror, models: Path, light: bytes) -> None:
    mirror.paths[ARCHIVE] = serving(light)
    done = program("models", "pull", "sensevoice", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["ok"], row["family"]) == ("sensevoice", True, "sensevoice")
    assert row["languages"] == ["zh", "en", "yue", "ja", "ko"]
    assert Path(row["folder"]) == models / "sensevoice"
    assert row["source"] == mirror.url + ARCHIVE
    assert "FunASR Model License" in done.stderr
    assert "https://github.com/modelscope/FunASR/blob/main/MODEL_LICENSE" in done.stderr
    again = dashscribe("models", "pull", "sensevoice")
    assert again.returncode == 0
    assert "sensevoice is installed" in again.stderr
    assert len(mirror.seen) == 1
    gone = dashscribe("models", "rm", "sensevoice")
    assert (gone.returncode, gone.stdout) == (0, "sensevoice removed\n")
    assert not (models / "sensevoice").exists()
    assert hidden(models) == set()
    missing = dashscribe("models", "rm", "sensevoice", "--yes", "--json")
    assert missing.returncode == 1
    assert json.loads(missing.stdout)[0]["error"].startswith("sensevoice is not installed")


def test_license_has_to_be_accepted_once(mirror: Mirror, models: Path, light: bytes) -> None:
    mirror.paths[ARCHIVE] = serving(light)
    refused = dashscribe("models", "pull", "sensevoice")
    assert refused.returncode == 2
    assert "has to be accepted" in refused.stderr and "--yes" in refused.stderr
    assert mirror.seen == []
    assert dashscribe("models", "pull", "sensevoice", "--yes").returncode == 0
    dashscribe("models", "rm", "sensevoice", "--yes")
    assert dashscribe("models", "pull", "sensevoice").returncode == 0, "it was accepted before"


def test_free_license_is_shown_and_needs_no_consent(mirror: Mirror, models: Path, tmp_path: Path) -> None:
    mirror.paths["/silero_vad.onnx"] = serving(silero(tmp_path / "v.onnx").read_bytes())
    done = dashscribe("models", "pull", "silero-vad")
    assert done.returncode == 0, done.stderr
    assert "MIT https://opensource.org/license/mit" in done.stderr


def on_terminal(*arguments: str, reply: bytes) -> tuple[int, str]:
    """Run with a terminal, answer the first question, return the exit code and all that was shown."""
    terminal, other_end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "models", *arguments],
        env=environment(),
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    )
    os.close(other_end)
    shown = b""
    asked = False
    watch = select.poll()  # not select(): it knows the first thousand descriptors only
    watch.register(terminal, select.POLLIN)
    while watch.poll(60_000):
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not asked and b"[y/N]" in shown:
            asked = True
            os.write(terminal, reply)
    os.close(terminal)
    return child.wait(30), shown.decode()


def test_terminal_is_asked(mirror: Mirror, models: Path, light: bytes) -> None:
    mirror.paths[ARCHIVE] = serving(light)
    code, shown = on_terminal("pull", "sensevoice", reply=b"n\n")
    assert code == 1 and "Do you accept it?" in shown
    assert mirror.seen == []
    code, shown = on_terminal("pull", "sensevoice", reply=b"y\n")
    assert code == 0, shown
    assert (models / "sensevoice" / "model.toml").is_file()
    code, shown = on_terminal("rm", "sensevoice", reply=b"n\n")
    assert code == 1 and "Remove sensevoice" in shown
    assert (models / "sensevoice").is_dir()
    assert on_terminal("rm", "sensevoice", reply=b"y\n")[0] == 0
    assert not (models / "sensevoice").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_pull_that_was_ended_asks_for_the_rest_only(
    mirror: Mirror, models: Path, archive: bytes, number: signal.Signals
) -> None:
    gate = threading.Event()
    mirror.paths[ARCHIVE] = serving(archive, cuts=[3_000_000], stall=gate)
    process = start("pull", "sensevoice", "--yes")
    until(lambda: received(models) == 3_000_000)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=180)
    gate.set()
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    if number == signal.SIGINT:
        assert b"interrupted; what was downloaded is kept" in stderr
    assert not (models / "sensevoice").exists()
    done = dashscribe("models", "pull", "sensevoice")
    assert done.returncode == 0, done.stderr
    assert mirror.ranges(ARCHIVE) == ["", "bytes=3000000-"]
    assert hidden(models) == set()


@pytest.mark.slow
def test_killed_at_any_moment_a_model_is_whole_or_not_there(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths[ARCHIVE] = serving(archive)
    rng = random.Random(11)
    for _ in range(size(5, 20)):
        process = start("pull", "sensevoice", "--yes")
        try:
            process.wait(0.3 + rng.random() * 1.5)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if (models / "sensevoice").exists():
            checked = dashscribe("models", "verify", "--json")
            (verdict,) = json.loads(checked.stdout)
            assert "SHA-256" not in str(verdict["problems"]) and "No such file" not in str(verdict["problems"])
            assert dashscribe("models", "rm", "sensevoice").returncode == 0
    assert dashscribe("models", "pull", "sensevoice", "--yes").returncode == 0  # no kill may have left time to accept
    assert hidden(models) == set()


def test_two_processes_download_once(mirror: Mirror, models: Path, archive: bytes) -> None:
    gate = threading.Event()
    mirror.paths[ARCHIVE] = serving(archive, cuts=[1_000_000], stall=gate)
    first = start("pull", "sensevoice", "--yes")
    until(lambda: received(models) == 1_000_000)
    second = start("pull", "sensevoice", "--yes")
    line = second.stderr.readline() if second.stderr else b""
    while b"another process is at work" not in line:
        assert line, "the second process ended"
        line = second.stderr.readline() if second.stderr else b""
    gate.set()
    assert first.wait(180) == 0
    _, err = second.communicate(timeout=180)
    assert second.returncode == 0, err
    assert b"sensevoice is installed" in err
    assert mirror.ranges(ARCHIVE).count("") == 1


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", str(folder / "models"))
    yield folder / "models"
    subprocess.run(["umount", folder], check=True)


def test_full_disk_leaves_nothing_half_installed(mirror: Mirror, small_disk: Path, archive: bytes) -> None:
    """The archive fits, and so do its files by what it claims of itself, but not both at once."""
    mirror.paths[ARCHIVE] = serving(archive)
    url = f"{mirror.url}{ARCHIVE}"
    beforehand = dashscribe("models", "pull", "sensevoice", "--yes")
    assert beforehand.returncode == 1
    assert "DASHSCRIBE_MODELS_DIR" in beforehand.stderr
    assert received(small_disk) == 0

    def of_unknown_length(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.end_headers()
        handler.wfile.write(archive)

    mirror.paths[ARCHIVE] = of_unknown_length
    done = dashscribe("models", "pull", "mine", "--url", url, "--yes")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and "make room" in done.stderr
    assert not (small_disk / "mine").exists()
    assert hidden(small_disk) == {"parts"}, "only the download is kept"
    assert dashscribe("models", "rm", "mine", "sensevoice").returncode == 0
    assert hidden(small_disk) == set()


def test_first_mirror_that_has_it_is_taken(mirror: Mirror, models: Path, light: bytes) -> None:
    mirror.paths[f"/good{ARCHIVE}"] = serving(light)
    mirror.paths[f"/html{ARCHIVE}"] = lambda handler: answer(handler, 200, {}, b"<html></html>")
    bases = ",".join(f"{mirror.url}/{name}" for name in ("gone", "html", "good"))
    done = dashscribe("models", "pull", "sensevoice", "--yes", "--mirror", bases)
    assert done.returncode == 0, done.stderr
    assert "answered 404" in done.stderr and "sent a web page" in done.stderr
    failed = dashscribe("models", "pull", "whisper-tiny", "silero-vad", "--json")
    assert failed.returncode == 1
    assert [row["ok"] for row in json.loads(failed.stdout)] == [False, False]


def test_model_at_a_url_is_pulled_under_a_name_of_its_own(mirror: Mirror, models: Path, light: bytes) -> None:
    mirror.paths["/x.tar.bz2"] = serving(light)
    url = f"{mirror.url}/x.tar.bz2?token=secret"
    wrong = dashscribe("models", "pull", "mine", "--url", url, "--sha256", "0" * 64, "--yes")
    assert wrong.returncode == 1 and "not 000000" in wrong.stderr and "secret" not in wrong.stderr
    assert dashscribe("models", "pull", "mine", "--url", url).returncode == 0
    assert "secret" not in (models / "mine" / "model.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["pull", "nonsense"], "no model is known as 'nonsense'; known are sensevoice"),
        (["pull", "mine", "--url", "file:///tmp/a.tar"], "no URL of a model"),
        (["pull", "a", "b", "--url", "http://127.0.0.1/x.tar"], "--url and --sha256 are for one model"),
        (["pull", "sensevoice", "--sha256", "abc"], "'abc' is not 64 hexadecimal digits"),
        (["pull", "openai", "--url", "http://127.0.0.1/x.tar"], "name of an engine"),
        (["pull"], "Missing argument"),
        (["add"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2(models: Path, arguments: list[str], why: str) -> None:
    done = dashscribe("models", *arguments)
    assert done.returncode == 2
    # click folds its lines at the width of the terminal
    assert why in " ".join(done.stderr.replace("│", " ").split())
    assert not models.exists()


def test_add_and_verify_without_a_network(models: Path, tmp_path: Path) -> None:
    archive = pack(sensevoice(tmp_path / "s"), tmp_path / "offline.tar.xz")
    done = dashscribe("models", "add", archive, "--name", "mine", "--language", "zh, yue", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["languages"] == ["zh", "yue"]
    twice = dashscribe("models", "add", archive, "--name", "mine")
    assert twice.returncode == 1 and "--replace" in twice.stderr
    assert dashscribe("models", "add", archive, "--name", "mine", "--replace").returncode == 0
    bad = program("models", "add", tmp_path)
    assert bad.returncode == 1 and bad.stderr.startswith("dashscribe: ") and len(bad.stderr.splitlines()) == 1
    (models / "mine" / "tokens.txt").write_text("x 0\n")
    checked = dashscribe("models", "verify", "mine", "--json")
    assert checked.returncode == 1
    (verdict,) = json.loads(checked.stdout)
    assert verdict["ok"] is False and "tokens.txt has the SHA-256" in verdict["problems"][0]
    shown = dashscribe("models", "verify", "mine", "gone")
    assert shown.returncode == 1
    assert "mine  FAILED" in shown.stdout and "gone is not installed" in shown.stdout


def test_home_that_a_model_comes_to_first_is_for_its_user_only(
    models: Path, tmp_path: Path, light: bytes, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(sensevoice(tmp_path / "s", weight_bytes=100_000), tmp_path / "offline.tar.xz")
    mirror.paths[ARCHIVE] = serving(light)
    for name, command in (("a", ("add", archive, "--name", "mine")), ("b", ("pull", "sensevoice", "--yes"))):
        home = tmp_path / "homes" / name
        monkeypatch.delenv("DASHSCRIBE_MODELS_DIR", raising=False)
        done = dashscribe("models", *command, DASHSCRIBE_HOME=str(home))
        assert done.returncode == 0, done.stderr
        assert home.stat().st_mode & 0o777 == 0o700
        assert home.parent.stat().st_mode & 0o777 == 0o755


def test_home_is_not_made_for_models_that_lie_elsewhere_and_keeps_the_rights_it_has(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, home = pack(sensevoice(tmp_path / "s"), tmp_path / "offline.tar.xz"), tmp_path / "home"
    assert dashscribe("models", "add", archive, "--name", "mine").returncode == 0
    assert (models / "mine").stat().st_mode & 0o777 == 0o755  # others may be meant to read them
    assert not home.exists()
    home.mkdir(mode=0o755)
    monkeypatch.delenv("DASHSCRIBE_MODELS_DIR")
    assert dashscribe("models", "add", archive, "--name", "mine").returncode == 0
    assert home.stat().st_mode & 0o777 == 0o755


def test_verify_of_nothing_says_so(models: Path) -> None:
    done = dashscribe("models", "verify")
    assert done.returncode == 0
    assert "no models lie in" in done.stderr


@pytest.mark.parametrize("folder", sorted(path for path in TRAINED.glob("*") if path.is_dir()), ids=lambda p: p.name)
def test_trained_model_transcribes_the_built_in_utterance(folder: Path, models: Path) -> None:
    assert dashscribe("models", "add", folder, "--link").returncode == 0
    done = dashscribe("models", "verify", "--json")
    (verdict,) = json.loads(done.stdout)
    assert done.returncode == 0, verdict
    assert bool(verdict["text"]) == (FAMILIES[verdict["family"]].task == "speech")
