"""ONNX models whose large weights are stored as float16 and computed with in float32."""

from __future__ import annotations

import numpy as np

LEAST_VALUES = 256  # of a tensor that is worth storing as float16


def store_half(data: bytes) -> bytes:
    """Store large weights as float16 behind a cast, which run times carry out once when they load the file.

    Weights beyond the range of float16 stay, and constants do: the front end's sines and cosines need all their digits
    for the quiet bands.
    """
    import onnx

    model = onnx.load_from_string(data)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < LEAST_VALUES:
            continue
        values = onnx.numpy_helper.to_array(weight)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())
