"""A speaker embedding in the layout of 3D-Speaker: from filter bank features to a vector that is near for one talker.

Trained to tell the talkers of a bank apart, with a margin between them in angle (additive margin softmax, Wang et al.
2018). Each talker counts three times: as is, slowed down and sped up with the pitch, which makes other voices of it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import torch
from dialogues import beds
from graph import Graph
from kaldi import SPEAKER, fbank
from numpy.typing import NDArray
from onnx import TensorProto
from speech import RATE_HZ
from talkers import Bank
from torch import Tensor, nn

log = logging.getLogger("training")

WIDTH, DIM, BLOCKS, KERNEL = 112, 96, 4, 7
INNER = WIDTH * 3 // 2
SPREAD = 3.0  # features are divided by this, about their deviation
TINY = 1e-4  # added to variances before the root
SPEEDS = (1.0, 0.87, 1.15)
MARGIN, SCALE = 0.2, 25.0
BATCH, STEPS, PEAK_RATE = 48, 1200, 4e-3
LENGTHS_S = (0.3, 2.3)
#: Mean cosine distance of two groups of utterances up to which they are one speaker; kept in the model for whoever
#: counts speakers. Single voices stay below 0.27, most pairs of voices of one synthesizer above 0.31.
SAME_SPEAKER = 0.3


class Block(nn.Module):
    """A depthwise convolution and a two-layer network on each frame, added to the input; (N, C, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2, groups=WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.rise = nn.Conv1d(WIDTH, INNER, 1)
        self.fall = nn.Conv1d(INNER, WIDTH, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Keep the shape."""
        return hidden + self.fall(torch.relu(self.rise(self.norm(self.depthwise(hidden)))))


class Network(nn.Module):
    """From features without their mean, (N, T, 80), to embeddings (N, 96)."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv1d(SPEAKER.bins, WIDTH, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.exit = nn.Linear(2 * WIDTH, DIM)

    def layers(self, features: Tensor) -> Tensor:
        """The convolutions, to (N, 112, T / 2)."""
        return self.blocks(torch.relu(self.entry(features.transpose(1, 2) / SPREAD)))

    def forward(self, features: Tensor) -> Tensor:
        """Embed whole recordings."""
        hidden = self.layers(features)
        mean = hidden.mean(2)
        variance = hidden.square().mean(2) - mean.square()
        return self.exit(torch.cat((mean, torch.sqrt(torch.relu(variance) + TINY)), 1))


def features(samples: Tensor) -> Tensor:
    """What the runtime gives to the network: features less their mean over the recording."""
    frames = fbank(samples)
    return frames - frames.mean(1, keepdim=True)


def excerpt(
    bank: Bank, talker: int, speed: float, length: int, noises: list[NDArray[np.float32]], chance: np.random.Generator
) -> NDArray[np.float32]:
    """A random piece of a talker's speech, (length,): one or several utterances, over noise more often than not."""
    needed = round(length * speed) + 1
    pieces: list[NDArray[np.int16]] = []
    while sum(map(len, pieces)) < needed:
        said = bank.utterance(int(chance.choice(bank.places(talker))))
        begin = int(chance.integers(max(1, len(said) - RATE_HZ // 2)))
        pieces.append(said[begin:])
    joined = np.concatenate(pieces)[:needed].astype(np.float32)
    samples = np.interp(np.arange(length) * speed, np.arange(needed), joined).astype(np.float32)
    samples *= 0.07 / (np.sqrt(np.mean(samples**2)) + 1e-3)
    if chance.random() < 0.6:
        noise = noises[int(chance.integers(len(noises)))]
        begin = int(chance.integers(len(noise) - length))
        samples += noise[begin : begin + length] * (0.07 * 10 ** (-chance.uniform(5, 35) / 20))
    return np.clip(samples * 10 ** (chance.uniform(-24, 6) / 20), -1, 1)


class Margin(nn.Module):
    """The loss: cosines to the talkers' centers, the true one less a margin."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(count, DIM) * 0.1)

    def forward(self, embeddings: Tensor, who: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """The loss, and how many are told right."""
        cosines = nn.functional.normalize(embeddings) @ nn.functional.normalize(self.centers).T
        wanted = nn.functional.one_hot(who, len(self.centers)) * margin
        return nn.functional.cross_entropy(SCALE * (cosines - wanted), who), (cosines.argmax(1) == who).float().mean()


def train(bank: Bank, seed: int, steps: int = STEPS) -> Network:
    """Train from the talkers of a bank."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(seed)
    noises = beds(chance)
    network, loss_of = Network(), Margin(len(bank.names) * len(SPEEDS))
    optimizer = torch.optim.AdamW([*network.parameters(), *loss_of.parameters()], PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, steps, pct_start=0.1)
    started, total, right = time.monotonic(), 0.0, 0.0
    for step in range(1, steps + 1):
        length = round(chance.uniform(*LENGTHS_S) * RATE_HZ)
        talkers, speeds = bank.draw(BATCH, chance), chance.integers(len(SPEEDS), size=BATCH)
        heard = [
            excerpt(bank, talker, SPEEDS[speed], length, noises, chance)
            for talker, speed in zip(talkers, speeds, strict=True)
        ]
        who = talkers + len(bank.names) * speeds
        embeddings = network(features(torch.from_numpy(np.stack(heard).astype(np.float32))))
        margin = MARGIN * min(1.0, 3 * step / steps)  # none at first, when nothing is told apart yet
        loss, share = loss_of(embeddings, torch.from_numpy(who), margin)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total, right = total + loss.item(), right + share.item()
        if step % 100 == 0:
            spent_s = time.monotonic() - started
            log.info("embedding: step %d, loss %.3f, %.0f %% right, %.0f s", step, total / 100, right, spent_s)
            total, right = 0.0, 0.0
    return network.eval()


def write(network: Network, path: Path) -> None:
    """Write the network, weights in half precision and normalizations folded into the convolutions before them."""
    graph = Graph()
    frames = graph.input("x", TensorProto.FLOAT, ["N", "T", SPEAKER.bins])
    kept = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    hidden = layers(graph, graph.op("Transpose", frames, perm=[0, 2, 1]), kept)
    mean = graph.op("ReduceMean", hidden, axes=[2], keepdims=0)
    square = graph.op("ReduceMean", graph.op("Mul", hidden, hidden), axes=[2], keepdims=0)
    variance = graph.op("Relu", graph.op("Sub", square, graph.op("Mul", mean, mean)))
    deviation = graph.op("Sqrt", graph.op("Add", variance, graph.constant(TINY)))
    pooled = graph.op("Concat", mean, deviation, axis=1)
    product = graph.op("MatMul", pooled, graph.float16(kept["exit.weight"].T))
    graph.output(graph.op("Add", product, graph.float16(kept["exit.bias"])), "embedding", TensorProto.FLOAT, ["N", DIM])
    metadata = {
        "framework": "3d-speaker",
        "language": "English",
        "output_dim": DIM,
        "sample_rate": RATE_HZ,
        "normalize_samples": 1,
        "feature_normalize_type": "global-mean",
        "same_speaker_distance": SAME_SPEAKER,
        "comment": "trained from synthesized voices by dashscribe's training/make_listeners.py",
    }
    graph.write(path, {key: str(value) for key, value in metadata.items()})


def layers(graph: Graph, features: str, kept: dict[str, NDArray[np.float32]]) -> str:
    """The convolutions, (N, 80, T) to (N, 112, T / 2)."""
    entry = (graph.float16(kept["entry.weight"]), graph.float16(kept["entry.bias"]))
    scaled = graph.op("Div", features, graph.constant(SPREAD))
    hidden = graph.op("Relu", graph.op("Conv", scaled, *entry, strides=[2], pads=[2, 2]))
    for place in range(BLOCKS):
        hidden = graph.op("Add", hidden, _block(graph, hidden, kept, f"blocks.{place}"))
    return hidden


def _block(graph: Graph, hidden: str, kept: dict[str, NDArray[np.float32]], name: str) -> str:
    scale = kept[f"{name}.norm.weight"] / np.sqrt(kept[f"{name}.norm.running_var"] + 1e-5)
    weight = kept[f"{name}.depthwise.weight"] * scale[:, None, None]
    bias = (kept[f"{name}.depthwise.bias"] - kept[f"{name}.norm.running_mean"]) * scale + kept[f"{name}.norm.bias"]
    folded = (graph.float16(weight), graph.float16(bias))
    mixed = graph.op("Conv", hidden, *folded, group=WIDTH, pads=[KERNEL // 2] * 2)
    for layer in ("rise", "fall"):
        weights = (graph.float16(kept[f"{name}.{layer}.weight"]), graph.float16(kept[f"{name}.{layer}.bias"]))
        mixed = graph.op("Conv", mixed, *weights)
        mixed = graph.op("Relu", mixed) if layer == "rise" else mixed
    return mixed
