"""Writes the speaker segmentation as ONNX: from samples to scores, features and all, weights in half precision."""

from __future__ import annotations

from pathlib import Path

import embedding
import numpy as np
from graph import Graph
from kaldi import SHIFT, SIZE, SMALLEST, SPEAKER, scale, window
from numpy.typing import NDArray
from onnx import TensorProto
from segmentation import AT_ONCE, CELLS, CLASSES, FADE_S, HOP, LIMIT, LOCAL, LOUD, NEAR, SHIFTS, TINY, WINDOW_S, Network
from speech import RATE_HZ

Weights = dict[str, NDArray[np.float32]]


def write(network: Network, path: Path) -> None:
    """Write the network in the layout of pyannote's segmentation 3.0."""
    graph = Graph()
    samples = graph.input("x", TensorProto.FLOAT, ["N", 1, "T"])
    kept = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    trunk = {name.removeprefix("embedder."): value for name, value in kept.items()}
    hidden = embedding.layers(graph, _features(graph, samples), trunk)
    hidden = graph.op("Transpose", hidden, perm=[0, 2, 1])  # (N, T, width)
    seen = graph.op("Concat", *_seen(graph, hidden, kept), axis=2)
    memory = _lstm(graph, graph.op("Transpose", seen, perm=[1, 0, 2]), kept)
    scores = graph.op("Transpose", _linear(graph, memory, kept, "head"), perm=[1, 0, 2])
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


