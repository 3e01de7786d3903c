"""Training: CTC whose paths keep to the true extents of tokens, the same extents frame by frame, and the tags.

The synthesizer tells when each token was spoken. A path may therefore emit a token only there, which makes learning
quick and timestamps true; the frame by frame share makes a token's score hold over its extent, as alignment needs it.
"""

from __future__ import annotations

import copy
import itertools
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from augment import Batch, batches
from dataset import Example, load
from features import FRAME_MS, STACKED
from network import FLOOR, TAG_GROUPS, Network
from numpy.typing import NDArray
from torch import Tensor, nn

log = logging.getLogger("training")

FRAME_CENTER_MS = 12.5  # half a window after the stacked frame's nominal time
TOLERANCE = 1  # frames by which a path may miss a token's extent
TAG_SHARE = 0.3
WEIGHT_DECAY = 0.02
EMA_STEPS = 300
PROCESSES = 2  # of one thread each: on shared cores they wait for each other less than threads do


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training with a learning rate that rises to its peak and falls to nothing.

    The frames' share of the loss leads at first, since it teaches quickest, and falls to its last value by two fifths
    of the steps: where two words are in doubt it would have a token in every frame, now one and now the other, each of
    which greedy decoding writes down.
    """

    steps: int
    peak_rate: float
    strength: float  # of the disturbances, as `augment.disturbed` takes it
    frame_shares: tuple[float, float]  # first and last
    sure_only: bool  # whether the frames' loss leaves out tokens that are still in doubt

    def frame_share(self, step: int) -> float:
        """Give the share at a step."""
        first, last = self.frame_shares
        return first + (last - first) * min(1.0, step / (0.4 * self.steps))


PHASES = (
    Phase(steps=9_000, peak_rate=3e-3, strength=1.0, frame_shares=(0.5, 0.03), sure_only=False),
    # Nearer to what is to be read; what is known by now is spread over its extent again, so that times are true.
    Phase(steps=4_000, peak_rate=2e-3, strength=0.5, frame_shares=(0.2, 0.2), sure_only=True),
)


class Normalization:
    """Mean and deviation of each bin, repeated for stacked frames; both (560,)."""

    def __init__(self, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> None:
        self.mean, self.deviation = mean, deviation
        self.floor = (FLOOR - mean) / deviation

    @classmethod
    def of(cls, examples: list[Example]) -> Normalization:
        """Measure the first examples that hold speech."""
        sample = np.concatenate([example.features for example in examples[:3000] if len(example.tokens)])
        sample = np.maximum(sample.astype(np.float32), FLOOR) - 2.3  # training plays at 10 dB less on average
        return cls(np.tile(sample.mean(0), STACKED), np.tile(sample.std(0), STACKED))

    def __call__(self, features: Tensor) -> Tensor:
        """Normalize (…, 560) and lift what is below the floor."""
        normal = (features - torch.from_numpy(self.mean)) / torch.from_numpy(self.deviation)
        return torch.maximum(normal, torch.from_numpy(self.floor))


def extents(
    tokens: NDArray[np.int64], begins_ms: NDArray[np.float32], ends_ms: NDArray[np.float32], frames: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Turn extents in ms to half-open extents in frames, each token having a first frame of its own."""
    first = np.ceil((begins_ms - FRAME_CENTER_MS) / FRAME_MS).astype(np.int64)
    last = np.ceil((ends_ms - FRAME_CENTER_MS) / FRAME_MS).astype(np.int64)
    for place in range(1, len(first)):
        first[place] = max(first[place], first[place - 1] + 1)
    first = np.clip(first, 0, frames - 1)
    last = np.clip(np.maximum(last, first + 1), 1, frames)
    for place in range(len(first) - 1):
        last[place] = min(last[place], first[place + 1])
        if tokens[place] == tokens[place + 1] and last[place] == first[place + 1] and last[place] > first[place] + 1:
            last[place] -= 1  # a blank parts equal neighbors
    return first, last


def targets(batch: Batch, token_count: int) -> tuple[Tensor, Tensor]:
    """Give the token of each frame (N, T), and for each token and frame whether a path may pass (N, T, S)."""
    count, frames = batch.features.shape[:2]
    labels = np.zeros((count, frames), np.int64)
    allowed = np.zeros((count, frames, token_count), bool)
    allowed[:, :, 0] = True
    for row, tokens in enumerate(batch.tokens):
        length = int(batch.lengths[row])
        spans = extents(tokens, batch.begins_ms[row], batch.ends_ms[row], length)
        for token, first, last in zip(tokens, *spans, strict=True):
            labels[row, first:last] = token
            allowed[row, max(0, first - TOLERANCE) : last + TOLERANCE, token] = True
        labels[row, length:] = -100
    return torch.from_numpy(labels), torch.from_numpy(allowed)


