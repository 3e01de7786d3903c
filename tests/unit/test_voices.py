"""Voices through real speaker children: synthesized dialogues with and without models, and children that fail."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations, pairwise
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

import dashscribe
from conversations import FLITE, Dialogue, dialogue, diarization_error, missing
from dashscribe.config import Settings
from dashscribe.errors import InvalidParameterError
from dashscribe.hosts import spectral
from dashscribe.hosts.parent import Host, Kind
from dashscribe.hosts.pool import Pool
from dashscribe.hosts.protocol import Listen, Load, UtterancesReply
from dashscribe.hosts.speaker import SpeakerRole
from dashscribe.types import Span, Waveform, Window
from media_files import write_wav
from small_models import install

pytestmark = pytest.mark.usefixtures("lasting_children")

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


SMALL = ("speaker-embedding-small", "segmentation-small")


@needs_voices
@pytest.mark.parametrize(
    ("models", "voices"), [(SMALL[:1], ("rms", "slt")), (SMALL[:1], ("awb", "rms", "slt")), (SMALL, ("rms", "slt"))]
)
def test_installed_models_tell_how_many_voices_there_are_and_whose_each_is(
    models: tuple[str, ...], voices: tuple[str, ...], settings: Settings, tmp_path: Path
) -> None:
    install(settings.resolved_models_dir, *models)
    talk = dialogue(voices, 5, turns=16)
    transcript = told(talk, settings, tmp_path)
    (track,) = transcript.tracks
    assert len(track.speaking_ms) == len(voices)
    assert diarization_error(talk.turns, track.turns) <= 0.1
    assert not any("speaker" in note for note in transcript.notes)


@needs_voices
def test_a_segmentation_finds_who_talks_at_once(settings: Settings, tmp_path: Path) -> None:
    install(settings.resolved_models_dir, *SMALL)
    talk = dialogue(("rms", "slt"), 3, turns=12, overlap=0.6)
    true_ms = sum(max(0, a.end_ms - b.begin_ms) for a, b in pairwise(talk.turns))
    transcript = told(talk, settings, tmp_path, speaker_count=2)
    (note,) = [note for note in transcript.notes if note.startswith("several people speak at once for ")]
    found_ms = int(note.split()[6])
    assert 0.4 * true_ms < found_ms < 1.6 * true_ms
    assert diarization_error(talk.turns, transcript.tracks[0].turns) <= 0.15


@needs_voices
@pytest.mark.parametrize("damaged", SMALL)
def test_a_damaged_model_leaves_the_text_with_a_note(damaged: str, settings: Settings, tmp_path: Path) -> None:
    install(settings.resolved_models_dir, *SMALL)
    model = settings.resolved_models_dir / damaged / "model.onnx"
    model.unlink()  # it is a link to the tests' own
    model.write_bytes(b"not a model")
    talk = dialogue(("rms", "slt"), 5, turns=3)
    transcript = told(talk, settings, tmp_path)
    assert transcript.text
    assert {sentence.speaker for sentence in transcript.sentences} == {None}
    assert any("speakers are not told" in note and "model.onnx" in note for note in transcript.notes)


def kill_children(monkeypatch: pytest.MonkeyPatch, doomed: Callable[[Kind], bool]) -> None:
    """Kill each of these children as soon as somebody wants it to work."""
    borrowed = Pool.borrowed

    @contextmanager
    def deadly(pool: Pool, kind: Kind, *more: object) -> Iterator[Host]:
        with borrowed(pool, kind, *more) as host:
            if doomed(kind):
                os.kill(host.pid, signal.SIGKILL)
            yield host

    monkeypatch.setattr(Pool, "borrowed", deadly)


@needs_voices
def test_a_child_that_is_killed_again_and_again_costs_the_speakers_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_children(monkeypatch, lambda kind: kind.role == "speaker")
    talk = dialogue(("rms", "slt"), 5, turns=3)
    transcript = told(talk, settings, tmp_path, speaker_count=2)
    assert transcript.text
    assert {sentence.speaker for sentence in transcript.sentences} == {None}
    assert any("speakers are not told" in note and "SIGKILL" in note for note in transcript.notes)


def test_silence_has_no_voice() -> None:
    assert spectral.utterances(Waveform(np.zeros(32_000, np.int16), 0)) == []
    assert spectral.utterances(Waveform(np.zeros(10, np.int16), 0)) == []


@needs_voices
def test_a_segmentation_that_ends_the_process_is_left_out(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(settings.resolved_models_dir, *SMALL)
    kill_children(monkeypatch, lambda kind: kind.annotator == "segmentation-small")
    talk = dialogue(("awb", "slt"), 5, turns=4)
    transcript = told(talk, settings, tmp_path, speaker_count=2)
    assert diarization_error(talk.turns, transcript.tracks[0].turns) <= 0.1
    assert any("people who talk at once are taken for one in places" in note for note in transcript.notes)


def test_the_library_refuses_what_would_have_no_effect(settings: Settings) -> None:
    for arguments in (
        {"speaker_count": 3},
        {"diarize": True, "speaker_count": 1},
        {"hotwords": [dashscribe.Hotword("harbor", 7)]},
    ):
        with pytest.raises(InvalidParameterError):
            dashscribe.transcribe("never-read.wav", settings=settings, **arguments)  # type: ignore[arg-type]


def test_an_embedding_that_is_no_number_is_no_voiceprint(settings: Settings) -> None:
    install(settings.resolved_models_dir, SMALL[0])
    role = SpeakerRole()
    assert list(role.answer(Load(settings.model_dump_json().encode(), SMALL[0]))) == []
    chance = np.random.default_rng(2)
    samples = (3000 * chance.normal(size=32_000)).astype(np.int16)
    window = Window(0, 0, (Span(0, 2_000),), samples.tobytes(), packed=False)
    (reply,) = role.answer(Listen(window))
    assert isinstance(reply, UtterancesReply)
    assert reply.utterances
    models = role._utterances.__self__  # type: ignore[union-attr]

    class Broken:
        def create_stream(self) -> MagicMock:
            return MagicMock()

        def is_ready(self, stream: object) -> bool:
            return True

        def compute(self, stream: object) -> list[float]:
            return [float("nan")] * 96

    models._extractor = Broken()
    (reply,) = role.answer(Listen(window))
    assert isinstance(reply, UtterancesReply)
    assert reply.utterances == ()
