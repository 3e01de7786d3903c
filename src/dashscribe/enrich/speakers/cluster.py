"""From voiceprints to speakers: agglomerative clustering of all utterances of a channel.

Memory and time are bounded for any length of a source: beyond ``MOST`` utterances, blocks of neighbors are summed up
first, and their sums are clustered in place of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import fastcluster
import numpy as np
from numpy.typing import NDArray

#: Most voiceprints that are clustered at once; above it, each block of that many is summed up by ``SUMS``.
MOST = 1000
SUMS = 100
#: How many are read at once.
READ = 250
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
Prints = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Space:
    """How voiceprints are compared: as embeddings of models, which were ``measured``, or as spectral statistics.

    Groups of embeddings up to this mean cosine distance are the ``same_speaker``.
    """

    measured: bool
    same_speaker: float = 0.5

    def placing(self, voiceprints: Sequence[bytes]) -> Callable[[Prints], Prints]:
        """What places voiceprints, shape (n, d), as points whose Euclidean distances tell how unlike the voices are.

        Statistics are placed by the mean and the spread of all ``voiceprints``.
        """
        if self.measured:
            return lambda block: block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), np.float32(1e-9))
        pitches = np.concatenate([block[:, -1] for block in _read(voiceprints)]).astype(np.float64)
        pitch = 0.0 if np.isnan(pitches).all() else np.nanmedian(pitches)

        def filled(block: Prints) -> Floats:
            values = block.astype(np.float64)
            values[np.isnan(values[:, -1]), -1] = pitch
            return values

        def averaged(of: Callable[[Prints], Floats]) -> Floats:
            return np.sum([of(block).sum(axis=0) for block in _read(voiceprints)], axis=0) / len(voiceprints)

        mean = averaged(filled)
        scale = 1 / np.maximum(np.sqrt(averaged(lambda block: (filled(block) - mean) ** 2)), 1e-9)
        scale[-1] *= PITCH_WEIGHT
        return lambda block: ((filled(block) - mean) * scale).astype(np.float32)


def speakers(
    voiceprints: Sequence[bytes], durations_ms: Sequence[int] | NDArray[np.int64], space: Space, count: int | None
) -> NDArray[np.int64]:
    """The speaker of each utterance, shape (n,), numbered in order of first appearance.

    ``voiceprints`` are float32 values and all as long; they are gone through several times, a block at a time, so that
    they may lie on disk. ``durations_ms`` has shape (n,). ``count`` is how many speakers there are, None if nobody
    knows; fewer come back where there are not so many utterances.
    """
    if not voiceprints:
        return np.zeros(0, np.int64)
    place = space.placing(voiceprints)
    long = np.asarray(durations_ms) >= SHORT_MS
    if long.sum() < max(2, count or 0):
        long[:] = True
    labels = _labels(_parts(map(place, _read(voiceprints)), long), int(long.sum()), space, count)
    every = np.full(len(voiceprints), -1)
    every[long] = labels
    centers = _means(map(place, _read(voiceprints)), every).astype(np.float32)
    # Of squared distances, less what is the same for all centers: no array of points by centers by values.
    bias = (centers**2).sum(axis=1)
    nearest = [(bias - place(block) @ (2 * centers).T).argmin(axis=1) for block in _read(voiceprints)]
    return _in_order(np.where(long, every, np.concatenate(nearest)))


def _read(voiceprints: Sequence[bytes]) -> Iterator[Prints]:
    """The voiceprints in blocks of at most ``READ``, shape (n, d)."""
    rest = iter(voiceprints)
    while some := list(islice(rest, READ)):
        yield np.frombuffer(b"".join(some), np.float32).reshape(len(some), -1)


def _parts(blocks: Iterable[Prints], chosen: NDArray[np.bool_]) -> Iterator[Floats]:
    """The chosen rows of all blocks as even parts in order, none of more than ``MOST``."""
    total, begin, waiting = int(chosen.sum()), 0, list[Prints]()
    parts = -(-total // MOST)
    wanted = iter([len(part) for part in np.array_split(np.arange(total), parts)])
    size = next(wanted)
    for block in blocks:
        waiting.append(block[chosen[begin : begin + len(block)]])
        begin += len(block)
        while sum(map(len, waiting)) >= size > 0:
            rows = np.concatenate(waiting)
            yield rows[:size].astype(np.float64)
            waiting = [rows[size:]]
            size = next(wanted, 0)


def _labels(parts: Iterable[Floats], total: int, space: Space, count: int | None) -> NDArray[np.int64]:
    """A label from 0 for each of so many points in parts, no number left out."""
    if total <= MOST:
        (points,) = parts
        tree = _tree(points)
        return tree.labels(count if count is not None else _count(points, tree, space))
    sums, centers = list[NDArray[np.int64]](), list[Floats]()
    for part in parts:
        labels = _tree(part).labels(SUMS)
        sums.append(labels + sum(map(len, centers)))
        centers.append(np.array([part[labels == number].mean(axis=0) for number in range(labels.max() + 1)]))
    summed = np.concatenate(centers)
    fewer = np.array_split(summed, -(-len(summed) // MOST))
    return _labels(fewer, len(summed), space, count)[np.concatenate(sums)]


def _means(blocks: Iterable[Prints], labels: NDArray[np.int64]) -> Floats:
    """The mean of the points of each label from 0, shape (labels, d); those with a label below it are left out."""
    count, begin = int(labels.max()) + 1, 0
    total: Floats | float = 0.0
    for block in blocks:
        members = labels[begin : begin + len(block)] == np.arange(count)[:, None]
        total = total + members.astype(np.float64) @ block
        begin += len(block)
    return total / np.bincount(labels[labels >= 0], minlength=count)[:, None]


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
