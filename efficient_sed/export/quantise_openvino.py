"""ONNX models in int8 for OpenVINO, by NNCF.

NNCF places the roundings where OpenVINO's kernels are: a hard-swish stays in float inside the convolution before it,
where onnxruntime would need one of its own. onnxruntime runs such a file, but its convolutions in float32.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterable

import numpy as np

from efficient_sed.errors import ConfigError

NO_CLIPS = "int8 needs clips to calibrate with, and the data have none that can be read"
KEPT_FLOAT = (
    r"^/frontend/.*",  # quiet bands need all digits of its sines and cosines
    r"^/model/backbone/.*/block\.\d+/(ReduceMean|fc\d|Sigmoid|Mul).*",  # squeeze-and-excitation: it costs score
)


def quantise_for_openvino(data: bytes, calibration: Iterable[np.ndarray], input_name: str) -> bytes:
    """Convert an ONNX file to int8.

    Args:
        data: Content of a file in float32.
        calibration: Inputs, one clip each.
        input_name: Name of the file's input.

    Returns:
        The content of the new file.

    Raises:
        ConfigError: If there is no clip to calibrate with.
    """
    os.environ.setdefault("NNCF_CI", "1")  # it sends no reports about its use then
    import nncf
    import onnx

    clips = list(calibration)
    if not clips:
        raise ConfigError(NO_CLIPS)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        quantised = nncf.quantize(
            onnx.load_from_string(data),
            nncf.Dataset(clips, lambda clip: {input_name: clip}),
            subset_size=len(clips),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(patterns=list(KEPT_FLOAT), validate=False),  # not all models have both
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
    return bytes(quantised.SerializeToString())
