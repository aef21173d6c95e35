"""A teacher's frame logits in HDF5: `filenames` (bytes) and `strong_logits` (float16, clips x classes x frames).

Files of `efficient-sed pseudo-label` also name their `classes` and, as attributes, their origin and the length of a
frame (`frame_hop_s`). A row is as long as the longest clip and begins with the first sample of its clip; behind the end
of a shorter clip it holds `BEYOND`. Whole chunks of `BEYOND` take no space in the file.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.labels import label_problem
from efficient_sed.data.score_checks import check_scores
from efficient_sed.data.spelling import canonical
from efficient_sed.data.storage.containers import HDF5_ERRORS, read_whole, stored_data, texts
from efficient_sed.errors import DataError

PUBLISHED_GRID, PUBLISHED_FRAMES = FrameGrid(), 250  # 40 ms, 10 s
BEYOND = -30.0  # logit of a probability of zero
_AUDIOSET = re.compile(r"(?:.*/)?Y([\w-]{11})(?:\.\w+)?")


def spellings(clip_id: str) -> tuple[str, ...]:
    """Names that a teacher's file may give a clip: its id and, for AudioSet, `Y<id>.mp3`, `Y<id>` and `<id>`."""
    clip_id = canonical(clip_id)
    youtube_id = _AUDIOSET.fullmatch(clip_id)
    return (clip_id, f"Y{youtube_id[1]}.mp3", f"Y{youtube_id[1]}", youtube_id[1]) if youtube_id else (clip_id,)


class PseudoLabels:
    """Logits by clip, on the grid and with the classes of a data set.

    Each process opens the file on first use: handles must not cross a fork, nor be pickled.

    Args:
        path: The file.
        classes: Labels of the data set. A file that names its own may hold more, in any order.
        grid: Frames of the model to be trained; None for any.
        clip_seconds: Length of the clips of a file that does not state its grid; default None, any.

    Raises:
        DataError: If the file is missing, damaged, or holds other classes, another grid, or a clip twice.
    """

    def __init__(
        self,
        path: str | Path,
        classes: Sequence[str],
        grid: FrameGrid | None = PUBLISHED_GRID,
        clip_seconds: float | None = None,
    ) -> None:
        self.path, self.classes = Path(path), tuple(classes)
        self._file: Any = None
        self._inherited: Any = None
        self._process = 0
        if not self.path.is_file():
            raise DataError(f"data.pseudo_labels={path}: no such file")
        try:
            with h5py.File(self.path, "r") as file:
                logits = stored_data(file, "strong_logits")
                names, shape, kind = texts(read_whole(file, "filenames")), logits.shape, logits.dtype.kind
                own_classes = texts(read_whole(file, "classes")) if "classes" in file else None
                own_hop_s = float(file.attrs["frame_hop_s"]) if "frame_hop_s" in file.attrs else None
        except HDF5_ERRORS as error:
            is_cut = isinstance(error, OSError) and h5py.is_hdf5(self.path)
            other = "not a file of pseudo-labels (needed: data sets `filenames` and `strong_logits`)"
            raise DataError(f"{path}: {'a damaged HDF5 file, probably cut off' if is_cut else other}") from error
        if len(shape) != 3 or shape[0] != len(names) or kind != "f":
            raise DataError(
                f"{path}: strong_logits has shape {shape}{'' if kind == 'f' else ' of no floating-point numbers'}; "
                f"needed: {len(names)} clips x classes x frames"
            )
        self._columns = self._select(own_classes, shape[1], classes)
        self.num_frames: int = shape[2]
        if grid is not None:
            self._check_grid(own_hop_s, grid, clip_seconds)
        names = list(map(canonical, names))
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise DataError(f"{path}: holds {len(twice)} clips more than once, first {twice[0]!r}")
        self._row = {name: row for row, name in enumerate(names)}

    def _select(self, own: Sequence[str] | None, num_stored: int, classes: Sequence[str]) -> list[int] | None:
        """Stored rows of the data set's classes; None for all as they are."""
        if own is None:
            if num_stored != len(classes):
                hint = "a data set `classes` in the file would tell which is which"
                raise DataError(
                    f"{self.path}: holds {num_stored} classes without naming them, the data set has {len(classes)}; "
                    f"{hint}"
                )
            return None
        if problem := label_problem(own):
            raise DataError(f"{self.path}: {problem}")
        if len(own) != num_stored:
            raise DataError(f"{self.path}: names {len(own)} classes for {num_stored} rows of logits")
        return select_classes(own, classes, str(self.path))

    def _check_grid(self, own_hop_s: float | None, grid: FrameGrid, clip_seconds: float | None) -> None:
        hop_s = grid.hop_s
        if own_hop_s is not None and not abs(own_hop_s - hop_s) <= 1e-9:
            advice = "write it anew with a teacher on the model's grid, or choose a backbone on its own"
            raise DataError(f"{self.path}: its frames last {own_hop_s:g} s, the model's {hop_s:g} s; {advice}")
        expected = None if clip_seconds is None else grid.num_frames(round(clip_seconds * grid.sample_rate))
        is_published = hop_s == PUBLISHED_GRID.hop_s and self.num_frames == PUBLISHED_FRAMES
        if own_hop_s is None and expected is not None and self.num_frames != expected and not is_published:
            raise DataError(
                f"{self.path}: holds {self.num_frames} frames a clip, data.clip_seconds={clip_seconds:g} has "
                f"{expected} of {hop_s:g} s; "
                "if its frames last as long, add the attribute `frame_hop_s` to the file"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_inherited": None}

    def __contains__(self, clip_id: str) -> bool:
        return any(name in self._row for name in spellings(clip_id))

    def read(self, clip_id: str, first_frame: int, num_frames: int) -> np.ndarray:
        """Logits (classes, frames) of an excerpt in float32; fewer than `num_frames` where the stored ones end.

        Raises:
            DataError: If they cannot be read, or one is not a finite number.
        """
        row = next(self._row[name] for name in spellings(clip_id) if name in self._row)
        try:
            rows = self._open()["strong_logits"]
            stored: np.ndarray = rows[row, :, first_frame : first_frame + num_frames].astype(np.float32)
        except HDF5_ERRORS as error:
            raise DataError(f"{self.path}: the logits of {clip_id!r} cannot be read; the file is damaged") from error
        logits = stored if self._columns is None else stored[self._columns]
        where = f"{self.path}: clip {clip_id!r}"
        check_scores(where, logits.T, self.classes, first_frame=first_frame, needs_finite=True)
        return logits

    def _open(self) -> Any:
        # closing a handle from before the fork would touch the parent's, so it is kept
        if self._process != os.getpid():
            self._inherited, self._file = self._file, None
        if self._file is None:
            self._file, self._process = h5py.File(self.path, "r"), os.getpid()
        return self._file


def select_classes(own: Sequence[str], wanted: Sequence[str], owner: str) -> list[int] | None:
    """Positions of a data set's labels among a teacher's; None if both lists are equal.

    Raises:
        DataError: If the teacher lacks one.
    """
    position = {canonical(label): index for index, label in enumerate(own)}
    wanted = list(map(canonical, wanted))
    if list(position) == wanted:
        return None
    if missing := [label for label in wanted if label not in position]:
        raise DataError(
            f"{owner}: its {len(own)} classes lack {len(missing)} of the data set's {len(wanted)}, first {missing[0]!r}"
        )
    return [position[label] for label in wanted]
