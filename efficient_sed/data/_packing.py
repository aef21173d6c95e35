"""Writes a packed copy of a data set: every clip decoded once, 16-bit samples at 16 kHz one after another in one contiguous data set."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from efficient_sed._files import check_room, written_beside
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.compose import compose_run
from efficient_sed.config.schema import DataConfig
from efficient_sed.data._containers import forget
from efficient_sed.data.events import PARTS, Clip, Splits
from efficient_sed.data.packed import FORMAT, PEAK, VERSION, PackedConfig
from efficient_sed.errors import ConfigError, DataError

logger = logging.getLogger(__name__)
BLOCK = 256  # clips decoded ahead of the writer
TIMED_CLIPS = 64
TABLES_BYTES, TABLE_BYTES_PER_CLIP = 1 << 16, 1 << 10  # more than they take
REPORT_EVERY_S = 10.0


class Packed(NamedTuple):
    """What was written."""

    num_clips: int
    num_bytes: int
    unreadable: list[str]
    clips_per_s: float
    """Reading whole clips back, one after another in random order."""
    source_clips_per_s: float
    """The same from where they came."""


def pack_command(words: Sequence[str], *, is_forced: bool) -> str:
    """`data pack key=value… OUT.h5`; returns the line to print.

    Raises:
        ConfigError: If there is not one OUT.h5, or it is there already.
        DataError: If the data set cannot be read or the file not be written.
    """
    outputs = [word for word in words if "=" not in word]
    if len(outputs) != 1:
        raise ConfigError(f"data pack takes one OUT.h5 beside key=value pairs, got {' '.join(outputs) or 'none'}")
    output = Path(outputs[0])
    config = compose_run([word for word in words if word != outputs[0]]).data
    if output.exists() and not (is_forced and output.is_file()):
        raise ConfigError(f"{output}: is there already; give another name" + (", or --force" if output.is_file() else ""))
    packed = pack_data(config, output)
    for message in packed.unreadable:
        logger.warning("left out: %s", message)
    return (
        f"{output}: {packed.num_clips:,} clips, {packed.num_bytes / 1e9:.3g} GB, left out: {len(packed.unreadable)}; "
        f"read at {packed.clips_per_s:,.0f} clips a second, from data={config.name} at {packed.source_clips_per_s:,.0f}"
    )


def pack_data(config: DataConfig, output: Path) -> Packed:
    """Write a packed copy; the file appears only when it is complete.

    Raises:
        DataError: If a clip cannot be read and `data.on_error` is not "skip", or the file cannot be written.
    """
    if not config.has_labels:
        raise DataError(f"{output}: a packed file holds labels, and data.train=null has none; train on the recordings themselves")
    splits = config.load()
    if splits.weak:
        raise DataError(f"{output}: a packed file has no place for the {len(splits.weak)} weak clips; leave data.weak_root away")
    clips = list({clip.audio: clip for part in PARTS for clip in getattr(splits, part)}.values())
    capacity = sum(math.ceil(clip.duration_s * SAMPLE_RATE) + 1 for clip in clips)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        check_room(output, 2 * capacity + TABLES_BYTES + TABLE_BYTES_PER_CLIP * len(clips))
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror})") from error
    try:
        with written_beside(output) as unfinished, h5py.File(unfinished, "w", locking=False) as file:  # it is locked already
            written, unreadable = _write_samples(file, clips, capacity, config)
            _write_tables(file, splits, clips, written)
    except (OSError, RuntimeError) as error:  # h5py wraps a full disk in either
        is_full = "No space left" in str(error) or "errno = 28" in str(error)
        raise DataError(f"{output}: cannot be written ({'No space left on device' if is_full else ' '.join(str(error).split())})") from error
    forget(output)
    return Packed(len(written), output.stat().st_size, unreadable, *_compare_speed(splits, output))


class _Written(NamedTuple):
    """Where a clip's samples lie."""

    first: int
    length: int
    scale: float


