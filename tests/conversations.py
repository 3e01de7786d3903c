"""Dialogues of synthesized voices whose turns are known to the sample, and how far a diarization is from them.

Voices are flite's (``rms``, ``kal16``, ``slt``, ``awb``) and espeak-ng's variants (``en-us+m3``). They read the opening
of the Gettysburg Address and of Pride and Prejudice, both in the public domain.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Turn

FLITE = ("rms", "kal16", "slt", "awb")
TEXTS = (
    "four score and seven years ago our fathers brought forth on this continent a new nation",
    "conceived in liberty and dedicated to the proposition that all men are created equal",
    "now we are engaged in a great civil war",
    "testing whether that nation or any nation so conceived can long endure",
    "we are met on a great battle field of that war",
    "it is altogether fitting and proper that we should do this",
    "the world will little note nor long remember what we say here",
    "but it can never forget what they did here",
    "it is for us the living rather to be dedicated here",
    "it is a truth universally acknowledged",
    "that a single man in possession of a good fortune must be in want of a wife",
    "however little known the feelings or views of such a man may be",
    "my dear mister bennet said his lady to him one day",
    "have you heard that the park is let at last",
    "he replied that he had not",
    "but it is returned she",
    "do not you want to know who has taken it",
    "you want to tell me and i have no objection to hearing it",
)
#: Amplitude below which the ends of a rendered text are silence.
QUIET = 200


@dataclass(frozen=True)
class Dialogue:
    """``samples`` int16, shape (n,), at 16 kHz; ``turns`` in order of their begin, a speaker per voice by number."""

    samples: NDArray[np.int16]
    turns: tuple[Turn, ...]


def missing() -> str:
    """The program that voices need and this machine lacks; empty if it has all."""
    return next((name for name in ("flite", "espeak-ng") if not shutil.which(name)), "")


@cache
def say(voice: str, text: str) -> NDArray[np.int16]:
    """A text in a voice, without the silence around it, int16 at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "said.wav")
        if voice in FLITE:
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        else:
            subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), text], check=True)
        with wave.open(str(path)) as file:
            rate_hz = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > QUIET)
    trimmed = samples[loud[0] : loud[-1] + 1].astype(np.float64)
    level = 2500 / np.sqrt(np.mean(trimmed**2))  # all voices as loud as each other
    return np.clip(np.rint(trimmed * level), -32768, 32767).astype(np.int16)


def dialogue(
    voices: Sequence[str],
    seed: int,
    *,
    turns: int = 12,
    pause_ms: tuple[int, int] = (100, 900),
    overlap: float = 0.0,
    noise: float = 20.0,
) -> Dialogue:
    """Voices that take turns at random, every one of them early on.

    ``overlap`` is the share of turns that begin before the last one has ended; ``noise`` is the standard deviation of
    white noise below it all.
    """
    chance = random.Random(seed)
    order = list(range(len(voices)))
    chance.shuffle(order)
    while len(order) < turns:
        order.append(chance.choice([v for v in range(len(voices)) if v != order[-1]] or [0]))
    said: list[Turn] = []
    pieces: list[tuple[int, NDArray[np.int16]]] = []
    at = 500 * SAMPLES_PER_MS
    for speaker in order:
        sound = say(voices[speaker], " ".join(chance.sample(TEXTS, chance.choice((1, 1, 2)))))
        if said and chance.random() < overlap:
            at -= min(chance.randint(300, 1200) * SAMPLES_PER_MS, len(sound) // 2)
        else:
            at += chance.randint(*pause_ms) * SAMPLES_PER_MS
        pieces.append((at, sound))
        said.append(Turn(at // SAMPLES_PER_MS, (at + len(sound)) // SAMPLES_PER_MS, speaker))
        at = max(at + len(sound), *(begin + len(piece) for begin, piece in pieces))
    mixed = np.random.default_rng(seed).normal(0, noise, at + 500 * SAMPLES_PER_MS)
    for begin, piece in pieces:
        mixed[begin : begin + len(piece)] += piece
    return Dialogue(np.clip(np.rint(mixed), -32768, 32767).astype(np.int16), tuple(sorted(said, key=_begin)))


def diarization_error(truth: Iterable[Turn], found: Iterable[Turn], *, collar_ms: int = 250) -> float:
    """DER: missed, false and confused speech over all speech, by the speakers' best mapping (NIST RT-09, section 6).

    ``collar_ms`` around each true border is not counted, as usual; overlapped speech is.
    """
    truth, found = list(truth), list(found)
    end = max(turn.end_ms for turn in (*truth, *found)) // 10 + 1
    true, mine = _activity(truth, end), _activity(found, end)
    scored = np.ones(end, bool)
    for border in (ms // 10 for turn in truth for ms in (turn.begin_ms, turn.end_ms)):
        scored[max(0, border - collar_ms // 10) : border + collar_ms // 10] = False
    true, mine = true[:, scored], mine[:, scored]
    together = true.astype(int) @ mine.T.astype(int)
    rows, columns = together.shape
    if rows > columns:
        together, rows, columns = together.T, columns, rows
    most = max(sum(together[i, p[i]] for i in range(rows)) for p in permutations(range(columns), rows))
    counts = true.sum(axis=0), mine.sum(axis=0)
    total = int(counts[0].sum())
    return float((np.maximum(*counts).sum() - most) / total)


def _activity(turns: Sequence[Turn], end: int) -> NDArray[np.bool_]:
    """Who speaks in each frame of 10 ms, shape (speakers, end)."""
    active = np.zeros((1 + max((turn.speaker for turn in turns), default=0), end), bool)
    for turn in turns:
        active[turn.speaker, turn.begin_ms // 10 : turn.end_ms // 10] = True
    return active


def _begin(turn: Turn) -> int:
    return turn.begin_ms
