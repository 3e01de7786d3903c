"""Words written for what is no speech, and words lost of what is, at several thresholds, with the embedded engine.

    python benchmarks/noise.py [--audio DIR] [--thresholds=-0.5,0,0.5,1] [--seconds 20] [--only noise,speech,denoise]

Noise: recordings without speech, the noises of ``noises.py`` by seeds on which nothing was tuned, and speech played
backwards, alone and eight voices at once. Every word is a false one; ``bare`` is what the engine writes when nothing is
refused. Speech: people and a singer. ``raw`` is pocketsphinx on the whole clip; then words that were written, and in
brackets words that were recognized and refused, of which there should be none at 0. Both take the chain that every
request takes, with ``speech_noise_threshold`` in the detector and in the engine. Denoise: word error rates of short
clips with noise under them, without and with the small denoiser of ``tests/models``, which is a textbook's filter for
steady noise and no network (``--denoiser FILE`` takes another).
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jiwer
import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from accuracy import normalize, text_of
from common import CHECKOUT, SAMPLE, machine, table
from dashscribe.config import load as load_settings
from dashscribe.decode import Decoder
from dashscribe.denoise import Denoiser
from dashscribe.engines.pocketsphinx import Heard, PocketsphinxEngine
from dashscribe.segment import Segmenter
from dashscribe.types import RATE_HZ, Fate, Limits, Options, Outcome, Waveform
from noises import NOISES, babble, backwards, make

#: Seeds from here on are for figures; those below were looked at while thresholds were chosen.
FIRST_SEED = 100
#: Root mean square of the noises: a loud one and, by every second seed, one as loud as an office.
LEVELS = (4000.0, 500.0)
DENOISER = CHECKOUT / "tests" / "models" / "gtcrn-tiny" / "gtcrn_simple.onnx"
Sound = NDArray[np.int16]


class Engine(PocketsphinxEngine):
    """The embedded engine, which decodes a piece only once however many thresholds judge it."""

    def __init__(self) -> None:
        super().__init__(load_settings())
        self._known: dict[bytes, list[Heard]] = {}

    def _decode(self, piece: Waveform) -> Iterator[Heard]:
        key = piece.samples.tobytes()
        if key not in self._known:
            self._known[key] = list(super()._decode(piece))
        return iter(self._known[key])

    def forget(self) -> None:
        """Before the next clip."""
        self._known.clear()

    def hear(self, sound: Sound, threshold: float) -> tuple[int, int]:
        """Words written for a clip at a threshold, and words that were recognized and refused."""
        segmenter = Segmenter(Limits(), noise_threshold=threshold)
        pieces = segmenter.feed(sound) + segmenter.finish()
        outcomes = self.recognize(pieces, Options(speech_noise_threshold=threshold))
        refused = [p for p, o in zip(pieces, outcomes, strict=True) if o.fate is Fate.NON_SPEECH and o.reason]
        return words(outcomes), words(self.recognize(refused, Options(speech_noise_threshold=-1.0)))


def words(outcomes: Sequence[Outcome]) -> int:
    return sum(len(sentence.words) for outcome in outcomes for sentence in outcome.sentences)


def raw_words(sound: Sound) -> int:
    """What the engine's own decoder writes for the whole clip."""
    decoder = pocketsphinx.Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(sound.tobytes(), full_utt=True)
    decoder.end_utt()
    return sum(not segment.word.startswith(("<", "[", "+")) for segment in decoder.seg() or ())


def samples(path: Path) -> Sound:
    """The first channel."""
    return np.concatenate(list(Decoder(path, url=path.name, channels=(0,), stretch=None)), axis=1)[0]


def no_speech(rows: Sequence[tuple[Path, dict[str, str]]], seconds: float, seeds: int) -> Iterator[tuple[str, Sound]]:
    """Every clip without speech, by name: recordings, noises, voices without words."""
    for path, row in rows:
        if row["language"] == "none":
            yield path.name, samples(path)
    for name in NOISES:
        for seed in range(seeds):
            yield name, make(name, seconds, FIRST_SEED + seed, LEVELS[seed % len(LEVELS)])
    voices = [samples(path) for path, row in rows if row["kind"] == "speech" and row["language"] == "en"][:12]
    voices = voices or [samples(SAMPLE)]
    for seed in range(seeds):
        chance = np.random.default_rng(FIRST_SEED + seed)
        mixed = babble(voices, round(seconds * RATE_HZ), chance)
        yield "8 voices backwards", (mixed * 2000 / np.sqrt(np.mean(np.square(mixed)))).astype(np.int16)
        yield "a voice backwards", backwards(voices[int(chance.integers(len(voices)))])


