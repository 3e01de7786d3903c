"""Two servers to talk to: the application alone, in this process, and the whole program as a subprocess.

``desk`` has a real task book but no worker, so tasks stay PENDING: for refusals, lists and forms of answers. ``server``
is ``dashscribe serve`` with the stand-in engine; its sources come from ``origin``, which can also misbehave.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wire_origin import Origin
from wire_servers import Desk, Server, open_desk, start_server, stop_server

from kept_packages import kept, kept_python


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


@pytest.fixture(params=["folder", "s3"])
def each_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A desk with each kind of store."""
    url = request.getfixturevalue("bucket") if request.param == "s3" else ""
    with open_desk(tmp_path, store_url=url) as opened:
        yield opened


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with Origin(tmp_path_factory.mktemp("origin")) as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("serve") / "home")
    yield running
    stop_server(running)


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that never works on its tasks: they stay PENDING."""
    running = start_server(tmp_path_factory.mktemp("idle") / "home", "--no-worker")
    yield running
    stop_server(running)


@pytest.fixture(scope="session")
def sdk_1() -> Path:
    """The newest release of the official client's first major."""
    return kept_python("dashscope-1", "dashscope<2")


@pytest.fixture(scope="session")
def sdk_oldest() -> Path:
    """The first release of the official client that makes every synchronous call, local recordings included."""
    return kept_python("dashscope-1.13.0", "dashscope==1.13.0")


@pytest.fixture(scope="session")
def openai_1_52() -> Path:
    """The oldest release of OpenAI's client that the service's guides allow, with what it was made for."""
    return kept_python("openai-1.52.0", "openai==1.52.0", "httpx<0.28")


@pytest.fixture(scope="session", params=["4.68.0", "latest"])
def openai_node(request: pytest.FixtureRequest) -> Path:
    """OpenAI's client for Node: the oldest release that the service's guides allow, and the newest."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed (Debian: apt-get install nodejs npm)")
    quiet = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix"]
    return kept(f"openai-node-{request.param}", lambda folder: [*quiet, str(folder), f"openai@{request.param}"])


@pytest.fixture(scope="session")
def curl() -> Callable[..., str]:
    """Run curl as a user would; its output is the answer's body."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, "-sS", "--max-time", "30", *arguments], check=True, capture_output=True, timeout=60
        )
        return done.stdout.decode()

    return run
