"""An engine that says how loud each second of speech is, "loud" or "soft"; put yours in its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.types import RATE_HZ, Fate, Limits, Options, Outcome, Sentence, Waveform, Word

#: What is known of the engine without loading it. The entry point in pyproject.toml names this object.
LOUDNESS = EngineInfo(
    name="loudness",
    target="dashscribe_loudness:LoudnessEngine",  # imported in a child process only, where a crash costs one window
    languages=("en",),  # empty: any
    limits=Limits(max_piece_ms=30_000, min_piece_ms=2_000),  # how speech is cut for it
    version="1",  # change it when the same sound may give other words
    package="dashscribe_loudness",
    summary="says how loud each second is",
)
#: Root mean square of int16 samples from which a second counts as loud.
LOUD = 1500.0


class LoudnessEngine:
    """Opened once per child process, with the settings; weights are loaded here."""

    def __init__(self, settings: Settings) -> None:
        del settings

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """One outcome per piece, in order. No state may carry over from one piece to the next."""
        return [self._heard(piece) for piece in pieces]

    def _heard(self, piece: Waveform) -> Outcome:
        words: list[Word] = []
        seconds = len(piece.samples) // RATE_HZ
        for second in range(seconds):
            samples = piece.samples[second * RATE_HZ : (second + 1) * RATE_HZ].astype(np.float64)
            text = "loud" if np.sqrt(np.mean(samples**2)) >= LOUD else "soft"
            begin_ms = piece.begin_ms + second * 1000  # on the clock of the file
            # The words of a sentence, joined, are its text: each but the last carries the space behind it.
            words.append(Word(begin_ms, begin_ms + 1000, text + (" " if second + 1 < seconds else "")))
        if not words:
            return Outcome(piece.span, Fate.NON_SPEECH)
        sentence = Sentence(
            begin_ms=words[0].begin_ms,
            end_ms=words[-1].end_ms,
            text="".join(word.text for word in words),
            words=tuple(words),
            language="en",
        )
        return Outcome(piece.span, Fate.TRANSCRIBED, (sentence,))
