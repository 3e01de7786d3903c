"""One recording, one result: the command line, the library and the server agree to the last byte, every time."""

import json
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import dashscribe
from dashscribe import config, decode
from dashscribe.types import Span
from kill_harness import Server
from media_files import write_wav


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def without_name(text: str) -> str:
    """The result without the one member that says where the recording came from."""
    result = json.loads(text)
    assert result.pop("file_url")
    return json.dumps(result, ensure_ascii=False)


def by_command_line(path: Path) -> str:
    command = [sys.executable, "-m", "dashscribe", "transcribe", "--quiet", "-f", "json", path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def by_library(path: Path) -> str:
    return dashscribe.transcribe(path, settings=config.load()).to_json()


def by_server(path: Path, home: Path, engine: str) -> list[str]:
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=str(path.parent)))
    Thread(target=files.serve_forever, daemon=True).start()
    server = Server(home, engine, settings={"DASHSCRIBE_WORKERS": "1"})  # each loads its engine anew
    server.start()
    server.wait_ready()
    url = f"http://127.0.0.1:{files.server_port}/{path.name}"
    ids = [server.submit([url], f"same-{number}") for number in range(2)]
    answers = server.wait(ids, 120)
    results = [server.results(answers[task_id])[0] for task_id in ids]
    server.stop()
    files.shutdown()
    files.server_close()
    return [result.decode() for result in results if isinstance(result, bytes)]


@pytest.fixture
def short(sample: Path, tmp_path: Path) -> Path:
    """The first sentences of the sample."""
    decoder = decode.Decoder(sample, url="sample", channels=(0,), stretch=Span(0, 6_000))
    return write_wav(tmp_path / "short.wav", np.concatenate(list(decoder), axis=1))


@pytest.mark.parametrize("engine", ["standin", "pocketsphinx"])
def test_command_line_library_and_server_agree(
    engine: str, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", engine)
    first, again = by_command_line(short), by_command_line(short)
    assert first == again
    served = by_server(short, tmp_path / "served", engine)
    assert len(served) == 2
    results = {without_name(text) for text in (first, by_library(short), *served)}
    assert len(results) == 1, results
    assert json.loads(results.pop())["transcripts"][0]["sentences"]


def test_the_sample_is_read_as_the_readme_says(sample: Path) -> None:
    command = [sys.executable, "-m", "dashscribe", "transcribe", sample]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Four score and seven years ago our fathers brought forth on this continent")
    assert "pocketsphinx: embedded, US English only" in done.stderr
    readme = (sample.parents[1] / "README.md").read_text(encoding="utf-8")
    assert done.stdout.strip() in readme


def test_the_tests_that_ci_runs_are_the_ones_in_the_readme(sample: Path) -> None:
    command = (
        "python3 -m venv --without-pip .venv && python3 -m pip --python .venv install -qe '.[test]' && .venv/bin/pytest"
    )
    root = sample.parents[1]
    for name in ("README.md", "README.zh.md", ".ci/run"):
        assert command in (root / name).read_text(encoding="utf-8").splitlines(), name
