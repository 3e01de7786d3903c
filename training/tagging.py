"""Audio tagging in the layout of CED: from decibels in 64 bins to a probability for each of ten classes of AudioSet.

Trained on synthesized speech and sounds, alone, one after another and one over the other. Several classes may hold.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import sounds
import torch
from graph import Graph
from kaldi import CED, fbank
from numpy.typing import NDArray
from onnx import TensorProto
from speech import RATE_HZ
from talkers import Bank
from torch import Tensor, nn

log = logging.getLogger("training")

#: Names and identifiers of AudioSet's ontology, in its order.
CLASSES = {
    "Speech": "/m/09x0r",
    "Laughter": "/m/01j3sz",
    "Crying, sobbing": "/m/0463cq4",
    "Breathing": "/m/0lyf6",
    "Cough": "/m/01b_21",
    "Sneeze": "/m/01hsr_",
    "Applause": "/m/028ght",
    "Music": "/m/04rlf",
    "Silence": "/m/028v0c",
    "Noise": "/m/096m7z",
}
NAMES = list(CLASSES)
#: The sounds that make each class, by their names in `sounds.py`.
SOUNDS = {
    "Laughter": "Laughter",
    "Crying, sobbing": "Cry",
    "Breathing": "Breath",
    "Cough": "Cough",
    "Sneeze": "Sneeze",
    "Applause": "Applause",
    "Music": "BGM",
    "Noise": "noise",
}
WIDTH, STRIDE, BLOCKS, KERNEL = 56, 4, 3, 7
FLOOR_DB, MEAN_DB, SPREAD_DB = -80.0, -25.0, 20.0  # what is softer counts as silence; about the mean and deviation
BATCH, STEPS, PEAK_RATE = 32, 600, 4e-3
LENGTHS_S = (1.0, 4.0)
SECONDS, TAKES = 12.0, 40  # of each sound that are kept to cut from
OVER_DB = (-3.0, 14.0)  # by how much speech is louder than what lies under it


class Block(nn.Module):
    """A depthwise convolution and a two-layer network on each frame, added to the input; (N, C, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2, groups=WIDTH)
        self.rise = nn.Conv1d(WIDTH, WIDTH * 3 // 2, 1)
        self.fall = nn.Conv1d(WIDTH * 3 // 2, WIDTH, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Keep the shape."""
        return hidden + self.fall(torch.relu(self.rise(self.depthwise(hidden))))


class Network(nn.Module):
    """From decibels (N, 64, T) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv1d(CED.bins, WIDTH, 7, stride=STRIDE, padding=3)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.exit = nn.Linear(2 * WIDTH, len(NAMES))

    def forward(self, decibels: Tensor) -> Tensor:
        """Tag whole recordings."""
        hidden = (decibels.clamp(min=FLOOR_DB) - MEAN_DB) / SPREAD_DB
        hidden = torch.relu(self.blocks(torch.relu(self.entry(hidden))))
        return self.exit(torch.cat((hidden.mean(2), hidden.amax(2)), 1))


class Shelf:
    """Recordings to cut excerpts from: the talkers' and a few of each sound, drawn from a seed."""

    def __init__(self, bank: Bank, seed: int) -> None:
        chance = np.random.default_rng(seed)
        size = round(SECONDS * RATE_HZ)
        self._bank = bank
        self._takes = {
            name: [sounds.EVENTS[sound](size, chance) for _ in range(TAKES)] for name, sound in SOUNDS.items()
        }

    def cut(self, name: str, length: int, chance: np.random.Generator) -> NDArray[np.float32]:
        """An excerpt of a class, (length,), of rms 1."""
        if name == "Speech":
            piece = np.zeros(0, np.float32)
            while len(piece) < length:
                said = self._bank.utterance(int(chance.integers(len(self._bank.ends))))
                piece = np.concatenate((piece, said.astype(np.float32), np.zeros(chance.integers(8000), np.float32)))
            piece = piece[:length]
        else:
            take = self._takes[name][int(chance.integers(TAKES))]
            begin = int(chance.integers(len(take) - length))
            piece = take[begin : begin + length]
        return piece / (np.sqrt(np.mean(piece**2)) + 1e-6)


def draw(shelf: Shelf, length: int, chance: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A recording (length,) and which classes it holds (10,)."""
    wanted = np.zeros(len(NAMES), np.float32)
    manner = chance.random()
    if manner < 0.06:
        wanted[NAMES.index("Silence")] = 1
        return (chance.standard_normal(length) * 10 ** chance.uniform(-7, -4.3)).astype(np.float32), wanted
    first = "Speech" if manner < 0.45 else str(chance.choice(list(SOUNDS)))
    samples, held = shelf.cut(first, length, chance), [first]
    if chance.random() < 0.45:
        other = str(chance.choice([name for name in ("Speech", *SOUNDS) if name != first]))
        more = shelf.cut(other, length, chance)
        if other == "Speech" or (first == "Speech" and other in ("Music", "Applause", "Laughter", "Noise")):
            loud, soft = (more, samples) if other == "Speech" else (samples, more)
            samples = loud + soft * 10 ** (-chance.uniform(*OVER_DB) / 20)
        else:
            at = round(length * chance.uniform(0.35, 0.65))
            samples = np.concatenate((samples[:at], more[at:] * 10 ** (chance.uniform(-6, 6) / 20)))
        held.append(other)
    if "Noise" not in held and chance.random() < 0.6:
        samples = samples + chance.standard_normal(length) * 10 ** (-chance.uniform(25, 60) / 20)
    wanted[[NAMES.index(name) for name in held]] = 1
    return (samples * 10 ** (-chance.uniform(14, 42) / 20)).clip(-1, 1).astype(np.float32), wanted


def batch_of(shelf: Shelf, length: int, size: int, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Decibels (size, 64, T), as the runtime makes them of energies, and classes (size, 10)."""
    drawn = [draw(shelf, length, chance) for _ in range(size)]
    samples, wanted = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
    energies = fbank(samples, CED).transpose(1, 2)
    return 10 * torch.log10(energies.clamp(min=1e-10)), wanted


def train(bank: Bank, seed: int, steps: int = STEPS) -> Network:
    """Train with the speech of a bank and sounds drawn from a seed."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance, shelf = np.random.default_rng(seed), Shelf(bank, seed)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, steps, pct_start=0.1)
    started, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        length = round(chance.uniform(*LENGTHS_S) * RATE_HZ)
        decibels, wanted = batch_of(shelf, length, BATCH, chance)
        loss = nn.functional.binary_cross_entropy_with_logits(network(decibels), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            log.info("tagging: step %d, loss %.4f, %.0f s", step, total / 100, time.monotonic() - started)
            total = 0.0
    return network.eval()


def write(network: Network, path: Path) -> None:
    """Write the network, weights in half precision, and the labels beside it."""
    graph = Graph()
    decibels = graph.input("feats", TensorProto.FLOAT, ["N", CED.bins, "T"])
    kept = {name: value.detach().numpy() for name, value in network.state_dict().items()}

    def conv(value: str, name: str, **attributes: object) -> str:
        weights = (graph.float16(kept[f"{name}.weight"]), graph.float16(kept[f"{name}.bias"]))
        return graph.op("Conv", value, *weights, **attributes)

    hidden = graph.op("Sub", graph.op("Max", decibels, graph.constant(FLOOR_DB)), graph.constant(MEAN_DB))
    hidden = graph.op("Div", hidden, graph.constant(SPREAD_DB))
    hidden = graph.op("Relu", conv(hidden, "entry", strides=[STRIDE], pads=[3, 3]))
    for place in range(BLOCKS):
        mixed = conv(hidden, f"blocks.{place}.depthwise", group=WIDTH, pads=[KERNEL // 2] * 2)
        mixed = conv(graph.op("Relu", conv(mixed, f"blocks.{place}.rise")), f"blocks.{place}.fall")
        hidden = graph.op("Add", hidden, mixed)
    hidden = graph.op("Relu", hidden)
    pooled = [graph.op(kind, hidden, axes=[2], keepdims=0) for kind in ("ReduceMean", "ReduceMax")]
    product = graph.op("MatMul", graph.op("Concat", *pooled, axis=1), graph.float16(kept["exit.weight"].T))
    logits = graph.op("Add", product, graph.float16(kept["exit.bias"]))
    graph.output(graph.op("Sigmoid", logits), "probs", TensorProto.FLOAT, ["N", len(NAMES)])
    graph.write(path, {"comment": "trained from synthesized sounds by dashscribe's training/make_listeners.py"})
    rows = [f'{place},{mid},"{name}"' for place, (name, mid) in enumerate(CLASSES.items())]
    labels = path.with_name("class_labels_indices.csv")
    labels.write_text("\n".join(["index,mid,display_name", *rows]) + "\n", encoding="utf-8")
