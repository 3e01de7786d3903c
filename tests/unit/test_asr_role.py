"""What an engine child does with an engine that answers nothing, raises, or explains itself."""

from collections.abc import Sequence

import numpy as np
import pytest

from dashscribe.decode import encode_flac
from dashscribe.hosts.asr import recognize
from dashscribe.hosts.protocol import Recognize
from dashscribe.types import Fate, Options, Outcome, Span, Waveform, Window

SPANS = (Span(0, 1_000), Span(2_000, 3_000))
WINDOW = Window(0, 0, SPANS, encode_flac(np.arange(32_000, dtype=np.int16)))


class ScriptedEngine:
    """Answers each piece with the next outcome of its script; an exception is raised."""

    def __init__(self, *script: tuple[Fate, str] | Exception) -> None:
        self.script = list(script)
        self.pieces: list[Waveform] = []

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        (piece,) = pieces
        self.pieces.append(piece)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [Outcome(piece.span, answer[0], reason=answer[1])]


def heard(engine: ScriptedEngine, batch: int = 1) -> list[Outcome]:
    return [reply.outcome for reply in recognize(engine, None, [Recognize(WINDOW, Options(), batch=batch)])]


def test_an_empty_answer_to_voiced_sound_has_one_second_chance() -> None:
    engine = ScriptedEngine((Fate.NON_SPEECH, ""), (Fate.TRANSCRIBED, ""), (Fate.NON_SPEECH, ""), (Fate.NON_SPEECH, ""))
    outcomes = heard(engine)
    assert [outcome.fate for outcome in outcomes] == [Fate.TRANSCRIBED, Fate.NON_SPEECH]
    assert [piece.begin_ms for piece in engine.pieces] == [0, 0, 2_000, 2_000]


def test_a_rejection_that_is_explained_stands() -> None:
    engine = ScriptedEngine((Fate.NON_SPEECH, "music"), (Fate.NON_SPEECH, "music"))
    assert [outcome.reason for outcome in heard(engine)] == ["music", "music"]
    assert len(engine.pieces) == 2


def test_an_exception_fails_its_span_alone_and_each_piece_is_its_own_sound() -> None:
    engine = ScriptedEngine(ValueError("poisoned"), (Fate.TRANSCRIBED, ""))
    first, second = heard(engine)
    assert (first.fate, first.reason) == (Fate.FAILED, "ValueError: poisoned")
    assert second.fate is Fate.TRANSCRIBED
    assert [piece.samples[0] for piece in engine.pieces] == [0, 16_000]


def test_pieces_that_cannot_be_decoded_at_once_are_decoded_alone_but_for_a_trial() -> None:
    """The scripted engine takes one piece at a time and raises for more."""
    engine = ScriptedEngine((Fate.TRANSCRIBED, ""), (Fate.TRANSCRIBED, ""))
    assert [outcome.fate for outcome in heard(engine, batch=2)] == [Fate.TRANSCRIBED] * 2
    assert len(engine.pieces) == 2
    with pytest.raises(ValueError, match="too many values"):
        list(recognize(engine, None, [Recognize(WINDOW, Options(), batch=2, strict=True)]))
    assert len(engine.pieces) == 2