def _write_samples(file: Any, clips: Sequence[Clip], capacity: int, config: DataConfig) -> tuple[dict[int, _Written], list[str]]:
    """Decode and append every clip; returns where each lies, by its number, and the messages of those that could not be read."""
    samples = file.create_dataset("samples", (capacity,), dtype=np.int16)
    written: dict[int, _Written] = {}
    unreadable: list[str] = []
    end = 0
    begun = reported = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(1, config.num_workers)) as pool:
        for block in range(0, len(clips), BLOCK):
            for number, decoded in enumerate(pool.map(_decode, clips[block : block + BLOCK]), block):
                if isinstance(decoded, str):
                    if config.on_error == "raise":
                        raise DataError(f"{decoded}; data.on_error=skip leaves such files out")
                    unreadable.append(decoded)
                    continue
                array, scale = decoded
                samples[end : end + len(array)] = array
                written[number] = _Written(end, len(array), scale)
                end += len(array)
            if (now := time.monotonic()) - reported > REPORT_EVERY_S:
                reported, done = now, min(len(clips), block + BLOCK)
                logger.info("packed %s of %s clips, %.0f a second", f"{done:,}", f"{len(clips):,}", done / (now - begun))
    return written, unreadable


def _decode(clip: Clip) -> tuple[np.ndarray, float] | str:
    try:
        samples = clip.audio.read().numpy()
    except DataError as error:
        return str(error)
    scale = max(1.0, float(np.abs(samples).max()))
    return np.rint(samples * (PEAK / scale)).astype(np.int16), scale


def _write_tables(file: Any, splits: Splits, clips: Sequence[Clip], written: dict[int, _Written]) -> None:
    kept = [clips[number] for number in written]
    row = {clip.audio: index for index, clip in enumerate(kept)}
    events = [event for clip in kept for event in clip.events]
    column = {label: index for index, label in enumerate(splits.classes)}
    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
    file.attrs["expected"] = json.dumps(None if splits.expected is None else dict(splits.expected))
    file["classes"] = _bytes(splits.classes)
    if splits.evaluated_classes is not None:
        file["evaluated_classes"] = _bytes(splits.evaluated_classes)
    file["id"] = _bytes(clip.id for clip in kept)
    file["digest"] = _bytes(f"int16:{clip.audio.content_hash()}" for clip in kept)  # another content than the original's, but one that goes with it
    file["duration_s"] = np.array([clip.duration_s for clip in kept], dtype=np.float64)
    for name, dtype in (("first", np.int64), ("length", np.int64), ("scale", np.float64)):
        file[name] = np.array([getattr(place, name) for place in written.values()], dtype=dtype)
    file["event_first"] = np.cumsum([0, *(len(clip.events) for clip in kept)], dtype=np.int64)
    file["event_onset_s"] = np.array([event.onset_s for event in events], dtype=np.float64)
    file["event_offset_s"] = np.array([event.offset_s for event in events], dtype=np.float64)
    file["event_class"] = np.array([column[event.label] for event in events], dtype=np.int32)
    for part in PARTS:
        file[part] = np.array([row[clip.audio] for clip in getattr(splits, part) if clip.audio in row], dtype=np.int64)


def _bytes(texts: Iterable[str]) -> np.ndarray:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=1) or 1}")


def _compare_speed(splits: Splits, output: Path) -> tuple[float, float]:
    """Whole clips a second from the packed file and from the data set it was made of, in turn; the same clips, after one of each that opens the files."""
    packed = {clip.id: clip.audio for part in PARTS for clip in getattr(PackedConfig(root=str(output)).load(), part)}
    own = {clip.id: clip.audio for part in PARTS for clip in getattr(splits, part) if clip.id in packed}
    names = sorted(own)
    np.random.default_rng(0).shuffle(names)
    names = names[:TIMED_CLIPS]
    seconds = {"packed": 0.0, "own": 0.0}
    sources: dict[str, dict[str, Any]] = {"packed": packed, "own": own}
    for name in sources:
        sources[name][names[0]].read()
    for clip in names:
        for name in sources:
            seconds[name] += _seconds(sources[name][clip].read)
    return len(names) / seconds["packed"], len(names) / seconds["own"]


def _seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
