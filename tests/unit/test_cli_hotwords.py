"""``dashscribe hotwords`` against a scripted server: what a file says, what is asked, what is shown, how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from scripted_server import Script
from typer.testing import CliRunner

from dashscribe.cli.hotwords import app
from dashscribe.client import ApiError

ID = "vocab-harbor-0123456789abcdef0123456789abcdef"
TIMES = {"gmt_create": "2026-06-01 11:00:00", "gmt_modified": "2026-06-02 11:00:00", "status": "OK"}
WORDS: list[dict[str, Any]] = [{"text": "Kestrel Bridge", "weight": 4, "lang": "en"}, {"text": "海拉尔", "weight": 5}]
GONE = (400, {"code": "BadRequest.ResourceNotExist", "message": "The Required resource not exist."})


def answer(output: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"request_id": "r-1", "output": output, "usage": {"count": 1}}


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    server.answers = [answer({})]
    yield server
    server.close()


@pytest.fixture
def hotwords(script: Script) -> Callable[..., Result]:
    def run(*arguments: str, stdin: str | None = None) -> Result:
        where = ["--base-url", script.base_url, "--api-key", "sk-x"]
        return CliRunner().invoke(app, [*arguments, *where], input=stdin)

    return run


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_create_sends_the_words_and_prints_the_id_alone(
    script: Script, hotwords: Callable[..., Result], tmp_path: Path
) -> None:
    script.answers = [answer({"vocabulary_id": ID})]
    file = written(tmp_path / "words.txt", "Kestrel Bridge\t4\ten\n\n海拉尔, 5\n")
    result = hotwords("create", file, "--prefix", "harbor", "--model", "paraformer-v2")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    method, path, headers, body = script.seen[0]
    assert (method, path) == ("POST", "/api/v1/services/audio/asr/customization")
    assert headers["authorization"] == "Bearer sk-x"
    assert body == {
        "model": "speech-biasing",
        "input": {
            "action": "create_vocabulary",
            "target_model": "paraformer-v2",
            "prefix": "harbor",
            "vocabulary": WORDS,
        },
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("harbor\n", [{"text": "harbor", "weight": 4}]),
        ("\ufeffharbor,2", [{"text": "harbor", "weight": 2}]),
        ("one two , 3 , EN ", [{"text": "one two", "weight": 3, "lang": "en"}]),
        ("x,-6", [{"text": "x", "weight": -6}]),
        ("Washington, D.C.\t5\ten", [{"text": "Washington, D.C.", "weight": 5, "lang": "en"}]),
        ('["a, b", {"text": "c", "weight": 1}]', [{"text": "a, b"}, {"text": "c", "weight": 1}]),
        ('{"海拉尔": 5}', [{"text": "海拉尔", "weight": 5}]),
        ("", []),
    ],
)
def test_file_forms(
    text: str, words: list[Any], script: Script, hotwords: Callable[..., Result], tmp_path: Path
) -> None:
    assert hotwords("update", ID, written(tmp_path / "w", text)).exit_code == 0
    assert script.seen[0][3]["input"]["vocabulary"] == words


def test_words_are_read_from_standard_input(script: Script, hotwords: Callable[..., Result]) -> None:
    result = hotwords("update", ID, "-", stdin="harbor\nquay,2\n")
    assert result.stdout == f"{ID} holds 2 words\n"
    assert script.seen[0][3]["input"] == {
        "action": "update_vocabulary",
        "vocabulary_id": ID,
        "vocabulary": [{"text": "harbor", "weight": 4}, {"text": "quay", "weight": 2}],
    }


@pytest.mark.parametrize("text", ["fine\nWashington, D.C.\n", "a,4,en,x", "a\t\ten", "a,4.5", ",4", "[1", "{]"])
def test_unreadable_file_is_a_usage_error_and_nothing_is_sent(
    text: str, script: Script, hotwords: Callable[..., Result], tmp_path: Path
) -> None:
    result = hotwords("create", written(tmp_path / "w", text), "--prefix", "x")
    assert result.exit_code == 2
    assert script.seen == []


def test_line_that_cannot_be_read_is_named(hotwords: Callable[..., Result], tmp_path: Path) -> None:
    result = hotwords("update", ID, written(tmp_path / "w", "fine\nWashington, D.C.\n"))
    assert "line 2" in result.stderr.replace("\n", " ")


def test_missing_and_binary_files_are_usage_errors(hotwords: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("gone", "binary"):
        assert hotwords("update", ID, str(tmp_path / name)).exit_code == 2


def test_ls_shows_one_line_for_each_list(script: Script, hotwords: Callable[..., Result]) -> None:
    script.answers = [answer({"vocabulary_list": [{"vocabulary_id": ID, **TIMES}]})]
    result = hotwords("ls", "--prefix", "harbor", "--limit", "5")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["LIST", ID]
    assert "2026-06-02 11:00:00" in result.stdout
    assert script.seen[0][3]["input"] == {
        "action": "list_vocabulary",
        "prefix": "harbor",
        "page_index": 0,
        "page_size": 5,
    }
    assert json.loads(hotwords("ls", "--json").stdout) == [{"vocabulary_id": ID, **TIMES}]


def test_get_prints_what_create_reads(script: Script, hotwords: Callable[..., Result], tmp_path: Path) -> None:
    script.answers = [answer({**TIMES, "target_model": "fun-asr", "vocabulary": WORDS})]
    shown = hotwords("get", ID)
    assert "for fun-asr" in shown.stderr
    assert json.loads(hotwords("get", ID, "--json").stdout)["vocabulary"] == WORDS
    hotwords("update", ID, written(tmp_path / "w", shown.stdout))
    assert script.seen[-1][3]["input"]["vocabulary"] == WORDS


def test_rm_goes_on_after_a_refusal_and_exits_with_1(script: Script, hotwords: Callable[..., Result]) -> None:
    script.answers = [GONE, answer({})]
    result = hotwords("rm", "vocab-x", ID)
    assert result.exit_code == 1
    assert result.stdout == f"{ID} deleted\n"
    assert "vocab-x not deleted: BadRequest.ResourceNotExist" in result.stderr


def test_creation_is_not_repeated_after_a_broken_connection(
    script: Script, hotwords: Callable[..., Result], tmp_path: Path
) -> None:
    script.answers = [(0, b"")]
    assert hotwords("create", written(tmp_path / "w", "x"), "--prefix", "x").exit_code == 1
    assert len(script.seen) == 1


def test_refused_key_is_an_error_of_the_whole_command(script: Script, hotwords: Callable[..., Result]) -> None:
    script.answers = [(401, {"code": "InvalidApiKey", "message": "Invalid API-key provided."})]
    assert isinstance(hotwords("rm", "a", "b").exception, ApiError)
    assert len(script.seen) == 1
