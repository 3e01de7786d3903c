"""What a GPU gives: a model of SenseVoice's size by itself and through the whole program, against the processor.

    python benchmarks/gpu.py [--audio FILE] [--minutes 60] [--slots 1 2 4] [--provider cuda]

No weights are needed: ``full_size`` makes a model, whose words can be compared and cost what SenseVoice-Small's would,
but for the scores that go from the card to the processor. A sherpa-onnx with CUDA is needed (docs/gpu.md);
``--provider cpu --blocks 2 --minutes 2`` shows that the benchmark itself works.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import sherpa_onnx
from numpy.typing import NDArray

from common import SAMPLE, machine, table
from full_size import BLOCKS, make_model
from running import environment

RATE_HZ = 16_000


def samples_of(path: Path) -> NDArray[np.int16]:
    """All of a recording, (n,) at 16 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def bare(folder: Path, samples: NDArray[np.int16], provider: str, threads: int, at_once: int, count: int) -> float:
    """Seconds of sound per second that the runtime reads by itself: pieces of 1 to 6 s, the first calls left out."""
    recognizer = sherpa_onnx.OfflineRecognizer.from_sense_voice(
        model=str(folder / "model.onnx"), tokens=str(folder / "tokens.txt"), provider=provider, num_threads=threads
    )
    chance, sound = random.Random(1), samples.astype(np.float32) / 32768
    lengths = [int(RATE_HZ * chance.uniform(1, min(6, len(sound) / RATE_HZ - 1))) for _ in range(count + at_once)]
    begins = [chance.randrange(len(sound) - length) for length in lengths]
    pieces = [sound[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)]
    begin_s = 0.0
    for at in range(0, len(pieces), at_once):
        if at == at_once:
            begin_s = time.perf_counter()
        streams = [recognizer.create_stream() for _ in pieces[at : at + at_once]]
        for stream, piece in zip(streams, pieces[at:], strict=False):
            stream.accept_waveform(RATE_HZ, piece)
        recognizer.decode_streams(streams)
    return sum(lengths[at_once:]) / RATE_HZ / (time.perf_counter() - begin_s)


def through(path: Path, home: Path, provider: str, slots: int) -> tuple[float, str]:
    """Wall time of the whole command, and the text."""
    settings = environment(home, DASHSCRIBE_PROVIDER=provider, DASHSCRIBE_WORKERS=str(slots))
    begin_s = time.perf_counter()
    command = [sys.executable, "-m", "dashscribe", "transcribe", "--quiet", path]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    return time.perf_counter() - begin_s, done.stdout


def manage(home: Path, provider: str, *arguments: str | Path) -> None:
    """A command that has to do with models."""
    command = [sys.executable, "-m", "dashscribe", "models", *arguments]
    subprocess.run(command, env=environment(home, DASHSCRIBE_PROVIDER=provider), check=True)


def measure(folder: Path, audio: Path, minutes: float, provider: str, slots: Sequence[int], blocks: int) -> None:
    """Measure, and print two tables."""
    model = make_model(folder / "whole", blocks)
    cores, once = len(os.sched_getaffinity(0)), samples_of(audio)
    rows: list[tuple[object, ...]] = []
    for name, at_once in ((provider, 1), (provider, 8), (provider, 32), ("cpu", 1), ("cpu", 8)):
        count = 32 if name == "cpu" or at_once == 1 else 256
        rows.append((f"{name}, {at_once} at once", f"{bare(model, once, name, min(cores, 16), at_once, count):.0f}"))
        print(*rows[-1], flush=True)
    print(table(("the runtime alone", "x real time"), rows), flush=True)
    samples = np.resize(once, int(60 * minutes * RATE_HZ))
    path, home = folder / "long.wav", folder / "home"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples.tobytes())
    manage(home, provider, "add", "--link", model)
    runs = [("piece by piece", provider, 1)]
    runs += [("together", provider, count) for count in slots] + [("together", "cpu", cores)]
    texts: list[str] = []
    rows = []
    for how, name, count in runs:
        if how == "together" and (name == "cpu" or len(texts) == 1):
            manage(home, name, "verify")
        seconds, text = through(path, home, name, count)
        texts.append(text)
        rows.append((f"{name}, {count} slots, {how}", f"{seconds:.1f}", f"{60 * minutes / seconds:.0f}"))
        print(*rows[-1], flush=True)
    print(table((f"dashscribe transcribe, {minutes:g} min", "s", "x real time"), rows))
    print(f"words: {len(texts[-1].split())}, the same in all runs: {len(set(texts)) == 1}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, default=SAMPLE, help="a recording, repeated as often as need be")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--provider", default="cuda")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    arguments = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments.audio, arguments.minutes, arguments.provider, arguments.slots, arguments.blocks)


if __name__ == "__main__":
    main()
