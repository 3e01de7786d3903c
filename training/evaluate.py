"""Measures the exported models with sherpa-onnx, on recordings that training never heard.

Owns the figures of record: sentences read exactly, tags, times of words against the synthesizer's, and whether a
batch gives what its recordings give alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sherpa_onnx
from dataset import Rendered
from emotions import MANNERS
from numpy.typing import NDArray
from sounds import colored_noise
from speech import RATE_HZ, resample
from vocabulary import WORD_BEGIN

BATCH = 8


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model makes of a recording; tags are bare names, empty for Paraformer."""

    text: str
    tokens: tuple[str, ...]
    times_s: tuple[float, ...]
    language: str
    emotion: str
    event: str


def open_sense_voice(folder: Path, language: str = "auto", use_itn: bool = False) -> sherpa_onnx.OfflineRecognizer:
    """Open the model in SenseVoice's layout."""
    return sherpa_onnx.OfflineRecognizer.from_sense_voice(
        model=str(folder / "model.int8.onnx"), tokens=str(folder / "tokens.txt"), language=language, use_itn=use_itn
    )


def open_paraformer(folder: Path) -> sherpa_onnx.OfflineRecognizer:
    """Open the model in Paraformer's layout."""
    return sherpa_onnx.OfflineRecognizer.from_paraformer(
        paraformer=str(folder / "model.onnx"), tokens=str(folder / "tokens.txt")
    )


def hear(
    recognizer: sherpa_onnx.OfflineRecognizer, recordings: Iterable[NDArray[np.int16]], batch: int = 1
) -> list[Heard]:
    """Recognize recordings in batches of a size, in order."""
    waiting = list(recordings)
    heard: list[Heard] = []
    for begin in range(0, len(waiting), batch):
        streams = []
        for samples in waiting[begin : begin + batch]:
            stream = recognizer.create_stream()
            stream.accept_waveform(RATE_HZ, samples.astype(np.float32) / 32768)
            streams.append(stream)
        recognizer.decode_streams(streams)
        heard += [_heard(stream.result) for stream in streams]
    return heard


def _heard(result: sherpa_onnx.OfflineRecognitionResult) -> Heard:
    tags = (name.strip("<|>") for name in (result.lang, result.emotion, result.event))
    return Heard(result.text.strip(), tuple(result.tokens), tuple(result.timestamps), *tags)


def exact(truth: list[Rendered], heard: list[Heard]) -> list[bool]:
    """Tell which texts are exact; English and Mandarin of one recording may be spaced apart or not."""
    return [
        made.utterance.text.replace(" ", "") == got.text.replace(" ", "")
        for made, got in zip(truth, heard, strict=True)
    ]


def begins_s(heard: Heard) -> list[float]:
    """Pick the times at which English words begin, or every character of Mandarin does.

    SenseVoice's first pieces carry a mark before them; Paraformer's others come after one that ends in "@@".
    """
    marked = any(token.startswith((WORD_BEGIN, " ")) for token in heard.tokens)
    begins, joins = [], False
    for token, at_s in zip(heard.tokens, heard.times_s, strict=True):
        if not token.isascii() or (token.startswith(" ") if marked else not joins):
            begins.append(at_s)
        joins = token.endswith("@@")
    return begins


def time_errors_ms(truth: list[Rendered], heard: list[Heard]) -> list[float]:
    """Measure how far words' beginnings lie from the true ones, over the texts read exactly."""
    errors = []
    for made, got, right in zip(truth, heard, exact(truth, heard), strict=True):
        begins = begins_s(got)
        if right and len(begins) == len(made.words):
            errors += [at * 1000 - word.begin_ms for at, word in zip(begins, made.words, strict=True)]
    return errors


def degraded(made: Rendered, kind: str) -> NDArray[np.int16]:
    """Worsen a recording: "noise" at 15 dB, "telephone" (8 kHz), "quiet" by 20 dB, "padded" with a second of zeros."""
    samples = made.samples
    if kind == "padded":
        return np.concatenate((np.zeros(RATE_HZ, np.int16), samples, np.zeros(RATE_HZ, np.int16)))
    if kind == "quiet":
        return (samples // 10).astype(np.int16)
    if kind == "telephone":
        return resample(resample(samples, RATE_HZ, 8_000), 8_000)
    chance = np.random.default_rng(made.utterance.seed)
    level = np.sqrt(np.mean(samples.astype(np.float32) ** 2)) * 10 ** (-15 / 20)
    noisy = samples + level * colored_noise(len(samples), chance, 50, 7500, 0.5)
    return np.clip(np.rint(noisy), -32768, 32767).astype(np.int16)


def share(right: Iterable[bool]) -> float:
    """Give the share of what is right, in percent."""
    return 100 * float(np.mean(list(right)))


def by_language(truth: list[Rendered], right: list[bool]) -> dict[str, float]:
    """Split a share by language: "all", "en", "zh"."""
    shares = {"all": share(right)}
    for language in ("en", "zh"):
        own = [good for made, good in zip(truth, right, strict=True) if made.utterance.language == language]
        shares[language] = share(own)
    return shares


def confusion(truth: list[Rendered], heard: list[Heard], read: Callable[[Heard], str]) -> Counter[tuple[str, str]]:
    """Count pairs of the true emotion or event and the one heard."""
    wanted = (made.utterance.emotion if made.utterance.text else made.utterance.event for made in truth)
    return Counter(zip(wanted, (read(got) for got in heard), strict=True))


def emotions_right(truth: list[Rendered], heard: list[Heard]) -> dict[str, float]:
    """Give the share of emotions recognized, for each and over all."""
    right = {name: [] for name in MANNERS}
    for made, got in zip(truth, heard, strict=True):
        right[made.utterance.emotion].append(made.utterance.emotion == got.emotion)
    return {"all": share(good for own in right.values() for good in own)} | {
        name: share(own) for name, own in right.items()
    }


def events_right(truth: list[Rendered], heard: list[Heard]) -> dict[str, float]:
    """Give the share of events recognized, for each and over all, and of wordless sounds that gave no words."""
    right: dict[str, list[bool]] = {}
    silent = []
    for made, got in zip(truth, heard, strict=True):
        event = made.utterance.event
        name = f"{event} under speech" if made.utterance.text else event
        wanted = "Event_UNK" if event in ("noise", "tone", "silence") else event
        right.setdefault(name, []).append(wanted == got.event)
        if not made.utterance.text:
            silent.append(not got.text)
    shares = {"all": share(good for own in right.values() for good in own)}
    return shares | {name: share(own) for name, own in right.items()} | {"no words": share(silent)}


def batch_differences(recognizer: sherpa_onnx.OfflineRecognizer, recordings: list[NDArray[np.int16]]) -> int:
    """Count the recordings whose text, tags or times in a batch are not those they have alone."""
    alone, together = hear(recognizer, recordings), hear(recognizer, recordings, BATCH)
    return sum(one != other for one, other in zip(alone, together, strict=True))