def loss_of(
    network: Network, normalization: Normalization, batch: Batch, frame_share: float, sure_only: bool
) -> tuple[Tensor, dict[str, float]]:
    """Weigh the three parts to one loss; the parts are returned too, for the log."""
    with torch.autocast("cpu", torch.bfloat16):
        scores, tags = network(normalization(batch.features), batch.lengths)
    scores, tags = scores.float(), [group.float() for group in tags]
    labels, allowed = targets(batch, scores.shape[-1])
    chances = torch.log_softmax(scores, -1)
    bounded = torch.where(allowed, chances, chances.new_tensor(-30.0))
    counts = torch.tensor([len(tokens) for tokens in batch.tokens])
    flat = torch.from_numpy(np.concatenate(batch.tokens))
    ctc = nn.functional.ctc_loss(
        bounded.transpose(0, 1), flat, batch.lengths, counts, reduction="sum", zero_infinity=True
    ) / max(1, int(counts.sum()))
    frame = nn.functional.nll_loss(chances.transpose(1, 2), _sure(chances, labels) if sure_only else labels)
    parts = [_tag_loss(scores, batch, place) for place, scores in enumerate(tags)]
    loss = ctc + frame_share * frame + TAG_SHARE * sum(parts)
    return loss, {"ctc": ctc.item(), "frame": frame.item(), "tags": sum(part.item() for part in parts)}


@torch.no_grad()
def _sure(chances: Tensor, labels: Tensor) -> Tensor:
    """Keep the labels of frames near one in which the label has nine tenths of the posterior; ignore the others."""
    label = chances.gather(2, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1).exp()
    nearby = nn.functional.max_pool1d(label.unsqueeze(1), 9, stride=1, padding=4).squeeze(1)
    return torch.where(nearby > 0.9, labels, -100)


def _tag_loss(scores: Tensor, batch: Batch, group: int) -> Tensor:
    names = [_tags_of(row.examples)[group] for row in batch.rows]
    wanted = torch.tensor([TAG_GROUPS[group].index(name) if name else -100 for name in names])
    return nn.functional.cross_entropy(scores, wanted, ignore_index=-100)


def _tags_of(examples: list[Example]) -> tuple[str, str, str]:
    """Name language, emotion and event of a row; a row of both languages has none."""
    languages = {example.language for example in examples}
    return (languages.pop() if len(languages) == 1 else "", examples[0].emotion, examples[0].event)


def data_folder(folder: Path, place: int) -> Path:
    """Name the folder of a phase's examples."""
    return folder / f"data{place}"


def train(folder: Path, seed: int) -> None:
    """Train on the examples in a folder, through the phases that its `network.pt` has not been through."""
    for place in range(phases_done(folder), len(PHASES)):
        (folder / "rendezvous").unlink(missing_ok=True)
        torch.multiprocessing.spawn(_work, (folder, place, seed), nprocs=PROCESSES)


def phases_done(folder: Path) -> int:
    """Count the phases that the folder's network has been through."""
    kept = folder / "network.pt"
    return torch.load(kept, weights_only=True)["phases"] if kept.exists() else 0


def _work(rank: int, folder: Path, place: int, seed: int) -> None:
    """Be one of a phase's processes, each of which draws its own batches; gradients are averaged."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{(folder / 'rendezvous').resolve()}", rank=rank, world_size=PROCESSES
    )
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(message)s", stream=sys.stdout)
    torch.manual_seed(seed)
    examples = load(data_folder(folder, place))
    network, normalization = load_network(folder) if place else (Network(), Normalization.of(examples))
    chance = np.random.default_rng((seed, place, rank))
    averaged = _run(PHASES[place], network.train(), normalization, examples, chance)
    if rank == 0:
        torch.save(
            {
                "network": averaged.state_dict(),
                "mean": torch.from_numpy(normalization.mean),
                "deviation": torch.from_numpy(normalization.deviation),
                "phases": place + 1,
            },
            folder / "network.pt",
        )
    torch.distributed.destroy_process_group()


def _run(
    phase: Phase,
    network: Network,
    normalization: Normalization,
    examples: list[Example],
    chance: np.random.Generator,
) -> Network:
    """Train through one phase; returns the moving average of the weights."""
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=phase.peak_rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, phase.peak_rate, total_steps=phase.steps, pct_start=0.06)
    progress = Progress(phase.steps)
    endless = (batch for _ in itertools.count() for batch in batches(examples, chance, phase.strength))
    for step, batch in enumerate(itertools.islice(endless, phase.steps), 1):
        loss, parts = loss_of(network, normalization, batch, phase.frame_share(step), phase.sure_only)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        _share_gradients(network)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        _average(averaged, network, min(step, EMA_STEPS))
        progress.add(step, parts)
    return averaged


class Progress:
    """Means of the losses' parts, logged every hundred steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.started, self.sums = steps, time.monotonic(), dict[str, float]()

    def add(self, step: int, parts: dict[str, float]) -> None:
        """Take in one step's parts."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in parts.items()}
        if step % 100 == 0:
            means = ", ".join(f"{name} {value / 100:.4f}" for name, value in self.sums.items())
            log.info("step %d of %d, %.0f s: %s", step, self.steps, time.monotonic() - self.started, means)
            self.sums = {}


def _share_gradients(network: Network) -> None:
    """Average gradients over the processes, in one message."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= PROCESSES
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def load_network(folder: Path) -> tuple[Network, Normalization]:
    """Read the trained network and the normalization of its features."""
    kept = torch.load(folder / "network.pt", weights_only=True)
    network = Network()
    network.load_state_dict(kept["network"])
    return network.eval(), Normalization(kept["mean"].numpy(), kept["deviation"].numpy())


@torch.no_grad()
def _average(averaged: Network, network: Network, horizon: int) -> None:
    mine, current = list(averaged.parameters()), list(network.parameters())
    torch._foreach_lerp_(mine, current, 1 / horizon)
