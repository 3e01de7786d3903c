"""The figures of the speaker models, measured through sherpa-onnx, on talkers that training heard and on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sherpa_onnx
import sounds
from dialogues import STEP, Dialogue, between
from numpy.typing import NDArray
from scoring import Errors, diarization_errors, equal_error_rate
from speech import RATE_HZ
from talkers import Bank, talkers

SECONDS, DIALOGUES = 60.0, 4
SNRS_DB = (None, 15.0)
PIECES_S = (None, 1.5, 0.75)


def diarizer(segmentation: Path, embedding: Path, count: int = -1) -> sherpa_onnx.OfflineSpeakerDiarization:
    """sherpa-onnx's diarization with its own settings; ``count`` talkers if it is known."""
    return sherpa_onnx.OfflineSpeakerDiarization(
        sherpa_onnx.OfflineSpeakerDiarizationConfig(
            segmentation=sherpa_onnx.OfflineSpeakerSegmentationModelConfig(
                pyannote=sherpa_onnx.OfflineSpeakerSegmentationPyannoteModelConfig(model=str(segmentation))
            ),
            embedding=sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(embedding)),
            clustering=sherpa_onnx.FastClusteringConfig(num_clusters=count, threshold=0.5),
        )
    )


def segments(
    engine: sherpa_onnx.OfflineSpeakerDiarization, samples: NDArray[np.float32]
) -> list[tuple[float, float, int]]:
    """Begin and end in seconds, and who."""
    return [(part.start, part.end, part.speaker) for part in engine.process(samples).sort_by_start_time()]


def noisy(dialogue: Dialogue, snr_db: float | None, seed: int) -> Dialogue:
    """A dialogue over steady noise, that much softer than the speech; None leaves it as it is."""
    if snr_db is None:
        return dialogue
    noise = sounds.noise(len(dialogue.samples), np.random.default_rng(seed))
    speaks = np.repeat(dialogue.active.any(0), STEP)
    speech = dialogue.samples[: len(speaks)][speaks]
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-snr_db / 20)
    return Dialogue(np.clip(dialogue.samples + noise * level, -1, 1).astype(np.float32), dialogue.active)


def embed(extractor: sherpa_onnx.SpeakerEmbeddingExtractor, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A recording's embedding, of length 1."""
    stream = extractor.create_stream()
    stream.accept_waveform(RATE_HZ, samples)
    stream.input_finished()
    vector = np.array(extractor.compute(stream), np.float32)
    return vector / np.linalg.norm(vector)


def lines(segmentation: Path, embedding: Path, held_out: Bank, seed: int) -> list[str]:
    """The part of the page about speakers."""
    voices = sorted({name.partition("@")[0] for name in held_out.names})
    return [
        f"Training hears {len(talkers(held_out=False))} talkers and never {len(held_out.names)} others: the voices "
        f"{', '.join(voices)}. Nothing here says how well people are told apart.",
        "",
        "## Diarization error rate (%)",
        "",
        f"{DIALOGUES} dialogues of {SECONDS:.0f} s in each row, no collar, overlaps counted; threshold 0.5 and other "
        "settings as the library has them. In brackets what was missed, made up, and taken for another's. Talkers of "
        "a dialogue have different voices.",
        "",
        "| talkers | noise | number unknown | talkers found | number given |",
        "| --- | --- | --- | --- | --- |",
        *_diarization(segmentation, embedding, seed),
        "",
        "## Equal error rate of embeddings (%)",
        "",
        "All pairs of utterances of the held-out talkers. A talker is a voice at a pitch; the second figure leaves out "
        "pairs of one voice at two pitches. The threshold is a cosine.",
        "",
        "| length | noise | all pairs | other voices | threshold | same, median | different, median |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *_equal_errors(embedding, held_out, seed),
        "",
    ]


def _diarization(segmentation: Path, embedding: Path, seed: int) -> list[str]:
    free = diarizer(segmentation, embedding)
    rows = []
    for held_out in (False, True):
        names = talkers(held_out=held_out)
        for count in (2, 3):
            known = diarizer(segmentation, embedding, count)
            for snr_db in SNRS_DB:
                sums, given, found = Errors(0, 0, 0, 0), Errors(0, 0, 0, 0), []
                for place in range(DIALOGUES):
                    chance = np.random.default_rng((seed, held_out, count, place))
                    voices = chance.choice(sorted({name.partition("@")[0] for name in names}), count, replace=False)
                    who = [str(chance.choice([n for n in names if n.partition("@")[0] == voice])) for voice in voices]
                    made = noisy(between(who, SECONDS, place), snr_db, place)
                    heard = segments(free, made.samples)
                    found.append(len({label for _, _, label in heard}))
                    sums += diarization_errors(made.active, heard)
                    given += diarization_errors(made.active, segments(known, made.samples))
                kind = "held out" if held_out else "heard"
                noise = "none" if snr_db is None else f"{snr_db:.0f} dB"
                rows.append(f"| {count} {kind} | {noise} | {_shares(sums)} | {_few(found)} | {_shares(given)} |")
    return rows


def _few(found: list[int]) -> str:
    return " ".join(map(str, found))


def _shares(errors: Errors) -> str:
    parts = "/".join(f"{100 * part / errors.speech:.1f}" for part in (errors.missed, errors.false, errors.confused))
    return f"{100 * errors.rate:.1f} ({parts})"


def _equal_errors(embedding: Path, bank: Bank, seed: int) -> list[str]:
    extractor = sherpa_onnx.SpeakerEmbeddingExtractor(sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(embedding)))
    rows = []
    voices = np.array([bank.names[who].partition("@")[0] for who in bank.talkers])
    for piece_s in PIECES_S:
        for snr_db in SNRS_DB:
            chance = np.random.default_rng(seed)
            vectors = []
            for place in range(len(bank.ends)):
                samples = bank.utterance(place).astype(np.float32) / 32768
                if piece_s is not None:
                    length = round(piece_s * RATE_HZ)
                    samples = samples[int(chance.integers(max(1, len(samples) - length))) :][:length]
                made = noisy(Dialogue(samples, np.ones((1, len(samples) // STEP), bool)), snr_db, place)
                vectors.append(embed(extractor, made.samples))
            cosines = np.array(vectors) @ np.array(vectors).T
            upper = np.triu(np.ones_like(cosines, bool), 1)
            same = upper & (bank.talkers[:, None] == bank.talkers[None, :])
            different = upper & ~same
            apart = different & (voices[:, None] != voices[None, :])
            rate, threshold = equal_error_rate(cosines[same], cosines[different])
            others, _ = equal_error_rate(cosines[same], cosines[apart])
            length = "whole" if piece_s is None else f"{piece_s} s"
            noise = "none" if snr_db is None else f"{snr_db:.0f} dB"
            rows.append(
                f"| {length} | {noise} | {100 * rate:.1f} | {100 * others:.1f} | {threshold:.2f} | "
                f"{np.median(cosines[same]):.2f} | {np.median(cosines[apart]):.2f} |"
            )
    return rows