def _features(graph: Graph, samples: str) -> str:
    """Kaldi's log mel energies about their mean over what is loud, (N, 80, 2 T).

    Basis and filters are computed when the file is loaded: stored, they would be larger than the rest.
    """
    turns = graph.constant((2 * np.pi * np.arange(SIZE // 2 + 1) / SIZE).astype(np.float32).reshape(-1, 1, 1))
    angles = graph.op("Mul", turns, graph.constant(np.arange(SPEAKER.length, dtype=np.float32).reshape(1, 1, -1)))
    margin = SPEAKER.length // 2 - SHIFT // 2
    parts = []
    for kind in ("Cos", "Sin"):
        basis = _basis(graph, graph.op("Mul", graph.op(kind, angles), graph.constant(window(SPEAKER).numpy())))
        part = graph.op("Conv", samples, basis, strides=[SHIFT], pads=[margin, margin])
        parts.append(graph.op("Mul", part, part))
    power = graph.op("MatMul", _filters(graph), graph.op("Add", *parts))
    logs = graph.op("Log", graph.op("Max", power, graph.constant(SMALLEST)))
    loudness = graph.op("ReduceMean", logs, axes=[1], keepdims=1)
    least = graph.op("Sub", graph.op("ReduceMax", loudness, axes=[2], keepdims=1), graph.constant(LOUD))
    loud = graph.op("Cast", graph.op("Greater", loudness, least), to=TensorProto.FLOAT)
    total = graph.op("ReduceSum", graph.op("Mul", logs, loud), graph.numbers(2), keepdims=1)
    mean = graph.op("Div", total, graph.op("ReduceSum", loud, graph.numbers(2), keepdims=1))
    return graph.op("Clip", graph.op("Sub", logs, mean), graph.constant(-LIMIT), graph.constant(LIMIT))


def _basis(graph: Graph, rows: str) -> str:
    """Rows (257, 1, 400) that do to samples what subtracting the mean, preemphasis and then these rows do."""
    one, axis = graph.numbers(1), graph.numbers(2)
    later = graph.op("Slice", rows, one, graph.numbers(SPEAKER.length), axis)
    later = graph.op("Pad", later, graph.numbers(0, 0, 0, 0, 0, 1))
    first = np.zeros((1, 1, SPEAKER.length), np.float32)
    first[..., 0] = 1  # the first sample is emphasized by itself
    start = graph.op("Mul", graph.op("Slice", rows, graph.numbers(0), one, axis), graph.constant(first))
    less = graph.op("Mul", graph.op("Add", later, start), graph.constant(SPEAKER.preemphasis))
    emphasized = graph.op("Sub", rows, less)
    return graph.op("Sub", emphasized, graph.op("ReduceMean", emphasized, axes=[2], keepdims=1))


def _filters(graph: Graph) -> str:
    """The triangles, (80, 257)."""
    places, edges = scale(SPEAKER)
    ports = (graph.constant(part.astype(np.float32)) for part in (places.T, edges[:-2, None], edges[2:, None]))
    line, low, high = ports
    inside = graph.op("Relu", graph.op("Min", graph.op("Sub", line, low), graph.op("Sub", high, line)))
    return graph.op("Mul", inside, graph.constant(float(1 / (edges[1] - edges[0]))))


def _seen(graph: Graph, hidden: str, kept: Weights) -> list[str]:
    """What the memory is given for each frame, parts of (N, T, …); see `Network.forward`."""
    share = graph.op("Sigmoid", _linear(graph, hidden, kept, "alone"))  # (N, T, 1)
    voices = _voices(graph, hidden, share, kept)
    alike, steep = (graph.constant(number) for number in kept["alike"])
    parts, left = [_linear(graph, hidden, kept, "view"), share], share
    for _ in range(LOCAL):
        before = graph.op("CumSum", left, graph.constant(np.int64(1)), exclusive=1)
        weights = graph.op("Exp", graph.op("Mul", before, graph.constant(-HOP / RATE_HZ / FADE_S)))
        weights = graph.op("Mul", left, weights)
        for _ in range(1 + SHIFTS):
            center = graph.op("ReduceSum", graph.op("Mul", voices, weights), graph.numbers(1), keepdims=1)
            cosine = graph.op("Mul", voices, _unit(graph, center))
            cosine = graph.op("ReduceSum", cosine, graph.numbers(2), keepdims=1)
            taken = graph.op("Sigmoid", graph.op("Mul", graph.op("Sub", cosine, alike), steep))
            weights = graph.op("Mul", left, taken)
        parts += [cosine, taken]
        left = graph.op("Mul", left, graph.op("Sub", graph.constant(1.0), taken))
    return parts


def _voices(graph: Graph, hidden: str, share: str, kept: Weights) -> str:
    """Embeddings of what surrounds each frame, (N, T, 96)."""

    def near(value: str) -> str:
        turned = graph.op("Transpose", value, perm=[0, 2, 1])
        mean = graph.op("AveragePool", turned, kernel_shape=[NEAR], pads=[NEAR // 2] * 2, count_include_pad=1)
        return graph.op("Transpose", mean, perm=[0, 2, 1])

    total = graph.op("Add", near(share), graph.constant(TINY))
    weighed = graph.op("Mul", hidden, share)
    mean = graph.op("Div", near(weighed), total)
    square = graph.op("Div", near(graph.op("Mul", hidden, weighed)), total)
    variance = graph.op("Relu", graph.op("Sub", square, graph.op("Mul", mean, mean)))
    deviation = graph.op("Sqrt", graph.op("Add", variance, graph.constant(TINY)))
    return _unit(graph, _linear(graph, graph.op("Concat", mean, deviation, axis=2), kept, "embedder.exit"))


def _unit(graph: Graph, vectors: str) -> str:
    """Vectors along the last axis at length 1."""
    square = graph.op("ReduceSum", graph.op("Mul", vectors, vectors), graph.numbers(2), keepdims=1)
    return graph.op("Div", vectors, graph.op("Sqrt", graph.op("Add", square, graph.constant(TINY))))


def _linear(graph: Graph, value: str, kept: Weights, name: str) -> str:
    weight = graph.float16(kept[f"{name}.weight"].T)
    return graph.op("Add", graph.op("MatMul", value, weight), graph.float16(kept[f"{name}.bias"]))


def _lstm(graph: Graph, value: str, kept: Weights) -> str:
    """A layer in both directions, (T, N, C) to (T, N, 2 cells); ONNX orders the gates otherwise than PyTorch."""

    def gates(kind: str) -> NDArray[np.float32]:
        rows = []
        for suffix in ("", "_reverse"):
            input_gate, forget, cell, output = np.split(kept[f"memory.{kind}_l0{suffix}"], 4)
            rows.append(np.concatenate((input_gate, output, forget, cell)))
        return np.stack(rows)

    biases = np.concatenate((gates("bias_ih"), gates("bias_hh")), 1)
    weights = (graph.float16(gates("weight_ih")), graph.float16(gates("weight_hh")), graph.float16(biases))
    both = graph.op("LSTM", value, *weights, hidden_size=CELLS, direction="bidirectional")  # (T, 2, N, cells)
    return graph.op("Reshape", graph.op("Transpose", both, perm=[0, 2, 1, 3]), graph.numbers(0, 0, 2 * CELLS))
