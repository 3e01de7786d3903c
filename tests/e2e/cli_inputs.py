"""What the command-line tests feed in, and how they run the program."""

import errno
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from commands import dashscribe, environment, program

__all__ = ["close_folder", "dashscribe", "environment", "program", "silence", "speechlike", "write_wav"]

RATE_HZ = 16_000


def speechlike(path: Path, seconds: float, *, seed: int = 0, channels: int = 1) -> Path:
    """Write sound that voice activity detection takes for speech: a voiced buzz in syllables, pauses every 4 s."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * hz * t) / n for n, hz in enumerate((150, 700, 2_100), start=1))
    syllables = (1 + np.sin(2 * np.pi * 3 * t)) / 2 * (t % 4 < 3)
    mono = (8_000 * buzz * syllables / 2 + rng.normal(0, 40, len(t))).astype("<i2")
    return write_wav(path, np.stack([np.roll(mono, 4_000 * n) for n in range(channels)], axis=1))


def silence(path: Path, seconds: float) -> Path:
    """Write digital silence."""
    return write_wav(path, np.zeros((int(seconds * RATE_HZ), 1), "<i2"))


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    """Write int16 samples of shape (n, channels)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return path


def close_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder that nobody may look into, root included."""
    folder.mkdir(parents=True)
    look = os.scandir

    def scandir(path: str | Path | int) -> object:
        if str(path) == str(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
