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

import embedding
import numpy as np
import torch
from dialogues import STEP, Dialogue, beds, compose, disturb
from kaldi import SHIFT, SPEAKER, energies
from numpy.typing import NDArray
from speech import RATE_HZ
from talkers import Bank
from torch import Tensor, nn

log = logging.getLogger("training")

WINDOW_S, HOP = 10, 320
FRAMES = WINDOW_S * RATE_HZ // HOP  # 500
LOCAL, AT_ONCE = 3, 2
#: Talkers who speak in each class, in the order of the runtime: fewer first.
CLASSES = [who for count in range(AT_ONCE + 1) for who in itertools.combinations(range(LOCAL), count)]
LOUD = 7.0  # frames within this of the loudest (in nepers of power, 30 dB) make the mean of the features
LIMIT = 12.0  # features are cut off here, digital silence among them
VIEW, CELLS = 16, 28
NEAR = 31  # frames that a frame's voice is embedded from, 0.6 s
SHIFTS = 1  # of a center to the mean of what is like it
FADE_S = 0.7  # how much speech it takes to know a voice
ALIKE, STEEP = 0.6, 10.0  # cosine above which frames are a voice's, and how sharply; where learning begins
TINY = embedding.TINY
BATCH, PEAK_RATE = 24, 5e-3
STEPS = 700
ALONE_SHARE = 0.5  # of the second loss
COUNTS = (0.05, 0.2, 0.5, 0.25)  # how often none, one, two or three talk in a window


class Network(nn.Module):
    """From samples (N, n) to logarithms of the classes' probabilities, (N, n // 320, 7).

    Layers of a speaker embedding, which stay as they are, embed half a second around each frame. The first voice that
    is heard takes the frames that are like it, the next one takes from the rest, and so the third; a small recurrent
    layer makes turns of that.
    """

    def __init__(self, embedder: embedding.Network | None = None) -> None:
        super().__init__()
        self.embedder = embedder or embedding.Network()
        self.embedder.requires_grad_(False).eval()
        self.alone = nn.Linear(embedding.WIDTH, 1)
        self.view = nn.Linear(embedding.WIDTH, VIEW)
        self.alike = nn.Parameter(torch.tensor([ALIKE, STEEP]))
        self.memory = nn.LSTM(VIEW + 1 + 2 * LOCAL, CELLS, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * CELLS, len(CLASSES))

    def features(self, samples: Tensor) -> Tensor:
        """Log mel energies (N, 2 T, 80) about their mean over what is loud."""
        margin = SPEAKER.length // 2 - SHIFT // 2
        frames = energies(nn.functional.pad(samples, (margin, margin)).unfold(1, SPEAKER.length, SHIFT), SPEAKER)
        loudness = frames.mean(2, keepdim=True)
        loud = (loudness > loudness.amax(1, keepdim=True) - LOUD).float()
        mean = (frames * loud).sum(1, keepdim=True) / loud.sum(1, keepdim=True)
        return (frames - mean).clamp(-LIMIT, LIMIT)

    def voices(self, hidden: Tensor, share: Tensor) -> Tensor:
        """Embeddings (N, T, 96), of length 1, from what surrounds each frame, weighed by ``share`` (N, T, 1)."""

        def near(values: Tensor) -> Tensor:
            return nn.functional.avg_pool1d(values.transpose(1, 2), NEAR, 1, NEAR // 2).transpose(1, 2)

        total = near(share) + TINY
        mean, square = near(hidden * share) / total, near(hidden.square() * share) / total
        deviation = torch.sqrt(torch.relu(square - mean.square()) + TINY)
        return _unit(self.embedder.exit(torch.cat((mean, deviation), -1)))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Score the classes; what tells whether one talks alone (N, T) is returned too, for training."""
        with torch.no_grad():
            hidden = self.embedder.layers(self.features(samples)).transpose(1, 2)
        alone = self.alone(hidden)
        share = torch.sigmoid(alone)
        voices = self.voices(hidden, share.detach())
        marks, left = [], share
        for _ in range(LOCAL):
            before = torch.cumsum(left, 1) - left
            weights = left * torch.exp(before * (-HOP / RATE_HZ / FADE_S))
            for _ in range(1 + SHIFTS):
                cosine = (voices * _unit((voices * weights).sum(1, keepdim=True))).sum(-1, keepdim=True)
                taken = torch.sigmoid((cosine - self.alike[0]) * self.alike[1])
                weights = left * taken
            marks += [cosine, taken]
            left = left * (1 - taken)
        memory, _ = self.memory(torch.cat((self.view(hidden), share, *marks), -1))
        return torch.log_softmax(self.head(memory), -1), alone.squeeze(-1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / torch.sqrt(vectors.square().sum(-1, keepdim=True) + TINY)


def draw(bank: Bank, noises: list[NDArray[np.float32]], chance: np.random.Generator) -> Dialogue:
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
        return part
    return disturb(part, noises, chance)


def _company(bank: Bank, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Talkers of different voices: the same one at another pitch is nobody else."""
    while True:
        who = bank.draw(count, chance)
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
    """Windows (N, 160000), and who speaks (N, 3, 500)."""

    samples: Tensor
    active: Tensor


def batch_of(bank: Bank, noises: list[NDArray[np.float32]], chance: np.random.Generator, size: int) -> Batch:
    """Draw windows."""
    drawn = [draw(bank, noises, chance) for _ in range(size)]
    samples, active = np.stack([one.samples for one in drawn]), np.stack([labels(one.active) for one in drawn])
    return Batch(torch.from_numpy(samples), torch.from_numpy(active))


def train(bank: Bank, seed: int, embedder: embedding.Network, steps: int = STEPS) -> Network:
    """Train from the talkers of a bank, above the layers of a speaker embedding."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(seed)
    noises = beds(chance)
    network = Network(embedder)
    learned = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(learned, PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, steps, pct_start=0.1)
    started, totals = time.monotonic(), np.zeros(2)
    for step in range(1, steps + 1):
        batch = batch_of(bank, noises, chance, BATCH)
        scores, alone = network(batch.samples)
        loss = loss_of(scores, batch.active)
        one = (batch.active.sum(1) == 1).float()
        known = nn.functional.binary_cross_entropy_with_logits(alone, one)
        optimizer.zero_grad()
        (loss + ALONE_SHARE * known).backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        totals += (loss.item(), known.item())
        if step % 50 == 0:
            losses, spent_s = totals / 50, time.monotonic() - started
            log.info("segmentation: step %d, losses %.3f %.3f, %.0f s", step, *losses, spent_s)
            totals[:] = 0
    return network.eval()
