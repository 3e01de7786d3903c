"""What the engines that write a text have in common: Fun-ASR-Nano, Qwen3-ASR and Whisper.

Such a model goes on from what it wrote, so it can be cut off where its cache or its count of tokens ends, and can run
away; the runtime tells of some of it on stderr and of the rest not at all. Whatever looks like either is tried again in
two halves, cut where the sound is quietest, and fails with the reason where that does not help.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from dashscribe.engines.runaway import runaway
from dashscribe.engines.sherpa.complaints import Complaints
from dashscribe.engines.sherpa.recognizer import Result, SherpaEngine
from dashscribe.types import SAMPLES_PER_MS, Fate, Options, Outcome, Waveform
from dashscribe.words import timed_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Halves shorter than this are not cut again, in milliseconds.
SHORTEST_HALF_MS = 3_000
#: Length of the steps in which the quietest place is looked for, in milliseconds.
STEP_MS = 20


class GeneratingEngine(SherpaEngine):
    """Recognizes pieces one by one, as the runtime does anyway with these families."""

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """One outcome per piece. Raises HostError for what the runtime failed at."""
        return [self._patiently(piece, options) for piece in pieces]

    def _patiently(self, piece: Waveform, options: Options) -> Outcome:
        """What was heard, in two halves where the whole was cut off or ran away."""
        (outcome,) = super().recognize([piece], options)
        if outcome.fate is not Fate.FAILED or piece.span.duration_ms < 2 * SHORTEST_HALF_MS:
            return outcome
        halves = [self._patiently(half, options) for half in _halves(piece)]
        if failed := [half for half in halves if half.fate is Fate.FAILED]:
            return Outcome(piece.span, Fate.FAILED, reason=failed[0].reason)
        sentences = tuple(sentence for half in halves for sentence in half.sentences)
        if not sentences:
            return Outcome(piece.span, Fate.NON_SPEECH)
        return Outcome(piece.span, Fate.TRANSCRIBED, sentences, reason=self._note(options))

    def _outcome(self, piece: Waveform, result: Result, options: Options, said: Complaints) -> Outcome:
        sentence = timed_sentence(result.text, (), piece.span, language=self._language(result, options))
        reason = (
            said.truncation or self._cut_off(piece, result, options) or runaway(sentence.text, piece.span.duration_ms)
        )
        if reason:
            return Outcome(piece.span, Fate.FAILED, reason=reason)
        if not sentence.words:
            return Outcome(piece.span, Fate.NON_SPEECH)
        return Outcome(piece.span, Fate.TRANSCRIBED, (sentence,), reason=self._note(options))

    def _note(self, options: Options) -> str:
        """What of the request the model was not told; empty for nothing."""
        del options
        return ""

    @abstractmethod
    def _language(self, result: Result, options: Options) -> str:
        """What is known of the language that was spoken."""

    @abstractmethod
    def _cut_off(self, piece: Waveform, result: Result, options: Options) -> str:
        """Why the text may end where the model's room did; empty if there was room."""


def _halves(piece: Waveform) -> tuple[Waveform, Waveform]:
    """The piece cut where the middle half of it is quietest, of equal places at the one nearest to the middle."""
    step = STEP_MS * SAMPLES_PER_MS
    count = len(piece.samples) // step
    energy = np.square(piece.samples[: count * step].reshape(count, step).astype(np.float32)).mean(axis=1)
    first = count // 4
    middle = energy[first : count - first]
    quiet = np.flatnonzero(middle <= middle.min() + 1)
    cut = (first + int(quiet[np.abs(quiet - len(middle) // 2).argmin()])) * step
    left, right = piece.samples[:cut], piece.samples[cut:]
    return Waveform(left, piece.begin_ms), Waveform(right, piece.begin_ms + cut // SAMPLES_PER_MS)
