"""Writing a packed copy of a data set: 16-bit samples at 16 kHz, one clip after another."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import PARTS, STRONG, Clip, Splits
from efficient_sed.data.storage.columns import ColumnPart, group_clips
from efficient_sed.data.storage.containers import forget
from efficient_sed.data.storage.packed_audio import PEAK
from efficient_sed.data.storage.packed_file import INDEX_NAME
from efficient_sed.data.storage.packed_splits import load_packed
from efficient_sed.data.storage.packed_writer import DistinctClips, PackedWriter
from efficient_sed.data.storage.sources import AudioSource
from efficient_sed.errors import DataError
from efficient_sed.files.atomic_folder import unfinished_folder
from efficient_sed.files.folders import check_free_space
from efficient_sed.files.locks import locked
from efficient_sed.machine.progress import progress

logger = logging.getLogger(__name__)
TABLES_BYTES, TABLE_BYTES_PER_CLIP = 1 << 16, 1 << 10  # more than they take
BLOCK = 256  # clips decoded ahead of the writer
TIMED_CLIPS = 64


class Packed(NamedTuple):
    """What was written."""

    num_clips: int
    num_bytes: int
    unreadable: list[str]
    clips_per_s: float
    """Reading whole clips back, one after another in random order."""
    source_clips_per_s: float
    """The same from where they came."""


def pack_data(config: DataConfig, output: Path, shard_gb: float | None = None) -> Packed:
    """Write a packed copy; it appears only when it is complete.

    Args:
        config: The data set to be packed.
        output: A file; with shards a folder.
        shard_gb: Largest size of a file of samples, in 10^9 bytes; default None, one file of everything.

    Raises:
        DataError: If a clip cannot be read and `data.on_error` is not "skip", or the copy cannot be written.
    """
    if not config.has_labels:
        raise DataError(
            f"{output}: a packed file holds labels, and data.train=null has none; train on the recordings themselves"
        )
    splits = config.load()
    for part in PARTS:
        groups, number = group_clips(getattr(splits, part))
        for index, group in enumerate(groups):
            if group != STRONG:
                found = f"{np.count_nonzero(number == index)} clips {group.name!r} of the {part} part"
                raise DataError(f"{output}: a packed file holds strong labels alone, and has no place for the {found}")
    clips = DistinctClips(splits)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with locked(output.parent / f".{output.name}.lock"):
            return _pack(config, splits, clips, output, shard_gb)
    except (OSError, RuntimeError) as error:  # h5py wraps a full disk in either
        is_full = "No space left" in str(error) or "errno = 28" in str(error)
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{output}: cannot be written ({'No space left on device' if is_full else why})") from error


def _pack(config: DataConfig, splits: Splits, clips: DistinctClips, output: Path, shard_gb: float | None) -> Packed:
    """Write into a hidden folder, which is renamed at the end."""
    if output.is_dir():
        raise DataError(f"{output}: is there already; give another name")
    capacity = clips.capacity()
    check_free_space(output, 2 * capacity + TABLES_BYTES + TABLE_BYTES_PER_CLIP * len(clips))
    watched = frozenset(np.random.default_rng(0).permutation(len(clips))[:TIMED_CLIPS].tolist())
    with unfinished_folder(output) as unfinished:
        writer = PackedWriter(unfinished, capacity, None if shard_gb is None else round(shard_gb * 1e9 / 2), watched)
        try:
            unreadable = _write_samples(writer, clips, config)
            if not len(writer):
                raise DataError(f"{output}: no clip could be read; the first: {next(iter(unreadable), 'no clips')}")
            writer.write_tables(splits, clips)
            writer.sign(load_packed(unfinished).hash_clips())
            num_bytes = _finish(unfinished)
            (unfinished / INDEX_NAME if shard_gb is None else unfinished).replace(output)
        finally:
            with contextlib.suppress(OSError, RuntimeError):  # of a full disk
                writer.close()
    return Packed(len(writer), num_bytes, unreadable, *_compare_speed(writer.origins, output))


def _finish(folder: Path) -> int:
    """Have everything on the disk and readable; returns its size in bytes."""
    paths = list(folder.iterdir())
    for path in paths:
        forget(path)  # which was opened for its hash: Windows renames no open file
        with path.open("r+b") as flushed:  # Windows flushes no file that is open for reading
            os.fsync(flushed.fileno())
        path.chmod(0o644)
    return sum(path.stat().st_size for path in paths)


def _write_samples(writer: PackedWriter, clips: DistinctClips, config: DataConfig) -> list[str]:
    """Decode and append every clip; returns the messages of those that could not be read."""
    unreadable: list[str] = []
    remaining = enumerate(clips)
    with (
        ThreadPoolExecutor(max_workers=max(1, config.pool_size)) as pool,
        progress("clips packed", len(clips)) as advance,
    ):
        while block := list(itertools.islice(remaining, BLOCK)):
            for (number, clip), decoded in zip(block, pool.map(_decode, (clip for _, clip in block)), strict=True):
                if isinstance(decoded, str):
                    if config.on_error == "raise":
                        raise DataError(f"{decoded}; data.on_error=skip leaves such files out")
                    unreadable.append(decoded)
                    continue
                writer.append(number, clip, *decoded)
            advance(len(block))
    return unreadable


def _decode(clip: Clip) -> tuple[np.ndarray, float] | str:
    try:
        samples = clip.audio.read().numpy()
    except DataError as error:
        return str(error)
    scale = max(1.0, float(np.abs(samples).max()))
    return np.rint(samples * (PEAK / scale)).astype(np.int16), scale


def _compare_speed(origins: Sequence[tuple[int, AudioSource]], output: Path) -> tuple[float, float]:
    """Measure whole clips a second from the packed file and from the source, in turn, in random order."""
    if not origins:
        return 0.0, 0.0
    columns = cast("ColumnPart", load_packed(output).train).columns
    rows = ColumnPart(columns, np.array([row for row, _ in origins]))
    pairs = [(clip.audio, own) for clip, (_, own) in zip(rows, origins, strict=True)]
    order = np.random.default_rng(0).permutation(len(pairs)).tolist()
    packed_s = own_s = 0.0
    for audio in pairs[order[0]]:  # opens the files
        audio.read()
    for packed, own in (pairs[place] for place in order):
        packed_s += _seconds(packed.read)
        own_s += _seconds(own.read)
    return len(pairs) / packed_s, len(pairs) / own_s


def _seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
