"""Duration, size and content hash of each clip of a large data set, kept between runs."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.audio.encoded import EncodedAudio, MissingDecoderError
from efficient_sed.audio.io import audio_info
from efficient_sed.data.storage.sources import EncodedSource
from efficient_sed.errors import DataError
from efficient_sed.files.atomic import write_atomically
from efficient_sed.files.cache import HOME_VARIABLE, home_folder
from efficient_sed.files.json import parse_json
from efficient_sed.files.locks import locked
from efficient_sed.files.npz import read_arrays
from efficient_sed.machine.progress import progress

logger = logging.getLogger(__name__)
INDEX_VERSION = 2  # raise it when entries would come out otherwise
ARRAYS = ("version", "key", "duration_s", "num_bytes", "digest", "problem")
SAVE_EVERY = 20_000  # clips after which an interrupted pass need not begin anew


class IndexRow(NamedTuple):
    """A clip to be looked up.

    Attributes:
        key: Names it within its container.
        stamp: Size and time of change of the file that holds it; another stamp means another content.
        source: Where to read it if it is not known.
    """

    key: str
    stamp: str
    source: EncodedSource


class IndexEntry(NamedTuple):
    """What is known of a clip; `problem` says why it cannot be used, else it is empty."""

    duration_s: float
    num_bytes: int
    digest: str
    problem: str


def file_stamp(*paths: Path) -> str:
    """Size and time of change of files that make up one container."""
    states = [(path.name, (status := path.stat()).st_size, status.st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def look_up(container: Path, rows: Sequence[IndexRow], num_workers: int) -> list[IndexEntry]:
    """Get the entries of clips in order; clips that the stored index lacks are read once.

    Args:
        container: File or folder that the index belongs to.
        rows: Clips of that container.
        num_workers: Threads that read the missing clips.

    Raises:
        DataError: If the index cannot be stored.
    """
    path = index_file(container)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):  # two runs that start together read the clips once
            known = _load(path)
            missing = [row for row in rows if _key(row) not in known]
            if missing:
                _drop_changed(known, rows)
                _read_missing(container, path, known, missing, num_workers)
    except OSError as error:
        raise DataError(
            f"{path}: the index of {container} cannot be written ({error.strerror}); give a writable folder: "
            f"{HOME_VARIABLE}=DIR"
        ) from error
    return [known[_key(row)] for row in rows]


def index_file(container: Path) -> Path:
    """Path of the index of a container."""
    name = hashlib.sha256(str(container.resolve()).encode()).hexdigest()[:12]
    return home_folder() / "index" / f"{container.stem}_{name}.npz"


def _key(row: IndexRow) -> str:
    return f"{row.stamp} {row.key}"


def _drop_changed(known: dict[str, IndexEntry], rows: Sequence[IndexRow]) -> None:
    """Drop entries of these clips from before their container changed."""
    current, names = {_key(row) for row in rows}, {row.key for row in rows}
    for key in [key for key in known if key not in current and key.split(" ", 1)[1] in names]:
        del known[key]


def _read_missing(
    container: Path, path: Path, known: dict[str, IndexEntry], missing: Sequence[IndexRow], num_workers: int
) -> None:
    logger.info("%s: reading the durations of %s clips, once", container, f"{len(missing):,}")
    pool = ThreadPoolExecutor(max_workers=max(1, num_workers))
    try:
        with progress(f"clips of {container} read", len(missing)) as advance:
            for first in range(0, len(missing), SAVE_EVERY):
                chunk = missing[first : first + SAVE_EVERY]
                for row, entry in zip(chunk, pool.map(_probe, chunk), strict=True):
                    known[_key(row)] = entry
                    advance(1)
                # What could not be read at all is left out: it may be there the next time.
                _store(path, {key: entry for key, entry in known.items() if entry.digest})
    finally:
        pool.shutdown(cancel_futures=True)


def _probe(row: IndexRow) -> IndexEntry:
    """Read one clip. A damaged one is an entry too: it would be read again at every start."""
    try:
        data = row.source.encoded()
        digest = hashlib.sha256(data).hexdigest()
    except DataError as error:
        return IndexEntry(0.0, 0, "", str(error))
    try:
        return IndexEntry(audio_info(EncodedAudio(str(row.source), data)).duration_s, len(data), digest, "")
    except MissingDecoderError as error:
        return IndexEntry(0.0, 0, "", str(error))
    except DataError as error:
        return IndexEntry(0.0, len(data), digest, str(error))


def _store(path: Path, known: dict[str, IndexEntry]) -> None:
    entries = list(known.values())
    buffer = io.BytesIO()
    arrays = (
        np.int64(INDEX_VERSION),
        np.array([key.encode() for key in known]),
        np.array([entry.duration_s for entry in entries]),
        np.array([entry.num_bytes for entry in entries]),
        np.frombuffer(b"".join(bytes.fromhex(entry.digest) for entry in entries), np.uint8),
        np.frombuffer(
            json.dumps({i: entry.problem for i, entry in enumerate(entries) if entry.problem}).encode(), np.uint8
        ),
    )
    named: dict[str, Any] = dict(zip(ARRAYS, arrays, strict=True))
    np.savez(buffer, **named)
    write_atomically(path, buffer.getvalue())


def _load(path: Path) -> dict[str, IndexEntry]:
    """Read the stored entries; none if the file is missing, of another version, or damaged."""
    if not path.is_file():
        return {}
    try:
        version, keys, seconds, sizes, digest, problem = read_arrays(path.read_bytes(), ARRAYS)
        if version.shape or version != INDEX_VERSION:
            return {}
        digests, problems = digest.tobytes().hex(), parse_json(problem.tobytes())
        rows = zip(keys.tolist(), seconds.tolist(), sizes.tolist(), strict=True)
        known = {
            key.decode(): IndexEntry(duration, size, digests[64 * i : 64 * (i + 1)], problems.get(str(i), ""))
            for i, (key, duration, size) in enumerate(rows)
        }
        if len(digests) != 64 * len(keys) or not all(" " in key and _is_entry(entry) for key, entry in known.items()):
            raise ValueError("an entry makes no sense")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        logger.warning("%s: damaged (%s), made anew", path, " ".join(str(error).split()))
        return {}
    return known


def _is_entry(entry: IndexEntry) -> bool:
    """Whether `_probe` could have made it."""
    duration_s, num_bytes, _, problem = entry
    has_types = isinstance(duration_s, float) and isinstance(num_bytes, int) and isinstance(problem, str)
    is_empty = duration_s == 0 or num_bytes == 0
    return has_types and 0 <= duration_s < math.inf and num_bytes >= 0 and (bool(problem) or not is_empty)
