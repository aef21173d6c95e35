"""ExecuTorch with XNNPACK, for `.pte` files.

Its runtime is C++ and small, but that for Python hands tensors over through PyTorch, which is loaded with it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.errors import require_package
from efficient_sed.inference.engines.contract import Engine, unreadable
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES
from efficient_sed.machine.quiet import without_stderr
from efficient_sed.registry import ENGINES

if TYPE_CHECKING:
    import numpy as np

OUTPUTS = (FRAME_SCORES, CLIP_SCORES)
SCORES = "forward"


@ENGINES.register("executorch")
class ExecuTorch(Engine):
    """See `Engine`. The number of threads is that of the whole process."""

    suffix = ".pte"
    package = "executorch"
    is_default = True

    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None:
        require_package("running an ExecuTorch file", "executorch", "executorch")
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime, Verification

        self._model = model
        content = model if isinstance(model, bytes) else model.read_bytes()
        try:
            with without_stderr():
                if num_threads is not None:
                    portable_lib._unsafe_reset_threadpool(num_threads)
                program = Runtime.get().load_program(content, verification=Verification.Minimal)
                self._scores = program.load_method(SCORES)
                names = program.method_names - {SCORES}
                self.metadata: Mapping[str, str] = {name: program.load_method(name).execute([])[0] for name in names}
        except RuntimeError as error:
            raise unreadable(model, "executorch", "ExecuTorch file", error) from error
        self.version = f"executorch {importlib.metadata.version('executorch')}"

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Engine.run`."""
        import numpy as np
        import torch

        (array,) = inputs.values()
        try:
            arrays = self._scores.execute([torch.from_numpy(np.ascontiguousarray(array))])
        except RuntimeError as error:
            raise unreadable(self._model, "executorch", "ExecuTorch file", error) from error
        return [arrays[OUTPUTS.index(name)].numpy() for name in outputs]
