"""Writes `RESULTS.md`: what the exported models reached on the recordings kept from training."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import evaluate
import examples
import numpy as np
import posteriors
import sherpa_onnx
from dataset import SEED, Plan, Rendered, render
from emotions import MANNERS
from evaluate import Heard, hear, share
from speech import RATE_HZ, read_wav, resample
from vocabulary import english, mandarin, tokens
from voices import UNSEEN_VARIANTS

DEGRADATIONS = ("noise", "telephone", "quiet", "padded")


def report(plan: Plan, sense_voice: Path, paraformer: Path, timings_s: dict[str, float]) -> str:
    """Measure everything and put it in words.

    Args:
        plan: The test's utterances lie in it.
        sense_voice: Folder of the model in SenseVoice's layout.
        paraformer: Folder of the one in Paraformer's.
        timings_s: How long each stage of the recipe took.
    """
    sets = {name: _rendered(getattr(plan, name)) for name in ("seen", "unseen", "emotions", "events")}
    recognizer = evaluate.open_sense_voice(sense_voice)
    other = evaluate.open_paraformer(paraformer)
    sections = [
        _heading(plan, sense_voice, paraformer, timings_s),
        _sentences(sets, recognizer, other),
        _times(sets["seen"], recognizer, other),
        _posteriors(sets["seen"], sense_voice),
        _tags(sets, recognizer),
        _batches(sets, recognizer, other),
        _examples(recognizer, other),
    ]
    return "\n\n".join(sections) + "\n"


def _rendered(utterances: list) -> list[Rendered]:
    return [made for made in map(render, utterances) if made is not None]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _heading(plan: Plan, sense_voice: Path, paraformer: Path, timings_s: dict[str, float]) -> str:
    sizes = [
        f"`{path.parent.name}/{path.name}` {path.stat().st_size:,} bytes" for path in _models(sense_voice, paraformer)
    ]
    taken = ", ".join(f"{stage} {seconds / 60:.1f} min" for stage, seconds in timings_s.items())
    return f"""# Results

Written by `python training/make.py`; measured with sherpa-onnx {sherpa_onnx.__version__}. Seed {SEED}.

- Files: {", ".join(sizes)}
- Vocabulary: {len(english())} English words, {len(mandarin())} Mandarin words; {len(tokens())} tokens
- Training: {" + ".join(f"{len(drawn):,}" for drawn in plan.train)} utterances. Time taken: {taken}
- Held out: {len(plan.seen)} sentences in seen voices, {len(plan.unseen)} in the unseen variants \
{" and ".join(UNSEEN_VARIANTS)}; no sentence of the test occurs in training"""


def _models(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob("*.onnx"))]


def _sentences(
    sets: dict[str, list[Rendered]], recognizer: sherpa_onnx.OfflineRecognizer, other: sherpa_onnx.OfflineRecognizer
) -> str:
    rows = []

    def measure(
        label: str, truth: list[Rendered], kind: str = "", engine: sherpa_onnx.OfflineRecognizer = recognizer
    ) -> None:
        sound = [evaluate.degraded(made, kind) if kind else made.samples for made in truth]
        shares = evaluate.by_language(truth, evaluate.exact(truth, hear(engine, sound)))
        rows.append([label, str(len(truth)), *(f"{shares[name]:.1f}" for name in ("all", "en", "zh"))])

    over_music = [made for made in sets["events"] if made.utterance.text]
    measure("SenseVoice, seen voices", sets["seen"])
    measure("SenseVoice, unseen voices", sets["unseen"])
    measure("Paraformer, seen voices", sets["seen"], engine=other)
    measure("Paraformer, unseen voices", sets["unseen"], engine=other)
    measure("seven emotions", sets["emotions"])
    measure("over music", over_music)
    for kind in DEGRADATIONS:
        measure(f"seen voices, {kind}", sets["seen"], kind)
        measure(f"unseen voices, {kind}", sets["unseen"], kind)
    note = "Noise is at 15 dB; telephone is 8 kHz; quiet is 20 dB less; padded has a second of zeros at either end."
    return f"## Sentences read exactly (%)\n\n{_table(['', 'sentences', 'all', 'English', 'Mandarin'], rows)}\n\n{note}"


def _times(
    truth: list[Rendered], recognizer: sherpa_onnx.OfflineRecognizer, other: sherpa_onnx.OfflineRecognizer
) -> str:
    chosen = truth[::4][:100]
    rows = []
    for label, engine in (("SenseVoice", recognizer), ("Paraformer", other)):
        errors = np.array(evaluate.time_errors_ms(chosen, hear(engine, [made.samples for made in chosen])))
        middle, worst = np.percentile(np.abs(errors), [50, 95])
        rows.append([label, str(len(errors)), f"{middle:.0f}", f"{worst:.0f}", f"{errors.mean():+.0f}"])
    table = _table(["", "words", "median", "95 %", "mean (signed)"], rows)
    return f"## Beginnings of words, against the synthesizer's events (ms)\n\n{len(chosen)} sentences.\n\n{table}"


def _posteriors(truth: list[Rendered], folder: Path) -> str:
    (path,) = folder.glob("*.onnx")
    figures = posteriors.measure(path, truth[::4][:100])
    return f"""## Frame posteriors and forced alignment

