"""``dashscribe config``: the value that counts, where it comes from, and no secret."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dashscribe.cli.config import config
from dashscribe.config import Settings, default_home, load
from dashscribe.db import connecting, open_database
from dashscribe.errors import ConfigError
from dashscribe.store import open_store

app = typer.Typer(rich_markup_mode=None)
app.command()(config)


def shown() -> dict[str, tuple[str, str]]:
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0, result.output
    return {row["name"]: (row["value"], row["origin"]) for row in json.loads(result.stdout)}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("DASHSCRIBE_CONFIG", str(path))
    return path


def test_every_setting_is_shown() -> None:
    assert shown().keys() == Settings.model_fields.keys()
    table = CliRunner().invoke(app).stdout
    assert all(name in table for name in Settings.model_fields)


def test_environment_goes_before_the_file_and_the_file_before_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('workers = 3\nretention = 48\nlog_format = "json"\n', encoding="utf-8")
    monkeypatch.setenv("DASHSCRIBE_WORKERS", "5")
    found = shown()
    assert found["workers"] == ("5", "DASHSCRIBE_WORKERS")
    assert found["retention"] == ("48.0", str(file))
    assert found["time_zone"] == ("Asia/Shanghai", "default")


def test_secrets_are_masked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('api_key = "sk-very-secret"\n', encoding="utf-8")
    monkeypatch.setenv("DASHSCRIBE_DATABASE_URL", "postgresql://me:hidden@host/db")
    for arguments in ([], ["--json"]):
        output = CliRunner().invoke(app, arguments).output
        assert "very-secret" not in output
        assert "hidden" not in output
    assert shown()["database_url"][0] == "postgresql://me:********@host/db"
    assert shown()["api_key"] == ("**********", str(file))


def test_what_follows_from_the_home_folder_is_shown_resolved(tmp_path: Path) -> None:
    assert shown()["store_url"] == (f"file://{tmp_path / 'home' / 'store'}", "default")
    assert shown()["task_timeout_s"] == ("0.0", "default")
    assert shown()["public_url"] == ("", "default")


def test_file_that_does_not_exist_is_said_to_be_missing(file: Path) -> None:
    assert f"{file} (does not exist)" in CliRunner().invoke(app).stderr


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", "9" * 30])
def test_numbers_that_cannot_be_meant_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
    assert len(numbers) > 15
    for name in numbers:
        with monkeypatch.context() as patch, pytest.raises(ConfigError, match=rf"^unusable settings: {name}="):
            patch.setenv(f"DASHSCRIBE_{name.upper()}", value)
            load()


def test_what_to_give_instead_of_a_number_that_is_too_large_is_told() -> None:
    with pytest.raises(ConfigError, match=r"retention=inf: .*give 1000000 hours, which is 114 years at most"):
        load(retention=float("inf"))
    with pytest.raises(ConfigError, match=r"task_timeout_s=inf: .* at most; 0 means no limit"):
        load(task_timeout_s=float("inf"))
    assert load(retention=1_000_000, host_idle_s=1e9, max_file_bytes=2**60).retention == 1_000_000


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("  https://asr.example.com/ ", "https://asr.example.com"),
        ("http://10.0.0.1:8080/speech/v1/", "http://10.0.0.1:8080/speech/v1"),
        ("HTTPS://ASR.example.com:443", "https://asr.example.com:443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://语音.example.com/识别", "https://xn--2e3au0v.example.com/%E8%AF%86%E5%88%AB"),
    ],
)
def test_public_url_is_kept_in_a_form_that_any_client_understands(given: str, kept: str) -> None:
    assert load(public_url=given).public_url == kept


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("asr.example.com", "give the base of an http or https URL, as in https://asr.example.com"),
        ("asr.example.com:8000", "give the base of an http or https URL"),
        ("ftp://asr.example.com", "give the base of an http or https URL"),
        ("https://", "give the base of an http or https URL"),
        ("https://me@asr.example.com", "leave name and password out"),
        ("https://asr.example.com/?a=b", "leave out what begins with ? or #"),
        ("https://asr.example.com/#", "leave out what begins with ? or #"),
        ("https://asr.example.com:70000", "Port out of range 0-65535: give the base of an http or https URL"),
        ("https://a b.example.com", "'a b.example.com' is no name of a host"),
        ("https://语 音.example.com", "'语 音.example.com' is no name of a host: "),
        ("https://[::1", "Invalid IPv6 URL: give the base"),
    ],
)
def test_public_url_that_would_make_dead_urls_is_refused(given: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(public_url=given)
    assert f"public_url={given!r}" in str(caught.value)
    assert remedy in str(caught.value)


# --- homes of any name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a home", "a?b=c", "a#b", "p%41q", "100%", "主目录", "a&b;c'd\"e"])
def test_all_of_a_home_lies_in_it_whatever_its_name(name: str, tmp_path: Path) -> None:
    settings = load(home=tmp_path / name)
    open_database(settings.resolved_database_url).dispose()
    open_store(settings).put("a/b", b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (settings.home / "dashscribe.db").is_file()
    assert (settings.home / "store" / "a" / "b").read_bytes() == b"x"
    assert connecting.parsed(settings.resolved_database_url).database == str(settings.home / "dashscribe.db")


def test_relative_homes_and_those_of_a_user_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.toml").write_text("workers = 3\n", encoding="utf-8")
    for given in ("kept", "~/kept"):
        monkeypatch.setenv("DASHSCRIBE_HOME", given)
        monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", "~/models")
        settings = load()
        assert (settings.home, settings.workers) == (tmp_path / "kept", 3)
        assert settings.resolved_store_url == (tmp_path / "kept" / "store").as_uri()
        assert settings.resolved_models_dir == tmp_path / "models"
    monkeypatch.setenv("DASHSCRIBE_HOME", "")
    assert load().home == default_home()
    with pytest.raises(ConfigError, match=r"home='~no-such-user/x': .*there is no such user"):
        load(home="~no-such-user/x")
