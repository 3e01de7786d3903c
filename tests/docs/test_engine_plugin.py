"""The example of an engine from outside is installed as a package is, and recognizes in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import CHECKOUT

PLUGIN = CHECKOUT / "examples" / "engine-plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of programs that find the plug-in, which its own build back end made a wheel of."""
    folder = tmp_path_factory.mktemp("plugin")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=PLUGIN, check=True, capture_output=True)
    (wheel,) = folder.glob("dashscribe_loudness-*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(folder / "site")], check=True)
    return {
        **os.environ,
        "PYTHONPATH": str(folder / "site"),
        "DASHSCRIBE_ENGINE": "loudness",
        "DASHSCRIBE_WORKERS": "1",
        "DASHSCRIBE_HOME": str(folder / "home"),
    }


def dashscribe(environment: dict[str, str], *arguments: str | Path) -> str:
    program = Path(sys.executable).with_name("dashscribe")
    ended = subprocess.run(
        [program, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_plugin_transcribes_with_times_that_hold(installed: dict[str, str], sample: Path) -> None:
    result = json.loads(dashscribe(installed, "transcribe", "-q", "-f", "json", sample))
    words = [w for t in result["transcripts"] for s in t["sentences"] for w in s["words"]]
    assert {word["text"].strip().lower() for word in words} <= {"loud", "soft"}  # sentences get their capital letter
    assert len(words) > 5
    assert all(word["end_time"] - word["begin_time"] == 1000 for word in words)
    assert result["dashscribe"]["engine"] == "loudness"


def test_plugin_is_told_where_it_is_forced(installed: dict[str, str]) -> None:
    listed = dashscribe(installed, "models", "ls")
    assert "loudness" in listed
    assert "forced by DASHSCRIBE_ENGINE" in listed


def test_without_the_setting_nothing_chooses_it(installed: dict[str, str]) -> None:
    assert "loudness" not in dashscribe({**installed, "DASHSCRIBE_ENGINE": ""}, "models", "ls")
