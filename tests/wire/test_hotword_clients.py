"""The official Python clients manage hotword lists here: the classes of majors 1 and 2, and the v2 client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from wire_servers import Server, assert_no_null

from dashscribe.cli.hotwords import app

pytestmark = pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning")

CALLS = Path(__file__).with_name("hotword_calls.py")
WORDS = [{"text": "Kestrel Bridge", "weight": 4, "lang": "en"}, {"text": "海拉尔", "weight": 4}]


@pytest.fixture(scope="module", params=["1", "2"])
def said(request: pytest.FixtureRequest, idle: Server) -> dict[str, Any]:
    """What the classes returned, call by call."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCOPE_")}
    if request.param == "1":
        env["PYTHONPATH"] = str(request.getfixturevalue("sdk_1"))
    done = subprocess.run(
        [sys.executable, CALLS, idle.api, idle.key], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["version"].split(".")[0] == request.param
    return said


def test_vocabularies_of_the_class_interface(said: dict[str, Any]):
    made = said["created"]
    assert made.startswith("vocab-sdk-")
    assert [one["vocabulary_id"] for one in said["listed"]] == [made]
    assert made in {one["vocabulary_id"] for one in said["listed all"]}
    assert said["queried"]["vocabulary"] == WORDS[1:]
    assert said["queried"]["target_model"] == "fun-asr"
    assert_no_null([said["listed"], said["queried"]])
    assert said["request id"]
    assert "Status Code: 400, Code: BadRequest.ResourceNotExist" in said["gone"]


def test_phrase_lists_of_the_class_interface(said: dict[str, Any]):
    compiled, recompiled = said["compiled"]["output"], said["recompiled"]["output"]
    phrase_id = compiled["finetuned_output"]
    assert phrase_id == f"paraformer-v1-{compiled['job_id']}"
    assert (compiled["status"], compiled["training_type"]) == ("SUCCEEDED", "compile_asr_phrase")
    assert recompiled["finetuned_output"] == phrase_id
    assert said["phrases"]["output"]["job_id"] == recompiled["job_id"]
    assert said["phrases"]["output"]["output_type"] == "custom_resource"
    listed = said["all phrases"]["output"]
    assert (listed["page_no"], listed["page_size"]) == (1, 10)
    assert phrase_id in {one["finetuned_output"] for one in listed["finetuned_outputs"]}
    assert said["deleted"]["output"]["finetuned_output"] == phrase_id


def test_refusals_reach_the_class_interface(said: dict[str, Any]):
    assert (said["no phrases"]["status_code"], said["no phrases"]["code"]) == (400, "BadRequest.ResourceNotExist")
    assert (said["refused"]["status_code"], said["refused"]["code"]) == (400, "InvalidParameter")
    assert "its weight was 90" in said["refused"]["message"]


def test_our_own_command_line(idle: Server, tmp_path: Path):
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--base-url", idle.api, "--api-key", idle.key])
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    words = tmp_path / "words.txt"
    words.write_text("Kestrel Bridge\t4\ten\n海拉尔\t4\n", encoding="utf-8")
    made = run("create", str(words), "--prefix", "cli")
    assert run("get", made) == words.read_text(encoding="utf-8").strip()
    words.write_text("new\n", encoding="utf-8")
    run("update", made, str(words))
    assert run("get", made) == "new\t4"
    assert made in run("ls", "--prefix", "cli")
    run("rm", made)
    assert made not in run("ls")


@pytest.fixture
def client(idle: Server) -> Iterator[Any]:
    import dashscope  # a second of work, for the tests of its v2 client alone

    with dashscope.Client(api_key=idle.key, base_url=idle.api) as opened:
        yield opened


def test_vocabularies_of_the_v2_client(client: Any):
    from dashscope.v2.errors import DashScopeError

    made = client.audio.vocabularies.create(target_model="fun-asr", prefix="v2", vocabulary=WORDS)
    assert made.vocabulary_id.startswith("vocab-v2-")
    assert client.audio.vocabularies.get(made.vocabulary_id).vocabulary == WORDS
    client.audio.vocabularies.update(made.vocabulary_id, vocabulary=WORDS[1:])
    assert client.audio.vocabularies.get(made.vocabulary_id).vocabulary == WORDS[1:]
    listed = client.audio.vocabularies.list(prefix="v2")
    assert [one["vocabulary_id"] for one in listed.vocabularies] == [made.vocabulary_id]
    client.audio.vocabularies.delete(made.vocabulary_id)
    with pytest.raises(DashScopeError) as caught:
        client.audio.vocabularies.get(made.vocabulary_id)
    assert caught.value.code == "BadRequest.ResourceNotExist"


def test_phrase_lists_of_the_v2_client(client: Any):
    from dashscope.v2.errors import DashScopeError

    made = client.audio.phrases.create(model="paraformer-v1", phrases={"海拉尔": 5})
    assert made.phrase_id.startswith("paraformer-v1-ft-")
    assert (
        client.audio.phrases.update(made.phrase_id, model="paraformer-v1", phrases={"新": 1}).phrase_id
        == made.phrase_id
    )
    assert client.audio.phrases.get(made.phrase_id).phrase_id == made.phrase_id
    listed = client.audio.phrases.list()
    assert listed.total_count == len(listed.phrases) >= 1
    client.audio.phrases.delete(made.phrase_id)
    with pytest.raises(DashScopeError):
        client.audio.phrases.get(made.phrase_id)