def report_noise(engine: Engine, clips: Iterator[tuple[str, Sound]], thresholds: Sequence[float]) -> None:
    counted: dict[str, list[float]] = defaultdict(lambda: [0.0] * (2 + len(thresholds)))
    for name, sound in clips:
        written, refused = engine.hear(sound, 0.0)
        found = [len(sound) / RATE_HZ / 60, written + refused, *(engine.hear(sound, at)[0] for at in thresholds)]
        counted[name] = [sum(pair) for pair in zip(counted[name], found, strict=True)]
        engine.forget()
        print(f"  {name}: {found[1:]}", flush=True)
    counted["recordings"] = sums(counted, lambda name: "." in name)
    counted["noises"] = sums(counted, lambda name: name in NOISES)
    counted["voices"] = sums(counted, lambda name: "backwards" in name)
    rates = [(name, f"{c[0]:.2f}", *(f"{n / c[0]:.2f}" for n in c[1:])) for name, c in counted.items() if c[0]]
    print("\nfalse words a minute")
    print(table(("sound", "minutes", "bare", *(f"at {at:g}" for at in thresholds)), rates))


def sums(counted: dict[str, list[float]], wanted: Callable[[str], bool]) -> list[float]:
    rows = [row for name, row in counted.items() if wanted(name)]
    return [sum(column) for column in zip(*rows, strict=True)] if rows else [0.0]


def report_speech(engine: Engine, clips: Iterator[tuple[str, Sound]], thresholds: Sequence[float]) -> None:
    rows: list[tuple[str, ...]] = []
    totals = np.zeros((len(thresholds), 2), int)
    for name, sound in clips:
        found = [engine.hear(sound, at) for at in thresholds]
        totals += found
        rows.append((name, str(raw_words(sound)), *(f"{kept} ({refused})" for kept, refused in found)))
        engine.forget()
        print(" ", *rows[-1], flush=True)
    rows.append(("all", str(sum(int(row[1]) for row in rows)), *(f"{kept} ({refused})" for kept, refused in totals)))
    print("\nwords of people (refused)")
    print(table(("clip", "raw", *(f"at {at:g}" for at in thresholds)), rows))


def report_denoiser(engine: Engine, rows: Sequence[tuple[Path, dict[str, str]]], model: Path) -> None:
    spoken = [(p, row["transcript"]) for p, row in rows if row["kind"] == "speech" and row["language"] == "en"]
    clips = [(samples(path), text) for path, text in spoken if path.suffix != ".raw"]
    clips = [clip for clip in clips if len(clip[0]) < 8 * RATE_HZ]
    found: list[tuple[str, ...]] = []
    for name, snr_db in (("", 0.0), *((noise, snr) for noise in ("pink", "rain", "engine") for snr in (10.0, 5.0))):
        errors = np.zeros(2, int)
        for place, (speech, text) in enumerate(clips):
            sound = mixed(speech, name, snr_db, FIRST_SEED + place) if name else speech
            denoiser = Denoiser(model)
            for way, heard in enumerate((sound, np.concatenate((denoiser.feed(sound), denoiser.finish())))):
                segmenter = Segmenter(Limits())
                outcomes = engine.recognize(segmenter.feed(heard) + segmenter.finish(), Options())
                counted = jiwer.process_words(normalize(text), normalize(text_of(outcomes)))
                errors[way] += counted.substitutions + counted.deletions + counted.insertions
            engine.forget()
        words = sum(len(normalize(text).split()) for _, text in clips)
        found.append((f"{name} {snr_db:g} dB" if name else "clean", *(f"{100 * e / words:.1f} %" for e in errors)))
        print(" ", *found[-1], flush=True)
    print(f"\nword error rates of {len(clips)} clips")
    print(table(("noise, signal to noise", "as it is", "denoised"), found))


def mixed(speech: Sound, name: str, snr_db: float, seed: int) -> Sound:
    """Speech with a noise under it."""
    noise = make(name, len(speech) / RATE_HZ, seed)[: len(speech)].astype(float)
    gain = np.sqrt(np.square(speech.astype(float)).mean() / np.square(noise).mean()) / 10 ** (snr_db / 20)
    return np.clip(speech + gain * noise, -32768, 32767).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio"
    parser.add_argument("--audio", type=Path, default=default, help="folder with manifest.json (default: %(default)s)")
    parser.add_argument("--thresholds", default="-0.5,0,0.5,1")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each noise")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="noise,speech,denoise")
    parser.add_argument("--denoiser", type=Path, default=DENOISER, help="a model of GTCRN's form")
    args = parser.parse_args()
    manifest = args.audio / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else []
    rows = [(args.audio / row["file"], row) for row in listed]
    only = args.only.split(",")
    thresholds = [float(at) for at in args.thresholds.split(",")]
    print(machine(), "\n")
    engine = Engine()
    if "noise" in only:
        report_noise(engine, no_speech(rows, args.seconds, args.seeds), thresholds)
    if "speech" in only:
        people = [path for path, row in rows if row["language"] == "en" and path.suffix != ".raw"] or [SAMPLE]
        report_speech(engine, ((path.name, samples(path)) for path in people), thresholds)
    if "denoise" in only:
        report_denoiser(engine, rows, args.denoiser)


if __name__ == "__main__":
    main()
