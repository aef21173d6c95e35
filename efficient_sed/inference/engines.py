"""What runs an ONNX file on a CPU, without PyTorch: onnxruntime, or OpenVINO in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from efficient_sed.errors import CheckpointError, ConfigError, nearest, require_package
from efficient_sed.machine.onednn import hangs_in_half_precision

if TYPE_CHECKING:
    import numpy as np

EXPORTED_SUFFIX = ".onnx"
DEFAULT_ENGINE = "onnxruntime"
OPENVINO_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}
ENGINES = (DEFAULT_ENGINE, *OPENVINO_PRECISIONS)


class Engine(Protocol):
    """A graph that is ready to run."""

    metadata: Mapping[str, str]
    version: str
    """The engine and its version."""
    is_exact: bool
    """Whether it computes in the precision of the file."""

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of these names for the inputs.

        Raises:
            CheckpointError: If the model does not have them, or cannot be run.
        """


def open_engine(model: Path | bytes, num_threads: int | None = None, engine: str = DEFAULT_ENGINE) -> Engine:
    """A graph in an engine.

    Args:
        model: An ONNX file or its content.
        num_threads: Of the engine; none: as many as the machine has cores.

    Raises:
        CheckpointError: If the engine cannot read the model.
        ConfigError: If there is no such engine.
        MissingDependencyError: Without the engine's package.
    """
    if engine == DEFAULT_ENGINE:
        return _OnnxRuntime(model, num_threads)
    if engine in OPENVINO_PRECISIONS:
        return _OpenVino(model, num_threads, OPENVINO_PRECISIONS[engine])
    raise ConfigError(f"no engine {engine!r}; {nearest(engine, ENGINES)}")


class _OnnxRuntime:
    def __init__(self, model: Path | bytes, num_threads: int | None) -> None:
        require_package("running an ONNX file", "onnxruntime", "onnx")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # nothing below a crash: errors are raised
        options.intra_op_num_threads = num_threads or 0
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        except runtime_errors() as error:
            raise _unreadable(model, "onnxruntime", error) from error
        self._model = model
        self.version, self.is_exact = f"onnxruntime {onnxruntime.__version__}", True

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        try:
            given: list[np.ndarray] = self._session.run(list(outputs), dict(inputs))
        except runtime_errors() as error:
            raise _unreadable(self._model, "onnxruntime", error) from error
        return given


class _OpenVino:
    """Its own choice of precision would be bfloat16 wherever the CPU has it, so it is told."""

    def __init__(self, model: Path | bytes, num_threads: int | None, precision: str) -> None:
        require_package("the engine openvino", "openvino", "openvino")
        import openvino

        how: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if num_threads is not None:
            how["INFERENCE_NUM_THREADS"] = num_threads
        core = openvino.Core()
        try:
            graph = core.read_model(model)
            if precision != "f32" and _has_endless_convolution(graph):
                raise ConfigError(
                    f"--engine openvino-{precision} is not allowed for {_name(model)}, of which a convolution never ends so on some CPUs; give --engine openvino"
                )
            compiled = core.compile_model(graph, "CPU", how)
        except RuntimeError as error:
            raise _unreadable(model, "openvino", error) from error
        self.metadata: Mapping[str, str] = (
            {key: value.value for key, value in graph.get_rt_info("framework").astype(dict).items()}
            if graph.has_rt_info("framework")
            else {}
        )
        self.is_exact = precision == "f32"
        self.version = f"openvino {openvino.get_version().split('-')[0]}" + ("" if self.is_exact else f" {precision}")
        self._request, self._places = (
            compiled.create_infer_request(),
            {name: compiled.output(name) for output in compiled.outputs for name in output.names},
        )

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        given = self._request.infer(dict(inputs))
        return [given[self._places[name]].copy() for name in outputs]  # its next run writes over them


def runtime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its errors have no base of their own, and names that are no text or not there are ValueErrors."""
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


def _has_endless_convolution(graph: Any) -> bool:
    """Whether it has one of those that never end."""
    shapes = (
        operation.input(1).get_partial_shape()
        for operation in graph.get_ops()
        if operation.get_type_name() == "GroupConvolution"
    )
    static = (list(shape.to_shape()) for shape in shapes if shape.is_static)  # (groups, out, in, *kernel)
    return any(hangs_in_half_precision(groups, kernel) for groups, _, _, *kernel in static)


def _name(model: Path | bytes) -> str:
    return str(model) if isinstance(model, Path) else "the exported graph"


def _unreadable(model: Path | bytes, engine: str, error: Exception) -> CheckpointError:
    reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return CheckpointError(f"{_name(model)}: {engine} cannot read it, damaged or no ONNX file ({reason})")
