"""Graphs in int8, as XNNPACK computes it: weights with a scale for each channel, activations with one for the tensor.

Of a static part the scales of activations come from calibration, of a dynamic one from each clip.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.fx import Node

from efficient_sed.errors import ConfigError
from efficient_sed.export.xnnpack.lower import quiet

BACKBONE = "model.backbone"
aten = torch.ops.aten


def quantised(
    program: ExportedProgram, is_static: bool, is_dynamic: bool, calibration: Iterable[np.ndarray]
) -> ExportedProgram:
    """The same graph with operations in int8.

    Args:
        program: In float32.
        is_static: Whether the backbone's are.
        is_dynamic: Whether the matrices behind the backbone are.
        calibration: Inputs of the graph; read only for a static part.

    Raises:
        ConfigError: If there is no clip to calibrate with.
    """
    with quiet(), torch.no_grad():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        quantizer = XNNPACKQuantizer().set_filter_function(_may_be_quantised)
        static = get_symmetric_quantization_config(is_per_channel=True)
        dynamic = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
        for operation in (aten.conv2d.default, aten.add.Tensor) if is_static else ():
            quantizer.set_operator_type(operation, static)
        if is_dynamic:
            quantizer.set_operator_type(aten.linear.default, dynamic)
        (example,) = program.example_inputs[0]
        prepared = prepare_pt2e(program.module(), quantizer)
        count = 0
        for clip in calibration if is_static else ():
            prepared(torch.from_numpy(clip))
            count += 1
        if is_static and count == 0:
            raise ConfigError("int8 needs clips to calibrate with, and the data have none that can be read")
        if not is_static:
            prepared(example)
        return torch.export.export(convert_pt2e(prepared), (example,))


def _may_be_quantised(node: Node) -> bool:
    """Whether it is of the backbone, or a matrix; weights do not tell what they belong to."""
    is_backbone = any(path.endswith(BACKBONE) for path, _ in node.meta.get("nn_module_stack", {}).values())
    return is_backbone or node.op == "get_attr" or node.target is aten.linear.default
