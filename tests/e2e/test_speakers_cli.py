"""``dashscribe transcribe --diarize``: calls by channel, rooms by voice, and what is said when it makes no sense."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import dashscribe, program, speechlike, write_wav

from conversations import dialogue, missing
from dashscribe.types import SAMPLES_PER_MS

pytestmark = pytest.mark.usefixtures("lasting_children")

needs_voices = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed (Debian: apt-get install)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dialogue: ``room.wav`` in one channel, ``stereo.wav`` in both, ``call.wav`` each voice in its own."""
    home = tmp_path_factory.mktemp("talks")
    if missing():
        return home
    talk = dialogue(("slt", "rms"), 4, turns=6)
    apart = np.repeat(talk.samples[:, None], 2, axis=1)
    for turn in talk.turns:
        apart[turn.begin_ms * SAMPLES_PER_MS : turn.end_ms * SAMPLES_PER_MS, 1 - turn.speaker] //= 100  # crosstalk
    write_wav(home / "room.wav", talk.samples[:, None])
    write_wav(home / "stereo.wav", np.stack([talk.samples, talk.samples // 2], axis=1))
    write_wav(home / "call.wav", apart)
    write_wav(home / "half.wav", np.stack([np.zeros_like(talk.samples), talk.samples], axis=1))
    first = talk.turns[0].speaker
    (home / "first.txt").write_text(str(first))
    return home


@pytest.fixture(scope="module")
def call(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the program says of the call."""
    home = tmp_path_factory.mktemp("call")
    return program("transcribe", folder / "call.wav", "--diarize", DASHSCRIBE_HOME=str(home))


def speakers(stdout: str) -> list[int]:
    """The speaker of each line of text, from 0."""
    return [int(match[1]) - 1 for match in re.finditer(r"^Speaker (\d+): \S", stdout, re.MULTILINE)]


@needs_voices
def test_each_channel_of_a_call_is_one_speaker(folder: Path, call: subprocess.CompletedProcess[str]) -> None:
    done = call
    assert done.returncode == 0, done.stderr
    first = int((folder / "first.txt").read_text())
    assert speakers(done.stdout) == [first, 1 - first] * 3
    assert "each is taken as one speaker" in done.stderr
    assert "no speaker models" not in done.stderr
    by_hand = dashscribe("transcribe", folder / "call.wav", "--diarize", "--channel", "0,1")
    assert by_hand.stdout == done.stdout


@needs_voices
@pytest.mark.parametrize("name", ["room.wav", "stereo.wav", "half.wav"])
def test_voices_in_one_sound_are_told_apart_whatever_channels_carry_it(folder: Path, name: str) -> None:
    done = dashscribe("transcribe", folder / name, "--diarize", "--speakers", "2")
    assert done.returncode == 0, done.stderr
    assert speakers(done.stdout) == [0, 1] * 3
    assert ("they were mixed into one" in done.stderr) == (name == "stereo.wav")
    assert "no speaker models are installed" in done.stderr


@needs_voices
def test_every_format_names_the_speakers(folder: Path, tmp_path: Path) -> None:
    done = dashscribe(
        "transcribe", folder / "room.wav", "--diarize", "--speakers", "2", "-f", "json,srt,vtt,tsv", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    (transcript,) = json.loads((tmp_path / "room.json").read_text())["transcripts"]
    ids = [sentence["speaker_id"] for sentence in transcript["sentences"]]
    assert set(ids) == {0, 1}
    assert "<v Speaker 2>" in (tmp_path / "room.vtt").read_text()
    assert "Speaker 2: " in (tmp_path / "room.srt").read_text()
    rows = [line.split("\t") for line in (tmp_path / "room.tsv").read_text().splitlines()[1:]]
    assert [int(row[3]) for row in rows] == ids


@needs_voices
def test_a_call_names_each_speaker_once_in_captions_and_in_json(
    folder: Path, tmp_path: Path, call: subprocess.CompletedProcess[str]
) -> None:
    done = dashscribe("transcribe", folder / "call.wav", "--diarize", "-f", "srt", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    captions = (tmp_path / "call.srt").read_text()
    assert "Speaker 1: " in captions and "Speaker 2: " in captions
    assert "Channel" not in captions
    done = dashscribe("transcribe", folder / "call.wav", "--diarize", "--json")
    assert speakers(json.loads(done.stdout)["text"]) == speakers(call.stdout)


def test_a_number_of_speakers_needs_diarize_and_a_range(tmp_path: Path) -> None:
    talk = speechlike(tmp_path / "talk.wav", 3)
    done = dashscribe("transcribe", talk, "--speakers", "2")
    assert done.returncode == 2
    assert "--diarize" in done.stderr
    done = dashscribe("transcribe", talk, "--diarize", "--speakers", "1")
    assert done.returncode == 2
    assert "--speakers" in done.stderr


def test_without_speech_there_are_no_speakers_and_no_error(tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros((32_000, 2), "<i2"))
    done = dashscribe("transcribe", quiet, "--diarize")
    assert (done.returncode, done.stdout) == (0, "")
