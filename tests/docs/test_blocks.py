"""Every block of code in the pages runs, is parsed, or says why not.

One server with the stand-in engine stands for the one that the pages talk to; hosts, keys and ids in the blocks are
replaced by its own. ``curl`` fails for every answer from 400 on, shells at the first command that fails.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest
import yaml
from blocks import CHECKOUT, REASONS, Block, blocks, pages
from wire_origin import Origin
from wire_servers import ASYNC, KEY, SUBMIT, Server, start_server, stop_server

#: Length of the recordings that the pages talk of, in copies of one sentence of 3.8 s.
LONG, SHORT = 25, 1
#: The longest that a block may take, in seconds: much, since a machine that is busy with other tests is slow.
PATIENCE_S = 240
#: Kinds of blocks that show what something printed or wrote.
OUTPUT = ("text", "console", "")
#: The id of a task in the pages.
TASK_ID = "7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f"

ALL = [block for page in pages() for block in blocks(page)]
BY_PAGE = {page.relative_to(CHECKOUT).as_posix(): list(blocks(page)) for page in pages()}


def _yaml(code: str) -> object:
    return list(yaml.safe_load_all(io.StringIO(code)))


PARSERS: dict[str, Callable[[str], object]] = {"json": json.loads, "toml": tomllib.loads, "yaml": _yaml}
RUN = ("sh", "bash", "python")


# --- what is said of blocks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ALL, ids=[block.name for block in ALL])
def test_block_has_a_language_and_a_reason_if_it_does_not_run(block: Block) -> None:
    if block.not_run.startswith("test: "):
        assert (CHECKOUT / block.not_run.removeprefix("test: ")).is_file(), block.not_run
    elif block.not_run:
        assert block.not_run in REASONS, f"no reason: {block.not_run!r}; there are {', '.join(REASONS)}"
    else:
        known = (*RUN, *PARSERS, *OUTPUT)
        assert block.language in known, f"nothing here runs {block.language!r}: say <!-- not run: other program -->"


@pytest.mark.parametrize("page", pages(), ids=list(BY_PAGE))
def test_no_code_hides_in_an_indented_block(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    hidden = re.findall(r"\n\n((?: {4}|\t)(?![-*\d]).*)", text)
    assert not [line for line in hidden if re.match(r"\s*(dashscribe|curl|python|pip|export)\b", line)]


@pytest.mark.parametrize("block", [b for b in ALL if b.source], ids=[b.name for b in ALL if b.source])
def test_block_out_of_a_file_is_in_that_file(block: Block) -> None:
    assert block.code in (CHECKOUT / block.source).read_text(encoding="utf-8")


PARSED = [b for b in ALL if b.language in PARSERS and not b.not_run]


@pytest.mark.parametrize("block", PARSED, ids=[block.name for block in PARSED])
def test_block_can_be_parsed(block: Block) -> None:
    PARSERS[block.language](block.code)


# --- what runs ------------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A folder with the files that the pages name, a server, and what was run there before."""

    folder: Path
    server: Server
    origin: str
    done: dict[str, str] = field(default_factory=dict)

    @cached_property
    def task_id(self) -> str:
        """A task that has ended and asked for speakers."""
        task_id = self.server.submit("fun-asr", f"{self.origin}/a.wav", parameters={"diarization_enabled": True})
        assert self.server.wait(task_id)["output"]["task_status"] == "SUCCEEDED"
        return task_id

    @cached_property
    def environment(self) -> dict[str, str]:
        (self.folder / ".curlrc").write_text("fail-with-body\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DASHSCRIBE_", "DASHSCOPE_"))}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CURL_HOME": str(self.folder),
            "DASHSCRIBE_HOME": str(self.server.home),
            "DASHSCRIBE_ENGINE": "standin",
            "DASHSCRIBE_WORKERS": "1",
            "DASHSCRIBE_FETCH_ALLOW": "127.0.0.1/32",
            "DASHSCRIBE_API_KEY": KEY,
            "DASHSCOPE_API_KEY": KEY,
            "DASHSCOPE_HTTP_BASE_URL": self.server.api,
            "NO_PROXY": "127.0.0.1",
        }

    def localized(self, code: str) -> str:
        """The code with this desk's places and names."""
        code = re.sub(r"https://(?:media\.)?example\.(?:com|net)/", f"{self.origin}/", code)
        code = re.sub(r"file:///home/\w+/", f"file://{self.folder}/", code)
        for there, here in (
            ("http://127.0.0.1:8000", self.server.url),
            ("sk-…", KEY),
            ("TASK_ID", self.task_id),
            (TASK_ID, self.task_id),
            (".venv/bin/dashscribe", "dashscribe"),
        ):
            code = code.replace(there, here)
        return code

    def run(self, block: Block) -> str:
        """What went wrong; empty where nothing did. The same code in another page is not run again."""
        code = "\n".join(re.sub(r"\s+#\s.*$|^# .*$", "", line) for line in f"{block.first}\n{block.code}".splitlines())
        if code not in self.done:
            self.done[code] = self._run(block)
        return self.done[code]

    def _run(self, block: Block) -> str:
        if block.language == "python":
            script = self.folder / f"block_{abs(hash((block.page, block.line)))}.py"
            script.write_text(self.localized(f"{block.first}\n{block.code}"), encoding="utf-8")
            command = [sys.executable, "-W", "error::SyntaxWarning", str(script)]
        else:
            command = ["bash", "-euo", "pipefail", "-c", self.localized(f"{block.first}\n{block.code}")]
        try:
            ended = subprocess.run(
                command, cwd=self.folder, env=self.environment, capture_output=True, timeout=PATIENCE_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it took more than {PATIENCE_S} s"
        if ended.returncode == 0:
            return ""
        return f"exit {ended.returncode}\n{ended.stdout.decode()[-2000:]}\n{ended.stderr.decode()[-2000:]}"


NAMED_SHORT = (
    "a.mp4",
    "clip.mp4",
    "talk.mp4",
    "call.wav",
    "meeting.wav",
    "meeting.m4a",
    "meeting.mp3",
    "interview.wav",
)
NAMED_SHORT += (
    "采访.mp3",
    "talks/1.mp3",
    "talks/2.wav",
    "more/3.m4a",
    "street.wav",
    "lecture.mp3",
    "talk.mkv",
    "talk.wav",
)


def _lay_out(folder: Path) -> None:
    """The recordings of the pages, made of one sentence; ``folder`` has a.wav already."""
    with wave.open(str(folder / "a.wav")) as sentence:
        parameters, frames = sentence.getparams(), sentence.readframes(sentence.getnframes())

    def write(name: str, copies: int, channels: int = 1) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        with wave.open(str(folder / name), "wb") as file:
            file.setparams(parameters)
            file.setnchannels(channels)
            stereo = b"".join(frames[at : at + 2] * channels for at in range(0, len(frames), 2))
            file.writeframes(stereo * copies)

    for name in NAMED_SHORT:
        write(name, SHORT, channels=2 if name == "call.wav" else 1)
    write("talk.mp3", LONG)
    (folder / "words.txt").write_text("Kestrel Bridge,5,en\n海拉尔\n", encoding="utf-8")
    (folder / "examples").symlink_to(CHECKOUT / "examples")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    if shutil.which("bash") is None or shutil.which("curl") is None or shutil.which("ffmpeg") is None:
        pytest.skip("bash, curl or ffmpeg is not installed")
    folder = tmp_path_factory.mktemp("desk")
    with Origin(folder) as origin:
        _lay_out(folder)
        running = start_server(tmp_path_factory.mktemp("docs-server") / "home")
        yield Desk(folder, running, origin.url)
        stop_server(running)


def _runs(block: Block) -> bool:
    return block.language in RUN and not block.not_run and not block.source


@pytest.fixture(scope="module")
def outcomes(desk: Desk) -> dict[str, str]:
    """Every block run once: pages beside each other, the blocks of a page in order, and then what its twin has more."""
    assert desk.task_id
    twins: dict[str, list[Block]] = {}
    for page, found in BY_PAGE.items():
        twins.setdefault(page.replace(".zh.md", ".md"), []).extend(found)

    def run_twins(found: list[Block]) -> dict[str, str]:
        return {block.name: desk.run(block) for block in found if _runs(block)}

    with ThreadPoolExecutor(max_workers=2) as threads:
        return {name: told for both in threads.map(run_twins, twins.values()) for name, told in both.items()}


RUNNABLE = [block for block in ALL if _runs(block)]


@pytest.mark.slow
@pytest.mark.parametrize("block", RUNNABLE, ids=[block.name for block in RUNNABLE])
def test_block_runs(block: Block, outcomes: dict[str, str]) -> None:
    assert not outcomes[block.name], outcomes[block.name]


def test_most_blocks_of_shells_and_python_run() -> None:
    assert len(RUNNABLE) > 40


# --- what is out of scope -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("page", ["out-of-scope.md", "out-of-scope.zh.md"])
def test_live_recognition_gets_the_answers_of_the_page(desk: Desk, page: str) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    live = {"model": "paraformer-realtime-v2", "input": {"file_urls": [f"{desk.origin}/a.wav"]}}
    with desk.server.http() as http:
        answers = [
            http.get("/api-ws/v1/inference", headers=handshake),
            http.post(SUBMIT, json=live, headers=ASYNC),
        ]
        others = [http.post("/v1/audio/translations"), http.post("/v1/audio/speech"), http.post("/v1/realtime")]
    shown = [json.loads(block.code) for block in blocks(CHECKOUT / "docs" / page) if block.language == "json"]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert [
        answer.json() | {"request_id": told["request_id"]} for answer, told in zip(answers, shown, strict=True)
    ] == shown
    assert [other.status_code for other in others] == [400, 404, 404]
