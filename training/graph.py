"""Writes ONNX graphs node by node, with large weights kept as int8 and small ones as float16.

Weights are turned to float32 by nodes that ONNX Runtime folds when it loads the file, so that it computes in float32:
activations quantized on the fly would depend on what else is in the batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # the first with layer normalization


class Graph:
    """Nodes and weights under construction; every method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: list[str | int]) -> str:
        """Declare an input of an `onnx.TensorProto` type."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value: str, name: str, kind: int, shape: list[str | int]) -> None:
        """Give a value out under a name."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Append a node of one output."""
        value = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [value], **attributes))
        return value

    def constant(self, array: NDArray[np.generic] | list | float, kind: type = np.float32) -> str:
        """Add an array as it is; `kind` applies to what is not an array yet."""
        name = f"w{len(self.weights)}"
        data = np.asarray(array) if isinstance(array, np.ndarray | np.generic) else np.array(array, kind)
        self.weights.append(numpy_helper.from_array(data.copy(order="C"), name))
        return name

    def numbers(self, *values: int) -> str:
        """Add a vector of int64: shapes, axes, bounds."""
        return self.constant(list(values), np.int64)

    def float16(self, array: NDArray[np.float32]) -> str:
        """Add an array that is stored as float16."""
        return self.op("Cast", self.constant(array.astype(np.float16)), to=TensorProto.FLOAT)

    def int8(self, array: NDArray[np.float32]) -> str:
        """Add a matrix (in, out) that is stored as int8 with one scale for each output."""
        scale = np.maximum(np.abs(array).max(0, keepdims=True), 1e-8) / 127
        whole = self.op("Cast", self.constant(np.rint(array / scale).astype(np.int8)), to=TensorProto.FLOAT)
        return self.op("Mul", whole, self.constant(scale.astype(np.float32)))

    def affine(self, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Multiply by a matrix given (out, in), as PyTorch keeps it, and add a bias."""
        return self.op("Add", self.op("MatMul", value, self.int8(weight.T)), self.float16(bias))

    def number_of(self, value: str, axis: int) -> str:
        """Read a dimension as a vector of one int64."""
        return self.op("Shape", value, start=axis, end=axis + 1)

    def count_to(self, bound: str) -> str:
        """List 0 to bound - 1; `bound` is a vector of one int64."""
        zero, one = self.constant(np.int64(0)), self.constant(np.int64(1))
        return self.op("Range", zero, self.op("Squeeze", bound), one)

    def write(self, path: Path, metadata: dict[str, str]) -> None:
        """Check the graph and write it with its metadata."""
        graph = helper.make_graph(self.nodes, "model", self.inputs, self.outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
