"""How far the times of words are from the truth, as engines give them and as an alignment refines them.

    python benchmarks/times.py [--sentences 100] [--seed 11]

Speech is synthesized, since only a synthesizer tells when each word is: eSpeak NG in English and Mandarin (many voices)
and Flite in English (four). The engines are the small SenseVoice and Paraformer of ``tests/models`` and the embedded
one. Only sentences that an engine reads right count. Errors are those of the beginnings and ends of words, in ms.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import CHECKOUT, machine, table
from dashscribe.config import Settings
from dashscribe.engines.pocketsphinx import PocketsphinxEngine
from dashscribe.engines.sherpa.paraformer import ParaformerEngine
from dashscribe.engines.sherpa.sensevoice import SenseVoiceEngine
from dashscribe.hosts.completing import Completion
from dashscribe.types import Fate, Options, Sentence, Waveform
from dashscribe.weights import find
from dashscribe.weights.adding import add

#: Silence around each sentence, in milliseconds.
AROUND_MS = 300


def spoken(sentences: int, seed: int) -> Iterator[tuple[str, str, Any, Any]]:
    """Synthesizer, language, samples and true times of every recording."""
    sys.path.insert(0, str(CHECKOUT / "training"))
    speech, voices, texts = (importlib.import_module(name) for name in ("speech", "voices", "sentences"))
    chance = np.random.default_rng(seed)
    for number in range(sentences):
        for language in ("en", "zh"):
            voice, speed = voices.seen_voice(language, chance), int(chance.integers(130, 180))
            yield "eSpeak NG", language, *speech.speak(texts.compose(language, chance), voice, speed)
        voice = voices.FLITE_VOICES[number % len(voices.FLITE_VOICES)]
        try:
            yield "Flite", "en", *speech.flite(texts.compose("en", chance), voice, float(chance.uniform(0.9, 1.2)))
        except ValueError:
            continue  # its phones do not tell where words end


def errors_ms(sentence: Sentence, truth: Any) -> list[float]:
    """Of every word's beginning and end."""
    pairs = list(zip(sentence.words, truth, strict=True))
    begins = [abs(word.begin_ms - AROUND_MS - true.begin_ms) for word, true in pairs]
    return [*begins, *(abs(word.end_ms - AROUND_MS - true.end_ms) for word, true in pairs)]


def main() -> None:
    """Print a row for each synthesizer, language, engine and set of aligners."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("sensevoice-small", "paraformer-small"):
            add(CHECKOUT / "tests" / "models" / name, Path(folder), link=True)
        settings = Settings(models_dir=Path(folder))
        sys.stdout.write(f"{machine()}\n\n{measured(settings, given.sentences, given.seed)}\n")


def measured(settings: Settings, sentences: int, seed: int) -> str:
    """The table."""
    models = settings.resolved_models_dir
    engines: dict[str, Any] = {
        "SenseVoice": SenseVoiceEngine(settings, find(models, "sensevoice-small")),
        "Paraformer": ParaformerEngine(settings, find(models, "paraformer-small")),
        "pocketsphinx": PocketsphinxEngine(settings),
    }
    aligners = {"embedded": Completion(settings), "with SenseVoice": Completion(settings, "sensevoice-small")}
    errors: dict[tuple[str, ...], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    moved = 0
    for synthesizer, language, samples, truth in spoken(sentences, seed):
        quiet = np.zeros(16 * AROUND_MS, np.int16)
        piece = Waveform(np.concatenate([quiet, samples, quiet]), 0)
        options = Options(languages=(language,), refine_times=True, words=False)
        for name, engine in engines.items():
            if name == "pocketsphinx" and (language != "en" or synthesizer != "Flite"):
                continue  # it reads no other voice
            (heard,) = engine.recognize([piece], options)
            read = [w.text.strip().lower() for s in heard.sentences for w in s.words]
            if heard.fate is not Fate.TRANSCRIBED or read != [word.text for word in truth]:
                continue
            for which, aligner in aligners.items():
                refined = aligner.complete(piece, heard, options).sentences[0]
                own, better = errors[synthesizer, language, name, which]
                own += errors_ms(heard.sentences[0], truth)
                better += errors_ms(refined, truth)
                pairs = zip(heard.sentences[0].words, refined.words, strict=True)
                moved = max([moved, *(abs(a.begin_ms - b.begin_ms) for a, b in pairs)])
    header = ("speech", "engine", "aligner", "words", "own: median", "95 %", "mean", "refined: median", "95 %", "mean")
    rows = [
        (f"{synthesizer} {language}", name, which, len(own) // 2, *_summary(own), *_summary(better))
        for (synthesizer, language, name, which), (own, better) in sorted(errors.items())
    ]
    return f"{table(header, rows)}\n\nno word's beginning moved by more than {moved} ms"


def _summary(errors: list[float]) -> tuple[str, str, str]:
    return f"{np.median(errors):.0f}", f"{np.percentile(errors, 95):.0f}", f"{np.mean(errors):.1f}"


if __name__ == "__main__":
    main()
