"""ExecuTorch's `.pte`, for phones and small boards, with all arithmetic in XNNPACK.

A file takes the spectrogram of one clip of one length. What it says about itself are methods without inputs that
return text, by the names of the header's fields, as ExecuTorch's own models carry theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.errors import CheckpointError
from efficient_sed.export.contract import ExportTarget
from efficient_sed.inference.header import EXACT, Header
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    import numpy as np

    from efficient_sed.models.sed import SedModel

UNROLLED = "ExecuTorch unrolls its recurrent layer into thousands of operations"


@EXPORT_TARGETS.register("executorch")
class ExecuTorchTarget(ExportTarget):
    """See `ExportTarget`."""

    suffix = ".pte"
    packages = ("executorch", "torchao", "flatbuffers")
    extra = "executorch"
    inputs = ("mel",)
    is_fixed = True
    precisions = {EXACT: "float32 as in PyTorch"}  # noqa: RUF012

    def __init__(self, runtime: Path | None = None) -> None:
        super().__init__(runtime)
        self._lowered = ""

    def write(self, model: SedModel, header: Header) -> bytes:
        """See `ExportTarget.write`."""
        from torch import nn

        from efficient_sed.export.xnnpack import capture, lower

        if any(isinstance(layer, nn.RNNBase) for layer in model.modules()):
            raise CheckpointError(f"{header.model_name} is not exported: {UNROLLED}")
        content, self._lowered = lower(capture(model, header), header)
        return content

    def with_header(self, content: bytes, header: Header) -> bytes:
        """See `ExportTarget.with_header`."""
        from efficient_sed.export.xnnpack import replace_header

        return replace_header(content, header)

    def advice(self, path: Path) -> list[str]:
        """See `ExportTarget.advice`."""
        return [self._lowered]
