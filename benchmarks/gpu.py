"""What a GPU gives: a model of SenseVoice's size by itself and through the whole program, against the processor.

    python benchmarks/gpu.py [--audio FILE] [--minutes 60] [--slots 1 2 4] [--provider cuda]

No weights are needed: the model is the small SenseVoice of ``tests/models`` with the arithmetic of a whole one beside
it (SANM blocks as in Gao et al. 2020, "SAN-M: Memory Equipped Self-Attention", random numbers, 234 million of them),
whose result counts nothing. So its words can be compared, and they cost what SenseVoice-Small's would, but for this: it
hands out few scores, where 25,055 a frame would go from the card to the processor. A sherpa-onnx with CUDA is needed
(docs/gpu.md); ``--provider cpu --blocks 2 --minutes 2`` shows that the benchmark itself works.
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
from typing import Any

import av
import numpy as np
import onnx
import sherpa_onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from common import SAMPLE, machine, table
from running import MODELS, environment

SMALL = "sensevoice-small"
#: SenseVoice-Small: encoder blocks, width, heads, inner width, taps of the memory, tokens (its config.yaml).
BLOCKS, WIDTH, HEADS, INNER, TAPS, TOKENS = 70, 512, 4, 2048, 11, 25_055
RATE_HZ = 16_000


class Bulk:
    """Adds arithmetic to a graph; every method returns the name of a value."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self._chance = np.random.default_rng(0)
        self._count = 0

    def constant(self, array: NDArray[Any]) -> str:
        """An array as it is."""
        self._count += 1
        self.graph.initializer.append(numpy_helper.from_array(array, f"bulk_{self._count}"))
        return f"bulk_{self._count}"

    def weight(self, *shape: int) -> str:
        """Random numbers of a spread that keeps values in range."""
        values = self._chance.standard_normal(shape, dtype=np.float32)
        return self.constant(values * np.float32(shape[0] ** -0.5))

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """A node of one output."""
        self._count += 1
        self.graph.node.append(helper.make_node(kind, list(inputs), [f"bulk_{self._count}"], **attributes))
        return f"bulk_{self._count}"

    def norm(self, value: str) -> str:
        """Layer normalization."""
        scale, shift = self.constant(np.ones(WIDTH, np.float32)), self.constant(np.zeros(WIDTH, np.float32))
        return self.op("LayerNormalization", value, scale, shift, axis=-1, epsilon=1e-5)

    def heads(self, value: str, *order: int) -> str:
        """(N, T, width) parted into heads, in the given order of (N, T, heads, size)."""
        shape = self.constant(np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
        return self.op("Transpose", self.op("Reshape", value, shape), perm=list(order))

    def block(self, hidden: str) -> str:
        """Self-attention with a memory of neighboring frames beside it, then two linear layers."""
        normal = self.norm(hidden)
        query, key, value = (self.op("MatMul", normal, self.weight(WIDTH, WIDTH)) for _ in range(3))
        columns = self.op("Transpose", value, perm=[0, 2, 1])
        memory = self.op("Conv", columns, self.weight(WIDTH, 1, TAPS), group=WIDTH, pads=[TAPS // 2] * 2)
        scores = self.op("MatMul", self.heads(query, 0, 2, 1, 3), self.heads(key, 0, 2, 3, 1))
        scaled = self.op("Mul", scores, self.constant(np.float32((WIDTH // HEADS) ** -0.5)))
        seen = self.op("MatMul", self.op("Softmax", scaled, axis=-1), self.heads(value, 0, 2, 1, 3))
        joined = self.constant(np.array([0, 0, WIDTH], np.int64))
        seen = self.op("Reshape", self.op("Transpose", seen, perm=[0, 2, 1, 3]), joined)
        seen = self.op("MatMul", seen, self.weight(WIDTH, WIDTH))
        hidden = self.op("Add", hidden, self.op("Add", seen, self.op("Transpose", memory, perm=[0, 2, 1])))
        risen = self.op("Relu", self.op("MatMul", self.norm(hidden), self.weight(WIDTH, INNER)))
        return self.op("Add", hidden, self.op("MatMul", risen, self.weight(INNER, WIDTH)))


def make_model(folder: Path, blocks: int) -> Path:
    """The small model with the arithmetic of ``blocks`` blocks beside it, as a folder that can be installed."""
    folder.mkdir()
    model = onnx.load(MODELS / SMALL / "model.int8.onnx")
    bulk = Bulk(model.graph)
    hidden = bulk.op("MatMul", "x", bulk.weight(560, WIDTH))
    for _ in range(blocks):
        hidden = bulk.block(hidden)
    scores = bulk.op("MatMul", bulk.norm(hidden), bulk.weight(WIDTH, TOKENS))
    mean = bulk.op("ReduceMean", scores, axes=[1, 2], keepdims=1)
    nothing = bulk.op("Mul", mean, bulk.constant(np.float32(0)))
    (given_out,) = [node for node in model.graph.node if node.output[0] == "logits"]
    model.graph.node.remove(given_out)
    model.graph.node.append(helper.make_node("Add", [given_out.input[0], nothing], ["logits"]))
    onnx.save(model, folder / "model.onnx")
    (folder / "tokens.txt").write_bytes((MODELS / SMALL / "tokens.txt").read_bytes())
    return folder


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
