"""``dashscribe models ls``: every public name, and the engine that would run."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from dashscribe.catalog import MODELS
from dashscribe.cli.models import app


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(app, ["ls", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_every_public_name_is_listed() -> None:
    assert listed().keys() == MODELS.keys()
    table = CliRunner().invoke(app, ["ls"]).stdout
    assert all(name in table for name in MODELS)


def test_embedded_engine_runs_where_english_may_be_spoken_and_says_how_good_it_is() -> None:
    assert listed()["fun-asr"]["engine"] == "pocketsphinx"
    assert listed("--language", "zh,en")["fun-asr"]["engine"] == "pocketsphinx"
    assert "28 % word errors" in CliRunner().invoke(app, ["ls"]).stdout


def test_model_that_no_engine_can_stand_for_says_why() -> None:
    row = listed("--language", "zh")["fun-asr"]
    assert row["engine"] == ""
    assert "zh" in row["reason"]
    lines = CliRunner().invoke(app, ["ls", "--language", "zh"]).stdout.splitlines()
    assert any(line.startswith("fun-asr ") and "none: pocketsphinx reads en" in line for line in lines)
    assert any(line.startswith("paraformer-8k-v2 ") and "none reads it" in line for line in lines)


def test_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.catalog.is_installed", lambda info: False)
    monkeypatch.setattr("dashscribe.engines.is_installed", lambda info: False)
    assert "none: pocketsphinx is not installed" in CliRunner().invoke(app, ["ls"]).stdout


def test_forced_engine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    assert {row["engine"] for row in listed("--language", "zh").values()} == {"standin"}
    assert "DASHSCRIBE_ENGINE forces standin" in CliRunner().invoke(app, ["ls"]).stdout
