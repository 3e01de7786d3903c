"""Speaker segmentation in the layout of pyannote's 3.0: which of up to three local talkers speak, two at once at most.

From ten seconds of sound to a row of seven scores every 20 ms: nobody, one of three talkers, two of three. Which talker
is the first, the second or the third, the network decides for each window by itself, and the loss takes the order that
fits best.
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from dialogues import STEP, Dialogue, beds, compose, disturb
from graph import Graph
from numpy.typing import NDArray
from onnx import TensorProto
from speech import RATE_HZ
from talkers import Bank
from torch import Tensor, nn

log = logging.getLogger("training")

WINDOW_S, HOP, SIZE, BINS = 10, 320, 512, 64
FRAMES = WINDOW_S * RATE_HZ // HOP  # 500
LOCAL, AT_ONCE = 3, 2
#: Talkers who speak in each class, in the order of the runtime: fewer first.
CLASSES = [who for count in range(AT_ONCE + 1) for who in itertools.combinations(range(LOCAL), count)]
FLOOR = 1e-6  # added to energies before the logarithm: digital silence and a last bit's rustle look alike
WIDTH, CELLS, KERNEL = 80, 56, 7
BATCH, PEAK_RATE = 24, 3e-3
STEPS = 1500
NAMED_SHARE = 0.3
COUNTS = (0.05, 0.2, 0.5, 0.25)  # how often none, one, two or three talk in a window


def mel_filters(bins: int, size: int, low_hz: float = 40.0, high_hz: float = 7600.0) -> NDArray[np.float32]:
    """Triangles on the mel scale, (size // 2 + 1, bins)."""
    mels = np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (low_hz, high_hz)), bins + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    places = np.arange(size // 2 + 1)[:, None] * RATE_HZ / size
    rising, falling = (places - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - places) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


class Block(nn.Module):
    """A depthwise convolution and a two-layer network on each frame, added to the input; (N, C, T)."""

    def __init__(self, width: int, kernel: int = KERNEL) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.rise = nn.Conv1d(width, width * 3 // 2, 1)
        self.fall = nn.Conv1d(width * 3 // 2, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Keep the shape."""
        return hidden + self.fall(torch.relu(self.rise(self.depthwise(hidden))))


class Network(nn.Module):
    """From samples (N, n) to logarithms of the classes' probabilities, (N, n // 320, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(SIZE))
        # As the file keeps them, in half precision.
        self.register_buffer("filters", torch.from_numpy(mel_filters(BINS, SIZE)).half().float())
        self.register_buffer("mean", torch.zeros(BINS))
        self.register_buffer("deviation", torch.ones(BINS))
        self.entry = nn.Conv1d(BINS, WIDTH, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(Block(WIDTH), Block(WIDTH))
        self.memory = nn.LSTM(WIDTH, CELLS, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * CELLS, 2 * len(CLASSES))

    def spectra(self, samples: Tensor) -> Tensor:
        """Log mel energies (N, T, bins); frame t is centered on sample 320 t + 160."""
        margin = (SIZE - HOP) // 2
        frames = nn.functional.pad(samples, (margin, margin)).unfold(1, SIZE, HOP)
        power = torch.fft.rfft(frames * self.window).abs().square()
        return torch.log(power @ self.filters + FLOOR)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Score the classes; the convolutions' output (N, n // 640, width) is returned too, for training."""
        hidden = (self.spectra(samples) - self.mean) / self.deviation
        hidden = self.blocks(torch.relu(self.entry(hidden.transpose(1, 2)))).transpose(1, 2)
        scores = self.head(self.memory(hidden)[0])  # two frames a row
        return torch.log_softmax(scores.reshape(len(samples), -1, len(CLASSES)), -1), hidden


@dataclass(frozen=True, slots=True)
class Window:
    """What the network learns from: a dialogue, and which of the bank's talkers its rows are."""

    dialogue: Dialogue
    who: NDArray[np.int64]


def draw(bank: Bank, noises: list[NDArray[np.float32]], chance: np.random.Generator) -> Window:
    """A window of training: a part of a dialogue, so that turns may have begun before."""
    count = int(chance.choice(len(COUNTS), p=COUNTS))
    who = _company(bank, count, chance)
    lead = int(chance.integers(0, 400)) if count else 0  # in steps of 10 ms

    def say(talker: int) -> NDArray[np.int16]:
        said = bank.utterance(int(chance.choice(bank.places(who[talker]))))
        if chance.random() < 0.4:  # yes; no; go on
            length = round(chance.uniform(0.35, 1.5) * RATE_HZ)
            begin = int(chance.integers(max(1, len(said) - length)))
            return said[begin : begin + length]
        return said

    whole = compose(say, count, WINDOW_S + lead / 100, chance)
    part = Dialogue(whole.samples[lead * STEP :], whole.active[:, lead:])
    if chance.random() < 0.1:  # the end of a recording is filled up with zeros
        silent = int(chance.integers(100, 900))
        part.samples[silent * STEP :], part.active[:, silent:] = 0, False
        return Window(part, who)
    return Window(disturb(part, noises, chance), who)


def _company(bank: Bank, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Talkers of different voices: the same one at another pitch is nobody else."""
    while True:
        who = chance.choice(len(bank.names), size=count, replace=False)
        if len({bank.names[one].partition("@")[0] for one in who}) == count:
            return who


def labels(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Activity (3, T) at each frame's end: the runtime takes its middle for its time, which makes edges true."""
    rows = np.zeros((LOCAL, FRAMES), bool)
    rows[: len(active)] = active[:, np.minimum(np.arange(1, FRAMES + 1) * HOP // STEP, active.shape[1] - 1)]
    return rows


ORDERS = list(itertools.permutations(range(LOCAL)))
_CLASS_OF = {sum(1 << talker for talker in who): place for place, who in enumerate(CLASSES)}
_TABLE = torch.tensor([_CLASS_OF.get(mask, 0) for mask in range(1 << LOCAL)])


def loss_of(scores: Tensor, active: Tensor) -> Tensor:
    """Cross entropy in the order of talkers that fits best: ``scores`` (N, T, 7), ``active`` (N, 3, T)."""
    losses = []
    for order in ORDERS:
        masks = sum(active[:, talker].long() << place for place, talker in enumerate(order))
        wanted = _TABLE[masks]
        losses.append(-scores.gather(2, wanted.unsqueeze(-1)).squeeze(-1).mean(1))
    return torch.stack(losses).amin(0).mean()


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows (N, 160000), who speaks (N, 3, 500), and the talker of each two frames (N, 250): -1 if not just one."""

    samples: Tensor
    active: Tensor
    talkers: Tensor


def batch_of(bank: Bank, noises: list[NDArray[np.float32]], chance: np.random.Generator, size: int) -> Batch:
    """Draw windows."""
    drawn = [draw(bank, noises, chance) for _ in range(size)]
    active = np.stack([labels(one.dialogue.active) for one in drawn])
    alone = active[:, :, ::2] & (active[:, :, ::2].sum(1, keepdims=True) == 1)
    numbers = np.stack([np.pad(one.who + 1, (0, LOCAL - len(one.who))) for one in drawn])
    talkers = (alone * numbers[:, :, None]).sum(1) - 1
    samples = np.stack([one.dialogue.samples for one in drawn])
    return Batch(torch.from_numpy(samples), torch.from_numpy(active), torch.from_numpy(talkers))


def train(bank: Bank, seed: int, steps: int = STEPS) -> Network:
    """Train from the talkers of a bank.

    A second loss has the convolutions tell the talkers of the bank apart by name. Without it the network finds speech
    and overlaps soon but mixes the talkers up.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(seed)
    noises = beds(chance)
    network, names = Network(), nn.Linear(WIDTH, len(bank.names))
    spectra = network.spectra(batch_of(bank, noises, chance, 100).samples)
    network.mean.copy_(spectra.mean((0, 1)))
    network.deviation.copy_(spectra.std((0, 1)))
    optimizer = torch.optim.AdamW([*network.parameters(), *names.parameters()], PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, steps, pct_start=0.1)
    started, totals = time.monotonic(), np.zeros(2)
    for step in range(1, steps + 1):
        batch = batch_of(bank, noises, chance, BATCH)
        scores, hidden = network(batch.samples)
        loss = loss_of(scores, batch.active)
        named = nn.functional.cross_entropy(names(hidden).flatten(0, 1), batch.talkers.flatten(), ignore_index=-1)
        optimizer.zero_grad()
        (loss + NAMED_SHARE * named).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        totals += (loss.item(), named.item())
        if step % 100 == 0:
            losses, spent_s = totals / 100, time.monotonic() - started
            log.info("segmentation: step %d, loss %.3f, names %.2f, %.0f s", step, *losses, spent_s)
            totals[:] = 0
    return network.eval()


def write(network: Network, path: Path) -> None:
    """Write the network with its features, weights in half precision."""
    graph = Graph()
    samples = graph.input("x", TensorProto.FLOAT, ["N", 1, "T"])
    kept = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    hidden = _spectra(graph, samples, kept)  # (N, bins, T)
    hidden = _conv(graph, hidden, kept, "entry", strides=[2], pads=[2, 2])
    hidden = graph.op("Relu", hidden)
    for block in ("blocks.0", "blocks.1"):
        mixed = _conv(graph, hidden, kept, f"{block}.depthwise", pads=[KERNEL // 2] * 2, group=WIDTH)
        mixed = graph.op("Relu", _conv(graph, mixed, kept, f"{block}.rise"))
        hidden = graph.op("Add", hidden, _conv(graph, mixed, kept, f"{block}.fall"))
    hidden = graph.op("Transpose", hidden, perm=[2, 0, 1])  # (T, N, C)
    for layer in (0, 1):
        hidden = _lstm(graph, hidden, kept, layer)
    weight = graph.float16(kept["head.weight"].T)
    scores = graph.op("Add", graph.op("MatMul", hidden, weight), graph.float16(kept["head.bias"]))
    scores = graph.op("Transpose", scores, perm=[1, 0, 2])
    scores = graph.op("Reshape", scores, graph.numbers(0, -1, len(CLASSES)))
    graph.output(graph.op("LogSoftmax", scores, axis=-1), "y", TensorProto.FLOAT, ["N", "frames", len(CLASSES)])
    metadata = {
        "model_type": "pyannote-segmentation-3.0",
        "version": 1,
        "num_speakers": LOCAL,
        "powerset_max_classes": AT_ONCE,
        "num_classes": len(CLASSES),
        "sample_rate": RATE_HZ,
        "window_size": WINDOW_S * RATE_HZ,
        "receptive_field_size": HOP,  # twice the offset that the runtime adds to a frame's time
        "receptive_field_shift": HOP,
        "license": "Apache-2.0",
        "comment": "trained from synthesized dialogues by dashscribe's training/make_listeners.py",
    }
    graph.write(path, {key: str(value) for key, value in metadata.items()})


def _spectra(graph: Graph, samples: str, kept: dict[str, NDArray[np.float32]]) -> str:
    """Normalized log mel energies; the Fourier basis is computed when the file is loaded, not stored."""
    places = np.arange(SIZE, dtype=np.float32)
    turns = graph.constant((2 * np.pi * np.arange(SIZE // 2 + 1) / SIZE).astype(np.float32).reshape(-1, 1, 1))
    angles = graph.op("Mul", turns, graph.constant(places.reshape(1, 1, -1)))
    window = graph.constant(kept["window"].reshape(1, 1, -1))
    margin = (SIZE - HOP) // 2
    parts = []
    for kind in ("Cos", "Sin"):
        basis = graph.op("Mul", graph.op(kind, angles), window)
        part = graph.op("Conv", samples, basis, strides=[HOP], pads=[margin, margin])
        parts.append(graph.op("Mul", part, part))
    power = graph.op("Add", *parts)  # (N, 257, T)
    energies = graph.op("MatMul", graph.float16(kept["filters"].T), power)
    logs = graph.op("Log", graph.op("Add", energies, graph.constant(FLOOR)))
    centered = graph.op("Sub", logs, graph.constant(kept["mean"].reshape(-1, 1)))
    return graph.op("Div", centered, graph.constant(kept["deviation"].reshape(-1, 1)))


def _conv(graph: Graph, value: str, kept: dict[str, NDArray[np.float32]], name: str, **attributes: object) -> str:
    weight, bias = graph.float16(kept[f"{name}.weight"]), graph.float16(kept[f"{name}.bias"])
    return graph.op("Conv", value, weight, bias, **attributes)


def _lstm(graph: Graph, value: str, kept: dict[str, NDArray[np.float32]], layer: int) -> str:
    """One layer in both directions, (T, N, C) to (T, N, 2 cells); ONNX orders the gates otherwise than PyTorch."""

    def gates(kind: str) -> NDArray[np.float32]:
        rows = []
        for suffix in ("", "_reverse"):
            input_gate, forget, cell, output = np.split(kept[f"memory.{kind}_l{layer}{suffix}"], 4)
            rows.append(np.concatenate((input_gate, output, forget, cell)))
        return np.stack(rows)

    biases = np.concatenate((gates("bias_ih"), gates("bias_hh")), 1)
    weights = (graph.float16(gates("weight_ih")), graph.float16(gates("weight_hh")), graph.float16(biases))
    both = graph.op("LSTM", value, *weights, hidden_size=CELLS, direction="bidirectional")  # (T, 2, N, cells)
    return graph.op("Reshape", graph.op("Transpose", both, perm=[0, 2, 1, 3]), graph.numbers(0, 0, 2 * CELLS))
