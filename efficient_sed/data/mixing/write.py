"""Writing scenes as FLAC with their events as TSV."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from efficient_sed.audio.flac import encode_flac
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.annotations.event_tables import EVENT_COLUMNS
from efficient_sed.data.annotations.tables import join_row
from efficient_sed.data.events import Event
from efficient_sed.machine.processes import end_with_parent
from efficient_sed.machine.progress import progress

Draw = Callable[[int], tuple[np.ndarray, Sequence[Event]]]
"""From the number of a scene to its samples at 16 kHz and its events; it crosses process borders."""


def write_scenes(folder: Path, part: str, count: int, draw: Draw, num_workers: int) -> None:
    """Write audio/PART/*.flac and PART.tsv.

    Args:
        folder: That holds them.
        part: Such as "test".
        count: Scenes.
        draw: Makes them.
        num_workers: Processes that do.
    """
    (folder / "audio" / part).mkdir(parents=True)
    shown = progress(f"soundscapes for {part}", count, is_drawn=sys.stderr.isatty())
    table = join_row(EVENT_COLUMNS)
    with (
        ProcessPoolExecutor(max_workers=max(1, num_workers), initializer=end_with_parent) as pool,
        shown as made,
    ):
        for rows in pool.map(partial(_write_scene, folder, part, draw), range(count), chunksize=8):
            table += rows
            made(1)
    (folder / f"{part}.tsv").write_text(table, encoding="utf-8")


def _write_scene(folder: Path, part: str, draw: Draw, index: int) -> str:
    """Write a scene, and return the rows of its table."""
    samples, events = draw(index)
    name = f"{part}/{index:06d}.flac"
    (folder / "audio" / name).write_bytes(encode_flac(samples, SAMPLE_RATE))
    rows = [(name, f"{e.onset_s:g}", f"{e.offset_s:g}", e.label) for e in events] or [(name, "", "", "")]
    return "".join(map(join_row, rows))
