"""Hard-swish in integers, for onnxruntime, which has no kernel for it.

x * hard_sigmoid(x) is x * min(max(x + 3, 0), 6) / 6, and rounding to 8 bits limits what is added by itself: to a range
of 0 to 6 it rounds min(max(x + 3, 0), 6). So two integer kernels, Add and Mul, do what else takes x to float and back.
Where x is less than -3 the result is 0, so the range of x begins there, which leaves more of its 256 steps to the rest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

LEVELS, LEAST, WIDTH = 255, -3.0, 6.0


def use_integer_kernels(data: bytes) -> bytes:
    """Replace each hard-sigmoid between unsigned 8-bit roundings by an addition.

    Args:
        data: Content of an ONNX file, as `quantize_static` makes it with activations of 8 bits without sign.
    """
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    users: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    shared = {
        "hard_swish.zero": np.uint8(0),
        "hard_swish.three": np.uint8(LEVELS),
        "hard_swish.three_scale": np.float32(-LEAST / LEVELS),
        "hard_swish.six_scale": np.float32(WIDTH / LEVELS),
        "hard_swish.one_scale": np.float32(1 / LEVELS),
    }
    zero, three, three_scale, six_scale, one_scale = shared
    nodes = []
    for node in graph.node:
        rounded = users[node.output[0]] if node.op_type == "HardSigmoid" else []
        if [user.op_type for user in rounded] != ["QuantizeLinear"] or node.input[0] not in made_by:
            nodes.append(node)
            continue
        (rounding,) = rounded
        _begin_at_least(made_by[node.input[0]], constants)
        summand, total = f"{node.name}.three", f"{node.name}.sum"
        nodes += [
            onnx.helper.make_node("DequantizeLinear", [three, three_scale, zero], [summand], f"{summand}_dequantized"),
            onnx.helper.make_node("Add", [node.input[0], summand], [total], f"{node.name}.add"),
        ]
        rounding.input[:] = [total, six_scale, zero]
        for user in users[rounding.output[0]]:
            user.input[:] = [rounding.output[0], one_scale, zero]  # a sixth of the sum
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in shared.items())
    return bytes(model.SerializeToString())


def _begin_at_least(dequantise: Any, constants: dict[str, Any]) -> None:
    """Let the range of a rounding begin at -3 if it begins below."""
    from onnx import numpy_helper

    scale, zero = (constants[name] for name in dequantise.input[1:])
    step, place = float(numpy_helper.to_array(scale)), int(numpy_helper.to_array(zero))
    low, high = -place * step, (LEVELS - place) * step
    if low >= LEAST:
        return
    step = (high - LEAST) / LEVELS
    scale.CopyFrom(numpy_helper.from_array(np.asarray(step, np.float32), scale.name))
    zero.CopyFrom(numpy_helper.from_array(np.asarray(round(-LEAST / step), np.uint8), zero.name))
