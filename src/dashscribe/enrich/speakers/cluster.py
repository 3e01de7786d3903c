"""From voiceprints to speakers: agglomerative clustering of all utterances of a channel.

Memory and time are bounded for any length of a source: beyond ``MOST`` utterances, blocks of neighbors are summed up
first, and their sums are clustered in place of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import fastcluster
import numpy as np
from numpy.typing import NDArray

#: Most voiceprints that are clustered at once; above it, each block of that many is summed up by ``SUMS``.
MOST = 1000
SUMS = 100
#: Utterances below this length are not asked how many speakers there are and what they sound like, in milliseconds:
#: they go to the nearest speaker once those are known.
SHORT_MS = 600
#: Most speakers that are looked for where nobody said how many there are.
MOST_SPEAKERS = 10
#: Mean silhouette (Rousseeuw 1987) from which on two or more spectral clusters are more than one voice's variation.
DISTINCT = 0.15
#: Weight of the pitch among the 39 values of a spectral voiceprint.
PITCH_WEIGHT = 2.0

#: Utterances from which on their neighborhoods tell how many speakers there are, how many of them are asked at most,
#: and in how many neighborhoods: from the 5 nearest on, fewer than that fall apart by chance, to a third of all.
FEW, ASKED, NEIGHBORHOODS, LEAST_NEAR = 15, 300, 20, 5

Floats = NDArray[np.float64]
Row = TypeVar("Row", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Space:
    """How voiceprints are compared: as embeddings of models, which were ``measured``, or as spectral statistics.

    Groups of embeddings up to this mean cosine distance are the ``same_speaker``.
    """

    measured: bool
    same_speaker: float = 0.5

    def placed(self, voiceprints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Voiceprints, shape (n, d), as points whose Euclidean distances tell how unlike the voices are.

        Those that were measured are changed in place: there may be tens of megabytes of them.
        """
        if self.measured:
            for block in _blocks(voiceprints):
                block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), np.float32(1e-9))
            return voiceprints
        filled = voiceprints.astype(np.float64)
        unpitched = np.isnan(filled[:, -1])
        filled[unpitched, -1] = 0.0 if unpitched.all() else np.nanmedian(filled[:, -1])
        mean, spread = filled.mean(axis=0), np.maximum(filled.std(axis=0), 1e-9)
        filled -= mean
        filled /= spread
        filled[:, -1] *= PITCH_WEIGHT
        return filled.astype(np.float32)


def speakers(
    voiceprints: NDArray[np.float32], durations_ms: Sequence[int] | NDArray[np.int64], space: Space, count: int | None
) -> NDArray[np.int64]:
    """The speaker of each utterance, shape (n,), numbered in order of first appearance.

    ``voiceprints``, shape (n, d), are not to be used afterwards; ``durations_ms`` has shape (n,). ``count`` is how many
    speakers there are, None if nobody knows; fewer come back where there are not so many utterances.
    """
    if not len(voiceprints):
        return np.zeros(0, np.int64)
    points = space.placed(voiceprints)
    long = np.asarray(durations_ms) >= SHORT_MS
    if long.sum() < max(2, count or 0):
        long[:] = True
    certain = np.flatnonzero(long)
    labels = _labels(points, certain, space, count)
    centers = np.array([_mean(points, certain[labels == label]) for label in range(labels.max() + 1)], np.float32)
    # Of squared distances, less what is the same for all centers: no array of points by centers by values.
    nearest = ((centers**2).sum(axis=1) - points @ (2 * centers).T).argmin(axis=1)
    nearest[long] = labels
    return _in_order(nearest)


def _labels(
    every: NDArray[np.float32] | Floats, chosen: NDArray[np.intp], space: Space, count: int | None
) -> NDArray[np.int64]:
    """A label from 0 for each of the ``chosen`` points, no number left out."""
    if len(chosen) > MOST:
        # Twelve hours have some 25,000 points: as float64, or apart from the others, only a block at a time.
        trees = (_tree(every[block].astype(np.float64)) for block in _blocks(chosen))
        sums = np.concatenate([tree.labels(SUMS) + SUMS * i for i, tree in enumerate(trees)])
        used, place = np.unique(sums, return_inverse=True)
        centers = np.array([every[chosen[sums == number]].mean(axis=0, dtype=np.float64) for number in used])
        return _labels(centers, np.arange(len(centers)), space, count)[place]
    points = every[chosen].astype(np.float64)
    tree = _tree(points)
    return tree.labels(count if count is not None else _count(points, tree, space))


def _mean(points: NDArray[np.float32], chosen: NDArray[np.intp]) -> Floats:
    """The mean of the chosen points, without a copy of them: they may be nearly all that there are."""
    is_chosen = np.zeros((len(points), 1), bool)
    is_chosen[chosen] = True
    return points.mean(axis=0, dtype=np.float64, where=is_chosen)


