"""Rows of score tables and the frames below them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efficient_sed.data.scores.grid import Rows, count_frames, find_grid
from efficient_sed.errors import DataError

HOPS_S = (0.01, 0.02, 0.04, 0.064, 512 / 22_050, 1024 / 44_100, 256 * 4 / 16_000, 0.1, 1.0)


def rows_of(counts: list[int], hop_s: float, duration_s: float = np.inf) -> Rows:
    """Rows that cover so many frames each, written with six decimals."""
    borders_s = np.round(np.minimum(np.append(0, np.cumsum(counts)) * hop_s, duration_s), 6)
    return Rows(borders_s[:-1], borders_s[1:])


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(HOPS_S),
    st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=30), min_size=1, max_size=5),
)
def test_rows_are_counted_on_the_coarsest_grid(hop_s: float, tables: list[list[int]]) -> None:
    tables.append([1, 2, 1])  # uneven, and one frame long
    rows = {str(number): rows_of(counts, hop_s) for number, counts in enumerate(tables)}
    found = find_grid(rows)
    assert found.grid.hop_s == pytest.approx(hop_s, abs=1e-8)
    for own, counts in zip(rows.values(), tables, strict=True):
        assert count_frames("clip", own, found.grid.hop_s).tolist() == counts


@pytest.mark.parametrize("hop_s", HOPS_S)
def test_frames_of_one_length(hop_s: float) -> None:
    rows = {clip: rows_of([1] * num, hop_s, num * hop_s - 0.3 * hop_s) for clip, num in (("a", 250), ("b", 7))}
    found = find_grid(rows)
    assert found.num_expanded == 0
    assert found.grid.hop_s == pytest.approx(hop_s, abs=1e-9)
    for own in rows.values():
        assert (count_frames("clip", own, found.grid.hop_s) == 1).all()


def test_one_row_a_clip_is_one_frame() -> None:
    found = find_grid({"a": rows_of([1], 10.0), "b": rows_of([1], 7.3)})
    assert found.grid.hop_s == 10.0
    assert count_frames("b", rows_of([1], 7.3), 10.0).tolist() == [1]


@pytest.mark.parametrize(
    ("onsets_s", "row"), [([0.1, 0.2, 0.3], 1), ([0.0, 0.2, 0.3], 1), ([0.0, 0.1, 0.1], 2), ([0.0, 0.12, 0.2], 1)]
)
def test_rows_follow_one_another(onsets_s: list[float], row: int) -> None:
    offsets_s = np.append(onsets_s[1:], 0.4)
    if onsets_s == [0.0, 0.2, 0.3]:
        offsets_s[0] = 0.15
    with pytest.raises(DataError, match=rf"^clip: row {row} of its table covers "):
        count_frames("clip", Rows(np.array(onsets_s), offsets_s), 0.1)
