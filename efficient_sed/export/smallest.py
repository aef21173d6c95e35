"""ONNX files of very small models: remaining weights stored as int8, and no names.

Of a model of 60,000 weights, what a quantised graph says beside them is most of its file: names of operations and of
what goes between them, shapes, weights that nothing uses any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto

LEAST_VALUES = 128  # of a tensor that is worth storing as int8: its scales take space, too
WEIGHTED = {"Gemm": (1,), "MatMul": (1,), "GRU": (1, 2)}
"""Operations with inputs that are stored as int8."""
LARGEST = 127


def make_smallest(data: bytes) -> bytes:
    """Store the matrices that are float32 so far as int8, and leave out all that no run time needs.

    They are computed with in float32, behind a `DequantizeLinear` with a scale for each row. Those of the front end
    stay, whose sines and cosines need all their digits for the quiet bands.
    """
    import onnx

    model = onnx.load_from_string(data)
    _store_matrices(model.graph)
    _leave_out(model.graph)
    _shorten(model.graph)
    return bytes(model.SerializeToString())


def _store_matrices(graph: GraphProto) -> None:
    import onnx

    weights = {weight.name: weight for weight in graph.initializer if weight.data_type == onnx.TensorProto.FLOAT}
    used = {
        node.input[index]: node
        for node in graph.node
        if not node.name.startswith("/frontend/")
        for index in WEIGHTED.get(node.op_type, ())
        if node.input[index] in weights
    }
    made = []
    for name, node in used.items():
        values = onnx.numpy_helper.to_array(weights[name])
        if values.size < LEAST_VALUES:
            continue
        is_transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
        axis = {"GRU": 1, "MatMul": values.ndim - 1}.get(node.op_type, 0 if is_transposed else 1)
        integers, scale = _rounded(values, axis)
        weights[name].CopyFrom(onnx.numpy_helper.from_array(integers, f"{name}.int8"))
        graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
        stored = [f"{name}.int8", f"{name}.scale"]
        made.append(onnx.helper.make_node("DequantizeLinear", stored, [name], axis=axis))
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _rounded(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers and a scale for each entry of `axis`."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    scale = np.maximum(np.abs(values).max(others), np.finfo(np.float32).tiny) / np.float32(LARGEST)
    shape = [-1 if other == axis else 1 for other in range(values.ndim)]
    return np.round(values / scale.reshape(shape)).astype(np.int8), scale.astype(np.float32)


def _leave_out(graph: GraphProto) -> None:
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept: list[TensorProto] = [weight for weight in graph.initializer if weight.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def _shorten(graph: GraphProto) -> None:
    """Number everything but inputs and outputs, and leave operations without names."""
    outside = [value.name for value in (*graph.input, *graph.output)]
    short = {"": "", **{name: name for name in outside}}

    def rename(names: Any) -> None:
        names[:] = [short.setdefault(name, f"{len(short):x}") for name in names]

    for node in graph.node:
        node.name = node.doc_string = ""
        del node.metadata_props[:]
        rename(node.input)
        rename(node.output)
    for weight in graph.initializer:
        weight.name = short[weight.name]
        weight.doc_string = ""
