"""TensorFlow Lite files by litert-torch, for phones and browsers.

A file takes the spectrogram of one clip of one length, since litert-torch gets the front end's Fourier transforms
wrong. Its header lies in a ZIP archive behind the graph, as TensorFlow Lite's metadata carry their associated files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from efficient_sed.export.contract import ExportTarget
from efficient_sed.files.appended import append_text
from efficient_sed.inference.engines.litert import HEADER_NAME
from efficient_sed.inference.header import EXACT, FORMAT, FORMAT_KEY, Header
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    import numpy as np

    from efficient_sed.models.sed import SedModel


@EXPORT_TARGETS.register("litert")
class LiteRtTarget(ExportTarget):
    """See `ExportTarget`."""

    suffix = ".tflite"
    packages = ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
    extra = "litert-export"
    inputs = ("mel",)
    is_fixed = True
    precisions = {  # noqa: RUF012
        EXACT: "float32 as in PyTorch",
        "fp16": "weights stored as float16, computed in float32",
        "int8": "weights and activations in int8, with ranges of activations seen in calibration",
        "int8-dynamic": "weights in int8, activations that they are multiplied with by ranges of each clip",
    }

    def write(self, model: SedModel, header: Header) -> bytes:
        """See `ExportTarget.write`."""
        from efficient_sed.export.litert import convert

        return self.with_header(convert(model, header), header)

    def with_header(self, content: bytes, header: Header) -> bytes:
        """See `ExportTarget.with_header`."""
        values = {FORMAT_KEY: FORMAT, **dataclasses.asdict(header)}
        return append_text(content, HEADER_NAME, json.dumps(values, ensure_ascii=False))

    def quantise(
        self, model: SedModel, content: bytes, precision: str, calibration: Iterable[np.ndarray], header: Header
    ) -> bytes:
        """See `ExportTarget.quantise`."""
        from efficient_sed.export.litert import quantise

        return self.with_header(quantise(content, precision, calibration, header.input), header)
