"""A model of SenseVoice-Small's size that says what the small one of the tests says: its costs, and words to compare.

It is the small SenseVoice of ``tests/models`` with the arithmetic of a whole one beside it (SANM blocks as in Gao et
al. 2020, "SAN-M: Memory Equipped Self-Attention", random numbers, 234 million of them), whose result counts nothing.
One thing differs from SenseVoice-Small's cost: few scores are handed out, where there would be 25,055 a frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from running import MODELS

SMALL = "sensevoice-small"
#: SenseVoice-Small: encoder blocks, width, heads, inner width, taps of the memory, tokens (its config.yaml).
BLOCKS, WIDTH, HEADS, INNER, TAPS, TOKENS = 70, 512, 4, 2048, 11, 25_055


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


def make_model(folder: Path, blocks: int = BLOCKS, *, int8: bool = False) -> Path:
    """The small model with the arithmetic of ``blocks`` blocks beside it, as a folder that can be installed.

    With ``int8`` the weights of its products of matrices are 8 bits wide, as in the file that ``models pull`` brings.
    """
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
    target = folder / ("model.int8.onnx" if int8 else "model.onnx")
    if int8:
        quantize_dynamic(model, target, op_types_to_quantize=["MatMul"], weight_type=QuantType.QUInt8)
    else:
        onnx.save(model, target)
    (folder / "tokens.txt").write_bytes((MODELS / SMALL / "tokens.txt").read_bytes())
    return folder
