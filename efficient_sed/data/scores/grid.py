"""The frames of score tables: how long one is, and how many a row covers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.errors import DataError

MAX_TIME_ERROR_S = 1e-5  # of a table's onsets and offsets: they are rounded when they are written
MIN_HOP_S = 1e-3  # of a grid on which rows of unequal length lie
SAMPLE_RATES = (1000, 16_000, 32_000, 44_100, 48_000)  # a frame is a whole number of samples at one of them


class Rows(NamedTuple):
    """Onsets and offsets in seconds of a table's rows."""

    onsets_s: np.ndarray
    offsets_s: np.ndarray

    @property
    def is_regular(self) -> bool:
        """Whether they are equally long; the last one may be shorter."""
        lengths = np.diff(self.onsets_s)
        if len(lengths) == 0:
            return False
        is_last_longer = self.offsets_s[-1] - self.onsets_s[-1] > lengths[0] + 2 * MAX_TIME_ERROR_S
        return bool(np.ptp(lengths) <= 2 * MAX_TIME_ERROR_S and not is_last_longer)


class TableGrid(NamedTuple):
    """What all tables share."""

    grid: FrameGrid
    num_expanded: int
    """Tables with rows that cover several frames."""


def find_grid(tables: Mapping[str, Rows]) -> TableGrid:
    """The grid on which every row of every table is a whole number of frames.

    Args:
        tables: Rows by clip; times may be rounded to 1e-5 s.

    Raises:
        DataError: If there is none with frames of at least a millisecond, or tables of equally long rows differ.
    """
    uneven = [clip_id for clip_id, rows in tables.items() if not rows.is_regular]
    even = {clip_id: rows for clip_id, rows in tables.items() if rows.is_regular}
    if not uneven:
        first = max(even, key=lambda clip_id: len(even[clip_id].onsets_s))
        hop_s = _even_hop(even[first])
        for clip_id, rows in even.items():
            other_s = _even_hop(rows)
            if abs(other_s - hop_s) * (len(rows.onsets_s) - 1) > 2 * MAX_TIME_ERROR_S:
                frames = f"frames of {other_s:.6g} s, that of {first!r} of {hop_s:.6g} s"
                raise DataError(f"clip {clip_id!r}: its table has {frames}; all tables must have one grid")
        return TableGrid(_to_grid(hop_s, max(len(rows.onsets_s) for rows in even.values())), 0)
    return TableGrid(_common_grid(tables), len(uneven))


def count_frames(where: str, rows: Rows, hop_s: float) -> np.ndarray:
    """How many frames each row covers; of the last one a part of a frame counts as a whole one.

    Args:
        where: The clip, for the message.
        rows: Of its table.
        hop_s: Seconds of a frame.

    Raises:
        DataError: Unless the rows follow one another from 0 s on, and begin and end with frames; the message names the
            row.
    """
    ends = np.rint(rows.offsets_s / hop_s)
    if len(ends):
        ends[-1] = np.ceil((rows.offsets_s[-1] - MAX_TIME_ERROR_S) / hop_s)
    begins = np.append(0, ends[:-1])
    is_right = (np.abs(rows.onsets_s - begins * hop_s) <= MAX_TIME_ERROR_S) & (ends > begins)
    is_right[:-1] &= np.abs(rows.offsets_s - ends * hop_s)[:-1] <= MAX_TIME_ERROR_S
    if is_right.all():
        return np.asarray(ends - begins, np.int64)
    row = int(np.argmin(is_right))
    onset_s, offset_s, begin_s = rows.onsets_s[row], rows.offsets_s[row], begins[row] * hop_s
    meant = f"; is frame_hop_s={offset_s:g} meant?" if row == 0 and onset_s == 0 < offset_s else ""
    raise DataError(
        f"{where}: row {row + 1} of its table covers {onset_s:g} to {offset_s:g} s; with frame_hop_s={hop_s:g} it must "
        f"cover {begin_s:g} to {begin_s + hop_s:g} s, or a multiple of that{meant}"
    )


def _even_hop(rows: Rows) -> float:
    return float(rows.onsets_s[-1] - rows.onsets_s[0]) / (len(rows.onsets_s) - 1)


def _common_grid(tables: Mapping[str, Rows]) -> FrameGrid:
    """The coarsest grid of rows of unequal length; the end of a clip need not lie on it."""
    lengths = np.concatenate([np.diff(rows.onsets_s) for rows in tables.values()])
    lengths = lengths[lengths > MAX_TIME_ERROR_S]
    longest = max(len(rows.onsets_s) for rows in tables.values())
    if len(lengths) == 0:  # one row a clip
        return _to_grid(max(float(rows.offsets_s[-1]) for rows in tables.values() if len(rows.offsets_s)), 1)
    for divisor in range(1, max(1, int(lengths.min() / MIN_HOP_S)) + 1):
        hop_s = lengths.min() / divisor
        for _ in range(2):  # the second time with what all lengths say
            counts = np.rint(lengths / hop_s)
            hop_s = float(lengths @ counts / (counts @ counts))
        if np.abs(lengths - counts * hop_s).max() <= 2 * MAX_TIME_ERROR_S:
            return _to_grid(hop_s, longest)
    raise DataError(
        f"scores: rows of their tables are multiples of no common frame of {MIN_HOP_S:g} s or more; "
        "needed: onsets and offsets on one grid"
    )


def _to_grid(hop_s: float, num_frames: int) -> FrameGrid:
    """The grid of a hop that was estimated from times, as a whole number of samples."""
    for rate in SAMPLE_RATES:
        samples = round(hop_s * rate)
        if samples and abs(samples / rate - hop_s) * num_frames <= MAX_TIME_ERROR_S / 4:
            return FrameGrid(rate, samples, 1)
    fraction = Fraction(hop_s).limit_denominator(10**6)
    return FrameGrid(fraction.denominator, fraction.numerator, 1)
