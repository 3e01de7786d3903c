"""Fixtures for every folder: a clean environment, the real recordings, media made on the spot."""

import gc
import json
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lasting_children import lasting_children
from object_store import bucket, bucket_name, object_store
from postgres import cluster
from sizes import FULL, size
from small_models import dialogues, speak, spoken

#: For every folder.
__all__ = ["bucket", "bucket_name", "cluster", "dialogues", "lasting_children", "object_store", "speak", "spoken"]

CHECKOUT = Path(__file__).resolve().parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background has them, and all they start, ignore Ctrl-C; some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the same for nohup; some tests close terminals

# What collecting makes, nine thousand tests and all that they import, stays: to look through it for garbage again and
# again takes every worker seconds. From the first test on it is looked for as usual, see ``pytest_runtestloop``.
gc.disable()

# A loaded machine is no failure: no example has a deadline, and nobody asks how long it took to draw them.
# The tests that share a folder among their examples write it anew for each. The short run takes the same examples each
# time, so that a change is judged by what it changes; those in full are drawn.
settings.register_profile(
    "any machine",
    max_examples=size(30, 400),
    derandomize=not FULL,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any machine")

# Most of these tests start programs by the hundred; not to keep what is compiled would have each compile it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

#: Folders by how long their files take. Files are handed out whole and in this order, so that the last ones are short
#: and no core waits for a long one.
_LONGEST_FIRST = ("e2e", "faults", "browser", "wire", "docs", "property", "unit")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: the longest of these tests mostly wait, for servers, for children, for clocks.

    With two more they only wait for each other.
    """
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; among those that take as long, the ones with workers, which sleep and wait."""

    def place(item: pytest.Item) -> tuple[int, bool]:
        folder = item.path.parent.name
        at = _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)
        module = item.getparent(pytest.Module)
        return at, not (module and hasattr(module.obj, "Home"))

    items.sort(key=place)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """All is collected: from here on garbage is looked for, in what comes now."""
    gc.collect()
    gc.freeze()
    gc.enable()


_homes = count()


def _unused_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / f"home-{next(_homes)}"


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """No setting of the person who runs the tests leaks in, nor what commands of other tests set in this process.

    Every test has a home folder of its own, in its ``tmp_path`` if it has one: most need none, and to make a folder
    among thousands for each takes as long as they do.
    """
    for name in list(os.environ):
        if name.startswith(("DASHSCRIBE_", "DASHSCOPE_", "AWS_")):
            monkeypatch.delenv(name)
    has_folder = "tmp_path" in request.fixturenames
    home = request.getfixturevalue("tmp_path") / "home" if has_folder else _unused_home(tmp_path_factory)
    monkeypatch.setenv("DASHSCRIBE_HOME", str(home))
    umask = os.umask(0o022)  # as most people have it; commands that keep secrets change it
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    os.umask(umask)
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def audio_dir() -> Path:
    """Real human recordings that lie beside the checkout; tests that need them are skipped where they are absent."""
    folder = Path(os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio")
    if not (folder / "manifest.json").is_file():
        pytest.skip(f"no recordings in {folder}; AUDIO_DIR names another folder")
    return folder


@pytest.fixture(scope="session")
def recordings(audio_dir: Path) -> list[dict[str, object]]:
    """The rows of the recordings' manifest: file, transcript, language, speakers, kind …"""
    return json.loads((audio_dir / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def sample() -> Path:
    """The speech file that ships with the project."""
    return CHECKOUT / "examples" / "gettysburg.flac"


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Run ffmpeg with the given arguments; tests that need it are skipped where it is absent."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed (Debian: apt-get install ffmpeg)")

    def run(*arguments: str | Path) -> None:
        subprocess.run([program, "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)

    return run
