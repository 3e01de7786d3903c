"""Fixtures for every folder: a clean environment, the real recordings, media made on the spot."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from object_store import bucket, bucket_name, object_store
from postgres import cluster
from small_models import dialogues, speak, spoken

__all__ = ["bucket", "bucket_name", "cluster", "dialogues", "object_store", "speak", "spoken"]  # for every folder

CHECKOUT = Path(__file__).resolve().parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background has them, and all they start, ignore Ctrl-C; some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests leaks in; every test has a home folder of its own."""
    for name in list(os.environ):
        if name.startswith(("DASHSCRIBE_", "DASHSCOPE_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DASHSCRIBE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def audio_dir() -> Path:
    """Real human recordings that lie beside the checkout; tests that need them are skipped where they are absent."""
    folder = Path(os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio")
    if not (folder / "manifest.json").is_file():
        pytest.skip(f"no recordings in {folder}; AUDIO_DIR names another folder")
    return folder


@pytest.fixture(scope="session")
def recordings(audio_dir: Path) -> list[dict[str, object]]:
    """The rows of the recordings' manifest: file, transcript, language, speakers, kind …"""
    return json.loads((audio_dir / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def sample() -> Path:
    """The speech file that ships with the project."""
    return CHECKOUT / "examples" / "gettysburg.flac"


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Run ffmpeg with the given arguments; tests that need it are skipped where it is absent."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed (Debian: apt-get install ffmpeg)")

    def run(*arguments: str | Path) -> None:
        subprocess.run([program, "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)

    return run
