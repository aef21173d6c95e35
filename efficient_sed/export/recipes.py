"""The precisions that an ONNX model can have, by name. Nothing heavy is imported: the command line lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from efficient_sed.inference.header import EXACT

BACKBONE_OPERATIONS = ("Conv", "Add", "Mul", "HardSigmoid", "Relu")  # squeeze-and-excitation in int8 costs score
MATRICES = ("MatMul", "Gemm")


@dataclass(frozen=True)
class Recipe:
    """What becomes int8; weights then have 7 bits, see `quantise`."""

    summary: str
    static: tuple[str, ...] = ()
    """Operations of the backbone whose weights and activations do, with ranges seen in calibration."""
    dynamic: tuple[str, ...] = ()
    """Operations behind the backbone whose weights do, with ranges of activations of each clip."""
    is_half: bool = False
    """Whether weights are stored as float16, and nothing becomes int8."""
    is_smallest: bool = False
    """Whether other matrices are stored as int8, too, and names are left out, see `smallest`."""
    is_by_nncf: bool = False
    """Whether NNCF chooses, see `quantise_openvino`."""


RECIPES: Mapping[str, Recipe] = {
    EXACT: Recipe("float32 as exported"),
    "fp16": Recipe("weights stored as float16, computed in float32", is_half=True),
    "int8": Recipe("backbone in int8, for onnxruntime", BACKBONE_OPERATIONS),
    "int8-head": Recipe("matrices of sequence head and classifier in int8, backbone in float32", dynamic=MATRICES),
    "int8-all": Recipe("int8 and int8-head together", BACKBONE_OPERATIONS, dynamic=MATRICES),
    "int8-small": Recipe(
        "int8, with all other matrices stored as int8, and without names", BACKBONE_OPERATIONS, is_smallest=True
    ),
    "int8-openvino": Recipe("backbone, sequence head and classifier in int8, for OpenVINO", is_by_nncf=True),
}
