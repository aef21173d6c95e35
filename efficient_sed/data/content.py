"""What decides a training on some data: their content, and options other than where they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import Splits
from efficient_sed.errors import DataError

TEACHER_KEYS = ("pseudo_labels", "clip_teacher", "clip_teacher_index")
BLOCK_BYTES, NUM_BLOCKS = 1 << 20, 64
"""Of a larger file this many evenly spaced pieces are hashed: a teacher's logits may take tens of gigabytes."""


def content_identity(config: DataConfig, splits: Splits) -> dict[str, Any]:
    """Values that decide a training on these data; the same after the data set was moved.

    Args:
        config: Of the data set.
        splits: What `config.load()` gave. Their manifest hash is computed once and kept: it is stored in packed data
            sets and in the index of AudioSet, and reads all audio files of others.

    Returns:
        Options other than `location_keys`, `content`, the manifest hash, and fingerprints of the teacher's files.

    Raises:
        DataError: If a teacher's file cannot be read.
    """
    options = {key: value for key, value in config.identity().items() if key not in config.location_keys}
    paths = {key: getattr(config, key) for key in TEACHER_KEYS}
    teacher = {key: None if path is None else fingerprint(key, Path(path)) for key, path in paths.items()}
    return {**options, **teacher, "has_labels": config.has_labels, "content": splits.manifest_hash}


def fingerprint(key: str, path: Path) -> str:
    """Hash of a file's size and content, or of evenly spaced pieces of a large one.

    Args:
        key: Option that names the file, for messages.
        path: The file.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            for place in _places(size):
                file.seek(place)
                digest.update(file.read(BLOCK_BYTES))
    except OSError as error:
        raise DataError(f"data.{key}={path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()[:16]


def _places(size: int) -> list[int]:
    """Where the hashed pieces of a file begin: all of a small one, first and last piece included of a large one."""
    if size <= NUM_BLOCKS * BLOCK_BYTES:
        return list(range(0, size, BLOCK_BYTES))
    return [index * (size - BLOCK_BYTES) // (NUM_BLOCKS - 1) for index in range(NUM_BLOCKS)]