def _blocks(rows: NDArray[Row]) -> list[NDArray[Row]]:
    """Views of the rows, even parts in order, none of more than ``MOST``."""
    return np.array_split(rows, max(1, -(-len(rows) // MOST)))


def _count(points: Floats, tree: _Tree, space: Space) -> int:
    """How many speakers there are, as well as the voiceprints tell."""
    if len(points) == 1:
        return 1
    if space.measured:
        groups = _tree_by_cosine(points).count_above(space.same_speaker)
        return groups if groups == 1 or len(points) < FEW else _count_by_eigengap(points)
    most = min(MOST_SPEAKERS, len(points) - 1)
    widths = {k: _silhouette(points, tree.labels(k)) for k in range(2, most + 1)}
    best = max(widths, key=lambda k: widths[k], default=1)
    return best if widths.get(best, 0.0) >= DISTINCT else 1


def _count_by_eigengap(points: Floats) -> int:
    """How many groups unit embeddings form, by the normalized maximum eigengap: nothing has to be known of them.

    Park et al. 2020, "Auto-Tuning Spectral Clustering for Speaker Diarization Using Normalized Maximum Eigengap". Each
    utterance is linked with its p nearest. Of all p, that one tells whose graph falls apart most clearly for its size,
    which is where the gap between two successive eigenvalues of its Laplacian is largest.
    """
    asked = points[np.unique(np.linspace(0, len(points) - 1, ASKED).astype(int))]
    count = len(asked)
    order = np.argsort(-(asked @ asked.T), axis=1, kind="stable")
    best, found = np.inf, 1
    for p in np.unique(np.linspace(LEAST_NEAR, count // 3, NEIGHBORHOODS).astype(int)).tolist():
        linked = np.zeros((count, count))
        np.put_along_axis(linked, order[:, :p], 1.0, axis=1)
        linked = (linked + linked.T) / 2
        values = np.linalg.eigvalsh(np.diag(linked.sum(axis=1)) - linked)
        gaps = np.diff(values[: MOST_SPEAKERS + 1])
        ratio = p / count / max(float(gaps.max() / max(values[-1], 1e-9)), 1e-9)
        if ratio < best:
            best, found = ratio, int(gaps.argmax()) + 1
    return found


def _silhouette(points: Floats, labels: NDArray[np.int64]) -> float:
    """Mean silhouette of the clusters, -1 to 1 (Rousseeuw 1987): how much nearer points are to their own cluster."""
    distances = np.sqrt(np.maximum(_squares(points), 0.0))
    members = np.eye(labels.max() + 1)[labels]  # (n, k)
    sums, sizes = distances @ members, members.sum(axis=0)
    own = sums[np.arange(len(points)), labels] / np.maximum(sizes[labels] - 1, 1)
    other = np.where(members > 0, np.inf, sums / sizes).min(axis=1)
    widths = np.where(sizes[labels] > 1, (other - own) / np.maximum(np.maximum(own, other), 1e-9), 0.0)
    return float(widths.mean())


def _squares(points: Floats) -> Floats:
    """Squared Euclidean distances, shape (n, n)."""
    norms = (points**2).sum(axis=1)
    return norms[:, None] + norms[None] - 2 * points @ points.T


@dataclass(frozen=True, slots=True)
class _Tree:
    """The merges of an agglomerative clustering: rows of two clusters each, the ``heights`` at which they were joined.

    Cluster i is point i for i < n, else the one that merge i - n made.
    """

    merges: NDArray[np.int64]
    heights: Floats

    def labels(self, count: int) -> NDArray[np.int64]:
        """The labels of all points when ``count`` clusters, or as many as there are points, are left."""
        points = len(self.merges) + 1
        clusters = {i: [i] for i in range(points)}
        for made, (left, right) in enumerate(self.merges[: max(0, points - count)].tolist(), start=points):
            clusters[made] = clusters.pop(left) + clusters.pop(right)
        labels = np.zeros(points, np.int64)
        for label, members in enumerate(clusters.values()):
            labels[members] = label
        return labels

    def count_above(self, height: float) -> int:
        """How many clusters are left when all merges up to that height are made."""
        return 1 + int((self.heights > height).sum())


def _tree_by_cosine(points: Floats) -> _Tree:
    """Average linkage over the cosine distances of unit embeddings."""
    rows, columns = np.triu_indices(len(points), 1)
    merges = fastcluster.linkage((1 - points @ points.T)[rows, columns], method="average")
    return _Tree(merges[:, :2].astype(np.int64), merges[:, 2])


def _tree(points: Floats) -> _Tree:
    """Ward's clustering (Ward 1963), which takes memory in proportion to the points."""
    if len(points) == 1:
        return _Tree(np.zeros((0, 2), np.int64), np.zeros(0))
    merges = fastcluster.linkage_vector(points, method="ward")
    return _Tree(merges[:, :2].astype(np.int64), merges[:, 2])


def _in_order(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels renumbered in order of first appearance."""
    _, firsts, places = np.unique(labels, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    return ranks[places]
