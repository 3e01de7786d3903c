"""Word error rate of the embedded engine behind our cutting, against the same engine on whole files.

    python benchmarks/accuracy.py [--audio DIR]

Raw is pocketsphinx with its defaults and a fresh decoder per clip, given the whole clip as one utterance. Ours is the
chain that every request takes: decode, find and cut speech, recognize piece by piece with one decoder, refuse what is
no speech. Both hear the same samples. Word errors are counted by jiwer after lower-casing, taking hyphens and
punctuation off (apostrophes stay) and writing mr as mister; numbers are words in the transcripts already.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from dashscribe.config import load as load_settings
from dashscribe.decode import Decoder
from dashscribe.engines.pocketsphinx import PocketsphinxEngine
from dashscribe.segment import Segmenter
from dashscribe.types import RATE_HZ, Limits, Options, Outcome

CHECKOUT = Path(__file__).resolve().parents[1]
KINDS = ("speech", "telephone 8 kHz conversation", "stereo two-channel")
#: At -1 the engine takes everything for speech.
NO_REJECTION = Options(speech_noise_threshold=-1.0)
RESAMPLES = 10_000
SEED = 20_240_101


@dataclass(frozen=True)
class Clip:
    """One channel of one recording; ``words`` is the normalized reference."""

    name: str
    kind: str
    samples: NDArray[np.int16]
    words: str

    @property
    def minutes(self) -> float:
        """Length in minutes."""
        return len(self.samples) / RATE_HZ / 60


@dataclass(frozen=True)
class Score:
    """Reference words of one clip and the word errors of each way to recognize it."""

    kind: str
    words: int
    raw: int
    ours: int
    unmerged: int
    unrejected: int


def normalize(text: str) -> str:
    """The form in which words are compared."""
    text = re.sub(r"\bmr\b", "mister", text.lower().replace("’", "'"))
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text).split())


def load(folder: Path, row: dict[str, Any]) -> list[Clip]:
    """The clips of one row of the manifest, a clip per channel where each has its own transcript."""
    path = folder / row["file"]
    texts = row.get("channel_transcripts") or [row["transcript"] or ""]
    decoder = Decoder(path, url=path.name, channels=range(len(texts)), stretch=None)
    samples = np.concatenate(list(decoder), axis=1)
    names = [path.name] if len(texts) == 1 else [f"{path.name} [{i}]" for i in range(len(texts))]
    return [Clip(name, row["kind"], samples[i], normalize(texts[i])) for i, name in enumerate(names)]


def hear_raw(clip: Clip) -> str:
    decoder: Any = pocketsphinx.Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(clip.samples.tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def hear(engine: PocketsphinxEngine, clip: Clip, limits: Limits) -> tuple[str, str]:
    """The text of our chain, and what the text would be if nothing were refused."""
    segmenter = Segmenter(limits)
    pieces = segmenter.feed(clip.samples) + segmenter.finish()
    outcomes = engine.recognize(pieces, Options())
    unrejected = [
        engine.recognize([piece], NO_REJECTION)[0] if outcome.reason else outcome
        for piece, outcome in zip(pieces, outcomes, strict=True)
    ]
    return text_of(outcomes), text_of(unrejected)


def text_of(outcomes: Iterable[Outcome]) -> str:
    return " ".join(sentence.text for outcome in outcomes for sentence in outcome.sentences)


def errors(clip: Clip, text: str) -> int:
    """Substitutions, deletions and insertions."""
    counted = jiwer.process_words(clip.words, normalize(text))
    return counted.substitutions + counted.deletions + counted.insertions


def score(engine: PocketsphinxEngine, clip: Clip) -> Score:
    merged, unrejected = hear(engine, clip, Limits())
    unmerged, _ = hear(engine, clip, Limits(min_piece_ms=0))
    return Score(
        kind=clip.kind,
        words=len(clip.words.split()),
        raw=errors(clip, hear_raw(clip)),
        ours=errors(clip, merged),
        unmerged=errors(clip, unmerged),
        unrejected=errors(clip, unrejected),
    )


def interval(scores: Sequence[Score], left: str, right: str) -> tuple[float, float, float]:
    """Pooled difference left - right in points, with its 95 % interval by paired bootstrap over clips."""
    words = np.array([s.words for s in scores])
    gaps = np.array([getattr(s, left) - getattr(s, right) for s in scores])
    drawn = np.random.default_rng(SEED).integers(0, len(scores), (RESAMPLES, len(scores)))
    differences = 100 * gaps[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    low, high = np.percentile(differences, [2.5, 97.5])
    return 100 * float(gaps.sum() / words.sum()), float(low), float(high)


def report_speech(engine: PocketsphinxEngine, clips: Sequence[Clip]) -> None:
    print(f"{'clip':40s} {'words':>5s} {'raw':>7s} {'ours':>7s} {'unmerged':>9s}")
    scores: list[Score] = []
    for clip in clips:
        one = score(engine, clip)
        scores.append(one)
        rates = [100 * n / one.words for n in (one.raw, one.ours, one.unmerged)]
        print(f"{clip.name:40s} {one.words:5d} {rates[0]:6.1f}% {rates[1]:6.1f}% {rates[2]:8.1f}%", flush=True)
    words = sum(s.words for s in scores)
    for name in ("raw", "ours", "unmerged", "unrejected"):
        total = sum(getattr(s, name) for s in scores)
        print(f"pooled word error rate, {name:10s} {100 * total / words:6.2f} %  ({total} errors in {words} words)")
    one_speaker = [s for s in scores if s.kind == "speech"]
    for what, left, right, some in (
        ("ours - raw", "ours", "raw", scores),
        ("ours - raw, without telephone and stereo", "ours", "raw", one_speaker),
        ("ours - unmerged: what merging short spans changes", "ours", "unmerged", scores),
        ("ours - unrejected: what refusing sound costs", "ours", "unrejected", scores),
    ):
        difference, low, high = interval(some, left, right)
        print(f"{what}: {difference:+.2f} points, 95 % interval over clips {low:+.2f} .. {high:+.2f}")


def report_other(engine: PocketsphinxEngine, clips: Sequence[Clip], title: str) -> None:
    print(f"\n{title:40s} {'minutes':>7s} {'words':>6s} {'unrejected':>11s}")
    totals = [0, 0]
    for clip in clips:
        kept, unrejected = (len(normalize(text).split()) for text in hear(engine, clip, Limits()))
        totals = [totals[0] + kept, totals[1] + unrejected]
        print(f"{clip.name:40s} {clip.minutes:7.2f} {kept:6d} {unrejected:11d}", flush=True)
    minutes = sum(clip.minutes for clip in clips)
    print(f"words a minute: {totals[0] / minutes:.2f}, unrejected {totals[1] / minutes:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio"
    parser.add_argument("--audio", type=Path, default=default, help="folder with manifest.json (default: %(default)s)")
    folder: Path = parser.parse_args().audio
    rows = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    print(f"pocketsphinx {version('pocketsphinx')}, {platform.machine()}, Python {platform.python_version()}\n")
    engine = PocketsphinxEngine(load_settings())
    spoken = [row for row in rows if row["language"] == "en" and row["transcript"] and row["kind"] in KINDS]
    report_speech(engine, [clip for row in spoken for clip in load(folder, row)])
    silent = [row for row in rows if row["language"] == "none"]
    report_other(engine, [clip for row in silent for clip in load(folder, row)], "no speech: words made up")
    sung = [row for row in rows if row["kind"].startswith("singing")]
    report_other(engine, [clip for row in sung for clip in load(folder, row)], "singing: words kept")


if __name__ == "__main__":
    main()
