"""The talkers of the speaker models: who they are, which of them training never hears, and a bank of their speech.

A talker is a voice of a synthesizer at one pitch. eSpeak NG's talkers speak English, Mandarin and the English words in
the accents of other languages, so that a language tells nothing of who speaks. Needs numpy and the synthesizers alone.
"""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentences import compose
from speech import MANDARIN, RATE_HZ, read_wav, resample, speak
from voices import FLITE_VOICES, NAMED_VARIANTS, PLAIN_VARIANTS, UNSEEN_VARIANTS

log = logging.getLogger("training")

#: Kept from training, whatever their pitch.
HELD_OUT = (*UNSEEN_VARIANTS, "adam", "anika", "Hugo", "linda", "pedro", "shelby", "victor", "Nguyen", "flite:awb")
PITCHES = (25, 50, 75)
PITCH_SWING = 5  # a talker's pitch wanders by this much from utterance to utterance
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "de", "fr", "es", "it", "pl", "hi")
MANDARIN_SHARE = 0.4
FLITE_PITCHES_HZ = (100, 150)  # besides each voice's own
UTTERANCES = 9
FLITE_WEIGHT = 4  # a talker of Flite is drawn so many times as often: its voices are few, and like each other
QUIET = 0.01  # of the peak: what is below at either end is cut off
CHUNK, PATIENCE_S = 40, 120

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Bank:
    """Utterances without silence at their ends: ``samples`` (n,) int16 at 16 kHz, cut at ``ends``, and who speaks."""

    samples: Samples
    ends: NDArray[np.int64]
    talkers: NDArray[np.int64]
    names: list[str]

    def utterance(self, place: int) -> Samples:
        """One utterance (n,)."""
        return self.samples[self.ends[place - 1] if place else 0 : self.ends[place]]

    def draw(self, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
        """Different talkers at random."""
        weights = np.array([FLITE_WEIGHT if name.startswith("flite:") else 1.0 for name in self.names])
        return chance.choice(len(self.names), size=count, replace=False, p=weights / weights.sum())

    def places(self, talker: int) -> NDArray[np.int64]:
        """The utterances of a talker."""
        return np.flatnonzero(self.talkers == talker)


def talkers(*, held_out: bool) -> list[str]:
    """Names such as ``m3@50``, a variant of eSpeak NG at a pitch, ``flite:slt`` and ``flite:slt@150``, in Hz."""
    variants = [*PLAIN_VARIANTS, *UNSEEN_VARIANTS, *NAMED_VARIANTS.split()]
    names = [f"{variant}@{pitch}" for variant in variants for pitch in PITCHES]
    for voice in FLITE_VOICES:
        names += [f"flite:{voice}", *(f"flite:{voice}@{pitch}" for pitch in FLITE_PITCHES_HZ)]
    return [name for name in names if (name.partition("@")[0] in HELD_OUT) == held_out]


def utter(talker: str, chance: np.random.Generator) -> Samples:
    """Have a talker say one to three sentences at a random speed, in one breath; silence at the ends is cut off."""
    variant, _, pitch = talker.partition("@")
    by_flite = variant.startswith("flite:")
    mandarin = not by_flite and chance.random() < MANDARIN_SHARE
    text = " ".join(compose("zh" if mandarin else "en", chance, 0.5) for _ in range(int(chance.integers(1, 4))))
    if by_flite:
        return _trimmed(_flite(text, variant.removeprefix("flite:"), pitch, float(chance.uniform(0.85, 1.25))))
    base = MANDARIN if mandarin else str(chance.choice(ACCENTS))
    at = int(pitch) + int(chance.integers(-PITCH_SWING, PITCH_SWING + 1))
    voice = f"{base}+{variant}" if variant else base
    samples, _ = speak(text, voice, int(chance.integers(130, 211)), at, int(chance.integers(30, 71)))
    return _trimmed(samples)


def _flite(text: str, voice: str, pitch_hz: str, stretch: float) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.wav")
        options = ["-voice", voice, "--setf", f"duration_stretch={stretch:.3f}"]
        options += ["--setf", f"int_f0_target_mean={pitch_hz}"] if pitch_hz else []
        subprocess.run(["flite", *options, "-t", text, "-o", str(path)], check=True)  # noqa: S603, S607
        return resample(*read_wav(path))


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > QUIET * np.abs(samples.astype(np.int32)).max(initial=1))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def _chunk(jobs: list[tuple[int, str, int]]) -> list[tuple[int, Samples]]:
    made = ((number, utter(name, np.random.default_rng(seed))) for number, name, seed in jobs)
    return [(number, samples) for number, samples in made if len(samples) > RATE_HZ // 2]


def render(names: list[str], seed: int) -> Bank:
    """Render the bank of these talkers."""
    chance = np.random.default_rng(seed)
    jobs = []
    for number, name in enumerate(names):
        count = 2 * UTTERANCES if name.startswith("flite:") else UTTERANCES
        jobs += [(number, name, int(chance.integers(2**31))) for _ in range(count)]
    made: list[tuple[int, Samples]] = []
    # Spawned, not forked: the synthesizer's library has global state, and now and then takes its process down.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        chunks = [jobs[begin : begin + CHUNK] for begin in range(0, len(jobs), CHUNK)]
        for waiting in [pool.apply_async(_chunk, (chunk,)) for chunk in chunks]:
            try:
                made += waiting.get(PATIENCE_S)
            except multiprocessing.TimeoutError:
                log.warning("lost up to %d utterances to a crash of the synthesizer", CHUNK)
    ends = np.cumsum([len(samples) for _, samples in made])
    return Bank(np.concatenate([samples for _, samples in made]), ends, np.array([who for who, _ in made]), names)


def save(bank: Bank, path: Path) -> None:
    """Keep a bank in one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, samples=bank.samples, ends=bank.ends, talkers=bank.talkers, names=np.array(bank.names))


def load(path: Path) -> Bank:
    """Read what `save` wrote."""
    kept = np.load(path)
    return Bank(kept["samples"], kept["ends"], kept["talkers"], [str(name) for name in kept["names"]])
