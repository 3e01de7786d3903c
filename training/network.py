"""The network: convolutions over stacked frames, one row of token scores a frame, and three pooled tags.

Padding never leaks: each block's input is zeroed beyond an utterance's length before it is convolved, and pooling
weighs padded frames with nothing, so that a batch and its utterances alone give the same scores.
"""

from __future__ import annotations

import torch
from features import BINS, STACKED
from torch import Tensor, nn
from vocabulary import EMOTIONS, EVENTS, LANGUAGES, spoken_count

WIDTH = 136
EXPANSION = 2
KERNEL = 9  # a block sees 4 frames either way, all blocks 2 s: enough for the words around a word
BLOCKS = 9  # undilated, for a dilated depthwise convolution trains twenty times as slowly
MIDDLE = 4  # manner and background are read from this block too: words drive them out of later ones
TAG_GROUPS = (LANGUAGES, EMOTIONS, EVENTS)
FLOOR = 5.0  # of log energies: below it lie digital silence and a last bit's rustle, which must look alike


class Block(nn.Module):
    """A depthwise convolution and a two-layer network on each frame, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Two-dimensional with one row, since only that convolution runs on channels that come last in memory.
        convolution = nn.Conv2d(width, width, (KERNEL, 1), padding=(KERNEL // 2, 0), groups=width)
        self.depthwise = convolution.to(memory_format=torch.channels_last)
        self.norm = nn.LayerNorm(width)
        self.rise = nn.Linear(width, EXPANSION * width)
        self.fall = nn.Linear(EXPANSION * width, width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Map (N, T, width) to the same shape; `mask` is (N, T, 1)."""
        with torch.autocast("cpu", enabled=False):  # in bfloat16 this convolution's gradient is four times as slow
            # (N, T, 1, C) seen as (N, C, T, 1): the strides by which the fast convolution knows its layout.
            masked = (hidden.float() * mask).unsqueeze(2).permute(0, 3, 1, 2)
            mixed = self.depthwise(masked).permute(0, 2, 3, 1).squeeze(2)
        return hidden + self.fall(nn.functional.silu(self.rise(self.norm(mixed))))


class Network(nn.Module):
    """From normalized stacked features to scores of tokens and tags."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Linear(STACKED * BINS, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.speak = nn.Linear(WIDTH, spoken_count())
        self.gather = nn.Linear(2 * WIDTH, WIDTH)
        self.attend = nn.Linear(WIDTH, len(TAG_GROUPS))
        self.tags = nn.ModuleList(nn.Linear(2 * WIDTH, len(group)) for group in TAG_GROUPS)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Score tokens and tags.

        Args:
            features: (N, T, 560), normalized.
            lengths: (N,) valid frames.

        Returns:
            Scores of spoken tokens (N, T, S), and of each group of tags (N, size).
        """
        mask = (torch.arange(features.shape[1])[None, :] < lengths[:, None]).unsqueeze(-1).to(features.dtype)
        hidden = self.entry(features)
        middle = hidden
        for place, block in enumerate(self.blocks, 1):
            hidden = block(hidden, mask)
            if place == MIDDLE:
                middle = hidden
        last = self.norm(hidden)
        return self.speak(last), self._pool(torch.cat((middle, last), -1), mask)

    def _pool(self, hidden: Tensor, mask: Tensor) -> list[Tensor]:
        """Weigh frames by attention, one set of weights a group, and read tags from mean and deviation."""
        frames = nn.functional.silu(self.gather(hidden))
        weights = torch.softmax(self.attend(frames) + (mask - 1) * 1e4, dim=1).transpose(1, 2)  # (N, groups, T)
        mean = weights @ frames
        deviation = torch.sqrt(torch.relu(weights @ frames.square() - mean.square()) + 1e-4)
        pooled = torch.cat((mean, deviation), -1)
        return [head(pooled[:, place]) for place, head in enumerate(self.tags)]
