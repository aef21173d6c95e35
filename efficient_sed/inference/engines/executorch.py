"""ExecuTorch with XNNPACK, for `.pte` files.

Its runtime is C++ and small, but that for Python hands tensors over through PyTorch, which is loaded with it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from efficient_sed.errors import CheckpointError, ShapeError, require_package
from efficient_sed.inference.engines.contract import Engine, shown_name, unreadable
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES
from efficient_sed.machine.cores import count_cores
from efficient_sed.registry import ENGINES

if TYPE_CHECKING:
    import numpy as np

OUTPUTS = (FRAME_SCORES, CLIP_SCORES)
SCORES = "forward"
CHECKSUM_BYTES = 4


@ENGINES.register("executorch")
class ExecuTorch(Engine):
    """See `Engine`. The number of threads is that of the whole process: the last one that was opened sets it."""

    suffix = ".pte"
    package = "executorch"
    is_default = True
    num_changes: ClassVar[int] = 0
    """Of the number of threads; a graph that was loaded before one holds threads that are gone."""

    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None:
        require_package("running an ExecuTorch file", "executorch", "executorch")
        self._model = model
        # not copied: the program reads it as long as it lives
        self._content = model if isinstance(model, bytes) else model.read_bytes()
        if sealed(self._content[:-CHECKSUM_BYTES]) != self._content:
            raise self._unreadable(ValueError("its checksum is missing or wrong"))
        runtime, wanted = _runtime(), count_cores() if num_threads is None else num_threads
        with _without_log():
            if runtime._threadpool_get_thread_count() != wanted:
                runtime._unsafe_reset_threadpool(wanted)
                ExecuTorch.num_changes += 1
        self._load()
        try:
            names = {self._program.get_method_name(index) for index in range(self._program.num_methods())} - {SCORES}
            texts = {name: self._program.load_method(name)([])[0] for name in names}
        except RuntimeError as error:
            raise self._unreadable(error) from error
        self.metadata: Mapping[str, str] = texts
        self.version = f"executorch {importlib.metadata.version('executorch')}"

    def _load(self) -> None:
        runtime = _runtime()
        try:
            with _without_log():
                self._program = runtime._load_program_from_buffer(
                    self._content, program_verification=runtime.Verification.Minimal
                )
                self._scores = self._program.load_method(SCORES)
                self._shape = tuple(self._scores.method_meta().input_tensor_meta(0).sizes())
        except RuntimeError as error:
            raise self._unreadable(error) from error
        self._num_changes = ExecuTorch.num_changes

    def _unreadable(self, error: Exception) -> CheckpointError:
        return unreadable(self._model, "executorch", "ExecuTorch file", error)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Engine.run`."""
        import numpy as np
        import torch

        if self._num_changes != ExecuTorch.num_changes:
            self._load()
        ((name, array),) = inputs.items()
        if array.shape != self._shape:
            raise ShapeError(f"{name} must have shape {self._shape} for {shown_name(self._model)}, got {array.shape}")
        try:
            with _without_log():
                arrays = self._scores([torch.from_numpy(np.ascontiguousarray(array))])
        except RuntimeError as error:
            raise self._unreadable(error) from error
        return [arrays[OUTPUTS.index(name)].numpy() for name in outputs]


def sealed(program: bytes) -> bytes:
    """A program with a checksum behind it, which ExecuTorch passes over: damaged ones would end the process."""
    return program + zlib.crc32(program).to_bytes(CHECKSUM_BYTES, "little")


def _runtime() -> Any:
    """The runtime without the exporter, which its public name loads for seconds and with a warning."""
    import torch  # noqa: F401  # whose libraries it is linked to
    from executorch.extension.pybindings import _portable_lib

    return _portable_lib


def _without_log() -> contextlib.redirect_stderr[io.StringIO]:
    """What it logs goes through Python's standard error, and has no switch."""
    return contextlib.redirect_stderr(io.StringIO())
