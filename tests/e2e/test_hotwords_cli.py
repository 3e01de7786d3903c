"""Hotwords through the whole program: real speech, a real engine, the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cli_inputs import dashscribe as in_this_process

import dashscribe
from dashscribe import Hotword
from media_files import write_wav
from small_models import install

pytestmark = pytest.mark.usefixtures("lasting_children")

SAID = "the dashscribe server sends a letter to mister vandersloot"
QUIET = np.zeros(16_000, np.int16)


@pytest.fixture
def spoken_wav(tmp_path: Path) -> Path:
    flite = shutil.which("flite")
    if flite is None:
        pytest.skip("flite is not installed (Debian: apt-get install flite)")
    path = tmp_path / "said.wav"
    subprocess.run([flite, "-voice", "rms", "-t", SAID, "-o", path], check=True)
    return path


def run(tmp_path: Path, *arguments: str | Path, **settings: str) -> str:
    home = {"DASHSCRIBE_HOME": str(tmp_path / "home"), "DASHSCRIBE_ENGINE": ""}
    done = in_this_process(*arguments, **home | settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_list_in_a_file_puts_the_terms_in_as_the_engine_hears_them(spoken_wav: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("DashScribe\nVandersloot,5,en\n", encoding="utf-8")
    line = json.loads(run(tmp_path, "transcribe", spoken_wav, "--hotwords", words, "--json"))
    assert "DashScribe" in line["text"] and "Vandersloot" in line["text"]
    assert not any("hotwords" in note for note in line["notes"])  # there was nothing to correct
    bare = json.loads(run(tmp_path, "transcribe", spoken_wav, "--json"))
    assert "DashScribe" not in bare["text"]
    assert not any("hotwords" in note for note in bare["notes"])


def test_the_library_takes_the_same(spoken_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_HOME", str(tmp_path / "home"))
    words = ["DashScribe", Hotword("Vandersloot", 5, "en")]
    transcript = dashscribe.transcribe(spoken_wav, hotwords=words, itn=True, drop_fillers=True)
    assert "DashScribe" in transcript.text and "Vandersloot" in transcript.text
    assert not any("hotwords" in note for note in transcript.notes)


def test_a_context_is_heeded_and_a_note_says_how_far(spoken_wav: Path, tmp_path: Path) -> None:
    line = json.loads(run(tmp_path, "transcribe", spoken_wav, "--context", "Bulge Bracket, 王小明", "--json"))
    assert "context counts for its names and terms only: pocketsphinx does not read any" in line["notes"]
    assert "Bulge" not in line["text"]


def test_the_effect_of_a_list_is_measured_without_a_server(spoken_wav: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("DashScribe\nVandersloot,5\nKestrel Bridge\n", encoding="utf-8")
    spoken_wav.with_suffix(".txt").write_text(SAID, encoding="utf-8")
    told = json.loads(run(tmp_path, "hotwords", "test", words, spoken_wav, "--json"))
    total = told["total"]
    assert (total["said"], total["found_without"], total["found"], total["inserted"]) == (2, 0, 2, 0)
    assert total["recall"] == 1.0


def test_chinese_names_that_sound_the_same_are_written_as_in_the_list(tmp_path: Path, spoken: ModuleType) -> None:
    models = install(tmp_path / "models", "paraformer-small")
    samples, _ = spoken.sentence("小明是我的朋友", "zh")
    path = write_wav(tmp_path / "said.wav", np.concatenate([QUIET, samples, QUIET])[None])
    words = tmp_path / "words.txt"
    words.write_text("晓明\n碰友\n", encoding="utf-8")
    arguments = ("transcribe", path, "--language", "zh", "--hotwords", words, "--json")
    settings = {"DASHSCRIBE_MODELS_DIR": str(models), "DASHSCRIBE_ENGINE": "paraformer-small"}
    line = json.loads(run(tmp_path, *arguments, **settings))
    assert line["text"].startswith("晓明是我的朋友")  # the last is a word by itself, with another tone
    assert "hotwords: 1 word corrected" in line["notes"]
