"""Packages that only some tests need, installed on first use into a folder of their own and kept from run to run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest


def kept(name: str, install: Callable[[Path], list[str]]) -> Path:
    """A folder into which something was installed, kept from one run to the next."""
    folder = Path(platformdirs.user_cache_dir("dashscribe-tests", appauthor=False)) / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{name}."))
    done = subprocess.run(install(draft), capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(draft)
        pytest.skip(f"{name} cannot be installed: {done.stderr.strip()[-300:]}")
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)  # another test process was faster
    return folder


def kept_python(name: str, *packages: str) -> Path:
    """A folder for PYTHONPATH with these packages."""
    # The README's environment has no pip of its own: the interpreter that made it has one.
    pip = [sys._base_executable, "-m", "pip", "--python", sys.executable, "install"]  # type: ignore[attr-defined]
    # Compiled parts fit one version of Python only.
    named = f"{name}-{sys.implementation.cache_tag}"
    return kept(named, lambda folder: [*pip, "--quiet", "--target", str(folder), *packages])
