"""A teacher's clip logits, for training on clip labels: one array and a pickled dictionary from file name to row.

Schmid et al. 2023 published `passt_enemble_logits_mAP_495.npy` with `fname_to_index.pkl`; its names are YouTube ids.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.data.labels import NUM_AUDIOSET_WEAK, audioset_labels
from efficient_sed.data.pseudo_labels import select_classes, spellings
from efficient_sed.data.score_checks import check_scores
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError

PLAIN_OPCODES = {
    "PROTO", "FRAME", "MARK", "STOP", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "MEMOIZE", "PUT", "BINPUT",
    "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
}  # fmt: skip
NOT_AN_INDEX = "not a pickled dictionary from file name to row, of plain text and whole numbers"


class ClipTeacher:
    """Logits by clip, read like frame logits that are the same in each frame.

    The array stays on disk; each process maps it on first use.

    Args:
        path: Array in numpy's format, shape (clips, classes); 527 columns are AudioSet's classes, in their order.
        index: Pickled dictionary from file name to row. It may hold only text and whole numbers; no code is run.
        classes: Labels of the data set.

    Raises:
        DataError: If a file is missing, damaged or of another kind, or the two do not fit together or to the classes.
    """

    def __init__(self, path: str | Path, index: str | Path, classes: Sequence[str]) -> None:
        self.path, self.classes = Path(path), tuple(classes)
        self._logits: Any = None
        logits = self._map()
        self._row = _read_index(Path(index))
        if beyond := [name for name, row in self._row.items() if not 0 <= row < len(logits)]:
            raise DataError(
                f"{index}: row {self._row[beyond[0]]} of {beyond[0]!r} is not in {path}, which has {len(logits)} rows"
            )
        if logits.shape[1] == NUM_AUDIOSET_WEAK:
            self._columns = select_classes(audioset_labels("weak"), classes, str(path))
        elif logits.shape[1] == len(classes):
            self._columns = None
        else:
            raise DataError(f"{path}: holds {logits.shape[1]} classes, the data set has {len(classes)}")

    def _map(self) -> np.ndarray:
        if not self.path.is_file():
            raise DataError(f"data.clip_teacher={self.path}: no such file")
        try:
            logits: np.ndarray = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # a damaged header makes numpy raise almost anything
            raise DataError(f"{self.path}: not an array in numpy's format, or cut off") from error
        if not isinstance(logits, np.ndarray) or logits.ndim != 2 or logits.dtype.kind != "f":
            found = f"{logits.dtype} of shape {logits.shape}" if isinstance(logits, np.ndarray) else "an archive"
            raise DataError(f"{self.path}: holds {found}; needed: floating-point logits, clips x classes")
        return logits

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_logits": None}  # a mapped array would be pickled as its content

    def __contains__(self, clip_id: str) -> bool:
        return any(name in self._row for name in spellings(clip_id))

    def read(self, clip_id: str, first_frame: int, num_frames: int) -> np.ndarray:
        """Logits (classes, num_frames) in float32, the same in each frame.

        Raises:
            DataError: If one is not a finite number.
        """
        if self._logits is None:
            self._logits = self._map()
        row = next(self._row[name] for name in spellings(clip_id) if name in self._row)
        stored = self._logits[row].astype(np.float32)
        logits = stored if self._columns is None else stored[self._columns]
        check_scores(f"{self.path}: clip {clip_id!r} (row {row})", logits[None], self.classes, needs_finite=True)
        return np.repeat(logits[:, None], num_frames, axis=1)


def _read_index(path: Path) -> dict[str, int]:
    """Row of each clip.

    Only opcodes that make text, whole numbers and a dictionary are admitted, before anything is unpickled.
    """
    if not path.is_file():
        raise DataError(f"data.clip_teacher_index={path}: no such file")
    data = path.read_bytes()
    try:
        for opcode, value, _ in pickletools.genops(data):
            if opcode.name not in PLAIN_OPCODES:
                raise ValueError(f"it holds {opcode.name}")
            if "PUT" in opcode.name and int(value or 0) > len(data):  # memory for so many entries would be taken
                raise ValueError(f"it numbers {value} entries")
        index = pickle.loads(data)
    except Exception as error:  # a damaged pickle raises almost anything
        why = " ".join(str(error).split())
        raise DataError(f"{path}: {NOT_AN_INDEX} ({why}); nothing in it was run") from error
    if not isinstance(index, dict) or not all(
        isinstance(name, str) and type(row) is int for name, row in index.items()
    ):
        raise DataError(f"{path}: {NOT_AN_INDEX}")
    return {canonical(name): row for name, row in index.items()}
