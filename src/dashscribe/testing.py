"""Stand-ins that ship with the package: an engine whose words are a function of the samples alone.

It needs no weights and no native code, so tests of everything around recognition (durability, queues, the wire) run
quickly, and any lost, repeated or shifted sample changes the words. ``DASHSCRIBE_ENGINE=standin`` selects it.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

from dashscribe.config import Settings
from dashscribe.types import SAMPLES_PER_MS, Fate, Options, Outcome, Sentence, Span, Waveform, Word

#: Length of the sound behind one made-up word, in milliseconds.
WORD_MS = 500
#: Mean absolute amplitude (int16) below which a word's stretch counts as silence.
QUIET = 20
#: How often a held piece looks whether it may go on, in seconds.
HOLD_POLL_S = 0.02
VOCABULARY = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "jetty", "knoll", "larch"),
    *("maple", "north", "otter", "pearl", "quill", "river", "stone", "thyme", "umber", "vivid", "willow", "yarrow"),
)


class StandInEngine:
    """Says one word per half second of sound, chosen by the checksum of its samples.

    ``DASHSCRIBE_STANDIN_DELAY_MS`` makes each second of sound take that many milliseconds: time to interrupt it.
    ``DASHSCRIBE_STANDIN_CALL_MS`` makes each piece take that many more, however short it is.
    ``DASHSCRIBE_STANDIN_HOLD`` names a file: while it exists, the process lets one piece pass, counted from when it
    first sees the file, and holds all others, so that a test can look at what has left before the rest is recognized.
    ``DASHSCRIBE_STANDIN_LOG`` names a file to which every piece appends a line when it is done: the CRC-32 of its
    samples, its begin and its end, so that a test can tell what was recognized twice. ``DASHSCRIBE_STANDIN_BEGINS``
    names one to which it appends the same line, behind the id of the process, when it begins.
    """

    def __init__(self, settings: Settings) -> None:
        del settings
        self._delay_ms = float(os.environ.get("DASHSCRIBE_STANDIN_DELAY_MS", "0"))
        self._call_ms = float(os.environ.get("DASHSCRIBE_STANDIN_CALL_MS", "0"))
        self._log = os.environ.get("DASHSCRIBE_STANDIN_LOG", "")
        self._begins = os.environ.get("DASHSCRIBE_STANDIN_BEGINS", "")
        self._hold = Path(os.environ.get("DASHSCRIBE_STANDIN_HOLD", os.devnull))
        self._passed: Span | None = None  # the piece that was let pass while the file existed

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """One outcome per piece: words for sound, non-speech for silence."""
        outcomes: list[Outcome] = []
        for piece in pieces:
            line = f"{zlib.crc32(piece.samples.tobytes())} {piece.span.begin_ms} {piece.span.end_ms}\n"
            _append(self._begins, f"{os.getpid()} {line}")
            self._wait_at_gate(piece.span)
            outcomes.append(self._piece(piece))
            _append(self._log, line)
        return outcomes

    def _wait_at_gate(self, span: Span) -> None:
        """Return at once for the first piece while the hold file exists, for others when it is gone."""
        while self._hold.is_file():
            if self._passed in (None, span):
                self._passed = span
                return
            time.sleep(HOLD_POLL_S)
        self._passed = None

    def _piece(self, piece: Waveform) -> Outcome:
        time.sleep(self._delay_ms * piece.span.duration_ms / 1_000_000 + self._call_ms / 1000)
        words: list[Word] = []
        for begin_ms in range(0, piece.span.duration_ms - WORD_MS + 1, WORD_MS):
            stretch = piece.samples[begin_ms * SAMPLES_PER_MS : (begin_ms + WORD_MS) * SAMPLES_PER_MS]
            if abs(stretch.astype("int32")).mean() < QUIET:
                continue
            text = VOCABULARY[zlib.crc32(stretch.tobytes()) % len(VOCABULARY)]
            at_ms = piece.begin_ms + begin_ms
            words.append(Word(at_ms, at_ms + WORD_MS, text, confidence=1.0))
        if not words:
            return Outcome(piece.span, Fate.NON_SPEECH)
        spaced = tuple(
            Word(w.begin_ms, w.end_ms, w.text + (" " if i < len(words) - 1 else ""), "", w.confidence)
            for i, w in enumerate(words)
        )
        sentence = Sentence(
            begin_ms=spaced[0].begin_ms,
            end_ms=spaced[-1].end_ms,
            text="".join(w.text for w in spaced),
            words=spaced,
            language="en",
        )
        return Outcome(piece.span, Fate.TRANSCRIBED, (sentence,))


def _append(path: str, line: str) -> None:
    """Add a line in one write, so that lines of several processes stay whole; no path, no line."""
    if not path:
        return
    with Path(path).open("ab", buffering=0) as file:
        file.write(line.encode())
