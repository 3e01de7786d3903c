"""The small models of ``tests/models``, installed as anybody would, and speech for them to read."""

from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.weights.adding import add
from media_files import write_wav

FOLDER = Path(__file__).parent / "models"
#: The recipe's modules for speech need numpy and the synthesizers alone; they lie beside the package, not in it.
RECIPE = Path(__file__).resolve().parents[1] / "training"
Speak = Callable[..., Path]


def install(models_dir: Path, *names: str) -> Path:
    """Install these models (all, if none is named) into a folder, which is returned."""
    for folder in sorted(FOLDER.iterdir()):
        if folder.is_dir() and (not names or folder.name in names):
            add(folder, models_dir, link=True)
    return models_dir


def samples_of(path: Path) -> NDArray[np.int16]:
    """The samples of a mono WAV file."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.fixture(scope="session")
def speak(tmp_path_factory: pytest.TempPathFactory) -> Speak:
    """Have espeak-ng read texts with pauses between: ``speak("en-us", "hello", "goodbye", gain=0.25)``, a WAV file."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed (Debian: apt-get install espeak-ng)")
    folder = tmp_path_factory.mktemp("spoken")
    count = 0

    def spoken(voice: str, *texts: str, gain: float = 1.0, gap_ms: int = 1_200, **flags: object) -> Path:
        nonlocal count
        parts: list[NDArray[np.int16]] = [np.zeros(16 * 300, np.int16)]
        for text in texts:
            count += 1
            raw, wav = folder / f"{count}.raw.wav", folder / f"{count}.wav"
            options = [part for name, value in flags.items() for part in (f"-{name}", str(value))]
            subprocess.run([program, "-v", voice, *options, "-w", str(raw), text], check=True)
            _resample(raw, wav)
            parts += [(samples_of(wav) * gain).astype(np.int16), np.zeros(16 * gap_ms, np.int16)]
        return write_wav(folder / f"{count}.all.wav", np.concatenate(parts)[None])

    return spoken


def _resample(source: Path, target: Path) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed (Debian: apt-get install ffmpeg)")
    arguments = ["-nostdin", "-loglevel", "error", "-y", "-i", source, "-ac", "1", "-ar", "16000", target]
    subprocess.run([program, *map(str, arguments)], check=True)


@pytest.fixture(scope="session")
def spoken() -> ModuleType:
    """Recordings that the trained models recognize: ``training/examples.py``."""
    return recipe("examples")


@pytest.fixture(scope="session")
def dialogues() -> ModuleType:
    """Synthesized dialogues and who speaks when: ``training/dialogues.py``."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (Debian: apt-get install flite)")
    return recipe("dialogues")


def recipe(module: str) -> ModuleType:
    """A module of ``training`` that needs numpy and the synthesizers alone; skips the test where those are absent."""
    try:
        ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        pytest.skip("libespeak-ng is not installed (Debian: apt-get install espeak-ng)")
    sys.path.insert(0, str(RECIPE))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(RECIPE))
