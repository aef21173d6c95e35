"""TensorFlow Lite files by litert-torch, for phones and browsers.

A file takes the spectrogram of one clip of one length, since litert-torch gets the front end's Fourier transforms
wrong. Its header lies in a ZIP archive behind the graph, as TensorFlow Lite's metadata carry their associated files.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from efficient_sed.export.contract import ExportTarget
from efficient_sed.files.appended import append_text
from efficient_sed.inference.engines.litert import HEADER_NAME
from efficient_sed.inference.header import EXACT, FORMAT, FORMAT_KEY, Header
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    import numpy as np

    from efficient_sed.models.sed import SedModel


class Recipe(NamedTuple):
    """What a precision changes."""

    summary: str
    weight_bits: int = 32
    """16 and 32 are floats."""
    is_static: bool = False
    """Whether activations are in int8, too, with ranges seen in calibration; else a product takes each clip's own."""


RECIPES: Mapping[str, Recipe] = {
    EXACT: Recipe("float32 as in PyTorch"),
    "fp16": Recipe("weights stored as float16, computed in float32", 16),
    "int8": Recipe(
        "weights and activations in int8, with ranges of activations seen in calibration", 8, is_static=True
    ),
    "int8-dynamic": Recipe("weights in int8, activations that they are multiplied with by ranges of each clip", 8),
}


@EXPORT_TARGETS.register("litert")
class LiteRtTarget(ExportTarget):
    """See `ExportTarget`."""

    suffix = ".tflite"
    packages = ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
    extra = "litert-export"
    inputs = ("mel",)
    is_fixed = True
    precisions = {name: recipe.summary for name, recipe in RECIPES.items()}  # noqa: RUF012

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

        recipe = RECIPES[precision]
        fewer = quantise(content, recipe.weight_bits, calibration if recipe.is_static else None, header.input)
        return self.with_header(fewer, header)
