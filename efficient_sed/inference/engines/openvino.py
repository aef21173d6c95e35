"""OpenVINO in float32 or bfloat16, for ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from efficient_sed.errors import ConfigError, require_package
from efficient_sed.inference.engines.contract import Engine, shown_name, unreadable
from efficient_sed.machine.onednn import hangs_in_half_precision
from efficient_sed.registry import ENGINES

if TYPE_CHECKING:
    import numpy as np


@ENGINES.register("openvino")
class OpenVino(Engine):
    """See `Engine`."""

    suffix = ".onnx"
    package = "openvino"
    precision: ClassVar[str] = "f32"
    """Named to OpenVINO, which would choose bfloat16 wherever the CPU has it."""

    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None:
        _require()
        import openvino

        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY"}
        if num_threads is not None:
            settings["INFERENCE_NUM_THREADS"] = num_threads
        core = openvino.Core()
        try:
            graph = core.read_model(model)
            if not self.is_exact and _has_endless_convolution(graph):
                raise ConfigError(
                    f"--engine openvino-{self.precision} is not allowed for {shown_name(model)}, "
                    "of which a convolution never ends so on some CPUs; give --engine openvino"
                )
            compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            raise unreadable(model, "openvino", "ONNX file", error) from error
        self.metadata: Mapping[str, str] = (
            {key: value.value for key, value in graph.get_rt_info("framework").astype(dict).items()}
            if graph.has_rt_info("framework")
            else {}
        )
        version = f"openvino {openvino.get_version().split('-')[0]}"
        self.version = version if self.is_exact else f"{version} {self.precision}"
        self._request = compiled.create_infer_request()
        self._places = {name: compiled.output(name) for output in compiled.outputs for name in output.names}

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Engine.run`."""
        arrays = self._request.infer(dict(inputs))
        return [arrays[self._places[name]].copy() for name in outputs]  # the next run overwrites them


@ENGINES.register("openvino-bf16")
class OpenVinoBfloat16(OpenVino):
    """OpenVINO in bfloat16, faster on CPUs with instructions for it."""

    is_exact = False
    tolerance = 0.3  # 0.12 was measured with the released detectors
    precision = "bf16"

    @classmethod
    def is_emulated(cls) -> bool:
        """See `Engine.is_emulated`."""
        _require()
        import openvino

        return "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _has_endless_convolution(graph: Any) -> bool:
    """Whether the graph has a convolution that never ends in bfloat16, see `machine/onednn.py`."""
    shapes = (
        operation.input(1).get_partial_shape()
        for operation in graph.get_ops()
        if operation.get_type_name() == "GroupConvolution"
    )
    static = (list(shape.to_shape()) for shape in shapes if shape.is_static)  # (groups, out, in, *kernel)
    return any(hangs_in_half_precision(groups, kernel) for groups, _, _, *kernel in static)


def _require() -> None:
    require_package("the engine openvino", "openvino", "openvino")
