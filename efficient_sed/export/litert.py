"""Graphs of TensorFlow Lite: litert-torch converts them, the AI Edge Quantizer gives them fewer bits."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.check import Scores, create_example
from efficient_sed.files.appended import without_text
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header
from efficient_sed.machine.quiet import without_stderr
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel

FLOAT16_BITS = 16
SIGNATURE = "serving_default"  # the name that TensorFlow gives to a graph's only one


class NamedScores(nn.Module):
    """A graph whose outputs have the names that engines ask for."""

    def __init__(self, model: SedModel) -> None:
        super().__init__()
        self.scores = Scores(model, has_frontend=False)

    def forward(self, mel: Tensor) -> dict[str, Tensor]:
        """Score spectrograms; see `Scores`."""
        frame_scores, clip_scores = self.scores(mel)
        return {FRAME_SCORES: frame_scores, CLIP_SCORES: clip_scores}


def convert(model: SedModel, header: Header) -> bytes:
    """The graph of a model for one clip of one length, from spectrogram to scores.

    Raises:
        CheckpointError: If litert-torch cannot convert it.
    """
    if any(isinstance(layer, nn.RNNBase) for layer in model.modules()):
        raise CheckpointError(
            f"{header.model_name} is not exported: litert-torch unrolls its recurrent layer over all steps of a clip"
        )
    example = create_example(model, header, 1, header.clip_samples)
    with _quiet():
        import litert_torch

        litert_torch.config.show_progress = False
        try:
            converted = litert_torch.convert(NamedScores(fuse(model)).eval(), sample_kwargs={header.input: example})
            return bytes(converted.model_content())
        except Exception as error:  # of PyTorch, JAX and MLIR, without a common base
            raise CheckpointError(
                f"{header.model_name} is not exported: litert-torch cannot convert it ({_reason(error)})"
            ) from error


def quantise(content: bytes, weight_bits: int, calibration: Iterable[np.ndarray] | None, input_name: str) -> bytes:
    """Convert a graph to fewer bits; inputs and outputs stay float32.

    Args:
        content: Of a file in float32.
        weight_bits: 16 for floats, 8 for integers.
        calibration: Inputs, one clip each, whose activations give the ranges of static integers; None without them.
        input_name: Name of the file's input.

    Raises:
        CheckpointError: If the quantizer fails.
        ConfigError: If there is no clip to calibrate with.
    """
    is_static = calibration is not None
    clips = [{input_name: clip} for clip in calibration or ()]  # here, since it may warn
    if is_static and not clips:
        raise ConfigError("int8 needs clips to calibrate with, and the data have none that can be read")
    with _quiet():
        from ai_edge_quantizer.algorithm_manager import AlgorithmName
        from ai_edge_quantizer.qtyping import TFLOperationName as Op
        from ai_edge_quantizer.quantizer import Quantizer

        try:
            quantizer = Quantizer(without_text(content))
            if weight_bits == FLOAT16_BITS:
                casting = AlgorithmName.FLOAT_CASTING
                quantizer.add_weight_only_config(".*", Op.ALL_SUPPORTED, weight_bits, algorithm_key=casting)
            elif is_static:
                quantizer.add_static_config(".*", Op.ALL_SUPPORTED, weight_bits, weight_bits)
                for place in (Op.INPUT, Op.OUTPUT):
                    quantizer.update_quantization_recipe(".*", place, algorithm_key=AlgorithmName.NO_QUANTIZE)
            else:
                quantizer.add_dynamic_config(".*", Op.ALL_SUPPORTED, weight_bits)
            ranges = quantizer.calibrate({SIGNATURE: clips}, num_threads=1)
            return bytes(quantizer.quantize(ranges).quantized_model)
        except Exception as error:  # without a common base
            raise CheckpointError(
                f"the AI Edge Quantizer cannot store {weight_bits} bits a weight ({_reason(error)})"
            ) from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries print, and without gradients, which a traced graph has no use for."""
    with (
        without_stderr(),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        yield
