"""ONNX models in fewer bits: int8 calibrated on the user's sounds, int8 of the head's matrices, float16 on disk.

None of them promises a score: `efficient_sed.experiment.precisions` keeps each together with what it scores and costs.

Weights use 7 of their 8 bits. x86 without VNNI (AVX2, the first AVX-512) adds the products of two unsigned activations
and two signed weights in 16 bits, which saturate at 32767: 255 * 127 * 2 would, 255 * 64 * 2 does not, so a file gives
the same scores on CPUs of either kind.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.errors import ConfigError
from efficient_sed.export.half import store_half
from efficient_sed.export.hard_swish import use_integer_kernels
from efficient_sed.export.quantise_openvino import NO_CLIPS, quantise_for_openvino
from efficient_sed.export.recipes import RECIPES, Recipe
from efficient_sed.export.smallest import make_smallest
from efficient_sed.inference.header import EXACT

FRONT_END, BACKBONE, HEAD = (
    "/frontend/",
    "/model/backbone/",
    "/model/sequence/",
)  # begins of the names that the exporter gives to nodes
NO_MATRIX = (
    "no matrix of the sequence head becomes int8: recurrent layers and convolutions stay in float32; "
    "leave int8-head and int8-all out"
)


def quantise(data: bytes, precision: str, calibration: Iterable[np.ndarray], input_name: str) -> bytes:
    """Convert an ONNX file to another precision.

    Args:
        data: Content of a file in float32.
        precision: One of `RECIPES`.
        calibration: Inputs, one clip each, whose activations give the ranges; read only if the recipe needs them.
        input_name: Name of the file's input.

    Returns:
        The content of the new file.

    Raises:
        ConfigError: If there is no clip to calibrate with, or nothing that becomes int8.
    """
    if precision == EXACT:
        return data
    recipe = RECIPES[precision]
    if recipe.is_half:
        return store_half(data)
    if recipe.is_by_nncf:
        return quantise_for_openvino(data, calibration, input_name)
    clips = list(calibration) if recipe.static else []  # here, since it may warn
    with tempfile.TemporaryDirectory() as name, _quiet():
        path = Path(name) / "model.onnx"
        path.write_bytes(data)
        if recipe.static:
            _quantise_backbone(path, recipe, clips, input_name)
        if recipe.dynamic:
            _quantise_head(path, recipe)
        content = path.read_bytes()
    return make_smallest(content) if recipe.is_smallest else content


def _quantise_backbone(path: Path, recipe: Recipe, calibration: Iterable[np.ndarray], input_name: str) -> None:
    """Of unsigned activations and signed weights: x86 has no fast kernel for other pairs."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = path.with_name("prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    _name_nodes(prepared)
    reader = _Reader(calibration, input_name)
    quantize_static(
        prepared,
        path,
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(recipe.static),
        nodes_to_exclude=[node.name for node in _nodes(prepared) if not node.name.startswith(BACKBONE)],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,
        calibrate_method=CalibrationMethod.MinMax,
    )
    path.write_bytes(use_integer_kernels(path.read_bytes()))


def _quantise_head(path: Path, recipe: Recipe) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    behind = [
        node.name
        for node in _nodes(path)
        if node.op_type in recipe.dynamic and not node.name.startswith((FRONT_END, BACKBONE))
    ]
    behind += [f"{name}_MatMul" for name in behind]  # what a Gemm is called once it was split
    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=list(recipe.dynamic),
        nodes_to_quantize=behind,
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,
    )
    if not any(node.op_type == "MatMulInteger" and node.name.startswith(HEAD) for node in _nodes(path)):
        raise ConfigError(NO_MATRIX)


def _name_nodes(path: Path) -> None:
    """Name the operations that preparation splits a hard-swish into after the part that they belong to."""
    import onnx

    model = onnx.load(path)
    made_in = {name: node.name for node in model.graph.node for name in node.output}
    for index, node in enumerate(model.graph.node):
        if not node.name:
            is_backbone = any(made_in.get(name, "").startswith(BACKBONE) for name in node.input)
            node.name = f"{BACKBONE if is_backbone else ''}unnamed_{index}"
            made_in |= dict.fromkeys(node.output, node.name)
    onnx.save(model, path)


def _nodes(path: Path) -> list[Any]:
    import onnx

    return list(onnx.load(path).graph.node)


class _Reader:
    """Calibration clips through the method that onnxruntime calls."""

    def __init__(self, clips: Iterable[np.ndarray], input_name: str) -> None:
        self._clips, self._input_name, self._count = iter(clips), input_name, 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        clip = next(self._clips, None)
        if clip is None:
            if self._count == 0:
                raise ConfigError(NO_CLIPS)
            return None
        self._count += 1
        return {self._input_name: clip}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice, which goes through the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
