"""onnxruntime, for ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.errors import require_package
from efficient_sed.inference.engines.contract import Engine, unreadable
from efficient_sed.registry import ENGINES

if TYPE_CHECKING:
    import numpy as np

FATAL_ONLY = 4  # severity of its log: errors are raised


@ENGINES.register("onnxruntime")
class OnnxRuntime(Engine):
    """See `Engine`."""

    suffix = ".onnx"
    package = "onnxruntime"
    is_default = True
    can_fork = True

    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None:
        require_package("running an ONNX file", "onnxruntime", "onnx")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY
        options.intra_op_num_threads = num_threads or 0
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except _errors() as error:
            raise unreadable(model, "onnxruntime", "ONNX file", error) from error
        self._model = model
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.version = f"onnxruntime {onnxruntime.__version__}"

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Engine.run`."""
        try:
            arrays: list[np.ndarray] = self._session.run(list(outputs), dict(inputs))
        except _errors() as error:
            raise unreadable(self._model, "onnxruntime", "ONNX file", error) from error
        return arrays


def _errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its errors have no common base, and unknown names are ValueErrors."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return (
        errors.Fail,
        errors.InvalidProtobuf,
        errors.InvalidGraph,
        errors.InvalidArgument,
        errors.NotImplemented,
        errors.RuntimeException,
        ValueError,
    )
