"""Two servers to talk to: the application alone, in this process, and the whole program as a subprocess.

``desk`` has a real task book but no worker, so tasks stay PENDING: for refusals, lists and forms of answers. ``server``
is ``dashscribe serve`` with the stand-in engine; its sources come from ``origin``, which can also misbehave.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest
from wire_origin import Origin
from wire_servers import Desk, Server, open_desk, start_server, stop_server


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
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
    """A folder with the newest release of the official client's first major, kept from one run to the next."""
    folder = Path(platformdirs.user_cache_dir("dashscribe-tests", appauthor=False)) / "dashscope-1"
    if folder.is_dir():
        return folder
    uv = shutil.which("uv")
    install = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    done = subprocess.run([*install, "--quiet", "--target", draft, "dashscope<2"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the first major of the official client cannot be installed: {done.stderr.strip()[-300:]}")
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)  # another test process was faster
    return folder


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
