"""Writing scenes as FLAC with their events as TSV, so that a folder appears only when it is complete."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.annotations.event_tables import EVENT_COLUMNS
from efficient_sed.data.annotations.tables import join_row
from efficient_sed.data.events import Event
from efficient_sed.errors import DataError
from efficient_sed.files.locks import locked
from efficient_sed.machine.processes import end_with_parent
from efficient_sed.machine.progress import progress

Draw = Callable[[int], tuple[np.ndarray, Sequence[Event]]]
"""From the number of a scene to its samples at 16 kHz and its events; it crosses process borders."""


def write_folder(folder: Path, write: Callable[[Path], None], key: str = "data.root") -> Path:
    """Have a folder written unless it is there; another process that wants the same waits.

    Args:
        folder: What it is to be called.
        write: Fills a hidden folder, which is renamed at the end; leftovers of a killed process are removed first.
        key: Option that names the folder above, for messages.

    Raises:
        DataError: If it cannot be written.
    """
    root = folder.parent
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{key}={root}: cannot be written ({error.strerror}); give a writable folder as {key}=DIR"
        ) from error
    try:
        with locked(root / f".{folder.name}.lock"):
            if not folder.is_dir():  # another process may have made it while this one waited
                with _unfinished(folder) as unfinished:
                    write(unfinished)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); free some space or give another folder as {key}=DIR"
        ) from error
    return folder


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    unfinished = folder.parent / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


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
    encoded = io.BytesIO()  # libsndfile does not report a full disk as an OSError
    soundfile.write(encoded, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    (folder / "audio" / name).write_bytes(encoded.getvalue())
    rows = [(name, f"{e.onset_s:g}", f"{e.offset_s:g}", e.label) for e in events] or [(name, "", "", "")]
    return "".join(map(join_row, rows))
