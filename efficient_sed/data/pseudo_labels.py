"""A teacher's frame logits in HDF5: `filenames` (bytes) and `strong_logits` (float16, clips x classes x frames)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from efficient_sed.errors import DataError


class PseudoLabels:
    """Logits by file name. The file is opened by each process on first use: handles must not cross a fork, nor be pickled.

    Raises:
        DataError: If the file is missing, lacks a data set, or holds another number of classes.
    """

    def __init__(self, path: str | Path, classes: Sequence[str]) -> None:
        self.path = Path(path)
        self._file: Any = None
        if not self.path.is_file():
            raise DataError(f"data.pseudo_labels={path}: no such file")
        try:
            with h5py.File(self.path, "r") as file:
                names, logits = file["filenames"][:], file["strong_logits"]
                shape = logits.shape
        except (OSError, KeyError) as error:
            raise DataError(f"{path}: not a file of pseudo-labels (needed: data sets `filenames` and `strong_logits`)") from error
        if len(shape) != 3 or shape[0] != len(names) or shape[1] != len(classes):
            raise DataError(f"{path}: strong_logits has shape {shape}; needed: {len(names)} clips x {len(classes)} classes x frames")
        self._row = {name.decode() if isinstance(name, bytes) else str(name): row for row, name in enumerate(names)}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._row

    def read(self, clip_id: str, first_frame: int, num_frames: int) -> np.ndarray:
        """Logits (classes, num_frames) of an excerpt; what lies beyond the stored frames is padded with -30, a probability of zero."""
        if self._file is None:
            self._file = h5py.File(self.path, "r")
        stored = self._file["strong_logits"][self._row[clip_id], :, first_frame : first_frame + num_frames].astype(np.float32)
        return np.pad(stored, ((0, 0), (0, num_frames - stored.shape[1])), constant_values=-30.0)
