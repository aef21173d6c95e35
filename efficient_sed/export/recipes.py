"""The precisions that an ONNX model can have, by name. Nothing heavy is imported: the command line lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from efficient_sed.inference.header import EXACT

HALF = "fp16"
CONVOLUTIONS = ("Conv",)
EVERYTHING = ("Conv", "Gemm", "Add", "Mul", "HardSigmoid", "Relu", "ReduceMean", "Sigmoid")
MATRICES = ("MatMul", "Gemm")


@dataclass(frozen=True)
class Recipe:
    """What becomes int8; weights then have 7 bits, see `quantise`."""

    summary: str
    static: tuple[str, ...] = ()
    """Operations of the backbone whose weights and activations do, with ranges seen in calibration."""
    per_channel: bool = True
    """Whether each output channel of a weight has a scale of its own."""
    dynamic: tuple[str, ...] = ()
    """Operations behind the backbone whose weights do, with ranges of activations of each clip."""


RECIPES: Mapping[str, Recipe] = {
    EXACT: Recipe("float32 as exported"),
    HALF: Recipe("weights stored as float16, computed in float32"),
    "int8": Recipe("backbone in int8, squeeze-and-excitation and hard-swish too", EVERYTHING),
    "int8-per-tensor": Recipe("the same with one scale for all channels of a weight", EVERYTHING, per_channel=False),
    "int8-convs": Recipe(
        "convolutions of the backbone in int8, squeeze-and-excitation and hard-swish in float32", CONVOLUTIONS
    ),
    "int8-head": Recipe("matrices of sequence head and classifier in int8, backbone in float32", dynamic=MATRICES),
    "int8-all": Recipe("int8 and int8-head together", EVERYTHING, dynamic=MATRICES),
}
