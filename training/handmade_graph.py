"""Writes ONNX graphs node by node, for models whose every number is chosen by hand.

Owns the opset, the IR version and the file form, so that two runs give the same bytes. What a graph computes is left to
the module of its family.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17  # what the upstream exports of the language model families use
_IR = 9
_DTYPES = {
    "float": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
}

Shape = list[int | str | None]


class Graph:
    """A graph under construction; values are their names."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: str, shape: Shape) -> str:
        """Declares an input; the engine binds inputs by their order."""
        self._inputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], shape))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Shape) -> None:
        """Declares an output; the engine reads outputs by their order."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], shape))

    def const(self, value: object, dtype: str = "int64") -> str:
        """Adds a constant, or finds the same one added before."""
        numpy_type = np.float32 if dtype == "float" else np.dtype(dtype)
        array = np.asarray(value, dtype=numpy_type)
        tensor = numpy_helper.from_array(array)
        for name, known in self._constants.items():
            if known.data_type == tensor.data_type and known.dims == tensor.dims and known.raw_data == tensor.raw_data:
                return name
        tensor.name = f"c{len(self._constants)}"
        self._constants[tensor.name] = tensor
        return tensor.name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Adds a node with one output."""
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def cast(self, value: str, dtype: str) -> str:
        """Adds a conversion to another element type."""
        return self.op("Cast", value, to=_DTYPES[dtype])

    def sum(self, value: str, *axes: int, keep: bool = False) -> str:
        """Adds a sum over axes."""
        return self.op("ReduceSum", value, self.const(list(axes)), keepdims=int(keep))

    def reshape(self, value: str, *shape: int) -> str:
        """Adds a reshape; 0 keeps a dimension, -1 infers one."""
        return self.op("Reshape", value, self.const(list(shape)))

    def slice(self, value: str, start: int, end: int, axis: int) -> str:
        """Adds a slice with constant bounds."""
        return self.op("Slice", value, self.const([start]), self.const([end]), self.const([axis]))

    def save(self, path: Path, metadata: dict[str, object]) -> None:
        """Writes the file with its metadata, values as strings."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, initializer=list(self._constants.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="handmade"
        )
        helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
        onnx.checker.check_model(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString(deterministic=True))
