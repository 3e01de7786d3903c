"""What the commands around model files make of their arguments, and what they show where there is no terminal."""

import pytest
import typer

from dashscribe.cli import model_files
from dashscribe.config import load


def test_model_is_pulled_by_the_public_name_that_it_stands_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "public_names", dict)
    with pytest.raises(typer.BadParameter, match="no model is known as 'fun-asr'"):
        model_files._wanted(["fun-asr"], "", "")
    monkeypatch.setattr(model_files, "public_names", lambda: {"fun-asr": "funasr-nano"})
    wanted = model_files._wanted(["fun-asr", "funasr-nano", "silero-vad"], "", "")
    assert [known.name for known in wanted] == ["funasr-nano", "silero-vad"], "each once"


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with model_files._Follower() as follower:
        follower.watch.moved("a.tar.bz2", 1_000_000, 163_000_000)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(model_files.time, "monotonic", lambda: 1e12)
        follower.watch.moved("a.tar.bz2", 45_000_000, 163_000_000)
        follower.watch.moved("checking x", 500_000, None)
    assert capsys.readouterr().err == "dashscribe: a.tar.bz2: 45 MB of 163 MB\n"


def test_folder_of_the_models_lies_in_the_home_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().resolved_models_dir == load().home / "models"
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", "")
    assert load().resolved_models_dir == load().home / "models"
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", "/srv/models")
    assert str(load().resolved_models_dir) == "/srv/models"