In {figures["frames of tokens"]:.1f} % of the frames within a token's true extent the token has a posterior of 0.5 or \
more, and {figures["tokens"]:.1f} % of tokens have such a frame; in silence the blank has it in \
{figures["frames of silence"]:.1f} % of frames. Tokens' beginnings as CTC aligns the true text lie \
{figures["median"]:.0f} ms (median) and {figures["95 %"]:.0f} ms (95 %) from the true ones."""


def _tags(sets: dict[str, list[Rendered]], recognizer: sherpa_onnx.OfflineRecognizer) -> str:
    heard = {name: hear(recognizer, [made.samples for made in made_set]) for name, made_set in sets.items()}
    rows = []
    for name in ("seen", "unseen", "emotions"):
        right = (made.utterance.language == got.language for made, got in zip(sets[name], heard[name], strict=True))
        neutral = share(
            got.emotion == made.utterance.emotion for made, got in zip(sets[name], heard[name], strict=True)
        )
        speech = share(got.event == "Speech" for got in heard[name])
        rows.append([name, f"{share(right):.1f}", f"{neutral:.1f}", f"{speech:.1f}"])
    table = _table(["set", "language", "emotion", "event"], rows)
    events = evaluate.events_right(sets["events"], heard["events"])
    shares = _table(["sound", "%"], [[name, f"{value:.1f}"] for name, value in events.items()])
    confusion = _confusion(sets["emotions"], heard["emotions"])
    return (
        f"## Tags recognized (%)\n\n{table}\n\nEmotions: rows are true, columns recognized, in counts.\n\n{confusion}"
        f'\n\nEvents, 20 recordings of each; "no words" tells how many sounds without speech gave no words.\n\n{shares}'
    )


def _confusion(truth: list[Rendered], heard: list[Heard]) -> str:
    counts = evaluate.confusion(truth, heard, lambda got: got.emotion)
    names = list(MANNERS)
    others = sorted({found for _, found in counts} - set(names))
    rows = [[name, *(str(counts[name, found]) for found in names + others)] for name in names]
    return _table(["", *names, *others], rows)


def _batches(
    sets: dict[str, list[Rendered]], recognizer: sherpa_onnx.OfflineRecognizer, other: sherpa_onnx.OfflineRecognizer
) -> str:
    sound = [made.samples for name in ("seen", "unseen", "events") for made in sets[name]]
    lines = [
        f"- {label}: {evaluate.batch_differences(engine, sound)} of {len(sound)} recordings differ"
        for label, engine in (("SenseVoice", recognizer), ("Paraformer", other))
    ]
    head = f"## Batches of {evaluate.BATCH} mixed lengths against single recordings (text, tags, times)"
    return head + "\n\n" + "\n".join(lines)


def _examples(recognizer: sherpa_onnx.OfflineRecognizer, other: sherpa_onnx.OfflineRecognizer) -> str:
    """Check what `examples.py` promises, spoken by the command line."""
    lines, failed = [], []
    for language, texts in examples.SENTENCES.items():
        for text in texts:
            sound = _spoken_by_command(text, language)
            found = [hear(engine, [sound])[0].text for engine in (recognizer, other)]
            if any(got.replace(" ", "") != text.replace(" ", "") for got in found):
                failed.append(f"{text} ({' / '.join(found)})")
            lines.append(f"- `{language}` {text}")
    for language in examples.SENTENCES:
        for emotion in MANNERS:
            got = hear(recognizer, [examples.emotional(emotion, language)[0]])[0]
            if (got.emotion, got.text) != (emotion, examples.EMOTIONAL[language]):
                failed.append(f"{emotion} {language} ({got.emotion} {got.text})")
    for name in examples.EVENT_SEEDS:
        got = hear(recognizer, [examples.event(name)])[0]
        if got.event != ("Event_UNK" if name in ("noise", "tone") else name) or got.text:
            failed.append(f"{name} ({got.event} {got.text})")
    missed = "\n".join(f"- {line}" for line in failed) or "- none"
    return f"## Examples of `examples.py`\n\nFailed:\n\n{missed}\n\nSentences checked:\n\n" + "\n".join(lines)


def _spoken_by_command(text: str, language: str) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spoken.wav")
        subprocess.run(examples.command(text, language, path), check=True)  # noqa: S603
        return resample(*read_wav(path), RATE_HZ)
