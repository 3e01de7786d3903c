"""``dashscribe models ls``: every public name, and the engine that would run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashscribe.catalog import MODELS
from dashscribe.cli.models import app
from dashscribe.errors import WeightsError
from dashscribe.weights import find_task
from dashscribe.weights.families import FAMILIES
from small_models import FOLDER


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


def test_suggest_shows_people_the_best_and_all_when_asked(sample: Path) -> None:
    names = [row["model"] for row in suggested(str(sample), "--language", "en")["suggested"]]
    best, every = (
        CliRunner().invoke(app, ["suggest", str(sample), "--language", "en", *more]).stdout for more in ([], ["--all"])
    )
    assert [name for name in names if f" {name} " in best] == names[:5]
    assert f"{len(names) - 5} other names" in best
    assert all(f" {name} " in every for name in names)


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


LISTENERS = {
    "segmentation-small": "pyannote speaker segmentation",
    "speaker-embedding-small": "speaker embedding (3D-Speaker, WeSpeaker or NeMo)",
    "ced-tagging-small": "CED audio tagging",
    "gtcrn-tiny": "GTCRN speech enhancement",
}


def test_models_that_read_no_speech_are_added_listed_and_verified_but_no_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", str(tmp_path / "models"))
    run = CliRunner().invoke
    for name in LISTENERS:
        added = run(app, ["add", str(FOLDER / name)])
        assert added.exit_code == 0, added.output
    rows = json.loads(run(app, ["ls", "--installed", "--json"]).stdout)
    assert {row["name"]: FAMILIES[row["family"]].title for row in rows} == LISTENERS
    table = run(app, ["ls", "--installed"]).stdout
    assert all(name in table for name in LISTENERS)
    assert {row["engine"] for row in listed().values()} <= {"pocketsphinx", ""}
    verified = run(app, ["verify"])
    assert verified.exit_code == 0, verified.output
    assert verified.stdout.count("OK") == len(LISTENERS)
    (tmp_path / "models" / "gtcrn-tiny" / "gtcrn_simple.onnx").write_bytes(b"\x08\x08")
    failed = run(app, ["verify", "gtcrn-tiny"])
    assert failed.exit_code == 1
    assert "SHA-256" in failed.output


def test_upstream_file_of_one_model_gets_its_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", str(tmp_path / "models"))
    upstream = tmp_path / "3dspeaker_speech_campplus_sv_zh-cn_16k-common.onnx"
    shutil.copyfile(FOLDER / "speaker-embedding-small" / "model.onnx", upstream)
    assert CliRunner().invoke(app, ["add", str(upstream)]).exit_code == 0
    found = find_task(tmp_path / "models", "speaker_embedding")
    assert found and (found.name, found.path("model").name) == ("campplus", upstream.name)
    refused = CliRunner().invoke(app, ["add", str(FOLDER / "gtcrn-tiny"), "--name", "campplus-zh-en"])
    assert refused.exit_code != 0
    assert isinstance(refused.exception, SystemExit | WeightsError)
    said = f"{refused.output} {refused.exception}".replace("\n", " ")
    assert "is a GTCRN speech enhancement model, not speaker embedding" in said
