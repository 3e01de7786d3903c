"""``dashscribe models ls``: every public name, and the engine that would run."""

import json
from pathlib import Path
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
    assert any(line.startswith("fun-asr ") and "dashscribe models pull funasr-nano" in line for line in lines)
    assert any(line.startswith("paraformer-8k-v2 ") and "pull paraformer-zh" in line for line in lines)


def test_engine_whose_package_is_not_installed_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.choice.is_installed", lambda info: False)
    assert {row["engine"] for row in listed().values()} == {""}


def suggested(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["suggest", "--json", *arguments])
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


def test_suggest_ranks_what_can_run_and_gives_reasons(sample: Path) -> None:
    answer = suggested(str(sample), "--language", "en", "--need", "words")
    names = [row["model"] for row in answer["suggested"]]
    assert names[0] == "fun-asr"
    assert all("words with measured times" in row["reasons"] for row in answer["suggested"])
    out = {row["model"]: row["reason"] for row in answer["ruled_out"]}
    assert out["qwen3-asr-flash"] == "its results carry no words"
    assert "dashscribe models pull" in out["paraformer-8k-v2"]
    assert not set(names) & out.keys()
    assert set(names) | out.keys() == MODELS.keys()


def test_suggest_says_what_nothing_here_can_do(sample: Path) -> None:
    result = CliRunner().invoke(app, ["suggest", str(sample), "--need", "emotion"])
    assert result.exit_code == 1
    assert "pocketsphinx hears no emotion; an installed SenseVoice does" in result.stdout


@pytest.mark.parametrize(("argument", "said"), [("--need=shouting", "shouting"), ("nowhere.wav", "no such file")])
def test_suggest_names_what_is_wrong_with_its_arguments(argument: str, said: str, sample: Path) -> None:
    arguments = [argument] if argument.endswith(".wav") else [str(sample), argument]
    result = CliRunner().invoke(app, ["suggest", *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_forced_engine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    assert {row["engine"] for row in listed("--language", "zh").values()} == {"standin"}
    assert "DASHSCRIBE_ENGINE forces standin" in CliRunner().invoke(app, ["ls"]).stdout
