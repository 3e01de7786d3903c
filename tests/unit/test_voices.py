"""Voices through real speaker children: dialogues of synthesized voices, without models, and children that fail."""

from itertools import combinations
from pathlib import Path

import pytest

import dashscribe
from conversations import FLITE, Dialogue, dialogue, diarization_error, missing
from dashscribe.config import Settings
from media_files import write_wav

needs_voices = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed (Debian: apt-get install)")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", models_dir=tmp_path / "models", engine="standin", workers=1)


def told(talk: Dialogue, settings: Settings, tmp_path: Path, **more: int) -> dashscribe.Transcript:
    path = write_wav(tmp_path / "talk.wav", talk.samples[None])
    return dashscribe.transcribe(path, diarize=True, settings=settings, **more)


@needs_voices
@pytest.mark.parametrize("voices", list(combinations(FLITE, 2)))
def test_two_voices_are_told_apart_without_models_when_their_number_is_given(
    voices: tuple[str, str], settings: Settings, tmp_path: Path
) -> None:
    talk = dialogue(voices, 7, turns=8)
    transcript = told(talk, settings, tmp_path, speaker_count=2)
    error = diarization_error(talk.turns, transcript.tracks[0].turns)
    assert error <= 0.15
    assert {sentence.speaker for sentence in transcript.sentences} == {0, 1}
    assert transcript.sentences[0].speaker == 0
    assert any("no speaker models are installed" in note for note in transcript.notes)
    assert not any("unreliable" in note for note in transcript.notes)
