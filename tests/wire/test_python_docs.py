"""The page about the library: its programs run as they stand, one after another, and its tables are whole."""

import re
import shutil
from pathlib import Path

import pytest
from wire_servers import Server

import dashscribe
from dashscribe.wishes import Wishes

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


def test_every_program_on_the_page_runs(
    server: Server, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", server.api)
    monkeypatch.setenv("DASHSCOPE_API_KEY", server.key)
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample, "talk.flac")
    programs = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(programs) >= 8
    names: dict[str, object] = {"__name__": "page"}
    for program in programs:
        exec(compile(program, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert dashscribe.transcribe("talk.flac").text in said
    assert "InvalidFile.DownloadFailed no-such-file.mp3: no such file" in said


def test_the_tables_name_every_parameter_and_every_error() -> None:
    cells = re.findall(r"^\| ([^|]*) \|", PAGE, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert set(Wishes.__annotations__) <= named
    errors = {name for name in dashscribe.__all__ if name.endswith("Error")} - {"DashscribeError"}
    assert errors <= named
