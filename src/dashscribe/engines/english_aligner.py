"""Forced alignment of English with the acoustic model that the pocketsphinx wheel carries, in steps of 10 ms.

It reads no language model, so that it opens in 0.15 s and takes 25 MB. Models on a grid of 60 ms tell where a word
peaks; this one tells where it begins and ends (docs/times-and-tags.md has the figures).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol, cast

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from dashscribe.pronunciation.spelling import said_by_rule
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS

#: Length of a frame in milliseconds.
FRAME_MS = 10
#: Shorter sounds are filled up with silence: the decoder needs a few frames to begin with.
SHORTEST_MS = 200


class _Segment(Protocol):
    """What is used of an entry of the path; ``end_frame`` is inside."""

    word: str
    start_frame: int
    end_frame: int


class _Decoder(Protocol):
    """What is used of ``pocketsphinx.Decoder``, which carries no types itself."""

    def set_align_text(self, text: str) -> None: ...
    def reinit_feat(self) -> None: ...
    def start_utt(self) -> None: ...
    def process_raw(self, data: bytes, *, full_utt: bool) -> int: ...
    def end_utt(self) -> None: ...
    def seg(self) -> Iterable[_Segment] | None: ...
    def lookup_word(self, word: str) -> str | None: ...
    def add_word(self, word: str, phones: str, update: bool) -> int: ...


class EnglishAligner:
    """Finds English words in their sound; not thread-safe."""

    def __init__(self) -> None:
        self._decoder = cast("_Decoder", pocketsphinx.Decoder(loglevel="FATAL", samprate=RATE_HZ, lm=None))

    def times(
        self, samples: NDArray[np.int16], words: Sequence[str], *, guess: bool = False
    ) -> list[tuple[int, int]] | None:
        """Begin and end of each word in milliseconds from the first of ``samples``, shape (n,), in order.

        None where a word is not in the dictionary, unless ``guess`` has it spoken as it is spelled, where one holds
        digits or other letters than a to z, and where the sound has no place for all words.
        """
        spoken = [self._spoken(word, guess) for word in words]
        if not words or not all(spoken):
            return None
        segments = self._aligned(samples, " ".join(part for parts in spoken for part in parts))
        if len(segments) != sum(map(len, spoken)):
            return None
        duration_ms = len(samples) // SAMPLES_PER_MS
        rest = iter(segments)
        times: list[tuple[int, int]] = []
        for parts in spoken:
            own = list(islice(rest, len(parts)))
            begin_ms, end_ms = own[0].start_frame * FRAME_MS, (own[-1].end_frame + 1) * FRAME_MS
            times.append((min(begin_ms, duration_ms), min(end_ms, duration_ms)))
        return times

    def _spoken(self, word: str, guess: bool) -> list[str]:
        """The entries of the dictionary that a written word is spoken as; none if that is not known."""
        text = word.lower().replace("’", "'").strip(' "“”‘,.;:?!…()-')
        if text and self._decoder.lookup_word(text):
            return [text]
        parts = [part.strip("'") for part in re.split(r"[-./_&]", text)]
        if not all(re.fullmatch(r"[a-z']+", part) for part in parts):
            return []
        for part in parts:
            if not self._decoder.lookup_word(part):
                if not guess:
                    return []
                self._decoder.add_word(part, " ".join(said_by_rule(part)), False)
        return parts

    def _aligned(self, samples: NDArray[np.int16], text: str) -> list[_Segment]:
        """The words of the path, without pauses and noises; none if there is no path."""
        lacking = SHORTEST_MS * SAMPLES_PER_MS - len(samples)
        samples = np.pad(samples, (0, lacking)) if lacking > 0 else samples
        decoder = self._decoder
        decoder.set_align_text(text)
        decoder.reinit_feat()  # forgets the noise and the cepstral mean of what came before
        decoder.start_utt()
        try:
            decoder.process_raw(samples.tobytes(), full_utt=True)
        finally:
            decoder.end_utt()
        return [segment for segment in decoder.seg() or () if not segment.word.startswith(("<", "[", "+"))]
