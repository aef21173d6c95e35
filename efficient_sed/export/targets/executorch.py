"""ExecuTorch's `.pte`, for phones and small boards, with all arithmetic in XNNPACK.

A file takes the spectrogram of one clip of one length. What it says about itself are methods without inputs that
return text, by the names of the header's fields, as ExecuTorch's own models carry theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from efficient_sed.errors import CheckpointError
from efficient_sed.export.contract import ExportTarget
from efficient_sed.inference.header import EXACT, Header
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    import numpy as np

    from efficient_sed.models.sed import SedModel

UNROLLED = "ExecuTorch unrolls its recurrent layer into thousands of operations"


class Recipe(NamedTuple):
    """What becomes int8, see `xnnpack/quantise.py`."""

    summary: str
    is_static: bool = False
    """Whether the backbone's convolutions do."""
    is_dynamic: bool = False
    """Whether the matrices behind it do."""


RECIPES: Mapping[str, Recipe] = {
    EXACT: Recipe("float32 as in PyTorch"),
    "int8": Recipe("backbone in int8, hard-swish and gates in float32", is_static=True),
    "int8-head": Recipe("matrices of sequence head and classifier in int8, backbone in float32", is_dynamic=True),
    "int8-all": Recipe("int8 and int8-head together", is_static=True, is_dynamic=True),
}


@EXPORT_TARGETS.register("executorch")
class ExecuTorchTarget(ExportTarget):
    """See `ExportTarget`."""

    suffix = ".pte"
    packages = ("executorch", "torchao", "flatbuffers")
    extra = "executorch"
    inputs = ("mel",)
    is_fixed = True
    precisions = {name: recipe.summary for name, recipe in RECIPES.items()}  # noqa: RUF012

    def __init__(self, runtime: Path | None = None) -> None:
        super().__init__(runtime)
        self._lowered = ""

    def write(self, model: SedModel, header: Header) -> bytes:
        """See `ExportTarget.write`."""
        from torch import nn

        from efficient_sed.export.xnnpack.lower import capture, lower

        if any(isinstance(layer, nn.RNNBase) for layer in model.modules()):
            raise CheckpointError(f"{header.model_name} is not exported: {UNROLLED}")
        content, self._lowered = lower(capture(model, header), header)
        return content

    def quantise(
        self, model: SedModel, content: bytes, precision: str, calibration: Iterable[np.ndarray], header: Header
    ) -> bytes:
        """See `ExportTarget.quantise`: from the model, since a lowered graph cannot be changed."""
        from efficient_sed.export.xnnpack.lower import capture, lower, refusing
        from efficient_sed.export.xnnpack.quantise import quantised

        recipe = RECIPES[precision]
        clips = list(calibration) if recipe.is_static else []  # here, since it may warn
        with refusing(header):
            program = quantised(capture(model, header), recipe.is_static, recipe.is_dynamic, clips)
        content, self._lowered = lower(program, header)
        return content

    def with_header(self, content: bytes, header: Header) -> bytes:
        """See `ExportTarget.with_header`."""
        from efficient_sed.export.xnnpack.lower import replace_header

        return replace_header(content, header)

    def advice(self, path: Path) -> list[str]:
        """See `ExportTarget.advice`."""
        return [self._lowered]
