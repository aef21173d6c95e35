"""Hard-swish by an addition and a product of integers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from efficient_sed.export.hard_swish import use_integer_kernels


def graph(low: float, high: float) -> bytes:
    """Hard-swish as onnxruntime's quantisation leaves it: each tensor rounded to 256 levels."""
    scales = {"x": (high - low) / 255, "gate": 1 / 255, "y": (high + 0.375) / 255}
    zeros = {"x": round(-low / scales["x"]), "gate": 0, "y": round(0.375 / scales["y"])}
    nodes = []

    def rounded(name: str, given: str) -> str:
        parameters = [f"{name}.scale", f"{name}.zero"]
        nodes.append(helper.make_node("QuantizeLinear", [given, *parameters], [f"{name}.q"], f"{name}.q"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", *parameters], [f"{name}.dq"], f"{name}.dq"))
        return f"{name}.dq"

    x = rounded("x", "x")
    nodes.append(helper.make_node("HardSigmoid", [x], ["gate"], "gate", alpha=1 / 6, beta=0.5))
    nodes.append(helper.make_node("Mul", [x, rounded("gate", "gate")], ["y"], "product"))
    out = rounded("y", "y")
    constants = [numpy_helper.from_array(np.float32(scales[name]), f"{name}.scale") for name in scales]
    constants += [numpy_helper.from_array(np.uint8(zeros[name]), f"{name}.zero") for name in zeros]
    shape = [1, None]
    made = helper.make_graph(
        nodes,
        "hard_swish",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-3.0, 3.0), (-9.0, 5.0), (-20.0, 20.0)])
def test_it_is_a_hard_swish(low: float, high: float) -> None:
    data = use_integer_kernels(graph(low, high))
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    assert "HardSigmoid" not in {node.op_type for node in model.graph.node}
    x = np.linspace(low, high, 1001, dtype=np.float32)[None]
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x})
    step = (high - max(low, -3.0)) / 255  # of x; its slope is at most 1.5, and the gate has steps of 1/255
    np.testing.assert_allclose(
        found, x * np.clip(x / 6 + 0.5, 0, 1), rtol=0, atol=1.5 * step / 2 + 1.5 * (high + 0.375) / 255
    )


def test_a_wide_range_becomes_finer() -> None:
    """Below -3 the result is 0, so no level is spent there."""
    x = np.linspace(0.0, 3.0, 1001, dtype=np.float32)[None]
    errors = []
    for data in (graph(-30.0, 3.0), use_integer_kernels(graph(-30.0, 3.0))):
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        errors.append(np.abs(session.run(None, {"x": x})[0] - x * np.clip(x / 6 + 0.5, 0, 1)).mean())
    assert errors[1] < 0.5 * errors[0]
