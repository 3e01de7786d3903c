"""Does ``dashscribe bench`` measure what it says? Figures are compared with each other, never with a clock."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import dashscribe, program, write_wav


def test_speeds_of_one_slot_and_of_all_are_measured(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    monkeypatch.setenv("DASHSCRIBE_STANDIN_DELAY_MS", "50")  # twenty times as fast as it plays
    for _ in range(5):  # other work may come in the middle of a measurement
        done = program("bench", sample, "--workers", "2", "--seconds", "1", "--json")
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        if 6 < figures["recognize_speed"] < figures["recognize_speed_all_slots"]:
            break
    assert (figures["engine"], figures["slots"]) == ("standin", 2)
    assert 0 < figures["speech_s"] <= figures["sound_s"]
    assert 6 < figures["recognize_speed"] <= 21
    assert figures["recognize_speed"] < figures["recognize_speed_all_slots"] <= 42
    page = dashscribe("bench", sample, "--workers", "1", "--seconds", "1").stdout
    assert "hours of such recordings in an hour" in page


def test_recordings_without_speech_measure_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    silence = write_wav(tmp_path / "silence.wav", np.zeros((16_000, 1), "<i2"))
    done = dashscribe("bench", silence)
    assert done.returncode == 2
    assert "no speech" in done.stderr
