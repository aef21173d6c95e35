"""ONNX, by the exporter of PyTorch that follows one forward pass.

The newer one (`dynamo=True`) unrolls a recurrent layer over the time of its example.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed import __version__
from efficient_sed.errors import CheckpointError, ConfigError, require_package
from efficient_sed.export.contract import ExportTarget
from efficient_sed.export.recipes import RECIPES
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from efficient_sed.models.sed import SedModel

EXPECTED_WARNINGS = (
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed"),  # of a function that the exporter calls
    (UserWarning, "Constant folding"),  # of the few operations that it leaves to the run time
    (UserWarning, "Exporting a model to ONNX with a batch_size other than 1"),
)


@EXPORT_TARGETS.register("onnx")
class OnnxTarget(ExportTarget):
    """See `ExportTarget`."""

    suffix = ".onnx"
    packages = ("onnx", "onnxruntime")
    extra = "onnx"
    opset = 17  # the first with LayerNormalization; read by every run time of the last years
    precisions = {name: recipe.summary for name, recipe in RECIPES.items()}  # noqa: RUF012

    def write(self, model: SedModel, header: Header) -> bytes:
        """See `ExportTarget.write`."""
        import torch

        from efficient_sed.export.check import Scores, create_example, example_lengths
        from efficient_sed.models.fuse import fuse

        lengths = example_lengths(header)
        example = create_example(model, header, 2, sum(lengths) // len(lengths))
        graph = Scores(fuse(model), header.input == "waveform")
        # the exporter turns its log on, which prints the whole graph where an operation is missing; no public switch
        graph.register_forward_pre_hook(lambda *_: torch._C._jit_set_onnx_log_enabled(False))
        try:
            return self.with_header(_trace(graph, example, header), header)
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"{header.model_name} is not exported: it has an operation that ONNX lacks ({reason})"
            ) from error

    def with_header(self, content: bytes, header: Header) -> bytes:
        """See `ExportTarget.with_header`."""
        import onnx

        graph = onnx.load_from_string(content)
        onnx.checker.check_model(graph)
        graph.producer_name, graph.producer_version = "efficient_sed", __version__
        onnx.helper.set_model_props(graph, header.to_metadata())
        return bytes(graph.SerializeToString())

    def advice(self, path: Path) -> list[str]:
        """See `ExportTarget.advice`."""
        runners = " and ".join(dict.fromkeys(name.partition("-")[0] for name in self.engines()))
        return [f"for {runners}, on PCs and boards without PyTorch: efficient-sed detect RECORDING --model {path}"]

    def quantise(
        self, model: SedModel, content: bytes, precision: str, calibration: Iterable[np.ndarray], header: Header
    ) -> bytes:
        """See `ExportTarget.quantise`."""
        from efficient_sed.export.quantise import quantise

        return quantise(content, precision, calibration, header.input)

    def check_precision(self, model: SedModel, precision: str) -> None:
        """See `ExportTarget.check_precision`."""
        from torch import nn

        from efficient_sed.export.quantise import NO_MATRIX

        super().check_precision(model, precision)
        if RECIPES[precision].is_by_nncf:
            require_package(f"precision {precision}", "nncf", "nncf")
        has_matrix = any(isinstance(layer, nn.Linear) for layer in model.sequence.modules())
        if RECIPES[precision].dynamic and not has_matrix:
            raise ConfigError(NO_MATRIX)


def _trace(graph: nn.Module, example: Tensor, header: Header) -> bytes:
    import torch

    is_waveform = header.input == "waveform"
    axes = {
        header.input: {0: "batch", 1 if is_waveform else 3: "samples" if is_waveform else "mel_frames"},
        FRAME_SCORES: {0: "batch", 2: "frames"},
        CLIP_SCORES: {0: "batch"},
    }
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        tracer_warning = torch.jit.TracerWarning  # type: ignore[attr-defined]  # public, but not in its type hints
        warnings.filterwarnings("ignore", category=tracer_warning)  # the result is compared with PyTorch's
        for category, message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        torch.onnx.export(
            graph,
            (example,),
            file,  # type: ignore[arg-type]  # its hint forgets open files
            dynamo=False,
            opset_version=header.opset,
            input_names=[header.input],
            output_names=[FRAME_SCORES, CLIP_SCORES],
            dynamic_axes=axes,
        )
    return file.getvalue()
