"""LiteRT's interpreter, for TensorFlow Lite files: XNNPACK computes what it can, LiteRT's own kernels the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.errors import require_package
from efficient_sed.files.appended import appended_text
from efficient_sed.files.json import parse_json
from efficient_sed.inference.engines.contract import Engine, unreadable
from efficient_sed.machine.cores import count_cores
from efficient_sed.machine.quiet import without_stderr
from efficient_sed.registry import ENGINES

if TYPE_CHECKING:
    import numpy as np

HEADER_NAME = "efficient_sed.json"
"""Of the header in the ZIP archive behind the graph, a JSON object."""


@ENGINES.register("litert")
class LiteRt(Engine):
    """See `Engine`."""

    suffix = ".tflite"
    package = "ai-edge-litert"
    is_default = True

    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None:
        require_package("running a TensorFlow Lite file", "ai_edge_litert", "litert")
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter

        self._model = model
        content = model if isinstance(model, bytes) else model.read_bytes()
        try:
            with without_stderr():  # it announces XNNPACK
                interpreter = Interpreter(model_content=content, num_threads=num_threads or count_cores())
                interpreter.allocate_tensors()
                self._runner = interpreter.get_signature_runner()
            self._shapes = {name: tuple(x["shape"].tolist()) for name, x in self._runner.get_input_details().items()}
            self.metadata: Mapping[str, str] = _read_metadata(content)
        except (ValueError, TypeError, RuntimeError) as error:
            raise unreadable(model, "litert", "TensorFlow Lite file", error) from error
        self.version = f"litert {ai_edge_litert.__version__}"

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Engine.run`."""
        try:
            shapes = {name: array.shape for name, array in inputs.items()}
            if shapes != self._shapes:  # the interpreter would try to make a graph for other shapes
                raise ValueError(f"it takes {self._shapes}, got {shapes}")
            arrays: dict[str, np.ndarray] = self._runner(**inputs)
            if missing := set(outputs) - set(arrays):
                raise ValueError(f"it has no output {min(missing)}")
        except (ValueError, RuntimeError) as error:
            raise unreadable(self._model, "litert", "TensorFlow Lite file", error) from error
        return [arrays[name] for name in outputs]


def _read_metadata(content: bytes) -> dict[str, str]:
    """What the file says about itself, as `Header.to_metadata` has it; nothing of a file that another program made."""
    text = appended_text(content, HEADER_NAME)
    found = {} if text is None else parse_json(text)
    if not isinstance(found, dict):
        raise TypeError(f"its {HEADER_NAME} is no object")
    return {key: x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for key, x in found.items()}
